"""What all routes share: the service, the client who asks, refusals in the OpenAPI document."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

from fastapi import Depends, Path, Request
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPBearer

from tensorloom_worker.body import read_json_body
from tensorloom_worker.records import Refusal
from tensorloom_worker.refusals import rejected
from tensorloom_worker.store import Client

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tensorloom_worker.records import Record
    from tensorloom_worker.service import Service

__all__ = [
    "BEARER",
    "Asker",
    "JobId",
    "body_of",
    "json_body_of",
    "json_of",
    "refusals",
    "service_of",
    "while_heard",
]

BEARER = HTTPBearer(auto_error=False, description="The token that was printed at the first start.")
"""In the document only; ``security.Guard`` has looked at the token before."""

T = TypeVar("T")

_REASONS = {
    400: "What was sent cannot be read.",
    401: "No token, or a wrong one.",
    403: "The page's origin or the host name is not allowed.",
    404: "There is no such thing.",
    405: "This address does not know the method.",
    408: "The sender was too slow.",
    409: "It contradicts what is there.",
    411: "A length is missing.",
    413: "It is too big.",
    415: "It is of the wrong type.",
    416: "There are no such bytes.",
    422: "It makes no sense.",
    429: "A quota is used up.",
    500: "A bug.",
    503: "The service is stopping.",
    507: "The disk is full.",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, for the document; those that any route can give are added."""
    return {
        status: {"model": Refusal, "description": _REASONS[status]}
        for status in sorted({*statuses, 400, 401, 403, 405, 422, 500, 503})
    }


def service_of(request: Request) -> Service:
    """The service of the app."""
    return cast("Service", request.app.state.service)


def asker(request: Request) -> Client:
    """Who asks; the guard knows."""
    return cast("Client", request.scope["client_of_worker"])


Asker = Annotated[Client, Depends(asker)]
JobId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="Id of a job.")]


def json_of(record: Record, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The record as an answer."""
    return JSONResponse(record.to_json(), status, headers=headers)


async def json_body_of(request: Request) -> object:
    """The JSON value that a request carries, counted and timed.

    Raises:
        TensorloomError: As ``read_json_body``.
    """
    settings = service_of(request).settings
    return await read_json_body(
        request, limit=settings.max_body_bytes, seconds=settings.body_seconds
    )


async def while_heard(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What the work gives; it is cancelled when nobody is there any more to hear of it.

    Args:
        request: Who asks; the body has been read.
        work: What was asked for.

    Raises:
        WorkerRejected: ``request-cut-short``, which nobody hears either.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise rejected("request-cut-short", "The asker has gone.", "Ask again.")
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    """Waits until the asker hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def body_of(name: str) -> dict[str, Any]:
    """The body of a route in the document; the route reads it itself, counted and timed."""
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
