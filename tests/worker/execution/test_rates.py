"""Rates are measured again, and one bad moment does not decide what is estimated."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tensorloom_worker.execution.costs import TYPICAL, Rates, measured, median_of
from tensorloom_worker.execution.pool import Pool
from tensorloom_worker.execution.rates import AGAIN, LAST, SOON, Measurements
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_rates_are_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    pool = Pool(Settings(data_folder=tmp_path))
    rates = Measurements(pool, measured, median_of, lambda: now)
    asked: list[int] = []

    async def call(_function: Any, _dtype: str, *, priority: int = 0) -> Rates:
        await asyncio.sleep(0)
        asked.append(priority)
        # The machine was a hundred times slower when the service started.
        return replace(TYPICAL, call_s=1.0 if len(asked) == 1 else 0.01)

    monkeypatch.setattr(pool, "call", call)

    async def estimates(seconds: float) -> float:
        """The price of a call in an estimate so much later, once nothing is under way."""
        nonlocal now
        now += seconds
        for _ in range(3):
            await rates.ready("float64")
        await asyncio.gather(*rates._running.values())
        found = rates.of("float64")
        assert found is not None
        return found.call_s

    async def story() -> None:
        assert await estimates(0) == 1.0
        assert asked == [10]
        assert await estimates(SOON - 1) == 1.0
        assert len(asked) == 1
        for _ in range(LAST - 1):
            last = await estimates(SOON + 1)
        assert last == 0.01
        # Later ones wait for whatever else there is to do, and come seldom.
        assert asked == [10, *[-10] * (LAST - 1)]
        _ = await estimates(SOON + 1)
        assert len(asked) == LAST
        _ = await estimates(AGAIN)
        assert len(asked) == LAST + 1

    asyncio.run(story())
