"""A program as one array of records: what the driver replays. Pure; addresses come later.

Big kernels are split along batch, rows and columns into records of at most about ``PIECE_EFFORT``,
so a run can report, breathe and stop between them. *Effort* counts single-precision multiply-adds
of a matrix product; slower types and shapes weigh more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from tensorloom.kernels.wasm_layout import RECORD_BYTES, RECORD_FIELDS
from tensorloom.kernels.wasm_schedule import Kernel, Schedule, schedule
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from tensorloom.kernels.program import Dispatch, KernelSpec, Program

__all__ = ["PIECE_EFFORT", "RecordSheet", "address", "record_sheet", "settled"]

PIECE_EFFORT = 1 << 29
"""Largest piece of work between two chances to stop: 20 ms at 27e9 multiply-adds per second."""

RECORD_EFFORT = 1 << 13
"""What a record costs beyond its multiply-adds."""

_TYPE_EFFORT = {"float32": 1, "float64": 2, "complex64": 4, "complex128": 8}
_THIN_EFFORT = 8
_THIN_SIDE = 8

_WORDS = RECORD_BYTES // 4
_COLUMN = {name: offset // 4 for name, offset in RECORD_FIELDS.items()}
_OPERANDS = slice(_COLUMN["left"], _COLUMN["out"] + 1)
_RANGES = slice(_COLUMN["batch_start"], _COLUMN["column_stop"] + 1)

_schedule = lru_cache(maxsize=4096)(schedule)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSheet:
    """Records of one slice of a program, still without addresses.

    Args:
        words: Array ``(n_records, 16)`` of 32-bit words; ``slot`` holds the number of the kernel in
            ``kernels`` and ``descriptor`` an offset into ``descriptors`` [bytes].
        operands: Array ``(n_records, 3)``: buffer numbers of left, right and result; one past the
            last buffer stands for the constant 1.
        dispatches: The dispatch each record belongs to.
        kernels: Compiled kernels needed.
        descriptors: All descriptors as 32-bit words.
        pieces: Half-open ranges of records to replay in one call.
        done: Multiply-adds done after each piece, within the slice.
        effort: That of all records of a slice.
    """

    words: NDArray[np.uint32]
    operands: NDArray[np.intp]
    dispatches: tuple[int, ...]
    kernels: tuple[Kernel, ...]
    descriptors: NDArray[np.uint32]
    pieces: tuple[tuple[int, int], ...]
    done: tuple[int, ...]
    effort: int


def record_sheet(
    program: Program, *, relaxed: bool, plans: Sequence[Schedule] | None = None
) -> RecordSheet:
    """The records of a program.

    Args:
        program: What to run.
        relaxed: Whether kernels may use fused multiply-add.
        plans: How to run each kernel; by default the cheapest way.
    """
    if plans is None:
        plans = [_schedule(spec, relaxed=relaxed) for spec in program.kernels]
    starts: list[int] = []
    words: list[int] = []
    for plan in plans:
        starts.append(4 * len(words))
        words += plan.descriptor
    kernels = tuple(dict.fromkeys(plan.kernel for plan in plans))
    rows: list[list[int]] = []
    operands: list[tuple[int, int, int]] = []
    owners: list[int] = []
    mul_adds: list[int] = []
    efforts: list[int] = []
    for number, dispatch in enumerate(program.dispatches):
        spec, plan = program.kernels[dispatch.kernel], plans[dispatch.kernel]
        places = _places(program, dispatch, plan)
        effort = _effort(spec)
        blocks = list(_blocks(plan.extents, effort))
        for block in blocks:
            row = [0] * _WORDS
            row[_COLUMN["slot"]] = kernels.index(plan.kernel)
            row[_COLUMN["descriptor"]] = starts[dispatch.kernel]
            row[_RANGES] = block
            rows.append(row)
            operands.append(places)
            owners.append(number)
            mul_adds.append(spec.mul_adds // len(blocks))
            efforts.append(effort // len(blocks) + RECORD_EFFORT)
        rows[-1][_COLUMN["check"]] = 1 if program.dtype in ("float32", "complex64") else 2
        elements = program.buffers[dispatch.out].elements
        rows[-1][_COLUMN["check_bytes"]] = elements * ITEM_BYTES[program.dtype]
    pieces, done = _pieces(mul_adds, efforts)
    return RecordSheet(
        words=np.array(rows, np.uint32).reshape(len(rows), _WORDS),
        operands=np.array(operands, np.intp).reshape(len(rows), 3),
        dispatches=tuple(owners),
        kernels=kernels,
        descriptors=np.array(words, np.int64).astype(np.uint32),
        pieces=pieces,
        done=done,
        effort=sum(efforts),
    )


def settled(
    sheet: RecordSheet, slots: Sequence[int], descriptors: int, workspace: int
) -> NDArray[np.uint32]:
    """The records with all that outlives a run filled in.

    Args:
        sheet: Where the records come from.
        slots: Slot of each kernel in the driver's table.
        descriptors: Address of the descriptors.
        workspace: Address of the workspace.
    """
    words = sheet.words.copy()
    words[:, _COLUMN["slot"]] = np.asarray(slots, np.uint32)[words[:, _COLUMN["slot"]]]
    words[:, _COLUMN["descriptor"]] += np.uint32(descriptors)
    words[:, _COLUMN["workspace"]] = workspace
    return words


def address(words: NDArray[np.uint32], sheet: RecordSheet, addresses: NDArray[np.uint32]) -> None:
    """Writes the operands' addresses into records: one per buffer, and last the constant 1."""
    words[:, _OPERANDS] = addresses[sheet.operands]


