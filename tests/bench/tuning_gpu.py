"""What ``bench tuning`` measures of a GPU in the page: networks, compiling, the whole space."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import tuning_shapes as shapes
from tuning_checks import fresh_tuner
from tuning_page import no_pause

from tensorloom.errors import TensorloomError
from tensorloom.execute.gpu.trial import try_kernel
from tensorloom.execute.gpu.trials import GpuTrials
from tensorloom.kernels.gpu.candidate import GpuCandidate
from tensorloom.kernels.gpu.space import survey
from tensorloom.tune.search import Check, Sample, Verdict, Window

if TYPE_CHECKING:
    from tuning_page import Bench

    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.kernels.program import KernelSpec

__all__ = ["compiling", "networks", "whole_space"]

CUBE = 224


def cube(side: int) -> KernelSpec:
    """A square product in single precision."""
    return shapes.spec_of(("", "ik,kj->ij", {"i": side, "k": side, "j": side}, "float32"))


async def networks(bench: Bench, gpu: GpuDevice) -> list[dict[str, Any]]:
    """All distinct shapes of each network tuned."""
    rows = []
    for name in shapes.NETWORKS:
        tuner = fresh_tuner(bench, gpu=gpu)
        program = shapes.network(name)
        tuner.observe(program, "webgpu")
        waiting = [spec for place, spec in tuner._waiting if place == "webgpu"]
        start = perf_counter()
        # Shapes only: when none is left, a tuner goes on to measure the GPU itself.
        while tuner._waiting or tuner._current:
            await tuner.step(no_pause)
        found = [tuner.shape(spec, "webgpu") for spec in waiting]
        rows.append(
            {
                "name": name,
                "seconds": perf_counter() - start,
                "shapes": len(waiting),
                # Tried itself, or of the class of one that was.
                "settled": sum(tuner.candidate_for(spec) is not None for spec in waiting),
                "tried": sum(
                    trial.state in ("measured", "best", "failed")
                    for shape in found
                    if shape is not None
                    for trial in shape.trials
                ),
                "failed": len(tuner.report),
            }
        )
    return rows


async def compiling(gpu: GpuDevice) -> dict[str, Any]:
    """From text to pipeline, of what is proposed for a cube, cold and again [ms]."""
    spec = cube(CUBE - 5)
    cold: dict[str, float] = {}
    warm = []
    for verdict in survey(spec, gpu.limits):
        if not verdict.cut:
            times = [
                (await try_kernel(gpu, spec, verdict.candidate, clock=perf_counter)).compile_ms
                for _ in range(2)
            ]
            cold[verdict.candidate.text] = times[0]
            warm.append(times[1])
    slowest = max(cold, key=lambda text: cold[text])
    return {
        "cold": median(cold.values()),
        "warm": median(warm),
        "count": len(cold),
        "most": cold[slowest],
        "slowest": slowest,
    }


async def whole_space(bench: Bench, gpu: GpuDevice, seconds: float) -> dict[str, Any]:
    """The tuner's choice for a cube beside everything that the device can run."""
    spec = cube(CUBE)
    tuner = fresh_tuner(bench, gpu=gpu)
    shape = await tuner.best(spec, no_pause, "webgpu")
    assert shape.best is not None
    own = shape.best.option.text
    trials = GpuTrials(spec, gpu, perf_counter)
    able = [verdict for verdict in survey(spec, gpu.limits) if not verdict.by_limit]
    # With barriers some take a simulated GPU half a minute to compile.
    walked = [one for one in able if one.candidate.family not in ("shared", "matrix")]
    times: dict[str, float] = {}
    wrong = failed = 0
    start = perf_counter()
    for verdict in walked if gpu.is_software else able:
        if perf_counter() - start > seconds:
            break
        text = verdict.candidate.text
        sample = await trials.answer(Window(text=text, first=True), no_pause)
        if not isinstance(sample, Sample):
            failed += 1
            continue
        times[text] = sample.ms
        right = await trials.answer(Check(text=text), no_pause)
        wrong += not (isinstance(right, Verdict) and right.error <= right.bound)
    leaders = sorted(times, key=lambda text: times[text])[:3]
    settled = await _in_turn(gpu, spec, list(dict.fromkeys([own, *leaders])))
    best = min(settled, key=lambda text: settled[text])
    cut = {verdict.candidate.text for verdict in able if verdict.cut}
    return {
        "own": own,
        "best": best,
        "share": settled[best] / settled[own],
        "tuned": shape.spent_ms / 1e3,
        "walked": len(times),
        "able": len(able),
        "failed": failed,
        "wrong": wrong,
        "mispredicted": sum(times[text] < settled[own] / 1.03 for text in cut & set(times)),
        "cut": len(cut & set(times)),
    }


async def _in_turn(gpu: GpuDevice, spec: KernelSpec, texts: list[str]) -> dict[str, float]:
    """The best windows of candidates that take turns [ms]."""
    found: dict[str, list[float]] = {text: [] for text in texts}
    for _ in range(3):
        for text, times in found.items():
            try:
                trial = await try_kernel(gpu, spec, GpuCandidate.parse(text), clock=perf_counter)
            except TensorloomError:
                continue
            times.append(trial.ms)
    return {text: min(times) for text, times in found.items() if times}
