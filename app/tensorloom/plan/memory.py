"""The order of a tree's steps: same tree, same multiply-adds, less memory at once.

Finders list steps as they happened to find them. Executed depth first, with the greedier branch
first, fewer intermediates wait for each other.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorloom.plan.inputs import Path
    from tensorloom.plan.tree import ContractionTree

__all__ = ["ordered_path"]


def ordered_path(tree: ContractionTree) -> Path:
    """The steps of a tree in the depth-first order that needs the least memory at once.

    A branch that peaks at ``p`` and leaves ``s`` behind goes first if its ``p - s`` is larger: with
    ``p1 - s1 >= p2 - s2`` follows ``max(p1, s1 + p2) <= max(p2, s2 + p1)``. Inputs count for
    nothing here, as they are alive all the time.

    Source:
        J. W. H. Liu, "An application of generalized tree pebbling to sparse matrix factorization",
        SIAM J. Alg. Disc. Meth. 8 (1987), theorem 2.2 (the best postorder).
    """
    if not tree.path:
        return ()
    first = len(tree.inputs)
    sizes = tree.size_of
    # By SSA number: elements left behind and the most alive while it is made; inputs have none.
    left_behind = dict.fromkeys(range(first), 0)
    peak = dict.fromkeys(range(first), 0)
    children: dict[int, tuple[int, int]] = {}
    for step in tree.steps:
        early, late = sorted(
            (step.left, step.right), key=lambda number: left_behind[number] - peak[number]
        )
        children[step.out] = early, late
        elements = prod(sizes[name] for name in step.out_indices)
        both = left_behind[early] + left_behind[late] + elements
        peak[step.out] = max(peak[early], left_behind[early] + peak[late], both)
        left_behind[step.out] = elements
    return _numbered(first, tree.path, _postorder(first, first + len(tree.path) - 1, children))


def _postorder(first: int, root: int, children: dict[int, tuple[int, int]]) -> list[int]:
    """Numbers of the steps, children before parents; a stack, as trees may be 20,000 deep."""
    backwards, stack = [], [root]
    while stack:
        number = stack.pop()
        if number >= first:
            backwards.append(number)
            stack.extend(children[number])
    return backwards[::-1]


def _numbered(first: int, path: Path, order: list[int]) -> Path:
    """The same pairs in another order, with the numbers that this order gives the steps."""
    renamed = {number: number for number in range(first)}
    renamed.update((number, first + place) for place, number in enumerate(order))
    pairs = (path[number - first] for number in order)
    return tuple((renamed[left], renamed[right]) for left, right in pairs)
