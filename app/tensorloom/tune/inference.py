"""What measured curves say of a device: caches from latency, registers from the spill cliff.

A curve without a bend gives ``None``, and its confidence is 0; nobody guesses.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Knee", "cache_knees", "copy_rate", "register_cliff", "saturation"]

L1_RISE, L2_RISE = 1.9, 2.2
"""A cache ends where a read takes this many times as long as inside it. Not less: before a cache
ends, what else the core does pushes some of it out, and the first table of page addresses ends too
(about 1.5 times)."""

L1_SIZES = tuple(1024 * kib for kib in (16, 32, 48, 64, 96, 128, 192))
L2_SIZES = tuple(1024 * 128 << step for step in range(9))
"""Sizes that are built; the nearest one to a bend is meant."""

CLIFF = 1.1
"""Tiles beyond the registers are slower by at least this; on Zen 4 it is 1.8, on a Xeon 1.2."""

MOST_OF_IT = 0.8

_FEWEST_BEYOND = 2
"""A single tile beyond an edge tells more of itself: the largest one is slower than others that
spill as well."""

REGISTER_FILES = (16, 32)
"""What processors have; a count just below one of them is that one, less what the engine keeps."""

SATURATED = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Knee:
    """Where a curve bends.

    Args:
        at: The last value before the bend, ``None`` without one.
        confidence: From 0 to 1.
    """

    at: float | None
    confidence: float


NOWHERE = Knee(at=None, confidence=0.0)


def cache_knees(points: Sequence[tuple[float, float]]) -> tuple[Knee, Knee]:
    """Sizes of the first and second data cache.

    Args:
        points: ``(bytes, ns per dependent read)`` by growing size.
    """
    if len(points) < _FEWEST:
        return NOWHERE, NOWHERE
    first = _bend(points, median(time for _, time in points[:3]), L1_RISE, L1_SIZES)
    if first.at is None:
        return NOWHERE, NOWHERE
    beyond = [point for point in points if point[0] >= 2 * first.at]
    # The level of the second cache, before page addresses or the cache run out.
    inside = [time for size, time in beyond if size <= 5 * first.at]
    if not inside:
        return first, NOWHERE
    return first, _bend(beyond, median(inside), L2_RISE, L2_SIZES)


def _bend(
    points: Sequence[tuple[float, float]], level: float, rise: float, sizes: Sequence[int]
) -> Knee:
    """Where a curve leaves a level for good, as the nearest of some sizes."""
    limit = rise * level
    for (size, time), (after, later), (_, last) in zip(
        points, points[1:], [*points[2:], points[-1]], strict=False
    ):
        # Two in a row: one alone is somebody else's work on this machine.
        if time <= limit < min(later, last):
            share = log(limit / time) / log(later / time)
            crossing = size * (after / size) ** share
            near = min(sizes, key=lambda built: abs(log(built / crossing)))
            # Sure if the next level is twice beyond the limit, and the size is one that is built.
            sharp = min(1.0, (last / level - 1) / (2 * (rise - 1)))
            close = max(0.0, 1 - abs(log(near / crossing)))
            return Knee(at=near, confidence=round(sharp * close, 2))
    return NOWHERE


_FEWEST = 4


def register_cliff(tiles: Sequence[tuple[int, float]]) -> Knee:
    """The number of vector registers.

    Args:
        tiles: ``(registers needed, GFLOP/s)`` of register tiles, in any order.

    Derivation: let ``inside(n)`` be the best speed of tiles that need at most ``n`` registers and
    ``beyond(n)`` the best of the others. Both sides compute the same sums, so ``inside / beyond``
    rises most where ``n`` is what there is. Without a cliff below the largest tile tried, there are
    at least as many registers as it needs.
    """
    needs = sorted({need for need, _ in tiles})
    if len(needs) < _FEWEST:
        return NOWHERE
    found = []
    for need in needs[:-1]:
        inside = max(rate for own, rate in tiles if own <= need)
        beyond = [rate for own, rate in tiles if own > need]
        if len(beyond) >= _FEWEST_BEYOND:
            found.append((inside / max(beyond), need))
    ratio = max(found)[0]
    if ratio < CLIFF:
        most = needs[-1]
        full = [size for size in REGISTER_FILES if size <= most + 1]
        return Knee(at=full[-1], confidence=0.5) if full else NOWHERE
    # Beyond the cliff everything is slow alike: the first need that shows most of it is the edge.
    need = next(need for own, need in found if own - 1 >= MOST_OF_IT * (ratio - 1))
    size = min(REGISTER_FILES, key=lambda size: abs(size - need))
    return Knee(at=size, confidence=round(min(1.0, (ratio - 1) / (2 * (CLIFF - 1))), 2))


def copy_rate(points: Sequence[tuple[float, float]]) -> float | None:
    """Bytes per millisecond of copies in a cache that is not the nearest: of the larger half."""
    large = [rate for _, rate in sorted(points)[len(points) // 2 :]]
    return median(large) if large else None


def saturation(points: Sequence[tuple[float, float]]) -> Knee:
    """The smallest size from which more brings nothing, such as threads of a workgroup."""
    if len(points) < _FEWEST - 1:
        return NOWHERE
    best = max(rate for _, rate in points)
    for size, rate in sorted(points):
        if rate >= SATURATED * best:
            lowest = min(rate for _, rate in points)
            return Knee(at=size, confidence=round(min(1.0, best / lowest - 1), 2))
    raise AssertionError("the best rate is one of them")
