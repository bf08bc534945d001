"""The processor's record, measured in wasmtime: complete, in small steps, whatever the clock."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from tensorloom.execute.microbench import (
    COPY_BYTES,
    LATENCY_KIB,
    TILES,
    _cycle,
    clock_tick_ms,
    measured_cpu,
)
from tensorloom.execute.wasm.kernels import WasmKernels
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from collections.abc import Callable

    from tensorloom.tune.device import CpuFacts, Curve


LOOKS = 2000


def ticking(step: float, fine: float = 1e-6) -> Callable[[], float]:
    """A clock that moves by a little while it is looked at, then by as much for every run."""
    looks = count()

    def clock() -> float:
        look = next(looks)
        return fine * look if look < LOOKS else step * look

    return clock


def measured(clock: Callable[[], float], *, relaxed: bool) -> tuple[CpuFacts, tuple[Curve, ...]]:
    steps = measured_cpu(WasmKernels(WasmtimeHost(relaxed_simd=relaxed)), clock)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


@pytest.mark.parametrize("relaxed", [True, False])
def test_a_record_is_complete_and_honest_about_what_shows_no_knee(*, relaxed: bool) -> None:
    # Every run seems to take 10 ms, however much it does: no curve has a bend.
    facts, curves = measured(ticking(0.01), relaxed=relaxed)
    assert facts.relaxed_simd is relaxed
    assert len(facts.tiles) == len(TILES)
    assert facts.l1_bytes is facts.l2_bytes is None
    assert {curve.name: len(curve.points) for curve in curves}["latency"] == len(LATENCY_KIB)
    assert {curve.name: len(curve.points) for curve in curves}["bandwidth"] == len(COPY_BYTES)
    assert facts.peak_gflops is not None
    assert facts.peak_gflops >= max(rate for _, _, rate in facts.tiles)


@pytest.mark.parametrize("n", [1, 2, 64, 1000])
def test_a_chain_visits_every_line_once(n: int) -> None:
    following = _cycle(n)
    at, seen = 0, []
    for _ in range(n):
        seen.append(at)
        at = int(following[at])
    assert at == 0
    assert sorted(seen) == list(range(n))


def test_the_tick_of_a_clock() -> None:
    assert clock_tick_ms(ticking(0)) == pytest.approx(1e-3)
    assert clock_tick_ms(lambda: 5.0) == 1.0
