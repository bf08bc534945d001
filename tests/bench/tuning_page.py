"""What ``bench tuning`` measures of WASM in the page's worker: each method answers plain data.

Everything runs on an engine of its own, so that the page's tuner and this one share nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from statistics import geometric_mean, median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import tuning_shapes as shapes

from tensorloom.execute.kernel_store import NoStore
from tensorloom.execute.known_kernels import flop
from tensorloom.execute.tuning import Tuner
from tensorloom.execute.wasm import trials as wasm_trials
from tensorloom.execute.wasm.trials import TRIAL_SLOT, WasmTrials, wasm_ways
from tensorloom.kernels.wasm.jit import Candidate, every_candidate, jit_schedule
from tensorloom.kernels.wasm.modules import module_for
from tensorloom.tune.search import Check, Option, Sample, Search, Verdict, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorloom.execute.wasm.backend import WasmBackend
    from tensorloom.kernels.program import KernelSpec

__all__ = ["Bench", "Wide", "no_pause"]

FIXED = "unpacked 8x8"
"""The lab's one size for all: a tile of (8, 8), no blocks, no packing."""

ROUNDS, WINDOWS = 3, 4


async def no_pause() -> None:
    """Nobody else wants a turn."""


class Bench:
    """One engine and its tuner.

    Args:
        backend: The engine; nobody else uses it.
    """

    def __init__(self, backend: WasmBackend) -> None:
        self.backend = backend
        self.kernels = backend.kernels
        self.tuner = Tuner(self.kernels, store=NoStore(), engine="bench", clock=perf_counter)
        assert self.kernels.driver is not None

    def costs(self) -> dict[str, Any]:
        """What generating and compiling a candidate takes, medians over all of them [ms]."""
        features, device = self.kernels.host.features, self.tuner.device
        emitting = [ms for case in shapes.SHAPES for ms in shapes.emitted(case, device, features)]
        compiling, sizes = [], []
        for case in shapes.SHAPES:
            for way in wasm_ways(shapes.spec_of(case), device).values():
                module = module_for(way.kernel, features)
                start = perf_counter()
                self.kernels.host.load(TRIAL_SLOT, module)
                compiling.append(1e3 * (perf_counter() - start))
                sizes.append(len(module))
        return {
            "emit": median(emitting),
            "compile": median(compiling),
            "count": len(compiling),
            "bytes": median(sizes),
        }

    async def record(self) -> float:
        """What the device record takes; others need it first [ms]."""
        start = perf_counter()
        while self.tuner.record is None:
            await self.tuner.step(no_pause)
        return 1e3 * (perf_counter() - start)

    async def tuned(self) -> list[dict[str, Any]]:
        """Every shape tuned, one after the other."""
        rows = []
        for case in shapes.SHAPES:
            spec = shapes.spec_of(case)
            start = perf_counter()
            shape = await self.tuner.best(spec, no_pause)
            assert shape.best is not None
            assert shape.best.ms is not None
            states = Counter(trial.state for trial in shape.trials)
            rows.append(
                {
                    "name": case[0],
                    "ms": 1e3 * (perf_counter() - start),
                    "tried": len(shape.trials) - states["waiting"] - states["cut"],
                    "of": len(shape.trials),
                    "failed": states["failed"],
                    "best": shape.best.option.text,
                    "gflops": flop(spec) / shape.best.ms / 1e6,
                }
            )
        return rows

    async def best_of(self, spec: KernelSpec) -> str:
        """The tuner's choice."""
        shape = await self.tuner.best(spec, no_pause)
        assert shape.best is not None
        return shape.best.option.text

    async def exhaustive(self) -> dict[str, Any]:
        """The tuner's choice beside the best of everything, and beside the best single tile."""
        wide = {name: Wide(self, shapes.spec_of(shapes.case_of(name))) for name in shapes.SEARCHED}
        walked = {name: await trials.walk() for name, trials in wide.items()}
        least = {name: min(times.values()) for name, times in walked.items()}
        everywhere = set.intersection(*(set(times) for times in walked.values()))
        static = min(
            everywhere,
            key=lambda text: geometric_mean(times[text] / least[n] for n, times in walked.items()),
        )
        rows = []
        for name, trials in wide.items():
            own = await self.best_of(trials.spec)
            leaders = sorted(walked[name], key=lambda text: walked[name][text])[:3]
            times = await trials.in_turn(list(dict.fromkeys([own, *leaders, static])))
            best = min(times, key=lambda text: times[text])
            rows.append(
                {
                    "name": name,
                    "space": len(trials.texts),
                    "own": own,
                    "best": best,
                    "share": times[best] / times[own],
                    "static": times[static] / times[own],
                    **_rules(walked[name], trials.proposed),
                }
            )
        return {"static": static, "rows": rows}

    async def simple_ways(self) -> dict[str, float]:
        """(384, 768, 768) in float32: tuned, one fixed tile, three scalar loops, numpy [ms]."""
        spec = shapes.spec_of(("", "ik,kj->ij", {"i": 384, "k": 768, "j": 768}, "float32"))
        trials = Wide(self, spec)
        own, scalar = await self.best_of(spec), Candidate.parse("unpacked 1x4")
        trials.add(FIXED)
        # It knows no ranges: a way that seems to take no time is not cut into parts.
        trials.add(scalar.text, cycles=1.0)
        right = wasm_trials.module_for

        def chosen(kernel: Any, features: Any) -> bytes:
            if kernel.candidate == scalar:
                return shapes.scalar_module(384, 768, 768)
            return right(kernel, features)

        wasm_trials.module_for = chosen
        try:
            verdict = await trials.answer(Check(text=scalar.text), no_pause)
            assert isinstance(verdict, Verdict), verdict
            assert verdict.error <= verdict.bound
            times = await trials.in_turn([own, FIXED, scalar.text])
        finally:
            wasm_trials.module_for = right
        left, other = np.ones((384, 768), np.float32), np.ones((768, 768), np.float32)
        numpy_ms = []
        for _ in range(ROUNDS):
            start = perf_counter()
            assert (left @ other)[0, 0] == left.shape[1]
            numpy_ms.append(1e3 * (perf_counter() - start))
        return {
            "own": times[own],
            "fixed": times[FIXED],
            "scalar": times[scalar.text],
            "numpy": median(numpy_ms),
        }


