"""Serving the app: uvicorn with limits on slow and half-open connections, and a clean stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable
    from types import FrameType

    from tensorloom_worker.app import WorkerApp
    from tensorloom_worker.settings import Settings

__all__ = ["Server", "server_of"]

HEAD_S = 15.0
"""Longest time until the head of the first request is here [s]."""

KEEP_ALIVE_S = 30
MAX_CONNECTIONS = 512
MAX_HEAD_BYTES = 32 * 1024
STOP_S = 15


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that hangs up on clients which connect and then say nothing, or very little."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401  # base class's own
        """Start to wait for the head of a request."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_S, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait."""
        if self._head_timer is not None:
            self._head_timer.cancel()
        super().connection_lost(exc)

    def _hang_up(self) -> None:
        transport: Any = self.transport  # both are set by then, whatever the annotations say
        cycle: Any = self.cycle
        if cycle is None and not transport.is_closing():
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
    """A server of the app, not yet started."""
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
    return Server(config, app, ready)
