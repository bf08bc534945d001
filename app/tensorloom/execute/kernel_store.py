"""Where tuning is kept between visits: IndexedDB in the page, a file in the user's cache natively.

A store that fails is an empty one: tuning begins anew, and nothing else is lost.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tensorloom.platform import IN_BROWSER

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["FileStore", "KernelStore", "NoStore", "PageStore", "kernel_store"]


class KernelStore(Protocol):
    """Keeps one text."""

    async def load(self) -> str | None:
        """The text that was saved last."""

    async def save(self, text: str) -> None:
        """Keep a text in its place."""


class NoStore:
    """Forgets."""

    async def load(self) -> str | None:
        """Nothing."""
        return None

    async def save(self, text: str) -> None:
        """Nothing happens."""


class FileStore:
    """A file.

    Args:
        path: Its place; folders are made when it is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def load(self) -> str | None:
        """The file's text."""
        try:
            return self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    async def save(self, text: str) -> None:
        """Replace the file at once, so that nobody reads half of it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside = self._path.with_suffix(f".{os.getpid()}")
            beside.write_text(text, encoding="utf-8")
            beside.replace(self._path)
        except OSError:
            return


class PageStore:
    """The page's IndexedDB, through ``workers/browser/database.ts``."""

    async def load(self) -> str | None:
        """The text, if the browser keeps any."""
        found: str | None = await self._page().load()
        return found

    async def save(self, text: str) -> None:
        """Hand it to the browser."""
        await self._page().save(text)

    def _page(self) -> _PageDatabase:
        import tensorloom_page  # noqa: PLC0415  # a module that only the page has

        database: _PageDatabase = tensorloom_page.kernelStore
        return database


class _PageDatabase(Protocol):
    def load(self) -> Awaitable[str | None]: ...

    def save(self, text: str, /) -> Awaitable[None]: ...


def kernel_store() -> KernelStore:
    """This platform's store."""
    if IN_BROWSER:
        return PageStore()
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return FileStore(Path(cache) / "tensorloom" / "kernels.json")
