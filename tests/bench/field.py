"""The contestants of one case: whoever fails leaves it, begins anew, and the others go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from contestant import Contestant

__all__ = ["Field"]

T = TypeVar("T")


class Field:
    """Asks contestants, one at a time.

    Args:
        entrants: By name.
    """

    def __init__(self, entrants: Mapping[str, Contestant]) -> None:
        self._entrants = entrants
        self.failed: dict[str, str] = {}
        """Why, by the name of each that failed."""

    @property
    def names(self) -> list[str]:
        """Those that are still in it."""
        return [name for name in self._entrants if name not in self.failed]

    def ask(self, name: str, question: Callable[[Contestant], T]) -> T | None:
        """The answer; ``None`` if it failed now or before."""
        if name in self.failed:
            return None
        entrant = self._entrants[name]
        try:
            return question(entrant)
        except Exception as error:  # noqa: BLE001  # whatever it was, only this one's row ends
            self.leave(name, _said(error))
        # Now, not after the case: what hangs or fills memory would weigh on the others.
        try:
            entrant.restart()
        except Exception as error:  # noqa: BLE001  # the next case will tell, and try again
            self.failed[name] += f"; it does not start again: {_said(error)}"
        return None

    def leave(self, name: str, why: str) -> None:
        """Take one out of the case that could go on, such as one that is wrong."""
        self.failed[name] = why


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
