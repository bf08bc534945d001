"""A program as one array of records: what the driver replays. Pure; addresses come later.

Big kernels are split along batch, rows and columns into records of at most about ``PIECE_CYCLES``,
so a run can report, breathe and stop between them. Cycles are those of the schedule's model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tensorloom.kernels.wasm.fused import STATUS_BYTES
from tensorloom.kernels.wasm.layout import (
    CHECK_DOUBLE,
    CHECK_KEPT,
    CHECK_SINGLE,
    LARGEST_BYTES,
    RECORD_BYTES,
    RECORD_FIELDS,
)
from tensorloom.kernels.wasm.schedule import Kernel, Schedule, schedule
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.kernels.program import Dispatch, Program
    from tensorloom.kernels.wasm.fused import FusedKernel, Group
    from tensorloom.model.recipe import DType

__all__ = [
    "PIECE_CYCLES",
    "RecordSheet",
    "address",
    "check_of",
    "fill_table",
    "group_cycles",
    "record_sheet",
    "settled",
]

PIECE_CYCLES = 1 << 26
"""Largest piece of work between two chances to stop: about 20 ms."""

RECORD_CYCLES = 150
"""What a record costs beyond its kernel's own work."""

_BYTES_PER_CYCLE = 6
"""Memory traffic: what does not fit a cache moves at about this rate."""

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
        record_cycles: The same of each record, steps of groups included.
        fused: ``(record, first, last)`` of each fused group: its record, and those of its steps,
            which are replayed where the group left the safe range. They come after all pieces.
        table: Where in ``descriptors`` the table of fused groups starts [words]: a status, then the
            address of every buffer; ``None`` if there is none.
        once: How many pieces come first that are the same in every slice: the prologue.
    """

    words: NDArray[np.uint32]
    operands: NDArray[np.intp]
    dispatches: tuple[int, ...]
    kernels: tuple[Kernel | FusedKernel, ...]
    descriptors: NDArray[np.uint32]
    pieces: tuple[tuple[int, int], ...]
    done: tuple[int, ...]
    record_cycles: tuple[float, ...] = ()
    fused: tuple[tuple[int, int, int], ...] = ()
    table: int | None = None
    once: int = 0

    @property
    def main(self) -> int:
        """How many records a slice replays; those of the steps of groups come after."""
        return self.pieces[-1][1] if self.pieces else 0

    @property
    def cycles(self) -> float:
        """What the model expects of all records of a slice."""
        return sum(self.record_cycles[: self.main])

    @property
    def slots(self) -> list[int]:
        """The number of each record's kernel."""
        found: list[int] = self.words[:, _COLUMN["slot"]].tolist()
        return found


def record_sheet(
    program: Program,
    *,
    relaxed: bool,
    plans: Sequence[Schedule] | None = None,
    groups: Sequence[Group] = (),
) -> RecordSheet:
    """The records of a program.

    Args:
        program: What to run.
        relaxed: Whether kernels may use fused multiply-add.
        plans: How to run each kernel; by default the cheapest way.
        groups: Steps that run as one kernel, from ``fused_groups``.
    """
    if plans is None:
        plans = [_schedule(spec, relaxed=relaxed) for spec in program.kernels]
    starts: list[int] = []
    descriptors = bytearray()
    for plan in plans:
        starts.append(len(descriptors))
        descriptors += plan.descriptor
    table = None
    if groups:
        descriptors += bytes(len(descriptors) % 8)
        table = len(descriptors) // 4
        descriptors += bytes(STATUS_BYTES + 4 * len(program.buffers))
    every: list[Kernel | FusedKernel] = [
        *(plan.kernel for plan in plans),
        *(group.kernel for group in groups),
    ]
    kernels = tuple(dict.fromkeys(every))
    maker = _Maker(
        program=program, plans=plans, numbers={k: i for i, k in enumerate(kernels)}, starts=starts
    )
    records, apart, fused = maker.sheet(groups, table)
    prologue = [record for record in records if record.dispatch < program.prologue]
    pieces, done = _pieces(records, len(prologue))
    records += apart
    return RecordSheet(
        words=np.array([record.words for record in records], np.uint32).reshape(-1, _WORDS),
        operands=np.array([record.operands for record in records], np.intp).reshape(-1, 3),
        dispatches=tuple(record.dispatch for record in records),
        kernels=kernels,
        descriptors=np.frombuffer(descriptors, "<u4").astype(np.uint32),
        pieces=pieces,
        done=done,
        record_cycles=tuple(record.cycles for record in records),
        fused=fused,
        table=table,
        once=sum(last <= len(prologue) for _, last in pieces),
    )


