"""Error bounds of gradients against measured errors: 32 bits against 64."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from accuracy_networks import accuracy_case, deep_case, steep_case
from judged import assert_bounds_hold, judged_gradients
from tensorloom.execute.numpy_backend import NumpyBackend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from judged import Judged

N_NETWORKS, N_DEEP, N_STEEP = 200, 8, 60


def middle(found: Sequence[Judged]) -> list[Judged]:
    """The bound of middling use among those of one network; none where all gradients vanish."""
    ordered = sorted((one for one in found if not one.vanishes), key=lambda one: one.ratio)
    return ordered[len(ordered) // 2 :][:1]


def test_bounds_of_gradients_hold_and_are_useful() -> None:
    backend = NumpyBackend()
    found = [
        one for seed in range(N_NETWORKS) for one in judged_gradients(accuracy_case(seed), backend)
    ]
    assert len(found) > 4 * N_NETWORKS
    assert_bounds_hold(found, most_median=200)


def test_bounds_of_gradients_hold_where_numbers_underflow_beside_larger_ones() -> None:
    backend = NumpyBackend()
    networks = [
        judged_gradients(steep_case(seed), backend, signed=False) for seed in range(N_STEEP)
    ]
    assert_bounds_hold([one for found in networks for one in found], most_median=inf)


def test_bounds_of_gradients_of_500_steps_hold_and_are_useful() -> None:
    backend = NumpyBackend()
    networks = [judged_gradients(deep_case(seed), backend) for seed in range(N_DEEP)]
    for found in networks:
        assert all(one.holds for one in found)
    # Networks count alike, as with values: not each by how many tensors it has.
    assert_bounds_hold([one for found in networks for one in middle(found)], most_median=1000)
