"""Trials of one shape on a GPU: candidates are compiled and timed, their results kept for checks.

The device times many calls in one submission and takes the submission's own cost off, so the first
window of a candidate settles its time; further ones repeat it.
"""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import DeviceLost, TensorloomError
from tensorloom.execute.gpu.trial import try_kernel
from tensorloom.execute.oracle import GUARD, filled, largest_error, rounding_bound
from tensorloom.kernels.gpu.candidate import GpuCandidate
from tensorloom.kernels.gpu.model import trial_ms
from tensorloom.kernels.gpu.space import survey
from tensorloom.kernels.lone import lone_step
from tensorloom.tune.search import Check, Failure, Option, Sample, Verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from numpy.typing import NDArray

    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.execute.gpu.trial import Trial
    from tensorloom.kernels.program import KernelSpec
    from tensorloom.tune.search import Answer, Request

__all__ = ["SEEDS", "GpuTrials"]

SEEDS = 4
"""Candidates taken in the given order before neighbours of the best."""


class GpuTrials:
    """Answers the requests of a search for one shape.

    Args:
        spec: The shape; not unary.
        device: Where.
        clock: Seconds.

    Attributes:
        options: Candidates for ``Search``, those that are cut among them.
    """

    def __init__(self, spec: KernelSpec, device: GpuDevice, clock: Callable[[], float]) -> None:
        self._spec = spec
        self._device = device
        self._clock = clock
        self._arrays: list[NDArray[Any]] = []
        self._last: tuple[str, Trial] | None = None
        self.options = tuple(
            Option(
                text=verdict.candidate.text,
                place=_place(verdict.candidate),
                family=verdict.candidate.family,
                cut=verdict.cut,
                cost_ms=trial_ms(spec, verdict.candidate, device.limits),
            )
            for verdict in survey(spec, device.limits)
        )

    async def answer(self, request: Request, _pause: Callable[[], Awaitable[None]]) -> Answer:
        """Serves a request; what goes wrong is a failure of the candidate."""
        start = self._clock()

        def spent() -> float:
            return 1e3 * (self._clock() - start)

        try:
            trial = await self._tried(request.text)
            if isinstance(request, Check):
                error, bound = self._compared(trial)
                return Verdict(error=error, bound=bound, spent_ms=spent())
            return Sample(ms=trial.ms, spent_ms=spent())
        except DeviceLost:
            return Failure(reason=await self._renewed(), spent_ms=spent())
        except TensorloomError as error:
            return Failure(reason=error.message[:160], spent_ms=spent())

    async def _renewed(self) -> str:
        """What happened, once there is a device again or none to be had."""
        try:
            await self._device.renew()
        except TensorloomError as error:
            return f"the device went away over it, for good: {error.message[:120]}"
        return "the device went away over it"

    async def _tried(self, text: str) -> Trial:
        if self._last is None or self._last[0] != text:
            if not self._arrays:
                self._arrays = self._made()
            candidate = GpuCandidate.parse(text)
            trial = await try_kernel(
                self._device, self._spec, candidate, self._arrays, clock=self._clock
            )
            self._last = text, trial
        return self._last[1]

    def _made(self) -> list[NDArray[Any]]:
        found = []
        for seed, buffer in enumerate(lone_step(self._spec).buffers[:2], start=1):
            array = np.empty(buffer.elements + GUARD, self._spec.dtype)
            filled(array, seed)
            found.append(array[:-GUARD])
        return found

    def _compared(self, trial: Trial) -> tuple[float, float]:
        left, right = self._arrays
        return (
            largest_error(self._spec, left, right, trial.out),
            rounding_bound(self._spec, left, right),
        )


def _place(candidate: GpuCandidate) -> tuple[float, ...]:
    """Logarithms of what can be turned, so that neighbours differ in one step."""
    sizes = (candidate.rows, candidate.columns, candidate.across, candidate.down,
             max(1, candidate.depth), candidate.splits)  # fmt: skip
    return tuple(log2(size) for size in sizes)
