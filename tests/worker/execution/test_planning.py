"""Plans have threads of their own, a time, and an end when nobody waits for them."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from worker_harness import contraction, worker

from tensorloom.errors import Cancelled, PlanError
from tensorloom_worker.execution import planning, trees
from tensorloom_worker.execution.executor import Executor
from tensorloom_worker.execution.planning import ESTIMATES_AT_ONCE, Patience, Planning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MORE_THAN_THREADS = 40
"""More estimates than asyncio's own pool has threads."""


class Stuck:
    """A step that takes for ever, until the test is over."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.release = threading.Event()

    def __call__(self, *_: object) -> None:
        self.begun.release()
        assert self.release.wait(60)

    async def until_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.acquire, timeout=60)


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    found = Stuck()
    yield found
    found.release.set()


def test_patience_ends_with_its_time_and_when_nobody_waits() -> None:
    patience = Patience()
    patience.look()
    patience.give_up()
    with pytest.raises(Cancelled, match="Nobody waits for this plan any more"):
        patience.look()
    with pytest.raises(TimeoutError):
        Patience(-1.0).look()


@pytest.mark.asyncio
async def test_a_plan_that_nobody_waits_for_stops_at_its_next_look(stuck: Stuck) -> None:
    ended = threading.Event()

    def look_again(patience: Patience) -> None:
        stuck()
        try:
            patience.look()
        except Cancelled:
            ended.set()

    one = Planning(1)
    task = asyncio.create_task(one.run(look_again, Patience()))
    await stuck.until_begun()
    _ = task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    stuck.release.set()
    assert await asyncio.to_thread(ended.wait, 60)
    assert await one.run(lambda _: "the next one", Patience()) == "the next one"
    one.close()


@pytest.mark.asyncio
async def test_a_step_that_does_not_look_is_waited_for_no_longer_than_is_said(
    stuck: Stuck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "GRACE_S", 0.05)
    one = Planning(1)
    with pytest.raises(PlanError) as caught:
        await one.run(stuck, Patience(0.01))
    assert caught.value.code == "planning-too-long"
    assert caught.value.message == "Planning took longer than 0.01 s."
    one.close()


@pytest.mark.asyncio
async def test_closing_gives_up_what_runs_and_what_waits(stuck: Stuck) -> None:
    one = Planning(1)
    patience = Patience()
    running = asyncio.create_task(one.run(stuck, patience))
    await stuck.until_begun()
    waiting = asyncio.create_task(one.run(lambda _: None, Patience()))
    await asyncio.sleep(0)
    one.close()
    with pytest.raises(Cancelled):
        patience.look()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    stuck.release.set()
    await running


@pytest.mark.asyncio
async def test_the_service_answers_while_planning_is_stuck(
    elsewhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stuck: Stuck
) -> None:
    monkeypatch.setattr(trees, "fitting", stuck)
    async with worker(tmp_path / "data", executor=Executor, scheduler=elsewhere) as found:
        asked = [
            asyncio.create_task(found.client.post("/v1/estimates", json=contraction(title=str(n))))
            for n in range(MORE_THAN_THREADS)
        ]
        for _ in range(ESTIMATES_AT_ONCE):
            await stuck.until_begun()
        async with asyncio.timeout(30):
            job = await found.submit()
            # Its own plan does not wait for those of the estimates.
            await stuck.until_begun()
            listed = (await found.client.get("/v1/jobs")).json()["jobs"]
            assert [(one["id"], one["state"]) for one in listed] == [(job, "searching")]
            assert (await found.client.delete(f"/v1/jobs/{job}")).status_code == 204
            assert (await found.client.get("/v1/jobs")).json() == {"jobs": []}
        for task in asked:
            _ = task.cancel()
        _ = await asyncio.gather(*asked, return_exceptions=True)
        stuck.release.set()
