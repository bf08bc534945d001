"""The packed form: any contraction as blocks of matrix product, as in GotoBLAS and TBLIS.

Blocks of both operands are packed, through offset tables, into panels that the tile kernel reads in
order; sums stay in registers and are written once per block, straight through the result's
strides. Right for every spec, and fast where rows, columns and depth are not all tiny.

    for batch, block of columns, block of depth:      pack right
        for block of rows:                            pack left
            for panel of columns, panel of rows:      tile

Source: Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication"; TBLIS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.kernels.wasm_assembler import Expression, Module, apply, i32, load, select
from tensorloom.kernels.wasm_element import ROW_BYTES, Element
from tensorloom.kernels.wasm_frame import Frame
from tensorloom.kernels.wasm_layout import (
    BATCH_CHUNK,
    PANEL_COLUMNS_BYTES,
    PANEL_DEPTH,
    WORKSPACE,
)
from tensorloom.kernels.wasm_tables import contiguous
from tensorloom.kernels.wasm_tile import define_scatter, define_tile, stores_directly

if TYPE_CHECKING:
    from tensorloom.kernels.wasm_assembler import Function, Local

__all__ = ["gemm_module"]

_UNROLL = 4

_SHALLOW = 64
"""Depth up to which a block of the right operand stays in the second cache while rows go by."""


def gemm_module(element: Element) -> bytes:
    """A module exporting ``kernel(record)``, the packed contraction of one element type."""
    module = Module()
    pack_left = _define_pack_left(module, element)
    pack_right = _define_pack_right(module, element)
    block = _define_block(module, element)
    _define_kernel(Frame(module), element, (pack_left, pack_right, block))
    return module.encode()


def _smaller(a: Expression, b: Expression) -> Expression:
    return select(a < b, a, b)


def _define_pack_left(module: Module, element: Element) -> Function:
    """Packs rows ``0 .. rows`` of the block by panels of ``tile_rows``, depth by depth.

    Parameters: left operand, rows, depth, tile rows, workspace.
    """
    pack = module.function(None, ("i32",) * 5)
    left, rows, depth, tile_rows, workspace = pack.parameters
    row, inner, here, step, source, target, entry, end = (pack.local("i32") for _ in range(8))
    panel = pack.variable(workspace + WORKSPACE["panel_left"])
    table = pack.variable(workspace + WORKSPACE["depth_left"])
    move = element.mover

    def copy(count: int) -> None:
        for k in range(count):
            value = load(f"{move}.load", source + load("i32.load", entry, 4 * k))
            pack.store(f"{move}.store", target, value)
            pack.set(target, target + step)
        pack.set(entry, entry + 4 * count)

    with pack.counting(row, rows, tile_rows):
        pack.set(here, _smaller(tile_rows, rows - row))
        pack.set(step, here * element.bytes)
        pack.set(inner, 0)
        with pack.counting(inner, here):
            pack.set(
                source,
                left + load("i32.load", workspace + (row + inner << 2), WORKSPACE["row_left"]),
            )
            pack.set(target, panel + inner * element.bytes)
            pack.set(entry, table)
            for count, stop in ((_UNROLL, depth & -_UNROLL), (1, depth)):
                pack.set(end, table + (stop << 2))
                with pack.when(entry < end), pack.loop() as again:
                    copy(count)
                    pack.branch(again, entry < end)
        pack.set(panel, panel + step * depth)
    return pack


def _define_pack_right(module: Module, element: Element) -> Function:
    """Packs the block's columns by tile rows, depth by depth; complex parts are separated.

    Parameters: right operand, columns, depth, whether columns run through memory, workspace.
    """
    pack = module.function(None, ("i32",) * 5)
    right, columns, depth, along, workspace = pack.parameters
    column, source, entry = (pack.local("i32") for _ in range(3))
    target = pack.variable(workspace + WORKSPACE["panel_right"])
    table = pack.variable(workspace + WORKSPACE["column_right"])
    first = pack.variable(workspace + WORKSPACE["depth_right"])
    end = pack.variable(first + (depth << 2))
    pointers = [pack.local("i32") for _ in range(element.columns)]
    part = element.scalar
    with pack.counting(column, columns, element.columns):
        pack.set(entry, first)
        for number, pointer in enumerate(pointers):
            pack.set(pointer, right + load("i32.load", table, 4 * number))
        with pack.block() as packed:
            with pack.when(contiguous(table, element.columns, element.bytes)), pack.loop() as again:
                pack.set(source, pointers[0] + load("i32.load", entry))
                for half, vector in enumerate(element.load_row(pack, source)):
                    pack.store("v128.store", target, vector, 16 * half)
                pack.set(target, target + ROW_BYTES)
                pack.set(entry, entry + 4)
                pack.branch(again, entry < end)
                pack.branch(packed)
            with pack.when(along):
                _pack_by_columns(pack, element, pointers, (target, depth))
                pack.set(target, target + depth * ROW_BYTES)
                pack.branch(packed)
            with pack.loop() as again:
                pack.set(source, load("i32.load", entry))
                for number, pointer in enumerate(pointers):
                    for half in range(2 if element.complex else 1):
                        value = load(f"{part}.load", pointer + source, half * element.scalar_bytes)
                        at = 16 * half + number * element.scalar_bytes
                        pack.store(f"{part}.store", target, value, at)
                pack.set(target, target + ROW_BYTES)
                pack.set(entry, entry + 4)
                pack.branch(again, entry < end)
        pack.set(table, table + 4 * element.columns)
    return pack


def _pack_by_columns(
    pack: Function, element: Element, pointers: list[Local], place: tuple[Local, Local]
) -> None:
    """Packs a panel whose columns run through memory, one after the other.

    Reading several at once would fight for the same cache lines where columns are a power of two
    apart.
    """
    target, depth = place
    source, write, end = (pack.local("i32") for _ in range(3))
    for number, pointer in enumerate(pointers):
        pack.set(source, pointer + load("i32.load", pack.parameters[4], WORKSPACE["depth_right"]))
        pack.set(end, source + depth * element.bytes)
        pack.set(write, target + number * element.scalar_bytes)
        with pack.loop() as again:
            for half in range(2 if element.complex else 1):
                value = load(f"{element.scalar}.load", source, half * element.scalar_bytes)
                pack.store(f"{element.scalar}.store", write, value, 16 * half)
            pack.set(source, source + element.bytes)
            pack.set(write, write + ROW_BYTES)
            pack.branch(again, source < end)


def _define_block(module: Module, element: Element) -> Function:
    """Multiplies the packed panels, tile by tile.

    Deep blocks sweep rows first, so that the right panel stays in the nearest cache; shallow ones
    sweep columns first, so that the result, which then is the most to move, is written in order.

    Parameters: result, rows, columns, depth, tile rows, whether to add, workspace.
    """
    scatter = define_scatter(module, element)
    tiles = [define_tile(module, element, rows, scatter) for rows in range(1, element.rows + 1)]
    one = _define_one(module, element, tiles)
    block = module.function(None, ("i32",) * 7)
    _, rows, columns, depth, tile_rows, _, _ = block.parameters
    row, column = block.local("i32"), block.local("i32")
    arguments = (*block.parameters, row, column)
    with block.when(depth > _SHALLOW):
        with block.counting(column, columns, element.columns):
            block.set(row, 0)
            with block.counting(row, rows, tile_rows):
                block.call(one, *arguments)
        block.give()
    with block.counting(row, rows, tile_rows):
        block.set(column, 0)
        with block.counting(column, columns, element.columns):
            block.call(one, *arguments)
    return block


def _define_one(module: Module, element: Element, tiles: list[Function]) -> Function:
    """Multiplies one tile.

    Parameters: those of a block, row, column.
    """
    one = module.function(None, ("i32",) * 9)
    out, rows, columns, depth, tile_rows, adds, workspace, row, column = one.parameters
    here = one.variable(_smaller(tile_rows, rows - row))
    wide = _smaller(i32(element.columns), columns - column)
    panel = element.columns.bit_length() - 1
    direct = load(
        "i32.load",
        workspace + (apply("i32.shr_u", column, i32(panel)) << 2),
        WORKSPACE["column_direct"],
    )
    arguments = [
        one.variable(value)
        for value in (
            workspace + row * depth * element.bytes + WORKSPACE["panel_left"],
            workspace + column * depth * element.bytes + WORKSPACE["panel_right"],
            depth,
            out,
            workspace + (row << 2) + WORKSPACE["row_out"],
            workspace + (column << 2) + WORKSPACE["column_out"],
            wide,
            adds,
            direct,
            workspace + WORKSPACE["tile"],
        )
    ]
    for height in range(element.rows, 0, -1):
        with one.when(here.equals(height)):
            one.call(tiles[height - 1], *arguments)
            one.give()
    return one


def _define_kernel(
    frame: Frame, element: Element, parts: tuple[Function, Function, Function]
) -> None:
    """The loops over batch and blocks; tables are refilled only when their block changes."""
    kernel = frame.kernel
    pack_left, pack_right, block = parts
    depth, tile_rows, block_rows = (frame.header(n) for n in ("depth", "tile_rows", "block_rows"))
    along = frame.header("depth_runs")
    batch, batch_stop = frame.range_of("batch")
    row_start, row_stop = frame.range_of("row")
    column_start, column_stop = frame.range_of("column")
    item, items, row, rows, column, columns, at, deep = (kernel.local("i32") for _ in range(8))
    left, right, out = (kernel.local("i32") for _ in range(3))
    known = {name: kernel.variable(i32(-1)) for name in ("row", "column", "depth")}
    wide = PANEL_COLUMNS_BYTES // ROW_BYTES * element.columns
    workspace = frame.workspace
    with kernel.counting(batch, batch_stop, BATCH_CHUNK):
        kernel.set(items, _smaller(i32(BATCH_CHUNK), batch_stop - batch))
        for side in ("left", "right", "out"):
            frame.fill(f"batch_{side}", "batch", side, batch, items)
        kernel.set(item, 0)
        with kernel.counting(item, items):
            kernel.set(left, frame.left + frame.entry("batch_left", item))
            kernel.set(right, frame.right + frame.entry("batch_right", item))
            kernel.set(out, frame.out + frame.entry("batch_out", item))
            kernel.set(column, column_start)
            with kernel.counting(column, column_stop, wide):
                kernel.set(columns, _smaller(i32(wide), column_stop - column))
                with kernel.when(column.differs(known["column"])):
                    kernel.set(known["column"], column)
                    frame.fill("column_right", "columns", "right", column, columns)
                    frame.fill("column_out", "columns", "out", column, columns)
                    _pad(frame, columns, element)
                kernel.set(at, 0)
                with kernel.counting(at, depth, PANEL_DEPTH):
                    kernel.set(deep, _smaller(i32(PANEL_DEPTH), depth - at))
                    with kernel.when(at.differs(known["depth"])):
                        kernel.set(known["depth"], at)
                        frame.fill("depth_left", "contracted", "left", at, deep)
                        frame.fill("depth_right", "contracted", "right", at, deep)
                    kernel.call(pack_right, right, columns, deep, along, workspace)
                    kernel.set(row, row_start)
                    with kernel.counting(row, row_stop, block_rows):
                        kernel.set(rows, _smaller(block_rows, row_stop - row))
                        with kernel.when(row.differs(known["row"])):
                            kernel.set(known["row"], row)
                            frame.fill("row_left", "rows", "left", row, rows)
                            frame.fill("row_out", "rows", "out", row, rows)
                        kernel.call(pack_left, left, rows, deep, tile_rows, workspace)
                        adds = at.differs(0)
                        kernel.call(block, out, rows, columns, deep, tile_rows, adds, workspace)


def _pad(frame: Frame, columns: Expression, element: Element) -> None:
    """Repeats the last column's offset up to a whole tile: packed, multiplied, never written.

    Then notes for each tile of columns whether it can be stored directly.
    """
    kernel = frame.kernel
    last = kernel.variable(columns - 1)
    value = kernel.variable(frame.entry("column_right", last))
    for extra in range(1, element.columns):
        place = frame.workspace + (columns + extra - 1 << 2)
        kernel.store("i32.store", place, value, WORKSPACE["column_right"])
    column = kernel.variable(i32(0))
    table = kernel.variable(frame.workspace + WORKSPACE["column_out"])
    flag = kernel.variable(frame.workspace + WORKSPACE["column_direct"])
    with kernel.counting(column, columns, element.columns):
        whole = column + element.columns <= columns
        kernel.store("i32.store", flag, whole & stores_directly(element, table))
        kernel.set(table, table + 4 * element.columns)
        kernel.set(flag, flag + 4)
