"""Jobs with the project's own kernels: numpy's numbers, the same bits again, clear refusals."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from dask_jobs import SLICED, Stop, crash_after, request_of, ring, run, sliced_request, wanted
from memory_ledger import MemoryLedger

from random_networks import (
    assert_close,
    equation,
    random_arrays,
    random_tree,
    reference,
    tolerance,
)
from tensorloom.errors import (
    DeviceLost,
    PlanError,
    UnsupportedKernel,
    WorkerRejected,
    WorkerUnreachable,
)
from tensorloom.execute.calibration import Rates
from tensorloom.execute.casting import cast_arrays
from tensorloom.execute.scaling import finished
from tensorloom.kernels.gpu.limits import GpuLimits
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree
from tensorloom_worker.execution import costs
from tensorloom_worker.execution import gpu as worker_gpu
from tensorloom_worker.execution import tasks as worker_tasks
from tensorloom_worker.execution.contractors import Contractors, GpuContractor
from tensorloom_worker.execution.gpu import Adapter, GpuRunner
from tensorloom_worker.execution.gpu_costs import (
    GpuRates,
    device_bytes,
    gpu_strategy,
    slice_ms,
    wall_ms,
)
from tensorloom_worker.execution.planning import Patience
from tensorloom_worker.execution.pool import Pool
from tensorloom_worker.execution.problem import Problem
from tensorloom_worker.execution.rates import Measurements
from tensorloom_worker.execution.runner import Runner, Shared, assembled
from tensorloom_worker.execution.sums import Sum
from tensorloom_worker.execution.trees import given_tree
from tensorloom_worker.ledger import ArrayRef
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from conftest import Cluster
    from tensorloom.execute.gpu.native import NativeGpu
    from tensorloom.model.recipe import DType
    from tensorloom_worker.execution.strategy import Strategy
    from tensorloom_worker.records import PlanJson

pytestmark = pytest.mark.gpu


async def looked(contractors: Contractors) -> None:
    assert contractors._looking is not None
    await contractors._looking


@pytest.fixture
def gpu(cluster: Cluster) -> Cluster:
    """The cluster, whose workers have an adapter; skipped with the reason where they have none."""
    contractors = cluster.executor._contractors
    cluster.do(looked(contractors))
    if "wgpu" not in contractors.names:
        pytest.skip(contractors.missing["wgpu"])
    return cluster


@pytest.fixture
def device() -> None:
    """A device in this process; skipped with the reason where there is no adapter."""
    found = worker_gpu.look()
    if isinstance(found, str):
        pytest.skip(found)


# Jobs.


@pytest.mark.parametrize("output", [(), ("i2", "x1"), ("x0", "i3")], ids=str)
def test_a_job_gives_what_numpy_gives(
    gpu: Cluster, many_tasks: None, output: tuple[str, ...]
) -> None:
    document = ring(8, 4, output=output)
    request = sliced_request(document, *SLICED, dtype="float32", backend="wgpu")
    ledger = MemoryLedger()
    found = run(gpu, request, ledger)
    exact = wanted(document)
    assert found.backend == "wgpu"
    assert found.array.dtype == np.float32
    assert np.abs(found.array - exact).max() <= found.error_bound * np.abs(exact).max()
    assert 0 < found.error_bound < 1e-3
    assert ledger.fixed is not None
    assert ledger.fixed.tasks > 10
    assert set(ledger.times.values()) == {1}


@pytest.mark.parametrize("output", [(), ("i2", "x1"), ("x0", "i3")], ids=str)
def test_complex_numbers_too(
    gpu: Cluster, many_tasks: None, tmp_path: Path, output: tuple[str, ...]
) -> None:
    document = ring(8, 4, output=output)
    name = document.network.tensors[1].id
    generator = np.random.default_rng(4)
    np.save(tmp_path / "a.npy", generator.normal(size=(4, 4, 4, 2)) @ np.array([1, 1j]))
    ref = ArrayRef(path=tmp_path / "a.npy", key=None, sha256="a" * 64)
    more: dict[str, Any] = {"arrays": {name: {"sha256": ref.sha256}}}
    single = sliced_request(document, *SLICED, dtype="complex64", backend="wgpu", **more)
    double = sliced_request(document, *SLICED, dtype="complex128", **more)
    found = run(gpu, single, arrays={name: ref})
    exact = run(gpu, double, arrays={name: ref}).array
    assert found.array.dtype == np.complex64
    assert np.abs(exact.imag).max() > 0
    assert np.abs(found.array - exact).max() <= found.error_bound * np.abs(exact).max()


@pytest.mark.parametrize("count", [1, 7, 23])
def test_a_resumed_job_gives_the_same_bits(
    gpu: Cluster,
    start: Callable[..., Cluster],
    elsewhere: str,
    many_tasks: None,
    count: int,
) -> None:
    document = ring(8, 4, output=("i2",))
    request = sliced_request(document, *SLICED, dtype="complex64", backend="wgpu")
    undisturbed = run(gpu, request)
    ledger = crash_after(count)
    with pytest.raises(Stop):
        run(gpu, request, ledger)
    ledger._recorded = lambda _: None
    # Another number of workers goes on with what is recorded.
    other = start(scheduler=elsewhere) if count == 7 else gpu
    again = run(other, request, ledger)
    assert again.array.tobytes() == undisturbed.array.tobytes()
    assert set(ledger.times.values()) == {1}
    assert ledger.fixed is not None
    assert len(ledger.times) == ledger.fixed.tasks


def test_an_estimate_speaks_of_the_device(gpu: Cluster) -> None:
    document = ring(8, 8)
    request = request_of(document, dtype="float32", backend="wgpu")
    whole = gpu.do(gpu.executor.estimate(request))
    small = gpu.do(gpu.executor.estimate(request.model_copy(update={"memory_bytes": 60_000})))
    assert whole.fits
    assert whole.basis == small.basis == "calibrated"
    assert whole.slices == 1
    assert small.fits
    assert small.slices > 1
    assert small.peak_bytes_per_worker <= 60_000 < whole.peak_bytes_per_worker
    # Rates are measured again now and then: one estimate says nothing of the other's time.
    assert small.predicted_ms > 0
    assert whole.predicted_ms > 0
    found = run(gpu, request.model_copy(update={"memory_bytes": 60_000}))
    exact = wanted(document)
    assert abs(found.array - exact) <= found.error_bound * abs(exact)


# What is refused.


@pytest.mark.parametrize(
    ("dtype", "instead"), [("float64", "float32"), ("complex128", "complex64")]
)
def test_a_type_that_gpus_lack_is_refused(gpu: Cluster, dtype: str, instead: str) -> None:
    request = request_of(ring(6, 3), dtype=dtype, backend="wgpu")
    asked: list[Callable[[], object]] = [
        lambda: gpu.do(gpu.executor.estimate(request)),
        lambda: gpu.do(gpu.executor.check(request)),
        lambda: run(gpu, request),
    ]
    for ask in asked:
        with pytest.raises(WorkerRejected) as caught:
            ask()
        assert caught.value.code == "backend-lacks-type"
        assert caught.value.message == f"wgpu computes in float32 and complex64, not in {dtype}."
        assert caught.value.hint == f"Ask for {instead}, or for numpy."


def test_the_document_has_a_say_in_its_type(gpu: Cluster) -> None:
    with pytest.raises(WorkerRejected) as caught:
        gpu.do(gpu.executor.check(request_of(ring(6, 3), backend="wgpu")))
    assert caught.value.code == "backend-lacks-type"


def test_without_an_adapter_the_reason_is_said(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    contractors = cluster.executor._contractors
    cluster.do(looked(contractors))
    reason = "No Vulkan, Metal or Direct3D 12 adapter was found."
    monkeypatch.setattr(contractors, "_adapter", reason)
    about = cluster.executor.about()
    assert about.backends == ("numpy",)
    assert about.missing["wgpu"] == reason
    assert about.gpu is None
    for request in (
        request_of(ring(6, 3), dtype="float32", backend="wgpu"),
        request_of(ring(6, 3), dtype="float64", backend="wgpu"),
    ):
        with pytest.raises(WorkerRejected) as caught:
            cluster.do(cluster.executor.check(request))
        assert caught.value.code == "no-such-backend"
        assert caught.value.message == f"The workers have no wgpu. {reason}"


def test_what_there_is_is_said(gpu: Cluster) -> None:
    about = gpu.executor.about()
    assert about.backends == ("numpy", "wgpu")
    assert about.gpu
    assert about.missing == {
        "torch": "The package torch is not installed.",
        "cupy": "The package cupy is not installed.",
    }


def test_a_worker_without_an_adapter_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_gpu, "_DEVICE", [])
    monkeypatch.setattr(worker_gpu, "_made", lambda: "The package wgpu is not installed.")
    assert worker_gpu.look() == "The package wgpu is not installed."
    with pytest.raises(WorkerRejected) as caught:
        worker_gpu.measured("float32")
    assert caught.value.message == (
        "One of the workers has no wgpu. The package wgpu is not installed."
    )


def test_a_search_for_an_adapter_that_fails_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool = Pool(Settings(data_folder=tmp_path))
    contractors = Contractors(pool)
    failures: list[Exception] = [
        WorkerUnreachable("worker-lost", "The worker processes died again and again."),
        ValueError("nobody foresaw this"),
    ]

    async def call(_function: object, *, priority: int) -> object:
        await asyncio.sleep(priority - 1)
        raise failures.pop(0)

    monkeypatch.setattr(pool, "call", call)
    for _ in range(2):
        asyncio.run(contractors._look())
        assert contractors.names == ("numpy",)
        assert contractors.missing["wgpu"] == "Looking for an adapter failed."
    assert "nobody foresaw this" in caplog.text


def test_a_job_that_has_begun_waits_for_its_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool(Settings(data_folder=tmp_path))
    looks: list[Adapter | str] = [
        "The GPU's driver does not start.",
        "The GPU's driver does not start.",
        small_adapter(1 << 30),
    ]

    async def call(function: object, *_: object, **_more: object) -> object:
        await asyncio.sleep(0)
        return looks.pop(0) if function is worker_gpu.look else ()

    monkeypatch.setattr(pool, "call", call)

    async def story() -> None:
        contractors = Contractors(pool)
        await contractors.start()
        await looked(contractors)
        with pytest.raises(WorkerRejected):
            await contractors.of("wgpu", "float32")
        with pytest.raises(WorkerUnreachable) as caught:
            await contractors.again("wgpu", "float32")
        assert caught.value.code == "gpu-gone"
        assert caught.value.message == (
            "The GPU that the job began with is not there. The GPU's driver does not start."
        )
        assert isinstance(await contractors.again("wgpu", "float32"), GpuContractor)
        assert looks == []
        with pytest.raises(WorkerRejected) as refused:
            await contractors.again("cupy", "float32")
        assert refused.value.code == "no-such-backend"
        await contractors.close()

    asyncio.run(story())


class Gone:
    """A device that went away and does not come back."""

    async def measure(self, **_: object) -> None:
        raise DeviceLost("device-lost", "The GPU went away and did not come back.")


def test_a_device_that_did_not_come_back_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [Gone(), Gone()]
    monkeypatch.setattr(worker_gpu, "_DEVICE", [])
    monkeypatch.setattr(worker_gpu, "_made", made.pop)
    for left in (1, 0):
        with pytest.raises(DeviceLost):
            worker_gpu.measured("float32")
        assert len(made) == left


def test_a_job_on_a_lost_device_is_loaded_anew(
    device: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_gpu, "_DEVICE", [])
    monkeypatch.setattr(worker_tasks, "_LOADED", OrderedDict())
    request = sliced_request(ring(6, 3), "x0", dtype="float32", backend="wgpu")
    job = worker_tasks.Job(
        request=request.to_json(),
        arrays={},
        plan=cast("PlanJson", request.plan).to_json(),
        most_elements=1 << 20,
        backend="wgpu",
        peak_bytes=0,
        memory_bytes=1 << 30,
    )
    parcel = worker_tasks.Parcel(text=json.dumps(job.to_json()), files={})
    first = worker_tasks.contract(parcel, 0, 3)
    backend = worker_gpu._DEVICE[0]
    native = cast("NativeGpu", backend.device)

    async def refuse() -> None:
        raise UnsupportedKernel("no-adapter", "No adapter was found.")

    monkeypatch.setattr(native, "renew", refuse)
    native.lose()
    with pytest.raises(DeviceLost):
        worker_tasks.contract(parcel, 0, 3)
    again = worker_tasks.contract(parcel, 0, 3)
    assert again.partial == first.partial
    assert backend not in worker_gpu._DEVICE


# What a device has no room for.


def small_adapter(limit_bytes: int) -> Adapter:
    return Adapter(
        description="a small one",
        is_software=False,
        limits=GpuLimits(),
        limit_bytes=limit_bytes,
        max_buffer_bytes=limit_bytes,
    )


def contractor_with(tmp_path: Path, limit_bytes: int, workers: int = 1) -> GpuContractor:
    """For workers that share a device of so much memory; none of them is asked for anything."""
    pool = Pool(Settings(data_folder=tmp_path, workers=workers))
    rates = Measurements(pool, worker_gpu.measured, worker_gpu.median_of)
    host = Measurements(pool, costs.measured, costs.median_of)
    return GpuContractor("float32", pool, rates, host, small_adapter(limit_bytes))


def test_a_tree_is_sliced_until_the_device_has_room(tmp_path: Path) -> None:
    problem = Problem.of(request_of(ring(8, 16), dtype="float32"), {})
    tree, most = given_tree(problem), 1 << 30

    def taken(limit_bytes: int, workers: int) -> int:
        """What the tree takes of a device that so many workers share."""
        contractor = contractor_with(tmp_path, limit_bytes, workers)
        cut, planned = contractor.fitted(tree, most, Patience())
        assert (planned < most) == (cut.n_slices > 1)
        return device_bytes(contractor.strategy(cut, planned), "float32", GpuLimits())

    whole = taken(1 << 30, 1)
    assert whole > 900_000
    assert 300_000 < taken(600_000, 1) <= 600_000
    # Two processes that share a device have half of it each.
    assert taken(600_000, 2) <= 300_000


def test_inputs_that_a_device_has_no_room_for_are_refused(tmp_path: Path) -> None:
    problem = Problem.of(request_of(ring(8, 8), dtype="float32"), {})
    with pytest.raises(PlanError) as caught:
        contractor_with(tmp_path, 8 * 8**3 * 4 // 2).fitted(
            given_tree(problem), 1 << 30, Patience()
        )
    assert caught.value.code == "inputs-too-big"


def test_a_prediction_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    tree = ContractionTree(
        inputs=(("i", "k"), ("k", "j")),
        output=("i", "j"),
        dimensions=(("i", 10), ("k", 40), ("j", 10)),
        path=((0, 1),),
        sliced=("k",),
    )
    strategy = gpu_strategy(tree, 1 << 20, "float32")
    rates = Rates(
        run_ms=100.0,
        dispatch_ms=1.0,
        bytes_per_ms=1e3,
        mul_adds_per_ms=tuple(("float32", size, 50.0) for size in ("matrix", "thin", "stream")),
    )
    # Each slice: 100 multiply-adds, and 100 numbers added to the others.
    each = (1 + 100 / 50) + (2 + 100 / 50)
    assert slice_ms(strategy, "float32", rates) == pytest.approx(each)
    found = wall_ms(
        strategy,
        "float32",
        GpuRates(rates=rates, compile_ms=7.0),
        10,
        processes=4,
        devices=2,
        limits=GpuLimits(),
    )
    # Four tasks, each of which starts a run and reads two sums of 100 numbers; two to a device.
    work = (40 * each + 4 * (100 + 2 * 100 * 4 / 1e3)) / 2
    # Two processes on each machine send 800 numbers; one text of kernels is compiled.
    assert found == pytest.approx(work + 2 * 800 * 4 / 1e3 + 7.0)


# Runners in this process.


def result_of(runner: GpuRunner, strategy: Strategy, dtype: DType, *cuts: int) -> NDArray[Any]:
    """The whole result, its slices run in tasks that end at the cuts."""
    schedule = strategy.schedule
    total = Sum((schedule.n_blocks, *schedule.block_shape), dtype)
    start = 0
    for end in (*cuts, schedule.n_slices):
        per_block = strategy.slices_per_block
        total.merge(runner.run(start, end), slice(start // per_block, (end - 1) // per_block + 1))
        start = end
    raw = finished(total.value(), total.exponent or 0, dtype)
    assert raw.log10_scale == 0
    return assembled(schedule, raw.value)


@pytest.mark.parametrize("most", [1 << 20, 0], ids=["with tables", "without"])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_slices_add_up_to_what_einsum_gives(device: None, dtype: DType, most: int) -> None:
    tables = 0
    for seed in range(40):
        tree = random_tree(seed, sliced=True)
        if not tree.path:
            tree = replace(tree, sliced=())
        arrays, _ = cast_arrays(random_arrays(tree, dtype, seed), dtype)
        exact = reference(equation(tree), random_arrays(tree, dtype, seed), dtype)
        strategy = gpu_strategy(tree, most, dtype)
        tables += len(strategy.tables)
        cuts = range(2, strategy.main.n_slices, 3)
        found = result_of(GpuRunner(strategy, arrays, dtype), strategy, dtype, *cuts)
        assert_close(found, exact, tolerance(lower(tree, dtype), exact))
    assert (tables > 0) == (most > 0)


def test_exponents_are_carried_beyond_the_range(device: None) -> None:
    names = [f"i{number}" for number in range(7)]
    tree = ContractionTree(
        inputs=tuple(pairwise(names)),
        output=("i0", "i6"),
        dimensions=tuple((name, 5) for name in names),
        path=((0, 1), (2, 3), (4, 5), (6, 7), (9, 8)),
        sliced=("i1", "i4"),
    )
    arrays = [array * np.float32(2.0**30) for array in random_arrays(tree, "float32", 1)]
    for most in (1 << 20, 0):
        strategy = gpu_strategy(tree, most, "float32")
        total = GpuRunner(strategy, arrays, "float32").run(0, 25)
        host = Runner(Shared(strategy, arrays, "float32")).run(0, 25)
        assert host is not None
        # Every element is about 2**180: no float32 holds it.
        found, wanted_ = (np.ldexp(one.value(), (one.exponent or 0) - 180) for one in (total, host))
        assert np.abs(found - wanted_).max() <= 1e-5 * np.abs(wanted_).max() > 0
