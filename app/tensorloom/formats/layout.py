"""Automatic layout: a network, and what is already placed -> positions and anchors.

Each connected part is drawn by the first that fits: circuits on wires, chains in a row, rings,
grids, combs and trees (``layout_shapes``), everything else by stress (``layout_stress``). Parts are
packed side by side. A tensor that is placed is never moved; new ones come next to their neighbours.

The layout is a generator, so that the shell can show it growing, or stop it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tensorloom.formats.layout_circuit import circuit
from tensorloom.formats.layout_factors import factor_graph
from tensorloom.formats.layout_free import Room, anchors_of, place_beside
from tensorloom.formats.layout_graph import graph_of, parts, within
from tensorloom.formats.layout_shapes import SPACING, known_shape
from tensorloom.model.commands import Move
from tensorloom.model.diagram import MAX_COORDINATE

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from tensorloom.formats.layout_graph import LayoutGraph, Neighbours
    from tensorloom.formats.layout_shapes import Points
    from tensorloom.model.document import Document
    from tensorloom.model.network import Network

    Position = tuple[int, int]

__all__ = ["LayoutProgress", "laid_out", "layout", "layout_command"]

PAGE_RATIO = 1.6
"""Width over height that packed parts aim at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutProgress:
    """How far a layout is.

    Args:
        done: Share of the work, 1 at the end.
        positions: Centre of each tensor by id [pixels]; empty until the end.
        anchors: Free ends and dots by index name [pixels]; empty until the end.
    """

    done: float
    positions: Mapping[str, Position] = field(default_factory=dict)
    anchors: Mapping[str, Position] = field(default_factory=dict)


def layout(
    network: Network, placed: Mapping[str, Position] | None = None, *, seed: int = 0
) -> Generator[LayoutProgress, None, None]:
    """Progress values; the last one, with ``done == 1``, holds the positions and anchors.

    Args:
        network: What to draw.
        placed: Tensors that stay where they are, by id [pixels].
        seed: For the small noise that keeps a stress layout from folding.
    """
    fixed = {} if placed is None else placed
    graph = graph_of(network)
    spots: list[Position | None] = [fixed.get(tensor) for tensor in graph.tensors]
    spots += [None] * len(graph.dots)
    boxes: list[tuple[tuple[int, ...], Points]] = []
    wires = None if fixed else circuit(network.tensors, network.output)
    if wires is not None:
        spots[: len(wires.points)] = [(round(x), round(y)) for x, y in wires.points]
    n_drawn = 0
    for nodes in parts(graph.neighbours):
        if any(spots[node] is not None for node in nodes):
            continue
        points: Points = []
        for share, points in _drawn(graph, nodes, seed):  # noqa: B007  # the last is kept
            yield LayoutProgress(done=0.95 * (n_drawn + share * len(nodes)) / len(spots))
        n_drawn += len(nodes)
        boxes.append((nodes, points))
    _grow(graph, spots)
    _pack(boxes, spots)
    yield _finished(network, graph, spots, {} if wires is None else wires.ends)


def laid_out(
    network: Network, placed: Mapping[str, Position] | None = None, *, seed: int = 0
) -> LayoutProgress:
    """The finished layout, without stopping."""
    *_, last = layout(network, placed, seed=seed)
    return last


def layout_command(document: Document, *, placed: Iterable[str] = (), seed: int = 0) -> Move:
    """One command that draws the document anew.

    Args:
        document: What to draw.
        placed: Ids of tensors that stay where they are.
        seed: As for ``layout``.
    """
    marks = document.diagram.marks
    fixed = {name: (marks[name].x, marks[name].y) for name in placed}
    found = laid_out(document.network, fixed, seed=seed)
    old = document.diagram.anchors
    anchors: dict[str, Position | None] = {name: None for name in old if name not in found.anchors}
    anchors.update(found.anchors)
    moved = tuple(
        (name, at) for name, at in found.positions.items() if at != (marks[name].x, marks[name].y)
    )
    return Move(
        positions=moved,
        anchors=tuple((name, at) for name, at in anchors.items() if old.get(name) != at),
    )


def _drawn(graph: LayoutGraph, nodes: Sequence[int], seed: int) -> Iterator[tuple[float, Points]]:
    """(share done, a point per node) of one part that is nowhere placed."""
    if len(nodes) == 1:
        yield 1.0, [(0.0, 0.0)]
        return
    neighbours = within(graph.neighbours, nodes)
    count = len(graph.tensors)
    factors = factor_graph(neighbours, [k for k, node in enumerate(nodes) if node >= count])
    if factors is None:
        yield from _shaped(neighbours, seed)
        return
    for share, points in _shaped(factors.sites, seed):
        yield share, factors.expanded(points, len(nodes))


