"""Better trees for longer time: a generator of progress, so that whoever runs it can stop it.

cotengra does the work, round after round: greedy trees with random settings, simulated annealing of
the best one, exact reconfiguration of its subtrees. When rounds stop helping, every other one
starts from a fresh greedy tree. Nothing reads a clock and everything follows from the seed.

Where memory is limited and the best tree does not fit, it is cut afterwards (``plan.slicing``), and
``plan.cutting`` anneals trees while it cuts them; which of the two finds better plans depends on
the network, so whatever helped last gets most of the time. What counts is the work of all slices
together.

This module imports cotengra (0.4 s in the page); only ``plan.search`` imports it.

Measured on the benchmark networks (``docs/benchmarks.md``): annealing after greedy beats
hyper-optimisation of the same length by factors of 1 to 10^5, which is why there is none.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from typing import TYPE_CHECKING

from cotengra.pathfinders.path_basic import ContractionProcessor, OptimalOptimizer

from tensorloom.errors import PlanError
from tensorloom.plan.cost import input_elements
from tensorloom.plan.cotengra_form import CotengraForm
from tensorloom.plan.cutting import Knife
from tensorloom.plan.find import ordered_plan, unsliced
from tensorloom.plan.sharing import rank
from tensorloom.plan.slicing import sliced_to_fit

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from cotengra import ContractionTree as CotengraTree

    from tensorloom.plan.inputs import Path
    from tensorloom.plan.plan import Finder, Plan

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

CUT_HOT, CUT_AGAIN, CUT_WARM = 2.0, 1.0, 0.3
"""First temperature of a new tree that is cut, of the best one, and of those just annealed."""

CUT_STEPS = 20
"""Temperatures of one annealing of a tree that is cut."""

CUT_MOVES, CUT_SWEEPS = 6000, (10, 20)
"""Tensors times sweeps at each of them, and the fewest and most sweeps."""

CUT_STALE = 2
"""Annealings without gain after which another tree is cut."""

FAVOUR = 3
"""How much longer trees are annealed in the way, whole or cut, that helped last."""

HELP = 2
"""A turn that divides the work by so much has helped."""

ROOMS = (3, 2, 5)
"""The largest intermediate gets one part in so many of the memory, in turn: others live beside it,
and how much they take is known only when the tree is cut. What does not fit is cut further."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchProgress:
    """Where a search stands.

    Args:
        trials: Trees tried so far.
        mul_adds: Multiply-adds of the best one, or of the plan it has to beat: of all slices, what
            they share once.
        finder: Who found that.
        path: The best tree, if it is better than at the last report.
        sliced: The indices that it slices.
    """

    trials: int
    mul_adds: int
    finder: Finder
    path: Path | None = None
    sliced: tuple[str, ...] = ()


def improve(
    start: Plan, *, seed: int = 0, most_elements: int | None = None
) -> Iterator[SearchProgress]:
    """Progress of a search for a tree of fewer multiply-adds than ``start``'s, every few 10 ms.

    Args:
        start: The plan to beat; nothing is searched if it is proved and fits.
        seed: Same seed, same trees.
        most_elements: If given, a tree whose peak fits is better than any that does not, and trees
            are sliced until they fit. Ignored where inputs and result alone do not [elements].
    """
    tree = replace(start.tree, sliced=())
    held = input_elements(tree) + tree.elements(tree.output)
    if most_elements is not None and held >= most_elements:
        most_elements = None
    too_big, _ = rank(start, most_elements)
    if tree.path and (too_big or not start.proved):
        yield from _Search(start, seed, most_elements).rounds()


