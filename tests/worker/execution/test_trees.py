"""Searches for trees keep to their time."""

from __future__ import annotations

import random
from itertools import chain, repeat
from types import SimpleNamespace
from typing import TYPE_CHECKING

from tensorloom.plan.tree import ContractionTree
from tensorloom_worker.execution import trees

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest


def cubic(n: int, size: int) -> ContractionTree:
    """A closed network of ``n`` tensors with three legs each, joined one after the other."""
    ends = [tensor for tensor in range(n) for _ in range(3)]
    random.Random(n).shuffle(ends)
    legs: list[list[str]] = [[] for _ in range(n)]
    for number in range(0, len(ends), 2):
        for tensor in set(ends[number : number + 2]):
            legs[tensor].append(f"i{number}")
    return ContractionTree(
        inputs=tuple(tuple(names) for names in legs),
        output=(),
        dimensions=tuple((name, size) for name in sorted(set(chain(*legs)))),
        path=tuple((0 if step == 0 else n + step - 1, step + 1) for step in range(n - 1)),
    )


def clock(moments: Iterable[float]) -> SimpleNamespace:
    going = iter(moments)
    return SimpleNamespace(monotonic=lambda: next(going))


def test_a_trial_that_takes_too_long_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    tree, most = cubic(40, 4), 2**12
    assert trees.search(tree, most, 0.5, seed=0) is not None
    # The search begins at once; the first look from within a trial finds that hours have passed.
    monkeypatch.setattr(trees, "time", clock(chain(repeat(0.0, 3), repeat(1e6))))
    assert trees.search(tree, most, 0.5, seed=0) is None
