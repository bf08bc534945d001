"""From a network to a plan at once: greedy always, optimal where that takes milliseconds.

The finders are opt_einsum's; long searches are in ``plan.search``. Nothing here reads a clock: what
is small enough is decided by counting.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from opt_einsum.paths import DynamicProgramming, cost_memory_removed, greedy

from tensorloom.errors import PlanError
from tensorloom.plan.cost import cost_of
from tensorloom.plan.inputs import inputs_of
from tensorloom.plan.memory import ordered_path
from tensorloom.plan.plan import Plan
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tensorloom.model.network import Network
    from tensorloom.plan.inputs import Dimensions, Inputs, Output, Path
    from tensorloom.plan.plan import Finder

__all__ = ["ordered_plan", "plan_for", "quick", "recosted", "unsliced", "with_path"]

MOST_PROVED = 8
"""Tensors up to which every tree is considered, outer products too: 3^8 / 2 pairs of sets."""

MOST_OPTIMAL = 10
"""Tensors up to which the best tree without outer products is found, where few of them touch."""

MOST_TWICE = 100
"""Tensors up to which greedy runs twice, with two ideas of what looks cheap."""

MOST_NEIGHBOURS = 4
"""Tensors that touch another one on average, up to which that search takes milliseconds."""


def quick(network: Network) -> Plan:
    """A good plan within milliseconds, the same one every time.

    Up to 8 tensors it is the best there is (``proved``); up to 10, where few of them touch, the
    best without outer products; beyond that greedy.
    """
    inputs, output, dimensions = inputs_of(network)
    return plan_for(inputs, output, dimensions)


def plan_for(inputs: Inputs, output: Output, dimensions: Dimensions) -> Plan:
    """The same for plain indices.

    Example:
        >>> sizes = (("i", 9), ("j", 2), ("k", 9), ("l", 2))
        >>> plan_for((("i", "j"), ("j", "k"), ("k", "l")), ("i", "l"), sizes).tree.path
        ((1, 2), (0, 3))
    """
    n = len(inputs)
    best = _greedy(inputs, output, dimensions)
    if (
        best.proved
        or n > MOST_OPTIMAL
        or (n > MOST_PROVED and _neighbours(inputs) > MOST_NEIGHBOURS)
    ):
        return best
    outer = n <= MOST_PROVED
    path = _optimal_path(best.tree, cap=best.cost.mul_adds, outer=outer)
    proved = outer and not _has_lone_sums(inputs, output)
    found = ordered_plan(replace(best.tree, path=path), "optimal", proved=proved)
    return found if found.cost.mul_adds <= best.cost.mul_adds else best


def with_path(
    network: Network, path: Iterable[Sequence[int]], *, finder: Finder, sliced: tuple[str, ...] = ()
) -> Plan:
    """The plan of a path found elsewhere, its steps in the order that needs least memory.

    Raises:
        PlanError: ``bad-path`` if the path is not a tree over the network's tensors.
    """
    inputs, output, dimensions = inputs_of(network)
    pairs = []
    for pair in path:
        if len(pair) != 2:  # noqa: PLR2004  # pairwise contractions only
            raise PlanError("bad-path", f"A step joins {len(pair)} tensors, not two.")
        pairs.append((pair[0], pair[1]))
    tree = ContractionTree(
        inputs=inputs, output=output, dimensions=dimensions, path=tuple(pairs), sliced=sliced
    )
    return ordered_plan(tree, finder)


def recosted(plan: Plan, network: Network) -> Plan | None:
    """The same tree with the network's dimensions, or ``None`` if its structure is another one.

    While only sizes change, as in a drag, nothing is searched; a tree stays proved only if the
    sizes are the same.
    """
    inputs, output, dimensions = inputs_of(network)
    tree = plan.tree
    if tree.inputs != inputs or tree.output != output:
        return None
    if tree.dimensions == dimensions:
        return plan
    changed = tree.with_dimensions(dimensions)
    return replace(plan, tree=changed, cost=cost_of(changed), proved=not tree.path[1:])


def unsliced(plan: Plan) -> Plan:
    """The same contractions without slices."""
    return ordered_plan(replace(plan.tree, sliced=()), plan.finder)


def ordered_plan(tree: ContractionTree, finder: Finder, *, proved: bool = False) -> Plan:
    """The plan of a tree, its steps in the order that needs least memory.

    Args:
        tree: In any order.
        finder: Who found it.
        proved: Whether no cheaper one exists.
    """
    ordered = replace(tree, path=ordered_path(tree))
    return Plan(tree=ordered, cost=cost_of(ordered), finder=finder, proved=proved)


def _greedy(inputs: Inputs, output: Output, dimensions: Dimensions) -> Plan:
    """The better of greedy's trees; up to two tensors the only one."""
    n = len(inputs)
    tree = ContractionTree(inputs=inputs, output=output, dimensions=dimensions, path=_chain(n))
    if n <= 2:  # noqa: PLR2004  # two tensors meet in one way
        return ordered_plan(tree, "optimal", proved=True)
    sets, sizes = [frozenset(names) for names in inputs], dict(dimensions)
    costs = (cost_memory_removed, _growth) if n <= MOST_TWICE else (cost_memory_removed,)
    found = [greedy(sets, frozenset(output), sizes, cost_fn=cost) for cost in costs]
    plans = [ordered_plan(replace(tree, path=_ssa(linear, n)), "greedy") for linear in found]
    return min(plans, key=lambda plan: plan.cost.mul_adds)


