"""Submissions to a GPU are cut where they get long, by what each step should take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pytest

from tensorloom.execute.backend import drive
from tensorloom.execute.calibration import Rates
from tensorloom.execute.gpu.backend import WebGpuBackend
from tensorloom.execute.gpu.device import limits_for
from tensorloom.kernels.gpu.limits import GpuSpeeds
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.kernels.gpu.plan import GpuPlan
    from tensorloom.kernels.program import KernelSpec, Program

SIZE, STEPS = 100_000, 12
RATES = Rates(
    run_ms=0.0,
    dispatch_ms=0.0,
    bytes_per_ms=1e6,
    mul_adds_per_ms=(
        ("float32", "matrix", 1e7),
        ("float32", "thin", 1e6),
        ("float32", "stream", 1e4),
    ),
)


class Device:
    """Runs nothing and keeps what it was asked to."""

    description = "A device that runs nothing"
    is_software = True
    limit_bytes = max_buffer_bytes = 1 << 30
    limits = limits_for(
        software=True,
        threads=256,
        workgroup_bytes=1 << 14,
        subgroup=0,
        half=False,
        matrices=False,
        speeds=GpuSpeeds(),
    )

    def __init__(self) -> None:
        self.submitted: list[tuple[int, int, bool]] = []
        self.slots = 0

    async def load(self, plan: GpuPlan) -> int:
        self.slots = plan.places.n_slots
        return 0

    def upload(self, handle: int, number: int, array: NDArray[Any]) -> None: ...

    def constants(self, handle: int, packed: bytes) -> None: ...

    def begin(self, handle: int) -> None: ...

    async def submit(self, _handle: int, first: int, last: int, *, wait: bool) -> None:
        self.submitted.append((first, last, wait))

    async def read(
        self, _handle: int, wanted: list[tuple[int, NDArray[Any]]]
    ) -> NDArray[np.uint32]:
        for _, out in wanted:
            out[...] = 0
        return np.zeros(self.slots, np.uint32)


def products() -> Program:
    """Elementwise products, one after the other: each is a stream of 10^5 multiply-adds."""
    tree = ContractionTree(
        inputs=(("i",),) * (STEPS + 1),
        output=("i",),
        dimensions=(("i", SIZE),),
        path=((0, 1), *((STEPS + step, step + 1) for step in range(1, STEPS))),
    )
    return lower(tree, "float32")


def submitted(backend: WebGpuBackend, device: Device) -> tuple[list[Any], list[int]]:
    told: list[int] = []

    async def pulse(done: int, _slices: object = None) -> None:
        told.append(done)

    device.submitted.clear()
    arrays = [np.ones(SIZE, np.float32)] * (STEPS + 1)
    assert drive(backend.run(products(), arrays, pulse)).value.shape == (SIZE,)
    return device.submitted, told


def test_streams_are_cut_by_their_own_rate() -> None:
    """Each step takes 10 ms; by the rate of matrices all of them would, and nobody could stop."""
    device = Device()
    backend = WebGpuBackend(cast("GpuDevice", device), RATES)
    calls, told = submitted(backend, device)
    assert calls == [(0, 4, True), (4, 8, True), (8, 12, False)]
    assert told == [4 * SIZE, 8 * SIZE, 12 * SIZE]


@pytest.mark.parametrize(("known_ms", "expected"), [(1.0, 1), (20.0, 6)])
def test_a_measured_kernel_brings_its_own_time(known_ms: float, expected: int) -> None:
    class Known:
        revision = 1

        def known_ms(self, _spec: KernelSpec, _backend: Literal["webgpu"], /) -> float:
            return known_ms

    device = Device()
    backend = WebGpuBackend(cast("GpuDevice", device), RATES)
    backend.tuner = Known()
    calls, _ = submitted(backend, device)
    assert len(calls) == expected
