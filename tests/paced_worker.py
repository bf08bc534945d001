"""The real service in this process, on a real port, which computes one task when the test says so.

Everything but Dask is in earnest: HTTP, database, uploads, streams, the ledger.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from doubles import TASKS, LocalExecutor

from tensorloom_worker.app import WorkerApp
from tensorloom_worker.server import server_of
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["TASKS", "PacedWorker", "paced_worker"]

START_S = 30


class PacedWorker:
    """A running service whose jobs wait before each of their ``TASKS``.

    Args:
        app: The service's.
        address: Where it answers.
    """

    def __init__(self, app: WorkerApp, address: str, loop: asyncio.AbstractEventLoop) -> None:
        executor = app.service.executor
        assert isinstance(executor, LocalExecutor)
        self.address = address
        self.token = app.service.first_token or ""
        self.executor = executor
        self._loop = loop
        executor.fail = self._close

    def step(self) -> None:
        """Let the job that waits compute one task."""
        self._loop.call_soon_threadsafe(self.executor.gate.set)

    def _close(self, _job: str, _task: int) -> None:
        """Asked by the executor when the gate has let it through."""
        self.executor.gate.clear()


@contextmanager
def paced_worker(folder: Path) -> Iterator[PacedWorker]:
    """A service on a data folder that lives as long as the block."""
    settings = Settings(data_folder=folder, port=0, log_level="error")
    app = WorkerApp(settings, LocalExecutor)
    ports: list[int] = []
    started = threading.Event()

    def ready(port: int) -> None:
        ports.append(port)
        started.set()

    server = server_of(app, settings, ready)
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        await app.service.start()
        app.service.keep_first_token()
        try:
            await server.serve()
        finally:
            await app.service.close()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()], daemon=True)
    thread.start()
    try:
        assert started.wait(START_S)
        worker = PacedWorker(app, f"http://127.0.0.1:{ports[0]}", loop)
        worker.executor.gate.clear()
        yield worker
    finally:
        # Streams are ended first, or it would wait for them.
        loop.call_soon_threadsafe(server.handle_exit, 15, None)
        thread.join(START_S)
        loop.close()
