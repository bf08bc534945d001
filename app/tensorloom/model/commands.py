"""User edits as records: ``apply(document, command)`` gives the next document.

Each command is a frozen record with a ``kind`` tag. After every command the indices are in order of
first appearance, indices that no tensor carries are gone, also from the output and the anchors.
``inverse`` undoes. The same reducer exists in TypeScript; ``tests/golden/commands`` holds vectors
that both must pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from tensorloom.errors import DocumentError, NetworkError, Where
from tensorloom.model.diagram import Diagram, Mark, MarkColour, MarkShape
from tensorloom.model.index import Index
from tensorloom.model.network import Network, check_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from tensorloom.model.document import Document
    from tensorloom.model.recipe import ArrayRecipe, DType
    from tensorloom.model.tensor import Tensor

__all__ = [
    "AddTensor",
    "Command",
    "JoinIndices",
    "Move",
    "RemoveTensor",
    "RenameIndex",
    "RenameTensor",
    "ReplaceDocument",
    "SetArray",
    "SetDType",
    "SetDimension",
    "SetIndices",
    "SetMark",
    "SetOutput",
    "SetTitle",
    "apply",
    "apply_all",
    "known_dimension",
    "known_tensor",
]

Position = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddTensor:
    """Put in a tensor at operand position ``at`` (``None``: last).

    ``dimensions`` sizes the indices that are new [elements]; ``output``, if given, is the whole new
    output.
    """

    kind: ClassVar[str] = "add-tensor"
    tensor: Tensor
    mark: Mark
    dimensions: tuple[tuple[str, int], ...] = ()
    at: int | None = None
    output: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveTensor:
    """Take a tensor out; what it shared stays on the others as a lone, summed index."""

    kind: ClassVar[str] = "remove-tensor"
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameTensor:
    """Show another name."""

    kind: ClassVar[str] = "rename-tensor"
    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetArray:
    """Make the values by another recipe."""

    kind: ClassVar[str] = "set-array"
    id: str
    array: ArrayRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class SetIndices:
    """Give a tensor another tuple of indices: pull, cut, permute or connect its legs."""

    kind: ClassVar[str] = "set-indices"
    id: str
    indices: tuple[str, ...]
    dimensions: tuple[tuple[str, int], ...] = ()
    output: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameIndex:
    """Rename an index everywhere; the new name must be free."""

    kind: ClassVar[str] = "rename-index"
    name: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinIndices:
    """Turn every leg of ``drop`` into ``keep``; both leave the output unless it is given."""

    kind: ClassVar[str] = "join-indices"
    keep: str
    drop: str
    output: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDimension:
    """Set the dimension of an index [elements]."""

    kind: ClassVar[str] = "set-dimension"
    name: str
    dimension: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOutput:
    """Say which indices stay open, in axis order."""

    kind: ClassVar[str] = "set-output"
    output: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Put tensors and anchors elsewhere [pixels]; an anchor of ``None`` is taken out."""

    kind: ClassVar[str] = "move"
    positions: tuple[tuple[str, Position], ...] = ()
    anchors: tuple[tuple[str, Position | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMark:
    """Draw a tensor with another shape and colour."""

    kind: ClassVar[str] = "set-mark"
    id: str
    shape: MarkShape
    colour: MarkColour


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTitle:
    """Name the document."""

    kind: ClassVar[str] = "set-title"
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDType:
    """Contract in another number type."""

    kind: ClassVar[str] = "set-dtype"
    dtype: DType


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceDocument:
    """Put another document in place of everything."""

    kind: ClassVar[str] = "replace-document"
    document: Document


Command = (
    AddTensor
    | RemoveTensor
    | RenameTensor
    | SetArray
    | SetIndices
    | RenameIndex
    | JoinIndices
    | SetDimension
    | SetOutput
    | Move
    | SetMark
    | SetTitle
    | SetDType
    | ReplaceDocument
)


def apply(document: Document, command: Command) -> Document:
    """The document after one edit; the given one is untouched.

    Raises:
        DocumentError: ``unknown-tensor``, ``bad-place``, ``same-index`` or what the parts refuse.
        NetworkError: ``unknown-index``, ``index-in-use``, ``dimension-mismatch`` or what the
            network refuses.
    """
    return _APPLY[type(command)](document, command)


def apply_all(document: Document, commands: Iterable[Command]) -> Document:
    """The document after several edits, in order; none of them if one is refused."""
    for command in commands:
        document = apply(document, command)
    return document


def known_tensor(document: Document, name: str) -> Tensor:
    """The tensor with an id.

    Raises:
        DocumentError: ``unknown-tensor``.
    """
    found = document.network.tensor_by_id.get(name)
    if found is None:
        raise DocumentError(
            "unknown-tensor",
            f"There is no tensor with the id {name!r:.80}.",
            "It may have been deleted; undo to get it back.",
            Where(tensors=(str(name)[:80],)),
        )
    return found


def known_dimension(network: Network, name: str) -> int:
    """The dimension of an index [elements].

    Raises:
        NetworkError: ``unknown-index``.
    """
    found = network.dimension_of.get(name)
    if found is None:
        raise NetworkError(
            "unknown-index",
            f"There is no index {name!r:.80}.",
            "It may have been deleted; undo to get it back.",
            Where(indices=(str(name)[:80],)),
        )
    return found


def _rebuilt(
    document: Document,
    tensors: tuple[Tensor, ...],
    dimension_of: Mapping[str, int],
    output: tuple[str, ...],
    marks: Mapping[str, Mark] | None = None,
) -> Document:
    """The document with other tensors, its indices put in order and loose ones dropped."""
    order = dict.fromkeys(name for tensor in tensors for name in tensor.indices)
    network = Network(
        tensors=tensors,
        indices=tuple(Index(name=name, dimension=dimension_of[name]) for name in order),
        output=tuple(name for name in output if name in order),
    )
    anchors = {name: at for name, at in document.diagram.anchors.items() if name in order}
    kept = document.diagram.marks if marks is None else marks
    return replace(document, network=network, diagram=Diagram(marks=kept, anchors=anchors))


def _sized(
    network: Network, given: tuple[tuple[str, int], ...], used: Iterable[str]
) -> dict[str, int]:
    """Dimensions of the old indices and of the new ones, which must not contradict each other."""
    dimension_of = dict(network.dimension_of)
    for name, size in given:
        known = dimension_of.setdefault(name, Index(name=name, dimension=size).dimension)
        if known != size:
            raise NetworkError(
                "dimension-mismatch",
                f"Index '{name}' has dimension {known}, not {size}.",
                "Leave its dimension out, or set it first.",
                Where(indices=(name,)),
                {"known": known, "given": size},
            )
    for name in used:
        if name not in dimension_of:
            raise NetworkError(
                "unknown-index",
                f"Index '{name}' has no dimension.",
                "Give it a dimension.",
                Where(indices=(name,)),
            )
    return dimension_of


def _checked_output(
    output: tuple[str, ...] | None, old: tuple[str, ...], tensors: tuple[Tensor, ...]
) -> tuple[str, ...]:
    """The new output; an asked-for one must name indices that exist, an old one may shrink."""
    if output is None:
        return old
    used = {name for tensor in tensors for name in tensor.indices}
    check_output(output, used)
    return output


def _add_tensor(document: Document, command: AddTensor) -> Document:
    network = document.network
    if command.tensor.id in network.tensor_by_id:
        raise NetworkError(
            "duplicate-tensor",
            f"Two tensors have the id '{command.tensor.id}'.",
            "Give every tensor an id of its own.",
            Where(tensors=(command.tensor.id,)),
        )
    place = len(network.tensors) if command.at is None else command.at
    if not 0 <= place <= len(network.tensors):
        raise DocumentError(
            "bad-place",
            f"Operand position {place} is not between 0 and {len(network.tensors)}.",
            "Leave it out to add the tensor at the end.",
        )
    tensors = (*network.tensors[:place], command.tensor, *network.tensors[place:])
    dimension_of = _sized(network, command.dimensions, command.tensor.indices)
    output = _checked_output(command.output, network.output, tensors)
    marks = {**document.diagram.marks, command.tensor.id: command.mark}
    return _rebuilt(document, tensors, dimension_of, output, marks)


def _remove_tensor(document: Document, command: RemoveTensor) -> Document:
    gone = known_tensor(document, command.id)
    network = document.network
    tensors = tuple(tensor for tensor in network.tensors if tensor is not gone)
    marks = {name: mark for name, mark in document.diagram.marks.items() if name != gone.id}
    return _rebuilt(document, tensors, network.dimension_of, network.output, marks)


def _with_tensor(document: Document, tensor: Tensor) -> Document:
    return replace(document, network=document.network.with_tensor(tensor))


def _rename_tensor(document: Document, command: RenameTensor) -> Document:
    return _with_tensor(document, replace(known_tensor(document, command.id), name=command.name))


def _set_array(document: Document, command: SetArray) -> Document:
    return _with_tensor(document, replace(known_tensor(document, command.id), array=command.array))


def _set_indices(document: Document, command: SetIndices) -> Document:
    network = document.network
    changed = replace(known_tensor(document, command.id), indices=command.indices)
    dimension_of = _sized(network, command.dimensions, command.indices)
    tensors = network.tensors_with(changed)
    output = _checked_output(command.output, network.output, tensors)
    return _rebuilt(document, tensors, dimension_of, output)


def _rename_index(document: Document, command: RenameIndex) -> Document:
    network = document.network
    size = known_dimension(network, command.name)
    if command.to == command.name:
        return document
    if command.to in network.dimension_of:
        raise NetworkError(
            "index-in-use",
            f"Index '{command.to}' exists already.",
            f"Choose another name, or join '{command.name}' with it.",
            Where(indices=(command.name, command.to)),
        )
    renamed = Index(name=command.to, dimension=size).name
    new = {command.name: renamed}
    sizes = {new.get(name, name): value for name, value in network.dimension_of.items()}
    tensors = _relabelled(network, command.name, renamed)
    output = tuple(new.get(name, name) for name in network.output)
    anchors = {new.get(name, name): at for name, at in document.diagram.anchors.items()}
    drawn = replace(document.diagram, anchors={})
    done = _rebuilt(replace(document, diagram=drawn), tensors, sizes, output)
    return replace(done, diagram=replace(done.diagram, anchors=anchors))


def _relabelled(network: Network, old: str, new: str) -> tuple[Tensor, ...]:
    return tuple(
        replace(tensor, indices=tuple(new if name == old else name for name in tensor.indices))
        if old in tensor.indices
        else tensor
        for tensor in network.tensors
    )


def _join_indices(document: Document, command: JoinIndices) -> Document:
    network = document.network
    keep, drop = known_dimension(network, command.keep), known_dimension(network, command.drop)
    where = Where(indices=(command.keep, command.drop))
    if command.keep == command.drop:
        raise DocumentError(
            "same-index",
            f"Index '{command.keep}' cannot be joined with itself.",
            "Choose two different indices.",
            where,
        )
    if keep != drop:
        raise NetworkError(
            "dimension-mismatch",
            f"Index '{command.keep}' has dimension {keep}, but '{command.drop}' has {drop}.",
            "Make them equal first.",
            where,
            {"keep": keep, "drop": drop},
        )
    tensors = _relabelled(network, command.drop, command.keep)
    pair = {command.keep, command.drop}
    remaining = tuple(name for name in network.output if name not in pair)
    output = _checked_output(command.output, remaining, tensors)
    return _rebuilt(document, tensors, network.dimension_of, output)


def _set_dimension(document: Document, command: SetDimension) -> Document:
    network = document.network
    known_dimension(network, command.name)
    changed = Index(name=command.name, dimension=command.dimension)
    indices = tuple(changed if old.name == changed.name else old for old in network.indices)
    return replace(document, network=replace(network, indices=indices))


def _set_output(document: Document, command: SetOutput) -> Document:
    return replace(document, network=replace(document.network, output=command.output))


def _move(document: Document, command: Move) -> Document:
    marks, anchors = dict(document.diagram.marks), dict(document.diagram.anchors)
    for name, (x, y) in command.positions:
        tensor = known_tensor(document, name)
        marks[tensor.id] = replace(marks[tensor.id], x=x, y=y)
    for name, place in command.anchors:
        known_dimension(document.network, name)
        if place is None:
            anchors.pop(name, None)
        else:
            anchors[name] = place
    return replace(document, diagram=Diagram(marks=marks, anchors=anchors))


def _set_mark(document: Document, command: SetMark) -> Document:
    tensor = known_tensor(document, command.id)
    marks = dict(document.diagram.marks)
    marks[tensor.id] = replace(marks[tensor.id], shape=command.shape, colour=command.colour)
    return replace(document, diagram=replace(document.diagram, marks=marks))


def _set_title(document: Document, command: SetTitle) -> Document:
    return replace(document, title=command.title)


def _set_dtype(document: Document, command: SetDType) -> Document:
    return replace(document, dtype=command.dtype)


def _replace_document(_document: Document, command: ReplaceDocument) -> Document:
    return command.document


_APPLY: dict[type, Callable[[Document, Any], Document]] = {
    AddTensor: _add_tensor,
    RemoveTensor: _remove_tensor,
    RenameTensor: _rename_tensor,
    SetArray: _set_array,
    SetIndices: _set_indices,
    RenameIndex: _rename_index,
    JoinIndices: _join_indices,
    SetDimension: _set_dimension,
    SetOutput: _set_output,
    Move: _move,
    SetMark: _set_mark,
    SetTitle: _set_title,
    SetDType: _set_dtype,
    ReplaceDocument: _replace_document,
}
