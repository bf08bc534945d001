"""``/v1/events`` and ``/v1/jobs/{job}/events``: server-sent events, the newest state first."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse

from tensorloom_worker import events
from tensorloom_worker.records import FINAL
from tensorloom_worker.routes.common import BEARER, Asker, JobId, refusals, service_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

    from tensorloom_worker.events import Subscription
    from tensorloom_worker.service import Service
    from tensorloom_worker.store import Client

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["events"], dependencies=[Depends(BEARER)])

LastId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", description="The last event that came; what changed is sent."),
]
_KIND = "text/event-stream"
_EVENT = {
    "type": "object",
    "description": "Of each event: 'data' is JSON.",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "event": {"type": "string", "enum": ["job", "gone", "reset"]},
        "data": {"type": "string"},
    },
}
_STREAM: dict[int | str, dict[str, Any]] = {
    **refusals(404, 429),
    200: {
        "content": {_KIND: {"schema": _EVENT}},
        "description": "Events 'job' with a Job, 'gone' with its id; first 'reset' where what "
        "changed since the last event cannot be told: list the jobs anew. A comment after silence.",
    },
}


@router.get("/events", response_class=StreamingResponse, responses=_STREAM)
async def all_events(
    request: Request, client: Asker, last_event_id: LastId = None
) -> StreamingResponse:
    """Changes of all jobs of the client."""
    return _stream(service_of(request), client, None, last_event_id)


@router.get("/jobs/{job}/events", response_class=StreamingResponse, responses=_STREAM)
async def job_events(
    request: Request, client: Asker, job: JobId, last_event_id: LastId = None
) -> StreamingResponse:
    """Changes of a job; the stream ends with the job."""
    return _stream(service_of(request), client, job, last_event_id)


def _stream(
    service: Service, client: Client, job: str | None, last: str | None
) -> StreamingResponse:
    since = int(last) if last and last.isascii() and last.isdigit() and len(last) < 17 else 0  # noqa: PLR2004  # 2^53
    service.backlog(client, job, since)  # a job that does not exist is refused before it begins
    subscription = service.hub.subscribe(client.id, job)
    return _Stream(service, subscription, _events(service, client, subscription, since))


class _Stream(StreamingResponse):
    """Gives the subscription back, also where the asker has gone before the first event."""

    def __init__(
        self, service: Service, subscription: Subscription, content: AsyncIterator[str]
    ) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(content, media_type=_KIND, headers=headers)
        self._leave = partial(service.hub.leave, subscription)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


async def _events(
    service: Service, client: Client, subscription: Subscription, since: int
) -> AsyncIterator[str]:
    job = subscription.job
    yield "retry: 2000\n\n"
    backlog = service.backlog(client, job, since)
    if not backlog.is_whole:
        # Who breaks off after this one begins from the front.
        yield _line("reset", 0, {})
    for identity, known in backlog.changes:
        yield _line("job", identity, known.in_brief().to_json())
        if job is not None and known.state in FINAL:
            return
    stream = subscription.events(
        heartbeat_s=events.HEARTBEAT_S, alive=lambda: service.has_client(client)
    )
    async for event in stream:
        if event is None:
            yield ": still here\n\n"
            continue
        yield _line(event.kind, event.id, event.data)
        if job is not None and (event.kind == "gone" or event.data["state"] in FINAL):
            return


def _line(kind: str, identity: int, data: dict[str, Any]) -> str:
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return f"id: {identity}\nevent: {kind}\ndata: {text}\n\n"
