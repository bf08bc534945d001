"""Fixtures of the worker tier: a service in this process, and services as processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from worker_harness import Process, Worker, worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests that share a cluster last.

    Its client stays in this process and draws random numbers in its own thread; Hypothesis takes
    that for strategies that do so, and refuses their tests.
    """
    items.sort(key=lambda item: item.path.parent.name == "execution")


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[Worker]:
    async with worker(tmp_path / "data") as found:
        yield found


@pytest.fixture
def process_of(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts a service on ``data`` below the test's folder; those still alive are ended."""
    started: list[Process] = []

    def start(*flags: str, **more: object) -> Process:
        found = Process(folder=tmp_path / "data", flags=flags, **more).start()  # type: ignore[arg-type]
        started.append(found)
        return found

    yield start
    for found in started:
        if found.process is not None and found.process.poll() is None:
            found.kill()
