"""Searching for trees: cotengra's searches on all workers for a given time.

Trees of two kinds are annealed while they are cut to a worker's memory, one after the other:
accelerated random greedy ones, which are there at once, and those of the hyper-optimiser, which
learns what makes them good. The best one is annealed further until that stops helping.

The tree given with a request (the tab's) is always among the candidates, and what counts is the
work that is really done after slicing, so what is chosen is never worse. The number of workers may
change what is found; the chosen tree is recorded before anything is computed.

Measured on four benchmark networks, 10 s each on one core: 7 to 2 * 10^5 times less work than by
slicing and reconfiguring what the hyper-optimiser found (``sycamore_n53_m10`` in 64 MiB 10^10.4 for
10^11.2 multiply-adds, ``randreg_200_3`` 10^9.7 for 10^12.0, ``cubic_6x6x10`` 10^10.5 for 10^15.9).
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from itertools import count, cycle
from typing import TYPE_CHECKING, Any

from tensorloom.errors import PlanError
from tensorloom.plan.cost import input_elements
from tensorloom_worker.execution.trees import fitting, letters_of, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorloom.plan.tree import ContractionTree
    from tensorloom_worker.execution.trees import Candidate

__all__ = ["better_trees", "searchers"]

DEEP_TREES = 50_000
"""cotengra walks trees by recursion."""

LEAST_SECONDS = 0.05
"""Nothing is found in less [s]."""

GREEDY_TREES, GREEDY_BATCHES = 16, 8
"""Random greedy trees at a time and how many times at most; the best of all is annealed. All of
them take 0.3 s for 1,700 tensors."""

GREEDY_SHARE = 0.2
"""Share of the time left after which no more of them are made."""

HYPER_SHARE = 0.4
"""Share of the time left that the hyper-optimiser gets when it is its turn."""

MOVES = 6_000
"""Tensors times sweeps at each temperature."""

SWEEPS = (10, 60)
"""Fewest and most of them."""

STEPS = 20
"""Temperatures."""

COLD = 0.05
HOT, WARM = 2.0, 0.3
"""First temperature for a new tree, and for one that was annealed; both end at ``COLD``."""

MOST_STALE = 2
"""Annealings in a row that bring nothing before another tree is looked for."""

ROOMS = (3, 2, 5)
"""The largest intermediate has one part in so many of the memory: others live beside it, and how
much they take is known only when it was cut. What does not fit is cut further by ``trees.fitting``.
"""


def searchers() -> tuple[str, ...]:
    """The optional packages that make searches better and are here."""
    return tuple(name for name in ("cotengrust", "optuna", "cmaes", "kahypar") if find_spec(name))


def better_trees(
    start: ContractionTree, most_elements: int, seconds: float, seed: int
) -> Iterator[ContractionTree]:
    """Trees that fit, each better than the one before.

    The clock is looked at between trees and trials only, and one of a large network may last for
    minutes: ``apart`` ends what does not end by itself.

    Args:
        start: What is to be contracted, and a first tree.
        most_elements: Memory of a worker [elements].
        seconds: How long, about.
        seed: Another one for each worker.
    """
    sys.setrecursionlimit(max(sys.getrecursionlimit(), DEEP_TREES))
    looking = _Search(start, most_elements, time.monotonic() + seconds, seed)
    best: Candidate | None = None
    for tree in looking.trees():
        with suppress(PlanError):
            found = fitting(tree, most_elements)
            if best is None or found.mul_adds < best.mul_adds:
                best = found
                yield found.tree
        if looking.left <= 0:
            return


class _Search:
    """One worker's search, in cotengra's form.

    Args:
        start: What is to be contracted.
        most_elements: Memory of a worker [elements].
        deadline: When it ends, of the monotonic clock [s].
        seed: Of this worker.
    """

    def __init__(
        self, start: ContractionTree, most_elements: int, deadline: float, seed: int
    ) -> None:
        self._start = start
        self._deadline = deadline
        self._seeds = count(100_000 * seed + 1)
        self._fixed = tuple(name for name in start.sliced if name in start.output)
        self._names, letters = letters_of(start)
        self._inputs = [
            tuple(letters[name] for name in dict.fromkeys(indices)) for indices in start.inputs
        ]
        self._output = tuple(letters[name] for name in start.output)
        # A batch is always sliced, so that it counts for nothing within a slice.
        self._sizes = {
            letters[name]: 1 if name in self._fixed else size for name, size in start.dimensions
        }
        held = input_elements(start)
        self._memory = most_elements - min(held, most_elements // 2)

    @property
    def left(self) -> float:
        """Time left [s]."""
        return self._deadline - time.monotonic()

    def trees(self) -> Iterator[ContractionTree]:
        """Trees, each cut to about the memory, until the time is over."""
        for turn, part in enumerate(cycle(ROOMS)):
            if self.left <= LEAST_SECONDS:
                return
            room = max(2, self._memory // part)
            # cotengra counts in floats; what is beyond them is no tree to run.
            with suppress(OverflowError):
                made = self._hyper(room) if turn % 2 else self._greedy(room)
                if made is not None:
                    for better in self._annealed(made, room):
                        yield self._ours(better)

    def _greedy(self, room: int) -> Any:  # noqa: ANN401  # a tree of cotengra's
        from cotengra import RandomGreedyOptimizer  # noqa: PLC0415  # where one searches only

        finder = RandomGreedyOptimizer(
            max_repeats=GREEDY_TREES, seed=next(self._seeds), parallel=False
        )
        until = (1 - GREEDY_SHARE) * self.left
        for _ in range(GREEDY_BATCHES):
            # It remembers the best one of all that it was asked for.
            tree = finder.search(self._inputs, self._output, self._sizes)
            if self.left < until:
                break
        return self._anneal(tree, room, HOT, self._sweeps)

    def _hyper(self, room: int) -> Any:  # noqa: ANN401  # a tree of cotengra's
        """The best one that fits in its share of the time; nothing if that is too short for one."""
        from cotengra import HyperOptimizer  # noqa: PLC0415  # where one searches only

        sampler = next((name for name in ("optuna", "cmaes") if find_spec(name)), "random")
        seed = next(self._seeds)
        finder = HyperOptimizer(
            methods=["greedy", "kahypar" if find_spec("kahypar") else "labels"],
            optlib=sampler,
            optlib_opts={"seed": seed} if sampler == "random" else None,
            max_time=HYPER_SHARE * self.left,
            max_repeats=10_000,
            parallel=False,
            minimize="flops",
            simulated_annealing_opts={
                "target_size": room,
                "tstart": HOT,
                "tfinal": COLD,
                "tsteps": STEPS,
                "numiter": max(SWEEPS[0], self._sweeps // 3),
                "minimize": "flops",
                "seed": seed,
            },
            reconf_opts={"minimize": "flops"},
            progbar=False,
            on_trial_error="ignore",
        )
        with suppress(KeyError):
            return finder.search(self._inputs, self._output, self._sizes)
        return None

    def _annealed(self, tree: Any, room: int) -> Iterator[Any]:  # noqa: ANN401  # cotengra's
        """The tree, and better ones made from it."""
        yield tree
        stale = 0
        while stale < MOST_STALE and self.left > LEAST_SECONDS:
            other = self._anneal(tree.copy(), room, WARM, self._sweeps)
            stale += 1
            if other.total_flops() < tree.total_flops():
                tree, stale = other, 0
                yield tree

    def _anneal(self, tree: Any, room: int, hot: float, sweeps: int) -> Any:  # noqa: ANN401  # cotengra's
        """The tree itself, annealed from a temperature down and cut, its subtrees at their best."""
        tree.simulated_anneal_(
            tstart=hot,
            tfinal=COLD,
            tsteps=STEPS,
            numiter=sweeps,
            minimize="flops",
            target_size=room,
            seed=next(self._seeds),
        )
        tree.subtree_reconfigure_(minimize="flops", seed=next(self._seeds))
        return tree

    @cached_property
    def _sweeps(self) -> int:
        """At each temperature."""
        fewest, most = SWEEPS
        return min(most, max(fewest, MOVES // len(self._inputs)))

    def _ours(self, found: Any) -> ContractionTree:  # noqa: ANN401  # cotengra's tree
        sliced = tuple(self._names[place] for place in found.sliced_inds)
        path = tuple((int(left), int(right)) for left, right in found.get_ssa_path())
        return tree_of(self._start, path, tuple(dict.fromkeys((*self._fixed, *sliced))))
