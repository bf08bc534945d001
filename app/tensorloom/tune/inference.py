"""What measured curves say of a device: caches from latency, registers from the spill cliff.

A curve without a bend gives ``None``, and its confidence is 0; nobody guesses.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Knee", "cache_knees", "copy_rate", "register_cliff", "saturation"]

L1_RISE, L2_RISE = 1.45, 2.2
"""A cache ends where a read takes this many times as long as inside it. The second step is larger:
before the second cache ends, the first table of page addresses does (about 1.5 times)."""

CLIFF = 1.1
"""Tiles beyond the registers are slower by at least this; on Zen 4 it is 1.8, on a Xeon 1.2."""

MOST_OF_IT = 0.8

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
    first, rest = _plateau(points, L1_RISE)
    if first.at is None:
        return NOWHERE, NOWHERE
    # The step itself is a mixture of both caches; the second level begins after it.
    beyond = [point for point in rest if point[0] > 1.4 * first.at]
    second, _ = _plateau(beyond, L2_RISE)
    return first, second


def _plateau(
    points: Sequence[tuple[float, float]], rise: float
) -> tuple[Knee, Sequence[tuple[float, float]]]:
    """The end of a curve's first level, and the points from there on."""
    if len(points) < _FEWEST:
        return NOWHERE, ()
    level = median(time for _, time in points[:3])
    for place, (_, time) in enumerate(points):
        # Two in a row: one alone is somebody else's work on this machine.
        after = points[place + 1][1] if place + 1 < len(points) else time
        if place and min(time, after) > rise * level:
            # Halfway to twice the rise is sure enough.
            sharp = min(1.0, (after / level - 1) / (2 * (rise - 1)))
            return Knee(at=points[place - 1][0], confidence=round(sharp, 2)), points[place:]
    return NOWHERE, ()


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
        beyond = max(rate for own, rate in tiles if own > need)
        found.append((inside / beyond, need))
    ratio = max(found)[0]
    # Beyond the cliff everything is slow alike: the first need that shows most of it is the edge.
    need = next(need for own, need in found if own - 1 >= MOST_OF_IT * (ratio - 1))
    if ratio < CLIFF:
        most = needs[-1]
        full = [size for size in REGISTER_FILES if size <= most + 1]
        return Knee(at=full[-1], confidence=0.5) if full else NOWHERE
    size = next((size for size in REGISTER_FILES if size >= need), REGISTER_FILES[-1])
    return Knee(at=size, confidence=round(min(1.0, (ratio - 1) / (2 * (CLIFF - 1))), 2))


def copy_rate(points: Sequence[tuple[float, float]]) -> float | None:
    """Bytes per millisecond of copies too large for a near cache: the median of the larger half."""
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
