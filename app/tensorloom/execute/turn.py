"""The shape whose turn it is: who answers for its candidates, and what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorloom.execute.gpu.trials import SEEDS, GpuTrials
from tensorloom.execute.renewal import is_own
from tensorloom.execute.tuned_shape import Place, Shape, unseen_first, without_tried
from tensorloom.execute.wasm.trials import PairedTrials, WasmTrials
from tensorloom.tune.recheck import Recheck
from tensorloom.tune.search import Search

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.execute.wasm.kernels import WasmKernels
    from tensorloom.kernels.program import KernelSpec
    from tensorloom.kernels.wasm.jit import WasmDevice
    from tensorloom.tune.database import Entry

    Pause = Callable[[], Awaitable[None]]

__all__ = ["Turn", "Turns"]

LEAST_TRIED = 3
"""Of a shape's candidates on the CPU."""


@dataclass(slots=True, kw_only=True)
class Turn:
    """A search under way, or a look at what an earlier visit has chosen.

    Args:
        backend: Where.
        spec: The shape.
        trials: Who answers.
        search: Who asks.
    """

    backend: Place
    spec: KernelSpec
    trials: WasmTrials | GpuTrials
    search: Search | Recheck

    async def step(self, pause: Pause) -> float:
        """The next answer; what it took [ms].

        Args:
            pause: Lets others have their turn; if it raises, the same is asked again.
        """
        assert self.search.request is not None
        before = self.search.spent_ms
        self.search.take(await self.trials.answer(self.search.request, pause))
        return self.search.spent_ms - before

    def seen(self) -> Shape | None:
        """What a search knows so far."""
        if isinstance(self.search, Recheck):
            return None
        return Shape(
            spec=self.spec,
            backend=self.backend,
            trials=self.search.trials,
            history=tuple(self.search.history),
            spent_ms=self.search.spent_ms,
            message=self.search.message,
        )


class Turns:
    """Makes them.

    Args:
        kernels: The WASM engine.
        gpu: The GPU's device, where there is one.
        clock: Seconds.
    """

    def __init__(
        self, kernels: WasmKernels, gpu: GpuDevice | None, clock: Callable[[], float]
    ) -> None:
        self._kernels = kernels
        self._gpu = gpu
        self._clock = clock

    def on_wasm(
        self,
        spec: KernelSpec,
        device: WasmDevice,
        *,
        entry: Entry | None,
        seen: Shape | None,
        budget_ms: float,
    ) -> Turn:
        """A search on the CPU.

        Args:
            spec: The shape.
            device: What candidates are proposed for.
            entry: What is known of its class.
            seen: What was found out on this visit.
            budget_ms: Time for it [ms].
        """
        trials = WasmTrials(spec, self._kernels, device, self._clock)
        if seen is None:
            options = without_tried(trials.options, entry.tried if entry else ())
        else:
            options = unseen_first(trials.options, seen)
        known = entry.candidate if entry else None
        if seen is not None and seen.best is not None:
            known = seen.best.option.text
        search = Search(options, budget_ms=budget_ms, known=known, least=LEAST_TRIED)
        return Turn(backend="wasm", spec=spec, trials=trials, search=search)

    def on_gpu(
        self, spec: KernelSpec, *, entry: Entry | None, budget_ms: float, pace: float
    ) -> Turn:
        """A search on the GPU.

        Args:
            spec: The shape.
            entry: What is known of its class.
            budget_ms: Time for it [ms].
            pace: See ``Search``.
        """
        assert self._gpu is not None
        trials = GpuTrials(spec, self._gpu, self._clock)
        known = entry.candidate if entry else None
        search = Search(trials.options, budget_ms=budget_ms, known=known, seeds=SEEDS, pace=pace)
        return Turn(backend="webgpu", spec=spec, trials=trials, search=search)

    def look(
        self, spec: KernelSpec, backend: Place, device: WasmDevice, entry: Entry
    ) -> Turn | None:
        """A look at a known kernel; ``None`` where it is not tried aside.

        That is where it is too large, or was found for another shape of its class and is no
        candidate for this one. One that is no candidate any more for its own shape fails. On a GPU
        it is timed alone, as to compile another one may take a second, and for its own shape even
        if a rule would cut it by now: once the device was measured, rules are others than before.

        Args:
            spec: The shape.
            backend: Where.
            device: What candidates are proposed for, on the CPU.
            entry: What is known.
        """
        trials: WasmTrials | GpuTrials
        if backend == "wasm":
            trials = PairedTrials(spec, self._kernels, device, self._clock)
        else:
            assert self._gpu is not None
            trials = GpuTrials(spec, self._gpu, self._clock)
        cut = {option.text for option in trials.options if option.cut}
        texts = [option.text for option in trials.options]
        is_known = is_own(entry, spec) or entry.candidate in texts
        if backend == "webgpu" and is_own(entry, spec):
            cut.discard(entry.candidate)
        if entry.candidate in cut or not is_known:
            return None
        rival = ""
        if backend == "wasm":
            out = cut | {entry.candidate, *entry.tried}
            others = [text for text in texts if text not in out]
            rival = entry.second if entry.second in others else next(iter(others), "")
        search = Recheck(entry.candidate, rival)
        return Turn(backend=backend, spec=spec, trials=trials, search=search)
