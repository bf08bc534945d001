"""Carrying out a contraction tree with numpy, pair by pair and slice by slice; slow, and plain.

Besides the value it counts what really happened: terms multiplied and elements held.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.plan.tree import ContractionTree


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The value of a tree, and what was counted on the way."""

    value: NDArray[Any]
    terms: int
    most_elements: int
    written: int


def replay(tree: ContractionTree, arrays: Sequence[NDArray[Any]]) -> Replay:
    """The value of a tree of at least one step, with counts."""
    full = dict(tree.dimensions)
    result = np.zeros([full[name] for name in tree.output])
    terms = most = written = 0
    for values in itertools.product(*(range(full[name]) for name in tree.sliced)):
        fixed = dict(zip(tree.sliced, values, strict=True))
        live = dict(enumerate(_fixed(tree.inputs, arrays, fixed)))
        made: dict[int, int] = {}
        written = 0
        for step in tree.steps:
            left, right = live.pop(step.left), live.pop(step.right)
            # Fixed indices keep one value: counting every term by going through all of them.
            sizes = {**full, **dict.fromkeys(fixed, 1)}
            involved = {*step.left_indices, *step.right_indices}
            terms += sum(1 for _ in itertools.product(*(range(sizes[name]) for name in involved)))
            live[step.out] = np.einsum(
                left, _numbers(full, step.left_indices),
                right, _numbers(full, step.right_indices),
                _numbers(full, step.out_indices),
            )  # fmt: skip
            made[step.out] = live[step.out].size
            written += live[step.out].size
            held = sum(array.size for array in arrays) + (result.size if tree.sliced else 0)
            most = max(most, held + sum(made.values()))
            made.pop(step.left, None)
            made.pop(step.right, None)
        place = tuple(
            slice(fixed[n], fixed[n] + 1) if n in fixed else slice(None) for n in tree.output
        )
        result[place] += live.popitem()[1]
    return Replay(value=result, terms=terms, most_elements=most, written=written)


def _fixed(
    inputs: Iterable[Sequence[str]], arrays: Iterable[NDArray[Any]], fixed: Mapping[str, int]
) -> Iterable[NDArray[Any]]:
    """The inputs with one value left of every fixed index."""
    for names, array in zip(inputs, arrays, strict=True):
        cut = tuple(slice(fixed[n], fixed[n] + 1) if n in fixed else slice(None) for n in names)
        yield array[cut]


def _numbers(full: Mapping[str, int], names: Iterable[str]) -> list[int]:
    number = {name: place for place, name in enumerate(full)}
    return [number[name] for name in names]
