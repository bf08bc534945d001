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

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.assembler import Module, apply, i32, load
from tensorloom.kernels.wasm.element import ROW_BYTES, Element
from tensorloom.kernels.wasm.frame import Frame
from tensorloom.kernels.wasm.layout import (
    BATCH_CHUNK,
    PANEL_COLUMNS_BYTES,
    PANEL_DEPTH,
    WORKSPACE,
)
from tensorloom.kernels.wasm.pack import define_pack_left, define_pack_right
from tensorloom.kernels.wasm.tables import smaller
from tensorloom.kernels.wasm.tile import define_scatter, define_tile, stores_directly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorloom.kernels.wasm.assembler import Expression, Function, Local

__all__ = ["gemm_module"]

_SHALLOW = 64
"""Depth up to which a block of the right operand stays in the second cache while rows go by."""


def gemm_module(element: Element) -> bytes:
    """A module exporting ``kernel(record)``, the packed contraction of one element type."""
    module = Module()
    pack_left = define_pack_left(module, element)
    pack_right = define_pack_right(module, element)
    block = _define_block(module, element)
    _define_kernel(Frame(module), element, (pack_left, pack_right, block))
    return module.encode()


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
    here = one.variable(smaller(tile_rows, rows - row))
    wide = smaller(i32(element.columns), columns - column)
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
    kernel, workspace = frame.kernel, frame.workspace
    pack_left, pack_right, block = parts
    depth, tile_rows, block_rows, along = (
        frame.header(name) for name in ("depth", "tile_rows", "block_rows", "depth_runs")
    )
    known = [kernel.variable(i32(-1)) for _ in range(3)]
    wide = i32(PANEL_COLUMNS_BYTES // ROW_BYTES * element.columns)
    whole = kernel.local("i32"), depth
    with (
        _items(frame) as (left, right, out),
        _blocks(kernel, frame.range_of("column"), wide, known[0]) as (column, columns, new_columns),
    ):
        with kernel.when(new_columns):
            frame.fill("column_right", "columns", "right", column, columns)
            frame.fill("column_out", "columns", "out", column, columns)
            _pad(frame, columns, element)
        with _blocks(kernel, whole, i32(PANEL_DEPTH), known[1]) as (at, deep, new_depth):
            with kernel.when(new_depth):
                frame.fill("depth_left", "contracted", "left", at, deep)
                frame.fill("depth_right", "contracted", "right", at, deep)
            kernel.call(pack_right, right, columns, deep, along, workspace)
            rows_here = frame.range_of("row")
            with _blocks(kernel, rows_here, block_rows, known[2]) as (row, rows, new_rows):
                with kernel.when(new_rows):
                    frame.fill("row_left", "rows", "left", row, rows)
                    frame.fill("row_out", "rows", "out", row, rows)
                kernel.call(pack_left, left, rows, deep, tile_rows, workspace)
                kernel.call(block, out, rows, columns, deep, tile_rows, at.differs(0), workspace)


@contextmanager
def _items(frame: Frame) -> Iterator[tuple[Local, Local, Local]]:
    """Code for each item of the batch: addresses of left, right and result."""
    kernel = frame.kernel
    batch, stop = frame.range_of("batch")
    item, items = kernel.local("i32"), kernel.local("i32")
    places = kernel.local("i32"), kernel.local("i32"), kernel.local("i32")
    with kernel.counting(batch, stop, BATCH_CHUNK):
        kernel.set(items, smaller(i32(BATCH_CHUNK), stop - batch))
        for side in ("left", "right", "out"):
            frame.fill(f"batch_{side}", "batch", side, batch, items)
        kernel.set(item, 0)
        with kernel.counting(item, items):
            starts = (frame.left, frame.right, frame.out)
            for place, start, side in zip(places, starts, ("left", "right", "out"), strict=True):
                kernel.set(place, start + frame.entry(f"batch_{side}", item))
            yield places


@contextmanager
def _blocks(
    kernel: Function, ends: tuple[Local, Local], step: Expression, known: Local
) -> Iterator[tuple[Local, Local, Expression]]:
    """Code for each block of a range: its start, its size, whether it is not the last one seen."""
    start, stop = ends
    at, size, fresh = (kernel.local("i32") for _ in range(3))
    kernel.set(at, start)
    with kernel.counting(at, stop, step):
        kernel.set(size, smaller(step, stop - at))
        kernel.set(fresh, at.differs(known))
        kernel.set(known, at)
        yield at, size, fresh


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
