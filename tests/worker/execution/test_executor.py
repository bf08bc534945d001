"""Jobs on real worker processes: the right numbers, each sum once, the same bits after trouble."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dask_jobs import (
    SLICED,
    Stop,
    crash_after,
    matrices,
    request_of,
    ring,
    run,
    sliced_request,
    wanted,
)
from memory_ledger import MemoryLedger

from tensorloom.errors import (
    Cancelled,
    DeviceMemoryError,
    NetworkError,
    PlanError,
    WorkerRejected,
)
from tensorloom.execute.arrays import ArrayStore, arrays_of
from tensorloom.formats.opening import open_text
from tensorloom.plan.cost import input_elements
from tensorloom_worker.execution import costs, executor
from tensorloom_worker.execution.adding import FEW_INPUTS, IN_FLIGHT, is_small
from tensorloom_worker.execution.estimates import too_much
from tensorloom_worker.execution.executor import Executor
from tensorloom_worker.execution.planning import Patience
from tensorloom_worker.execution.problem import Problem, tree_with
from tensorloom_worker.execution.strategy import strategy_for
from tensorloom_worker.execution.trees import given_tree
from tensorloom_worker.ledger import ArrayRef
from tensorloom_worker.records import Batch, Estimate
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Cluster
    from tensorloom.plan.tree import ContractionTree
    from tensorloom_worker.ledger import Progress


@pytest.mark.parametrize("output", [(), ("i2", "x1"), ("x0", "i3")], ids=str)
def test_a_job_gives_what_einsum_gives(
    cluster: Cluster, many_tasks: None, output: tuple[str, ...]
) -> None:
    document = ring(8, 4, output=output)
    ledger = MemoryLedger()
    found = run(cluster, sliced_request(document, *SLICED), ledger)
    exact = wanted(document)
    assert found.array.shape == exact.shape
    assert np.abs(found.array - exact).max() <= found.error_bound * np.abs(exact).max()
    assert found.error_bound < 1e-9
    assert ledger.fixed is not None
    assert ledger.fixed.tasks > 10
    assert set(ledger.times.values()) == {1}


def test_the_bound_of_few_inputs_needs_no_worker(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large the tables are that were made of them."""
    request = sliced_request(ring(12, 6), "x2", "x3", "x4")
    problem = Problem.of(request, {})
    assert request.plan is not None
    strategy = strategy_for(problem.tree(request.plan))
    assert problem.input_elements < FEW_INPUTS < input_elements(strategy.main)
    pool, asked = cluster.executor.pool, []
    deliver = pool.deliver

    async def told(function: Callable[..., Any], *arguments: Any) -> Any:
        asked.append(function.__name__)
        return await deliver(function, *arguments)

    monkeypatch.setattr(pool, "deliver", told)
    assert 0 < run(cluster, request).error_bound < 1e-6
    assert set(asked) == {"contract"}


@pytest.mark.parametrize(("n", "places"), [(200, []), (600, ["contract", "measured_of"])])
def test_a_long_product_has_the_bound_that_was_measured(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, n: int, places: list[str]
) -> None:
    """Where the job was done; averages say that it has no digit, or few."""
    pool, asked = cluster.executor.pool, []
    deliver = pool.deliver

    async def told(function: Callable[..., Any], *arguments: Any) -> Any:
        asked.append(function.__name__)
        return await deliver(function, *arguments)

    monkeypatch.setattr(pool, "deliver", told)
    document = matrices(n)
    found = run(cluster, request_of(document))
    arrays = arrays_of(document.network, "float64", ArrayStore())
    exact = functools.reduce(np.matmul, (array.astype(np.longdouble) for array in arrays))
    assert np.abs(found.array - exact).max() <= found.error_bound * np.abs(exact).max()
    assert found.error_bound < 1e-10
    assert asked == places


def test_progress_tells_of_slices_and_of_the_sum_so_far(cluster: Cluster, many_tasks: None) -> None:
    document = ring(8, 4)
    heard: list[Progress] = []
    found = run(cluster, sliced_request(document, *SLICED), heard=heard)
    assert [one.state for one in heard if one.state] == ["running"]
    done = [one.progress.slices_done for one in heard if one.progress]
    assert done == sorted(done)
    assert done[-1] == 64
    last = heard[-1].partial
    assert last is not None
    assert last.value is not None
    assert last.value[0] == float(found.array)
    assert last.standard_error == pytest.approx(0, abs=1e-12)


