"""A scheduler of somebody else's that is away, comes back, or has no workers that fit."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import dask
import pytest
from dask_jobs import begun, close, ring, run, sliced_request
from distributed import Client

from tensorloom.errors import WorkerUnreachable
from tensorloom_worker import VERSION
from tensorloom_worker.execution import pool as pool_module
from tensorloom_worker.execution import versions
from tensorloom_worker.execution.pool import Pool
from tensorloom_worker.execution.tasks import Job
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Cluster


def test_jobs_go_on_after_a_scheduler_was_away(
    cluster: Cluster, start: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tensorloom_worker.execution.adding.SMALL_CALLS", 0)
    request = sliced_request(ring(6, 3), "x0")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = cluster.do(begun(port))
    far = start(scheduler=running.scheduler_address)
    first = run(far, request)
    lost = far.executor.pool._client
    lost._timeout = 0.5
    under_way = asyncio.run_coroutine_threadsafe(far.executor.pool.call(time.sleep, 2), far.loop)
    cluster.do(close(running))
    with pytest.raises(WorkerUnreachable, match="does not answer"):
        under_way.result(30)
    with dask.config.set({"distributed.comm.timeouts.connect": "500ms"}):
        for _ in range(2):
            with pytest.raises(WorkerUnreachable) as caught:
                run(far, request)
            assert caught.value.code == "no-scheduler"
    assert lost.status == "closed"
    running = cluster.do(begun(port))
    try:
        assert run(far, request).array.tobytes() == first.array.tobytes()
    finally:
        far.do(far.executor.pool._client._close())
        cluster.do(close(running))


def test_a_scheduler_without_workers_is_named(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "FIRST_SECONDS", 0.2)
    monkeypatch.setattr(Client, "wait_for_workers", none_came)
    running = cluster.do(begun(0, n_workers=0))
    settings = Settings(data_folder=tmp_path, scheduler=running.scheduler_address)
    with pytest.raises(WorkerUnreachable, match="it has no workers") as caught:
        cluster.do(Pool(settings).start())
    assert caught.value.code == "no-scheduler"
    cluster.do(close(running))


async def none_came(_client: Client, _count: int, **_more: float) -> None:
    raise TimeoutError


def test_a_scheduler_that_is_not_there_is_named(cluster: Cluster, tmp_path: Path) -> None:
    async def connect() -> None:
        with dask.config.set({"distributed.comm.timeouts.connect": "200ms"}):
            settings = Settings(data_folder=tmp_path, scheduler="tcp://127.0.0.1:9")
            await Pool(settings)._connect()

    with pytest.raises(WorkerUnreachable) as caught:
        cluster.do(connect())
    assert caught.value.code == "no-scheduler"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PLACE", "tensorloom_elsewhere:VERSION", "The Dask scheduler has no tensorloom."),
        ("VERSION", "99.0", f"The Dask scheduler has tensorloom {VERSION}, not 99.0."),
    ],
)
def test_a_cluster_with_another_version_of_the_package_or_none_are_named(
    cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    message: str,
) -> None:
    monkeypatch.setattr(versions, name, value)
    running = cluster.do(begun(0))
    settings = Settings(data_folder=tmp_path, scheduler=running.scheduler_address)
    with pytest.raises(WorkerUnreachable) as caught:
        cluster.do(Pool(settings).start())
    assert (caught.value.code, caught.value.message) == ("workers-differ", message)
    cluster.do(close(running))


def test_workers_alone_with_another_version_are_named(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def same(_client: Client, _function: object, _place: str) -> str:
        return VERSION

    async def older(_client: Client, _function: object, _place: str, *, on_error: str) -> Any:
        assert on_error == "return"
        return {"one": VERSION, "gone": OSError(), "another": "0.0.1"}

    monkeypatch.setattr(Client, "run_on_scheduler", same)
    monkeypatch.setattr(Client, "run", older)
    running = cluster.do(begun(0))
    settings = Settings(data_folder=tmp_path, scheduler=running.scheduler_address)
    with pytest.raises(WorkerUnreachable, match=r"Dask workers have tensorloom 0\.0\.1, not"):
        cluster.do(Pool(settings).start())
    cluster.do(close(running))


def test_a_job_of_another_version_is_not_computed_by_workers_that_come_later() -> None:
    job = Job(
        request={},
        arrays={},
        plan={},
        most_elements=1,
        backend="numpy",
        peak_bytes=1,
        memory_bytes=1,
    ).to_json()
    assert Job.from_json(job).backend == "numpy"
    with pytest.raises(WorkerUnreachable) as caught:
        Job.from_json({**job, "version": "99.0"})
    assert caught.value.message == f"Dask workers have tensorloom {VERSION}, not 99.0."


class Gateway:
    """A Dask Gateway as its own client shows it, in front of clusters of this process."""

    clusters: ClassVar[list[Any]] = []

    def __init__(self, *, address: str, asynchronous: bool) -> None:
        assert (address, asynchronous) == ("https://gateway.example", True)

    async def list_clusters(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=place) for place, _ in enumerate(self.clusters)]

    async def connect(self, name: int) -> SimpleNamespace:
        address = self.clusters[name].scheduler_address

        async def get_client() -> Client:
            return await Client(address, asynchronous=True)

        return SimpleNamespace(get_client=get_client)


def test_the_newest_cluster_of_a_gateway_is_used_and_none_is_made(
    cluster: Cluster,
    start: Callable[..., Cluster],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tensorloom_worker.execution.adding.SMALL_CALLS", 0)
    monkeypatch.setitem(sys.modules, "dask_gateway", SimpleNamespace(Gateway=Gateway))
    address = "gateway+https://gateway.example"
    with pytest.raises(WorkerUnreachable, match="no running cluster"):
        cluster.do(Pool(Settings(data_folder=tmp_path, scheduler=address)).start())
    running = cluster.do(begun(0))
    monkeypatch.setattr(Gateway, "clusters", [running])
    far = start(scheduler=address)
    request = sliced_request(ring(6, 3), "x0")
    assert run(far, request).array.tobytes() == run(cluster, request).array.tobytes()
    far.do(far.executor.pool._client._close())
    cluster.do(close(running))
