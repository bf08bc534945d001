"""A drawn network in the making: what the templates write down tensor by tensor.

Unlike an importer's network, every tensor comes with its place; nothing is laid out afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from string import ascii_letters
from typing import TYPE_CHECKING

from tensorloom.model.diagram import Diagram, Mark
from tensorloom.model.document import Document
from tensorloom.model.index import Index
from tensorloom.model.network import Network
from tensorloom.model.recipe import ArrayRecipe, RandomArray
from tensorloom.model.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tensorloom.model.diagram import MarkColour, MarkShape

__all__ = ["LEG", "STEP", "Draft", "index_names", "sides"]

STEP = 130
"""Distance of neighbours [pixels]."""

LEG = 80
"""Length of an open leg, from the centre of its tensor [pixels]."""

POOLS = {
    "bond": "abcdefgh",
    "leg": "ijklmno",
    "link": "pqrstuvwxyz",
    "upper leg": "IJKLMNO",
    "upper bond": "ABCDEFGH",
}
"""Letters as in the textbooks, by what an index is."""

_SUBSCRIPTED = {"bond": "a", "leg": "i", "link": "p", "upper leg": "I", "upper bond": "A"}


def index_names(counts: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """Names for so many indices of each kind: single letters while they last, else ``a_1, a_2``.

    Example:
        >>> index_names({"bond": 2, "leg": 3})
        {'bond': ('a', 'b'), 'leg': ('i', 'j', 'k')}
    """
    if all(count <= len(POOLS[kind]) for kind, count in counts.items()):
        return {kind: tuple(POOLS[kind][:count]) for kind, count in counts.items()}
    if sum(counts.values()) <= len(ascii_letters):
        letters = iter(ascii_letters)
        return {kind: tuple(next(letters) for _ in range(n)) for kind, n in counts.items()}
    return {
        kind: tuple(f"{_SUBSCRIPTED[kind]}_{number}" for number in range(1, count + 1))
        for kind, count in counts.items()
    }


def sides(bonds: tuple[str, ...], k: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The bonds left and right of site ``k`` of an open chain, where there are any.

    Example:
        >>> sides(("a", "b"), 0)
        ((), ('a',))
    """
    return bonds[k - 1 : k] if k else (), bonds[k : k + 1]


@dataclass(slots=True, kw_only=True)
class Draft:
    """Collects tensors, sizes and places; ``document`` makes the value.

    Args:
        title: Of the document.
        seed: Seed of the first random tensor; the next ones count on.
    """

    title: str
    seed: int = 1
    _tensors: list[Tensor] = field(default_factory=list)
    _sizes: dict[str, int] = field(default_factory=dict)
    _marks: dict[str, Mark] = field(default_factory=dict)
    _anchors: dict[str, tuple[int, int]] = field(default_factory=dict)
    _output: list[str] = field(default_factory=list)

    def add(
        self,
        name: str,
        indices: tuple[str, ...],
        at: tuple[float, float],
        *,
        shape: MarkShape = "circle",
        colour: MarkColour = "blue",
        array: ArrayRecipe | None = None,
    ) -> None:
        """Put a tensor at a place [pixels], with random values unless told otherwise."""
        number = len(self._tensors) + 1
        values = RandomArray(seed=self.seed + number - 1) if array is None else array
        self._tensors.append(Tensor(id=f"t{number}", name=name, indices=indices, array=values))
        x, y = round(at[0]), round(at[1])
        self._marks[f"t{number}"] = Mark(x=x, y=y, shape=shape, colour=colour)

    def size(self, index: str, dimension: int) -> None:
        """Give an index its dimension [elements]."""
        self._sizes[index] = dimension

    def open(self, index: str, at: tuple[float, float]) -> None:
        """Leave an index open, its free end at a place [pixels]."""
        self._output.append(index)
        self._anchors[index] = (round(at[0]), round(at[1]))

    def document(self) -> Document:
        """What was drawn; the output in the order in which indices were opened."""
        order = dict.fromkeys(name for tensor in self._tensors for name in tensor.indices)
        network = Network(
            tensors=tuple(self._tensors),
            indices=tuple(Index(name=name, dimension=self._sizes[name]) for name in order),
            output=tuple(self._output),
        )
        diagram = Diagram(marks=self._marks, anchors=self._anchors)
        return Document(title=self.title, network=network, diagram=diagram)
