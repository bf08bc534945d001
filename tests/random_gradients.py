"""What gradients of random networks are compared with: other sums of the same products.

A network is linear in each tensor, so putting a direction in a tensor's place gives the derivative
along that direction exactly; ``directional`` does so with ``np.einsum``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from random_networks import equation
from tensorloom.execute import gradient
from tensorloom.execute.backend import drive
from tensorloom.execute.run import prepare
from tensorloom.plan.cost import cost_of
from tensorloom.plan.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Backend
    from tensorloom.execute.gradient import Gradient
    from tensorloom.model.recipe import DType
    from tensorloom.plan.tree import ContractionTree


def gradient_on(
    backend: Backend,
    tree: ContractionTree,
    arrays: Sequence[NDArray[Any]],
    seed: NDArray[Any] | None,
    dtype: DType,
) -> Gradient:
    """Value and gradients with respect to all tensors on one backend, of its third run.

    The first prepares a program; from the second on a backend may use what it has learnt.
    """
    wrt = tuple(range(len(arrays)))
    plan = Plan(tree=tree, cost=cost_of(tree), finder="greedy")
    choice = prepare(
        plan,
        backends={backend.name: backend},
        backend=backend.name,
        dtype=dtype,
        lowering=gradient.lowering(wrt),
    )
    for _ in range(2):
        drive(gradient.run(choice, arrays, seed, wrt, bounds=False))
    return drive(gradient.run(choice, arrays, seed, wrt))


def random_seed(tree: ContractionTree, dtype: str, seed: int) -> NDArray[Any]:
    """Weights of the output, normal numbers."""
    generator = np.random.default_rng(seed)
    sizes = dict(tree.dimensions)
    shape = tuple(sizes[name] for name in tree.output)
    weights = generator.normal(size=shape)
    if dtype.startswith("complex"):
        weights = weights + 1j * generator.normal(size=shape)
    return np.asarray(weights, dtype)


def assert_gradients(
    found: Gradient,
    tree: ContractionTree,
    arrays: Sequence[NDArray[Any]],
    seed: NDArray[Any],
    *,
    places: float,
) -> None:
    """Raises unless value and gradients are right to ``places`` times the sum of magnitudes."""
    text = equation(tree)
    _assert_near(
        found.value, np.einsum(text, *arrays), np.einsum(text, *map(np.abs, arrays)), places
    )
    for number, made in zip(found.wrt, found.gradients, strict=True):
        assert made.shape == arrays[number].shape
        assert made.dtype == arrays[number].dtype
        direction = random_direction(arrays[number], number)
        moved = [*arrays[:number], direction, *arrays[number + 1 :]]
        wanted = np.sum(seed * np.einsum(text, *moved))
        largest = np.sum(np.abs(seed) * np.einsum(text, *map(np.abs, moved)))
        _assert_near(np.sum(made * direction), wanted, largest, places)


def random_direction(array: NDArray[Any], number: int) -> NDArray[Any]:
    """Normal numbers in an array's shape and type."""
    generator = np.random.default_rng(number)
    direction = generator.normal(size=array.shape)
    return np.asarray(direction, array.dtype)


def _assert_near(found: Any, wanted: Any, largest: Any, places: float) -> None:
    worst = np.max(np.abs(found - wanted) - places * largest, initial=-np.inf)
    assert worst <= 0, f"found {found}, wanted {wanted}"
