"""Jobs that go on after the service was killed, and one that kills it each time."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from doubles import LocalExecutor
from worker_harness import worker

from tensorloom_worker import service as service_module
from tensorloom_worker.ledger import Partial
from tensorloom_worker.resumes import MOST_IN_VAIN
from tensorloom_worker.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from tensorloom_worker.settings import Settings

pytestmark = pytest.mark.asyncio


async def test_a_job_that_ends_the_service_each_time_is_not_resumed_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if killed: nobody says that it ends in order.
    monkeypatch.setattr(service_module, "forget_resumes", lambda _store: None)
    async with worker(tmp_path / "data") as first:
        first.executor.gate.clear()
        job = await first.submit()
        await first.until(job, "running")
        token = first.token
    for _ in range(MOST_IN_VAIN):
        async with worker(tmp_path / "data", token=token, executor=Held) as again:
            await again.until(job, "running")
    async with worker(tmp_path / "data", token=token, executor=Held) as last:
        found = await last.finished(job)
        other = await last.submit()
        await last.until(other, "running")
    assert found["state"] == "failed"
    assert found["error"]["code"] == "job-ends-worker"
    assert found["error"]["message"].startswith("The worker ended 3 times while it went on")


@pytest.mark.parametrize("spared", ["stopped in order", "a sum was recorded"])
async def test_a_resume_that_was_not_in_vain_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spared: str
) -> None:
    if spared == "a sum was recorded":
        monkeypatch.setattr(service_module, "forget_resumes", lambda _store: None)
    async with worker(tmp_path / "data") as first:
        first.executor.gate.clear()
        job = await first.submit()
        await first.until(job, "running")
        token = first.token
    for task in range(MOST_IN_VAIN + 1):
        async with worker(tmp_path / "data", token=token, executor=Held) as again:
            await again.until(job, "running")
            if spared == "a sum was recorded":
                again.app.service.ledger.record(job, 100 + task, Partial(total=b"x"))
    with closing(Store(tmp_path / "data")) as store:
        assert store.rows("SELECT in_vain FROM jobs")[0][0] == 0


class Held(LocalExecutor):
    """Never gets on with a task."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.gate.clear()
