"""A local server for the built site: right types, a prefix, and no special headers."""

from __future__ import annotations

import http.server
import socket
import sys
import threading
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from sitebuild import SiteError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Handler", "background", "forever"]

TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".json": "application/json",
    ".css": "text/css",
    ".html": "text/html; charset=utf-8",
    ".woff2": "font/woff2",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
    ".gz": "application/octet-stream",
    ".zip": "application/zip",
}


class Handler(http.server.SimpleHTTPRequestHandler):
    """Static files below a prefix."""

    protocol_version = "HTTP/1.1"
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, **TYPES}  # noqa: RUF012  # base class's own way

    def __init__(self, *args: Any, prefix: str = "/", **options: Any) -> None:  # noqa: ANN401  # base class's own
        self.prefix = prefix
        super().__init__(*args, **options)

    def translate_path(self, path: str) -> str:
        """The file for a request; what is outside the prefix does not exist."""
        plain = path.split("?", 1)[0]
        if not plain.startswith(self.prefix):
            return str(self.directory) + "/outside-the-prefix"
        return super().translate_path("/" + plain[len(self.prefix) :])

    def end_headers(self) -> None:
        """Let browsers check each time, so that a rebuilt site is seen at once."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401  # base class's names
        """Say nothing: the address is what the user needs to see."""


class Server(http.server.ThreadingHTTPServer):
    """A server that does not complain of browsers which hang up early."""

    daemon_threads = True

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401  # base class's own
        self.open: set[socket.socket] = set()
        super().__init__(*args, **options)

    def get_request(self) -> tuple[socket.socket, Any]:
        """A new connection, remembered until it is closed."""
        request, address = super().get_request()
        self.open.add(request)
        return request, address

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401  # base class's own
        """Close a connection."""
        self.open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Close the connections that browsers keep for later, too: the server is gone."""
        super().server_close()
        for request in list(self.open):
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # base class's own
        """Say nothing of closed connections, everything of other errors."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _server(folder: Path, port: int, prefix: str, handler: type[Handler] = Handler) -> Server:
    return Server(("127.0.0.1", port), partial(handler, directory=str(folder), prefix=prefix))


def forever(folder: Path, *, port: int, prefix: str) -> None:
    """Serve until interrupted; takes the next free port if this one is in use."""
    prefix = f"/{prefix.strip('/')}/" if prefix.strip("/") else "/"
    for candidate in range(port, port + 20):
        try:
            server = _server(folder, candidate, prefix)
        except OSError:
            continue
        print(
            f"\nTensorloom is at http://localhost:{candidate}{prefix}\nStop with Ctrl+C.",
            flush=True,
        )
        server.serve_forever()
        return
    raise SiteError(f"No free port from {port} to {port + 19}. Choose one with --port.")


@contextmanager
def background(
    folder: Path,
    *,
    prefix: str = "/",
    port: int = 0,
    handler: type[Handler] = Handler,
    tls: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """The address of a server that lives as long as the block; https where it is given ``tls``."""
    server = _server(folder, port, prefix, handler)
    if tls is not None:
        # The handshake is left to the thread of each connection.
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://localhost:{server.server_address[1]}{prefix}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