def _growth(made: int, left: int, right: int, *_indices: object) -> float:
    """How bad a step looks to greedy when removing large tensors counts nine times as much.

    On regular structures this grows one large tensor instead of many: 10^18.8 instead of 10^21.8
    multiply-adds on a Sycamore circuit of 20 cycles, 10^19.8 instead of 10^35.2 on 56 qubits.
    """
    return made / 3 - 3 * (left + right)


def _chain(n: int) -> Path:
    """One tensor after the other."""
    return tuple((0 if step == 0 else n + step - 1, step + 1) for step in range(n - 1))


def _optimal_path(tree: ContractionTree, *, cap: int, outer: bool) -> Path:
    """The path of least multiply-adds, at most ``cap``: greedy's cost bounds the search at once."""
    finder = DynamicProgramming(minimize="flops", cost_cap=cap, search_outer=outer)
    inputs = [frozenset(names) for names in tree.inputs]
    linear = finder(inputs, frozenset(tree.output), dict(tree.dimensions))
    return _ssa(linear, len(inputs))


def _ssa(linear: Iterable[Sequence[int]], n_inputs: int) -> Path:
    """A path that counts positions in the shrinking list, as opt_einsum writes it, in SSA numbers.

    Steps of one tensor (a lone sum or a trace by itself) are left to the step that reads it.
    """
    live = list(range(n_inputs))
    pairs: list[tuple[int, int]] = []
    for positions in linear:
        numbers = [live.pop(place) for place in sorted(positions, reverse=True)][::-1]
        while len(numbers) > 1:
            pairs.append((numbers.pop(0), numbers.pop(0)))
            numbers.append(n_inputs + len(pairs) - 1)
        live.append(numbers[0])
    return tuple(pairs)


def _neighbours(inputs: Inputs) -> float:
    """How many tensors share an index with another one, on average."""
    sets = [set(names) for names in inputs]
    touching = sum(not one.isdisjoint(other) for one in sets for other in sets) - len(sets)
    return touching / len(sets)


def _has_lone_sums(inputs: Inputs, output: Output) -> bool:
    """Whether an index sits on one tensor only and is summed.

    Such a sum is part of a step here but free for the finder, so that its optimum is no proof.
    """
    seen: set[str] = set()
    shared: set[str] = set(output)
    for names in map(set, inputs):
        shared |= names & seen
        seen |= names
    return seen != shared
