"""Kernels that compute nothing of use: they show what a processor is like. Pure.

    tile      the inner loop of a matrix product with a given register tile, all data in the nearest
              cache: beyond the registers it spills and slows down
    peak      multiply-adds between registers alone
    latency   reads that each wait for the one before: a cache ends where they take longer
    read      memory in order, nothing written
    copy      memory to memory

Each module exports ``kernel(record)`` like any other. It reads ``left``, ``right`` and ``out`` of
the record as addresses, ``row_stop`` as how often to repeat, and ``column_stop`` as bytes to read
or to copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.assembler import Module, apply, load
from tensorloom.kernels.wasm.layout import RECORD_FIELDS

if TYPE_CHECKING:
    from tensorloom.kernels.wasm.assembler import Expression, Function, Local

__all__ = [
    "PEAK_FLOP",
    "TILE_DEPTH",
    "copy_module",
    "latency_module",
    "peak_module",
    "read_module",
    "registers_needed",
    "tile_module",
]

TILE_DEPTH = 128
"""Products per repetition: 8 KiB of the widest tile's columns, half of a small nearest cache."""

_PEAK_SUMS, _PEAK_ROUNDS = 12, 64

PEAK_FLOP = 2 * 4 * _PEAK_SUMS * _PEAK_ROUNDS
"""FLOP per repetition of ``peak``."""

_UNROLL = 4
_VECTOR = 16


def registers_needed(rows: int, vectors: int, *, fused: bool) -> int:
    """128-bit registers of a tile: sums, a row of columns, a splat, and a product if not fused."""
    return rows * vectors + vectors + (1 if fused else 2)


def tile_module(rows: int, vectors: int, *, fused: bool) -> bytes:
    """The inner loop with a tile of ``rows`` rows and ``vectors`` vectors of four columns."""
    module, kernel, record = _begun()
    left, right, at = (kernel.local("i32") for _ in range(3))
    sums = [[kernel.local("v128") for _ in range(vectors)] for _ in range(rows)]
    columns = [kernel.local("v128") for _ in range(vectors)]
    splat, turn = kernel.local("v128"), kernel.local("i32")
    with kernel.counting(turn, _word(record, "row_stop")):
        kernel.set(left, _word(record, "left"))
        kernel.set(right, _word(record, "right"))
        kernel.set(at, 0)
        with kernel.counting(at, TILE_DEPTH, _UNROLL):
            for step in range(_UNROLL):
                for number, column in enumerate(columns):
                    offset = _VECTOR * (step * vectors + number)
                    kernel.set(column, load("v128.load", right, offset))
                for row, own in enumerate(sums):
                    offset = 4 * (step * rows + row)
                    kernel.set(splat, load("v128.load32_splat", left, offset))
                    for column, total in zip(columns, own, strict=True):
                        kernel.set(total, _added(splat, column, total, fused=fused))
            kernel.set(left, left + 4 * _UNROLL * rows)
            kernel.set(right, right + _VECTOR * _UNROLL * vectors)
    for number, total in enumerate(total for own in sums for total in own):
        kernel.store("v128.store", _word(record, "out"), total, _VECTOR * number)
    return module.encode()


def peak_module(*, fused: bool) -> bytes:
    """Multiply-adds without loads; the numbers are read once."""
    module, kernel, record = _begun()
    factor = kernel.variable(load("v128.load", _word(record, "left")))
    # Twelve sums hide a latency of four cycles on two units and leave registers for the product.
    sums = [
        kernel.variable(load("v128.load", _word(record, "right"), _VECTOR * number))
        for number in range(_PEAK_SUMS)
    ]
    turn, round_ = kernel.local("i32"), kernel.local("i32")
    with kernel.counting(turn, _word(record, "row_stop")):
        kernel.set(round_, 0)
        with kernel.counting(round_, _PEAK_ROUNDS, _UNROLL):
            for _ in range(_UNROLL):
                for total in sums:
                    kernel.set(total, _added(total, factor, factor, fused=fused))
    for number, total in enumerate(sums):
        kernel.store("v128.store", _word(record, "out"), total, _VECTOR * number)
    return module.encode()


def latency_module() -> bytes:
    """Follows a chain of addresses that begins at ``left``: 64 steps per repetition."""
    module, kernel, record = _begun()
    at = kernel.variable(_word(record, "left"))
    turn = kernel.local("i32")
    with kernel.counting(turn, _word(record, "row_stop")):
        for _ in range(64):
            kernel.set(at, load("i32.load", at))
    kernel.store("i32.store", _word(record, "out"), at)
    return module.encode()


def read_module() -> bytes:
    """Adds up the numbers in ``column_stop`` bytes, a multiple of 128, from ``left`` on."""
    module, kernel, record = _begun()
    at, end, turn = (kernel.local("i32") for _ in range(3))
    sums = [kernel.local("v128") for _ in range(_READ_SUMS)]
    size = kernel.variable(_word(record, "column_stop"))
    with kernel.counting(turn, _word(record, "row_stop")):
        kernel.set(at, _word(record, "left"))
        kernel.set(end, at + size)
        with kernel.loop() as again:
            for number, total in enumerate(sums):
                kernel.set(
                    total, apply("f32x4.add", total, load("v128.load", at, _VECTOR * number))
                )
            kernel.set(at, at + _VECTOR * _READ_SUMS)
            kernel.branch(again, at < end)
    for number, total in enumerate(sums):
        kernel.store("v128.store", _word(record, "out"), total, _VECTOR * number)
    return module.encode()


_READ_SUMS = 8
"""Sums that wait for themselves alone: more than a line per four cycles."""


def copy_module() -> bytes:
    """Copies ``column_stop`` bytes, a multiple of 64, from ``left`` to ``out``."""
    module, kernel, record = _begun()
    source, target, end, turn = (kernel.local("i32") for _ in range(4))
    size = kernel.variable(_word(record, "column_stop"))
    with kernel.counting(turn, _word(record, "row_stop")):
        kernel.set(source, _word(record, "left"))
        kernel.set(target, _word(record, "out"))
        kernel.set(end, source + size)
        with kernel.loop() as again:
            for number in range(4):
                offset = _VECTOR * number
                kernel.store("v128.store", target, load("v128.load", source, offset), offset)
            kernel.set(source, source + 64)
            kernel.set(target, target + 64)
            kernel.branch(again, source < end)
    return module.encode()


def _begun() -> tuple[Module, Function, Local]:
    module = Module()
    kernel = module.function("kernel", ("i32",))
    (record,) = kernel.parameters
    return module, kernel, record


def _word(record: Local, name: str) -> Expression:
    return load("i32.load", record, RECORD_FIELDS[name])


def _added(a: Expression, b: Expression, total: Expression, *, fused: bool) -> Expression:
    """``total + a * b``."""
    if fused:
        return apply("f32x4.relaxed_madd", a, b, total)
    return apply("f32x4.add", total, apply("f32x4.mul", a, b))