class _Search:
    """The state of one search: the best plan, and counts of what was tried."""

    def __init__(self, start: Plan, seed: int, most_elements: int | None) -> None:
        self.best = start
        self.whole = unsliced(start) if start.tree.sliced else start
        self.rank = rank(start, most_elements)
        self.random = Random(seed)  # noqa: S311  # no secret
        self.most_elements = most_elements
        self.trials = 0
        self.stale = 0
        self.is_new = False
        self.sweeps = 0
        self.form = CotengraForm(start.tree)
        self.knife: Knife | None = None
        if most_elements is not None:
            # It draws by itself: where everything fits, a search finds the same as without limit.
            self.knife = Knife(start.tree, self.form, most_elements, seed)
        self.batch = min(MOST_GREEDY, GREEDY_LEGS // len(self.form.inputs))
        self.simplified = ContractionProcessor(
            self.form.inputs, self.form.output, self.form.sizes, track_flops=True
        )
        self.simplified.simplify()

    def rounds(self) -> Iterator[SearchProgress]:
        for settings in FIRST_SETTINGS:
            self._offer_greedy(*settings)
            yield self._progress()
        wholes, cuts, turns = self._wholes(), self._cuts(), _Turns()
        while self.stale < MOST_STALE:
            before, rank_before, begin = (self.best, self.whole), self.rank, self.sweeps
            must_cut = self.knife is not None and self._must_cut()
            cutting = must_cut and turns.cut_next
            for progress in cuts if cutting else wholes:
                if progress is None:
                    break
                yield progress
            if must_cut:
                turns.took(self.sweeps - begin, cutting=cutting, helped=self._helped(rank_before))
            # Only whole trees count: every other time they are fresh.
            if (self.best, self.whole) != before:
                self.stale = 0
            elif not cutting:
                self.stale += 1

    def _must_cut(self) -> bool:
        """Whether the cheapest tree does not fit."""
        too_big, _ = self.rank
        return too_big or self.best is not self.whole

    def _helped(self, before: tuple[bool, int]) -> bool:
        """Whether the best plan has become much better, or has come to fit."""
        return self.rank[0] < before[0] or HELP * self.rank[1] <= before[1]

    # --- rounds -------------------------------------------------------------------------------

    def _wholes(self) -> Iterator[SearchProgress | None]:
        """Rounds of whole trees without end; ``None`` after each."""
        for turn in count():
            yield from self._round(turn)
            yield None

    def _round(self, turn: int) -> Iterator[SearchProgress]:
        """The best tree, or a fresh one, annealed whole."""
        if self.stale >= FRESH_AFTER and self.stale % 2:
            path = self._fresh()
        else:
            for _ in range(self.batch):
                self._offer_greedy(*self._settings())
                yield self._progress()
            path = self.whole.tree.path
        hot, steps, sweeps = SCHEDULES[turn % len(SCHEDULES)]
        self.sweeps += steps * sweeps
        tree = self.form.tree(path)
        for temperature in _cooling(hot, steps):
            self._anneal(tree, temperature, sweeps)
            yield self._progress()
        yield from self._finish(tree)

    def _cuts(self) -> Iterator[SearchProgress | None]:
        """Trees annealed and cut, one after the other; ``None`` after each annealing."""
        assert self.knife is not None
        for turn in count():
            # cotengra slices in floats: trees beyond them have to become cheaper first.
            with suppress(OverflowError):
                yield from self._cut_often(self.knife, turn)
            yield None

    def _cut_often(self, knife: Knife, turn: int) -> Iterator[SearchProgress | None]:
        """One tree annealed and cut until that stops helping; ``None`` between."""
        room = max(1, knife.room // ROOMS[turn % len(ROOMS)])
        best = self.best.tree
        if turn % 2 and best.sliced:
            tree, hot = self.form.tree(best.path, best.sliced), CUT_AGAIN
        else:
            path = yield from self._cheapest()
            tree, hot = self.form.tree(path), CUT_HOT
        stale, least = 0, math.inf
        while True:
            other = tree.copy()
            yield from self._cut(other, knife, room, hot)
            hot = CUT_WARM
            stale += 1
            if other.total_flops() < least:
                tree, stale, least = other, 0, other.total_flops()
            if stale == CUT_STALE:
                return
            yield None

    def _cut(
        self, tree: CotengraTree, knife: Knife, room: int, hot: float
    ) -> Iterator[SearchProgress]:
        """One tree annealed from ``hot`` down, and cut down to ``room`` on the way."""
        fewest, most = CUT_SWEEPS
        sweeps = min(most, max(fewest, CUT_MOVES // len(self.form.inputs)))
        self.sweeps += CUT_STEPS * sweeps
        size = max(tree.max_size(), room)
        for step, temperature in enumerate(_cooling(hot, CUT_STEPS)):
            knife.turn(tree, room * (size / room) ** (1 - step / (CUT_STEPS - 1)))
            yield self._progress()
            self._anneal(tree, temperature, sweeps)
            yield self._progress()
        yield from self._finish(tree)

    def _finish(self, tree: CotengraTree) -> Iterator[SearchProgress]:
        """What was annealed is offered, then once more with its parts at their best."""
        self._offer(tree, "annealed")
        yield self._progress()
        tree.subtree_reconfigure_(
            subtree_size=8,
            maxiter_auto_cap=100,
            minimize="flops",
            # cotengrust, where it is installed, takes no numbers.
            optimize=OptimalOptimizer(minimize="flops", accel=False),
            seed=self._seed(),
        )
        self._offer(tree, "reconfigured")
        yield self._progress()

    def _anneal(self, tree: CotengraTree, temperature: float, sweeps: int) -> None:
        tree.simulated_anneal_(
            tstart=temperature,
            tfinal=temperature,
            tsteps=1,
            numiter=sweeps,
            minimize="flops",
            seed=self._seed(),
        )

    # --- greedy trees -------------------------------------------------------------------------

    def _fresh(self) -> Path:
        """A greedy tree of its own, or the cheapest tree if all tries cost too much."""
        for _ in FIRST_SETTINGS:
            found = self._greedy(*self._settings(), self.whole.cost.mul_adds * FRESH_SLACK)
            if found is not None:
                return found[0]
        return self.whole.tree.path

    def _cheapest(self) -> Generator[SearchProgress, None, Path]:
        """The cheapest of some greedy trees, whatever they hold."""
        path, least = self.whole.tree.path, self.whole.cost.mul_adds * FRESH_SLACK
        for _ in range(max(1, self.batch)):
            found = self._greedy(*self._settings(), least)
            if found is not None:
                path, least = found
            yield self._progress()
        return path

    def _greedy(self, costmod: float, temperature: float, limit: int) -> tuple[Path, int] | None:
        """A greedy tree and its multiply-adds, or ``None`` as soon as they reach the limit."""
        growing = self.simplified.copy()
        growing.flops_limit = limit
        self.trials += 1
        if not growing.optimize_greedy(costmod=costmod, temperature=temperature, seed=self._seed()):
            return None
        growing.optimize_remaining_by_size()
        return self.form.pairs(growing.ssa_path), growing.flops

    def _settings(self) -> tuple[float, float]:
        costmod, temperature = (
            math.exp(self.random.uniform(math.log(low), math.log(high)))
            for low, high in (COSTMOD, TEMPERATURE)
        )
        return costmod, temperature

    # --- the best so far ----------------------------------------------------------------------

    def _offer_greedy(self, costmod: float, temperature: float) -> None:
        found = self._greedy(costmod, temperature, self.whole.cost.mul_adds)
        if found is not None:
            self._take_whole(found[0], "random-greedy")

    def _offer(self, tree: CotengraTree, finder: Finder) -> None:
        """Make a tree the best one if it is better, cut where it does not fit."""
        self.trials += 1
        cost = tree.total_flops()
        is_whole = not tree.sliced_inds
        before = self.whole
        # cotengra never counts more than we do: lone sums are free there.
        if is_whole and cost <= self.whole.cost.mul_adds:
            self._take_whole(self.form.path(tree), finder)
        too_big, least = self.rank
        # Slices only add work to that of a whole tree.
        if self.knife is not None and (too_big or cost < least or not is_whole):
            with suppress(OverflowError):
                cut = self.knife.fitted(tree, finder)
                if cut is not None:
                    self._take(cut)
        if self.most_elements is not None and self.whole is not before:
            # What whoever looks for the cheapest tree alone gets of it.
            with suppress(OverflowError, PlanError):
                self._take(sliced_to_fit(self.whole, self.most_elements))

    def _take_whole(self, path: Path, finder: Finder) -> None:
        plan = ordered_plan(replace(self.best.tree, path=path, sliced=()), finder)
        if plan.cost.mul_adds < self.whole.cost.mul_adds:
            self.whole = plan
        self._take(plan)

    def _take(self, plan: Plan) -> None:
        found = rank(plan, self.most_elements)
        if found < self.rank:
            self.best, self.rank, self.is_new = plan, found, True

    def _seed(self) -> int:
        return self.random.getrandbits(32)

    def _progress(self) -> SearchProgress:
        tree = self.best.tree if self.is_new else None
        self.is_new = False
        return SearchProgress(
            trials=self.trials,
            mul_adds=self.rank[1],
            finder=self.best.finder,
            path=tree.path if tree else None,
            sliced=tree.sliced if tree else (),
        )


class _Turns:
    """Whether whole trees or cut ones are next: both get time, what helped last the most."""

    def __init__(self) -> None:
        # Sweeps over whole trees less those over cut ones; what is not favoured counts more.
        self._lead = 0
        self._favours_cuts: bool | None = None

    @property
    def cut_next(self) -> bool:
        """Whether it is the turn of the cut ones, where there are any."""
        return self._lead > 0

    def took(self, sweeps: int, *, cutting: bool, helped: bool) -> None:
        """Account for one turn.

        Args:
            sweeps: Its length.
            cutting: Whether it cut.
            helped: Whether it found a much better plan.
        """
        if self._favours_cuts not in (None, cutting) and not helped:
            sweeps *= FAVOUR
        self._lead += -sweeps if cutting else sweeps
        # First trees help in any case: that says nothing before cuts were tried.
        if self._favours_cuts is None and not cutting:
            return
        if helped and self._favours_cuts is not cutting:
            # What starts to help goes on at once.
            self._lead = 1 if cutting else 0
            self._favours_cuts = cutting
        elif self._favours_cuts is None:
            self._favours_cuts = False


def _cooling(hot: float, steps: int) -> Iterator[float]:
    """Temperatures from ``hot`` down to the last one, their ratios equal."""
    cooling = (LAST_TEMPERATURE / hot) ** (1 / (steps - 1))
    for step in range(steps):
        yield hot * cooling**step
