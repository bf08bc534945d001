"""Documents as JSON and as links, both ways; strict, bounded, with every refusal explained.

A link is canonical JSON -> raw deflate -> base64url. Nothing read here is ever executed; unknown
fields, newer versions, NaN, deep nesting and inflating bombs are refused with a ``DocumentError``.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib

from tensorloom.errors import DocumentError
from tensorloom.model import recipe_codec
from tensorloom.model.diagram import Diagram, Mark
from tensorloom.model.document import Document
from tensorloom.model.index import Index
from tensorloom.model.network import Network
from tensorloom.model.reading import (
    fields,
    list_of,
    object_of,
    position,
    text,
    whole,
)
from tensorloom.model.tensor import Tensor

__all__ = [
    "MAX_DOCUMENT_BYTES",
    "VERSION",
    "canonical_text",
    "decode_link",
    "dimensions_from_json",
    "encode_link",
    "from_json",
    "from_text",
    "mark_from_json",
    "mark_to_json",
    "read_json",
    "tensor_from_json",
    "tensor_to_json",
    "to_json",
]

VERSION = 1
MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
"""Most bytes of JSON a link or a file may hold."""

MAX_DEPTH = 12
"""Deepest nesting of JSON that is read; a document needs 5."""


def to_json(document: Document) -> dict[str, object]:
    """The JSON object of ``docs/architecture.md``, dimensions in order of first appearance."""
    network, diagram = document.network, document.diagram
    return {
        "tensorloom": VERSION,
        "title": document.title,
        "dtype": document.dtype,
        "tensors": [tensor_to_json(tensor) for tensor in network.tensors],
        "dimensions": {index.name: index.dimension for index in network.indices},
        "output": list(network.output),
        "marks": {tensor.id: mark_to_json(diagram.marks[tensor.id]) for tensor in network.tensors},
        "anchors": {name: list(place) for name, place in diagram.anchors.items()},
    }


def from_json(value: object) -> Document:
    """The document that a JSON object describes.

    Raises:
        DocumentError: ``newer-version``, ``not-a-document``, ``unknown-field``, ``missing-field``
            or ``bad-field``, with the field's path in ``values``.
        NetworkError: The network contradicts itself.
    """
    found = object_of(value, "the document")
    version = found.get("tensorloom")
    if type(version) is not int or version < 1:
        raise DocumentError(
            "not-a-document",
            "This JSON is not a Tensorloom document.",
            'A document starts with {"tensorloom": 1, ...}.',
        )
    if version > VERSION:
        raise DocumentError(
            "newer-version",
            f"This document has version {version}; this Tensorloom reads up to {VERSION}.",
            "Open it with a newer Tensorloom.",
            values={"version": version, "newest": VERSION},
        )
    parts = fields(
        found,
        "the document",
        required=("tensors", "dimensions", "output", "marks"),
        optional=("tensorloom", "title", "dtype", "anchors"),
    )
    network = Network(
        tensors=tuple(tensor_from_json(item) for item in list_of(parts["tensors"], "tensors")),
        indices=dimensions_from_json(parts["dimensions"]),
        output=tuple(text(name, "output") for name in list_of(parts["output"], "output")),
    )
    marks = object_of(parts["marks"], "marks")
    anchors = object_of(parts.get("anchors", {}), "anchors")
    diagram = Diagram(
        marks={name: mark_from_json(mark) for name, mark in marks.items()},
        anchors={name: position(place, f"anchors.{name}") for name, place in anchors.items()},
    )
    return Document(
        title=text(parts.get("title", "Untitled"), "title"),
        dtype=parts.get("dtype", "float64"),  # type: ignore[arg-type]  # Document checks it
        network=_in_order(network),
        diagram=diagram,
    )


def _in_order(network: Network) -> Network:
    """The same network with its indices in order of first appearance."""
    order = dict.fromkeys(name for tensor in network.tensors for name in tensor.indices)
    if tuple(order) == tuple(index.name for index in network.indices):
        return network
    by_name = {index.name: index for index in network.indices}
    return Network(
        tensors=network.tensors,
        indices=tuple(by_name[name] for name in order),
        output=network.output,
    )


def dimensions_from_json(value: object) -> tuple[Index, ...]:
    """Indices from an object ``{name: dimension}``, in its order."""
    found = object_of(value, "dimensions")
    return tuple(
        Index(name=name, dimension=whole(size, f"dimensions.{name}"))
        for name, size in found.items()
    )


def tensor_to_json(tensor: Tensor) -> dict[str, object]:
    """``{"id", "name", "indices", "array"}``."""
    return {
        "id": tensor.id,
        "name": tensor.name,
        "indices": list(tensor.indices),
        "array": recipe_codec.to_json(tensor.array),
    }


def tensor_from_json(value: object) -> Tensor:
    """The tensor that ``{"id", "name", "indices", "array"}`` describes."""
    parts = fields(
        object_of(value, "a tensor"), "a tensor", required=("id", "name", "indices", "array")
    )
    name = text(parts["id"], "a tensor's id")
    return Tensor(
        id=name,
        name=text(parts["name"], f"{name}.name"),
        indices=tuple(
            text(index, f"{name}.indices") for index in list_of(parts["indices"], f"{name}.indices")
        ),
        array=recipe_codec.from_json(parts["array"], f"{name}.array"),
    )


def mark_to_json(mark: Mark) -> dict[str, object]:
    """``{"x", "y", "shape", "colour"}``."""
    return {"x": mark.x, "y": mark.y, "shape": mark.shape, "colour": mark.colour}


def mark_from_json(value: object) -> Mark:
    """The mark that ``{"x", "y", "shape", "colour"}`` describes."""
    parts = fields(
        object_of(value, "a mark"), "a mark", required=("x", "y"), optional=("shape", "colour")
    )
    x, y = position([parts["x"], parts["y"]], "a mark")
    shape, colour = parts.get("shape", "circle"), parts.get("colour", "blue")
    return Mark(x=x, y=y, shape=shape, colour=colour)  # type: ignore[arg-type]  # Mark checks them


def canonical_text(document: Document) -> str:
    """JSON with sorted keys and no blanks; dimensions keep their order in the tensors anyway."""
    return json.dumps(
        to_json(document),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


def from_text(source: str | bytes) -> Document:
    """The document in JSON text.

    Raises:
        DocumentError: ``too-big``, ``not-json`` or what ``from_json`` raises.
    """
    if len(source) > MAX_DOCUMENT_BYTES:
        raise _too_big(len(source))
    return from_json(read_json(source))


def read_json(source: str | bytes) -> object:
    """The JSON value in a text, with NaN, Infinity, repeated keys and deep nesting refused.

    Raises:
        DocumentError: ``not-json``.
    """
    try:
        value = json.loads(source, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError, UnicodeDecodeError) as error:
        line = getattr(error, "lineno", None)
        place = (
            f" (line {line}, column {error.colno})"
            if isinstance(error, json.JSONDecodeError)
            else ""
        )
        raise DocumentError(
            "not-json", f"This is not readable JSON{place}.", "Check that the text is complete."
        ) from error
    _check_depth(value)
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise DocumentError(
        "not-json", f"This JSON nests deeper than {MAX_DEPTH} levels.", "A document needs five."
    )


def encode_link(document: Document) -> str:
    """The document as the fragment of a share link, without the leading ``#``."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = squeeze.compress(canonical_text(document).encode()) + squeeze.flush()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode_link(link: str) -> Document:
    """The document in the fragment of a share link.

    Raises:
        DocumentError: ``bad-link``, ``too-big`` or what ``from_json`` raises.
    """
    try:
        packed = base64.b64decode(
            link.encode("ascii") + b"=" * (-len(link) % 4), altchars=b"-_", validate=True
        )
        inflate = zlib.decompressobj(-15)
        plain = inflate.decompress(packed, MAX_DOCUMENT_BYTES + 1)
    except (ValueError, binascii.Error, zlib.error) as error:
        raise _bad_link() from error
    if len(plain) > MAX_DOCUMENT_BYTES:
        raise _too_big(len(plain))
    if not inflate.eof or inflate.unused_data:
        raise _bad_link()
    return from_text(plain)


def _bad_link() -> DocumentError:
    return DocumentError(
        "bad-link",
        "This link is damaged or was cut short.",
        "Copy it again as a whole, from the first character after # to the last.",
    )


def _too_big(size: int) -> DocumentError:
    return DocumentError(
        "too-big",
        f"The document has at least {size} bytes; the most is {MAX_DOCUMENT_BYTES}.",
        "Keep large arrays in files beside it.",
        values={"size": size, "most": MAX_DOCUMENT_BYTES},
    )
