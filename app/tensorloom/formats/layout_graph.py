"""The graph that a layout sees: tensors and the dots of hyperindices, joined without multiplicity.

An index on two tensors is an edge. An index with more than two ends (legs, and the output as one)
is a dot joined to each of its tensors. Nodes are numbers: tensors first, in network order.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tensorloom.model.network import Network

__all__ = ["LayoutGraph", "Neighbours", "distances", "graph_of", "parts", "within"]

Neighbours = tuple[tuple[int, ...], ...]
"""Ascending neighbours of each node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutGraph:
    """Nodes and who is joined to whom.

    Args:
        tensors: Tensor id of nodes 0 to n - 1.
        dots: Hyperindex of the nodes after them.
        neighbours: For every node, tensors and dots alike.
    """

    tensors: tuple[str, ...]
    dots: tuple[str, ...]
    neighbours: Neighbours


def graph_of(network: Network) -> LayoutGraph:
    """The graph of a network; time is linear in its legs."""
    number = {tensor.id: node for node, tensor in enumerate(network.tensors)}
    joined: list[set[int]] = [set() for _ in network.tensors]
    dots: list[str] = []
    open_indices = set(network.output)
    for index, legs in network.legs_of.items():
        ends = sorted({number[tensor] for tensor, _ in legs})
        if len(ends) < 2:  # noqa: PLR2004  # a free end or a loop joins nobody
            continue
        if len(ends) == 2 and index not in open_indices:  # noqa: PLR2004  # an ordinary bond
            joined[ends[0]].add(ends[1])
            joined[ends[1]].add(ends[0])
            continue
        dot = len(joined)
        dots.append(index)
        joined.append(set(ends))
        for end in ends:
            joined[end].add(dot)
    return LayoutGraph(
        tensors=tuple(number),
        dots=tuple(dots),
        neighbours=tuple(tuple(sorted(ends)) for ends in joined),
    )


def parts(neighbours: Neighbours) -> Iterator[tuple[int, ...]]:
    """Ascending nodes of each connected part, in order of their first node."""
    seen = [False] * len(neighbours)
    for start in range(len(neighbours)):
        if seen[start]:
            continue
        seen[start] = True
        found, at = [start], 0
        while at < len(found):
            for node in neighbours[found[at]]:
                if not seen[node]:
                    seen[node] = True
                    found.append(node)
            at += 1
        yield tuple(sorted(found))


def within(neighbours: Neighbours, nodes: Sequence[int]) -> Neighbours:
    """The graph of some nodes alone, numbered from 0 in the given order."""
    number = {node: place for place, node in enumerate(nodes)}
    return tuple(
        tuple(sorted(number[other] for other in neighbours[node] if other in number))
        for node in nodes
    )


def distances(neighbours: Neighbours, start: int) -> list[int]:
    """Steps from one node to every node; -1 where there is no way."""
    steps = [-1] * len(neighbours)
    steps[start] = 0
    queue = deque((start,))
    while queue:
        node = queue.popleft()
        after = steps[node] + 1
        for other in neighbours[node]:
            if steps[other] < 0:
                steps[other] = after
                queue.append(other)
    return steps
