"""What runs on the WASM engine ask memory for, counted, and a network that needs much."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.wasm.replay import Replay, prepared, settle
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom.plan.tree import ContractionTree
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tensorloom.execute.wasm.kernels import WasmKernels
    from tensorloom.kernels.program import Program

__all__ = ["Counting", "ring", "taken"]


class Counting(WasmtimeHost):
    """Adds up the memory that runs ask for."""

    asked = 0

    def empty(self, n_bytes: int) -> NDArray[np.uint8]:
        """Memory, counted."""
        self.asked += n_bytes
        return super().empty(n_bytes)

    def placed(self, array: NDArray[Any]) -> NDArray[Any]:
        """A copy, not counted: a page has arrays in its memory already."""
        before = self.asked
        copy = super().placed(array)
        self.asked = before
        return copy


def ring(side: int, n: int, *, sliced: tuple[str, ...] = ()) -> ContractionTree:
    """A trace of matrices, contracted pair by pair from both sides of the ring."""
    names = [f"i{number}" for number in range(n)]
    return ContractionTree(
        inputs=tuple((names[k], names[(k + 1) % n]) for k in range(n)),
        output=(),
        dimensions=tuple((name, side) for name in names),
        path=((0, 1), *((n + step - 1, step + 1) for step in range(1, n - 1))),
        sliced=sliced,
    )


def taken(kernels: WasmKernels, program: Program, arrays: list[NDArray[Any]]) -> int:
    """What a run takes besides the arrays given and the records kept [bytes]."""
    host = kernels.host
    assert isinstance(host, Counting)
    known = prepared(program, relaxed=True, fused=False)
    kept = settle(known, kernels)
    before = host.asked
    drive(Replay(known, kept, kernels, arrays).result(no_pulse))
    # Slices are added up in arrays of numpy's own: sums, and what they have rounded away.
    whole = 2 * prod(program.shape) * ITEM_BYTES[program.dtype] if program.slices else 0
    return host.asked - before + whole
