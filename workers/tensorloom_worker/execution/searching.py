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
from math import inf
from typing import TYPE_CHECKING, Any

from tensorloom.errors import PlanError
from tensorloom.plan.cost import input_elements
from tensorloom_worker.execution.planning import Patience
from tensorloom_worker.execution.trees import fitting, letters_of, patient_flops, tree_of
from tensorloom_worker.execution.wanted import own_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tensorloom.plan.tree import ContractionTree
    from tensorloom_worker.execution.trees import Candidate

__all__ = ["search", "searchers"]

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


class _UnwantedError(BaseException):
    """Nobody waits for this search. cotengra takes every ``Exception`` for a trial that failed."""


class _Wanted(Patience):
    """Lasts while somebody waits for the task that looks at it."""

    def __init__(self, seconds: float, is_wanted: Callable[[], bool]) -> None:
        super().__init__(seconds)
        self._is_wanted = is_wanted

    def look(self) -> None:
        """Nothing, while somebody waits.

        Raises:
            TimeoutError: The time is over.
            _UnwantedError: Nobody waits any more.
        """
        if not self._is_wanted():
            raise _UnwantedError
        super().look()


def search(
    start: ContractionTree, most_elements: int, seconds: float, seed: int
) -> tuple[tuple[tuple[int, int], ...], tuple[str, ...], str] | None:
    """``(path, sliced, method)`` of the best tree found in this time; ``None`` for none that fits.

    Runs on a worker; seeds make the workers look in different places. It ends soon after the task
    is cancelled: until then other jobs wait for its thread.

    Args:
        start: What is to be contracted, and a first tree.
        most_elements: Memory of a worker [elements].
        seconds: How long, about.
        seed: Another one for each worker.
    """
    sys.setrecursionlimit(max(sys.getrecursionlimit(), DEEP_TREES))
    if len(start.path) < 2:  # noqa: PLR2004  # two tensors meet in one way
        return None
    is_wanted = own_task()
    looking = _Search(start, most_elements, time.monotonic() + seconds, seed, is_wanted)
    patience = _Wanted(2 * seconds, is_wanted)
    best: Candidate | None = None
    how = ""
    with suppress(_UnwantedError):
        for tree, method in looking.trees():
            with suppress(PlanError):
                found = fitting(tree, most_elements, patience)
                if best is None or found.mul_adds < best.mul_adds:
                    best, how = found, method
            if looking.left <= 0:
                break
    return None if best is None else (best.tree.path, best.tree.sliced, how)


class _Search:
    """One worker's search, in cotengra's form.

    Args:
        start: What is to be contracted.
        most_elements: Memory of a worker [elements].
        deadline: When it ends, of the monotonic clock [s].
        seed: Of this worker.
        is_wanted: Whether somebody waits for it.
    """

    def __init__(
        self,
        start: ContractionTree,
        most_elements: int,
        deadline: float,
        seed: int,
        is_wanted: Callable[[], bool],
    ) -> None:
        self._start = start
        self._deadline = deadline
        self._is_wanted = is_wanted
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
        # The first trial of a large network may take twice the time given, but no longer.
        self._objective = patient_flops(_Wanted(2 * self.left, is_wanted))
        self._unhurried = patient_flops(_Wanted(inf, is_wanted))

    @property
    def left(self) -> float:
        """Time left; 0 where nobody waits [s]."""
        return self._deadline - time.monotonic() if self._is_wanted() else 0.0

    def trees(self) -> Iterator[tuple[ContractionTree, str]]:
        """Trees and who made them, each cut to about the memory, until the time is over."""
        for turn, part in enumerate(cycle(ROOMS)):
            if self.left <= LEAST_SECONDS:
                return
            room = max(2, self._memory // part)
            # cotengra counts in floats; what is beyond them is no tree to run.
            with suppress(TimeoutError, OverflowError):
                made = self._hyper(room) if turn % 2 else self._greedy(room)
                if made is not None:
                    method = "hyper-optimiser" if turn % 2 else "random greedy"
                    for better in self._annealed(made, room):
                        yield self._ours(better), f"{method}, annealed"

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
            minimize=self._objective,
            simulated_annealing_opts={
                "target_size": room,
                "tstart": HOT,
                "tfinal": COLD,
                "tsteps": STEPS,
                "numiter": max(SWEEPS[0], self._sweeps // 3),
                "minimize": self._objective,
                "seed": seed,
            },
            reconf_opts={"minimize": self._objective},
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
        # The annealing slices by the tree's own objective, for minutes where the tree is large.
        tree.set_default_objective(self._unhurried)
        tree.simulated_anneal_(
            tstart=hot,
            tfinal=COLD,
            tsteps=STEPS,
            numiter=sweeps,
            minimize=self._objective,
            target_size=room,
            seed=next(self._seeds),
        )
        tree.subtree_reconfigure_(minimize=self._objective, seed=next(self._seeds))
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
