"""A network: tensors, the dimensions of their indices, and which indices stay open.

An index may sit on one, two or more tensors (a hyperindex), twice on one tensor (a trace or a
diagonal), and in the output or not; a lone index that is not in the output is summed.
Positions and colours are not here: two drawings of one network have equal networks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from tensorloom.errors import NetworkError, Where

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from tensorloom.model.index import Index
    from tensorloom.model.tensor import Tensor

__all__ = ["Leg", "Network", "check_output"]

Leg = tuple[str, int]
"""One end of an index: (tensor id, axis)."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """Tensors joined by indices; an invalid one cannot be made.

    Args:
        tensors: In the order of the equation's operands.
        indices: Every index that a tensor or the output uses, in order of first appearance.
        output: Names of the open indices, one per axis of the result, each once.

    Raises:
        NetworkError: ``duplicate-tensor``, ``duplicate-index``, ``unknown-index``,
            ``unused-index``, ``loose-output`` or ``duplicate-output``.
    """

    tensors: tuple[Tensor, ...] = ()
    indices: tuple[Index, ...] = ()
    output: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.tensor_by_id) != len(self.tensors):
            twice = _repeated(tensor.id for tensor in self.tensors)
            raise NetworkError(
                "duplicate-tensor",
                f"Two tensors have the id {twice!r}.",
                "Give every tensor an id of its own.",
                Where(tensors=(twice,)),
            )
        if len(self.dimension_of) != len(self.indices):
            twice = _repeated(index.name for index in self.indices)
            raise NetworkError(
                "duplicate-index",
                f"Index {twice!r} is declared twice.",
                "Declare each index once.",
                Where(indices=(twice,)),
            )
        self._check_use()

    def _check_use(self) -> None:
        used: set[str] = set()
        for tensor in self.tensors:
            used.update(tensor.indices)
            for name in tensor.indices:
                if name not in self.dimension_of:
                    raise NetworkError(
                        "unknown-index",
                        f"Index {name!r} on {tensor.name} has no dimension.",
                        "Give it a dimension.",
                        Where(tensors=(tensor.id,), indices=(name,)),
                    )
        check_output(self.output, used)
        for name in self.dimension_of:
            if name not in used:
                raise NetworkError(
                    "unused-index",
                    f"Index {name!r} is on no tensor.",
                    "Take it out, or put it on a tensor.",
                    Where(indices=(name,)),
                )

    @cached_property
    def tensor_by_id(self) -> Mapping[str, Tensor]:
        """Tensors by id."""
        return {tensor.id: tensor for tensor in self.tensors}

    @cached_property
    def dimension_of(self) -> Mapping[str, int]:
        """Dimension by index name [elements]."""
        return {index.name: index.dimension for index in self.indices}

    @cached_property
    def legs_of(self) -> Mapping[str, tuple[Leg, ...]]:
        """All legs of each index, in tensor order."""
        legs: dict[str, list[Leg]] = {index.name: [] for index in self.indices}
        for tensor in self.tensors:
            for axis, name in enumerate(tensor.indices):
                legs[name].append((tensor.id, axis))
        return {name: tuple(found) for name, found in legs.items()}

    def shape(self, tensor: Tensor) -> tuple[int, ...]:
        """Shape of a tensor's array, one dimension per axis [elements]."""
        return tuple(self.dimension_of[name] for name in tensor.indices)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the result [elements]."""
        return tuple(self.dimension_of[name] for name in self.output)

    def with_tensor(self, tensor: Tensor) -> Network:
        """The network with the tensor of the same id replaced."""
        return replace(self, tensors=self.tensors_with(tensor))

    def tensors_with(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """The tensors with the one of the same id replaced; not checked against the indices."""
        return tuple(tensor if old.id == tensor.id else old for old in self.tensors)


def _repeated(names: Iterable[str]) -> str:
    """The first name that comes a second time, in linear time: inputs may be hostile."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    raise AssertionError


def check_output(output: tuple[str, ...], used: Container[str]) -> None:
    """Nothing, when every output index is on a tensor and named once.

    Raises:
        NetworkError: ``loose-output`` or ``duplicate-output``, for the first that is not.
    """
    seen: set[str] = set()
    for name in output:
        if name not in used:
            raise NetworkError(
                "loose-output",
                f"Output index {name!r} is on no tensor.",
                "Put it on a tensor, or take it out of the output.",
                Where(indices=(name,)),
            )
        if name in seen:
            raise NetworkError(
                "duplicate-output",
                f"Index {name!r} appears twice in the output.",
                "Name each output index once.",
                Where(indices=(name,)),
            )
        seen.add(name)
