"""Error bounds against measured errors: 32 bits against 64, 64 against 80, deep networks."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from accuracy_networks import accuracy_case, deep_case, filled, steep_case
from judged import Judged, assert_bounds_hold, judged
from random_networks import random_tree
from tensorloom.execute.numpy_backend import NumpyBackend

N_NETWORKS, N_EXTENDED, N_DEEP, N_STEEP = 2400, 300, 16, 200


def test_bounds_hold_and_are_useful_in_single_precision() -> None:
    backend = NumpyBackend()
    found = [judged(accuracy_case(seed), backend, 32) for seed in range(N_NETWORKS)]
    assert_bounds_hold(found, most_median=200)


def test_bounds_hold_where_numbers_underflow_beside_larger_ones() -> None:
    backend = NumpyBackend()
    found = [judged(steep_case(seed), backend, 32) for seed in range(N_STEEP)]
    # Many bounds say that no digit is certain: what is left of their numbers is not known.
    assert_bounds_hold(found, most_median=inf)
    # Some have lost much: a bound of roundings alone would not have held.
    assert sum(1e-4 < one.error < 1 for one in found) > N_STEEP / 100


@pytest.mark.skipif(
    np.finfo(np.longdouble).eps >= np.finfo(np.float64).eps / 16,
    reason="needs numbers longer than 64 bits",
)
def test_bounds_hold_and_are_useful_in_double_precision() -> None:
    backend = NumpyBackend()
    found = [
        judged(accuracy_case(seed), backend, 64) for seed in range(10_000, 10_000 + N_EXTENDED)
    ]
    assert_bounds_hold(found, most_median=200)


def test_bounds_of_500_steps_hold_and_are_useful() -> None:
    backend = NumpyBackend()
    found = [judged(deep_case(seed), backend, 32) for seed in range(N_DEEP)]
    assert_bounds_hold(found, most_median=1000)


def test_a_bound_that_is_too_low_or_too_high_is_noticed() -> None:
    case = filled(random_tree(1), "small", "normal", 1)
    low = Judged(case=case, dtype="float32", error=2e-7, bound=1e-7)
    high = Judged(case=case, dtype="float32", error=1e-7, bound=1e-3)
    with pytest.raises(AssertionError, match=r"normal, float32: error 2e-07 > bound 1e-07"):
        assert_bounds_hold([low], most_median=1000)
    with pytest.raises(AssertionError):
        assert_bounds_hold([high], most_median=1000)
