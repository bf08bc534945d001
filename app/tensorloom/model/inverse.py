"""How each user edit is undone: ``invert(document, command)`` gives the commands that lead back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.model.commands import (
    AddTensor,
    JoinIndices,
    Move,
    RemoveTensor,
    RenameIndex,
    RenameTensor,
    ReplaceDocument,
    SetArray,
    SetDimension,
    SetDType,
    SetIndices,
    SetMark,
    SetOutput,
    SetTitle,
    known_dimension,
    known_tensor,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from tensorloom.model.commands import Command
    from tensorloom.model.document import Document

__all__ = ["invert"]


def invert(document: Document, command: Command) -> tuple[Command, ...]:
    """Commands that lead from ``apply(document, command)`` back to ``document``."""
    return _INVERT[type(command)](document, command)


def _anchors_back(document: Document, names: Iterable[str]) -> tuple[Command, ...]:
    """A move that restores the anchors of these indices, if they have any."""
    known = document.diagram.anchors
    lost = tuple((name, known[name]) for name in names if name in known)
    return (Move(anchors=lost),) if lost else ()


def _unremove(document: Document, command: RemoveTensor) -> tuple[Command, ...]:
    gone = known_tensor(document, command.id)
    network = document.network
    back = AddTensor(
        tensor=gone,
        mark=document.diagram.marks[gone.id],
        dimensions=tuple(
            (name, network.dimension_of[name]) for name in dict.fromkeys(gone.indices)
        ),
        at=network.tensors.index(gone),
        output=network.output,
    )
    return (back, *_anchors_back(document, dict.fromkeys(gone.indices)))


def _unset_indices(document: Document, command: SetIndices) -> tuple[Command, ...]:
    old, network = known_tensor(document, command.id), document.network
    back = SetIndices(
        id=old.id,
        indices=old.indices,
        dimensions=tuple((name, network.dimension_of[name]) for name in dict.fromkeys(old.indices)),
        output=network.output,
    )
    return (back, *_anchors_back(document, dict.fromkeys(old.indices)))


def _unjoin(document: Document, command: JoinIndices) -> tuple[Command, ...]:
    network = document.network
    size = known_dimension(network, command.drop)
    touched = [tensor for tensor in network.tensors if command.drop in tensor.indices]
    back: tuple[Command, ...] = tuple(
        SetIndices(id=tensor.id, indices=tensor.indices, dimensions=((command.drop, size),))
        for tensor in touched
    )
    return (
        *back,
        SetOutput(output=network.output),
        *_anchors_back(document, (command.drop,)),
    )


def _unmove(document: Document, command: Move) -> tuple[Command, ...]:
    marks, anchors = document.diagram.marks, document.diagram.anchors
    return (
        Move(
            positions=tuple(
                (name, (marks[known_tensor(document, name).id].x, marks[name].y))
                for name, _ in command.positions
            ),
            anchors=tuple((name, anchors.get(name)) for name, _ in command.anchors),
        ),
    )


def _unset_mark(document: Document, command: SetMark) -> tuple[Command, ...]:
    old = document.diagram.marks[known_tensor(document, command.id).id]
    return (SetMark(id=command.id, shape=old.shape, colour=old.colour),)


_INVERT: dict[type, Callable[[Document, Any], tuple[Command, ...]]] = {
    AddTensor: lambda document, command: (
        RemoveTensor(id=command.tensor.id),
        SetOutput(output=document.network.output),
    ),
    RemoveTensor: _unremove,
    RenameTensor: lambda document, command: (
        RenameTensor(id=command.id, name=known_tensor(document, command.id).name),
    ),
    SetArray: lambda document, command: (
        SetArray(id=command.id, array=known_tensor(document, command.id).array),
    ),
    SetIndices: _unset_indices,
    RenameIndex: lambda _document, command: (RenameIndex(name=command.to, to=command.name),),
    JoinIndices: _unjoin,
    SetDimension: lambda document, command: (
        SetDimension(name=command.name, dimension=known_dimension(document.network, command.name)),
    ),
    SetOutput: lambda document, _command: (SetOutput(output=document.network.output),),
    Move: _unmove,
    SetMark: _unset_mark,
    SetTitle: lambda document, _command: (SetTitle(title=document.title),),
    SetDType: lambda document, _command: (SetDType(dtype=document.dtype),),
    ReplaceDocument: lambda document, _command: (ReplaceDocument(document=document),),
}
