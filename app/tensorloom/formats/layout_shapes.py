"""Drawings of the graphs a physicist knows by sight: chains, rings, grids, combs and trees.

Each function takes the neighbours of one connected part and returns a position per node [pixels],
or ``None`` when the part is of another kind. No randomness, no search: what is recognised here is
recognised exactly. Node 0 comes first: left, top or both.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tensorloom.formats.layout_graph import distances

if TYPE_CHECKING:
    from collections.abc import Callable

    from tensorloom.formats.layout_graph import Neighbours

__all__ = ["SPACING", "Points", "chain", "comb", "grid", "known_shape", "ring", "tree"]

SPACING = 130
"""Length of an ordinary bond [pixels]."""

SIBLINGS = 110
"""Distance of neighbouring leaves in a tree [pixels]."""

LEAST_SPINE = 4
"""A tree with a shorter row of inner nodes looks better as a tree."""

MOST_LAYERED_LEAVES = 24
"""Trees with more leaves are drawn around their centre, as a row of them would be unreadable."""

Points = list[tuple[float, float]]

_PLANE_CORNERS, _BOX_CORNERS = 4, 8


def known_shape(neighbours: Neighbours) -> Points | None:
    """The drawing by the first kind that fits, ``None`` if none does."""
    for draw in _KINDS:
        points = draw(neighbours)
        if points is not None:
            return points
    return None


def chain(neighbours: Neighbours) -> Points | None:
    """A row, when the part is a path."""
    path = _path(neighbours)
    if path is None:
        return None
    points: Points = [(0.0, 0.0)] * len(path)
    for place, node in enumerate(path):
        points[node] = (place * SPACING, 0.0)
    return points


def ring(neighbours: Neighbours) -> Points | None:
    """A circle with a flat top, clockwise from the upper left, when the part is one cycle."""
    count = len(neighbours)
    if count < 3 or any(len(ends) != 2 for ends in neighbours):  # noqa: PLR2004  # a cycle
        return None
    order = _walk(neighbours, 0)
    radius = SPACING / (2 * math.sin(math.pi / count))
    points: Points = [(0.0, 0.0)] * count
    for place, node in enumerate(order):
        angle = -math.pi / 2 - math.pi / count + 2 * math.pi * place / count
        points[node] = (radius * math.cos(angle), radius * math.sin(angle))
    return points


def comb(neighbours: Neighbours) -> Points | None:
    """A row with leaves hanging below and above it, at most two on a site."""
    leaves = [node for node, ends in enumerate(neighbours) if len(ends) == 1]
    hanging: dict[int, list[int]] = {}
    for leaf in leaves:
        hanging.setdefault(neighbours[leaf][0], []).append(leaf)
    spine_nodes = [node for node, ends in enumerate(neighbours) if len(ends) > 1]
    number = {node: place for place, node in enumerate(spine_nodes)}
    kept = tuple(tuple(number[n] for n in neighbours[node] if n in number) for node in spine_nodes)
    path = _path(kept) if len(spine_nodes) > 1 else None
    if path is None or max(map(len, hanging.values())) > 2:  # noqa: PLR2004  # one below, one above
        return None
    order = [spine_nodes[place] for place in path]
    if any(node not in hanging for node in order):
        if len(order) < LEAST_SPINE:
            return None
        # Not every site carries a leaf: the outer ones then belong to the row itself.
        order = [hanging[order[0]].pop(0), *order, hanging[order[-1]].pop(0)]
    points: Points = [(0.0, 0.0)] * len(neighbours)
    for place, node in enumerate(order):
        points[node] = (place * SPACING, 0.0)
        for leaf, side in zip(hanging.get(node, ()), (1, -1), strict=False):
            points[leaf] = (place * SPACING, side * SPACING)
    return points


def tree(neighbours: Neighbours) -> Points | None:
    """Layers below the centre of a tree, or circles around it when it has many leaves."""
    count = len(neighbours)
    if sum(map(len, neighbours)) != 2 * (count - 1):
        return None
    root = _centre(neighbours)
    depth = distances(neighbours, root)
    order = sorted(range(count), key=lambda node: (depth[node], node))
    slot, leaves = _slots(neighbours, depth, root)
    if leaves <= MOST_LAYERED_LEAVES:
        return [(slot[node] * SIBLINGS, depth[node] * SPACING) for node in range(count)]
    deepest = depth[order[-1]]
    step = max(SPACING, SIBLINGS * leaves / (2 * math.pi * deepest))
    turn = 2 * math.pi / leaves
    return [
        (
            depth[node] * step * math.cos(slot[node] * turn),
            depth[node] * step * math.sin(slot[node] * turn),
        )
        for node in range(count)
    ]


def grid(neighbours: Neighbours) -> Points | None:
    """Rows and columns of a rectangle, or the oblique view of a box of sites.

    Coordinates come from the steps to corners: in a grid, ``steps(A) = i + j`` and
    ``steps(B) = (L - i) + j`` for the corner B at distance L along i, so both follow.
    """
    least = min(map(len, neighbours))
    corners = [node for node, ends in enumerate(neighbours) if len(ends) == least]
    if len(corners) not in {_PLANE_CORNERS, _BOX_CORNERS}:
        return None
    origin = distances(neighbours, corners[0])
    others = sorted(corners[1:], key=lambda node: (origin[node], node))
    if len(corners) == _PLANE_CORNERS:
        sites = _sites(neighbours, origin, [others[0]])
        return None if sites is None else _plane(neighbours, corners[0], sites)
    for third in others[2:]:
        sites = _sites(neighbours, origin, [others[0], others[1], third])
        if sites is not None:
            return _oblique(sites)
    return None


_KINDS: tuple[Callable[[Neighbours], Points | None], ...] = (chain, ring, grid, comb, tree)


def _path(neighbours: Neighbours) -> list[int] | None:
    """The nodes of a path from its lower-numbered end, ``None`` if it is no path."""
    ends = [node for node, found in enumerate(neighbours) if len(found) <= 1]
    if any(len(found) > 2 for found in neighbours) or not ends:  # noqa: PLR2004  # a path
        return None
    order = _walk(neighbours, ends[0])
    return order if len(order) == len(neighbours) else None


def _walk(neighbours: Neighbours, start: int) -> list[int]:
    """The nodes met by always going on to the lowest neighbour not yet seen."""
    order, seen = [start], {start}
    while True:
        fresh = [node for node in neighbours[order[-1]] if node not in seen]
        if not fresh:
            return order
        order.append(fresh[0])
        seen.add(fresh[0])


def _centre(neighbours: Neighbours) -> int:
    """The node of a tree that is last when leaves are taken off layer by layer."""
    degree = [len(ends) for ends in neighbours]
    layer = [node for node, count in enumerate(degree) if count <= 1]
    left = len(neighbours)
    while left > 2:  # noqa: PLR2004  # a tree has one centre or two
        left -= len(layer)
        following = []
        for leaf in layer:
            for node in neighbours[leaf]:
                degree[node] -= 1
                if degree[node] == 1:
                    following.append(node)
        layer = following
    return min(layer)


def _slots(neighbours: Neighbours, depth: list[int], root: int) -> tuple[list[float], int]:
    """Place of every node across the tree, counted in leaves, and how many leaves there are."""
    slot = [0.0] * len(neighbours)
    leaves = 0
    stack = [(root, False)]
    while stack:
        node, done = stack.pop()
        below = [other for other in neighbours[node] if depth[other] > depth[node]]
        if not below:
            slot[node] = float(leaves)
            leaves += 1
        elif done:
            slot[node] = (slot[below[0]] + slot[below[-1]]) / 2
        else:
            stack.append((node, True))
            stack.extend((other, False) for other in reversed(below))
    return slot, leaves


def _sites(
    neighbours: Neighbours, origin: list[int], corners: list[int]
) -> list[tuple[int, ...]] | None:
    """Grid coordinates of every node, ``None`` if it is no grid."""
    axes = []
    for corner in corners:
        steps = distances(neighbours, corner)
        doubled = [a - b + origin[corner] for a, b in zip(origin, steps, strict=True)]
        if any(value % 2 for value in doubled):
            return None
        axes.append([value // 2 for value in doubled])
    if len(corners) == 1:
        axes.append([steps - i for steps, i in zip(origin, axes[0], strict=True)])
    sites = list(zip(*axes, strict=True))
    sizes = [max(axis) + 1 for axis in axes]
    fits = (
        len(set(sites)) == len(sites) == math.prod(sizes)
        and min(map(min, axes)) == 0
        and all(
            sum(abs(a - b) for a, b in zip(sites[node], sites[other], strict=True)) == 1
            for node, ends in enumerate(neighbours)
            for other in ends
        )
    )
    return sites if fits else None


def _plane(neighbours: Neighbours, corner: int, sites: list[tuple[int, ...]]) -> Points:
    """Rows and columns, the longer side across; a square goes across where its numbering does."""
    rows, columns = max(site[0] for site in sites), max(site[1] for site in sites)
    first = sites[min(neighbours[corner])]
    across = 1 if columns > rows or (columns == rows and first[1] == 1) else 0
    return [(site[across] * SPACING, site[1 - across] * SPACING) for site in sites]


def _oblique(sites: list[tuple[int, ...]]) -> Points:
    """A box seen from the side: the shortest axis goes back, up and to the right."""
    sizes = [max(site[axis] for site in sites) + 1 for axis in range(3)]
    back, down, across = sorted(range(3), key=lambda axis: sizes[axis])
    # One step back is 0.55 of a bond across and 0.4 up; a column is wide enough for all of them,
    # so that no two tensors are drawn upon each other.
    step_x, step_y = 0.55 * SPACING, 0.4 * SPACING
    wide = step_x * sizes[back] + SPACING / 2
    high = step_y * sizes[back] + SPACING / 2
    return [
        (site[across] * wide + site[back] * step_x, site[down] * high - site[back] * step_y)
        for site in sites
    ]
