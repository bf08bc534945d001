"""Packing: blocks of an operand, read through offset tables, laid out for the tile kernel.

Left panels hold a few rows, depth by depth; right panels hold tile rows of columns, depth by depth,
real and imaginary parts apart.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.assembler import load
from tensorloom.kernels.wasm.element import ROW_BYTES, Element
from tensorloom.kernels.wasm.layout import WORKSPACE
from tensorloom.kernels.wasm.tables import contiguous, smaller

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorloom.kernels.wasm.assembler import Expression, Function, Local, Module

__all__ = ["define_pack_left", "define_pack_right"]

_UNROLL = 4


def define_pack_left(module: Module, element: Element) -> Function:
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
        pack.set(here, smaller(tile_rows, rows - row))
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


def define_pack_right(module: Module, element: Element) -> Function:
    """Packs the block's columns by tile rows, depth by depth; complex parts are separated.

    Parameters: right operand, columns, depth, whether columns run through memory, workspace.
    """
    pack = module.function(None, ("i32",) * 5)
    right, columns, depth, along, workspace = pack.parameters
    column = pack.local("i32")
    target = pack.variable(workspace + WORKSPACE["panel_right"])
    table = pack.variable(workspace + WORKSPACE["column_right"])
    pointers = [pack.local("i32") for _ in range(element.columns)]
    with pack.counting(column, columns, element.columns):
        for number, pointer in enumerate(pointers):
            pack.set(pointer, right + load("i32.load", table, 4 * number))
        with pack.block() as packed:
            with pack.when(contiguous(table, element.columns, element.bytes)):
                _pack_vectors(pack, element, pointers[0], target)
                pack.branch(packed)
            with pack.when(along):
                _pack_by_columns(pack, element, pointers, target)
                pack.branch(packed)
            _pack_by_numbers(pack, element, pointers, target)
        pack.set(target, target + depth * ROW_BYTES)
        pack.set(table, table + 4 * element.columns)
    return pack


def _pack_vectors(pack: Function, element: Element, pointer: Local, target: Local) -> None:
    """Packs a panel whose columns lie side by side."""
    with _depth(pack, target) as (offset, place):
        row = element.load_row(pack, pack.variable(pointer + offset))
        for half, vector in enumerate(row):
            pack.store("v128.store", place, vector, 16 * half)


def _pack_by_numbers(
    pack: Function, element: Element, pointers: list[Local], target: Local
) -> None:
    """Packs any panel, one number at a time."""
    part = element.scalar
    with _depth(pack, target) as (offset, place):
        here = pack.variable(offset)
        for number, pointer in enumerate(pointers):
            for half in range(2 if element.complex else 1):
                value = load(f"{part}.load", pointer + here, half * element.scalar_bytes)
                at = 16 * half + number * element.scalar_bytes
                pack.store(f"{part}.store", place, value, at)


@contextmanager
def _depth(pack: Function, target: Local) -> Iterator[tuple[Expression, Local]]:
    """Code for each summed position: its offset in the right operand, its place in the panel."""
    _, _, depth, _, workspace = pack.parameters
    entry = pack.variable(workspace + WORKSPACE["depth_right"])
    end = pack.variable(entry + (depth << 2))
    place = pack.variable(target)
    with pack.loop() as again:
        yield load("i32.load", entry), place
        pack.set(place, place + ROW_BYTES)
        pack.set(entry, entry + 4)
        pack.branch(again, entry < end)


def _pack_by_columns(
    pack: Function, element: Element, pointers: list[Local], target: Local
) -> None:
    """Packs a panel whose columns run through memory, one after the other.

    Reading several at once would fight for the same cache lines where columns are a power of two
    apart.
    """
    _, _, depth, _, workspace = pack.parameters
    source, write, end = (pack.local("i32") for _ in range(3))
    for number, pointer in enumerate(pointers):
        pack.set(source, pointer + load("i32.load", workspace, WORKSPACE["depth_right"]))
        pack.set(end, source + depth * element.bytes)
        pack.set(write, target + number * element.scalar_bytes)
        with pack.loop() as again:
            for half in range(2 if element.complex else 1):
                value = load(f"{element.scalar}.load", source, half * element.scalar_bytes)
                pack.store(f"{element.scalar}.store", write, value, 16 * half)
            pack.set(source, source + element.bytes)
            pack.set(write, write + ROW_BYTES)
            pack.branch(again, source < end)
