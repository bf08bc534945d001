"""The GPU's part of the device record, measured in small steps.

    async for found in measured_gpu(device, clock):
        ...                     # None after each step; facts and curves at the end

A step is one shader compiled and timed for some 20 ms. What a device refuses, such as buffers of
this size, leaves its number unknown; only a lost device ends it all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.assets import templates
from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.known_device import gpu_facts
from tensorloom.kernels.gpu import micro
from tensorloom.tune.device import Curve
from tensorloom.tune.inference import saturation

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Hashable

    from numpy.typing import NDArray

    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.kernels.gpu.plan import GpuPlan
    from tensorloom.tune.device import GpuFacts

    Points = list[tuple[float, float]]
    Found = tuple[GpuFacts, tuple[Curve, ...]]

__all__ = ["measured_gpu"]

CHAINS = (1, 2, 4, 8, 16)
"""Sums of four numbers side by side: few leave a GPU waiting for itself, many do not fit."""

SPILLED = 0.9
"""Sums that are slower than this share of the fastest do not fit in registers."""

THREADS = (16, 32, 64, 128, 256, 512, 1024)
USUAL_THREADS = 64

INVOCATIONS = 1 << 14
"""Of a dispatch while threads vary; enough to keep large GPUs at work, short on simulated ones."""

MOST_GROUPS = 8192

FIRST_TURNS, MOST_STEP = 8, 8
DISPATCH_MS = 1.0
"""A dispatch that takes this long hides what dispatching costs."""

MIB = 1 << 20
COPIED_BYTES = (MIB >> 4, MIB >> 2, MIB, 4 * MIB, 16 * MIB)
FAR_BYTES, FAR_BYTES_SIMULATED = 128 * MIB, 32 * MIB
"""Twice this is more than the caches of most; where a CPU simulates, its memory is the page's."""

TRANSFER_BYTES = 8 * MIB
TRANSFERS = 3

WINDOW_MS, WINDOWS, LOOKS = 6.0, 3, 2
"""Long beside what a submission costs and the 0.1 ms that browsers round clocks to. Others may work
beside it, so the best counts, and a curve is looked at twice, at different times."""

MOST_TIMES, MOST_MORE, LEAST_MS = 4096, 16, 0.05

NO_GAIN = 1.02
"""Twice as many workgroups that bring less than this twice in a row: more will bring nothing."""


