"""The longest time that a job may run: over all its turns and starts of the service."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from worker_harness import PATIENCE_S, worker

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio


async def test_a_job_that_runs_too_long_is_stopped(tmp_path: Path) -> None:
    async with worker(tmp_path / "data", max_job_seconds=0) as strict:
        strict.executor.gate.clear()
        found = await strict.finished(await strict.submit())
    assert found["state"] == "failed"
    assert found["error"]["code"] == "job-too-long"


@pytest.mark.parametrize("count", [60.0, 0.01], ids=["written at its end", "and as it runs"])
async def test_the_longest_time_of_a_job_goes_on_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: float
) -> None:
    monkeypatch.setattr("tensorloom_worker.queue.COUNT_S", count)
    async with worker(tmp_path / "data") as first:
        first.executor.gate.clear()
        job = await first.submit()
        await first.until(job, "running")
        store = first.app.service.store
        async with asyncio.timeout(PATIENCE_S):
            while count < 1 and store.unfinished()[0].ran == 0:  # noqa: ASYNC110  # nobody is told
                await asyncio.sleep(0.01)
        token = first.token
    async with worker(tmp_path / "data", token=token, max_job_seconds=3600) as second:
        live = second.app.service.queue.find(job)
        assert live is not None
        assert live.ran > 0
        second.app.service.store.keep_ran(job, 3600.0)
        second.executor.gate.clear()
    async with worker(tmp_path / "data", token=token, max_job_seconds=3600) as third:
        third.executor.gate.clear()
        found = await third.finished(job)
    assert found["error"]["code"] == "job-too-long"
