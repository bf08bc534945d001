"""NumPy files, .npy and .npz, as stored arrays: no pickles, nothing executed, sizes bounded.

Nothing is allocated before the header's claim has been compared with the bytes that are there.
Integers, booleans and half floats become ``float64``.
"""

from __future__ import annotations

import ast
import io
import math
import re
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from tensorloom.errors import FileFormatError, Where
from tensorloom.model.document import MAX_AXES
from tensorloom.model.index import MAX_DIMENSION
from tensorloom.model.stored_array import StoredArray

if TYPE_CHECKING:
    from tensorloom.model.recipe import DType

__all__ = ["HEAD_BYTES", "MAX_FILE_BYTES", "NpyHeader", "read_header", "read_npy"]

MAX_FILE_BYTES = 512 * 1024 * 1024
"""Most bytes of arrays in one file, after inflating."""

MAX_MEMBERS = 1000
"""Most arrays in one archive."""

_MAGIC = b"\x93NUMPY"
_ZIP_MAGIC = b"PK"
_MAX_HEADER_BYTES = 10_000
_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}
"""Size of the header's length, by version of the format [bytes]."""

HEAD_BYTES = _MAX_HEADER_BYTES + 12
"""As much of a file as ``read_header`` ever looks at [bytes]."""

_WHOLE: dict[tuple[str, int], DType] = {
    (kind, size): "float64" for kind in "iu" for size in (1, 2, 4, 8)
}
_WANTED: dict[tuple[str, int], DType] = {
    **_WHOLE,
    ("b", 1): "float64",
    ("f", 2): "float64",
    ("f", 4): "float32",
    ("f", 8): "float64",
    ("c", 8): "complex64",
    ("c", 16): "complex128",
}
"""The engine's type for a file's type: (kind, bytes)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NpyHeader:
    """What a .npy file says of itself, compared with its size.

    Args:
        shape: Dimensions.
        dtype: Type of its elements, a number.
        is_fortran: Whether the first axis is the fastest.
        start: Where the elements begin [bytes].
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    is_fortran: bool
    start: int


def read_npy(data: bytes, name: str = "") -> tuple[tuple[str, StoredArray], ...]:
    """(label, array) for each array in the file; the label of a lone .npy is its file's name.

    Raises:
        FileFormatError: ``not-npy``, ``too-big``, ``object-array``, ``unknown-dtype``,
            ``cut-short``, ``left-over``, ``too-many-axes``, ``empty-array``, ``damaged-archive``.
    """
    if data.startswith(_MAGIC):
        return ((_label(name), _read_one(data, name)),)
    if data.startswith(_ZIP_MAGIC):
        return _read_archive(data, name)
    raise _refused(
        "not-npy", "This is neither a .npy nor a .npz file.", "Save it with numpy.save.", name
    )


def _read_archive(data: bytes, name: str) -> tuple[tuple[str, StoredArray], ...]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            if len(members) > MAX_MEMBERS:
                raise _refused(
                    "too-big",
                    f"The archive holds {len(members)} files; the most is {MAX_MEMBERS}.",
                    "Split it.",
                    name,
                )
            left = MAX_FILE_BYTES
            found = []
            for info in members:
                content = _inflate(archive, info, left, name)
                left -= len(content)
                if not content.startswith(_MAGIC):
                    raise _refused(
                        "not-npy",
                        f"{info.filename[:60]!r} in the archive is no .npy file.",
                        "Save the archive with numpy.savez.",
                        name,
                    )
                label = _label(info.filename)
                found.append((label, _read_one(content, f"{name}:{label}")))
            return tuple(found)
    # zipfile raises these for damaged, encrypted and unknown content, by Python version.
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise _damaged(name) from error
    except (EOFError, OSError, ValueError, UnicodeError, KeyError, IndexError) as error:
        raise _damaged(name) from error


def _inflate(archive: zipfile.ZipFile, info: zipfile.ZipInfo, left: int, name: str) -> bytes:
    """A member's bytes, no more than are allowed whatever its header claims."""
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise _damaged(name)
    with archive.open(info) as member:
        content = member.read(left + 1)
    if len(content) > left:
        raise _refused(
            "too-big",
            f"The arrays hold more than {MAX_FILE_BYTES} bytes.",
            "Open a smaller file.",
            name,
        )
    return content


