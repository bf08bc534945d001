"""Streams of job changes."""

from __future__ import annotations

import asyncio

import pytest

from tensorloom_worker.events import Hub
from tensorloom_worker.records import Event

pytestmark = pytest.mark.asyncio


async def test_a_stream_ends_with_its_token_however_much_there_is_to_tell() -> None:
    subscription = Hub(1).subscribe(1)

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
