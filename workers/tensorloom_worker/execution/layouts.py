"""In which order the axes of every tensor lie in memory, so that few of them are copied.

A step multiplies matrices: its left operand is ``[batch][rows][summed]`` or ``[batch][summed]
[rows]``, its right one likewise, and what it makes is ``[batch][rows][columns]`` or ``[batch]
[columns][rows]``. Any order of indices *within* a group is free, so the demand of the step that
reads a tensor can often be met by the step that makes it. Where it cannot, what is made is copied
into the wanted order, and the cheapest of the choices is taken. Inputs are brought into order once.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Names", "Split", "StepLayout", "choose", "natural_order", "split_of"]

Names = tuple[str, ...]

_SHORT_RUN = 6.0
"""A copy moves runs of elements that stay neighbours; one of a single element takes about seven
times as long as one of a long run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The indices of a step by where they are, in no particular order.

    Args:
        batch: In both operands and the result.
        left: In the left operand and the result.
        right: In the right operand and the result.
        summed: In both operands only.
    """

    batch: Names
    left: Names
    right: Names
    summed: Names


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLayout:
    """What a step asks of its operands.

    Args:
        left: Order of the left operand's indices.
        right: Of the right operand's.
        left_summed_first: Whether the left one is ``[batch][summed][rows]``.
        right_summed_first: Likewise.
    """

    left: Names
    right: Names
    left_summed_first: bool
    right_summed_first: bool


def split_of(left: Iterable[str], right: Iterable[str], out: Iterable[str]) -> Split:
    """The indices of a step by where they are; lone sums are not expected here."""
    on_left, on_right = dict.fromkeys(left), dict.fromkeys(right)
    kept = set(out)
    return Split(
        batch=tuple(n for n in on_left if n in on_right and n in kept),
        left=tuple(n for n in on_left if n not in on_right),
        right=tuple(n for n in on_right if n not in on_left),
        summed=tuple(n for n in on_left if n in on_right and n not in kept),
    )


def choose(
    split: Split,
    demand: Names,
    makers: tuple[Split | None, Split | None],
    sizes: Mapping[str, int],
    times: tuple[int, int, int],
) -> StepLayout:
    """The layout that copies least, one step back.

    Args:
        split: The step's own indices.
        demand: Order in which its result is wanted.
        makers: How the operands are made; ``None`` for what is laid out once.
        sizes: Dimension by name [elements].
        times: How often left, right and result are made.
    """
    batch = _only(demand, split.batch)
    asked = _only(demand, split.left), _only(demand, split.right)
    best: tuple[float, StepLayout] | None = None
    ways: list[tuple[float, bool]] = []
    direct = natural_order(split, demand) == demand
    if direct:
        ways.append((0.0, False))
    if not direct or any(makers):
        run = _run(natural_order(split, demand), demand, sizes)
        ways.append((times[2] * prod(sizes[n] for n in demand) * (1 + _SHORT_RUN / run), True))
    for paid, free in ways:
        for summed in _summed_orders(split.summed, makers):
            found = []
            for side in (0, 1):
                orders = [asked[side]]
                maker = makers[side]
                if free and maker is not None:
                    orders += _parted(asked[side], maker)
                found.append(
                    min(
                        (
                            times[side] * _copy_cost((*batch, *order), maker, sizes),
                            number,
                            first,
                            (*batch, *order),
                        )
                        for number, own in enumerate(orders)
                        for first, order in (
                            (False, (*own, *summed)),
                            (True, (*summed, *own)),
                        )
                    )
                )
            cost = paid + found[0][0] + found[1][0]
            if best is None or cost < best[0]:
                best = (
                    cost,
                    StepLayout(
                        left=found[0][3],
                        right=found[1][3],
                        left_summed_first=found[0][2],
                        right_summed_first=found[1][2],
                    ),
                )
    assert best is not None
    return best[1]


def natural_order(split: Split, demand: Names) -> Names:
    """The order a step makes by itself that is nearest to the demand: the same, if it can be."""
    batch = _only(demand, split.batch)
    left, right = _only(demand, split.left), _only(demand, split.right)
    if demand and demand[-1] in split.left:
        return (*batch, *right, *left)
    return (*batch, *left, *right)


def _only(order: Sequence[str], names: Sequence[str]) -> Names:
    wanted = set(names)
    return tuple(name for name in order if name in wanted)


def _parted(names: Names, maker: Split) -> list[Names]:
    """The names with those of one operand of their maker together, both ways."""
    one, other = _only(names, maker.left), _only(names, maker.right)
    rest = tuple(name for name in names if name in set(maker.batch))
    if not one or not other:
        return [(*rest, *one, *other)] if rest else []
    return [(*rest, *one, *other), (*rest, *other, *one)]


def _summed_orders(summed: Names, makers: tuple[Split | None, Split | None]) -> list[Names]:
    found: dict[Names, None] = {}
    for maker in makers:
        if maker is None:
            continue
        for order in _parted(summed, maker):
            other = makers[1] if maker is makers[0] else makers[0]
            found[order] = None
            if other is not None:
                # Within each part, those of the other side's parts together too.
                for inner in _parted(summed, other):
                    one = _only(order, maker.left)
                    lead = order[: len(one)] == one
                    parts = (maker.left, maker.right) if lead else (maker.right, maker.left)
                    mixed = (
                        *_only(inner, maker.batch),
                        *_only(inner, parts[0]),
                        *_only(inner, parts[1]),
                    )
                    found[mixed] = None
    found.setdefault(summed)
    return list(found)


def _copy_cost(order: Names, maker: Split | None, sizes: Mapping[str, int]) -> float:
    """Elements that are copied to have this order, more where runs are short; 0 for none."""
    if maker is None:
        return 0.0
    natural = natural_order(maker, order)
    if natural == order:
        return 0.0
    return prod(sizes[name] for name in order) * (1 + _SHORT_RUN / _run(natural, order, sizes))


def _run(one: Names, other: Names, sizes: Mapping[str, int]) -> int:
    """Elements that are neighbours in both orders."""
    run = 1
    for first, second in zip(reversed(one), reversed(other), strict=True):
        if first != second:
            break
        run *= sizes[first]
    return run
