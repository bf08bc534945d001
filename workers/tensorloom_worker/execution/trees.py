"""Finding trees for jobs: cotengra's searches on all workers for a given time, then slicing.

The tree given with a request (the tab's) is always among the candidates, and what counts is the
work that is really done after slicing, so what is chosen is never worse. The number of workers may
change what is found; the chosen tree is recorded before anything is computed.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from tensorloom.errors import PlanError
from tensorloom.plan.cost import cost_of, input_elements
from tensorloom.plan.find import plan_for
from tensorloom_worker.execution.planning import Patience, took_too_long
from tensorloom_worker.execution.problem import tree_with
from tensorloom_worker.execution.strategy import Strategy, strategy_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tensorloom.plan.tree import ContractionTree
    from tensorloom_worker.execution.problem import Problem

__all__ = [
    "Candidate",
    "best_of",
    "candidate",
    "fitting",
    "given_tree",
    "search",
    "searchers",
    "spread",
    "tree_of",
]

MOST_SLICES = 2**40
"""Slices beyond which no number of workers ends before the sun."""

REPEATS = 8
"""Slicings that are compared for each size; seeded, so always the same ones."""

DEEP_TREES = 50_000
"""cotengra walks trees by recursion."""

_LEAST_SECONDS = 0.05
"""Nothing is found in less [s]."""

_FIRST_SHARE = 0.6
"""Share of the time for the first round; then what it found is improved, and looked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A tree that fits a worker, and what it costs there.

    Args:
        tree: With its slices.
        mul_adds: Work that is really done.
        peak_elements: Most elements alive at once [elements].
    """

    tree: ContractionTree
    mul_adds: int
    peak_elements: int


def given_tree(problem: Problem) -> ContractionTree:
    """The tree that is found at once."""
    plan = plan_for(problem.inputs, problem.output, problem.dimensions)
    return tree_with(plan.tree, _always(problem))


def tree_of(
    start: ContractionTree, path: tuple[tuple[int, int], ...], sliced: tuple[str, ...]
) -> ContractionTree:
    """The same contraction by another path, with these slices."""
    return tree_with(replace(start, path=tuple(path)), sliced)


def candidate(tree: ContractionTree, most_elements: int) -> Candidate:
    """The tree as it would be run in so much memory."""
    strategy: Strategy = strategy_for(tree, most_elements)
    return Candidate(tree=tree, mul_adds=strategy.mul_adds, peak_elements=strategy.peak_elements)


def fitting(
    tree: ContractionTree, most_elements: int, patience: Patience | None = None
) -> Candidate:
    """The best slicing of a tree that fits; the tree itself if it does.

    Args:
        tree: What is contracted, and how.
        most_elements: Memory of a task [elements].
        patience: How long slicings are compared; the best one so far counts when it is over.

    Raises:
        PlanError: ``inputs-too-big``, ``too-many-slices`` or ``planning-too-long``.
        Cancelled: Nobody waits for it any more.
    """
    patience = patience or Patience()
    own = candidate(tree, most_elements)
    if own.peak_elements <= most_elements:
        return own
    fixed = tuple(name for name in tree.sliced if name in tree.output)
    held = input_elements(tree) + tree.elements(tree.output)
    if held >= most_elements or not tree.path:
        raise PlanError(
            "inputs-too-big",
            f"Inputs and result alone hold {held} elements; the limit is {most_elements}.",
            "Make dimensions smaller, or run it where there is more memory.",
            values={"held": str(held), "limit": str(most_elements)},
        )
    whole = replace(tree, sliced=())
    best: Candidate | None = None
    try:
        for best in _better(whole, fixed, most_elements, patience):  # noqa: B007  # the last counts
            pass
    except TimeoutError as error:
        if best is None:
            raise took_too_long(patience) from error
    if best is None:
        raise PlanError(
            "too-many-slices",
            f"Slicing from {cost_of(whole).peak_elements} elements at once down to "
            f"{most_elements} takes more than {MOST_SLICES} slices.",
            "Search for a better order, or make dimensions smaller.",
            values={
                "peak": str(cost_of(whole).peak_elements),
                "limit": str(most_elements),
                "slices": MOST_SLICES,
            },
        )
    return best


def best_of(
    options: Sequence[ContractionTree], most_elements: int, patience: Patience
) -> tuple[ContractionTree | None, PlanError | None]:
    """The tree that does least work within the memory, or why the last one does not fit."""
    best = None
    refusal = None
    for tree in options:
        try:
            found = fitting(tree, most_elements, patience)
        except PlanError as error:
            refusal = error
            continue
        if best is None or found.mul_adds < best.mul_adds:
            best = found
    return (None, refusal) if best is None else (best.tree, None)


def spread(
    tree: ContractionTree,
    threads: int,
    seconds: Callable[[ContractionTree], float],
    patience: Patience,
) -> ContractionTree:
    """The tree, or itself cut further where that ends sooner: one slice keeps one thread busy.

    Args:
        tree: What is contracted, and how; it fits.
        threads: How many there are.
        seconds: From a job's start to its end [s].
        patience: How long slicings are compared; the best one so far counts when it is over.
    """
    best, least, cut = tree, seconds(tree), tree
    with suppress(PlanError, TimeoutError):
        while cut.n_slices < threads:
            cut = fitting(cut, candidate(cut, 0).peak_elements - 1, patience).tree
            if (took := seconds(cut)) < least:
                best, least = cut, took
    return best


def _better(
    whole: ContractionTree, fixed: tuple[str, ...], most_elements: int, patience: Patience
) -> Iterator[Candidate]:
    """Slicings of a tree that fit, each better than the one before.

    Raises:
        TimeoutError: The patience is over.
    """
    held = input_elements(whole) + whole.elements(whole.output)
    best: Candidate | None = None
    since = 0
    for sliced in _slicings(whole, most_elements - held, patience):
        cut = tree_with(whole, tuple(dict.fromkeys((*fixed, *sliced))))
        if cut.n_slices > MOST_SLICES or since >= REPEATS:
            return
        since += best is not None
        if cost_of(cut).peak_elements > most_elements:
            continue
        found = candidate(cut, most_elements)
        if found.peak_elements <= most_elements and (
            best is None or found.mul_adds < best.mul_adds
        ):
            best = found
            yield best


def searchers() -> tuple[str, ...]:
    """The optional packages that make searches better and are here."""
    return tuple(name for name in ("cotengrust", "optuna", "cmaes", "kahypar") if find_spec(name))


def search(
    start: ContractionTree, most_elements: int, seconds: float, seed: int
) -> tuple[tuple[tuple[int, int], ...], tuple[str, ...], str] | None:
    """``(path, sliced, method)`` of the best tree found in this time; ``None`` for none that fits.

    Runs on a worker; seeds make the workers look in different places.

    Args:
        start: What is to be contracted, and a first tree.
        most_elements: Memory of a worker [elements].
        seconds: How long, about.
        seed: Another one for each worker.
    """
    sys.setrecursionlimit(max(sys.getrecursionlimit(), DEEP_TREES))
    deadline = time.monotonic() + seconds
    patience = Patience(2 * seconds)
    if len(start.path) < 2:  # noqa: PLR2004  # two tensors meet in one way
        return None
    best: Candidate | None = None
    how = "given"
    for tree, method in _found(start, most_elements, deadline, seed):
        with suppress(PlanError):
            found = fitting(tree, most_elements, patience)
            if best is None or found.mul_adds < best.mul_adds:
                best, how = found, method
        if time.monotonic() > deadline:
            break
    return None if best is None else (best.tree.path, best.tree.sliced, how)


def _found(
    start: ContractionTree, most_elements: int, deadline: float, seed: int
) -> Iterator[tuple[ContractionTree, str]]:
    """Trees of cotengra's searches, sliced and reconfigured for the memory."""
    from cotengra import HyperOptimizer  # noqa: PLC0415  # on workers that search only

    fixed = tuple(name for name in start.sliced if name in start.output)
    names, letters = _letters(start)
    inputs = [tuple(letters[name] for name in dict.fromkeys(indices)) for indices in start.inputs]
    output = tuple(letters[name] for name in start.output)
    # A batch is always sliced, so that it counts for nothing within a slice.
    sizes = {letters[name]: 1 if name in fixed else size for name, size in start.dimensions}
    held = input_elements(start)
    room = max(2, (most_elements - min(held, most_elements // 2)) // 3)
    methods = ["greedy", "kahypar" if find_spec("kahypar") else "labels"]
    # The first trial of a large network may take twice the time given, but no longer.
    objective = _patient_flops(Patience(2 * (deadline - time.monotonic())))
    rounds = 0
    while (left := deadline - time.monotonic()) > _LEAST_SECONDS:
        finder = HyperOptimizer(
            methods=methods,
            optlib=_sampler(),
            max_time=left * (_FIRST_SHARE if rounds == 0 else 1.0),
            max_repeats=10_000,
            parallel=False,
            minimize=objective,
            slicing_reconf_opts={"target_size": room},
            progbar=False,
            on_trial_error="ignore",
            optlib_opts={"seed": seed + 1000 * rounds} if _sampler() == "random" else None,
        )
        tree = None
        # The time may be too short for a single trial.
        with suppress(KeyError):
            tree = finder.search(inputs, output, sizes)
        while tree is not None:
            yield _ours(start, tree, names, fixed), "cotengra"
            before = tree.total_flops()
            if time.monotonic() > deadline:
                break
            try:
                tree = tree.slice_and_reconfigure(target_size=room, minimize=objective)
            except TimeoutError:
                break
            if tree.total_flops() >= before:
                break
        rounds += 1
        room = max(2, room // 2)


def _patient_flops(patience: Patience) -> Any:  # noqa: ANN401  # an objective of cotengra
    """Counts operations while somebody waits; then it breaks off whatever asks.

    cotengra looks at the clock between trials only, and a trial that has to slice a large network
    many times over takes minutes. A trial that is broken off counts as failed.
    """
    from cotengra.scoring import FlopsObjective  # noqa: PLC0415  # on workers that search only

    class PatientFlops(FlopsObjective):  # type: ignore[misc]  # cotengra has no types
        def cost_local_tree_node(self, tree: Any, node: Any) -> Any:  # noqa: ANN401  # cotengra's
            patience.look()
            return super().cost_local_tree_node(tree, node)

        def score_slice_index(self, costs: Any, ix: Any) -> Any:  # noqa: ANN401  # cotengra's
            patience.look()
            return super().score_slice_index(costs, ix)

    return PatientFlops()


def _sampler() -> str:
    """The best optimiser of a search's parameters that is here."""
    return next((name for name in ("optuna", "cmaes") if find_spec(name)), "random")


def _slicings(tree: ContractionTree, room: int, patience: Patience) -> Iterator[tuple[str, ...]]:
    """Indices to slice for smaller and smaller largest intermediates, from ``room`` down.

    Raises:
        TimeoutError: The patience is over.
    """
    found, names = _theirs(tree)
    objective = _patient_flops(patience)
    largest = int(found.max_size())
    while room >= 1:
        if room < largest:
            for seed in range(REPEATS):
                patience.look()
                cut = found.slice(target_size=room, max_repeats=2, minimize=objective, seed=seed)
                yield tuple(names[place] for place in cut.sliced_inds)
        room //= 2


def _theirs(tree: ContractionTree) -> tuple[Any, dict[str, str]]:
    """The tree in cotengra's form, and the names of its numbered indices."""
    from cotengra import (  # noqa: PLC0415  # on workers that search only
        ContractionTree as CotengraTree,
    )

    names, letters = _letters(tree)
    found = CotengraTree.from_path(
        [tuple(letters[name] for name in indices) for indices in tree.inputs],
        tuple(letters[name] for name in tree.output),
        {letters[name]: size for name, size in tree.dimensions},
        ssa_path=tree.path,
    )
    return found, names


def _letters(tree: ContractionTree) -> tuple[dict[str, str], dict[str, str]]:
    """Names by cotengra's letters, and letters by names; cotengrust takes no numbers."""
    from cotengra import get_symbol  # noqa: PLC0415  # on workers that search only

    letters = {name: get_symbol(place) for place, (name, _) in enumerate(tree.dimensions)}
    return {letter: name for name, letter in letters.items()}, letters


def _ours(
    start: ContractionTree,
    found: Any,  # noqa: ANN401  # cotengra's tree
    names: dict[str, str],
    fixed: tuple[str, ...],
) -> ContractionTree:
    sliced = tuple(names[place] for place in found.sliced_inds)
    path = tuple((int(left), int(right)) for left, right in found.get_ssa_path())
    return tree_with(replace(start, path=path), tuple(dict.fromkeys((*fixed, *sliced))))


def _always(problem: Problem) -> tuple[str, ...]:
    return (problem.batch,) if problem.batch else ()
