"""Commands as JSON and back: the records of ``Command`` in ``view/editor/protocol.ts``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorloom.errors import DocumentError
from tensorloom.model import codec, recipe_codec
from tensorloom.model.commands import (
    AddTensor,
    Command,
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
)
from tensorloom.model.diagram import Mark
from tensorloom.model.document import check_dtype
from tensorloom.model.reading import fields, list_of, object_of, position, text, whole

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["command_from_json", "command_to_json"]

Fields = dict[str, object]


def command_from_json(value: object) -> Command:
    """The command that a tagged object describes.

    Raises:
        DocumentError: ``unknown-command``, or what is wrong with a field.
        NetworkError: A name or a dimension is not one.
    """
    found = object_of(value, "a command")
    kind = found.get("kind")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise DocumentError(
            "unknown-command",
            f"There is no command {kind!r:.40}.",
            f"Known commands: {', '.join(_READERS)}.",
        )
    return reader(found)


def command_to_json(command: Command) -> Fields:
    """The command's fields with its ``kind`` tag."""
    return {"kind": command.kind, **_WRITERS[type(command)](command)}


def _fields(found: Fields, *required: str, optional: tuple[str, ...] = ()) -> Fields:
    return fields(found, "a command", required=("kind", *required), optional=optional)


def _names(value: object, what: str) -> tuple[str, ...]:
    return tuple(text(name, what) for name in list_of(value, what))


def _output(value: object) -> tuple[str, ...] | None:
    return None if value is None else _names(value, "output")


def _dimensions(value: object) -> tuple[tuple[str, int], ...]:
    found = object_of(value, "dimensions")
    return tuple((name, whole(size, f"dimensions.{name}")) for name, size in found.items())


def _add_tensor(found: Fields) -> AddTensor:
    parts = _fields(found, "tensor", "mark", optional=("dimensions", "at", "output"))
    place = parts.get("at")
    return AddTensor(
        tensor=codec.tensor_from_json(parts["tensor"]),
        mark=codec.mark_from_json(parts["mark"]),
        dimensions=_dimensions(parts.get("dimensions", {})),
        at=None if place is None else whole(place, "at"),
        output=_output(parts.get("output")),
    )


def _remove_tensor(found: Fields) -> RemoveTensor:
    return RemoveTensor(id=text(_fields(found, "id")["id"], "id"))


def _rename_tensor(found: Fields) -> RenameTensor:
    parts = _fields(found, "id", "name")
    return RenameTensor(id=text(parts["id"], "id"), name=text(parts["name"], "name"))


def _set_array(found: Fields) -> SetArray:
    parts = _fields(found, "id", "array")
    name = text(parts["id"], "id")
    return SetArray(id=name, array=recipe_codec.from_json(parts["array"], f"{name}.array"))


def _set_indices(found: Fields) -> SetIndices:
    parts = _fields(found, "id", "indices", optional=("dimensions", "output"))
    return SetIndices(
        id=text(parts["id"], "id"),
        indices=_names(parts["indices"], "indices"),
        dimensions=_dimensions(parts.get("dimensions", {})),
        output=_output(parts.get("output")),
    )


def _rename_index(found: Fields) -> RenameIndex:
    parts = _fields(found, "name", "to")
    return RenameIndex(name=text(parts["name"], "name"), to=text(parts["to"], "to"))


def _join_indices(found: Fields) -> JoinIndices:
    parts = _fields(found, "keep", "drop", optional=("output",))
    return JoinIndices(
        keep=text(parts["keep"], "keep"),
        drop=text(parts["drop"], "drop"),
        output=_output(parts.get("output")),
    )


def _set_dimension(found: Fields) -> SetDimension:
    parts = _fields(found, "name", "dimension")
    return SetDimension(
        name=text(parts["name"], "name"), dimension=whole(parts["dimension"], "dimension")
    )


def _set_output(found: Fields) -> SetOutput:
    return SetOutput(output=_names(_fields(found, "output")["output"], "output"))


def _move(found: Fields) -> Move:
    parts = _fields(found, optional=("positions", "anchors"))
    positions = object_of(parts.get("positions", {}), "positions")
    anchors = object_of(parts.get("anchors", {}), "anchors")
    return Move(
        positions=tuple(
            (name, position(at, f"positions.{name}")) for name, at in positions.items()
        ),
        anchors=tuple(
            (name, None if at is None else position(at, f"anchors.{name}"))
            for name, at in anchors.items()
        ),
    )


def _set_mark(found: Fields) -> SetMark:
    parts = _fields(found, "id", "shape", "colour")
    look = Mark(x=0, y=0, shape=parts["shape"], colour=parts["colour"])  # type: ignore[arg-type]  # Mark checks them
    return SetMark(id=text(parts["id"], "id"), shape=look.shape, colour=look.colour)


def _set_title(found: Fields) -> SetTitle:
    return SetTitle(title=text(_fields(found, "title")["title"], "title"))


def _set_dtype(found: Fields) -> SetDType:
    dtype = _fields(found, "dtype")["dtype"]
    check_dtype(dtype)
    return SetDType(dtype=dtype)  # type: ignore[arg-type]  # checked the line before


def _replace_document(found: Fields) -> ReplaceDocument:
    return ReplaceDocument(document=codec.from_json(_fields(found, "document")["document"]))


_READERS: dict[str, Callable[[Fields], Command]] = {
    "add-tensor": _add_tensor,
    "remove-tensor": _remove_tensor,
    "rename-tensor": _rename_tensor,
    "set-array": _set_array,
    "set-indices": _set_indices,
    "rename-index": _rename_index,
    "join-indices": _join_indices,
    "set-dimension": _set_dimension,
    "set-output": _set_output,
    "move": _move,
    "set-mark": _set_mark,
    "set-title": _set_title,
    "set-dtype": _set_dtype,
    "replace-document": _replace_document,
}


def _list_or_none(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(names)


_WRITERS: dict[type, Callable[[Any], Fields]] = {
    AddTensor: lambda command: {
        "tensor": codec.tensor_to_json(command.tensor),
        "mark": codec.mark_to_json(command.mark),
        "dimensions": dict(command.dimensions),
        "at": command.at,
        "output": _list_or_none(command.output),
    },
    RemoveTensor: lambda command: {"id": command.id},
    RenameTensor: lambda command: {"id": command.id, "name": command.name},
    SetArray: lambda command: {"id": command.id, "array": recipe_codec.to_json(command.array)},
    SetIndices: lambda command: {
        "id": command.id,
        "indices": list(command.indices),
        "dimensions": dict(command.dimensions),
        "output": _list_or_none(command.output),
    },
    RenameIndex: lambda command: {"name": command.name, "to": command.to},
    JoinIndices: lambda command: {
        "keep": command.keep,
        "drop": command.drop,
        "output": _list_or_none(command.output),
    },
    SetDimension: lambda command: {"name": command.name, "dimension": command.dimension},
    SetOutput: lambda command: {"output": list(command.output)},
    Move: lambda command: {
        "positions": {name: list(at) for name, at in command.positions},
        "anchors": {name: None if at is None else list(at) for name, at in command.anchors},
    },
    SetMark: lambda command: {"id": command.id, "shape": command.shape, "colour": command.colour},
    SetTitle: lambda command: {"title": command.title},
    SetDType: lambda command: {"dtype": command.dtype},
    ReplaceDocument: lambda command: {"document": codec.to_json(command.document)},
}
