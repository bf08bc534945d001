"""The module of a generated kernel: its loops over batch, blocks and tiles.

    for batch, block of columns, block of depth:      pack right, if the family does
        for block of rows:                            pack left, likewise
            for tile of one side:                     sweep the tiles of the other

A record's ranges count items of the batch and tiles, not rows and columns.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from tensorloom.kernels.wasm.assembler import Module, apply, i32, load, select, v128
from tensorloom.kernels.wasm.jit_pack import define_pack, joined_levels, panel_levels
from tensorloom.kernels.wasm.jit_shape import shape_of
from tensorloom.kernels.wasm.jit_tile import ENTRY_BYTES, Plan, define_sweep
from tensorloom.kernels.wasm.layout import RECORD_FIELDS, WORKSPACE, WORKSPACE_BYTES
from tensorloom.kernels.wasm.tables import smaller

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorloom.kernels.program import KernelSpec
    from tensorloom.kernels.wasm.assembler import Expression, Local
    from tensorloom.kernels.wasm.element import Element
    from tensorloom.kernels.wasm.jit_candidate import Candidate
    from tensorloom.kernels.wasm.jit_shape import Level, Shape

__all__ = ["BATCH_BYTES", "BLOCK_BYTES", "columns_inner", "jit_module", "packs", "tables"]

BATCH_BYTES, BLOCK_BYTES = 12, 12
"""Rows of the tables of items (left, right, result) and of blocks (left, right, steps)."""

_SHALLOW = 64
"""Depth up to which sweeps go along columns: the result, then most of what moves, in order."""

_ROW_BLOCK_BYTES = 96 << 10
_STREAM_BYTES = 16 << 10
_ROOM = (
    WORKSPACE["panel_right"] - WORKSPACE["panel_left"],
    WORKSPACE_BYTES - WORKSPACE["panel_right"],
)
"""Bytes for panels in the workspace."""


def packs(candidate: Candidate) -> tuple[bool, bool]:
    """Whether the family packs left and right."""
    return candidate.family == "packed", candidate.family in ("packed", "right")


def columns_inner(candidate: Candidate, shape: Shape) -> bool:
    """Whether sweeps go along columns."""
    return candidate.family == "stream" or shape.depth <= _SHALLOW


def tables(shape: Shape) -> bytes:
    """The descriptor of a kernel: one table after the other."""
    parts = (shape.item_table, shape.blocks.table, shape.rows.table, shape.columns.table)
    return np.concatenate([table.ravel() for table in parts]).astype("<u4").tobytes()


def _starts(shape: Shape) -> tuple[int, int, int]:
    """Where the tables of blocks, rows and columns start [bytes]."""
    blocks = BATCH_BYTES * shape.items
    rows = blocks + BLOCK_BYTES * shape.blocks.count
    return blocks, rows, rows + ENTRY_BYTES * shape.rows.starts[-1]


def jit_module(spec: KernelSpec, candidate: Candidate, element: Element) -> bytes:
    """A module exporting ``kernel(record)`` for one spec, already turned."""
    return _Writer(shape_of(spec, candidate), candidate, element).module.encode()


class _Side:
    """One side of the product: its tiles, and the functions that pack them."""

    def __init__(self, writer: _Writer, number: int) -> None:
        shape, element = writer.shape, writer.element
        self.cut = shape.columns if number else shape.rows
        self.packed = writer.packed[number]
        self.panel = WORKSPACE["panel_right" if number else "panel_left"]
        sizes = [len(kind.operand) * element.bytes for kind in self.cut.kinds]
        # Columns are read by whole vectors, rows one by one.
        self.widths = [-(-size // 16) * 16 if number else size for size in sizes]
        self.packers = [
            define_pack(
                writer.module,
                element,
                kind.operand,
                joined_levels(panel_levels(shape.levels, 1 + number, width), known=writer.known),
                known=writer.known,
            )
            for kind, width in zip(self.cut.kinds, self.widths, strict=True)
            if self.packed
        ]
        self.block = block_tiles(number, shape, max(self.widths), writer.candidate)

    def levels(self, shape: Shape, kind: int, number: int) -> list[tuple[int, int]]:
        """Steps and strides of the loops over summed positions as this side is read."""
        if self.packed:
            made = panel_levels(shape.levels, 1 + number, self.widths[kind])
            return [(level[0], level[2]) for level in made]
        return [(level[0], level[1 + number]) for level in shape.levels]


def block_tiles(number: int, shape: Shape, width: int, candidate: Candidate) -> int:
    """Tiles of rows (0) or columns (1) per block."""
    if packs(candidate)[number]:
        room = _ROOM[number] if number else _ROW_BLOCK_BYTES
        return max(1, room // (width * shape.depth))
    if candidate.family == "stream" and number:
        return max(1, _STREAM_BYTES // (width * shape.rows.lanes))
    return 1 << 30


class _Writer:
    """Writes the module of one kernel."""

    def __init__(self, shape: Shape, candidate: Candidate, element: Element) -> None:
        self.shape, self.candidate, self.element = shape, candidate, element
        self.module = Module()
        self.packed = packs(candidate)
        self.known = shape.steps is not None
        self.inner = 1 if columns_inner(candidate, shape) else 0
        self.sides = [_Side(self, number) for number in (0, 1)]
        plan = Plan(
            element=element,
            known=self.known,
            packed=self.packed,
            inner_rows=self.inner == 0,
            adds=shape.blocks.count > 1,
            dots=candidate.family == "dot",
        )
        self.sweeps = [
            [
                define_sweep(self.module, plan, row, column, self._levels(i, j))
                for j, column in enumerate(shape.columns.kinds)
            ]
            for i, row in enumerate(shape.rows.kinds)
        ]
        self.kernel = self.module.function("kernel", ("i32",))
        self._write()

    def _levels(self, row: int, column: int) -> tuple[Level, ...]:
        left = self.sides[0].levels(self.shape, row, 0)
        right = self.sides[1].levels(self.shape, column, 1)
        both = [(a[0], a[1], b[1]) for a, b in zip(left, right, strict=True)]
        return joined_levels(both, known=self.known)

    def _word(self, name: str) -> Local:
        record = self.kernel.parameters[0]
        return self.kernel.variable(load("i32.load", record, RECORD_FIELDS[name]))

    def _write(self) -> None:
        kernel, shape = self.kernel, self.shape
        operands = [self._word(name) for name in ("left", "right", "out")]
        descriptor, self.workspace = self._word("descriptor"), self._word("workspace")
        blocks, *sides = _starts(shape)
        self.tables = [kernel.variable(descriptor + start) for start in sides]
        batch = kernel.variable(descriptor + self._word("batch_start") * BATCH_BYTES)
        items = kernel.variable(descriptor + self._word("batch_stop") * BATCH_BYTES)
        ranges = [
            (self._word(f"{name}_start"), self._word(f"{name}_stop")) for name in ("row", "column")
        ]
        block, self.steps = kernel.local("i32"), kernel.local("i32")
        first = kernel.variable(descriptor + blocks)
        at = [kernel.local("i32") for _ in range(3)]
        self.adds = kernel.local("i32")
        if shape.blocks.count == 1:
            nothing = v128(bytes(16))
            kernel.store("v128.store", self.workspace, nothing, WORKSPACE["largest"])
        with kernel.counting(batch, items, BATCH_BYTES):
            kernel.set(at[2], operands[2] + load("i32.load", batch, 8))
            with self._blocks(1, *ranges[1]) as columns:
                kernel.set(block, first)
                with kernel.counting(block, first + BLOCK_BYTES * shape.blocks.count, BLOCK_BYTES):
                    for side in (0, 1):
                        offset = load("i32.load", batch, 4 * side)
                        start = operands[side] + offset + load("i32.load", block, 4 * side)
                        kernel.set(at[side], start)
                    kernel.set(self.steps, load("i32.load", block, 8))
                    kernel.set(self.adds, block.differs(first))
                    self._pack(1, at[1], columns)
                    with self._blocks(0, *ranges[0]) as rows:
                        self._pack(0, at[0], rows)
                        self._multiply(at, (rows, columns))

    @contextmanager
    def _blocks(self, side: int, start: Local, stop: Local) -> Iterator[tuple[Local, Local]]:
        """Code for each block of tiles of a range: its first and last-plus-one tile."""
        kernel, tiles = self.kernel, self.sides[side].block
        if tiles >= self.sides[side].cut.starts[-1]:
            yield start, stop
            return
        at, end = kernel.variable(start), kernel.local("i32")
        kernel.set(at, start)
        with kernel.counting(at, stop, tiles):
            kernel.set(end, smaller(at + tiles, stop))
            yield at, end

    @contextmanager
    def _kind(
        self, side: int, kind: int, tiles: tuple[Local, Local]
    ) -> Iterator[tuple[Local, Local]]:
        """Code for the tiles of one kind in a block: addresses of their entries in the table."""
        kernel, starts = self.kernel, self.sides[side].cut.starts
        first, last = kernel.local("i32"), kernel.local("i32")
        table = self.tables[side]
        low, high = tiles
        if len(starts) == 2:  # noqa: PLR2004 - one kind: its start and its end
            kernel.set(first, table + low * ENTRY_BYTES)
            kernel.set(last, table + high * ENTRY_BYTES)
        else:
            least, most = i32(starts[kind]), i32(starts[kind + 1])
            kernel.set(first, table + select(low > least, low, least) * ENTRY_BYTES)
            kernel.set(last, table + smaller(high, most) * ENTRY_BYTES)
        with kernel.when(first < last):
            yield first, last

    def _pack(self, number: int, operand: Local, tiles: tuple[Local, Local]) -> None:
        """Packs a block of one side, if the family does."""
        side, kernel = self.sides[number], self.kernel
        if not side.packed:
            return
        panel = kernel.variable(self.workspace + side.panel)
        kernel.set(panel, self.workspace + side.panel)
        for kind, packer in enumerate(side.packers):
            with self._kind(number, kind, tiles) as (entry, last), kernel.loop() as again:
                kernel.call(packer, operand + load("i32.load", entry), panel, self.steps)
                kernel.set(panel, panel + self._panel_bytes(side.widths[kind]))
                kernel.set(entry, entry + ENTRY_BYTES)
                kernel.branch(again, entry < last)

    def _panel_bytes(self, width: int) -> Expression:
        """Bytes of a whole panel of the block at hand."""
        each = width * self.shape.inner
        known = self.shape.steps
        return i32(each * known) if known is not None else self.steps * each

    def _multiply(self, at: list[Local], blocks: tuple[tuple[Local, Local], ...]) -> None:
        """Sweeps along one side for every tile of the other."""
        kernel, inner, outer = self.kernel, self.inner, 1 - self.inner
        side, other = self.sides[inner], self.sides[outer]
        place = [kernel.local("i32"), kernel.local("i32")]
        out, start = kernel.local("i32"), kernel.local("i32")
        if other.packed:
            kernel.set(place[outer], self.workspace + other.panel)
        for kind in range(len(other.cut.kinds)):
            with self._kind(outer, kind, blocks[outer]) as (entry, last), kernel.loop() as again:
                if not other.packed:
                    kernel.set(place[outer], at[outer] + load("i32.load", entry))
                kernel.set(out, at[2] + load("i32.load", entry, 4))
                kernel.set(start, self.workspace + side.panel if side.packed else at[inner])
                for along in range(len(side.cut.kinds)):
                    kinds = (kind, along) if inner else (along, kind)
                    with self._kind(inner, along, blocks[inner]) as (first, end):
                        kernel.set(place[inner], start)
                        sweep = self.sweeps[kinds[0]][kinds[1]]
                        span = out, first, end
                        kernel.call(sweep, *place, *span, self.adds, self.steps, self.workspace)
                        if side.packed and along + 1 < len(side.cut.kinds):
                            count = apply("i32.shr_u", end - first, i32(3))
                            size = self._panel_bytes(side.widths[along])
                            kernel.set(start, start + count * size)
                if other.packed:
                    size = self._panel_bytes(other.widths[kind])
                    kernel.set(place[outer], place[outer] + size)
                kernel.set(entry, entry + ENTRY_BYTES)
                kernel.branch(again, entry < last)
