"""Rates are measured again, and one bad moment does not decide what is estimated."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tensorloom_worker.execution.costs import TYPICAL, Rates
from tensorloom_worker.execution.executor import (
    MEASURED_AGAIN,
    MEASURED_LAST,
    MEASURED_SOON,
    Executor,
)
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_rates_are_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Executor(Settings(data_folder=tmp_path))
    now = 0.0
    asked: list[int] = []

    async def call(_function: Any, _dtype: str, *, priority: int = 0) -> Rates:
        await asyncio.sleep(0)
        asked.append(priority)
        # The machine was a hundred times slower when the service started.
        return replace(TYPICAL, call_s=1.0 if len(asked) == 1 else 0.01)

    monkeypatch.setattr(executor.pool, "call", call)
    monkeypatch.setattr(executor, "_clock", lambda: now)

    async def estimates(seconds: float) -> float:
        """The price of a call in an estimate so much later, once nothing is under way."""
        nonlocal now
        now += seconds
        for _ in range(3):
            await executor._measured("float64")
        await asyncio.gather(*executor._measuring.values())
        return executor._rates["float64"].call_s

    async def story() -> None:
        assert await estimates(0) == 1.0
        assert asked == [10]
        assert await estimates(MEASURED_SOON - 1) == 1.0
        assert len(asked) == 1
        for _ in range(MEASURED_LAST - 1):
            last = await estimates(MEASURED_SOON + 1)
        assert last == 0.01
        # Later ones wait for whatever else there is to do, and come seldom.
        assert asked == [10, *[-10] * (MEASURED_LAST - 1)]
        _ = await estimates(MEASURED_SOON + 1)
        assert len(asked) == MEASURED_LAST
        _ = await estimates(MEASURED_AGAIN)
        assert len(asked) == MEASURED_LAST + 1

    asyncio.run(story())
