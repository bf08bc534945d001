"""The processor's record, measured in wasmtime: complete, in small steps, whatever the clock."""

from __future__ import annotations

from itertools import count
from time import perf_counter
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
from tensorloom.kernels.wasm.layout import RECORD_FIELDS
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


def measured(
    clock: Callable[[], float], *, relaxed: bool, pages: int = 1 << 15
) -> tuple[CpuFacts, tuple[Curve, ...]]:
    host = WasmtimeHost(relaxed_simd=relaxed, pages=pages)
    steps = measured_cpu(WasmKernels(host), clock)
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
    assert {curve.name: len(curve.points) for curve in curves}["bandwidth"] == len(COPY_BYTES) + 1
    assert facts.peak_gflops is not None
    assert facts.peak_gflops >= max(rate for _, _, rate in facts.tiles)


def test_memory_is_no_faster_than_a_cache() -> None:
    facts, _ = measured(perf_counter, relaxed=True)
    assert facts.bytes_per_ms is not None
    assert facts.cached_bytes_per_ms is not None
    # Less than 1 GB/s no machine has; once a copy in the cache was taken for memory.
    assert 1e6 < facts.bytes_per_ms < 2 * facts.cached_bytes_per_ms


def test_without_room_the_speed_of_memory_stays_unknown() -> None:
    facts, curves = measured(ticking(0.01), relaxed=True, pages=1 << 11)
    assert facts.bytes_per_ms is None
    assert facts.cached_bytes_per_ms is not None
    assert {curve.name: len(curve.points) for curve in curves}["bandwidth"] == len(COPY_BYTES)


class Machine(WasmKernels):
    """Every repetition takes a tenth of a millisecond, which a coarse clock shows late."""

    def __init__(self, tick_ms: float) -> None:
        super().__init__(WasmtimeHost(pages=1 << 11))
        self.ms = 0.0
        self._tick_ms = tick_ms
        self._looks = 0

    def clock(self) -> float:
        self._looks += 1
        if self._looks <= LOOKS:
            return 1e-3 * self._tick_ms * (self._looks // 100)
        return 1e-3 * (50 + self.ms // self._tick_ms) * self._tick_ms

    def run(self, records: int, first: int, last: int, low: float, high: float) -> int:
        assert isinstance(self.host, WasmtimeHost)
        self.ms += 0.1 * self.host.word(records + RECORD_FIELDS["row_stop"])
        return last - first + int(low > high)


@pytest.mark.parametrize("tick_ms", [0.1, 1.0])
def test_no_step_takes_long_whatever_the_clock_shows(tick_ms: float) -> None:
    machine, longest = Machine(tick_ms), 0.0
    before = machine.ms
    for _ in measured_cpu(machine, machine.clock):
        longest = max(longest, machine.ms - before)
        before = machine.ms
    assert 1 < longest < 30


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