def test_telling_never_waits_for_the_disk(
    cluster: Cluster, many_tasks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tensorloom_worker.execution.adding.TELL_SECONDS", 0.0)

    def slow_disk(_count: int) -> None:
        # Ends when the loop has had several turns, in which it tells of the tasks before.
        for _ in range(10):
            turn = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), cluster.loop)
            turn.result(timeout=60)

    ledger = MemoryLedger(slow_disk)
    run(cluster, sliced_request(ring(8, 4), *SLICED), ledger)
    assert ledger.times.total() > 10


@pytest.mark.parametrize("count", [1, 7, 23])
def test_a_resumed_job_gives_the_same_bits(
    cluster: Cluster,
    start: Callable[..., Cluster],
    elsewhere: str,
    many_tasks: None,
    count: int,
) -> None:
    document = ring(8, 4, output=("i2",))
    request = sliced_request(document, *SLICED, dtype="complex64")
    undisturbed = run(cluster, request)
    ledger = crash_after(count)
    with pytest.raises(Stop):
        run(cluster, request, ledger)
    ledger._recorded = lambda _: None
    # Another number of workers goes on with what is recorded, on a cluster that was there before.
    other = start(scheduler=elsewhere) if count == 7 else cluster
    again = run(other, request, ledger)
    assert again.array.tobytes() == undisturbed.array.tobytes()
    assert set(ledger.times.values()) == {1}
    assert ledger.fixed is not None
    assert len(ledger.times) == ledger.fixed.tasks


