"""Which typed operand is which tensor: an alignment of two lists of index tuples.

Order counts, then overlap; an operand that moved is still found by its exact indices.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    Operand = tuple[str, ...]

__all__ = ["match"]

MOST_COMPARED = 40_000
"""Largest product of both lengths for which every pair is compared; about 50 ms in the browser."""


def match(old: Sequence[Operand], new: Sequence[Operand]) -> tuple[int | None, ...]:
    """For each new operand the position of the old one that it continues, ``None`` if it is new.

    Example:
        >>> match([("a", "b"), ("b", "c")], [("a", "b"), ("x",), ("b", "c", "d")])
        (0, None, 1)
    """
    found: list[int | None] = [None] * len(new)
    shorter = min(len(old), len(new))
    start = 0
    while start < shorter and old[start] == new[start]:
        found[start] = start
        start += 1
    tail = 0
    while tail < shorter - start and old[-1 - tail] == new[-1 - tail]:
        found[-1 - tail] = len(old) - 1 - tail
        tail += 1
    middle_old = old[start : len(old) - tail]
    middle_new = new[start : len(new) - tail]
    small = len(middle_old) * len(middle_new) <= MOST_COMPARED
    pairs = _aligned(middle_old, middle_new) if small else _exact(middle_old, middle_new)
    for one, other in pairs:
        found[start + other] = start + one
    _match_moved(old, new, found)
    return tuple(found)


def _aligned(old: Sequence[Operand], new: Sequence[Operand]) -> list[tuple[int, int]]:
    """Pairs in order with the largest sum of scores; every pair scores more than none."""
    counts_old, counts_new = [Counter(names) for names in old], [Counter(names) for names in new]
    best = [[0.0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i in range(len(old) - 1, -1, -1):
        for j in range(len(new) - 1, -1, -1):
            paired = best[i + 1][j + 1] + _score(counts_old[i], counts_new[j])
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    pairs, i, j = [], 0, 0
    while i < len(old) and j < len(new):
        if best[i][j] == best[i + 1][j + 1] + _score(counts_old[i], counts_new[j]):
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _score(one: Counter[str], other: Counter[str]) -> float:
    """1 for two operands that share nothing, up to 5 for a large overlap, 12 for the same indices.

    Equal operands weigh more than any two that overlap, so that swapped ones are seen as moved.
    """
    if one == other:
        return 12.0
    total = one.total() + other.total()
    shared = sum(min(count, other[name]) for name, count in one.items())
    return 1 + 8 * shared / total


def _exact(old: Sequence[Operand], new: Sequence[Operand]) -> list[tuple[int, int]]:
    """Pairs of equal operands, then of the rest in order: for lists too long to compare."""
    places: dict[Operand, list[int]] = {}
    for place in range(len(old) - 1, -1, -1):
        places.setdefault(old[place], []).append(place)
    pairs = [(places[names].pop(), place) for place, names in enumerate(new) if places.get(names)]
    used_old, used_new = {one for one, _ in pairs}, {other for _, other in pairs}
    rest_old = (place for place in range(len(old)) if place not in used_old)
    rest_new = (place for place in range(len(new)) if place not in used_new)
    return [*pairs, *zip(rest_old, rest_new, strict=False)]


def _match_moved(old: Sequence[Operand], new: Sequence[Operand], found: list[int | None]) -> None:
    """Pair equal operands that the alignment, which keeps the order, had to leave out."""
    used = set(found)
    left: dict[Operand, list[int]] = {}
    for place in range(len(old) - 1, -1, -1):
        if place not in used:
            left.setdefault(old[place], []).append(place)
    for place, names in enumerate(new):
        if found[place] is None and left.get(names):
            found[place] = left[names].pop()