async def measured_gpu(
    device: GpuDevice, clock: Callable[[], float]
) -> AsyncGenerator[Found | None, None]:
    """``None`` after each step, at last facts and curves.

    Args:
        device: Where.
        clock: Seconds.

    Raises:
        DeviceLost: It went away.
    """
    bench = _Bench(device, clock)
    speeds, threads, groups, copies = _Best(), _Best(), _Best(), _Best()
    few = [count for count in THREADS if count <= device.limits.workgroup_threads]
    far = FAR_BYTES_SIMULATED if device.is_software else FAR_BYTES
    far = min(far, device.max_buffer_bytes // micro.GROUP_BYTES * micro.GROUP_BYTES)
    sizes = [*(size for size in COPIED_BYTES if size < far), far]
    for look in range(LOOKS):
        # Where a CPU simulates, no rule asks what registers hold.
        for chains in () if look and device.is_software else CHAINS:
            speeds.take(chains, await bench.gflops(_Form(chains=chains)))
            yield None
        chains = int(max(speeds.points, key=lambda point: point[1])[0])
        for count in few:
            threads.take(count, await bench.gflops(_Form(chains=chains, threads=count)))
            yield None
        count = 1
        while count <= groups.last if look else count <= MOST_GROUPS and not groups.is_flat:
            form = _Form(chains=chains, invocations=USUAL_THREADS * count)
            groups.take(count, await bench.gflops(form))
            count *= 2
            yield None
        for size in sizes:
            copies.take(size, await bench.copied(size))
            yield None
    read = await bench.read(far)
    yield None
    again = [0.0, 0.0]
    # Barriers take a simulated GPU seconds to compile, and its kernels do without.
    for shared in () if device.is_software else (False, True):
        again[shared] = await bench.again(shared=shared, threads=USUAL_THREADS)
        yield None
    least_ms = await bench.least_ms()
    yield None
    up, down = await bench.transferred()
    yield None
    facts = replace(
        gpu_facts(device),
        peak_gflops=max(*speeds.rates, *threads.rates, *groups.rates) or None,
        bytes_per_ms=max(read, copies.rates[-1]) or None,
        workgroup=_whole(saturation(threads.known).at),
        groups=_whole(saturation(groups.known).at),
        upload_bytes_per_ms=up or None,
        readback_bytes_per_ms=down or None,
        sums=_fitting(speeds.points),
        cached_bytes_per_ms=again[False] or None,
        shared_bytes_per_ms=again[True] or None,
        dispatch_ms=least_ms or None,
    )
    yield facts, _curves(threads.known, groups.known, copies.known)


class _Best:
    """Points of a curve, each at its best look: others may have worked beside one of them."""

    def __init__(self) -> None:
        self._rates: dict[float, float] = {}

    def take(self, at: float, rate: float) -> None:
        self._rates[at] = max(rate, self._rates.get(at, 0.0))

    @property
    def points(self) -> Points:
        return list(self._rates.items())

    @property
    def rates(self) -> list[float]:
        return list(self._rates.values())

    @property
    def last(self) -> float:
        """The largest that was tried."""
        return max(self._rates)

    @property
    def known(self) -> Points:
        """Without what the device refused."""
        return [point for point in self.points if point[1]]

    @property
    def is_flat(self) -> bool:
        """Whether the last two brought nothing."""
        rates = self.rates
        return len(rates) > _FEWEST and max(rates[-2:]) < NO_GAIN * max(rates[:-2])


_FEWEST = 4


def _fitting(speeds: Points) -> int | None:
    """Sums that fit in registers: as many as are about as fast as the fastest."""
    best = max(rate for _, rate in speeds)
    fast = [chains for chains, rate in speeds if rate >= SPILLED * best > 0]
    return 4 * int(max(fast)) if fast else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _curves(threads: Points, groups: Points, copies: Points) -> tuple[Curve, ...]:
    found = []
    for name, x, y, points, bends in (
        ("workgroup", "threads of a workgroup", "GFLOP/s", threads, True),
        ("gpu-load", "workgroups at once", "GFLOP/s", groups, True),
        ("gpu-copy", "bytes", "bytes/ms", copies, False),
    ):
        knee = saturation(points) if bends else None
        if points:
            found.append(
                Curve(
                    name=name,  # type: ignore[arg-type]  # a name from the table above
                    x=x,
                    y=y,
                    points=tuple(points),
                    knee=knee.at if knee else None,
                    confidence=knee.confidence if knee else 0.0,
                )
            )
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """How the arithmetic is laid out."""

    chains: int
    threads: int = USUAL_THREADS
    invocations: int = INVOCATIONS

    @property
    def groups(self) -> int:
        return max(1, self.invocations // self.threads)


class _Bench:
    """Runs one micro-benchmark at a time; 0 stands for what the device refused."""

    def __init__(self, device: GpuDevice, clock: Callable[[], float]) -> None:
        self._device = device
        self._clock = clock
        self._turns: dict[Hashable, int] = {}

    async def gflops(self, form: _Form) -> float:
        """Speed of arithmetic in registers [GFLOP/s]."""
        layout = {"chains": form.chains, "threads": form.threads, "groups": form.groups}
        plan = micro.arithmetic(templates(), **layout)
        # The sums stay near 1, far from numbers that are slow; no sum of them is below zero.
        given = np.array([0.5, 0.5, -1.0, 0.0], np.float32)
        found = await self._turned(plan, given, form)
        return micro.arithmetic_flop(**layout, turns=1) * found / 1e6

    async def again(self, *, shared: bool, threads: int) -> float:
        """Bytes read again per ms, from workgroup memory or through the caches."""
        layout = {"threads": threads, "groups": INVOCATIONS // threads}
        plan = micro.again(templates(), shared=shared, **layout)
        given = np.zeros(micro.AGAIN_NUMBERS, np.float32)
        return micro.again_bytes(**layout, turns=1) * await self._turned(plan, given, shared)

    async def _turned(self, plan: GpuPlan, given: NDArray[Any], form: Hashable) -> float:
        """Turns per ms of a loop that takes their number with the call."""
        try:
            handle = await self._device.load(plan)
        except UnsupportedKernel:
            return 0.0
        try:
            self._device.upload(handle, 0, given)
            turns = self._turns.get(form, FIRST_TURNS)
            while True:
                self._device.constants(handle, plan.constants([(turns, 0)]))
                ms = await self._device.timed(handle, 1)
                if ms >= DISPATCH_MS or turns >= micro.MOST_TURNS:
                    break
                more = min(MOST_STEP, max(2, int(1.5 * DISPATCH_MS / max(ms, 1e-3))))
                turns = min(micro.MOST_TURNS, more * turns)
            self._turns[form] = turns
            ms = await self._each_ms(handle)
        finally:
            self._device.unload(handle)
        return turns / ms

    async def copied(self, size: int) -> float:
        """Bytes read and written per ms."""
        return 4 * size / await self._moved(micro.copying(templates(), size))

    async def read(self, size: int) -> float:
        """Bytes read per ms."""
        return size / await self._moved(micro.reading(templates(), size))

    async def least_ms(self) -> float:
        """What a call costs that does next to nothing; 0 where the device refuses [ms]."""
        ms = await self._moved(micro.copying(templates(), micro.GROUP_BYTES)) / 2
        return ms if isfinite(ms) else 0.0

    async def _moved(self, plan: GpuPlan) -> float:
        """Duration of one run; endless where the device refuses the buffers [ms]."""
        try:
            handle = await self._device.load(plan)
        except UnsupportedKernel:
            return float("inf")
        try:
            self._device.constants(handle, plan.constants([(0, 0)] * len(plan.calls)))
            return await self._each_ms(handle)
        finally:
            self._device.unload(handle)

    async def _each_ms(self, handle: int) -> float:
        """Duration of one of many runs in one submission, at its best [ms]."""
        times = 1
        while True:
            spent = await self._device.timed(handle, times)
            if spent >= WINDOW_MS or times >= MOST_TIMES:
                break
            more = max(2, ceil(1.2 * WINDOW_MS / max(spent, LEAST_MS)))
            times = min(MOST_TIMES, min(more, MOST_MORE) * times)
        found = [spent] + [await self._device.timed(handle, times) for _ in range(WINDOWS - 1)]
        return max(min(found), LEAST_MS) / times

    async def transferred(self) -> tuple[float, float]:
        """Bytes per ms to the device and back, with waiting for it."""
        size = min(TRANSFER_BYTES, self._device.max_buffer_bytes)
        size = size // micro.GROUP_BYTES * micro.GROUP_BYTES
        plan = micro.copying(templates(), size)
        array = np.zeros(size // 4, np.float32)
        try:
            handle = await self._device.load(plan)
        except UnsupportedKernel:
            return 0.0, 0.0
        ups, downs = [], []
        try:
            self._device.constants(handle, plan.constants([(0, 0)] * len(plan.calls)))
            await self._device.submit(handle, 0, 0, wait=True)
            for _ in range(TRANSFERS):
                start = self._clock()
                self._device.upload(handle, 0, array)
                await self._device.submit(handle, 0, 0, wait=True)
                middle = self._clock()
                await self._device.read(handle, [(1, array)])
                ups.append(1e3 * (middle - start))
                downs.append(1e3 * (self._clock() - middle))
        finally:
            self._device.unload(handle)
        return size / max(min(ups), 1e-3), size / max(min(downs), 1e-3)
