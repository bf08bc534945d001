"""Placements against all colourings of small trees."""

from __future__ import annotations

import random
from itertools import product
from math import inf
from typing import TYPE_CHECKING

import pytest

from chains import chain
from random_networks import random_tree
from tensorloom.execute.placement import Placement, placed
from tensorloom.kernels.lower import lower

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorloom.kernels.program import Program


def cost_of(
    program: Program, devices: Sequence[int], step_ms: list[list[float]], move: float
) -> float:
    """What a colouring costs, counted step by step; every transfer costs the same."""
    at = {number: 0 for number, buffer in enumerate(program.buffers) if buffer.source is not None}
    total = 0.0
    for place, (dispatch, device) in enumerate(zip(program.dispatches, devices, strict=True)):
        total += step_ms[device][place]
        for operand in (dispatch.left, dispatch.right):
            if operand is not None and at[operand] != device:
                total += move
        at[dispatch.out] = device
    return total + (move if at[program.result] != 0 else 0.0)


@pytest.mark.parametrize("seed", range(60))
def test_no_colouring_is_cheaper(seed: int) -> None:
    draw = random.Random(seed)
    program = lower(random_tree(seed), "float32")
    n = len(program.dispatches)
    step_ms = [[draw.choice([1.0, 2.0, 5.0, 20.0]) for _ in range(n)] for _ in range(2)]
    move = draw.choice([0.0, 0.5, 3.0, 50.0])
    found = placed(program, step_ms, lambda _elements: move)
    if n == 0:
        assert found == Placement(devices=(), ms=0.0)
        return
    best = min(cost_of(program, way, step_ms, move) for way in product((0, 1), repeat=n))
    assert found.ms == pytest.approx(best)
    assert cost_of(program, found.devices, step_ms, move) == pytest.approx(best)


def test_a_fast_device_is_worth_its_way_or_not() -> None:
    program = lower(chain([4] * 4), "float32")
    slow_and_fast = [[10.0, 10.0], [1.0, 1.0]]
    assert placed(program, slow_and_fast, lambda _: 1.0).devices == (1, 1)
    assert placed(program, slow_and_fast, lambda _: 9.0).devices == (0, 0)


def test_a_step_that_a_device_cannot_do_runs_on_the_other() -> None:
    found = placed(lower(chain([4] * 4), "float32"), [[inf, 1.0], [5.0, inf]], lambda _: 0.25)
    assert found.devices == (1, 0)
    assert found.is_mixed
    # Two inputs there and one tensor back.
    assert found.ms == 5.0 + 1.0 + 3 * 0.25
