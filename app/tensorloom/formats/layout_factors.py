"""Factor graphs: tensors that are only links between hyperindices, or leaves on them.

Such a part (a Markov network, a circuit of diagonal gates) is drawn as the graph of its dots, with
each two-index tensor in the middle of its link and each one-index tensor beside its dot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorloom.formats.layout_shapes import SPACING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorloom.formats.layout_graph import Neighbours
    from tensorloom.formats.layout_shapes import Points

__all__ = ["LINK_STRETCH", "FactorGraph", "factor_graph"]

LINK_STRETCH = 1.7
"""Distance of two dots with a tensor between them [bonds]."""

BESIDE = 0.6
"""Distance of a leaf from its dot, and of parallel links from each other [bonds]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorGraph:
    """Dots as sites, tensors as links and leaves.

    Args:
        dots: Node of each site.
        sites: The graph of the sites alone.
        links: Tensors by the pair of sites that they join.
        leaves: Tensors by the site that they hang on.
    """

    dots: tuple[int, ...]
    sites: Neighbours
    links: dict[tuple[int, int], list[int]]
    leaves: dict[int, list[int]]

    def expanded(self, points: Sequence[tuple[float, float]], count: int) -> Points:
        """A point for each of ``count`` nodes, given one for each site [pixels]."""
        spots = [(x * LINK_STRETCH, y * LINK_STRETCH) for x, y in points]
        found: Points = [(0.0, 0.0)] * count
        for site, dot in enumerate(self.dots):
            found[dot] = spots[site]
        for (one, other), tensors in self.links.items():
            (x1, y1), (x2, y2) = spots[one], spots[other]
            length = math.hypot(x2 - x1, y2 - y1) or 1.0
            for place, tensor in enumerate(tensors):
                aside = (place - (len(tensors) - 1) / 2) * BESIDE * SPACING
                found[tensor] = (
                    (x1 + x2) / 2 - aside * (y2 - y1) / length,
                    (y1 + y2) / 2 + aside * (x2 - x1) / length,
                )
        for site, tensors in self.leaves.items():
            ways = [
                math.atan2(spots[other][1] - spots[site][1], spots[other][0] - spots[site][0])
                for other in self.sites[site]
            ]
            for tensor in tensors:
                way = _widest(ways)
                ways.append(way)
                found[tensor] = (
                    spots[site][0] + BESIDE * SPACING * math.cos(way),
                    spots[site][1] + BESIDE * SPACING * math.sin(way),
                )
        return found


def factor_graph(neighbours: Neighbours, dots: Sequence[int]) -> FactorGraph | None:
    """The factor graph of a part, ``None`` if two tensors touch or one has three dots or more."""
    number = {dot: site for site, dot in enumerate(dots)}
    if len(dots) < 2:  # noqa: PLR2004  # a single dot is a star, which is a tree
        return None
    sites: list[set[int]] = [set() for _ in dots]
    links: dict[tuple[int, int], list[int]] = {}
    leaves: dict[int, list[int]] = {}
    for tensor, ends in enumerate(neighbours):
        if tensor in number:
            continue
        if len(ends) > 2 or any(end not in number for end in ends):  # noqa: PLR2004  # a link
            return None
        places = [number[end] for end in ends]
        if len(places) == 1:
            leaves.setdefault(places[0], []).append(tensor)
            continue
        one, other = places
        sites[one].add(other)
        sites[other].add(one)
        links.setdefault((one, other), []).append(tensor)
    return FactorGraph(
        dots=tuple(dots),
        sites=tuple(tuple(sorted(ends)) for ends in sites),
        links=links,
        leaves=leaves,
    )


def _widest(ways: Sequence[float]) -> float:
    """The direction in the middle of the widest gap [radians]."""
    if not ways:
        return math.pi / 2
    turns = sorted(way % (2 * math.pi) for way in ways)
    gaps = [
        (after - before, before)
        for before, after in zip(turns, [*turns[1:], turns[0] + 2 * math.pi], strict=True)
    ]
    # Angles grow clockwise on a page whose y axis points down; ties within a degree are equal.
    width, before = max(gaps, key=lambda gap: (round(gap[0], 2), -gap[1]))
    return before + width / 2
