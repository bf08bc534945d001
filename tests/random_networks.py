"""Seeded random networks: hyperindices, repeats, lone sums, size 1, scalars, parts without a bond.

``reference`` is what every backend is compared with: ``np.einsum`` in longer numbers, with the
same sum over magnitudes, to which rounding errors are proportional.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.kernels.program import Program

LONGER = {
    "float32": "float64",
    "float64": "longdouble",
    "complex64": "complex128",
    "complex128": "clongdouble",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The value in longer numbers, and the sum of the magnitudes of its terms."""

    value: NDArray[Any]
    magnitude: NDArray[Any]


def random_tree(seed: int, *, sliced: bool = False) -> ContractionTree:
    """A tree over up to 6 tensors and 8 indices, in random order; half of them sliced if asked."""
    draw = random.Random(seed)
    names = "abcdefgh"[: draw.randint(0, 8)]
    sizes = {name: draw.choice([1, 2, 2, 3, 4]) for name in names}
    n = draw.randint(1, 6)
    inputs = [
        tuple(draw.choice(names) for _ in range(draw.randint(0, 4))) if names else ()
        for _ in range(n)
    ]
    used = sorted({name for indices in inputs for name in indices})
    live, path = list(range(n)), []
    while len(live) > 1:
        left, right = draw.sample(live, 2)
        live = [number for number in live if number not in (left, right)] + [n + len(path)]
        path.append((left, right))
    return ContractionTree(
        inputs=tuple(inputs),
        output=tuple(draw.sample(used, draw.randint(0, min(3, len(used))))),
        dimensions=tuple((name, sizes[name]) for name in used),
        path=tuple(path),
        sliced=tuple(draw.sample(used, draw.randint(0, min(2, len(used))))) if sliced else (),
    )


def random_arrays(tree: ContractionTree, dtype: str, seed: int) -> list[NDArray[Any]]:
    """One array of normal numbers per tensor."""
    generator = np.random.default_rng(seed)
    sizes = dict(tree.dimensions)
    arrays = []
    for names in tree.inputs:
        shape = tuple(sizes[name] for name in names)
        array = generator.normal(size=shape)
        if dtype.startswith("complex"):
            array = array + 1j * generator.normal(size=shape)
        arrays.append(np.asarray(array, dtype))
    return arrays


def equation(tree: ContractionTree) -> str:
    """The tree's network as einsum text."""
    return ",".join("".join(names) for names in tree.inputs) + "->" + "".join(tree.output)


def reference(text: str, arrays: Sequence[NDArray[Any]], dtype: str) -> Reference:
    """What the equation gives in longer numbers."""
    longer = [np.asarray(array, LONGER[dtype]) for array in arrays]
    return Reference(
        value=np.einsum(text, *longer),
        magnitude=np.einsum(text, *(np.abs(array) for array in longer)),
    )


def tolerance(program: Program, wanted: Reference) -> NDArray[Any]:
    """What rounding may do at most, element by element.

    A sum of K products meets K roundings; a complex product has up to 2 sqrt(2) times a real one's.
    Lengths of all steps add up along a path from inputs to result.
    """
    lengths = [program.kernels[call.kernel].extents[3] + 1 for call in program.dispatches]
    roundings = sum(lengths) + program.n_slices + len(program.buffers)
    factor = 2 * np.sqrt(2) if program.dtype.startswith("complex") else 1.0
    unit = np.finfo(program.dtype).eps / 2
    return np.asarray(factor * unit * roundings * wanted.magnitude, np.float64)


def assert_close(found: NDArray[Any], wanted: Reference, allowed: NDArray[Any]) -> None:
    """Raises unless the shapes agree and every element is within its tolerance."""
    assert found.shape == wanted.value.shape, f"shape {found.shape}, wanted {wanted.value.shape}"
    error = np.abs(np.asarray(found, wanted.value.dtype) - wanted.value)
    worst = np.max(error - allowed, initial=0.0)
    assert not np.isnan(error).any(), f"not a number: {found}"
    assert worst <= 0, f"off by {error.max():.3g}, allowed {allowed.max():.3g}"
