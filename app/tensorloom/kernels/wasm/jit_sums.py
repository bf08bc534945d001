"""What all tiles of generated kernels do with their sums in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.jit_code import get, memory, op, put, shuffled, write_vector
from tensorloom.kernels.wasm.layout import WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorloom.kernels.wasm.assembler import Local
    from tensorloom.kernels.wasm.element import Element

__all__ = ["VECTOR_BYTES", "ZERO", "TileSums"]

VECTOR_BYTES = 16
ZERO = b"\xfd\x0c" + bytes(VECTOR_BYTES)
"""Pushes a vector of zeros."""


class TileSums:
    """The sums of one tile in registers, and where they belong.

    Args:
        element: Type of the numbers.
        places: For each row the offsets in the result that a vector of sums goes to [bytes].
        sums: For each row and vector its sums: the first holds the result in the end.
        spare: A vector of no lasting use.
    """

    def __init__(
        self,
        element: Element,
        places: Sequence[Sequence[tuple[int, ...]]],
        sums: Sequence[Sequence[Sequence[Local]]],
        spare: Local,
    ) -> None:
        self.element = element
        self.places = places
        self.sums = sums
        self.spare = spare
        self.shape = "f32x4" if element.scalar == "f32" else "f64x2"

    def cleared(self) -> bytes:
        """All sums are zero."""
        return b"".join(ZERO + put(part) for row in self.sums for total in row for part in total)

    def kept(self, workspace: Local) -> bytes:
        """The largest magnitudes among the sums, and those before, kept in the workspace.

        They cost next to nothing while they are in registers. NaN is never larger.
        """
        shape, largest = self.shape, self.spare
        code = ZERO + put(largest)
        for row, places in zip(self.sums, self.places, strict=True):
            for total, place in zip(row, places, strict=True):
                code += get(largest) + get(total[0])
                used = len(place) * self.element.bytes
                if used < VECTOR_BYTES:
                    # What lies beyond the columns is anything.
                    code += get(total[0]) + shuffled([byte % used for byte in range(VECTOR_BYTES)])
                code += op(f"{shape}.abs") + op(f"{shape}.pmax") + put(largest)
        at = WORKSPACE["largest"]
        code += get(workspace) + get(workspace) + memory("v128.load", at)
        return code + get(largest) + op(f"{shape}.pmax") + memory("v128.store", at)

    def stored(self, c: Local) -> bytes:
        """The sums written to the result."""
        return b"".join(
            write_vector(self.element, c, total[0], place)
            for row, places in zip(self.sums, self.places, strict=True)
            for total, place in zip(row, places, strict=True)
        )
