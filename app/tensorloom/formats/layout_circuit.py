"""Circuits left to right on their wires, recognised by their gate recipes.

Axes of a gate are (out_1 .. out_n, in_1 .. in_n); a ket has an out axis only, a bra an in axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorloom.model.recipe import GateArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorloom.formats.layout_shapes import Points
    from tensorloom.model.tensor import Tensor

__all__ = ["CircuitDrawing", "circuit"]

COLUMN, ROW = 120, 110
"""Distance of neighbouring moments and wires [pixels]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One tensor of a circuit: where its wires come from and go on to."""

    entering: tuple[str, ...]
    leaving: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitDrawing:
    """Where a circuit's tensors stand, in their order, and where its open wires end [pixels]."""

    points: Points
    ends: dict[str, tuple[int, int]]


def circuit(tensors: Sequence[Tensor], output: Sequence[str]) -> CircuitDrawing | None:
    """Columns of moments, rows of qubits; ``None`` if the tensors are no circuit.

    A gate on distant qubits keeps the rows between them free in its column; bras and open ends
    stand in the column after the last gate.
    """
    steps = _steps(tensors)
    order = None if steps is None else _in_time(steps)
    if steps is None or order is None:
        return None
    row_of: dict[str, int] = {}
    free: list[int] = []
    column_of: dict[int, int] = {}
    height_of: dict[int, float] = {}
    for place in order:
        step = steps[place]
        rows = [row_of[index] for index in step.entering if index in row_of]
        while len(rows) < max(len(step.entering), len(step.leaving)):
            rows.append(len(free))
            free.append(0)
        height_of[place] = ROW * (min(rows) + max(rows)) / 2
        if step.leaving:
            spanned = range(min(rows), max(rows) + 1)
            column_of[place] = max(free[row] for row in spanned)
            free[spanned.start : spanned.stop] = [column_of[place] + 1] * len(spanned)
            row_of.update(zip(step.leaving, rows, strict=True))
    last = max(free)
    return CircuitDrawing(
        points=[
            (column_of.get(place, last) * COLUMN, height_of[place]) for place in range(len(tensors))
        ],
        ends={name: (last * COLUMN, ROW * row_of[name]) for name in output if name in row_of},
    )


def _steps(tensors: Sequence[Tensor]) -> list[_Step] | None:
    """The steps of the tensors, ``None`` unless they are kets and gates on unbranched wires."""
    steps: list[_Step] = []
    made: set[str] = set()
    used: set[str] = set()
    kets = 0
    for tensor in tensors:
        if not isinstance(tensor.array, GateArray) or not tensor.indices:
            return None
        name, axes = tensor.array.name, len(tensor.indices)
        if name.startswith("ket"):
            half, kets = axes, kets + 1
        elif name.startswith("bra"):
            half = 0
        elif axes % 2:
            return None
        else:
            half = axes // 2
        step = _Step(entering=tensor.indices[half:], leaving=tensor.indices[:half])
        if not made.isdisjoint(step.leaving) or not used.isdisjoint(step.entering):
            return None
        made.update(step.leaving)
        used.update(step.entering)
        steps.append(step)
    return steps if kets else None


def _in_time(steps: Sequence[_Step]) -> list[int] | None:
    """Places of the steps so that each follows those it depends on; ``None`` in a time loop.

    Among those that could come next, the first in the network comes first; so wires are in the
    order of their kets.
    """
    maker = {index: place for place, step in enumerate(steps) for index in step.leaving}
    waiting = [sum(index in maker for index in step.entering) for step in steps]
    user = {index: place for place, step in enumerate(steps) for index in step.entering}
    order = [place for place, count in enumerate(waiting) if count == 0]
    at = 0
    while at < len(order):
        for index in steps[order[at]].leaving:
            if index in user:
                waiting[user[index]] -= 1
                if waiting[user[index]] == 0:
                    order.append(user[index])
        at += 1
    return order if len(order) == len(steps) else None
