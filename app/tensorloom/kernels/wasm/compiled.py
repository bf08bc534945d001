"""A program compiled for WASM: all that a replay needs, without Python. And its file.

The page's own runtime (``workers/browser/engine``) reads what ``encode`` writes: eight bytes of
magic, length and SHA-256 of what follows, a JSON head, then the parts the head speaks of. A file
may hold several programs (the same network with and without fused multiply-add) and whatever else
belongs to it, such as the values of its inputs.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import DocumentError
from tensorloom.kernels.arena import place_buffers
from tensorloom.kernels.slices import result_axes
from tensorloom.kernels.wasm.driver import driver_module
from tensorloom.kernels.wasm.layout import WORKSPACE_BYTES
from tensorloom.kernels.wasm.modules import module_for
from tensorloom.kernels.wasm.records import check_of, record_sheet
from tensorloom.kernels.wasm.shares import shared_out
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm.element import WasmFeatures
    from tensorloom.kernels.wasm.fused import FusedKernel, Group
    from tensorloom.kernels.wasm.schedule import Kernel, Schedule
    from tensorloom.model.recipe import DType

__all__ = ["VERSION", "Compiled", "CompiledFile", "compiled", "decode", "encode"]

VERSION = 1

_MAGIC = b"TLPROG\r\n"
_HEAD = struct.Struct("<8sQ32sI")
_ALIGNMENT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """Everything needed to replay a program on WASM.

    Args:
        dtype: Element type throughout.
        shape: Of the full result.
        relaxed_simd: Whether its kernels use fused multiply-add.
        threads: For how many threads its records are shared out.
        modules: Name and bytes of each kernel, by number.
        driver: The driver's bytes.
        words: Records, sixteen 32-bit words each, as bytes; see ``kernels.wasm.records``.
        operands: Buffer numbers of each record, three 32-bit words, as bytes.
        out_offsets: What to add to the address of each record's result, 32-bit words [bytes].
        dispatches: Number of the dispatch of each record, 32-bit words.
        descriptors: Descriptors of all kernels, as bytes.
        groups: ``(first, last, shared, done)``; see ``kernels.wasm.shares.Group``.
        outs: Buffer that each dispatch writes.
        elements: Size of every buffer [elements].
        inputs: How many of them are inputs; they come first.
        offsets: Where each intermediate lies in the arena [bytes].
        arena_bytes: Size of the arena.
        workspace_bytes: Scratch memory that kernels want.
        result: Buffer of one slice's result.
        result_axes: ``(size, stride)`` of the axes that one slice's result has in the full one.
        slices: ``(size, ((buffer, stride), ...), output stride or None)`` of each sliced index.
        check: How the driver looks through arrays of this type.
        mul_adds: Multiply-adds over all slices.
        fused: ``(record, first, last)`` of each fused group; see ``RecordSheet``.
        table: Where in ``descriptors`` their table starts [words]; ``None`` if there is none.
        once: How many groups come first that are the same in every slice.
    """

    dtype: DType
    shape: tuple[int, ...]
    relaxed_simd: bool
    threads: int
    modules: tuple[tuple[str, bytes], ...]
    driver: bytes
    words: bytes
    operands: bytes
    out_offsets: bytes
    dispatches: bytes
    descriptors: bytes
    groups: tuple[tuple[int, int, bool, int], ...]
    outs: tuple[int, ...]
    elements: tuple[int, ...]
    inputs: int
    offsets: tuple[int, ...]
    arena_bytes: int
    workspace_bytes: int
    result: int
    result_axes: tuple[tuple[int, int], ...]
    slices: tuple[tuple[int, tuple[tuple[int, int], ...], int | None], ...]
    check: int
    mul_adds: int
    fused: tuple[tuple[int, int, int], ...] = ()
    table: int | None = None
    once: int = 0

    def slices_done(self, done: int) -> int:
        """How many slices are added up after so many multiply-adds of a run."""
        first = self.groups[self.once - 1][3] if self.once else 0
        return max(0, done - first) // (self.groups[-1][3] - first)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledFile:
    """What a file holds.

    Args:
        programs: Compiled programs.
        about: Any JSON object.
        parts: Bytes by name.
    """

    programs: tuple[Compiled, ...]
    about: Mapping[str, Any]
    parts: Mapping[str, bytes]


def compiled(
    program: Program,
    features: WasmFeatures,
    plans: Sequence[Schedule] | None = None,
    *,
    threads: int = 1,
    groups: Sequence[Group] = (),
    module_of: Callable[[Kernel | FusedKernel, WasmFeatures], bytes] = module_for,
) -> Compiled:
    """The program for an engine; what it keeps stays in the arena after a run.

    Args:
        program: With at least one dispatch.
        features: What the engine can do.
        plans: How to run each kernel; by default the cheapest way.
        threads: For how many threads; their engine has shared memory.
        groups: Small steps that run as one kernel, proven by who gives them. For one thread.
        module_of: Where a kernel's bytes come from; callers may keep them.

    Raises:
        UnsupportedKernel: The engine has no SIMD.
    """
    assert not groups or threads == 1
    sheet = record_sheet(program, relaxed=features.relaxed_simd, plans=plans, groups=groups)
    shares = shared_out(sheet, program, threads)
    offsets, arena_bytes = place_buffers(program)
    return Compiled(
        dtype=program.dtype,
        shape=program.shape,
        relaxed_simd=features.relaxed_simd,
        threads=threads,
        modules=tuple((kernel.name, module_of(kernel, features)) for kernel in sheet.kernels),
        driver=driver_module(team=threads > 1),
        words=_words(shares.words),
        operands=_words(shares.operands),
        out_offsets=_words(shares.out_offsets),
        dispatches=_words(np.array(shares.dispatches)),
        descriptors=_words(sheet.descriptors),
        groups=tuple((*group,) for group in shares.groups),
        outs=tuple(dispatch.out for dispatch in program.dispatches),
        elements=tuple(buffer.elements for buffer in program.buffers),
        inputs=sum(buffer.source is not None for buffer in program.buffers),
        offsets=offsets,
        arena_bytes=arena_bytes,
        workspace_bytes=WORKSPACE_BYTES,
        result=program.result,
        result_axes=result_axes(program),
        slices=tuple((axis.size, axis.inputs, axis.output) for axis in program.slices),
        check=check_of(program.dtype),
        mul_adds=program.mul_adds,
        fused=sheet.fused,
        table=sheet.table,
        once=sum(shares.dispatches[group.first] < program.prologue for group in shares.groups),
    )


def _words(numbers: np.ndarray[Any, Any]) -> bytes:
    return numbers.astype("<u4").tobytes()


def encode(
    programs: Sequence[Compiled],
    about: Mapping[str, Any] | None = None,
    parts: Mapping[str, bytes] | None = None,
) -> bytes:
    """The file's bytes.

    Args:
        programs: Compiled programs.
        about: Any JSON object.
        parts: More bytes, by name.
    """
    blobs = _Blobs()
    head = {
        "tensorloomProgram": VERSION,
        "programs": [_program_head(program, blobs) for program in programs],
        "about": dict(about or {}),
        "parts": {name: blobs.add(data) for name, data in (parts or {}).items()},
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 4 + _HEAD.size - 4) % _ALIGNMENT)
    content = struct.pack("<I", len(text)) + text + bytes(blobs.data)
    digest = hashlib.sha256(content).digest()
    return _HEAD.pack(_MAGIC, len(content), digest, len(text)) + content[4:]


def _program_head(program: Compiled, blobs: _Blobs) -> dict[str, Any]:
    head: dict[str, Any] = {}
    for field in fields(program):
        value = getattr(program, field.name)
        head[_camel(field.name)] = blobs.add(value) if isinstance(value, bytes) else value
    head["modules"] = [[name, blobs.add(data)] for name, data in program.modules]
    head["itemBytes"] = ITEM_BYTES[program.dtype]
    return head


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


class _Blobs:
    """Parts of a file, each content once, each on a boundary of 16 bytes."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._known: dict[bytes, tuple[int, int]] = {}

    def add(self, data: bytes) -> tuple[int, int]:
        """Where the bytes start and how many there are."""
        if data not in self._known:
            self._known[data] = len(self.data), len(data)
            self.data += data
            self.data += bytes(-len(self.data) % _ALIGNMENT)
        return self._known[data]


