"""The document as Python knows it: what was committed, and what the gesture in the air makes of it.

Live steps carry the whole change since their gesture began, so each is applied to what was
committed last; nothing accumulates and a cancelled gesture leaves no trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.model.commands import apply_all
from tensorloom.model.document import Document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tensorloom.model.commands import Command

__all__ = ["Desk"]


class Desk:
    """Holds one document.

    Attributes:
        committed: After the last finished gesture.
        shown: With the gesture in the air.
    """

    def __init__(self, document: Document | None = None) -> None:
        self.committed = self.shown = document or Document()

    @property
    def dragging(self) -> bool:
        """Whether a gesture is in the air."""
        return self.shown is not self.committed

    def put(self, document: Document) -> None:
        """Take another document."""
        self.committed = self.shown = document

    def gesture(self, commands: Iterable[Command], *, live: bool) -> None:
        """Apply a gesture's whole change so far; a refused one leaves everything as it was.

        Raises:
            InputError: What a command refuses; the gesture in the air is dropped.
        """
        self.shown = self.committed
        changed = apply_all(self.committed, commands)
        self.shown = changed
        if not live:
            self.committed = changed
