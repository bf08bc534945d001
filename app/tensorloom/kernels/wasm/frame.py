"""The frame of a kernel: its entry point, what the record and the descriptor say, offset tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tensorloom.kernels.wasm.assembler import Local, i32, load
from tensorloom.kernels.wasm.layout import (
    DESCRIPTOR_FIELDS,
    DESCRIPTOR_GROUPS,
    GROUPS,
    RECORD_FIELDS,
    WORKSPACE,
)
from tensorloom.kernels.wasm.tables import define_fill

if TYPE_CHECKING:
    from tensorloom.kernels.wasm.assembler import Expression, Function, Module

__all__ = ["Frame", "Side"]

Side = Literal["left", "right", "out"]

_STRIDE_FIELD: dict[Side, int] = {"left": 4, "right": 8, "out": 12}


class Frame:
    """The exported function ``kernel(record)`` with its record read into variables.

    Args:
        module: Where the function goes; must not have one named ``kernel`` yet.
    """

    def __init__(self, module: Module) -> None:
        self._fill = define_fill(module)
        self.kernel: Function = module.function("kernel", ("i32",))
        self.left = self._word("left")
        self.right = self._word("right")
        self.out = self._word("out")
        self.workspace = self._word("workspace")
        self._descriptor = self._word("descriptor")

    def range_of(self, group: Literal["batch", "row", "column"]) -> tuple[Local, Local]:
        """Variables holding the record's first and last-plus-one position of a group."""
        return self._word(f"{group}_start"), self._word(f"{group}_stop")

    def header(self, name: str) -> Local:
        """A variable holding a word of the descriptor's header."""
        return self.kernel.variable(load("i32.load", self._descriptor, DESCRIPTOR_FIELDS[name]))

    def fill(
        self, table: str, group: str, side: Side, start: Expression, count: Expression
    ) -> None:
        """Writes a table of the workspace: byte offsets of a range of a group in an operand."""
        at = DESCRIPTOR_GROUPS + 8 * GROUPS.index(group)
        self.kernel.call(
            self._fill,
            self.workspace + WORKSPACE[table],
            self._descriptor + load("i32.load", self._descriptor, at + 4),
            load("i32.load", self._descriptor, at),
            i32(_STRIDE_FIELD[side]),
            start,
            count,
            self.workspace + WORKSPACE["counters"],
        )

    def entry(self, table: str, number: Expression) -> Expression:
        """Entry ``number`` of a table of the workspace."""
        return load("i32.load", self.workspace + (number << 2), WORKSPACE[table])

    def _word(self, name: str) -> Local:
        return self.kernel.variable(
            load("i32.load", self.kernel.parameters[0], RECORD_FIELDS[name])
        )
