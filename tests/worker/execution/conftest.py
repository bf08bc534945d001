"""One small cluster of real processes for all tests of the execution."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from dask_jobs import begun, close

from tensorloom_worker.execution.executor import Executor
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator


class Cluster:
    """An executor with a loop of its own, so that tests of any kind can use it."""

    def __init__(self, settings: Settings) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.executor = Executor(settings)
        self.do(self.executor.start())

    def do(self, work: Coroutine[Any, Any, Any], timeout: float = 120.0) -> Any:
        """The result of a coroutine that runs in the cluster's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Calls a function in that loop, soon."""
        self.loop.call_soon_threadsafe(function, *arguments)

    @property
    def thread_name(self) -> str:
        """Of the thread that its loop runs in."""
        return self._thread.name

    def close(self) -> None:
        self.do(self.executor.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Cluster]]:
    """Starts a cluster with so many workers; all are stopped at the end."""
    started: list[Cluster] = []

    def begin(**settings: Any) -> Cluster:
        folder = tmp_path_factory.mktemp("cluster")
        started.append(Cluster(Settings(data_folder=folder, **settings)))
        return started[-1]

    yield begin
    for cluster in started:
        cluster.close()


@pytest.fixture(scope="session")
def cluster(start: Callable[..., Cluster]) -> Cluster:
    """Two worker processes, which all tests share."""
    return start(workers=2)


@pytest.fixture(scope="session")
def elsewhere(cluster: Cluster) -> Iterator[str]:
    """Address of a scheduler with one worker, which somebody else has started."""

    running = cluster.do(begun(0))
    yield running.scheduler_address
    cluster.do(close(running))


@pytest.fixture
def many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short tasks, so that a small job has many."""
    monkeypatch.setattr("tensorloom_worker.execution.contractors.LEAST_TASK_SECONDS", 1e-7)
    monkeypatch.setattr("tensorloom_worker.execution.contractors.FEW_TASKS", 10**9)
