"""Free space: directions for open legs, and places for new tensors next to what is already there.

Nothing that is placed is moved. Everything is deterministic.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tensorloom.formats.layout_graph import parts
from tensorloom.formats.layout_shapes import SPACING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tensorloom.formats.layout_graph import LayoutGraph
    from tensorloom.model.network import Network

    Position = tuple[int, int]

__all__ = ["Room", "anchors_of", "place_beside"]

LEG = 78
"""Length of an open leg, from the centre of its tensor [pixels]."""

CLEARANCE = 64
"""Least distance of a new thing from every tensor [pixels]."""

MOST_CHOSEN = 8
"""Open legs of one tensor that each get the best direction; more are a fan."""

_COMPASS = tuple((math.cos(k * math.pi / 4), math.sin(k * math.pi / 4)) for k in range(8))
_AROUND = ((1, 0), (0, 1), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))


class Room:
    """Which spots of the page are taken; a cell list, so that asking is quick."""

    def __init__(self, taken: Iterable[tuple[float, float]] = ()) -> None:
        self._cells: dict[tuple[int, int], list[tuple[float, float]]] = {}
        for point in taken:
            self.take(point)

    def take(self, point: tuple[float, float]) -> None:
        """Mark a spot as taken."""
        cell = (math.floor(point[0] / CLEARANCE), math.floor(point[1] / CLEARANCE))
        self._cells.setdefault(cell, []).append(point)

    def is_free(self, point: tuple[float, float]) -> bool:
        """Whether nothing taken is nearer than the clearance."""
        column, row = math.floor(point[0] / CLEARANCE), math.floor(point[1] / CLEARANCE)
        return all(
            math.hypot(point[0] - x, point[1] - y) >= CLEARANCE
            for across in (-1, 0, 1)
            for down in (-1, 0, 1)
            for x, y in self._cells.get((column + across, row + down), ())
        )


def place_beside(near: Sequence[Position], room: Room) -> Position:
    """A free spot for a tensor whose neighbours stand at ``near`` [pixels].

    Between several neighbours if that is free, else one bond away: right, below, above, left.
    """
    x = round(sum(point[0] for point in near) / len(near))
    y = round(sum(point[1] for point in near) / len(near))
    if len(near) > 1 and room.is_free((x, y)):
        return x, y
    reach = SPACING
    while True:
        for across, down in _AROUND:
            spot = (x + across * reach, y + down * reach)
            if room.is_free(spot):
                return spot
        reach += SPACING


def anchors_of(
    network: Network,
    graph: LayoutGraph,
    positions: Mapping[str, Position],
    dots: Mapping[str, Position],
) -> dict[str, Position]:
    """Free ends of lone indices, pointing outwards, and the dots of hyperindices [pixels]."""
    anchors = dict(dots)
    room = Room(positions.values())
    spots = [positions[tensor] for tensor in graph.tensors] + [dots[name] for name in graph.dots]
    lone = _lone_indices(network, graph)
    for nodes in parts(graph.neighbours):
        members = [node for node in nodes if node < len(graph.tensors)]
        middle = (
            sum(spots[node][0] for node in members) / len(members),
            sum(spots[node][1] for node in members) / len(members),
        )
        # Legs inside a chain or a lattice hang; then those at its ends do, too.
        hangs = any(lone[node] and len(graph.neighbours[node]) > 1 for node in members)
        for node in members:
            bonds = [_direction(spots[node], spots[other]) for other in graph.neighbours[node]]
            outward = _direction(middle, spots[node])
            for place, index in enumerate(lone[node]):
                if len(lone[node]) > MOST_CHOSEN:
                    turn = 2 * math.pi * place / len(lone[node])
                    way = (math.cos(turn), math.sin(turn))
                else:
                    way = _best_way(spots[node], bonds, outward, room, hangs=hangs)
                    bonds.append(way)
                anchors[index] = (
                    round(spots[node][0] + LEG * way[0]),
                    round(spots[node][1] + LEG * way[1]),
                )
    return anchors


def _lone_indices(network: Network, graph: LayoutGraph) -> list[list[str]]:
    """For every tensor, its indices that end in the open: on no other tensor, no loop."""
    number = {tensor: node for node, tensor in enumerate(graph.tensors)}
    lone: list[list[str]] = [[] for _ in graph.tensors]
    output = set(network.output)
    for index, legs in network.legs_of.items():
        first = legs[0][0]
        if all(tensor == first for tensor, _ in legs) and (len(legs) == 1 or index in output):
            lone[number[first]].append(index)
    return lone


def _direction(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    across, down = end[0] - start[0], end[1] - start[1]
    length = math.hypot(across, down)
    return (across / length, down / length) if length > 1 else (0.0, 0.0)


def _best_way(
    spot: Position,
    bonds: Sequence[tuple[float, float]],
    outward: tuple[float, float],
    room: Room,
    *,
    hangs: bool,
) -> tuple[float, float]:
    """The unit direction for one more leg: clear of bonds and tensors, down or outwards.

    A right angle to every bond is enough; beyond it, physical legs hang down as in the textbooks.
    """
    most_bonds_of_a_chain = 3
    straight = 12 if hangs else 2
    out = 2 if len(bonds) > most_bonds_of_a_chain else 5 if hangs else 8

    def score(way: tuple[float, float]) -> float:
        nearest = max((way[0] * bond[0] + way[1] * bond[1] for bond in bonds), default=-1.0)
        angle = min(math.degrees(math.acos(max(-1.0, min(1.0, nearest)))), 90.0)
        # The cube favours straight down (or, a little less, up) over slanting.
        hanging = straight * max(way[1], -0.8 * way[1]) ** 3
        outside = out * (way[0] * outward[0] + way[1] * outward[1])
        end = (spot[0] + 1.2 * LEG * way[0], spot[1] + 1.2 * LEG * way[1])
        return angle + hanging + outside - (0 if room.is_free(end) else 60)

    ways = (*_COMPASS, outward) if outward != (0.0, 0.0) else _COMPASS
    return max(ways, key=score)
