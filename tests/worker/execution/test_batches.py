"""Batches are as long as their arrays, whatever was estimated before these came."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from dask_jobs import request_of, ring, run
from memory_ledger import MemoryLedger
from worker_harness import contraction, npy, worker

from tensorloom.errors import WorkerRejected
from tensorloom_worker.execution.executor import Executor
from tensorloom_worker.ledger import ArrayRef
from tensorloom_worker.records import Batch

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cluster
    from tensorloom_worker.records import ContractRequest

LENGTH = 5


@pytest.fixture
def batch(tmp_path: Path) -> tuple[ContractRequest, dict[str, ArrayRef]]:
    """A request of five contractions, and their arrays: multiples of the first."""
    document = ring(6, 3)
    name = document.network.tensors[1].id
    first = np.random.default_rng(1).normal(size=(3, 3, 3))
    np.save(tmp_path / "batch.npy", np.multiply.outer(np.arange(1.0, LENGTH + 1), first))
    ref = ArrayRef(path=tmp_path / "batch.npy", key=None, sha256="0" * 64)
    uses = Batch.model_validate({"arrays": {name: {"sha256": ref.sha256}}})
    return request_of(document, batch=uses), {f"batch:{name}": ref}


def test_a_batch_that_was_estimated_without_its_arrays_is_contracted_whole(
    cluster: Cluster, batch: tuple[ContractRequest, dict[str, ArrayRef]]
) -> None:
    request, refs = batch
    alone = cluster.do(cluster.executor.estimate(request))
    assert (alone.slices, alone.result_bytes) == (1, 8)
    found = run(cluster, request, arrays=refs).array
    assert found[0] != 0
    np.testing.assert_allclose(found, found[0] * np.arange(1.0, LENGTH + 1), rtol=1e-12)
    whole = cluster.do(cluster.executor.estimate(request, refs))
    assert (whole.slices, whole.result_bytes) == (LENGTH, 8 * LENGTH)
    assert whole.mul_adds > alone.mul_adds


def test_a_layout_of_too_few_slices_is_refused(
    cluster: Cluster, batch: tuple[ContractRequest, dict[str, ArrayRef]]
) -> None:
    request, refs = batch
    ledger = MemoryLedger()
    run(cluster, request, ledger, arrays=refs)
    assert ledger.fixed is not None
    short = MemoryLedger()
    short.fix_layout("job", replace(ledger.fixed, slices=1))
    with pytest.raises(WorkerRejected) as caught:
        run(cluster, request, short, arrays=refs)
    assert caught.value.code == "job-damaged"
    assert caught.value.message == "The job was cut into 1 slices, but its plan has 5."


@pytest.mark.asyncio
async def test_a_batch_of_no_arrays_is_refused(elsewhere: str, tmp_path: Path) -> None:
    async with worker(tmp_path / "data", executor=Executor, scheduler=elsewhere) as found:
        digest = await found.upload(npy(np.zeros(())))
        body = contraction(batch={"arrays": {"b": {"sha256": digest}}})
        for route in ("estimates", "jobs"):
            answer = await found.client.post(f"/v1/{route}", json=body)
            assert (answer.status_code, answer.json()["code"]) == (422, "array-shape")


@pytest.mark.asyncio
async def test_the_service_estimates_the_batch_that_it_has(elsewhere: str, tmp_path: Path) -> None:
    rows = npy(np.arange(4.0 * LENGTH).reshape(LENGTH, 4))
    async with worker(tmp_path / "data", executor=Executor, scheduler=elsewhere) as found:
        said = []
        for _ in range(2):
            # The second time the array is there.
            digest = "0" * 64 if not said else await found.upload(rows)
            body = contraction(batch={"arrays": {"b": {"sha256": digest}}})
            async with asyncio.timeout(30):
                answer = await found.client.post("/v1/estimates", json=body)
            assert answer.status_code == 200, answer.text
            said.append(answer.json())
    assert [int(one["slices"]) for one in said] == [1, LENGTH]
    assert [int(one["resultBytes"]) for one in said] == [24, 24 * LENGTH]
