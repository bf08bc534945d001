"""What is made once, what is made for every slice, and in which order the slices come.

A branch of the tree that carries only some of the sliced indices is the same in many slices. Where
its full table fits the memory, it is contracted once, unsliced, and read like an input (a *table*).
What remains is the *main* tree; its intermediates are kept as long as the values of their sliced
indices stay, and the order of the slices is chosen for that. Nothing here knows how many workers
there are: a resumed job must get identical bits from any number of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations
from math import factorial, prod
from typing import TYPE_CHECKING

from tensorloom.plan.cost import cost_of
from tensorloom.plan.tree import ContractionTree
from tensorloom_worker.execution.schedule import compiled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tensorloom_worker.execution.schedule import Schedule

__all__ = ["Strategy", "Table", "levels_of", "ordered_slices", "strategy_for"]

MOST_ORDERS = 720
"""Orders of sliced indices that are all compared; beyond, innermost first and greedily."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A branch contracted once, without slicing.

    Args:
        tree: Its contraction; ``tree.inputs`` are inputs of the whole tree.
        inputs: Numbers of those inputs there.
    """

    tree: ContractionTree
    inputs: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """A tree made ready for running slice by slice.

    Args:
        tables: Branches made once; numbered after the inputs of the whole tree.
        main: What remains; ``main.sliced`` is ordered, outermost first, output indices before all.
        inputs: For each input of ``main``, the number of an input of the whole tree, or that of a
            table (counted on from there).
        levels: When each tensor of ``main`` is made, by SSA number: 0 once, ``k`` whenever one of
            the first ``k`` sliced indices has changed.
    """

    tables: tuple[Table, ...]
    main: ContractionTree
    inputs: tuple[int, ...]
    levels: tuple[int, ...]

    @classmethod
    def of(cls, tree: ContractionTree, most_elements: int | None = None) -> Strategy:
        """The plain one: nothing is made before, slices come in the order given."""
        inputs = tuple(range(len(tree.inputs)))
        return cls(tables=(), main=tree, inputs=inputs, levels=levels_of(tree, most_elements))

    @cached_property
    def schedule(self) -> Schedule:
        """The calls of the main tree."""
        return compiled(self.main, self.levels)

    @cached_property
    def block_sizes(self) -> tuple[int, ...]:
        """Dimensions of the sliced output indices: each choice of values is a block of its own."""
        full = dict(self.main.dimensions)
        return tuple(full[name] for name in self.main.sliced if name in self.main.output)

    @property
    def n_blocks(self) -> int:
        """Blocks of the result."""
        return prod(self.block_sizes)

    @property
    def slices_per_block(self) -> int:
        """Slices that add up to one block; they are numbered one after the other."""
        return self.main.n_slices // self.n_blocks

    @cached_property
    def table_mul_adds(self) -> int:
        """Work done once per worker."""
        return sum(cost_of(table.tree).mul_adds for table in self.tables)

    @cached_property
    def mul_adds(self) -> int:
        """Work that is really done: what is kept is not counted again."""
        main, first = self.main, len(self.main.inputs)
        times = _times(main)
        return self.table_mul_adds + sum(
            step.mul_adds * times[self.levels[first + offset]]
            for offset, step in enumerate(cost_of(main).steps)
        )

    @cached_property
    def peak_elements(self) -> int:
        """Most elements alive at once in one worker [elements]."""
        peak = cost_of(self.main).peak_elements + sum(_kept(self.main, self.levels).values())
        held = sum(_size(table.tree.output, dict(table.tree.dimensions)) for table in self.tables)
        # The main tree counts the tables among its inputs; the inputs they were made of stay too.
        sizes = dict(self.main.dimensions)
        sources = sum(_size(n, sizes) for table in self.tables for n in table.tree.inputs)
        making = max((cost_of(table.tree).peak_elements for table in self.tables), default=0)
        return max(peak + sources, held + making) + adding_elements(self.main)


def strategy_for(tree: ContractionTree, most_elements: int | None = None) -> Strategy:
    """How a sliced tree is run so that little is done twice.

    Args:
        tree: With its sliced indices.
        most_elements: Memory of a worker; no limit on tables if it is ``None`` [elements].
    """
    if most_elements is not None:
        most_elements -= adding_elements(tree)
    if not tree.sliced or not tree.path:
        return Strategy.of(replace(tree, sliced=ordered_slices(tree)), most_elements)
    room = None if most_elements is None else most_elements - cost_of(tree).peak_elements
    tops = _tops(tree, room)
    tables, main, inputs = _split(tree, tops)
    main = replace(main, sliced=ordered_slices(main))
    full = dict(tree.dimensions)
    held = sum(_size(n, full) for table in tables for n in table.tree.inputs)
    levels = levels_of(main, None if most_elements is None else most_elements - held)
    return Strategy(tables=tables, main=main, inputs=inputs, levels=levels)


def adding_elements(tree: ContractionTree) -> int:
    """What adding up the slices of a block holds [elements].

    A sum in double precision, what it lost, and both once more as they are sent.
    """
    full = dict(tree.dimensions)
    return 4 * prod(full[name] for name in tree.output if name not in tree.sliced)


def carried_slices(tree: ContractionTree) -> Mapping[int, frozenset[str]]:
    """The sliced indices on which each tensor depends, by SSA number."""
    sliced = frozenset(tree.sliced)
    found = {number: sliced.intersection(names) for number, names in enumerate(tree.inputs)}
    for offset, (left, right) in enumerate(tree.path):
        found[len(tree.inputs) + offset] = found[left] | found[right]
    return found


def _tops(tree: ContractionTree, room: int | None) -> list[int]:
    """Numbers of the branches to make once, from the root downwards as high as they fit."""
    carried = carried_slices(tree)
    sizes = dict(tree.dimensions)
    first = len(tree.inputs)
    every = frozenset(tree.sliced)
    left = room
    tops: list[int] = []
    stack = [first + len(tree.path) - 1]
    while stack:
        number = stack.pop()
        if number < first:
            continue
        if carried[number] != every:
            branch = _branch(tree, number)[0]
            peak = cost_of(branch).peak_elements
            size = _size(branch.output, sizes)
            if left is None or peak <= left:
                tops.append(number)
                left = None if left is None else left - size
                continue
        stack.extend(tree.path[number - first])
    return sorted(tops)


def _branch(tree: ContractionTree, top: int) -> tuple[ContractionTree, tuple[int, ...]]:
    """The contraction below and including a step, unsliced, and the inputs it reads."""
    first = len(tree.inputs)
    members, stack = [], [top]
    while stack:
        number = stack.pop()
        members.append(number)
        if number >= first:
            stack.extend(tree.path[number - first])
    inputs = tuple(sorted(number for number in members if number < first))
    made = sorted(number for number in members if number >= first)
    renamed = {number: place for place, number in enumerate((*inputs, *made))}
    path = tuple(
        (renamed[left], renamed[right])
        for left, right in (tree.path[number - first] for number in made)
    )
    kept = tree.steps[top - first].out_indices
    on_branch = {name for number in inputs for name in tree.inputs[number]}
    # What is sliced keeps its axis, even where every tensor that has it is in the branch.
    front = tuple(name for name in tree.sliced if name in on_branch)
    output = (*front, *(name for name in kept if name not in front))
    dimensions = tuple(pair for pair in tree.dimensions if pair[0] in on_branch)
    return (
        ContractionTree(
            inputs=tuple(tree.inputs[number] for number in inputs),
            output=output,
            dimensions=dimensions,
            path=path,
        ),
        inputs,
    )


def _split(
    tree: ContractionTree, tops: Sequence[int]
) -> tuple[tuple[Table, ...], ContractionTree, tuple[int, ...]]:
    """Tables for these branches, the tree that reads them, and what its inputs are."""
    first = len(tree.inputs)
    tables = []
    gone: set[int] = set()
    for top in tops:
        branch, inputs = _branch(tree, top)
        tables.append(Table(tree=branch, inputs=inputs))
        gone.update(inputs)
    kept = [number for number in range(first) if number not in gone]
    sources = (*kept, *range(first, first + len(tops)))
    renamed = {number: place for place, number in enumerate((*kept, *tops))}
    path = []
    for offset, (left, right) in enumerate(tree.path):
        number = first + offset
        if number in renamed or left not in renamed or right not in renamed:
            continue
        path.append((renamed[left], renamed[right]))
        renamed[number] = len(sources) + len(path) - 1
    main = ContractionTree(
        inputs=(
            *(tree.inputs[number] for number in kept),
            *(table.tree.output for table in tables),
        ),
        output=tree.output,
        dimensions=tree.dimensions,
        path=tuple(path),
        sliced=tree.sliced,
    )
    return tuple(tables), main, sources


def levels_of(tree: ContractionTree, most_elements: int | None = None) -> tuple[int, ...]:
    """When each tensor is made, by SSA number; what changes less often than its reader is kept.

    What is kept adds to the memory of a slice. Where that is too much, tensors that save little
    work for their size are made again with their reader.

    Args:
        tree: With its slices in order.
        most_elements: Most elements alive at once; no limit if it is ``None`` [elements].
    """
    place = {name: number for number, name in enumerate(tree.sliced, 1)}
    carried = carried_slices(tree)
    first = len(tree.inputs)
    levels = [
        max((place[name] for name in carried[number]), default=0) for number in range(len(carried))
    ]
    if most_elements is None:
        return tuple(levels)
    cost = cost_of(tree)
    times = _times(tree)
    reader = {operand: first + n for n, pair in enumerate(tree.path) for operand in pair}
    kept = _kept(tree, levels)
    room = most_elements - cost.peak_elements
    total = sum(kept.values())

    def saved(number: int) -> float:
        more = times[levels[reader[number]]] - times[levels[number]]
        return cost.steps[number - first].mul_adds * more / kept[number]

    while total > room and kept:
        # A branch pays for what is below it too, but only once that is not kept either.
        number = min(kept, key=saved)
        total -= kept.pop(number)
        levels[number] = levels[reader[number]]
        for operand in tree.path[number - first]:
            if operand >= first and operand not in kept and levels[operand] < levels[number]:
                kept[operand] = cost.steps[operand - first].elements
                total += kept[operand]
    return tuple(levels)


def _kept(tree: ContractionTree, levels: Sequence[int]) -> dict[int, int]:
    """Elements of the intermediates that are kept from slice to slice, by SSA number."""
    first = len(tree.inputs)
    steps = cost_of(tree).steps
    return {
        operand: steps[operand - first].elements
        for offset, pair in enumerate(tree.path)
        for operand in pair
        if operand >= first and levels[operand] < levels[first + offset]
    }


def _times(tree: ContractionTree) -> list[int]:
    """How often a tensor of each level is made."""
    full = dict(tree.dimensions)
    times = [1]
    for name in tree.sliced:
        times.append(times[-1] * full[name])
    return times


def ordered_slices(tree: ContractionTree) -> tuple[str, ...]:
    """The sliced indices, outermost first, so that little is made again; output indices lead."""
    full = dict(tree.dimensions)
    outer = [name for name in tree.sliced if name in tree.output]
    inner = [name for name in tree.sliced if name not in tree.output]
    work = _work_by_slices(tree)
    if factorial(len(inner)) * factorial(len(outer)) <= MOST_ORDERS:
        return min(
            (
                (*first, *last)
                for first in permutations(sorted(outer))
                for last in permutations(sorted(inner))
            ),
            key=lambda order: _work_of(order, work, full),
        )
    return (*_greedy(outer, work, full), *_greedy(inner, work, full))


def _greedy(
    names: Sequence[str], work: Mapping[frozenset[str], int], full: Mapping[str, int]
) -> tuple[str, ...]:
    """Innermost first: always the index that makes the least work run in its loop."""
    left = sorted(names)
    remaining = dict(work)
    order: list[str] = []
    while left:
        chosen = min(
            left,
            key=lambda name: (
                sum(w for carried, w in remaining.items() if name in carried)
                * (full[name] - 1)
                / full[name],
                name,
            ),
        )
        left.remove(chosen)
        order.insert(0, chosen)
        remaining = {carried: w for carried, w in remaining.items() if chosen not in carried}
    return tuple(order)


def _work_by_slices(tree: ContractionTree) -> Mapping[frozenset[str], int]:
    """Multiply-adds of one evaluation of all steps that carry the same sliced indices."""
    carried = carried_slices(tree)
    first = len(tree.inputs)
    found: dict[frozenset[str], int] = {}
    for offset, step in enumerate(cost_of(tree).steps):
        names = carried[first + offset]
        found[names] = found.get(names, 0) + step.mul_adds
    return found


def _work_of(
    order: Sequence[str], work: Mapping[frozenset[str], int], full: Mapping[str, int]
) -> int:
    """Multiply-adds in all slices if they come in this order."""
    times = [1]
    for name in order:
        times.append(times[-1] * full[name])
    place = {name: number for number, name in enumerate(order, 1)}
    return sum(
        amount * times[max((place[name] for name in names), default=0)]
        for names, amount in work.items()
    )


def _size(names: Sequence[str], sizes: Mapping[str, int]) -> int:
    return prod(sizes[name] for name in dict.fromkeys(names))
