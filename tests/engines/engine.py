"""What a smoke run asks of a browser, whichever it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HEIGHT", "LONGEST_SECONDS", "WIDTH", "Engine", "Point", "as_json"]

Point = tuple[float, float]

WIDTH, HEIGHT = 1280, 720
"""Of the page [px]."""

LONGEST_SECONDS = 120
"""For one call; a start of Python on a busy machine is the longest."""


class Engine(Protocol):
    """A page in some browser, from outside the page: its Content-Security-Policy does not matter.

    Attributes:
        version: The browser's name and version.
    """

    version: str

    def open(self, address: str) -> None:
        """Load an address, until its scripts have run."""

    def evaluate(self, function: str, *given: object) -> Any:  # any JSON
        """The JSON value of a JavaScript function of these arguments; its promise is awaited."""

    def drag(self, *points: Point) -> None:
        """Press at the first point, move over the others, let go at the last."""

    def click(self, point: Point) -> None:
        """Press and let go."""

    def type(self, text: str) -> None:
        """Press the keys of a text where the focus is; a line feed is the Enter key."""

    def screenshot(self, path: Path) -> None:
        """Write what is shown as PNG."""

    def problems(self) -> list[str]:
        """Errors on the page's console so far, and exceptions that nobody caught."""


def as_json(function: str, given: tuple[object, ...]) -> str:
    """An expression for a promise of the function's value as JSON text: the same in all drivers."""
    arguments = ", ".join(json.dumps(value) for value in given)
    return f"Promise.resolve(({function})({arguments})).then((v) => JSON.stringify(v ?? null))"
