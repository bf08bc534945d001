"""Better trees for longer time: a generator of progress, so that whoever runs it can stop it.

cotengra does the work, round after round: greedy trees with random settings, simulated annealing of
the best one, exact reconfiguration of its subtrees. When rounds stop helping, every other one
starts from a fresh greedy tree. Nothing reads a clock and everything follows from the seed.

This module imports cotengra (0.4 s in the page); only ``plan.search`` imports it.

Measured on the benchmark networks (``docs/benchmarks.md``): annealing after greedy beats
hyper-optimisation of the same length by factors of 1 to 10^5, which is why there is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from cotengra import ContractionTree as CotengraTree
from cotengra.pathfinders.path_basic import ContractionProcessor, OptimalOptimizer

from tensorloom.plan.cost import cost_of
from tensorloom.plan.memory import ordered_path
from tensorloom.plan.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tensorloom.plan.inputs import Path
    from tensorloom.plan.plan import Finder

__all__ = ["SearchProgress", "improve"]

FIRST_SETTINGS = ((1.0, 0.0), (3.0, 0.0), (8.0, 0.01), (1.5, 0.001), (0.3, 0.01))
"""``(costmod, temperature)`` of the first greedy trees: each is best on some kind of network."""

COSTMOD, TEMPERATURE = (0.1, 8.0), (0.001, 0.3)
"""Ranges of the later ones, sampled evenly in the logarithm."""

GREEDY_LEGS = 6000
"""Tensors' worth of greedy trees per round: 6 of 1,000 tensors, 60 of 100."""

MOST_GREEDY = 60
"""Greedy trees per round at most."""

SCHEDULES = ((1.0, 20, 5), (0.3, 10, 5), (2.0, 30, 8))
"""Annealing of successive rounds: first temperature, temperatures, sweeps at each."""

LAST_TEMPERATURE = 0.05

FRESH_SLACK = 10**6
"""A fresh tree may cost this much more than the best and is still worth annealing."""

FRESH_AFTER = 3
"""Rounds without gain after which every other one starts anew."""

