"""What a finder is told about a network: index names per tensor, the output, the dimensions.

No ids, positions or arrays: two networks with the same inputs have the same trees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorloom.model.network import Network

__all__ = ["Dimensions", "Inputs", "Output", "Path", "inputs_of"]

Inputs = tuple[tuple[str, ...], ...]
"""Index names of each tensor, repeats and hyperindices allowed."""

Output = tuple[str, ...]
"""Index names of the result, each once."""

Dimensions = tuple[tuple[str, int], ...]
"""``(name, dimension)`` of every index [elements]."""

Path = tuple[tuple[int, int], ...]
"""Pairs of SSA numbers: inputs are 0..n-1, step ``s`` makes ``n + s``."""


def inputs_of(network: Network) -> tuple[Inputs, Output, Dimensions]:
    """``(inputs, output, dimensions)`` of a network, tensors and indices in its order."""
    return (
        tuple(tensor.indices for tensor in network.tensors),
        network.output,
        tuple((index.name, index.dimension) for index in network.indices),
    )