def read_header(head: bytes, size: int, name: str = "") -> NpyHeader:
    """The header of a .npy file; nothing is allocated for its elements.

    Args:
        head: The file, or its first ``HEAD_BYTES``.
        size: Bytes of the whole file.
        name: Of the file, for errors.

    Raises:
        FileFormatError: As ``read_npy``, but for ``too-big``.
    """
    if not head.startswith(_MAGIC):
        raise _refused("not-npy", "This is no .npy file.", "Save it with numpy.save.", name)
    header, start = _header(head, name)
    shape, is_fortran = header["shape"], header["fortran_order"]
    stored = _stored_type(header["descr"], name)
    if not isinstance(shape, tuple) or not all(type(size) is int for size in shape):
        raise _unreadable(name)
    _check_shape(shape, name)
    needed = math.prod(shape) * stored.itemsize
    there = size - start
    if needed != there:
        raise _refused(
            "cut-short" if needed > there else "left-over",
            f"The header speaks of {needed} bytes, but {there} follow.",
            "Check that the file is complete.",
            name,
        )
    return NpyHeader(shape=shape, dtype=stored, is_fortran=bool(is_fortran), start=start)


def _read_one(data: bytes, name: str) -> StoredArray:
    """The array of one .npy file."""
    header = read_header(data, len(data), name)
    shape, stored = header.shape, header.dtype
    wanted = _WANTED[stored.kind, stored.itemsize]
    if math.prod(shape) * np.dtype(wanted).itemsize > MAX_FILE_BYTES:
        raise _refused(
            "too-big",
            f"The array has {math.prod(shape)} elements, too many for {wanted}.",
            "Open a smaller array.",
            name,
        )
    order: Literal["F", "C"] = "F" if header.is_fortran else "C"
    array = np.frombuffer(data, dtype=stored, offset=header.start).reshape(shape, order=order)
    content = np.ascontiguousarray(array, dtype=np.dtype(wanted).newbyteorder("<"))
    return StoredArray.of(dtype=wanted, shape=shape, data=content.tobytes())


def _header(data: bytes, name: str) -> tuple[dict[str, object], int]:
    """The header's three fields, and where the elements start."""
    version = data[len(_MAGIC)] if len(data) > len(_MAGIC) else 0
    if version not in _LENGTH_BYTES:
        raise _unreadable(name)
    first = len(_MAGIC) + 2
    start = first + _LENGTH_BYTES[version]
    end = start + int.from_bytes(data[first:start], "little")
    if end > len(data) or end - start > _MAX_HEADER_BYTES:
        raise _unreadable(name)
    try:
        # Python text by the format's definition; only literals are read, nothing is executed.
        found = ast.literal_eval(data[start:end].decode("utf-8").strip())
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise _unreadable(name) from error
    if not isinstance(found, dict) or set(found) != {"descr", "fortran_order", "shape"}:
        raise _unreadable(name)
    return found, end


def _stored_type(described: object, name: str) -> np.dtype[np.generic]:
    """The type that the header describes, when its elements are numbers."""
    if isinstance(described, str) and described.lstrip("|<>=").startswith("O"):
        raise _refused(
            "object-array",
            "The file holds Python objects, which are never loaded.",
            "Save an array of numbers.",
            name,
        )
    if isinstance(described, str) and re.fullmatch(r"[<>|=]?[biufc][0-9]{1,2}", described):
        try:
            found = np.dtype(described)
        except TypeError:
            found = None
        if found is not None and (found.kind, found.itemsize) in _WANTED:
            return found
    raise _refused(
        "unknown-dtype",
        f"The file holds elements of type {str(described)[:40]!r}.",
        "Convert it to a float or complex type.",
        name,
    )


def _unreadable(name: str) -> FileFormatError:
    return _refused(
        "not-npy",
        "The header of this .npy file cannot be read.",
        "Save it again with numpy.save.",
        name,
    )


def _check_shape(shape: tuple[int, ...], name: str) -> None:
    # numpy stops at 64 axes, like a tensor here; older ones stopped at 32.
    if len(shape) > min(MAX_AXES, 64):
        raise _refused(
            "too-many-axes",
            f"The array has {len(shape)} axes; the most is {MAX_AXES}.",
            "Fuse some of them.",
            name,
        )
    if any(size < 1 or size > MAX_DIMENSION for size in shape):
        raise _refused(
            "empty-array",
            f"The array has the shape {str(shape)[:60]}.",
            f"Every dimension must be from 1 to {MAX_DIMENSION}.",
            name,
        )


def _label(name: str) -> str:
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return last.removesuffix(".npy")[:64]


def _damaged(name: str) -> FileFormatError:
    return FileFormatError(
        "damaged-archive",
        "This archive is damaged, encrypted or packed in an unusual way.",
        "Save it again with numpy.savez.",
        Where(file=name or ".npz"),
    )


def _refused(code: str, message: str, hint: str, name: str) -> FileFormatError:
    return FileFormatError(code, message, hint, Where(file=name or ".npy"))
