"""What opening a file gives: a document, and the arrays that do not fit into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorloom.model.document import Document
    from tensorloom.model.stored_array import StoredArray

__all__ = ["Opened"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A document with everything its recipes refer to.

    Args:
        document: The network, drawn.
        arrays: The content of its ``BlobArray`` recipes.
    """

    document: Document
    arrays: tuple[StoredArray, ...] = ()
