"""The built workbench, served by the worker itself: one origin, so no mixed content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Match, Mount
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.responses import Response
    from starlette.types import Scope

__all__ = ["SiteFiles", "SiteMount"]

_TYPES = {
    ".gz": "application/octet-stream",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".zip": "application/zip",
}
"""Types that the system's table may have wrong."""


class SiteMount(Mount):
    """The site beside the interface, whose addresses are never its files.

    A mount takes any method: what an address of the interface does not know would be a file that
    is not there.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether it answers a request."""
        if scope["type"] == "http" and f"{scope['path']}/".startswith("/v1/"):
            return Match.NONE, {}
        return super().matches(scope)


class SiteFiles(StaticFiles):
    """Static files with the right types; browsers ask each time whether they changed.

    Args:
        folder: The built site.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, html=True, follow_symlink=False)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, or 404."""
        response = await super().get_response(path, scope)
        for ending, kind in _TYPES.items():
            if path.endswith(ending):
                response.headers["Content-Type"] = kind
        response.headers["Cache-Control"] = "no-cache"
        # The page has a policy of its own in its head; this adds who may frame it.
        response.headers["Content-Security-Policy"] = "frame-ancestors 'self'"
        return response
