"""Drawings of everything without a known shape: distances on paper like distances in the graph.

A first drawing by classical scaling of the steps to a few *pivots*, then stress majorisation
against those pivots and the nearer neighbours. All work is numpy on n x pivots tables, so that a
thousand tensors take about a second in the browser; a value is yielded after every few sweeps.

Source: Brandes and Pich, "Eigensolver methods for progressive multidimensional scaling" (2007);
Gansner, Koren and North, "Graph drawing by stress majorization" (2004).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tensorloom.formats.layout_graph import distances
from tensorloom.formats.layout_shapes import SPACING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tensorloom.formats.layout_graph import Neighbours

    Table = NDArray[np.float64]

__all__ = ["stress_layout"]

ALL_PIVOTS = 240
"""Parts up to this size use every node as a pivot: full stress."""

MANY_NODES, FEW_PIVOTS, SOME_PIVOTS = 3000, 24, 80
"""Larger parts use fewer pivots, to bound the time."""

SWEEPS = 60
SWEEPS_PER_YIELD = 6
LEAST_DISTANCE = 0.7
"""Closest that two nodes should end up [bonds]."""

MOST_COMPARED = 6
"""Nodes of its cell that a node is compared with."""

ROOM, MOST_SCALING = 0.75, 1.5
"""Distance that three nodes in four should keep [bonds], and the most that scaling does for it."""


def stress_layout(neighbours: Neighbours, seed: int) -> Iterator[tuple[float, Table]]:
    """(share of the work done, positions of shape (n, 2) in pixels), the last with share 1."""
    count = len(neighbours)
    steps, pivots = _pivot_steps(neighbours)
    points = _classical_scaling(steps)
    noise = np.random.default_rng(seed).normal(scale=0.02, size=(count, 2))
    points = points + noise
    near = _near_pairs(neighbours)
    sweeps = SWEEPS if count <= MANY_NODES else SWEEPS // 3
    for sweep in range(sweeps):
        points = _majorised(points, steps, pivots, near)
        if sweep % SWEEPS_PER_YIELD == 0:
            yield 0.9 * sweep / sweeps, points * SPACING
    points = _roomy(_upright(points))
    for _ in range(12):
        points = _spread(points)
    yield 1.0, points * SPACING


def _pivot_steps(neighbours: Neighbours) -> tuple[Table, NDArray[np.intp]]:
    """Steps from every node to every pivot, (n, pivots), and the pivots, far from each other."""
    count = len(neighbours)
    wanted = count if count <= ALL_PIVOTS else SOME_PIVOTS if count <= MANY_NODES else FEW_PIVOTS
    if wanted == count:
        columns = [distances(neighbours, node) for node in range(count)]
        return np.array(columns, dtype=float).T, np.arange(count)
    pivots, columns = [0], [distances(neighbours, 0)]
    nearest = np.array(columns[0], dtype=float)
    while len(pivots) < wanted:
        pivots.append(int(np.argmax(nearest)))
        columns.append(distances(neighbours, pivots[-1]))
        nearest = np.minimum(nearest, columns[-1])
    return np.array(columns, dtype=float).T, np.array(pivots)


def _classical_scaling(steps: Table) -> Table:
    """A first drawing, (n, 2), along the two main directions of the squared steps [bonds]."""
    squared = steps**2
    centred = -0.5 * (
        squared
        - squared.mean(axis=0, keepdims=True)
        - squared.mean(axis=1, keepdims=True)
        + squared.mean()
    )
    _, vectors = np.linalg.eigh(centred.T @ centred)
    points = centred @ vectors[:, [-1, -2]]
    # With every node a pivot a column is lambda v, of length lambda, and the drawing is
    # sqrt(lambda) v; a share k / n of the pivots shortens the column by sqrt(k / n).
    length = np.maximum(np.linalg.norm(points, axis=0), 1e-9)
    drawn: Table = points / length * np.sqrt(length * np.sqrt(len(steps) / steps.shape[1]))
    return drawn


def _near_pairs(neighbours: Neighbours) -> tuple[NDArray[np.intp], NDArray[np.intp], Table]:
    """Pairs one or two steps apart, both ways: (first nodes, second nodes, steps)."""
    first: list[int] = []
    second: list[int] = []
    steps: list[float] = []
    most_through_one = 12  # the two-step pairs through a hub of degree d would be d squared
    for node, ends in enumerate(neighbours):
        near = dict.fromkeys(ends, 1.0)
        for end in ends:
            if len(neighbours[end]) <= most_through_one:
                for other in neighbours[end]:
                    if other != node:
                        near.setdefault(other, 2.0)
        first.extend([node] * len(near))
        second.extend(near)
        steps.extend(near.values())
    return np.array(first, dtype=int), np.array(second, dtype=int), np.array(steps)


def _majorised(
    points: Table,
    steps: Table,
    pivots: NDArray[np.intp],
    near: tuple[NDArray[np.intp], NDArray[np.intp], Table],
) -> Table:
    """The drawing after one sweep: every node goes to the weighted mean of where others want it."""
    count = len(points)
    wanted = np.zeros_like(points)
    # Pivots, all at once: weight 1 / steps squared, scaled up for the nodes they stand for.
    share = count / len(pivots)
    weight = np.where(steps > 0, share / np.maximum(steps, 1) ** 2, 0.0)
    away_x = points[:, :1] - points[pivots, 0]
    away_y = points[:, 1:] - points[pivots, 1]
    stretch = weight * steps / np.maximum(np.hypot(away_x, away_y), 1e-6)
    wanted[:, 0] = weight @ points[pivots, 0] + (stretch * away_x).sum(axis=1)
    wanted[:, 1] = weight @ points[pivots, 1] + (stretch * away_y).sum(axis=1)
    total = weight.sum(axis=1)
    first, second, far = near
    gap = points[first] - points[second]
    pull = 1 / far**2
    length = np.maximum(np.hypot(gap[:, 0], gap[:, 1]), 1e-6)
    aims = points[second] + gap * (far / length)[:, None]
    for axis in (0, 1):
        wanted[:, axis] += np.bincount(first, pull * aims[:, axis], minlength=count)
    total = total + np.bincount(first, pull, minlength=count)
    # Half a step: all nodes move at once, and full steps of neighbours would swing.
    moved: Table = 0.5 * points + 0.5 * wanted / total[:, None]
    return moved


def _upright(points: Table) -> Table:
    """The drawing turned so that its long direction lies across the page."""
    centred = points - points.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    turned: Table = centred @ vectors[:, ::-1]
    # Node 0 in the upper left, as in every other drawing.
    signs = np.where(turned[0] > 0, -1.0, 1.0)
    return turned * signs


def _roomy(points: Table) -> Table:
    """The drawing scaled up until most nodes have room: dense graphs crowd at one bond per step."""
    some = points[:: len(points) // 200 + 1]
    gaps = [np.hypot(points[:, 0] - x, points[:, 1] - y) for x, y in some]
    nearest = np.array([np.partition(gap, 1)[1] for gap in gaps])
    crowded = float(np.quantile(nearest, 0.25))
    return points * max(1.0, ROOM / max(crowded, ROOM / MOST_SCALING))


def _spread(points: Table) -> Table:
    """The drawing with nodes that nearly touch pushed apart.

    Neighbours share a cell in one of four shifted grids; within a cell each node is compared with
    the next few only, so that the time stays linear when thousands of nodes crowd around a hub.
    """
    moved = points.copy()
    for shift in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5)):
        cells = np.floor(moved / (2 * LEAST_DISTANCE) + shift).astype(np.int64)
        key = cells[:, 0] * 2**31 + cells[:, 1]
        order = np.argsort(key, kind="stable")
        for step in range(1, MOST_COMPARED + 1):
            one, other = order[:-step], order[step:]
            together = key[one] == key[other]
            if not together.any():
                break
            _push_apart(moved, one[together], other[together])
    return moved


def _push_apart(points: Table, one: NDArray[np.intp], other: NDArray[np.intp]) -> None:
    """Move the pairs that are too close, both ways by half of what is missing."""
    gap = points[one] - points[other]
    length = np.hypot(gap[:, 0], gap[:, 1])
    # Two nodes on one spot part along a direction of their own.
    angle = 2.4 * one
    spot = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    least = 1e-6
    unit = np.where(length[:, None] > least, gap / np.maximum(length, least)[:, None], spot)
    push = 0.5 * np.maximum(LEAST_DISTANCE - length, 0)[:, None] * unit
    np.add.at(points, one, push)
    np.add.at(points, other, -push)
