"""Who may ask: tokens, origins and host names, looked at before anything else.

Only hashes of tokens are stored; they are compared in constant time. Tokens are read from the
database for each request, so that one changed on the command line counts at once.
"""

from __future__ import annotations

import hmac
import re
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse

from tensorloom_worker.refusals import rejected, status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from tensorloom.errors import TensorloomError
    from tensorloom_worker.settings import Settings
    from tensorloom_worker.store import Client, Store

__all__ = ["Guard", "cross_origin", "hash_token", "new_token", "who"]

PREFIX = "tlw_"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
MAX_TOKEN_LENGTH = 200

ALLOWED_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Last-Event-ID",
    "Range",
    "Upload-Offset",
)
EXPOSED_HEADERS = (
    "Accept-Ranges",
    "Content-Length",
    "Content-Range",
    "ETag",
    "Location",
    "Retry-After",
    "Tensorloom-Log10-Scale",
    "Upload-Length",
    "Upload-Offset",
)
_OPEN = ("/v1/health", "/v1/openapi.json")
_PREFLIGHT_S = 600
_LOOPBACK_ORIGIN = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?"


def new_token() -> str:
    """A token that nobody can guess: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """What is stored of a token; it has too many bits to need salt or a slow hash."""
    return sha256(token.encode(errors="replace")).hexdigest()


def who(store: Store, token: str) -> Client | None:
    """The client that holds a token; every stored hash is compared, in constant time."""
    given = hash_token(token[:MAX_TOKEN_LENGTH])
    found = None
    for client in store.clients():
        if hmac.compare_digest(given, client.hash):
            found = client
    return found


def cross_origin(app: ASGIApp, settings: Settings) -> ASGIApp:
    """The app with answers for pages of other origins, private-network preflights included."""
    return CORSMiddleware(
        app,
        allow_origin_regex=_origin_pattern(settings),
        allow_methods=["GET", "HEAD", "POST", "PATCH", "DELETE"],
        allow_headers=ALLOWED_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        allow_private_network=True,
        max_age=_PREFLIGHT_S,
    )


def is_loopback(host: str) -> bool:
    """Whether a service that listens there is reached from its own machine only."""
    return host in {"127.0.0.1", "localhost", "::1"} or host.startswith("127.")


def _origin_pattern(settings: Settings) -> str:
    """A regular expression of the origins that may ask."""
    if "*" in settings.allowed_origins:
        return ".*"
    parts = [re.escape(origin.rstrip("/")) for origin in settings.allowed_origins]
    if is_loopback(settings.host):
        parts.append(_LOOPBACK_ORIGIN)
    return "|".join(parts) or "(?!)"


class Guard:
    """Lets through what may ask, and says no to the rest; knows the client afterwards.

    Args:
        app: What it guards.
        settings: Allowed origins and hosts.
        find: Gives the client that holds a token.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, find: Callable[[str], Client | None]
    ) -> None:
        self._app = app
        self._find = find
        self._origins = re.compile(_origin_pattern(settings))
        self._hosts = _allowed_hosts(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        problem = self._problem(scope, headers)
        if problem is not None:
            status = status_of(problem)
            extra = {"WWW-Authenticate": "Bearer"} if status == 401 else {}  # noqa: PLR2004
            response = JSONResponse(problem.to_json(), status, headers={**_SAFE, **extra})
            await response(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                raw = list(message.get("headers", []))
                known = {name.lower() for name, _ in raw}
                for name, value in _SAFE.items():
                    if name.lower().encode() not in known:
                        raw.append((name.lower().encode(), value.encode()))
                message["headers"] = raw
            await send(message)

        await self._app(scope, receive, send_safely)

    def _problem(self, scope: Scope, headers: Headers) -> TensorloomError | None:
        """Why a request is not served; sets ``scope["client_of_worker"]``."""
        path: str = scope["path"]
        host = headers.get("host", "")
        if self._hosts is not None and _without_port(host) not in self._hosts:
            return rejected(
                "host-not-allowed",
                "The service is not called by this name.",
                "Use its address as it was printed, or start it with --allow-host NAME.",
            )
        origin = headers.get("origin")
        if origin is not None and not self._is_allowed(origin, host, scope["scheme"]):
            return rejected(
                "origin-not-allowed",
                f"Pages of {origin[:80]!r} may not ask this worker.",
                "Start the worker with --allow-origin and the page's origin.",
            )
        if not path.startswith("/v1") or path in _OPEN or scope["method"] == "OPTIONS":
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return rejected(
                "token-missing",
                "The request carries no token.",
                "Send the header 'Authorization: Bearer' with the token that was printed.",
            )
        client = self._find(token.strip())
        if client is None:
            return rejected(
                "token-wrong",
                "The worker does not know this token.",
                "Give the token that was printed, or make one: "
                "python -m tensorloom_worker token rotate.",
            )
        scope["client_of_worker"] = client
        return None

    def _is_allowed(self, origin: str, host: str, scheme: str) -> bool:
        return origin == f"{scheme}://{host}" or self._origins.fullmatch(origin) is not None


_SAFE = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""On every answer that does not say otherwise; the site's own files do."""


def _allowed_hosts(settings: Settings) -> frozenset[str] | None:
    """Names by which the service may be called; ``None`` for any."""
    if "*" in settings.allowed_hosts or not (is_loopback(settings.host) or settings.allowed_hosts):
        return None
    return frozenset(_lower([*LOOPBACK, settings.host, *settings.allowed_hosts]))


def _lower(names: Iterable[str]) -> list[str]:
    return [name.lower() for name in names]


def _without_port(host: str) -> str:
    host = host.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
