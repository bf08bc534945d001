"""Trees for jobs: cut until they fit a worker, compared by the work that is really done."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
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
    "letters_of",
    "patient_flops",
    "spread",
    "tree_of",
    "whole_where_it_fits",
]

MOST_SLICES = 2**40
"""Slices beyond which no number of workers ends before the sun."""

MOST_TOLD = 10**300
"""Largest number that is told of a tree; Python writes no integer of more than 4,300 digits."""

REPEATS = 8
"""Slicings that are compared for each size; seeded, so always the same ones."""


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


def whole_where_it_fits(
    problem: Problem, tree: ContractionTree, most_elements: int
) -> ContractionTree:
    """The tree without its slices if it fits so: a page slices for its own memory."""
    if tree.sliced == _always(problem):
        return tree
    whole = tree_with(tree, _always(problem))
    return whole if candidate(whole, most_elements).peak_elements <= most_elements else tree


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
        peak = min(MOST_TOLD, cost_of(whole).peak_elements)
        raise PlanError(
            "too-many-slices",
            f"Slicing from {float(peak):.3g} elements at once down to "
            f"{most_elements} takes more than {MOST_SLICES} slices.",
            "Search for a better order, or make dimensions smaller.",
            values={
                "peak": str(peak),
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


def patient_flops(patience: Patience) -> Any:  # noqa: ANN401  # an objective of cotengra
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


def _slicings(tree: ContractionTree, room: int, patience: Patience) -> Iterator[tuple[str, ...]]:
    """Indices to slice for smaller and smaller largest intermediates, from ``room`` down.

    Raises:
        TimeoutError: The patience is over.
    """
    found, names = _theirs(tree)
    objective = patient_flops(patience)
    largest = int(found.max_size())
    while room >= 1:
        if room < largest:
            for seed in range(REPEATS):
                patience.look()
                try:
                    cut = found.slice(
                        target_size=room, max_repeats=2, minimize=objective, seed=seed
                    )
                except OverflowError:
                    # It counts in floats. What is beyond them takes more slices than anybody waits
                    # for, however it is sliced.
                    return
                yield tuple(names[place] for place in cut.sliced_inds)
        room //= 2


def _theirs(tree: ContractionTree) -> tuple[Any, dict[str, str]]:
    """The tree in cotengra's form, and the names of its numbered indices."""
    from cotengra import (  # noqa: PLC0415  # on workers that search only
        ContractionTree as CotengraTree,
    )

    names, letters = letters_of(tree)
    found = CotengraTree.from_path(
        [tuple(letters[name] for name in indices) for indices in tree.inputs],
        tuple(letters[name] for name in tree.output),
        {letters[name]: size for name, size in tree.dimensions},
        ssa_path=tree.path,
    )
    return found, names


def letters_of(tree: ContractionTree) -> tuple[dict[str, str], dict[str, str]]:
    """Names by cotengra's letters, and letters by names; cotengrust takes no numbers."""
    from cotengra import get_symbol  # noqa: PLC0415  # on workers that search only

    letters = {name: get_symbol(place) for place, (name, _) in enumerate(tree.dimensions)}
    return {letter: name for name, letter in letters.items()}, letters


def _always(problem: Problem) -> tuple[str, ...]:
    return (problem.batch,) if problem.batch else ()
