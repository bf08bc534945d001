"""The Dask workers: a cluster of our own on this machine, or one that is there already.

Our own listens on the loopback interface only and talks to nobody without its certificate; its
processes are started again when they die, and BLAS gets one thread per worker thread. A scheduler
elsewhere is found by its address
(``tcp://``, ``tls://``) or through a Dask Gateway (``gateway+https://…``); if it goes away, the
client waits a while and connects again; later calls find it with a new client. Nothing but this
package's own functions is ever sent.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, KilledWorker, LocalCluster
from distributed.client import ClosedClientError, FutureCancelledError
from distributed.security import Security
from distributed.system import MEMORY_LIMIT

from tensorloom.errors import DeviceMemoryError, WorkerUnreachable
from tensorloom_worker.execution.certificate import own_security
from tensorloom_worker.execution.left_sums import forget_left
from tensorloom_worker.execution.tasks import Parcel
from tensorloom_worker.execution.versions import check_versions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tensorloom_worker.execution.tasks import Job
    from tensorloom_worker.settings import Settings

__all__ = ["DASK", "WORKER_VARIABLES", "Delivery", "Pool"]

SHARE_OF_MEMORY = 0.7
"""Of the machine's memory that all workers together may use unless told; the rest is the
service's, the system's, and what malloc does not give back."""

LEAST_SEARCH_BYTES = 512 << 20
"""Python, cotengra and a network of some thousand tensors take less."""

KILLED_AGAIN = 3
"""How often a task is sent again after Dask has given it up for killing its workers."""

LOOK_SECONDS = 2.0
"""How often the workers are counted [s]."""

FIRST_SECONDS = 90.0
"""How long a scheduler elsewhere has to find a worker for a first call [s]."""

GATEWAY = "gateway+"

WORKER_VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BLIS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    # Intermediates come and go by the thousand: given back to the system and zeroed again for each
    # slice, they take much of the time of a slice that is bound by memory.
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
}

DASK = {
    "distributed.comm.timeouts.connect": "10s",
    "distributed.scheduler.allowed-failures": 10,
    "distributed.scheduler.work-stealing": False,
    # What its pages tell of tasks and logs is for nobody who happens to be on this machine.
    "distributed.scheduler.http.routes": ["distributed.http.health"],
    "distributed.worker.http.routes": ["distributed.http.health"],
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.98,
    "distributed.admin.tick.limit": "30s",
    # A cluster gives a worker up that is away 15 s after it was last lost, even if its nanny is
    # starting it for another reason then: killed twice in such a time, it never came back.
    "distributed.deploy.lost-worker-timeout": "365 days",
    # What nobody looks at here: samples of every thread's stack a hundred times a second and looks
    # at the clock fifty times. A laptop's processor slept too little, and slices ran slower.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.worker.memory.monitor-interval": "250ms",
}


@dataclass(slots=True)
class Delivery:
    """How workers learn of a job: a file they can read, or what was sent to them."""

    path: Path | None = None
    parcel: Parcel | None = None
    future: Any = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Pool:
    """The workers.

    Args:
        settings: Where they are, how many and how large.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cluster: Any = None
        self._client: Any = None
        self._number = itertools.count()
        self._seen: dict[str, Any] = {}
        self._looking: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._under_way = 0
        self._ended = -inf
        self.is_local = settings.scheduler == "local"

    async def start(self) -> None:
        """Start or find them; one at least is there when this returns.

        Raises:
            WorkerUnreachable: ``no-scheduler`` or ``workers-differ``.
        """
        # For the whole process: nannies read it later, when they start workers again.
        dask.config.set(DASK)
        if self.is_local:
            await self._start_local()
        else:
            await self._connect()
        with suppress(asyncio.TimeoutError):
            await self._client.wait_for_workers(1, timeout=30)
        if not self.is_local:
            await self._first_call()
        self._looking = asyncio.create_task(self._look(), name="look at the workers")
        await asyncio.sleep(0)

    async def _first_call(self) -> None:
        """A cluster that grows with its work has a worker once it is asked for something."""
        try:
            await asyncio.wait_for(self.call(int, priority=1), FIRST_SECONDS)
        except TimeoutError as error:
            await self._client.close()
            raise WorkerUnreachable(
                "no-scheduler",
                "The Dask scheduler answers, but it has no workers.",
                "Start Dask workers at its address, then this worker.",
            ) from error
        await check_versions(self._client)

    async def _start_local(self) -> None:
        dask.config.set({"distributed.nanny.pre-spawn-environ": WORKER_VARIABLES})
        settings = self._settings
        self._cluster = await LocalCluster(
            n_workers=settings.workers or CPU_COUNT,
            threads_per_worker=settings.threads,
            processes=True,
            host="127.0.0.1",
            security=await asyncio.to_thread(own_security),
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=self._process_limit(),
            asynchronous=True,
            silence_logs=logging.ERROR,
        )
        self._client = await Client(self._cluster, asynchronous=True)

    async def _connect(self) -> None:
        settings = self._settings
        address = settings.scheduler
        try:
            if address.startswith(GATEWAY):
                self._client = await _through_gateway(address.removeprefix(GATEWAY))
                return
            security = None
            if settings.scheduler_tls_ca:
                security = Security(
                    tls_ca_file=str(settings.scheduler_tls_ca),
                    tls_client_cert=str(settings.scheduler_tls_cert or ""),
                    tls_client_key=str(settings.scheduler_tls_key or ""),
                    require_encryption=True,
                )
            self._client = await Client(address, asynchronous=True, security=security)
        except (OSError, ValueError) as error:
            raise _no_scheduler() from error

    async def _present(self) -> Any:  # noqa: ANN401  # a Dask client
        """The client; a new one if Dask has closed it, as it does after a scheduler was away.

        Raises:
            WorkerUnreachable: ``no-scheduler``.
        """
        async with self._connecting:
            if _is_closed(self._client):
                if self.is_local:
                    self._client = await Client(self._cluster, asynchronous=True)
                else:
                    await self._connect()
            return self._client

    async def close(self) -> None:
        """Let go of them; our own are stopped."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
        if self._cluster is not None:
            await self._cluster.close()

    def _process_limit(self) -> int:
        """Most memory of a process, beyond what jobs may plan for: Python and libraries [bytes]."""
        return int(self.memory_bytes * 1.15) + (512 << 20)

    @property
    def memory_bytes(self) -> int:
        """Most memory that a job may plan for in one worker process [bytes]."""
        settings = self._settings
        if settings.max_memory_bytes_per_worker:
            return settings.max_memory_bytes_per_worker
        if self.is_local:
            return int(MEMORY_LIMIT * SHARE_OF_MEMORY / (settings.workers or CPU_COUNT))
        limits = [int(worker.get("memory_limit") or 0) for worker in self._workers().values()]
        return int(min((limit for limit in limits if limit), default=4 << 30) * SHARE_OF_MEMORY)

    @property
    def service_bytes(self) -> int:
        """Most memory that a job may take in the service itself: what workers leave [bytes]."""
        settings = self._settings
        share = MEMORY_LIMIT * SHARE_OF_MEMORY
        if self.is_local:
            left = MEMORY_LIMIT - (settings.workers or CPU_COUNT) * self.memory_bytes
            share = max(left, MEMORY_LIMIT * (1 - SHARE_OF_MEMORY))
        return int(share / settings.concurrent_jobs)

    @property
    def search_bytes(self) -> int:
        """Most memory of a search: what its thread leaves to it, but enough to begin [bytes]."""
        return max(LEAST_SEARCH_BYTES, self.memory_bytes // self.threads_per_worker)

    def _workers(self) -> dict[str, Any]:
        return self._seen

    async def _look(self) -> None:
        """Keeps track of which workers are there."""
        while True:
            # A client that is closed has no scheduler any more.
            with suppress(OSError, asyncio.TimeoutError, TypeError, AttributeError):
                if self._cluster is not None and self.is_local:
                    found = self._cluster.scheduler.identity(n_workers=-1)
                else:
                    found = await self._client.scheduler.identity(n_workers=-1)
                self._seen = dict(found.get("workers", {}))
            await asyncio.sleep(LOOK_SECONDS)

    @property
    def scheme(self) -> str:
        """``local``, or how the scheduler is reached; never where."""
        if self.is_local:
            return "local"
        return self._settings.scheduler.partition("://")[0]

    @property
    def n_workers(self) -> int:
        """Worker processes that are there now."""
        return len(self._workers())

    @property
    def n_hosts(self) -> int:
        """Machines that they are on, at least 1."""
        return max(1, len({worker.get("host") for worker in self._workers().values()}))

    @property
    def most_workers_per_host(self) -> int:
        """Worker processes of the machine that has most of them, at least 1."""
        if self.is_local:
            return self._settings.workers or CPU_COUNT
        hosts = Counter(worker.get("host") for worker in self._workers().values())
        return max(hosts.values(), default=1)

    @property
    def n_threads(self) -> int:
        """Threads over all of them, at least 1."""
        threads = sum(int(worker["nthreads"]) for worker in self._workers().values())
        if threads == 0 and self.is_local:
            threads = (self._settings.workers or CPU_COUNT) * self._settings.threads
        return max(1, threads)

    @property
    def threads_per_worker(self) -> int:
        """Tasks that run at once in the process that runs most of them, at least 1."""
        if self.is_local:
            return self._settings.threads
        return max((int(worker["nthreads"]) for worker in self._workers().values()), default=1)

    @property
    def idle_seconds(self) -> float:
        """How long nobody has waited for a worker [s]."""
        return 0.0 if self._under_way else monotonic() - self._ended

    async def call(
        self,
        function: Callable[..., Any],
        *arguments: Any,  # noqa: ANN401  # of any function
        priority: int = 0,
    ) -> Any:  # noqa: ANN401  # of any function
        """What the function gives on one of the workers; sent again if that one dies.

        Raises:
            WorkerUnreachable: ``worker-lost`` if it dies again and again; ``no-scheduler``.
        """
        return await self._called(await self._present(), function, *arguments, priority=priority)

    async def _called(
        self,
        client: Any,  # noqa: ANN401  # of Dask
        function: Callable[..., Any],
        *arguments: Any,  # noqa: ANN401  # of any function
        priority: int = 0,
    ) -> Any:  # noqa: ANN401  # of any function
        self._under_way += 1
        try:
            return await self._sent(client, function, *arguments, priority=priority)
        finally:
            self._under_way -= 1
            self._ended = monotonic()

    async def _sent(
        self,
        client: Any,  # noqa: ANN401  # of Dask
        function: Callable[..., Any],
        *arguments: Any,  # noqa: ANN401  # of any function
        priority: int,
    ) -> Any:  # noqa: ANN401  # of any function
        for _ in range(KILLED_AGAIN):
            # One that is being closed would take the call, and never send it.
            if _is_closed(client):
                raise _no_scheduler()
            future = client.submit(
                function,
                *arguments,
                key=f"{function.__name__}-{os.getpid()}-{next(self._number)}",
                pure=False,
                priority=priority,
            )
            # Dask fetches results of several callers at once: one that is broken off while the
            # others wait takes every later result of this client with it. So none is.
            waiting = asyncio.ensure_future(_awaited(future))
            try:
                return await asyncio.shield(waiting)
            except (KilledWorker, FutureCancelledError):
                continue
            except asyncio.CancelledError:
                waiting.add_done_callback(_heard)
                with suppress(Exception):
                    await future.cancel()
                raise
            except MemoryError as error:
                raise DeviceMemoryError(
                    "out-of-memory",
                    "A worker ran out of memory.",
                    "Give the job less memory per worker, so that it is cut into more slices.",
                ) from error
            except ClosedClientError as error:
                raise _no_scheduler() from error
        if _is_closed(client):
            raise _no_scheduler()
        raise WorkerUnreachable(
            "worker-lost",
            "The worker processes died again and again while they ran a task of this job.",
            "They may have run out of memory: give the job less memory per worker.",
        )

    async def parcel(self, job: Job, folder: Path) -> Delivery:
        """Makes a job known to the workers: by a file, or by sending it where none is shared."""
        text = await asyncio.to_thread(_text, job)
        if self.is_local:
            path = folder / f"{next(self._number)}-{sha256(text.encode()).hexdigest()[:16]}.json"
            await asyncio.to_thread(path.write_text, text)
            return Delivery(path=path)
        files = {
            ref.sha256: await asyncio.to_thread(ref.path.read_bytes) for ref in job.arrays.values()
        }
        delivery = Delivery(parcel=Parcel(text=text, files=files))
        await self._scatter(delivery, await self._present())
        return delivery

    async def _scatter(
        self,
        delivery: Delivery,
        client: Any,  # noqa: ANN401  # of Dask
    ) -> None:
        async with delivery.lock:
            try:
                delivery.future = await client.scatter(delivery.parcel, broadcast=True, hash=False)
            except (OSError, ClosedClientError) as error:
                raise _no_scheduler() from error

    def forget(self, delivery: Delivery) -> None:
        """Takes a job from the workers again."""
        if delivery.path is not None:
            delivery.path.unlink(missing_ok=True)
            forget_left(delivery.path)
        delivery.future = None

    async def deliver(
        self,
        function: Callable[..., Any],
        delivery: Delivery,
        *arguments: Any,  # noqa: ANN401  # of any function
    ) -> Any:  # noqa: ANN401  # of any function
        """What the function gives for a job; the job is sent again if all who had it died.

        Raises:
            WorkerUnreachable: ``worker-lost`` or ``no-scheduler``.
        """
        if delivery.path is not None:
            return await self.call(function, str(delivery.path), *arguments)
        for attempt in range(KILLED_AGAIN):
            client, future = await self._present(), delivery.future
            if future.client is not client:
                # What another client has sent is gone with it; the job begins with a new one.
                raise _no_scheduler()
            try:
                return await self._called(client, function, future, *arguments)
            except WorkerUnreachable as error:
                if attempt == KILLED_AGAIN - 1 or error.code == "no-scheduler":
                    raise
                if delivery.future is future:
                    await self._scatter(delivery, client)
        raise AssertionError


def _text(job: Job) -> str:
    return json.dumps(job.to_json(), separators=(",", ":"))


def _is_closed(client: Any) -> bool:  # noqa: ANN401  # of Dask
    return client.status in {"closing", "closed"}


def _no_scheduler() -> WorkerUnreachable:
    return WorkerUnreachable(
        "no-scheduler",
        "The Dask scheduler does not answer.",
        "Check its address and that it runs, or leave --scheduler out.",
    )


async def _awaited(future: Any) -> Any:  # noqa: ANN401  # of Dask
    return await future


def _heard(waiting: asyncio.Future[Any]) -> None:
    """Takes note of how it ended, so that nobody is told of an error that is nobody's."""
    if not waiting.cancelled():
        waiting.exception()


async def _through_gateway(address: str) -> Any:  # noqa: ANN401  # a Dask client
    """A client of the newest running cluster of a Dask Gateway."""
    try:
        from dask_gateway import (  # type: ignore[import-not-found]  # noqa: PLC0415  # optional
            Gateway,
        )
    except ImportError as error:
        raise WorkerUnreachable(
            "no-scheduler",
            "The package dask-gateway is not installed.",
            "Install dask-gateway, or give the address of a scheduler.",
        ) from error
    gateway = Gateway(address=address, asynchronous=True)
    running = await gateway.list_clusters()
    if not running:
        # A new one would have no workers until somebody scales it.
        raise WorkerUnreachable(
            "no-scheduler",
            "The Dask Gateway has no running cluster.",
            "Make one with the gateway's client, scale it, and start again.",
        )
    cluster = await gateway.connect(running[-1].name)
    return await cluster.get_client()