def _rules(times: dict[str, float], proposed: set[str]) -> dict[str, float]:
    """What the model did not propose though it beats all that it did, and what 4x8 alone gives."""
    best = min(times.values())
    ours = min(times.get(text, math.inf) for text in proposed)
    others = {text: ms for text, ms in times.items() if text not in proposed}
    paper = min((ms for text, ms in times.items() if " 4x8" in text), default=math.inf)
    return {
        "mispredicted": sum(ms < ours / 1.03 for ms in others.values()),
        "others": len(others),
        "paper": best / paper,
    }


class Wide(WasmTrials):
    """Trials of every tile of every family, and of those that the tuner would try.

    Args:
        bench: Whose engine.
        spec: The shape.
    """

    def __init__(self, bench: Bench, spec: KernelSpec) -> None:
        device = bench.tuner.device
        super().__init__(spec, bench.kernels, device, perf_counter)
        self.spec = spec
        self.texts = [option.text for option in self.options]
        self.proposed = set(self.texts)
        self._device = replace(device, tiles=shapes.TILES, complex_tiles=shapes.TILES)
        for candidate in every_candidate(spec, self._device):
            self.add(candidate.text)
        self.texts = list(dict.fromkeys([*self.texts, *self._ways]))

    def add(
        self, text: str, *, cycles: float | None = None, instead: KernelSpec | None = None
    ) -> None:
        """One more candidate, generated for another spec if one is given."""
        way = jit_schedule(instead or self.spec, Candidate.parse(text), self._device)
        self._ways[text] = way if cycles is None else replace(way, cycles=cycles)

    async def walk(self) -> dict[str, float]:
        """The time of each, as a search judges that never ends early [ms]."""
        everything = [Option(text=text) for text in self.texts]
        search = Search(everything, budget_ms=math.inf, patience=len(everything) + 1)
        while search.request is not None:
            search.take(await self.answer(search.request, no_pause))
        return {
            trial.option.text: trial.ms
            for trial in search.trials
            if trial.ms is not None and trial.state != "failed"
        }

    async def in_turn(self, texts: Sequence[str]) -> dict[str, float]:
        """The best windows of candidates that take turns [ms]."""
        times: dict[str, list[float]] = {text: [] for text in texts}
        for _ in range(ROUNDS):
            for text, found in times.items():
                for number in range(WINDOWS):
                    sample = await self.answer(Window(text=text, first=number == 0), no_pause)
                    assert isinstance(sample, Sample), (text, sample)
                    found.append(sample.ms)
        return {text: min(found) for text, found in times.items()}
