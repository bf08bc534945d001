"""Sizes of the spaces, counted in the lab and here by brute force."""

from __future__ import annotations

from itertools import product
from math import prod

import pytest

from published_space import (
    BLOCK_SIZES,
    default_sample,
    default_space_size,
    lite_space,
    splits,
)


def test_the_default_space_of_a_bert_layer() -> None:
    assert default_space_size(384, 768, 768) == 2_099_520


@pytest.mark.parametrize(("size", "parts"), [(1, 3), (12, 2), (12, 3), (30, 3), (64, 3), (97, 2)])
def test_splits_are_those_that_brute_force_finds(size: int, parts: int) -> None:
    divisors = [number for number in range(1, size + 1) if size % number == 0]
    found = sum(prod(choice) == size for choice in product(divisors, repeat=parts))
    assert splits(size, parts) == found


def test_the_raw_lite_space() -> None:
    assert len(lite_space()) == len(set(lite_space())) == 3_388
    assert len(lite_space(gpu=True)) == 2 * 3_388


def test_packed_layers_fix_the_depth() -> None:
    fixed = [candidate for candidate in lite_space() if candidate.kb == BLOCK_SIZES[0]]
    assert len(fixed) == 484


def test_candidates_are_named_by_all_their_parameters() -> None:
    space = lite_space(gpu=True)
    assert len({candidate.text for candidate in space}) == len(space)
    assert next(c for c in space if c.vector).text == "4x4x4 4x4 v"


def test_random_candidates_are_splits_of_the_shape() -> None:
    sample = default_sample((384, 768, 97), 200, seed=3)
    assert sample == default_sample((384, 768, 97), 200, seed=3)
    assert all(prod(one.rows) == 384 and prod(one.columns) == 768 for one in sample)
    assert {one.depth for one in sample} == {(1, 97), (97, 1)}
    assert len({one.rows for one in sample}) > 60
