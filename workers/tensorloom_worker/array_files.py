"""Uploaded array files: ``.npy`` and safetensors, headers checked before anything is read.

Never pickles: an object array is refused by its header. A claim of the header is compared with the
size of the file before a byte of elements is touched, and elements are mapped, not copied.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import FileFormatError, TensorloomError, Where
from tensorloom.formats.npy import HEAD_BYTES, read_header
from tensorloom.model.codec import read_json
from tensorloom.model.document import MAX_AXES
from tensorloom.model.index import MAX_DIMENSION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["ArrayFacts", "load", "npy_parts", "read_facts"]

MAX_SAFETENSORS_HEADER_BYTES = 4 * 2**20
_LENGTH_BYTES = 8

_DTYPES: dict[str, str] = {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "C64": "<c8",
    "I8": "|i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "U8": "|u1",
    "U16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
    "BOOL": "|b1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayFacts:
    """Where an array lies in its file.

    Args:
        shape: Dimensions.
        dtype: Type of its elements.
        start: Where they begin [bytes].
        is_fortran: Whether the first axis is the fastest.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    start: int
    is_fortran: bool = False


def read_facts(path: Path) -> Mapping[str | None, ArrayFacts]:
    """What a file holds: by name for safetensors, under ``None`` for ``.npy``.

    Raises:
        FileFormatError: Neither, or damaged, or with content that is not taken.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(min(size, HEAD_BYTES))
        if head.startswith(b"\x93NUMPY"):
            found = read_header(head, size)
            return {
                None: ArrayFacts(
                    shape=found.shape,
                    dtype=found.dtype,
                    start=found.start,
                    is_fortran=found.is_fortran,
                )
            }
        length = int.from_bytes(head[:_LENGTH_BYTES], "little")
        # A safetensors header is a JSON object; nothing else begins like this.
        if head[_LENGTH_BYTES : _LENGTH_BYTES + 1] != b"{":
            raise _refused("not-an-array", "This is neither a .npy nor a safetensors file.")
        if length > min(size - _LENGTH_BYTES, MAX_SAFETENSORS_HEADER_BYTES):
            raise _refused("not-an-array", "The header of this safetensors file cannot be read.")
        file.seek(_LENGTH_BYTES)
        return _safetensors(file.read(length), size)


def load(path: Path, key: str | None) -> np.ndarray[Any, Any]:
    """The array, mapped into memory and read-only.

    Args:
        path: The file.
        key: Name inside a safetensors file; ``None`` for ``.npy``.

    Raises:
        FileFormatError: As ``read_facts``, or there is no such array.
    """
    facts = find(read_facts(path), key)
    return np.memmap(
        path,
        dtype=facts.dtype,
        mode="r",
        offset=facts.start,
        shape=facts.shape,
        order="F" if facts.is_fortran else "C",
    )


def find(facts: Mapping[str | None, ArrayFacts], key: str | None) -> ArrayFacts:
    """The array of this name.

    Raises:
        FileFormatError: ``array-key``.
    """
    if key not in facts:
        held = ", ".join(repr(name)[:40] for name in list(facts)[:5] if name is not None)
        raise _refused(
            "array-key",
            f"The file holds no array called {key!r:.60}."
            if key is not None
            else "The file holds several arrays; the request names none.",
            f"It holds {held}." if held else "A .npy file is named without a key.",
        )
    return facts[key]


def npy_parts(array: np.ndarray[Any, Any]) -> tuple[bytes, memoryview]:
    """Header and elements of a ``.npy`` file, little-endian and in C order; nothing is copied."""
    plain = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(plain))
    return head.getvalue(), plain.reshape(-1).view(np.uint8).data


def _safetensors(text: bytes, size: int) -> dict[str | None, ArrayFacts]:
    try:
        header = read_json(text.rstrip(b" "))
    except TensorloomError as error:
        raise _refused("not-an-array", "The header of this safetensors file is no JSON.") from error
    if not isinstance(header, dict):
        raise _refused("not-an-array", "The header of this safetensors file is no JSON object.")
    first = _LENGTH_BYTES + len(text)
    found: dict[str | None, ArrayFacts] = {}
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        facts, end = _entry(name, entry, first)
        found[name] = facts
        spans.append((facts.start, end))
    at = first
    for start, end in sorted(spans):
        if start != at:
            raise _refused("not-an-array", "The arrays of this file overlap or leave gaps.")
        at = end
    if at != size:
        raise _refused(
            "cut-short" if at > size else "left-over",
            f"The header speaks of {at} bytes, but the file has {size}.",
            "Check that the file is complete.",
        )
    if not found:
        raise _refused("not-an-array", "This safetensors file holds no array.")
    return found


def _entry(name: str, entry: object, first: int) -> tuple[ArrayFacts, int]:
    """One array of a safetensors file, and where it ends."""
    shape = entry.get("shape") if isinstance(entry, dict) else None
    span = entry.get("data_offsets") if isinstance(entry, dict) else None
    if (
        not isinstance(entry, dict)
        or not isinstance(shape, list)
        or not isinstance(span, list)
        or len(span) != 2  # noqa: PLR2004  # begin and end
        or not all(type(item) is int and 0 <= item < 2**62 for item in [*shape, *span])
    ):
        raise _refused("not-an-array", f"The header's entry for {name!r:.60} cannot be read.")
    described = _DTYPES.get(str(entry.get("dtype")))
    if described is None:
        raise _refused(
            "unknown-dtype",
            f"Array {name!r:.60} has elements of type {str(entry.get('dtype'))[:20]!r}.",
            "Convert it to a float or complex type.",
        )
    if len(shape) > MAX_AXES:
        raise _refused(
            "too-many-axes",
            f"Array {name!r:.60} has {len(shape)} axes; the most is {MAX_AXES}.",
            "Fuse some of them.",
        )
    if any(size < 1 or size > MAX_DIMENSION for size in shape):
        raise _refused(
            "empty-array",
            f"Array {name!r:.60} has the shape {str(shape)[:60]}.",
            f"Every dimension must be from 1 to {MAX_DIMENSION}.",
        )
    dtype: np.dtype[np.generic] = np.dtype(described)
    if math.prod(shape) * dtype.itemsize != span[1] - span[0]:
        raise _refused(
            "not-an-array",
            f"Array {name!r:.60} has {span[1] - span[0]} bytes, which its shape does not fill.",
        )
    return ArrayFacts(shape=tuple(shape), dtype=dtype, start=first + span[0]), first + span[1]


def _refused(
    code: str, message: str, hint: str = "Save it with numpy.save or safetensors.numpy.save_file."
) -> FileFormatError:
    return FileFormatError(code, message, hint, Where(file="array"))
