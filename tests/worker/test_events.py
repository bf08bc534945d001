"""Streams of job changes."""

from __future__ import annotations

import asyncio
import json
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from worker_harness import Worker, worker

from tensorloom_worker import database
from tensorloom_worker import service as service_module
from tensorloom_worker.event_ids import Ids
from tensorloom_worker.events import SLACK, Hub
from tensorloom_worker.records import Event

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio

IDS = Ids(runs=((50, 70),), first=1000)


async def test_only_events_of_runs_that_are_remembered_are_known() -> None:
    hub = Hub(IDS, most=1)
    newest = hub.next_id()
    known = {identity: hub.knows(identity) for identity in (0, 49, 50, 70, 71, 999, newest)}
    expected = {0: True, 49: False, 50: True, 70: True, 71: False, 999: False, newest: True}
    assert known == expected
    assert not hub.knows(newest + 1)


async def test_a_stream_ends_with_its_token_however_much_there_is_to_tell() -> None:
    subscription = Hub(IDS, most=1).subscribe(1)

    async def tell() -> None:
        while True:
            subscription.put(Event(id=1, kind="gone", job="a" * 32, data={}))
            await asyncio.sleep(0)

    telling = asyncio.create_task(tell())
    try:
        async with asyncio.timeout(60):
            stream = subscription.events(heartbeat_s=0.01, alive=lambda: False)
            heard = [event async for event in stream]
        assert heard
        assert None not in heard
    finally:
        telling.cancel()


async def heard(service: Worker, last: int) -> list[tuple[str, str]]:
    """(event, job) that a stream begins with."""
    headers = {"Last-Event-ID": str(last)}
    found: list[tuple[str, str]] = []
    request = service.client.build_request("GET", "/v1/events", headers=headers)
    hang_up = asyncio.get_running_loop().call_later(1.0, service.app.service.hub.hang_up)
    text = (await service.client.send(request)).text
    hang_up.cancel()
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"]).get("id", "")))
    return found


async def test_who_has_seen_what_a_restored_backup_forgot_is_told_to_begin_anew(
    tmp_path: Path,
) -> None:
    async with worker(tmp_path / "data") as first:
        kept = await first.submit()
        await first.finished(kept)
        remembered = first.app.service.hub.next_id()
        assert database.backup(tmp_path / "data", tmp_path / "copy") > 0
        lost = await first.submit()
        await first.finished(lost)
        seen = first.app.service.hub.next_id()
        assert await heard(first, seen) == [("job", kept), ("job", lost)]  # within the slack
    for ending in ("-wal", "-shm"):
        (tmp_path / "data" / f"{database.FILE}{ending}").unlink(missing_ok=True)
    (tmp_path / "copy").replace(tmp_path / "data" / database.FILE)
    async with worker(tmp_path / "data") as restored:
        # However many events there were since, an id of the forgotten run is recognised.
        for _ in range(10_000):
            newest = restored.app.service.hub.next_id()
        assert newest > seen
        assert await heard(restored, seen) == [("reset", ""), ("job", kept)]
        assert await heard(restored, newest) == []
        assert await heard(restored, 0) == [("job", kept)]
        assert remembered < seen
        later = await restored.submit()
        await restored.finished(later)
    async with worker(tmp_path / "data") as again:
        # What has been written since is no proof that the forgotten run is known.
        assert await heard(again, seen) == [("reset", ""), ("job", kept), ("job", later)]


async def test_who_has_seen_everything_is_told_nothing_anew_after_a_restart(
    tmp_path: Path,
) -> None:
    async with worker(tmp_path / "data") as first:
        job = await first.submit()
        await first.finished(job)
        subscription = first.app.service.hub.subscribe(1)
        await first.client.delete(f"/v1/jobs/{job}")
        told = await anext(subscription.events(heartbeat_s=60.0, alive=lambda: True))
        assert told is not None
    async with worker(tmp_path / "data") as second:
        assert await heard(second, told.id) == []


async def test_who_missed_more_than_is_sent_is_told_to_begin_anew(
    service: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "STREAM_BACKLOG", 2)
    before = service.app.service.hub.next_id()
    for _ in range(SLACK):
        _ = service.app.service.hub.next_id()
    jobs = [await service.submit() for _ in range(3)]
    for job in jobs:
        await service.finished(job)
    assert await heard(service, before) == [("reset", ""), ("job", jobs[1]), ("job", jobs[2])]
    monkeypatch.setattr(service_module, "STREAM_BACKLOG", 3)
    assert await heard(service, before) == [("job", job) for job in jobs]


async def test_streams_have_a_quota_of_their_own_for_each_client(tmp_path: Path) -> None:
    async with worker(tmp_path / "data", max_streams_per_token=2) as service:
        hub = service.app.service.hub
        job = await service.submit()
        await service.finished(job)
        addresses = ["/v1/events"] * 5
        streams = [asyncio.create_task(service.client.get(one)) for one in addresses]
        async with asyncio.timeout(60):
            refused = [await task for task in islice(asyncio.as_completed(streams), 3)]
            assert {answer.status_code for answer in refused} == {429}
            assert all("Retry-After" in answer.headers for answer in refused)
            assert refused[0].json() == {
                "kind": "WorkerRejected",
                "code": "quota-streams",
                "message": "2 of your streams of events are open, the most that may.",
                "hint": "Close some of the pages and programs that are connected to this worker.",
                "where": {},
                "values": {"most": 2},
            }
            assert (await service.client.get(f"/v1/jobs/{job}/events")).status_code == 429
            async with service.second_client() as other:
                # It has no jobs: its stream is silent until it is hung up on.
                silent = asyncio.create_task(other.get("/v1/events"))
                while hub.listeners < 3:  # noqa: ASYNC110  # the hub has no event for it
                    await asyncio.sleep(0)  # only lets the other task run
                hub.hang_up()
                assert (await silent).status_code == 200
            codes = sorted(answer.status_code for answer in await asyncio.gather(*streams))
            assert codes == [200, 200, 429, 429, 429]
        # What has ended counts no longer.
        assert hub.listeners == 0
        await service.finished(job)


async def test_who_has_gone_before_the_first_event_holds_no_stream(service: Worker) -> None:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "path": "/v1/events",
        "raw_path": b"/v1/events",
        "query_string": b"",
        "headers": [
            (b"host", b"localhost:8765"),
            (b"authorization", f"Bearer {service.token}".encode()),
        ],
        "server": ("localhost", 8765),
        "client": ("127.0.0.1", 1),
        "scheme": "http",
    }

    async def gone() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def unheard(message: object) -> None:
        pass

    async with asyncio.timeout(60):
        await service.app(scope, gone, unheard)
    assert service.app.service.hub.listeners == 0
