"""Stamps: a step is done when its stamp holds the hash of everything it was made from."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Stamp", "digest_of", "files_under"]

SKIPPED = {"node_modules", "__pycache__", ".venv", "dist", ".cache", "served"}
"""Names of folders and files that are made, not written."""


def files_under(*places: Path) -> list[Path]:
    """Every file below the places (or the places themselves), sorted, build output left out."""
    found: set[Path] = set()
    for place in places:
        if place.is_file():
            found.add(place)
        elif place.is_dir():
            found.update(
                path
                for path in place.rglob("*")
                if path.is_file() and not SKIPPED.intersection(path.parts)
            )
    return sorted(found)


def digest_of(files: Iterable[Path], *words: str, below: Path | None = None) -> str:
    """SHA-256 over names and contents of files, and over words such as versions and options.

    Args:
        files: Read whole.
        words: Anything else that the result depends on.
        below: A folder; names count from there, so that the place of the checkout does not.
    """
    total = hashlib.sha256()
    for word in words:
        total.update(word.encode() + b"\0")
    for path in files:
        name = path.relative_to(below).as_posix() if below else str(path)
        total.update(name.encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


class Stamp:
    """A file that remembers what a step was made from.

    Args:
        path: Where it is kept.
        digest: What the step would be made from now.
    """

    def __init__(self, path: Path, digest: str) -> None:
        self.path = path
        self.digest = digest

    @property
    def fresh(self) -> bool:
        """Whether the step was last made from the same."""
        return self.path.is_file() and self.path.read_text() == self.digest

    def write(self) -> None:
        """Remember that the step is done."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.digest)
