"""How the records of a program are shared among threads. Pure.

A kernel call that is worth it becomes a *shared group*: records over parts of its batch, rows and
columns, taken by whichever thread is free. The others stay in groups that the leader replays alone,
as without threads. Cuts along rows pack the right operand once for each part, cuts along columns
the left one; the cheapest cut wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tensorloom.kernels.wasm.layout import CHECK_KEPT, RECORD_BYTES, RECORD_FIELDS
from tensorloom.kernels.wasm.records import PIECE_CYCLES
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from tensorloom.kernels.program import KernelSpec, Program
    from tensorloom.kernels.wasm.fused import FusedKernel
    from tensorloom.kernels.wasm.records import RecordSheet
    from tensorloom.kernels.wasm.schedule import Kernel

__all__ = ["FLOP_PER_THREAD", "Group", "Shares", "alone", "shared_out"]

FLOP_PER_THREAD = 1_000_000
"""Work below which one more thread costs more than it brings: about 20 us."""

_WORDS = RECORD_BYTES // 4
_COLUMN = {name: offset // 4 for name, offset in RECORD_FIELDS.items()}
_RANGES = slice(_COLUMN["batch_start"], _COLUMN["column_stop"] + 1)

_GRAINS = (12, 16)
"""Cuts through rows and columns fall on multiples of these: whole tiles of nearly every kernel."""

_PACKING = 6
"""Packing one element costs about as much as so many multiply-adds."""

_TASK = 4_000
"""Taking a record costs about as much as so many multiply-adds."""

_NEARLY = 1.03

_LINE_BYTES = 64

_PIECE_FLOP = 16 * PIECE_CYCLES
"""A part that takes longer would hold up messages."""

_CHECKED_BYTES = 1 << 18
"""Magnitudes are looked at in parts of this size: 10 us each."""


class Group(NamedTuple):
    """Records replayed in one call.

    Args:
        first: The first record.
        last: The last one, plus one.
        shared: Whether threads take them.
        done: Multiply-adds done after it, within the slice.
    """

    first: int
    last: int
    shared: bool
    done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Records of one slice as a sheet has them, and the groups they are replayed in.

    Args:
        words: Array ``(n_records, 16)``; ``slot`` one past the last kernel does nothing.
        operands: Array ``(n_records, 3)``, as in the sheet.
        out_offsets: What to add to the address of each record's result [bytes].
        dispatches: The dispatch each record belongs to.
        groups: In order.
    """

    words: NDArray[np.uint32]
    operands: NDArray[np.intp]
    out_offsets: NDArray[np.uint32]
    dispatches: tuple[int, ...]
    groups: tuple[Group, ...]


def alone(sheet: RecordSheet) -> Shares:
    """The sheet as it is, for one thread."""
    pieces = zip(sheet.pieces, sheet.done, strict=True)
    return Shares(
        words=sheet.words,
        operands=sheet.operands,
        out_offsets=np.zeros(len(sheet.words), np.uint32),
        dispatches=sheet.dispatches,
        groups=tuple(Group(*ends, shared=False, done=done) for ends, done in pieces),
    )


