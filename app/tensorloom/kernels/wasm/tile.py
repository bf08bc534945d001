"""The tile kernel: a few rows times two vectors of columns, summed in registers over the depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.assembler import Expression, apply, load
from tensorloom.kernels.wasm.element import ROW_BYTES, Element
from tensorloom.kernels.wasm.tables import contiguous

if TYPE_CHECKING:
    from tensorloom.kernels.wasm.assembler import Function, Local, Module

__all__ = ["define_scatter", "define_tile", "stores_directly"]

_UNROLL = 4


def stores_directly(element: Element, columns_out: Expression) -> Expression:
    """1 where each half of a tile row is one vector in the result."""
    half = element.columns // 2
    first = contiguous(columns_out, half, element.bytes)
    return first & contiguous(columns_out + 4 * half, half, element.bytes)


def define_tile(module: Module, element: Element, rows: int, scatter: Function) -> Function:
    """A function that computes one tile of ``rows`` rows and writes or adds it to the result.

    Parameters: packed left panel, packed right panel, depth, result, tables of row and column
    offsets in the result, number of columns that exist, whether to add, whether
    ``stores_directly``, scratch for a tile.
    """
    tile = module.function(None, ("i32",) * 10)
    left, right, depth, out, row_out, column_out, columns, adds, direct, scratch = tile.parameters
    sums = [(tile.local("v128"), tile.local("v128")) for _ in range(rows)]
    _sum_depth(tile, element, sums)
    if element.complex:
        _interleave(tile, element, sums)
    with tile.when(direct):
        _store(tile, element, sums)
        tile.give()
    for row, (first, second) in enumerate(sums):
        tile.store("v128.store", scratch, first, ROW_BYTES * row)
        tile.store("v128.store", scratch, second, ROW_BYTES * row + 16)
    del left, right, depth
    rows_here = Expression("i32", b"\x41" + bytes([rows]))
    tile.call(scatter, scratch, rows_here, columns, out, row_out, column_out, adds)
    return tile


def _sum_depth(tile: Function, element: Element, sums: list[tuple[Local, Local]]) -> None:
    left, right, depth = tile.parameters[:3]
    step = len(sums) * element.bytes
    vectors = tile.local("v128"), tile.local("v128")
    splat = tile.local("v128")
    end = tile.local("i32")

    def advance(count: int) -> None:
        for k in range(count):
            for half, vector in enumerate(vectors):
                tile.set(vector, load("v128.load", right, ROW_BYTES * k + 16 * half))
            for row, pair in enumerate(sums):
                at = step * k + element.bytes * row
                _multiply(tile, element, pair, (splat, left, at), vectors)
        tile.set(left, left + step * count)
        tile.set(right, right + ROW_BYTES * count)

    for count, total in ((_UNROLL, depth & -_UNROLL), (1, depth & (_UNROLL - 1))):
        tile.set(end, right + total * ROW_BYTES)
        with tile.when(right < end), tile.loop() as again:
            advance(count)
            tile.branch(again, right < end)


def _multiply(
    tile: Function,
    element: Element,
    sums: tuple[Local, Local],
    source: tuple[Local, Local, int],
    right: tuple[Local, Local],
) -> None:
    """Adds one left element times one tile row of the right operand."""
    splat, left, at = source
    tile.set(splat, element.splat(left, at))
    for total, vector in zip(sums, right, strict=True):
        tile.set(total, element.multiply_add(splat, vector, total))
    if element.complex:
        tile.set(splat, element.splat(left, at + element.scalar_bytes))
        tile.set(sums[0], element.multiply_subtract(splat, right[1], sums[0]))
        tile.set(sums[1], element.multiply_add(splat, right[0], sums[1]))


def _interleave(tile: Function, element: Element, sums: list[tuple[Local, Local]]) -> None:
    spare = tile.local("v128")
    for real, imaginary in sums:
        tile.set(spare, element.interleaved(real, imaginary, 0))
        tile.set(imaginary, element.interleaved(real, imaginary, 1))
        tile.set(real, spare)


def _store(tile: Function, element: Element, sums: list[tuple[Local, Local]]) -> None:
    """Writes the tile straight into the result, adding to what is there if asked."""
    _, _, _, out, row_out, column_out, _, adds, _, _ = tile.parameters
    half = 4 * (element.columns // 2)
    starts = [tile.variable(out + load("i32.load", column_out, offset)) for offset in (0, half)]
    places = [
        [
            (value, start + load("i32.load", row_out, 4 * row))
            for value, start in zip(pair, starts, strict=True)
        ]
        for row, pair in enumerate(sums)
    ]
    with tile.when(adds):
        for row in places:
            for value, place in row:
                tile.set(value, element.vector("add", value, load("v128.load", place)))
    for row in places:
        for value, place in row:
            tile.store("v128.store", place, value)


def define_scatter(module: Module, element: Element) -> Function:
    """A function that moves a tile to the result element by element.

    Parameters: tile, rows, columns, result, tables of row and column offsets, whether to add.
    """
    scatter = module.function(None, ("i32",) * 7)
    tile, rows, columns, out, row_out, column_out, adds = scatter.parameters
    row, column, place, source = (scatter.local("i32") for _ in range(4))
    value = scatter.local(element.scalar)
    kind = element.scalar
    with scatter.counting(row, rows):
        scatter.set(column, 0)
        scatter.set(source, tile + row * ROW_BYTES)
        with scatter.counting(column, columns):
            offset = load("i32.load", row_out + (row << 2)) + load(
                "i32.load", column_out + (column << 2)
            )
            scatter.set(place, out + offset)
            for part in range(0, element.bytes, element.scalar_bytes):
                scatter.set(value, load(f"{kind}.load", source, part))
                with scatter.when(adds):
                    there = load(f"{kind}.load", place, part)
                    scatter.set(value, apply(f"{kind}.add", value, there))
                scatter.store(f"{kind}.store", place, value, part)
            scatter.set(source, source + element.bytes)
    return scatter
