"""Networks and trees in cotengra's form, their indices numbered.

cotengra breaks ties by the order in which it meets indices, and strings hash anew in every run:
numbers make it find the same thing every time. Importing this takes 0.4 s in the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotengra import ContractionTree as CotengraTree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tensorloom.plan.inputs import Path
    from tensorloom.plan.tree import ContractionTree

__all__ = ["CotengraForm"]


class CotengraForm:
    """A network as cotengra wants it.

    Args:
        network: Any tree over it.

    Attributes:
        inputs: Numbers of the indices of each input tensor.
        output: Of the result.
        sizes: Dimension by number.
    """

    def __init__(self, network: ContractionTree) -> None:
        self._names = [name for name, _ in network.dimensions]
        self._numbers = {name: place for place, name in enumerate(self._names)}
        number = self._numbers
        self.inputs = tuple(tuple(number[name] for name in names) for names in network.inputs)
        self.output = tuple(number[name] for name in network.output)
        self.sizes = {number[name]: size for name, size in network.dimensions}

    def tree(self, path: Path, sliced: Iterable[str] = ()) -> CotengraTree:
        """A tree of cotengra's with these slices."""
        tree = CotengraTree.from_path(self.inputs, self.output, self.sizes, ssa_path=path)
        for name in sliced:
            tree.remove_ind_(self._numbers[name])
        return tree

    def sliced(self, tree: CotengraTree) -> tuple[str, ...]:
        """Names of the indices that a tree of cotengra's slices."""
        return tuple(self._names[number] for number in tree.sliced_inds)

    def path(self, tree: CotengraTree) -> Path:
        """The path of a tree of cotengra's."""
        return self.pairs(tree.get_ssa_path())

    def pairs(self, path: Iterable[Sequence[int]]) -> Path:
        """A path without cotengra's steps of one tensor (a lone sum, a trace), numbered anew."""
        first = len(self.inputs)
        number = list(range(first))
        pairs: list[tuple[int, int]] = []
        for step in path:
            if len(step) == 1:
                number.append(number[step[0]])
            else:
                left, right = step
                number.append(first + len(pairs))
                pairs.append((number[left], number[right]))
        return tuple(pairs)
