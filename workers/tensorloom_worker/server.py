"""Serving the app: uvicorn with limits on slow and half-open connections, and a clean stop."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import FrameType

    from tensorloom_worker.app import WorkerApp
    from tensorloom_worker.settings import Settings

__all__ = ["Server", "check_place", "server_of"]

HEAD_S = 15.0
"""Longest time until the head of a request is here [s]."""

KEEP_ALIVE_S = 30
MAX_CONNECTIONS = 512
MAX_HEAD_BYTES = 32 * 1024
STOP_S = 15


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that hangs up on clients which connect and then say nothing, or very little.

    A head, the first or a later one, and what is left of a body that was refused have ``HEAD_S``
    to come. Uvicorn's own timer waits for the next request alone, and any byte ends it.
    """

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401  # base class's own
        """Start to wait for the head of a request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Wait for the rest, unless a request is being answered."""
        super().data_received(data)
        if self._is_answering:
            self._wait_no_longer()
        elif self._head_timer is None:
            self._wait()

    def on_response_complete(self) -> None:
        """Leave the time to the next request to uvicorn."""
        self._wait_no_longer()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait."""
        self._wait_no_longer()
        super().connection_lost(exc)

    @property
    def _is_answering(self) -> bool:
        cycle: Any = self.cycle  # set by the first request, whatever the annotation says
        return cycle is not None and not cycle.response_complete

    def _wait(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_S, self._hang_up)

    def _wait_no_longer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _hang_up(self) -> None:
        self._head_timer = None
        transport: Any = self.transport  # set by then, whatever the annotation says
        if not self._is_answering and not transport.is_closing():
            transport.close()


class Server(uvicorn.Server):
    """Ends the streams first when it is told to stop; otherwise it would wait for them.

    Args:
        config: Uvicorn's.
        app: What it serves.
        ready: Called with the port when requests are taken.
    """

    def __init__(
        self, config: uvicorn.Config, app: WorkerApp, ready: Callable[[int], None]
    ) -> None:
        super().__init__(config)
        self._worker = app
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind, then say so."""
        await super().startup(sockets)
        if self.started:
            self._ready(self.servers[0].sockets[0].getsockname()[1])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; a second signal does not wait."""
        super().handle_exit(sig, frame)
        self._worker.service.hub.hang_up()


def server_of(app: WorkerApp, settings: Settings, ready: Callable[[int], None]) -> Server:
    """A server of the app, not yet started.

    Raises:
        ValueError: Certificate or key cannot be used.
    """
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        date_header=False,
        log_level=settings.log_level,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
        limit_concurrency=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )
    try:
        config.load()
    except ssl.SSLError as error:
        raise ValueError(
            "--tls-cert and --tls-key cannot be used: they are no certificate and key in PEM, do "
            "not belong together, or the key has a password."
        ) from error
    return Server(config, app, ready)


def check_place(settings: Settings) -> None:
    """Nothing, when the service can listen at its address, before anything slow is started.

    Raises:
        ValueError: There is no such address, or it is taken.
    """
    host, port = settings.host, settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"This machine has no address {host}; see --host.") from error
    reasons = [_bound(family, place) for family, _, _, _, place in found]
    if errno.EADDRINUSE in reasons:
        raise ValueError(
            f"Port {port} is taken at {host}, perhaps by another heavy worker. Stop it, or give "
            "another one with --port."
        )
    if None not in reasons:
        reason = os.strerror(reasons[0] or 0)
        raise ValueError(f"It cannot listen at {host}, port {port}: {reason}.")


def _bound(family: int, place: Any) -> int | None:  # noqa: ANN401  # as the system writes it
    """Why the server could not listen there, as a number of the system; ``None`` if it can."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As asyncio does: what another program has left may be taken, what it has may not.
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(place)
    except OSError as error:
        return error.errno
    return None
