"""Whoever contracts, and how one fails: nobody is waited for without end."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["LIMIT_S", "Contestant", "ContestantFailed", "limited"]

LIMIT_S = 180.0
"""How long one answer may take: a formulation, a window, or ours tuned."""


class ContestantFailed(Exception):
    """It cannot go on with this case."""


@contextmanager
def limited(limit_s: float, end: Callable[[], object]) -> Iterator[threading.Event]:
    """Calls ``end`` if the block takes longer; the event says whether it did."""
    late = threading.Event()

    def act() -> None:
        late.set()
        end()

    timer = threading.Timer(limit_s, act)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


class Contestant(Protocol):
    """Tries its formulations, then measures windows of the best on demand."""

    threads: int | None

    def prepare(self, task: dict[str, Any]) -> list[dict[str, Any]]:
        """What became of each formulation: name, ms, firstMs, maxErr, error."""

    def window(self, ms: float) -> float:
        """Milliseconds per call in a window of about so many."""

    def check(self) -> float:
        """Error of one more result."""

    def release(self) -> None:
        """Let go of the case."""

    def restart(self) -> None:
        """Begin anew after a failure, whatever state that left."""

    def close(self) -> None:
        """End for good."""
