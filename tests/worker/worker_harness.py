"""The service as tests use it: in this process through its ASGI app, or as a process of its own."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import re
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from doubles import LocalExecutor

from tensorloom_worker import security
from tensorloom_worker.app import WorkerApp
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tensorloom_worker.ledger import Executor

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PATIENCE_S = 60.0


def document(*, title: str = "A product", dimension: int = 4) -> dict[str, Any]:
    """Two random tensors that meet in one index; the value has three elements."""
    arrays = [{"kind": "random", "seed": seed, "distribution": "normal"} for seed in (1, 2)]
    return {
        "tensorloom": 1,
        "title": title,
        "dtype": "float64",
        "tensors": [
            {"id": "a", "name": "A", "indices": ["i", "j"], "array": arrays[0]},
            {"id": "b", "name": "B", "indices": ["j"], "array": arrays[1]},
        ],
        "dimensions": {"i": 3, "j": dimension},
        "output": ["i"],
        "marks": {"a": {"x": 0, "y": 0}, "b": {"x": 90, "y": 0}},
    }


def scalar_document() -> dict[str, Any]:
    """The same, summed over its open index."""
    return {**document(), "output": []}


def contraction(**more: Any) -> dict[str, Any]:
    return {"kind": "contract", "document": document(), **more}


def npy(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(kw_only=True)
class Worker:
    """A running service and a client with its token."""

    app: WorkerApp
    client: httpx.AsyncClient
    token: str

    @property
    def executor(self) -> LocalExecutor:
        found = self.app.service.executor
        assert isinstance(found, LocalExecutor)
        return found

    def second_client(self, name: str = "second") -> httpx.AsyncClient:
        """A client with a token of its own."""
        token = security.new_token()
        self.app.service.store.put_token(name, security.hash_token(token))
        return client_of(self.app, token)

    async def submit(self, **more: Any) -> str:
        answer = await self.client.post("/v1/jobs", json=contraction(**more))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def upload(self, data: bytes, client: httpx.AsyncClient | None = None) -> str:
        name = sha(data)
        answer = await (client or self.client).patch(
            f"/v1/arrays/{name}?length={len(data)}", content=data, headers={"Upload-Offset": "0"}
        )
        assert answer.status_code == 204, answer.text
        return name

    async def finished(self, job: str) -> dict[str, Any]:
        """The job when it is final."""
        async with asyncio.timeout(PATIENCE_S):
            stream = await self.client.get(f"/v1/jobs/{job}/events")
        assert stream.status_code == 200
        found = await self.client.get(f"/v1/jobs/{job}")
        assert found.json()["state"] in {"done", "failed", "cancelled"}
        return dict(found.json())

    async def until(self, job: str, state: str, *, noted: bool = False) -> dict[str, Any]:
        """The job as soon as it is in this state, with a note if one is asked for."""
        subscription = self.app.service.hub.subscribe(1, job)
        try:
            async with asyncio.timeout(PATIENCE_S):
                found = (await self.client.get(f"/v1/jobs/{job}")).json()
                events = subscription.events(heartbeat_s=PATIENCE_S, alive=lambda: True)
                while found["state"] != state or (noted and "note" not in found):
                    event = await anext(events)
                    assert event is not None
                    found = event.data
        finally:
            self.app.service.hub.leave(subscription)
        return dict(found)


def client_of(app: WorkerApp, token: str | None) -> httpx.AsyncClient:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:8765", headers=headers)


@asynccontextmanager
async def worker(
    folder: Path,
    *,
    token: str | None = None,
    executor: Callable[[Settings], Executor] = LocalExecutor,
    **settings: Any,
) -> AsyncIterator[Worker]:
    """A service on a data folder; its jobs go on when it is started there again."""
    app = WorkerApp(Settings(data_folder=folder, **settings), executor)
    await app.service.start()
    app.service.keep_first_token()
    known = token or app.service.first_token
    if known is None:
        known = security.new_token()
        app.service.store.put_token("owner", security.hash_token(known))
    client = client_of(app, known)
    try:
        yield Worker(app=app, client=client, token=known)
    finally:
        await client.aclose()
        await app.service.close()


@dataclass(kw_only=True)
class Process:
    """The service as a process of its own, with the executor of ``doubles`` unless told otherwise.

    Args:
        folder: The data folder.
        flags: More flags.
        dask: Whether to compute on Dask.
        wrap: Command before the interpreter.
    """

    folder: Path
    flags: tuple[str, ...] = ()
    dask: bool = False
    wrap: tuple[str, ...] = ()
    token: str = ""
    address: str = ""
    greeting: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None

    def start(self) -> Process:
        """Start it, and return when it takes requests."""
        script = ["-m", "tensorloom_worker"] if self.dask else [str(HERE / "serve_double.py")]
        command = [*self.wrap, sys.executable, *script, "--data", str(self.folder), "--port", "0"]
        path = os.pathsep.join(str(ROOT / name) for name in ("app", "workers"))
        self.greeting = []
        log = self.folder.with_name(f"{self.folder.name}.log").open("a")
        with log:
            self.process = subprocess.Popen(
                [*command, *self.flags],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.greeting.append(line.rstrip("\n"))
            if found := re.match(r"The heavy worker is at (\S+)", line):
                self.address = found[1]
            if found := re.search(r"Token .*: (\S+)", line):
                self.token = found[1]
            if line.startswith("Stop with"):
                return self
        raise AssertionError(f"The service did not start:\n{self.log}")

    @property
    def log(self) -> str:
        return self.folder.with_name(f"{self.folder.name}.log").read_text()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def client(self, **more: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.address, headers=headers, timeout=PATIENCE_S, **more)

    def kill(self) -> None:
        """Without any warning."""
        assert self.process is not None
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        """As a service manager does; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def _reap(self) -> int:
        assert self.process is not None
        status = self.process.wait(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status