def decode(data: bytes) -> CompiledFile:
    """What a file holds.

    Raises:
        DocumentError: ``compiled-corrupt`` or ``compiled-newer``.
    """
    if len(data) < _HEAD.size or data[:8] != _MAGIC:
        raise _corrupt("It does not begin as compiled networks do.")
    _, length, digest, head_length = _HEAD.unpack_from(data)
    content = data[_HEAD.size - 4 :]
    if len(content) != length:
        raise _corrupt(f"It has {len(content)} bytes where {length} belong.")
    if hashlib.sha256(content).digest() != digest:
        raise _corrupt("Its bytes do not belong together.")
    head = json.loads(content[4 : 4 + head_length])
    if head["tensorloomProgram"] > VERSION:
        raise DocumentError(
            "compiled-newer",
            f"This compiled network has version {head['tensorloomProgram']}; "
            f"this Tensorloom reads up to {VERSION}.",
            "Use a newer Tensorloom, or export the network again.",
            values={"version": head["tensorloomProgram"], "known": VERSION},
        )
    blobs = content[4 + head_length :]

    def part(place: Sequence[int]) -> bytes:
        return blobs[place[0] : place[0] + place[1]]

    return CompiledFile(
        programs=tuple(_program(found, part) for found in head["programs"]),
        about=head["about"],
        parts={name: part(place) for name, place in head["parts"].items()},
    )


_BYTES = {"driver", "words", "operands", "out_offsets", "dispatches", "descriptors"}


def _program(head: dict[str, Any], part: Callable[[Sequence[int]], bytes]) -> Compiled:
    values: dict[str, Any] = {}
    for field in fields(Compiled):
        if _camel(field.name) not in head:
            continue  # Older files lack the last ones.
        value = head[_camel(field.name)]
        values[field.name] = part(value) if field.name in _BYTES else _tuples(value)
    values["modules"] = tuple((name, part(place)) for name, place in head["modules"])
    return Compiled(**values)


def _tuples(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _corrupt(why: str) -> DocumentError:
    return DocumentError(
        "compiled-corrupt",
        f"This is no whole compiled network. {why}",
        "Fetch it again, or export the network again.",
    )
