"""A product of 10,000 matrices neither overflows nor vanishes, growing or shrinking."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tensorloom.execute.backend import drive
from tensorloom.execute.run import prepare, run
from tensorloom.plan.cost import cost_of
from tensorloom.plan.plan import Plan
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from tensorloom.execute.backend import Backend
    from tensorloom.model.recipe import DType

N = 10_000


def plan() -> Plan:
    names = [f"i{number}" for number in range(N + 1)]
    path = [(0, 1), *((N + step - 1, step + 1) for step in range(1, N - 1))]
    tree = ContractionTree(
        inputs=tuple(pairwise(names)),
        output=(names[0], names[-1]),
        dimensions=tuple((name, 2) for name in names),
        path=tuple(path),
    )
    return Plan(tree=tree, cost=cost_of(tree), finder="greedy")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_10000_matrices_keep_their_exponent(backend: Backend, dtype: DType) -> None:
    if dtype not in backend.dtypes:
        pytest.skip(f"{backend.name} does not compute in {dtype}")
    choice = prepare(plan(), backends={backend.name: backend}, backend=backend.name, dtype=dtype)
    for size in (7.0, 1 / 7):
        # size * rotation by 1 radian: its power is known.
        matrix = size * np.array([[math.cos(1), -math.sin(1)], [math.sin(1), math.cos(1)]])
        found = drive(run(choice, [matrix] * N))
        power = np.array([[math.cos(N), -math.sin(N)], [math.sin(N), math.cos(N)]])
        log10_scale = N * math.log10(size)
        scale = 10.0 ** (found.log10_scale - log10_scale)
        allowed = 2 * N * float(np.finfo(dtype).eps)
        assert np.abs(found.value * scale - power).max() < allowed