class _Record(NamedTuple):
    """A row of the sheet and what it stands for."""

    words: list[int]
    operands: tuple[int, int, int]
    dispatch: int
    mul_adds: int
    cycles: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Makes the records of a program.

    Args:
        program: What to run.
        plans: How to run each kernel.
        numbers: Number of each kernel.
        starts: Where the descriptor of each plan starts [bytes].
    """

    program: Program
    plans: Sequence[Schedule]
    numbers: Mapping[Kernel | FusedKernel, int]
    starts: Sequence[int]

    def sheet(
        self, groups: Sequence[Group], table: int | None
    ) -> tuple[list[_Record], list[_Record], tuple[tuple[int, int, int], ...]]:
        """Records to replay, those of the steps of fused groups, and where those belong."""
        records: list[_Record] = []
        apart: list[_Record] = []
        places: list[tuple[int, int, int]] = []
        done = 0
        for group in groups:
            records += self._steps(done, group.first)
            steps = self._steps(group.first, group.last)
            places.append((len(records), len(apart), len(apart) + len(steps)))
            records.append(self._fused(group, steps, table or 0))
            apart += steps
            done = group.last
        records += self._steps(done, len(self.program.dispatches))
        after = len(records)
        return records, apart, tuple((n, after + a, after + b) for n, a, b in places)

    def _steps(self, first: int, last: int) -> list[_Record]:
        return [record for number in range(first, last) for record in self._of(number)]

    def _fused(self, group: Group, steps: Sequence[_Record], table: int) -> _Record:
        """The record of a group; its result is the status in the table, see ``address``."""
        words = [0] * _WORDS
        words[_COLUMN["slot"]] = self.numbers[group.kernel]
        words[_COLUMN["descriptor"]] = 4 * table
        words[_COLUMN["check"]] = CHECK_DOUBLE
        words[_COLUMN["check_bytes"]] = STATUS_BYTES
        mul_adds = sum(step.mul_adds for step in steps)
        cycles = group_cycles(len(steps), mul_adds)
        return _Record(words, (0, 0, 0), group.last - 1, mul_adds, cycles)

    def _of(self, number: int) -> Iterator[_Record]:
        """The records of one kernel call; the last one has its magnitudes looked at."""
        program = self.program
        dispatch = program.dispatches[number]
        plan = self.plans[dispatch.kernel]
        operands = _operands(program, dispatch, plan)
        cycles = _cycles(program, dispatch, plan)
        blocks = list(_blocks(plan.extents, cycles, plan.grain))
        share, rest = divmod(program.kernels[dispatch.kernel].mul_adds, len(blocks))
        for block in blocks:
            words = [0] * _WORDS
            words[_COLUMN["slot"]] = self.numbers[plan.kernel]
            words[_COLUMN["descriptor"]] = self.starts[dispatch.kernel]
            words[_RANGES] = block
            if plan.keeps and len(blocks) == 1:
                words[_COLUMN["check"]] = check_of(program.dtype) | CHECK_KEPT
                words[_COLUMN["check_bytes"]] = LARGEST_BYTES
            elif block is blocks[-1]:
                elements = program.buffers[dispatch.out].elements
                words[_COLUMN["check"]] = check_of(program.dtype)
                words[_COLUMN["check_bytes"]] = elements * ITEM_BYTES[program.dtype]
            # The first piece takes the rest, so that all together are the kernel exactly.
            work = share + rest * (block is blocks[0])
            yield _Record(words, operands, number, work, cycles / len(blocks))


_STEP_CYCLES = 20
"""What a step of a fused group costs beyond its products."""


def group_cycles(steps: int, mul_adds: int) -> float:
    """What a fused group of so many steps takes, with so many multiply-adds in all of them."""
    return RECORD_CYCLES + _STEP_CYCLES * steps + 1.5 * mul_adds


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
    for record, _, _ in sheet.fused:
        words[record, _COLUMN["out"]] = words[record, _COLUMN["descriptor"]]


def fill_table(
    descriptors: NDArray[np.uint32], sheet: RecordSheet, addresses: NDArray[np.uint32]
) -> None:
    """Writes the buffers' addresses into the table of fused groups, where there is one."""
    if sheet.table is not None:
        start = sheet.table + STATUS_BYTES // 4
        descriptors[start : start + len(addresses) - 1] = addresses[:-1]


