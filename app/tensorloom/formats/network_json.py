"""Network JSON as cotengra writes it: ``{"inputs", "output", "size_dict"}``, shapes without values.

Index names may be strings or whole numbers; what a network cannot use as a name is cleaned, and
different names stay different. Values are seeded random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.errors import FileFormatError, Where
from tensorloom.formats.assembly import assemble, clean_names, tensor_names, title_from
from tensorloom.formats.opened import Opened
from tensorloom.model.codec import read_json
from tensorloom.model.document import MAX_TENSORS
from tensorloom.model.recipe import RandomArray
from tensorloom.model.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_JSON_BYTES", "is_network_json", "read"]

MAX_JSON_BYTES = 16 * 1024 * 1024
"""Longest network JSON that is read."""

_FIELDS = ("inputs", "output", "size_dict")


def is_network_json(value: object) -> bool:
    """Whether a JSON value looks like a network."""
    return isinstance(value, dict) and "inputs" in value


def read(text: str, *, name: str = "", seed: int = 0) -> Opened:
    """The network in the text.

    Raises:
        FileFormatError: ``too-big``, ``not-a-network``, ``missing-field``, ``bad-field``,
            ``unknown-index``, ``loose-output``; the message names the place, as ``inputs[3][0]``.
        DocumentError: ``not-json``.
        NetworkError: A dimension out of range, or an output that contradicts the inputs.
    """
    if len(text) > MAX_JSON_BYTES:
        raise _error(
            "too-big",
            f"The network JSON has {len(text)} characters; the most is {MAX_JSON_BYTES}.",
            "Split the network into parts.",
        )
    return from_json(read_json(text), name=name, seed=seed)


def from_json(value: object, *, name: str = "", seed: int = 0) -> Opened:
    """The network in a JSON value; see ``read``."""
    if not isinstance(value, dict):
        raise _error(
            "not-a-network",
            "This JSON is not a network.",
            'A network is {"inputs": [[...]], "output": [...], "size_dict": {...}}.',
        )
    for field in _FIELDS:
        if field not in value:
            raise _error(
                "missing-field",
                f"The field '{field}' of the network is missing.",
                'A network is {"inputs": [[...]], "output": [...], "size_dict": {...}}.',
            )
    listed = _listed(value["inputs"], "inputs")
    if len(listed) > MAX_TENSORS:
        raise _error(
            "too-big",
            f"The network has {len(listed)} inputs; the most is {MAX_TENSORS}.",
            "Split the network into parts.",
        )
    inputs = [_names(indices, f"inputs[{place}]") for place, indices in enumerate(listed)]
    output = _names(value["output"], "output")
    new = clean_names(name for indices in inputs for name in indices)
    sizes = _sizes(value["size_dict"], new)
    for place, indices in enumerate(inputs):
        for index in indices:
            if new[index] not in sizes:
                raise _error(
                    "unknown-index",
                    f"Index {index[:40]!r} of inputs[{place}] is not in size_dict.",
                    "Give its dimension in size_dict.",
                    (new[index],),
                )
    tensors = [
        Tensor(
            id=f"t{place}",
            name=label,
            indices=tuple(new[index] for index in indices),
            array=RandomArray(seed=seed + place),
        )
        for place, (indices, label) in enumerate(
            zip(inputs, tensor_names(len(inputs)), strict=True), 1
        )
    ]
    for index in output:
        if index not in new:
            raise _error(
                "loose-output",
                f"Output index {index[:40]!r} is on no input.",
                "Put it on an input, or take it out of the output.",
            )
    return Opened(
        document=assemble(tensors, sizes, [new[index] for index in output], title=title_from(name))
    )


def _names(value: object, place: str) -> list[str]:
    """The index names of a list; whole numbers by their digits, as ``size_dict`` has them."""
    found: list[str] = []
    for position, item in enumerate(_listed(value, place)):
        if not isinstance(item, str) and type(item) is not int:
            raise _refused(item, f"{place}[{position}]", "an index name")
        found.append(str(item))
    return found


def _sizes(value: object, new: Mapping[str, str]) -> dict[str, int]:
    if not isinstance(value, dict):
        raise _refused(value, "size_dict", "an object")
    sizes: dict[str, int] = {}
    for index, size in value.items():
        if type(size) is not int:
            raise _refused(size, f"size_dict[{index[:40]!r}]", "a whole number")
        if index in new:
            sizes[new[index]] = size
    return sizes


def _listed(value: object, place: str) -> list[object]:
    if not isinstance(value, list):
        raise _refused(value, place, "a list")
    return value


def _refused(value: object, place: str, wanted: str) -> FileFormatError:
    shown = f"{value!r:.40}"
    return _error("bad-field", f"{place} is {shown}, not {wanted}.", f"Give {wanted}.")


def _error(code: str, message: str, hint: str, indices: tuple[str, ...] = ()) -> FileFormatError:
    return FileFormatError(code, message, hint, Where(file="network JSON", indices=indices))