def test_a_resumed_job_goes_on_from_a_prefix(
    cluster: Cluster,
    start: Callable[..., Cluster],
    elsewhere: str,
    many_tasks: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tensorloom_worker.execution.adding.FOLD_TASKS", 3)
    request = sliced_request(ring(8, 4), *SLICED)
    undisturbed = run(cluster, request)
    ledger = crash_after(12)
    # One worker runs tasks in their order, so that there is a prefix by then.
    with pytest.raises(Stop):
        run(start(scheduler=elsewhere), request, ledger)
    assert ledger.folds
    ledger._recorded = lambda _: None
    assert run(cluster, request, ledger).array.tobytes() == undisturbed.array.tobytes()
    assert set(ledger.times.values()) == {1}


def test_a_killed_worker_costs_nothing_but_time(
    start: Callable[..., Cluster], cluster: Cluster, many_tasks: None
) -> None:
    request = sliced_request(ring(8, 4), *SLICED)
    undisturbed = run(cluster, request)
    mortal = start(workers=2)
    victims = iter([2, 15])
    next_victim = next(victims)

    def recorded(so_far: int) -> None:
        nonlocal next_victim
        if so_far == next_victim:
            next_victim = next(victims, 0)
            os.kill(a_worker_of(mortal), signal.SIGKILL)

    ledger = MemoryLedger(recorded)
    found = run(mortal, request, ledger)
    assert found.array.tobytes() == undisturbed.array.tobytes()
    assert set(ledger.times.values()) == {1}
    assert next_victim == 0


def a_worker_of(cluster: Cluster) -> int:
    """Process id of a worker that lives."""
    nannies = cluster.executor.pool._cluster.workers.values()
    return next(nanny.pid for nanny in nannies if nanny.pid is not None)


def test_a_cancelled_job_stops_and_writes_nothing_more(cluster: Cluster, many_tasks: None) -> None:
    cancelled = asyncio.Event()
    ledger = MemoryLedger(lambda so_far: cluster.call(cancelled.set) if so_far == 5 else None)
    with pytest.raises(Cancelled) as caught:
        run(cluster, sliced_request(ring(8, 4), *SLICED), ledger, cancelled=cancelled)
    assert caught.value.code == "cancelled"
    before = ledger.times.total()
    assert ledger.fixed is not None
    assert before < ledger.fixed.tasks
    _ = run(cluster, request_of(ring(4, 2)))
    assert ledger.times.total() == before


def test_a_call_given_up_while_results_are_fetched_harms_no_other(cluster: Cluster) -> None:
    pool = cluster.executor.pool

    async def story() -> object:
        client = pool._client
        fetching = client._gather_semaphore
        permits = 0
        while not fetching.locked():
            await fetching.acquire()
            permits += 1
        call = asyncio.create_task(pool.call(int, "1"))
        async with asyncio.timeout(60):
            while client._gather_future is None:  # noqa: ASYNC110  # Dask tells nobody of it
                await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        for _ in range(permits):
            fetching.release()
        return await pool.call(int, "2")

    assert cluster.do(story()) == 2


def test_the_scheduler_knows_of_few_tasks_at_a_time(
    cluster: Cluster, many_tasks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = cluster.executor.pool
    deliver = pool.deliver
    under_way, most = 0, 0

    async def counted(*arguments: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await deliver(*arguments)
        finally:
            under_way -= 1

    monkeypatch.setattr(pool, "deliver", counted)
    ledger = MemoryLedger()
    _ = run(cluster, sliced_request(ring(8, 4), *SLICED), ledger)
    assert ledger.times.total() == 64
    assert 1 < most <= IN_FLIGHT * pool.n_threads


def test_a_batch_shares_its_tree(cluster: Cluster, tmp_path: Path) -> None:
    document = ring(6, 3, output=("i2",))
    name = document.network.tensors[1].id
    arrays = np.random.default_rng(1).normal(size=(5, 3, 3, 3))
    np.save(tmp_path / "batch.npy", arrays)
    ref = ArrayRef(path=tmp_path / "batch.npy", key=None, sha256="0" * 64)
    batch = Batch.model_validate({"arrays": {name: {"sha256": "0" * 64}}})
    found = run(cluster, request_of(document, batch=batch), arrays={f"batch:{name}": ref})
    assert found.array.shape == (5, 3)
    for number, array in enumerate(arrays):
        np.save(tmp_path / f"{number}.npy", array)
        own = ArrayRef(path=tmp_path / f"{number}.npy", key=None, sha256=f"{number}" * 64)
        uses = {name: {"sha256": own.sha256}}
        alone = run(cluster, request_of(document, arrays=uses), arrays={name: own})
        np.testing.assert_allclose(found.array[number], alone.array, rtol=1e-12)


def test_files_reach_workers_that_share_no_folder(
    cluster: Cluster,
    start: Callable[..., Cluster],
    elsewhere: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tensorloom_worker.execution.adding.SMALL_CALLS", 0)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    document = ring(6, 3)
    name = document.network.tensors[2].id
    np.save(tmp_path / "a.npy", np.random.default_rng(2).normal(size=(3, 3, 3)))
    ref = ArrayRef(path=tmp_path / "a.npy", key=None, sha256="a" * 64)
    request = request_of(document, arrays={name: {"sha256": ref.sha256}})
    near = run(cluster, request, arrays={name: ref})
    far = start(scheduler=elsewhere)
    assert far.executor.about().scheduler == "tcp"
    found = run(far, request, arrays={name: ref})
    assert found.array.tobytes() == near.array.tobytes()
    assert found.array != run(cluster, request_of(document)).array
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("output", [(), ("i2", "x1")], ids=str)
def test_a_small_job_gives_the_bits_that_a_worker_gives(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, dtype: str, output: tuple[str, ...]
) -> None:
    sent: list[object] = []
    deliver = cluster.executor.pool.deliver

    async def noted(*arguments: Any) -> Any:
        sent.append(arguments)
        return await deliver(*arguments)

    monkeypatch.setattr(cluster.executor.pool, "deliver", noted)
    request = sliced_request(ring(8, 3, output=output), "x0", "i3", dtype=dtype)
    ledger = MemoryLedger()
    here = run(cluster, request, ledger)
    assert sent == []
    # It is recorded like any other, so that nothing is lost or done twice.
    assert ledger.fixed is not None
    assert ledger.times == {0: 1}
    ledger.times.clear()
    again = run(cluster, request, ledger)
    assert not ledger.times
    monkeypatch.setattr("tensorloom_worker.execution.adding.SMALL_CALLS", 0)
    there = run(cluster, request)
    assert len(sent) == 1
    assert here.array.tobytes() == again.array.tobytes() == there.array.tobytes()
    assert here.error_bound == there.error_bound


def test_a_larger_job_goes_to_a_worker() -> None:
    tree = given_tree(Problem.of(request_of(ring(6, 3)), {}))
    assert is_small(strategy_for(tree), 1)
    assert not is_small(strategy_for(tree), 2)
    large = given_tree(Problem.of(request_of(ring(6, 16)), {}))
    assert not is_small(strategy_for(large), 1)


def test_a_batch_of_unequal_lengths_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    document = ring(6, 3)
    one, other = (tensor.id for tensor in document.network.tensors[:2])
    refs = {}
    for length, name in ((5, one), (4, other)):
        np.save(tmp_path / f"{length}.npy", np.ones((length, 3, 3, 3)))
        refs[f"batch:{name}"] = ArrayRef(path=tmp_path / f"{length}.npy", key=None, sha256="")
    uses = {name: {"sha256": "0" * 64} for name in (one, other)}
    request = request_of(document, batch=Batch.model_validate({"arrays": uses}))
    with pytest.raises(NetworkError) as caught:
        run(cluster, request, arrays=refs)
    assert caught.value.code == "batch-mismatch"
    assert caught.value.message == f"The batch of '{one}' has 5 arrays, that of '{other}' has 4."


def test_an_array_of_another_shape_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    document = ring(6, 3)
    name = document.network.tensors[0].id
    np.save(tmp_path / "a.npy", np.ones((3, 2, 3)))
    ref = ArrayRef(path=tmp_path / "a.npy", key=None, sha256="0" * 64)
    request = request_of(document, arrays={name: {"sha256": ref.sha256}})
    with pytest.raises(NetworkError) as caught:
        run(cluster, request, arrays={name: ref})
    assert caught.value.code == "array-shape"
    assert caught.value.where.tensors == (name,)


def test_an_array_that_was_uploaded_is_never_replaced_by_that_of_the_document() -> None:
    document = ring(6, 3)
    tensor = document.network.tensors[0]
    uses = {tensor.id: {"sha256": "0" * 64}}
    for more in ({"arrays": uses}, {"batch": {"arrays": uses}}):
        request = request_of(document, **more)
        with pytest.raises(NetworkError) as caught:
            Problem.of(request, {}).arrays(request, {}, 10**9)
        assert caught.value.code == "array-missing"
        assert caught.value.where.tensors == (tensor.id,)


def test_the_sum_so_far_lies_where_the_result_will(cluster: Cluster, many_tasks: None) -> None:
    document = ring(8, 4, output=("i3", "i1"))
    request = sliced_request(document, "i3", "x0", "x1")
    ledger = MemoryLedger()
    found = run(cluster, request, ledger)
    so_far = cluster.do(cluster.executor.partial("job", request, ledger))
    assert so_far is not None
    array, log10_scale = so_far
    np.testing.assert_allclose(array * 10**log10_scale, found.array, rtol=1e-12)


def test_an_estimate_is_given_without_arrays(cluster: Cluster) -> None:
    document = ring(8, 8)
    whole = cluster.do(cluster.executor.estimate(request_of(document)))
    small = cluster.do(cluster.executor.estimate(request_of(document, memory_bytes=100_000)))
    assert whole.fits
    assert whole.slices == 1
    assert small.fits
    assert small.slices > 1
    assert small.peak_bytes_per_worker <= 100_000 < whole.peak_bytes_per_worker
    assert small.flop == 2 * small.mul_adds
    assert small.result_bytes == 8


def test_each_thread_of_a_process_plans_for_its_part_of_the_memory(
    many_tasks: None, tmp_path: Path
) -> None:
    request = request_of(ring(8, 8), memory_bytes=400_000)
    problem = Problem.of(request, {})
    said = {}
    for threads in (1, 4):
        executor = Executor(Settings(data_folder=tmp_path, workers=1, threads=threads))
        assert executor.most_elements(problem, request) == 400_000 // threads // problem.itemsize
        numpy = asyncio.run(executor._contractors.of("numpy", problem.dtype))
        said[threads] = executor._estimated(problem, request, numpy, Patience()).estimate
    assert said[1].slices == 1
    assert said[4].slices > 4
    # All four run a task at once.
    assert 200_000 < said[4].peak_bytes_per_worker <= 400_000


def test_an_estimate_says_no_where_nothing_fits(cluster: Cluster) -> None:
    document = ring(8, 8)
    said = cluster.do(cluster.executor.estimate(request_of(document, memory_bytes=20_000)))
    assert not said.fits
    assert said.refusal is not None
    assert said.refusal.code == "inputs-too-big"
    assert said.mul_adds > 0
    with pytest.raises(PlanError) as caught:
        run(cluster, request_of(document, memory_bytes=20_000))
    assert caught.value.code == "inputs-too-big"


def test_a_long_job_is_told_by_a_better_tree_which_is_looked_for_once(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_of(ring(14, 5), memory_bytes=60_000, search_seconds=None)
    first = cluster.do(cluster.executor.estimate(request))
    looks = []
    searched = cluster.executor.searched

    async def counted(*arguments: Any) -> Any:
        looks.append(arguments)
        return await searched(*arguments)

    monkeypatch.setattr(cluster.executor, "searched", counted)
    monkeypatch.setattr(executor, "LOOK_FROM", 0.0)
    monkeypatch.setattr(executor, "LOOK_SECONDS", 1.0)
    said = [cluster.do(cluster.executor.estimate(request)) for _ in range(3)]
    assert len(looks) == 1
    assert said[0] == said[1] == said[2]
    assert said[0].mul_adds <= first.mul_adds
    fixed = request.model_copy(update={"search_seconds": 0.0})
    _ = cluster.do(cluster.executor.estimate(fixed))
    assert len(looks) == 1


def test_no_thread_is_idle_while_another_takes_long(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "SPREAD_FROM", 0.0)
    monkeypatch.setattr(costs, "wall_seconds", lambda strategy, *_: 1 / strategy.main.n_slices)
    request = request_of(ring(9, 8), title="spread")
    said = cluster.do(cluster.executor.estimate(request))
    assert said.slices >= 2
    assert said.plan is not None
    whole = said.plan.model_copy(update={"sliced": ()})
    fixed = request.model_copy(update={"plan": whole, "search_seconds": 0.0})
    assert cluster.do(cluster.executor.estimate(fixed)).slices == 1


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (9e8, "It would take about 250 h; the most is 24 h."),
        (1e12, "It would take about 31.7 years; the most is 24 h."),
        (1e23, "It would take more than 1000 years; the most is 24 h."),
    ],
)
def test_what_takes_too_long_is_told_in_words(ms: float, words: str, tmp_path: Path) -> None:
    said = Estimate(
        mul_adds=1, flop=2, slices=1, peak_bytes_per_worker=8, result_bytes=8,
        predicted_ms=ms, fits=True, basis="typical",
    )  # fmt: skip
    refusal = too_much(said, Settings(data_folder=tmp_path, max_job_seconds=86_400))
    assert refusal is not None
    assert refusal.message == words


def test_a_backend_that_is_not_there_is_refused(cluster: Cluster) -> None:
    with pytest.raises(WorkerRejected) as caught:
        run(cluster, request_of(ring(6, 3), backend="cupy"))
    assert caught.value.code == "no-such-backend"
    assert caught.value.message == "The workers have no cupy. The package cupy is not installed."


def test_a_tensor_beyond_the_memory_of_a_process_is_refused_before_its_job_is_taken(
    cluster: Cluster,
) -> None:
    document = open_text("ij,jk->ik i=40 j=50 k=60", format="einsum").document
    enough = request_of(document, dtype="float64", memory_bytes=8 * 50 * 60)
    cluster.do(cluster.executor.check(enough))
    less = enough.model_copy(update={"memory_bytes": 8 * 50 * 60 - 1})
    with pytest.raises(DeviceMemoryError) as caught:
        cluster.do(cluster.executor.check(less))
    tensor = document.network.tensors[1]
    assert caught.value.code == "array-too-big"
    assert caught.value.where.tensors == (tensor.id,)
    assert caught.value.message == (
        f"{tensor.name}: The array needs 24000 bytes; the most is 23999."
    )


def test_a_search_is_never_worse_than_the_tree_it_was_given(cluster: Cluster) -> None:
    document = ring(12, 4)
    given = cluster.do(cluster.executor.estimate(request_of(document, memory_bytes=60_000)))
    heard: list[Progress] = []
    request = request_of(document, memory_bytes=60_000, search_seconds=1.0, plan=given.plan)
    found = run(cluster, request, heard=heard)
    assert [one.state for one in heard if one.state] == ["searching", "running"]
    assert found.mul_adds <= given.mul_adds
    exact = wanted(document)
    assert abs(found.array - exact) <= found.error_bound * abs(exact)


def test_a_found_tree_that_takes_longer_once_it_is_cut_is_not_taken(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def searched(start: ContractionTree, *_: Any) -> ContractionTree:
        return tree_with(start, SLICED)

    monkeypatch.setattr(cluster.executor, "searched", searched)
    ledger = MemoryLedger()
    run(cluster, request_of(ring(8, 6), title="worse", search_seconds=1.0), ledger)
    assert ledger.fixed is not None
    assert ledger.fixed.plan.sliced == ()
