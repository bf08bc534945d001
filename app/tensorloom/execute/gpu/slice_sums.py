"""Sums over some of a program's slices: what tasks ask for that share one sliced contraction.

The same slices give the same bits on one type of device, whatever was asked for before: a program
whose first slice leaves the safe range carries exponents in all of them; elsewhere those slices
that leave it are run again with exponents carried, and no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.execute.backend import no_pulse
from tensorloom.execute.gpu.replay import Work, add_up, carried_sum, in_range, read, summed
from tensorloom.execute.scaling import absmax, exponents_of, scaled, shift_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.gpu.backend import WebGpuBackend
    from tensorloom.execute.gpu.loaded import Loaded
    from tensorloom.kernels.program import Program

__all__ = ["SliceSums"]


class SliceSums:
    """One program with its inputs on a GPU, where they stay from call to call.

    Args:
        backend: Where.
        program: What to run; it has kernel calls.
        arrays: One C-contiguous array per input, of the program's type.
    """

    def __init__(
        self, backend: WebGpuBackend, program: Program, arrays: Sequence[NDArray[Any]]
    ) -> None:
        self._backend = backend
        self._program = program
        self._shifts = [shift_for(absmax(array), program.dtype) for array in arrays]
        self._arrays = [
            np.ascontiguousarray(scaled(array, -shift))
            for array, shift in zip(arrays, self._shifts, strict=True)
        ]
        self._wide = np.result_type(program.dtype, np.float64).name
        self._mark = object()
        # Looked at once, and not where there is but one slice: that one is looked at anyway.
        self._carries: bool | None = False if program.n_slices == 1 else None

    async def of(self, slices: range) -> tuple[NDArray[Any], int]:
        """``(sum, exponent)`` over these slices, in double precision.

        Args:
            slices: Their numbers, at least one.

        Returns:
            An array of the program's shape, to be multiplied with ``2**exponent``. Where output
            indices are sliced, parts that belong to other slices are zero.

        Raises:
            UnsupportedKernel: The device cannot.
            DeviceLost: It went away and did not come back.
        """
        return await self._backend.in_turn(lambda: self._of(slices))

    async def _of(self, slices: range) -> tuple[NDArray[Any], int]:
        if self._carries is None:
            self._carries = await self._plain(range(1)) is None
        found = None if self._carries else await self._plain(slices)
        return found or await self._carried(slices)

    async def _plain(self, slices: range) -> tuple[NDArray[Any], int] | None:
        """Added up on the device; ``None`` if a number left the safe range."""
        program = self._program
        loaded = await self._ready(scaled=False)
        await add_up(loaded, program, slices, Work(self._backend, program, no_pulse))
        outs, largest = await read(self._backend.device, loaded, program)
        if not in_range(largest):
            return None
        exponents = exponents_of(program, dict(enumerate(self._shifts)))
        value = summed(loaded, outs, self._wide)[0]
        return value.reshape(program.shape), exponents[program.result]

    async def _carried(self, slices: range) -> tuple[NDArray[Any], int]:
        """Exponents taken out of every intermediate, added up here."""
        program = self._program
        loaded = await self._ready(scaled=True)
        work = Work(self._backend, program, no_pulse)
        total = await carried_sum(loaded, program, slices, self._shifts, work)
        return total.wide(), total.exponent or 0

    async def _ready(self, *, scaled: bool) -> Loaded:
        loaded = await self._backend.loaded_plan(self._program, scaled=scaled)
        loaded.upload(self._backend.device, self._arrays, self._mark)
        return loaded
