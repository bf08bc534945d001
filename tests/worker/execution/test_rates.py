"""Rates are measured again, and one bad moment does not decide what is estimated."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

from tensorloom_worker.execution.costs import TYPICAL, Rates, measured, median_of
from tensorloom_worker.execution.pool import Pool
from tensorloom_worker.execution.rates import AGAIN, LAST, SOON, Measurements
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_rates_are_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tensorloom_worker.execution.rates.IDLE_SECONDS", 0.01)
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


def test_a_later_measurement_lets_a_job_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes half a second of a worker, which a job that begins would wait for."""
    monkeypatch.setattr("tensorloom_worker.execution.rates.IDLE_SECONDS", 0.3)
    now = 0.0
    pool = Pool(Settings(data_folder=tmp_path))
    rates = Measurements(pool, measured, median_of, lambda: now)
    sent: list[str] = []

    async def story() -> None:
        nonlocal now
        end = asyncio.Event()

        async def send(_client: Any, function: Any, *_arguments: Any, priority: int) -> Any:
            sent.append(f"{function.__name__} {priority}")
            if function is measured:
                return TYPICAL
            await end.wait()
            return None

        async def present() -> None:
            pass

        monkeypatch.setattr(pool, "_sent", send)
        monkeypatch.setattr(pool, "_present", present)
        await rates.ready("float64")
        now += SOON + 1
        # The workers have had nothing to do. As the executor does: it asks for rates, plans, and
        # then has its tasks done.
        monkeypatch.setattr(pool, "_ended", -inf)
        await rates.ready("float64")
        await asyncio.sleep(0)
        job = asyncio.create_task(pool.call(story))
        await asyncio.sleep(0.7)
        assert sent == ["measured 10", "story 0"]
        assert pool.idle_seconds == 0
        end.set()
        await job
        assert 0 < pool.idle_seconds < inf
        await asyncio.gather(*rates._running.values())
        assert sent == ["measured 10", "story 0", "measured -10"]

    asyncio.run(story())
