"""What the service takes for large results: told before, and kept to."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

import pytest
from dask_jobs import request_of, run, sliced_request
from distributed.system import MEMORY_LIMIT
from memory_ledger import MemoryLedger

from tensorloom.errors import WorkerRejected
from tensorloom.formats.opening import open_text
from tensorloom_worker.execution import adding, recording
from tensorloom_worker.execution.pool import Pool
from tensorloom_worker.execution.problem import Problem
from tensorloom_worker.execution.recording import Sums, measured, most_held
from tensorloom_worker.execution.strategy import strategy_for
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cluster
    from tensorloom.model.document import Document
    from tensorloom.model.recipe import DType
    from tensorloom_worker.execution.strategy import Strategy
    from tensorloom_worker.records import Estimate

MIB = 2**20


def document_of(equation: str) -> Document:
    return open_text(equation, format="einsum").document


def strategy_of(equation: str, *sliced: str) -> Strategy:
    request = sliced_request(document_of(equation), *sliced)
    assert request.plan is not None
    return strategy_for(Problem.of(request, {}).tree(request.plan))


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_a_sum_is_twice_its_part_of_the_result_in_every_type(dtype: DType) -> None:
    itemsize = {"float32": 4, "complex128": 16}[dtype]
    one = Sums.of(strategy_of("a,b->ab a=30 b=20"), dtype, 1)
    assert (one.tasks, one.each_bytes, one.result_bytes) == (1, 1200 * itemsize, 600 * itemsize)
    # The sum, the result, and the result with its axes in order.
    assert one.service_bytes(threads=2) == 4 * one.result_bytes
    assert one.seconds(0.5) == 0.5 * 3 * one.result_bytes
    assert one.total_bytes == 600 * {"float32": 8, "complex128": 16}[dtype]


def test_a_task_records_the_blocks_that_it_adds_to() -> None:
    # Blocks of 20 elements, each of 6 slices.
    strategy = strategy_of("ka,kb->ab k=6 a=30 b=20", "a", "k")
    tasks = [Sums.of(strategy, "float64", slices) for slices in (3, 6, 12, 180)]
    assert [one.tasks for one in tasks] == [60, 30, 15, 1]
    assert [one.each_bytes // (2 * 20 * 8) for one in tasks] == [1, 1, 2, 30]


def test_sums_that_wait_for_others_count() -> None:
    sums = Sums(tasks=100, each_bytes=200 * MIB, result_bytes=100 * MIB, total_bytes=100 * MIB)
    assert most_held(sums.each_bytes, 2) == 3
    assert sums.service_bytes(threads=2) == (200 + (3 + 2) * 200) * MIB
    assert replace(sums, tasks=2).service_bytes(threads=2) == (200 + (2 + 2) * 200) * MIB
    # The prefix is written whenever twice the total was recorded, but for the last time.
    assert sums.seconds(1.0) == (100 * 200 + 99 * 200 + 100) * MIB


def test_the_prefix_is_written_as_often_as_is_said(
    cluster: Cluster, many_tasks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "FOLD_SECONDS", inf)
    # Sums that wait for a late one are written together with it: three of them here.
    monkeypatch.setattr(recording, "HELD_BYTES", 0)
    document = document_of("ka,kb->ab k=40 a=500 b=500")
    ledger = MemoryLedger()
    run(cluster, sliced_request(document, "k"), ledger)
    assert ledger.fixed is not None
    strategy = strategy_of("ka,kb->ab k=40 a=500 b=500", "k")
    sums = Sums.of(strategy, "float64", ledger.fixed.slices_per_task)
    assert sums.tasks == ledger.fixed.tasks
    written = sums.seconds(1.0) - sums.tasks * sums.each_bytes - sums.result_bytes
    said = 7
    assert written / sums.each_bytes == said
    assert said // 2 <= ledger.folds <= said


def test_few_large_sums_are_under_way_at_once(
    cluster: Cluster, many_tasks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "HELD_BYTES", 0)
    pool = cluster.executor.pool
    deliver, flying, most = pool.deliver, 0, 0

    async def counted(*arguments: Any) -> Any:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        try:
            return await deliver(*arguments)
        finally:
            flying -= 1

    monkeypatch.setattr(pool, "deliver", counted)
    run(cluster, sliced_request(document_of("ka,kb->ab k=40 a=50 b=50"), "k"))
    assert most == pool.n_threads + 1 < adding.IN_FLIGHT * pool.n_threads


def test_a_result_that_the_service_cannot_hold_does_not_fit(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def estimate(size: int) -> Estimate:
        request = request_of(document_of(f"a,b->ab a={size} b=1000"))
        found: Estimate = cluster.do(cluster.executor.estimate(request))
        return found

    monkeypatch.setattr(Pool, "service_bytes", 16_000_000)
    assert estimate(500).fits
    assert not estimate(501).fits
    found = estimate(1000)
    assert not found.fits
    assert found.refusal is not None
    assert (found.refusal.code, found.refusal.message) == (
        "result-too-big",
        "Adding the result up would take the service 32 MB; a job may take 16 MB there.",
    )
    with pytest.raises(WorkerRejected) as caught:
        run(cluster, request_of(document_of("a,b->ab a=501 b=1000")))
    assert caught.value.code == "result-too-big"


def test_recording_is_in_the_predicted_time(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def predicted(byte_s: float) -> float:
        monkeypatch.setattr(cluster.executor._recorder, "_byte_s", byte_s)
        cluster.executor._estimates.clear()
        request = request_of(document_of("a,b->ab a=1000 b=1000"))
        found: Estimate = cluster.do(cluster.executor.estimate(request))
        return found.predicted_ms

    assert predicted(1e-6) - predicted(0.0) == pytest.approx(1000 * 1e-6 * 24e6, rel=0.01)


def test_a_byte_of_a_sum_is_measured_and_nothing_stays(tmp_path: Path) -> None:
    assert 1e-11 < measured(tmp_path) < 1e-6
    assert list(tmp_path.iterdir()) == []
    assert measured(tmp_path / "missing") == recording.TYPICAL_BYTE_S


def test_a_job_has_what_the_workers_leave_of_the_memory(tmp_path: Path) -> None:
    def left(**more: Any) -> int:
        return Pool(Settings(data_folder=tmp_path, **more)).service_bytes

    memory = MEMORY_LIMIT
    assert left(concurrent_jobs=1) == pytest.approx(0.3 * memory, rel=1e-6)
    assert left(concurrent_jobs=3) == pytest.approx(0.1 * memory, rel=1e-6)
    small = {"workers": 1, "max_memory_bytes_per_worker": memory // 10}
    assert left(concurrent_jobs=1, **small) == pytest.approx(0.9 * memory, rel=1e-6)
    large = {"workers": 1, "max_memory_bytes_per_worker": 2 * memory}
    assert left(concurrent_jobs=1, **large) == pytest.approx(0.3 * memory, rel=1e-6)