def _places(program: Program, dispatch: Dispatch, plan: Schedule) -> tuple[int, int, int]:
    right = len(program.buffers) if dispatch.right is None else dispatch.right
    if plan.swapped:
        return right, dispatch.left, dispatch.out
    return dispatch.left, right, dispatch.out


def _effort(spec: KernelSpec) -> int:
    _, m, n, k = spec.extents
    thin = 1 if min(m, n, k) >= _THIN_SIDE else _THIN_EFFORT
    return spec.mul_adds * _TYPE_EFFORT[spec.dtype] * thin


def _blocks(extents: tuple[int, int, int], effort: int) -> Iterator[list[int]]:
    """Ranges ``start, stop`` of batch, rows and columns that cover a kernel piece by piece."""
    cuts = [1, 1, 1]
    wanted = -(-effort // PIECE_EFFORT)
    cuts[0] = min(extents[0], wanted)
    while cuts[0] * cuts[1] * cuts[2] < wanted:
        # Near-square blocks: packing is repeated for every block, its share stays least.
        axis = 1 if extents[1] // cuts[1] >= extents[2] // cuts[2] else 2
        if extents[axis] // cuts[axis] < 2 * _SMALLEST_CUT:
            break
        cuts[axis] += 1
    for block in product(*(_cut(size, parts) for size, parts in zip(extents, cuts, strict=True))):
        yield [edge for ends in block for edge in ends]


_SMALLEST_CUT = 48


def _cut(size: int, parts: int) -> list[tuple[int, int]]:
    """Half-open ranges; inner edges fall on multiples of whole tiles where that makes sense."""
    step = -(-size // parts)
    if parts > 1 and step > _SMALLEST_CUT:
        step = -(-step // _SMALLEST_CUT) * _SMALLEST_CUT
    return [(start, min(start + step, size)) for start in range(0, size, step)]


def _pieces(
    mul_adds: list[int], efforts: list[int]
) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
    """Records gathered into calls of at most ``PIECE_EFFORT``, and the work done after each."""
    pieces: list[tuple[int, int]] = []
    done: list[int] = []
    start = gathered = total = 0
    for number, (work, effort) in enumerate(zip(mul_adds, efforts, strict=True)):
        if gathered and gathered + effort > PIECE_EFFORT:
            pieces.append((start, number))
            done.append(total)
            start, gathered = number, 0
        total += work
        gathered += effort
    if mul_adds:
        pieces.append((start, len(mul_adds)))
        done.append(total)
    return tuple(pieces), tuple(done)
