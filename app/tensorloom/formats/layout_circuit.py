"""Circuits left to right on their wires, recognised by their recipes.

Axes of a gate are (controls .., out_1 .. out_n, in_1 .. in_n); a ket has an out axis only, a bra an
in axis. A copy tensor on a wire has the axes (out, in, link), an identity that leads its wire to a
gate on another row has (out, in, link, link). Tensors that links join stand in one column.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from tensorloom.model.diagram import MAX_COORDINATE
from tensorloom.model.recipe import CopyArray, GateArray, IdentityArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorloom.model.tensor import Tensor

    Position = tuple[int, int]

__all__ = ["CircuitDrawing", "circuit"]

COLUMN, ROW = 92, 92
"""Distance of neighbouring moments and wires [pixels]; a very deep circuit is drawn denser."""

PASSING = 28
"""How far a link keeps from a dot it passes; from a wider tensor twice as far [pixels]."""

_LINKED_AXES = {CopyArray.kind: 3, IdentityArray.kind: 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One tensor: where its wires come from and go on to, and what links it to others."""

    entering: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()
    links: tuple[str, ...] = ()

    def without(self, links: set[str]) -> _Step:
        """The step whose wires are not among the links of other steps."""
        return _Step(
            entering=tuple(index for index in self.entering if index not in links),
            leaving=tuple(index for index in self.leaving if index not in links),
            links=tuple(i for i in self.links + self.entering + self.leaving if i in links),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitDrawing:
    """Where a circuit's tensors stand, in their order, and where its open wires end [pixels]."""

    points: list[Position]
    ends: dict[str, Position]


def circuit(tensors: Sequence[Tensor], output: Sequence[str]) -> CircuitDrawing | None:
    """Columns of moments, rows of qubits; ``None`` if the tensors are no circuit.

    A moment on distant qubits keeps the rows between them free in its column; bras and open ends
    stand in the column after the last gate.
    """
    steps = _steps(tensors)
    order = None if steps is None else _in_time(steps, _moments(steps))
    if steps is None or order is None:
        return None
    row_of: dict[str, int] = {}
    free: list[int] = []
    column_of: dict[int, int] = {}
    place_of: dict[int, Position] = {}
    for moment in order:
        rows = [_rows(steps[place], row_of, free) for place in moment]
        place_of.update(zip(moment, _within(rows, [steps[place] for place in moment]), strict=True))
        if any(steps[place].leaving for place in moment):
            used = [row for some in rows for row in some]
            spanned = range(min(used), max(used) + 1)
            column = max(free[row] for row in spanned)
            free[spanned.start : spanned.stop] = [column + 1] * len(spanned)
            column_of.update(dict.fromkeys(moment, column))
    last = max(free)
    width = min(COLUMN, MAX_COORDINATE // last)
    return CircuitDrawing(
        points=[
            (column_of.get(place, last) * width + place_of[place][0], place_of[place][1])
            for place in range(len(tensors))
        ],
        ends={name: (last * width, ROW * row_of[name]) for name in output if name in row_of},
    )


def _rows(step: _Step, row_of: dict[str, int], free: list[int]) -> list[int]:
    """The rows of a step's wires, new ones where a wire begins; its wires go on from there."""
    rows: list[int] = []
    for place in range(max(len(step.entering), len(step.leaving))):
        row = row_of.get(step.entering[place]) if place < len(step.entering) else None
        if row is None:
            row = len(free)
            free.append(0)
        rows.append(row)
    row_of.update(zip(step.leaving, rows, strict=False))
    return rows


def _within(rows: Sequence[Sequence[int]], steps: Sequence[_Step]) -> list[Position]:
    """Where the tensors of a moment stand, from the middle of its column [pixels].

    Links run vertically to the tensor that has most of them. Where one would run over a nearer
    tensor, that one steps aside: links then fan out without touching anything.
    """
    heights = [_height(some) for some in rows]
    hub = max(range(len(steps)), key=lambda place: len(steps[place].links))
    asides = [0.0] * len(steps)
    for side in (-1, 1):
        tied = [place for place in range(len(steps)) if (heights[place] - heights[hub]) * side > 0]
        slope = 0.0
        for order, place in enumerate(sorted(tied, key=lambda k: -abs(heights[k] - heights[hub]))):
            reach = abs(heights[place] - heights[hub])
            passing = PASSING if len(steps[place].links) == 1 else 2 * PASSING
            slope += passing / reach if order else 0.0
            asides[place] = slope * reach
    return [(round(aside), height) for aside, height in zip(asides, heights, strict=True)]


def _height(rows: Sequence[int]) -> int:
    """Middle between the outermost wires, but never on a wire that is not its own [pixels]."""
    top, below = min(rows), max(rows)
    middle, odd = divmod(top + below, 2)
    if not odd and middle not in rows:
        return middle * ROW - ROW // 2
    return (top + below) * ROW // 2


def _steps(tensors: Sequence[Tensor]) -> list[_Step] | None:
    """The steps of the tensors, ``None`` unless they are kets and gates on unbranched wires."""
    found = [_step(tensor) for tensor in tensors]
    if not any(step is not None and not step.entering for step in found):
        return None
    given = [step for step in found if step is not None]
    if len(given) < len(found):
        return None
    links = {index for step in given for index in step.links}
    steps = [step.without(links) for step in given]
    for wires in (
        [index for step in steps for index in step.leaving],
        [index for step in steps for index in step.entering],
    ):
        if len(set(wires)) < len(wires):
            return None
    if any(not step.entering and not step.leaving for step in steps):
        return None
    return steps


def _step(tensor: Tensor) -> _Step | None:
    axes = tensor.indices
    match tensor.array:
        case GateArray(name=name) if axes and name.startswith("ket"):
            return _Step(leaving=axes)
        case GateArray(name=name) if axes and name.startswith("bra"):
            return _Step(entering=axes)
        case GateArray(controls=controls) if (len(axes) - controls) % 2 == 0 < len(axes) - controls:
            wires = axes[controls:]
            half = len(wires) // 2
            return _Step(entering=wires[half:], leaving=wires[:half], links=axes[:controls])
        case CopyArray() | IdentityArray() if len(axes) == _LINKED_AXES[tensor.array.kind]:
            return _Step(entering=axes[1:2], leaving=axes[:1], links=axes[2:])
        case _:
            return None


def _moments(steps: Sequence[_Step]) -> list[list[int]]:
    """Places of the steps that links tie together, by their first place."""
    moment_of: dict[int, list[int]] = {place: [place] for place in range(len(steps))}
    holder: dict[str, int] = {}
    for place, step in enumerate(steps):
        for link in step.links:
            one, other = moment_of[holder.setdefault(link, place)], moment_of[place]
            if one is other:
                continue
            few, many = sorted((one, other), key=len)
            many.extend(few)
            for moved in few:
                moment_of[moved] = many
    each = {id(moment): moment for moment in moment_of.values()}
    return [sorted(moment) for moment in each.values()]


def _in_time(steps: Sequence[_Step], moments: Sequence[list[int]]) -> list[list[int]] | None:
    """The moments so that each follows those it depends on; ``None`` in a time loop.

    Among those that could come next, the first in the network comes first: programs keep their
    order, and wires are in the order of their kets.
    """
    maker = {
        index: number
        for number, moment in enumerate(moments)
        for place in moment
        for index in steps[place].leaving
    }
    waiting = [0] * len(moments)
    users: list[list[int]] = [[] for _ in moments]
    for number, moment in enumerate(moments):
        for place in moment:
            for index in steps[place].entering:
                if index in maker:
                    waiting[number] += 1
                    users[maker[index]].append(number)
    ready = [(moments[k][0], k) for k, count in enumerate(waiting) if count == 0]
    heapify(ready)
    order: list[list[int]] = []
    while ready:
        _, number = heappop(ready)
        order.append(moments[number])
        for user in users[number]:
            waiting[user] -= 1
            if waiting[user] == 0:
                heappush(ready, (moments[user][0], user))
    return order if len(order) == len(moments) else None
