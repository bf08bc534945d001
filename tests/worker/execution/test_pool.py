"""The Dask cluster of our own: who may talk to it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from distributed import Client
from distributed.core import connect

from tensorloom_worker.execution.certificate import own_security

if TYPE_CHECKING:
    from conftest import Cluster

HUNG_UP = "Timed out|closed|does not match"


def addresses_of(cluster: Cluster) -> list[str]:
    """Every port that Dask listens on: of the scheduler, the workers and their nannies."""
    scheduler = cluster.executor.pool._cluster.scheduler
    workers = scheduler.workers.values()
    found = [scheduler.address, *(w.address for w in workers), *(w.nanny for w in workers)]
    assert len(found) == 5
    return found


def gullible(*, certificate: bool) -> dict[str, Any]:
    """How somebody connects who takes any certificate, and shows another one or none."""
    found: dict[str, Any] = own_security().get_connection_args("client")
    if not certificate:
        found["ssl_context"] = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found["ssl_context"].check_hostname = False
    found["ssl_context"].verify_mode = ssl.CERT_NONE
    return found


def test_a_client_without_the_certificate_is_refused(cluster: Cluster) -> None:
    async def submit(address: str, **more: Any) -> None:
        async with Client(address, asynchronous=True, timeout="1s", **more) as stranger:
            await stranger.submit(sum, (1, 2))

    address = cluster.executor.pool._cluster.scheduler.address
    plain = address.replace("tls://", "tcp://")
    for wrong, more in ((plain, {}), (address, {"security": own_security()})):
        with pytest.raises(OSError, match=HUNG_UP):
            cluster.do(submit(wrong, **more))


def test_no_port_talks_to_who_has_another_certificate_or_none(cluster: Cluster) -> None:
    ours = cluster.executor.pool._cluster.security.get_connection_args("client")

    async def greet(address: str, patience_s: float, **more: Any) -> None:
        comm = await connect(address, timeout=patience_s, **more)
        await comm.close()

    for address in addresses_of(cluster):
        assert address.startswith("tls://127.0.0.1:")
        cluster.do(greet(address, 10, **ours))
        for wrong, more in (
            (address.replace("tls://", "tcp://"), {}),
            (address, gullible(certificate=True)),
            (address, gullible(certificate=False)),
        ):
            with pytest.raises(OSError, match=HUNG_UP):
                cluster.do(greet(wrong, 0.5, **more))


def test_pages_of_scheduler_and_workers_tell_nothing(cluster: Cluster) -> None:
    scheduler = cluster.executor.pool._cluster.scheduler
    workers = [worker.services["dashboard"] for worker in scheduler.workers.values()]
    assert len(workers) == 2
    for port in (scheduler.http_server.port, *workers):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            assert client.get("/health").status_code == 200
            for page in (
                "/status",
                "/info/main/workers.html",
                "/json/counts.json",
                "/metrics",
                "/statics/css/base.css",
            ):
                assert client.get(page).status_code == 404, page
