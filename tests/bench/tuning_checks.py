"""What ``bench tuning`` asks of an encoder layer, of every candidate's numbers, and of mistakes."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import tuning_shapes as shapes
from tuning_page import Wide, no_pause

import mutations
from tensorloom.execute.backend import no_pulse
from tensorloom.execute.kernel_store import NoStore
from tensorloom.execute.tuning import Tuner
from tensorloom.tune.database import Entry
from tensorloom.tune.device import CpuFacts
from tensorloom.tune.search import Check, Verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tuning_page import Bench

    from tensorloom.execute.wasm.backend import WasmBackend

__all__ = ["correct", "layer", "mistakes"]

BETWEEN_MS = 120.0
"""Tuning between two runs of the layer [ms]."""

SLOW = "unpacked 1x4"


def fresh_tuner(bench: Bench, **more: Any) -> Tuner:
    """A tuner that knows the device and no kernel."""
    tuner = Tuner(bench.kernels, store=NoStore(), engine="bench", clock=perf_counter, **more)
    tuner.record, tuner._loaded = bench.tuner.record, True
    return tuner


async def layer(bench: Bench) -> dict[str, Any]:
    """An encoder layer that runs while its shapes are tuned."""
    tuner = bench.backend.chooser = fresh_tuner(bench)
    programs = [shapes.program_of(case) for case in shapes.LAYER]
    draw = np.random.default_rng(1)
    operands = [
        [
            draw.standard_normal(buffer.elements).astype(np.float32)
            for buffer in program.buffers
            if buffer.source is not None
        ]
        for program in programs
    ]
    whole = _layer_run(bench.backend, programs, operands)
    # Others never hear of a tuner; the two take turns at the end.
    other = type(bench.backend)(type(bench.kernels.host)())
    untuned = _layer_run(other, programs, operands)
    start = perf_counter()
    curve: list[tuple[float, float]] = []
    shown = start
    for program in programs:
        tuner.observe(program)
        while await tuner.step(no_pause):
            if 1e3 * (perf_counter() - shown) > BETWEEN_MS:
                ms = await whole()
                shown = perf_counter()
                curve.append((shown - start, ms))
    seconds = perf_counter() - start
    turns = [(await untuned(), await whole()) for _ in range(7)]
    before, after = (median(times) for times in zip(*turns, strict=True))
    bench.backend.chooser = None
    return {
        "before": before,
        "after": after,
        "seconds": seconds,
        "tuning": tuner.spent_ms / 1e3,
        "curve": curve,
    }


def _layer_run(
    backend: WasmBackend, programs: list[Any], operands: list[list[Any]]
) -> Callable[[], Awaitable[float]]:
    async def whole() -> float:
        total = 0.0
        for program, arrays, times in zip(programs, operands, shapes.TIMES, strict=True):
            start = perf_counter()
            await backend.run(program, arrays, no_pulse)
            total += times * 1e3 * (perf_counter() - start)
        return total

    return whole


async def correct(bench: Bench) -> dict[str, float]:
    """Every candidate of the whole space on sizes that no tile divides, in every type."""
    checked, wrong, worst = 0, 0, 0.0
    for dtype in ("float32", "float64", "complex64", "complex128"):
        for text in ("ik,kde->ied", "kbi,bkd->dib"):
            sizes = {"i": 37, "k": 61, "d": 11, "e": 5, "b": 3}
            trials = Wide(bench, shapes.spec_of(("", text, sizes, dtype)))
            for candidate in trials.texts:
                verdict = await trials.answer(Check(text=candidate), no_pause)
                assert isinstance(verdict, Verdict), (candidate, verdict)
                checked += 1
                wrong += not verdict.error <= verdict.bound
                worst = max(worst, verdict.error / verdict.bound)
    return {"checked": checked, "wrong": wrong, "worst": worst}


async def mistakes(bench: Bench) -> dict[str, Any]:
    """Each mistake and what became of it."""
    desktop = CpuFacts(vector_registers=16, l1_bytes=32_768)
    return {
        "without registers": mutations.survivors_without_registers(desktop),
        "by area": mutations.survivors_by_area(desktop),
        "thrown out": {name: await _thrown_out(bench, name) for name in mutations.KERNELS},
        "offsets": await _offsets(bench),
        **await _unwarmed(bench),
        "replaced": await _replaced(bench),
    }


async def _thrown_out(bench: Bench, name: str) -> tuple[int, int]:
    """How many of the proposed kernels failed their check with a mistake in them."""
    sizes = {"i": 37, "k": 61, "d": 7, "e": 7}
    spec = shapes.spec_of(("", "ik,kde->ied", sizes, "float32"))
    trials = Wide(bench, spec)
    texts = [text for text in trials.proposed if not text.startswith("generic")]
    noticed = 0
    for text in texts:
        trials.add(text, instead=mutations.KERNELS[name](spec))
        verdict = await trials.answer(Check(text=text), no_pause)
        noticed += not (isinstance(verdict, Verdict) and verdict.error <= verdict.bound)
    return noticed, len(texts)


async def _offsets(bench: Bench) -> float:
    """How many times as long the tuned square takes when offsets are added at run time."""
    trials = Wide(bench, shapes.spec_of(shapes.case_of("square")))
    own = await bench.best_of(trials.spec)
    ratios = []
    for _ in range(3):
        right = (await trials.in_turn([own]))[own]
        trials._loaded = None
        with mutations.added_offsets():
            ratios.append((await trials.in_turn([own]))[own] / right)
        trials._loaded = None
    return median(ratios)


async def _unwarmed(bench: Bench) -> dict[str, float]:
    """The first run of each kernel beside its settled time, and what choosing by it costs."""
    # Nobody compiled these before: engines keep what they have made better.
    sizes = {"i": 251, "k": 253, "j": 255}
    trials = Wide(bench, shapes.spec_of(("", "ik,kj->ij", sizes, "float32")))
    first = {}
    for text in trials.proposed:
        loaded = trials._load(text)
        start = perf_counter()
        loaded.run_part(1)
        first[text] = 1e3 * (perf_counter() - start) / loaded.share
    settled = await trials.in_turn(list(trials.proposed))
    chosen = min(first, key=lambda text: first[text])
    return {
        "first": median(first[text] / settled[text] for text in first),
        "choice": settled[chosen] / min(settled.values()),
    }


async def _replaced(bench: Bench) -> dict[str, Any]:
    """What becomes of a slow kernel that an imported database praises."""
    tuner = fresh_tuner(bench)
    spec = shapes.spec_of(shapes.case_of("square"))
    key = tuner.key(spec, "wasm")
    tuner.database.merge([(key, Entry(candidate=SLOW, gflops=9999.0))])
    await tuner.best(spec, no_pause)
    entry = tuner.database.get(key)
    assert entry is not None
    return {"now": entry.candidate, "trusted": entry.trusted, "gflops": entry.gflops}
