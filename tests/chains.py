"""Products of matrices from left to right: the smallest networks with as many steps as wanted."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["chain", "matrices"]


def chain(sides: Sequence[int], *, sliced: tuple[str, ...] = ()) -> ContractionTree:
    """A product of ``len(sides) - 1`` matrices over the indices ``i0, i1, ...``.

    Args:
        sides: Dimension of each index.
        sliced: Those of them that are sliced.

    Example:
        >>> chain([2, 3, 4, 5]).path
        ((0, 1), (3, 2))
    """
    n = len(sides) - 1
    names = [f"i{number}" for number in range(n + 1)]
    return ContractionTree(
        inputs=tuple(pairwise(names)),
        output=(names[0], names[-1]),
        dimensions=tuple(zip(names, sides, strict=True)),
        path=((0, 1), *((n + step - 1, step + 1) for step in range(1, n - 1))),
        sliced=sliced,
    )


def matrices(sides: Sequence[int], dtype: str = "float64", seed: int = 5) -> list[NDArray[Any]]:
    """Normal numbers for such a product."""
    draw = np.random.default_rng(seed)
    made = []
    for shape in pairwise(sides):
        numbers = draw.standard_normal(shape)
        if np.dtype(dtype).kind == "c":
            numbers = numbers + 1j * draw.standard_normal(shape)
        made.append(numbers.astype(dtype))
    return made
