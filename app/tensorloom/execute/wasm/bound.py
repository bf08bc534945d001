"""A program bound to arrays: run again, it costs one call into the engine.

For networks of small tensors Python's part is most of a run: finding every array's address, laying
out memory, asking about magnitudes. All of that is the same when a program runs again on the same
arrays, their numbers changed or not, and nearly the same when a slider makes one array anew. Only
what a single uninterrupted call can do is bound; anything unusual is left to ``replay``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.execute.backend import RawResult
from tensorloom.execute.scaling import SAFE_LOG2
from tensorloom.execute.wasm.host import stopped
from tensorloom.kernels.arena import small_runs
from tensorloom.kernels.wasm.records import PIECE_CYCLES, address, fill_table
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.wasm.kernels import WasmKernels
    from tensorloom.execute.wasm.replay import Prepared, Settled

__all__ = ["Bound", "can_bind"]

_MOST_BYTES = 1 << 20
"""Intermediates and results up to which their memory is kept between runs [bytes]."""


def can_bind(known: Prepared, *, grouped: bool = False) -> bool:
    """Whether a program is one call, its inputs' magnitudes looked at within it.

    Args:
        known: The program.
        grouped: Whether its small steps will be groups, though they are none yet.
    """
    program, sheet = known.program, known.sheet
    firsts = [record for record, _, _ in sheet.fused]
    if grouped:
        firsts = [first for first, _ in small_runs(program)]
    size = known.arena_bytes + program.buffers[program.result].elements * ITEM_BYTES[program.dtype]
    return (
        firsts[:1] == [0]
        and len(sheet.pieces) == 1
        and sheet.cycles < PIECE_CYCLES
        and size <= _MOST_BYTES
        and not program.slices
        and not program.kept
    )


class Bound:
    """Records that know every address.

    Args:
        known: What to run.
        settled: What it has in the engine's memory.
        kernels: The engine.
    """

    def __init__(self, known: Prepared, settled: Settled, kernels: WasmKernels) -> None:
        program = known.program
        self.known, self.settled, self.kernels = known, settled, kernels
        host = kernels.host
        self.arena = host.empty(known.arena_bytes)
        elements = program.buffers[program.result].elements
        self.out = host.empty(elements * ITEM_BYTES[program.dtype]).view(program.dtype)
        self.value = self.out.reshape(program.shape)
        self.given: list[NDArray[Any] | None] = [None] * sum(
            buffer.source is not None for buffer in program.buffers
        )
        # Flat views or copies in the engine's memory, kept alive as long as records point there.
        self.placed: list[NDArray[Any] | None] = list(self.given)
        self.addresses = known.offsets + host.address(self.arena)
        self.addresses[program.result] = host.address(self.out)
        self.addresses[-1] = kernels.one_address[program.dtype]
        self.last = known.sheet.pieces[0][1]
        limit = 2.0 ** SAFE_LOG2[program.dtype]
        self.call = host.bound(
            kernels.driver, (settled.records_address, 0, self.last, 1 / limit, limit)
        )

    @property
    def nbytes(self) -> int:
        """Engine memory that it keeps, arrays of others not counted [bytes]."""
        return self.arena.nbytes + self.out.nbytes

    def run(self, arrays: Sequence[NDArray[Any]]) -> RawResult | None:
        """The result, or ``None`` where magnitudes left the safe range.

        Raises:
            UnsupportedKernel: ``wasm-stopped``.
        """
        if not self._knows(arrays):
            self._bind(arrays)
        try:
            reached = self.call()
        # As in ``WasmKernels.run``: in browsers an error of JavaScript.
        except Exception as error:
            self.release()
            why = stopped(error)
            raise self.kernels.blamed(why, self.settled.records, 0, self.last) from error
        if reached != self.last:
            return None
        return RawResult(value=self.value.copy())

    def _knows(self, arrays: Sequence[NDArray[Any]]) -> bool:
        """Whether records point to these arrays, or to others with the same numbers.

        Lists are compared by identity before anything else, a hundred times as fast as a loop.
        """
        try:
            return list(arrays) == self.given
        except ValueError:  # numpy compares different arrays number by number.
            return False

    def release(self) -> None:
        """Forgets the arrays: another run is about to use the records."""
        self.given = [None] * len(self.given)

    def _bind(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Points to arrays that are new."""
        host = self.kernels.host
        for number, array in enumerate(arrays):
            if array is not self.given[number]:
                flat = array.reshape(-1)
                placed = host.placed(flat)
                self.placed[number] = placed
                self.addresses[number] = host.address(placed)
                # A copy would not follow changes of the array.
                self.given[number] = array if placed is flat else None
        numbers = self.addresses.astype(np.uint32)
        address(self.settled.records, self.known.sheet, numbers)
        fill_table(self.settled.descriptors, self.known.sheet, numbers)