def check_of(dtype: DType) -> int:
    """How the driver is told to look through arrays of a type."""
    return CHECK_SINGLE if dtype in ("float32", "complex64") else CHECK_DOUBLE


def _operands(program: Program, dispatch: Dispatch, plan: Schedule) -> tuple[int, int, int]:
    right = len(program.buffers) if dispatch.right is None else dispatch.right
    if plan.swapped:
        return right, dispatch.left, dispatch.out
    return dispatch.left, right, dispatch.out


def _cycles(program: Program, dispatch: Dispatch, plan: Schedule) -> float:
    """What a kernel call takes: its own work or its traffic, and the look at its magnitudes."""
    item = ITEM_BYTES[program.dtype]
    buffers = [dispatch.left, dispatch.out, *([] if dispatch.right is None else [dispatch.right])]
    traffic = sum(program.buffers[number].elements for number in buffers) * item
    looked = 0 if plan.keeps else program.buffers[dispatch.out].elements * item / 16
    return max(plan.cycles, traffic / _BYTES_PER_CYCLE) + looked + RECORD_CYCLES


def _blocks(extents: tuple[int, int, int], cycles: float, grain: int) -> Iterator[list[int]]:
    """Ranges ``start, stop`` of batch, rows and columns that cover a kernel piece by piece."""
    cuts = [1, 1, 1]
    wanted = ceil(cycles / PIECE_CYCLES)
    cuts[0] = min(extents[0], wanted)
    while cuts[0] * cuts[1] * cuts[2] < wanted:
        # Near-square blocks: packing is repeated for every block, its share stays least.
        axis = 1 if extents[1] // cuts[1] >= extents[2] // cuts[2] else 2
        if extents[axis] // cuts[axis] < 2 * grain:
            break
        cuts[axis] += 1
    for block in product(
        *(_cut(size, parts, grain) for size, parts in zip(extents, cuts, strict=True))
    ):
        yield [edge for ends in block for edge in ends]


def _cut(size: int, parts: int, grain: int) -> list[tuple[int, int]]:
    """Half-open ranges; inner edges fall on multiples of whole tiles where that makes sense."""
    step = -(-size // parts)
    if parts > 1 and step > grain:
        step = -(-step // grain) * grain
    return [(start, min(start + step, size)) for start in range(0, size, step)]


def _pieces(
    records: Sequence[_Record], n_once: int
) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
    """Records gathered into calls of at most ``PIECE_CYCLES``, and the work done after each.

    The first ``n_once`` share no call with the others.
    """
    pieces: list[tuple[int, int]] = []
    done: list[int] = []
    start, gathered, total = 0, 0.0, 0
    for number, record in enumerate(records):
        full = gathered + record.cycles > PIECE_CYCLES
        if number > start and (full or number == n_once):
            pieces.append((start, number))
            done.append(total)
            start, gathered = number, 0.0
        total += record.mul_adds
        gathered += record.cycles
    if records:
        pieces.append((start, len(records)))
        done.append(total)
    return tuple(pieces), tuple(done)