def shared_out(sheet: RecordSheet, program: Program, threads: int) -> Shares:
    """The records for some threads; the same as ``alone`` where none is worth sharing.

    Args:
        sheet: The records.
        program: What they are of.
        threads: How many threads there are, the leader included.
    """
    if threads == 1:
        return alone(sheet)
    rows = _Rows(nothing=len(sheet.kernels))
    for number, found in _by_dispatch(sheet.dispatches):
        kernel = program.kernels[program.dispatches[number].kernel]
        flop = kernel.mul_adds * (8 if program.dtype.startswith("complex") else 2)
        hands = min(threads, 1 + flop // FLOP_PER_THREAD)
        rows.done += kernel.mul_adds
        cuts = (1, 1, 1)
        if hands > 1:
            way = sheet.kernels[int(sheet.words[found.start, _COLUMN["slot"]])]
            spans = _spans(sheet.words[found])
            call = _Call.of(kernel, way, [stop - start for start, stop in spans])
            cuts = _cuts(call, flop, hands)
        if cuts == (1, 1, 1):
            rows.add_alone(sheet, found)
        else:
            blocks = list(product(*map(_cut, spans, cuts, call.grains)))
            size = program.buffers[program.dispatches[number].out].elements
            size *= ITEM_BYTES[program.dtype]
            at_once = _at_once(flop / len(blocks), hands)
            rows.add_shared(sheet, found, blocks, at_once=at_once, size=size)
    return rows.shares()


def _by_dispatch(dispatches: Sequence[int]) -> Iterator[tuple[int, slice]]:
    """Each dispatch with its rows of the sheet."""
    start = 0
    for row in range(1, len(dispatches) + 1):
        if row == len(dispatches) or dispatches[row] != dispatches[start]:
            yield dispatches[start], slice(start, row)
            start = row


def _spans(words: NDArray[np.uint32]) -> list[tuple[int, int]]:
    """Batch, rows and columns of a whole kernel call."""
    ranges = words[:, _RANGES].astype(int)
    return [(int(ranges[:, axis].min()), int(ranges[:, axis + 1].max())) for axis in range(0, 6, 2)]


class _Call(NamedTuple):
    """A kernel call as something to be cut.

    Args:
        sizes: Of its batch, rows and columns, in whatever the kernel counts them.
        units: Positions in each of those.
        grains: Cuts fall on multiples of these.
        depth: Summed positions.
    """

    sizes: Sequence[int]
    units: tuple[float, float, float]
    grains: tuple[int, int, int]
    depth: int

    @classmethod
    def of(cls, spec: KernelSpec, way: Kernel | FusedKernel, sizes: Sequence[int]) -> _Call:
        _, m, n, k = spec.extents
        candidate = getattr(way, "candidate", None)
        items = _items_per_line(spec)
        if candidate is None:
            return cls(sizes, (1.0, 1.0, 1.0), (items, *_GRAINS), k)
        # Kernels generated for a shape count whole tiles.
        rows, columns = (n, m) if candidate.turned else (m, n)
        units = 1.0, rows / sizes[1], columns / sizes[2]
        return cls(sizes, units, (items, 1, 1), k)

    def cost(self, cuts: Sequence[int], hands: int) -> float:
        """What the busiest thread does, in multiply-adds."""
        batch, rows, columns = (
            min(size, ceil(ceil(size / parts) / grain) * grain) * unit
            for size, parts, grain, unit in zip(
                self.sizes, cuts, self.grains, self.units, strict=True
            )
        )
        turns = ceil(cuts[0] * cuts[1] * cuts[2] / hands)
        work = batch * self.depth * (rows * columns + _PACKING * (rows + columns))
        return turns * (work + _TASK)


def _items_per_line(spec: KernelSpec) -> int:
    """Items of the batch whose results share cache lines: threads would fight for those."""
    stride = ITEM_BYTES[spec.dtype] * spec.batch[-1].out if spec.batch else _LINE_BYTES
    return max(1, _LINE_BYTES // stride)


def _cuts(call: _Call, flop: int, hands: int) -> tuple[int, int, int]:
    """Into how many parts batch, rows and columns are cut; all 1 where nothing is won."""
    least = ceil(flop / (_PIECE_FLOP * hands)) * hands
    most = max(4 * hands, least)
    options = [
        [parts for parts in range(1, most + 1) if (parts - 1) * grain < size]
        for size, grain in zip(call.sizes, call.grains, strict=True)
    ]
    costs = {
        (batch, rows, columns): call.cost((batch, rows, columns), hands)
        for batch, rows, columns in product(*options)
        if least <= batch * rows * columns <= most
    }
    if least <= hands:
        costs[1, 1, 1] = call.cost((1, 1, 1), 1)
    # Of cuts that cost nearly the same the finest: who is held up then holds up less.
    cheap = _NEARLY * min(costs.values(), default=0.0)
    near = (cuts for cuts, cost in costs.items() if cost <= cheap)
    return max(near, key=lambda cuts: cuts[0] * cuts[1] * cuts[2], default=(1, 1, 1))


def _cut(span: tuple[int, int], parts: int, grain: int) -> list[tuple[int, int]]:
    start, stop = span
    step = ceil((stop - start) / parts)
    step = ceil(step / grain) * grain
    return [(at, min(at + step, stop)) for at in range(start, stop, step)]


def _at_once(flop: float, hands: int) -> int:
    """How many parts go into one group, so that a run can breathe between groups."""
    return hands * max(1, int(2 * _PIECE_FLOP / flop))


class _Rows:
    """Rows being gathered."""

    def __init__(self, nothing: int) -> None:
        self.nothing = nothing
        self.done = 0
        self._open = False
        self._words: list[NDArray[np.uint32]] = []
        self._operands: list[NDArray[np.intp]] = []
        self._offsets: list[int] = []
        self._dispatches: list[int] = []
        self._groups: list[Group] = []

    def add_alone(self, sheet: RecordSheet, found: slice) -> None:
        """The rows as they are, in groups that are those of the sheet."""
        edges = {last for _, last in sheet.pieces}
        for row in range(found.start, found.stop):
            self._add(sheet.words[row].copy(), sheet.operands[row], 0, sheet.dispatches[row])
            self._close(shared=False, ends=row + 1 in edges)

    def add_shared(
        self,
        sheet: RecordSheet,
        found: slice,
        blocks: Sequence[tuple[tuple[int, int], ...]],
        *,
        at_once: int,
        size: int,
    ) -> None:
        """One kernel call cut into blocks, then the look at its magnitudes.

        Where all blocks are one group, kernels that keep their magnitudes have them looked at
        block by block.
        """
        model, operands = sheet.words[found.stop - 1], sheet.operands[found.start]
        number = sheet.dispatches[found.start]
        check = int(model[_COLUMN["check"]])
        kept = bool(check & CHECK_KEPT) and len(blocks) <= at_once
        for place, block in enumerate(blocks, start=1):
            words = model.copy()
            words[_RANGES] = [edge for ends in block for edge in ends]
            if not kept:
                words[_COLUMN["check"]] = words[_COLUMN["check_bytes"]] = 0
            self._add(words, operands, 0, number)
            self._close(shared=True, ends=place % at_once == 0 or place == len(blocks))
        check &= ~CHECK_KEPT
        if kept or not check:
            return
        step = _CHECKED_BYTES if size > 2 * _CHECKED_BYTES else size
        for at in range(0, size, step):
            words = np.zeros_like(model)
            words[_COLUMN["slot"]] = self.nothing
            words[_COLUMN["check"]] = check
            words[_COLUMN["check_bytes"]] = min(step, size - at)
            self._add(words, operands, at, number)
        self._close(shared=step < size, ends=True)

    def _add(
        self, words: NDArray[np.uint32], operands: NDArray[np.intp], offset: int, dispatch: int
    ) -> None:
        self._words.append(words)
        self._operands.append(operands)
        self._offsets.append(offset)
        self._dispatches.append(dispatch)

    def _close(self, *, shared: bool, ends: bool) -> None:
        """Puts rows not yet in a group into one, or into the last one if that may go on."""
        first = self._groups[-1].last if self._groups else 0
        group = Group(first, len(self._words), shared, self.done)
        if self._groups and self._open and self._groups[-1].shared == shared:
            group = group._replace(first=self._groups.pop().first)
        self._groups.append(group)
        self._open = not ends

    def shares(self) -> Shares:
        return Shares(
            words=np.array(self._words, np.uint32).reshape(-1, _WORDS),
            operands=np.array(self._operands, np.intp).reshape(-1, 3),
            out_offsets=np.array(self._offsets, np.uint32),
            dispatches=tuple(self._dispatches),
            groups=tuple(self._groups),
        )
