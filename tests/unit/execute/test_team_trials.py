"""What threads gain: an engine that only counts runs and says how long they took."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from tensorloom.errors import Cancelled
from tensorloom.execute.backend import drive
from tensorloom.execute.wasm.team_trials import LEAST_FLOP, TURNS, TeamTrials, fits
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.element import WasmFeatures
from tensorloom.kernels.wasm.schedule import schedule
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Callable

    from tensorloom.execute.wasm.page_engine import PageEngine
    from tensorloom.kernels.program import KernelSpec
    from tensorloom.kernels.wasm.compiled import Compiled


def spec_of(side: int) -> KernelSpec:
    tree = ContractionTree(
        inputs=(("i", "k"), ("k", "j")),
        output=("i", "j"),
        dimensions=(("i", side), ("j", side), ("k", side)),
        path=((0, 1),),
    )
    return lower(tree, "float32").kernels[0]


class Engine:
    """Runs take as long as ``ms`` says for so many threads at the so-manieth window.

    Args:
        ms: From threads and number of the window, warming included.
    """

    most_threads = 2

    def __init__(self, ms: Callable[[int, int], float]) -> None:
        self.ms = ms
        self.live = 0
        self.windows = {1: 0, 2: 0}

    async def load(self, compiled: Compiled) -> Loaded:
        self.live += 1
        return Loaded(self, compiled)


class Loaded:
    def __init__(self, engine: Engine, compiled: Compiled) -> None:
        self.engine, self.compiled = engine, compiled
        self.written = 0

    def write(self, number: int, array: Any) -> None:
        assert array.size == self.compiled.elements[number]
        assert np.isfinite(array).all()
        self.written += 1

    def spent_ms(self, runs: int) -> float:
        assert self.written == self.compiled.inputs
        threads = self.compiled.threads
        self.engine.windows[threads] += 1
        return runs * self.engine.ms(threads, self.engine.windows[threads])

    def release(self) -> None:
        self.engine.live -= 1


def trials(engine: Engine) -> TeamTrials:
    return TeamTrials(cast("PageEngine", engine), WasmFeatures())


def gain(engine: Engine, side: int = 256) -> float:
    spec = spec_of(side)
    way = schedule(spec, relaxed=True)
    return asyncio.run(trials(engine).gain(spec, way, _nothing, 2))


async def _nothing() -> None:
    pass


def test_a_clear_gain_is_seen_at_once() -> None:
    few = Engine(lambda threads, _: 1.0 / threads)
    assert gain(few) == pytest.approx(2)
    assert few.live == 0
    doubtful = Engine(lambda threads, _: 1.0 if threads == 1 else 0.78)
    assert gain(doubtful) == pytest.approx(1 / 0.78)
    # Runs of 1 ms take the same warming; what is less clear takes the rest of the turns.
    assert doubtful.windows[2] - few.windows[2] >= TURNS - 2 - 1


def test_a_loss_is_looked_at_again_until_the_processors_are_free() -> None:
    busy_until = 9
    engine = Engine(lambda threads, at: 0.5 if threads == 2 and at > busy_until else 1.0)
    assert gain(engine) == pytest.approx(2)
    never = Engine(lambda threads, _: 1.0 if threads == 1 else 1.25)
    assert gain(never) == pytest.approx(0.8)
    assert never.live == 0


def test_no_gain_is_larger_than_the_threads_explain() -> None:
    """Whoever held up the kernel alone at each turn made it look three times as slow."""
    assert gain(Engine(lambda threads, _at: 3.0 if threads == 1 else 0.6)) == 2


def test_what_is_not_shared_out_is_not_run() -> None:
    engine = Engine(lambda _threads, _at: 1.0)
    spec = spec_of(32)
    assert 2 * spec.mul_adds < LEAST_FLOP
    assert gain(engine, 32) == 1
    assert engine.windows == {1: 0, 2: 0}


def test_who_wants_something_ends_it_and_nothing_stays() -> None:
    engine, spec = Engine(lambda _threads, _at: 1.0), spec_of(256)
    looks = 0

    async def pause() -> None:
        nonlocal looks
        looks += 1
        if looks == 5:
            raise Cancelled("superseded", "Somebody wants something.")

    way = schedule(spec, relaxed=True)
    with pytest.raises(Cancelled):
        drive(trials(engine).gain(spec, way, pause, 2))
    assert engine.live == 0


def test_large_operands_are_not_made_twice() -> None:
    assert fits(spec_of(1024))
    assert not fits(spec_of(8192))
