"""Watching pages: what goes wrong in one fails its test, even if no assertion looked at it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Request

__all__ = ["Watch", "origin_of"]


@dataclass
class Watch:
    """What went wrong in the pages of a context; anything not allowed fails the test.

    Args:
        origin: The only origin that may be asked.
        problems: What was seen.
        allowed: Patterns of problems that the test provokes on purpose.
    """

    origin: str
    problems: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def allow(self, pattern: str) -> None:
        """Expect problems that match; a test that provokes an error says so here."""
        self.allowed.append(pattern)

    def follow(self, context: BrowserContext) -> None:
        """Watch every page of a context, its workers' requests included."""
        context.on("console", self._console)
        context.on("weberror", lambda error: self.problems.append(f"exception: {error.error}"))
        context.on("request", self._request)

    def unexpected(self) -> list[str]:
        """The problems that no pattern allows."""
        return [
            problem
            for problem in self.problems
            if not any(re.search(pattern, problem) for pattern in self.allowed)
        ]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob"} and request.url.find(self.origin) != 0:
            self.problems.append(f"other origin: {request.url}")


def origin_of(address: str) -> str:
    """Scheme, host and port with a final slash."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}/"
