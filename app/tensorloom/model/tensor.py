"""A tensor: an id, a shown name, an ordered tuple of indices, and the recipe of its array."""

from __future__ import annotations

from dataclasses import dataclass, field

from tensorloom.model.index import check_name
from tensorloom.model.recipe import ArrayRecipe, RandomArray

__all__ = ["Tensor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A named node of a network; its array is made from the recipe elsewhere.

    Args:
        id: Its identity within a network, such as ``t3``; never shown.
        name: What the diagram writes on it, such as ``A_1``; need not be unique.
        indices: Index names, one per axis; a name may repeat (a trace or a diagonal).
        array: How to make its values.

    Example:
        >>> Tensor(id="t1", name="A", indices=("i", "j")).indices
        ('i', 'j')
    """

    id: str
    name: str
    indices: tuple[str, ...]
    array: ArrayRecipe = field(default_factory=RandomArray)

    def __post_init__(self) -> None:
        check_name(self.id, "a tensor")
        check_name(self.name, "a tensor")
        for index in self.indices:
            check_name(index, "an index")