MOST_STALE = 30
"""Rounds without gain after which the search ends by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchProgress:
    """Where a search stands.

    Args:
        trials: Trees tried so far.
        mul_adds: Multiply-adds of the best one, or of the plan it has to beat.
        finder: Who found that.
        path: The best tree, if it is better than at the last report.
    """

    trials: int
    mul_adds: int
    finder: Finder
    path: Path | None = None


def improve(
    start: Plan, *, seed: int = 0, most_elements: int | None = None
) -> Iterator[SearchProgress]:
    """Progress of a search for a tree of fewer multiply-adds than ``start``'s, every few 10 ms.

    Args:
        start: The plan to beat; nothing is searched if it is proved.
        seed: Same seed, same trees.
        most_elements: If given, a tree whose peak fits is better than any that does not [elements].
    """
    if not start.proved:
        yield from _Search(start, Random(seed), most_elements).rounds()  # noqa: S311  # no secret


class _Search:
    """The state of one search: the best plan, and counts of what was tried."""

    def __init__(self, start: Plan, random: Random, most_elements: int | None) -> None:
        self.best = start
        self.random = random
        self.most_elements = most_elements
        self.trials = 0
        self.stale = 0
        self.is_new = False
        # cotengra sees numbers: ties then break the same way in every run, strings hash anew.
        number = {name: place for place, (name, _) in enumerate(start.tree.dimensions)}
        self.inputs = tuple(tuple(number[name] for name in names) for names in start.tree.inputs)
        self.output = tuple(number[name] for name in start.tree.output)
        self.sizes = {number[name]: size for name, size in start.tree.dimensions}
        self.simplified = ContractionProcessor(
            self.inputs, self.output, self.sizes, track_flops=True
        )
        self.simplified.simplify()

    def rounds(self) -> Iterator[SearchProgress]:
        for settings in FIRST_SETTINGS:
            self._offer(self._greedy(*settings), "random-greedy")
            yield self._progress()
        turn = 0
        while self.stale < MOST_STALE:
            before = self.best
            if self.stale >= FRESH_AFTER and self.stale % 2:
                path = self._fresh()
            else:
                yield from self._greedy_batch()
                path = self.best.tree.path
            yield from self._polish(path, *SCHEDULES[turn % len(SCHEDULES)])
            turn += 1
            self.stale = self.stale + 1 if self.best is before else 0

    def _greedy_batch(self) -> Iterator[SearchProgress]:
        for _ in range(min(MOST_GREEDY, GREEDY_LEGS // len(self.inputs))):
            self._offer(self._greedy(*self._settings()), "random-greedy")
            yield self._progress()

    def _polish(self, path: Path, hot: float, steps: int, sweeps: int) -> Iterator[SearchProgress]:
        """One tree annealed from ``hot`` down, then reconfigured; each temperature reports."""
        tree = CotengraTree.from_path(self.inputs, self.output, self.sizes, ssa_path=path)
        aim = "flops" if self._fits(self.best) or self.stale % 2 else "size"
        cooling = (LAST_TEMPERATURE / hot) ** (1 / (steps - 1))
        for step in range(steps):
            temperature = hot * cooling**step
            tree.simulated_anneal_(
                tstart=temperature,
                tfinal=temperature,
                tsteps=1,
                numiter=sweeps,
                minimize=aim,
                seed=self._seed(),
            )
            yield self._progress()
        self._offer_tree(tree, "annealed")
        yield self._progress()
        tree.subtree_reconfigure_(
            subtree_size=8,
            maxiter_auto_cap=100,
            minimize=aim,
            # cotengrust, where it is installed, takes no numbers.
            optimize=OptimalOptimizer(minimize=aim, accel=False),
            seed=self._seed(),
        )
        self._offer_tree(tree, "reconfigured")
        yield self._progress()

    def _fresh(self) -> Path:
        """A greedy tree of its own, or the best tree if all tries cost too much."""
        for _ in FIRST_SETTINGS:
            path = self._greedy(*self._settings(), slack=FRESH_SLACK)
            if path is not None:
                return path
        return self.best.tree.path

    def _greedy(self, costmod: float, temperature: float, *, slack: int = 1) -> Path | None:
        """A greedy tree, or ``None`` as soon as it costs ``slack`` times the best one."""
        growing = self.simplified.copy()
        growing.flops_limit = self.best.cost.mul_adds * slack
        self.trials += 1
        if not growing.optimize_greedy(costmod=costmod, temperature=temperature, seed=self._seed()):
            return None
        growing.optimize_remaining_by_size()
        return _pairs(growing.ssa_path, len(self.inputs))

    def _settings(self) -> tuple[float, float]:
        costmod, temperature = (
            math.exp(self.random.uniform(math.log(low), math.log(high)))
            for low, high in (COSTMOD, TEMPERATURE)
        )
        return costmod, temperature

    def _offer_tree(self, tree: CotengraTree, finder: Finder) -> None:
        self.trials += 1
        # cotengra never counts more than we do: lone sums are free there.
        if tree.total_flops() <= self.best.cost.mul_adds or not self._fits(self.best):
            self._offer(tree.get_ssa_path(), finder)

    def _offer(self, path: Path | None, finder: Finder) -> None:
        """Make a path the best one, if it is."""
        if path is None:
            return
        tree = replace(self.best.tree, path=path, sliced=())
        tree = replace(tree, path=ordered_path(tree))
        found = Plan(tree=tree, cost=cost_of(tree), finder=finder)
        if self._rank(found) < self._rank(self.best):
            self.best, self.is_new = found, True

    def _rank(self, plan: Plan) -> tuple[bool, int]:
        return not self._fits(plan), plan.cost.mul_adds

    def _fits(self, plan: Plan) -> bool:
        return self.most_elements is None or plan.cost.peak_elements <= self.most_elements

    def _seed(self) -> int:
        return self.random.getrandbits(32)

    def _progress(self) -> SearchProgress:
        path = self.best.tree.path if self.is_new else None
        self.is_new = False
        return SearchProgress(
            trials=self.trials,
            mul_adds=self.best.cost.mul_adds,
            finder=self.best.finder,
            path=path,
        )


def _pairs(path: Iterable[Sequence[int]], n_inputs: int) -> Path:
    """A path without cotengra's steps of one tensor (a lone sum, a trace), numbered anew."""
    number = list(range(n_inputs))
    pairs: list[tuple[int, int]] = []
    for step in path:
        if len(step) == 1:
            number.append(number[step[0]])
        else:
            left, right = step
            number.append(n_inputs + len(pairs))
            pairs.append((number[left], number[right]))
    return tuple(pairs)
