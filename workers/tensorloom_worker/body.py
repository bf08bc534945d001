"""Reading what a client sends: counted, timed, and never trusted to be what its header claims."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request

from tensorloom.errors import DocumentError
from tensorloom.model.codec import read_json
from tensorloom_worker.refusals import rejected
from tensorloom_worker.store import canonical

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tensorloom.errors import TensorloomError

__all__ = ["chunks", "read_json_body"]

LARGE_BODY_BYTES = 64 * 1024
"""Larger bodies are parsed in a thread of their own."""


async def chunks(request: Request, *, limit: int, pause_s: float) -> AsyncIterator[bytes]:
    """The body as it comes.

    Args:
        request: Whose body.
        limit: Most bytes.
        pause_s: Longest pause of the sender [s].

    Raises:
        WorkerRejected: ``request-too-big``, ``sender-too-slow``, ``request-cut-short`` or
            ``encoding-refused``.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise rejected(
            "encoding-refused",
            "The body is compressed, which is not taken.",
            "Send it as it is, without Content-Encoding.",
        )
    claimed = request.headers.get("content-length", "0")
    if claimed.isascii() and claimed.isdigit() and int(claimed) > limit:
        raise _too_big(limit)
    stream = aiter(request.stream())
    count = 0
    while True:
        try:
            chunk = await asyncio.wait_for(anext(stream), pause_s)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise rejected(
                "sender-too-slow",
                f"Nothing came for {pause_s:g} seconds.",
                "Send again; an upload goes on where it stopped.",
            ) from error
        except ClientDisconnect as error:
            raise rejected(
                "request-cut-short", "The body ended too early.", "Send it again."
            ) from error
        count += len(chunk)
        if count > limit:
            raise _too_big(limit)
        if chunk:
            yield chunk


async def read_json_body(request: Request, *, limit: int, seconds: float) -> object:
    """The JSON value of a body.

    Args:
        request: Whose body.
        limit: Most bytes.
        seconds: Longest pause of the sender, and half of the longest time for all of it [s].

    Raises:
        TensorloomError: As ``chunks``, or ``not-json``.
    """
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if kind.lower() != "application/json":
        raise rejected(
            "encoding-refused",
            f"The body is of type {kind[:60]!r}.",
            "Send JSON as application/json.",
        )
    data = bytearray()
    try:
        async with asyncio.timeout(2 * seconds):
            async for chunk in chunks(request, limit=limit, pause_s=seconds):
                data += chunk
    except TimeoutError as error:
        raise rejected(
            "sender-too-slow",
            f"The body took more than {2 * seconds:g} seconds.",
            "Send it faster, or in smaller parts.",
        ) from error
    if len(data) > LARGE_BODY_BYTES:
        return await asyncio.to_thread(_parsed, bytes(data))
    return _parsed(bytes(data))


def _parsed(data: bytes) -> object:
    value = read_json(data)
    try:
        canonical(value)
    except UnicodeEncodeError as error:
        raise DocumentError(
            "not-json",
            "A text in this JSON holds half of a surrogate pair.",
            "Write whole characters.",
        ) from error
    return value


def _too_big(limit: int) -> TensorloomError:
    return rejected(
        "request-too-big",
        f"The body has more than {limit} bytes.",
        "Send a smaller one; arrays are uploaded apart.",
        {"most": limit},
    )