def _shaped(neighbours: Neighbours, seed: int) -> Iterator[tuple[float, Points]]:
    """(share done, a point per node) of one connected graph."""
    known = known_shape(neighbours)
    if known is not None:
        yield 1.0, known
        return
    # numpy's import is paid only by networks that need it.
    from tensorloom.formats.layout_stress import stress_layout  # noqa: PLC0415

    for share, table in stress_layout(neighbours, seed):
        yield share, [(x, y) for x, y in table.tolist()]


def _grow(graph: LayoutGraph, spots: list[Position | None]) -> None:
    """Put the missing nodes of partly placed parts next to their neighbours, nearest first."""
    room = Room(spot for spot in spots if spot is not None)
    queue = [node for node, spot in enumerate(spots) if spot is not None]
    count = len(graph.tensors)
    at = 0
    while at < len(queue):
        for node in graph.neighbours[queue[at]]:
            if spots[node] is not None:
                continue
            near = [spot for other in graph.neighbours[node] if (spot := spots[other]) is not None]
            if node >= count and len(near) == len(graph.neighbours[node]):
                # A dot between tensors that all stand somewhere takes their middle.
                found = _middle(near)
            else:
                found = place_beside(near, room)
            spots[node] = found
            room.take(found)
            queue.append(node)
        at += 1


def _middle(near: Sequence[Position]) -> Position:
    return (
        round(sum(x for x, _ in near) / len(near)),
        round(sum(y for _, y in near) / len(near)),
    )


def _pack(boxes: Sequence[tuple[tuple[int, ...], Points]], spots: list[Position | None]) -> None:
    """Set the parts side by side in rows, to the right of everything placed."""
    sized = [(nodes, points, *_extent(points)) for nodes, points in boxes]
    area = sum((width + SPACING) * (height + SPACING) for _, _, _, _, width, height in sized)
    widest = max((width for *_, width, _ in sized), default=0.0)
    row_end = max(widest + 1, (area * PAGE_RATIO) ** 0.5)
    standing = [spot for spot in spots if spot is not None]
    start_x = max((x for x, _ in standing), default=-SPACING) + SPACING
    x, y = float(start_x), float(min((y for _, y in standing), default=0))
    row_height = 0.0
    # Only a row of thousands of tensors comes near the bounds of the page; it is drawn denser.
    shrink = min(1.0, (MAX_COORDINATE - start_x) / (1.1 * row_end + SPACING))
    taken = set(standing)
    for nodes, points, left, top, width, height in sized:
        if x > start_x and x + width > start_x + row_end:
            x, y, row_height = float(start_x), y + row_height + SPACING, 0.0
        for node, (point_x, point_y) in zip(nodes, points, strict=True):
            spot = (
                round(start_x + shrink * (x - start_x + point_x - left)),
                round(y + shrink * (point_y - top)),
            )
            # Two points of a crowd may round to one pixel; the one below would be out of reach.
            while spot in taken:
                spot = (spot[0] + 1, spot[1])
            taken.add(spot)
            spots[node] = spot
        x += width + SPACING
        row_height = max(row_height, height)


def _extent(points: Points) -> tuple[float, float, float, float]:
    """Left, top, width and height."""
    left, top = min(x for x, _ in points), min(y for _, y in points)
    return left, top, max(x for x, _ in points) - left, max(y for _, y in points) - top


def _finished(
    network: Network,
    graph: LayoutGraph,
    spots: Sequence[Position | None],
    ends: Mapping[str, Position],
) -> LayoutProgress:
    """The last progress value, everything within the bounds of a document."""
    kept = [_bounded(spot) for spot in spots if spot is not None]
    assert len(kept) == len(spots)
    count = len(graph.tensors)
    positions = dict(zip(graph.tensors, kept, strict=False))
    dots = dict(zip(graph.dots, kept[count:], strict=True))
    anchors = {**anchors_of(network, graph, positions, dots), **ends}
    return LayoutProgress(
        done=1.0,
        positions=positions,
        anchors={name: _bounded(at) for name, at in anchors.items()},
    )


def _bounded(spot: Position) -> Position:
    """The spot itself, or the nearest one that a document may hold."""
    x, y = (max(-MAX_COORDINATE, min(MAX_COORDINATE, value)) for value in spot)
    return x, y
