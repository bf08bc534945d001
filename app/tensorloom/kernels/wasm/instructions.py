"""The WebAssembly instructions the kernels use: opcode, operand types, result type.

A table and nothing else; ``assembler`` checks every use against it, and a test executes every
row. Numbers are those of the core specification, appendix "Index of Instructions"; the relaxed ones
exist only where the engine passes the feature test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ATOMICS", "INSTRUCTIONS", "Instruction", "ValueType", "unsigned_leb"]

ValueType = Literal["i32", "i64", "f32", "f64", "v128"]

_SIMD_PREFIX = 0xFD


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One row of the table.

    Args:
        code: Opcode bytes, prefix included.
        operands: Types popped, in the order they are pushed.
        result: Type pushed, or ``None`` for stores.
        alignment: log2 of the natural alignment of a memory access, ``None`` for the others.
        relaxed: Whether it belongs to relaxed SIMD.
    """

    code: bytes
    operands: tuple[ValueType, ...]
    result: ValueType | None
    alignment: int | None = None
    relaxed: bool = False


def unsigned_leb(value: int) -> bytes:
    """``value`` in unsigned LEB128."""
    if value < 0:
        raise ValueError(f"Unsigned LEB128 of the negative number {value}.")
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if not value:
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def _memory() -> dict[str, Instruction]:
    rows: tuple[tuple[str, bytes, int, ValueType], ...] = (
        ("i32", b"\x28\x36", 2, "i32"),
        ("f32", b"\x2a\x38", 2, "f32"),
        ("f64", b"\x2b\x39", 3, "f64"),
    )
    table: dict[str, Instruction] = {}
    for name, (load, store), alignment, kind in rows:
        table[f"{name}.load"] = Instruction(
            code=bytes([load]), operands=("i32",), result=kind, alignment=alignment
        )
        table[f"{name}.store"] = Instruction(
            code=bytes([store]), operands=("i32", kind), result=None, alignment=alignment
        )
    for name, opcode, alignment in (("v128.load", 0, 4), ("v128.load32_splat", 9, 2)):
        table[name] = _simd(opcode, ("i32",), "v128", alignment)
    table["v128.load64_splat"] = _simd(10, ("i32",), "v128", 3)
    for bits, alignment in ((32, 2), (64, 3)):
        step = alignment - 2
        table[f"v128.load{bits}_lane"] = _simd(86 + step, ("i32", "v128"), "v128", alignment)
        table[f"v128.store{bits}_lane"] = _simd(90 + step, ("i32", "v128"), None, alignment)
    table["v128.store"] = _simd(11, ("i32", "v128"), None, 4)
    return table


def _simd(
    opcode: int,
    operands: tuple[ValueType, ...],
    result: ValueType | None,
    alignment: int | None = None,
) -> Instruction:
    return Instruction(
        code=bytes([_SIMD_PREFIX]) + unsigned_leb(opcode),
        operands=operands,
        result=result,
        alignment=alignment,
        relaxed=opcode >= 0x100,  # noqa: PLR2004 - the specification puts relaxed SIMD from 0x100 on
    )


def _integers() -> dict[str, Instruction]:
    binary = {
        "eq": 0x46,
        "ne": 0x47,
        "lt_u": 0x49,
        "gt_u": 0x4B,
        "le_u": 0x4D,
        "ge_u": 0x4F,
        "add": 0x6A,
        "sub": 0x6B,
        "mul": 0x6C,
        "div_u": 0x6E,
        "rem_u": 0x70,
        "and": 0x71,
        "or": 0x72,
        "shl": 0x74,
        "shr_u": 0x76,
    }
    table = {
        f"i32.{name}": Instruction(code=bytes([opcode]), operands=("i32", "i32"), result="i32")
        for name, opcode in binary.items()
    }
    table["i32.eqz"] = Instruction(code=b"\x45", operands=("i32",), result="i32")
    return table


def _floats() -> dict[str, Instruction]:
    table: dict[str, Instruction] = {}
    scalars: tuple[tuple[ValueType, int, int], ...] = (("f32", 0x5D, 0x92), ("f64", 0x63, 0xA0))
    for kind, compare, arithmetic in scalars:
        for name, opcode in (("lt", compare), ("gt", compare + 1)):
            table[f"{kind}.{name}"] = Instruction(
                code=bytes([opcode]), operands=(kind, kind), result="i32"
            )
        for name, opcode in (("add", 0), ("sub", 1), ("mul", 2)):
            table[f"{kind}.{name}"] = Instruction(
                code=bytes([arithmetic + opcode]), operands=(kind, kind), result=kind
            )
    table["f32.abs"] = Instruction(code=b"\x8b", operands=("f32",), result="f32")
    table["f64.abs"] = Instruction(code=b"\x99", operands=("f64",), result="f64")
    table["f64.promote_f32"] = Instruction(code=b"\xbb", operands=("f32",), result="f64")
    return table


def _vectors() -> dict[str, Instruction]:
    table: dict[str, Instruction] = {}
    for shape, first, relaxed in (("f32x4", 224, 0x105), ("f64x2", 236, 0x107)):
        table[f"{shape}.abs"] = _simd(first, ("v128",), "v128")
        for name, step in (("add", 4), ("sub", 5), ("mul", 6), ("pmax", 11)):
            table[f"{shape}.{name}"] = _simd(first + step, ("v128", "v128"), "v128")
        for name, step in (("relaxed_madd", 0), ("relaxed_nmadd", 1)):
            table[f"{shape}.{name}"] = _simd(relaxed + step, ("v128", "v128", "v128"), "v128")
    table["f32x4.splat"] = _simd(19, ("f32",), "v128")
    table["f64x2.splat"] = _simd(20, ("f64",), "v128")
    table["f32x4.extract_lane"] = _simd(31, ("v128",), "f32")
    table["f64x2.extract_lane"] = _simd(33, ("v128",), "f64")
    return table


INSTRUCTIONS: dict[str, Instruction] = {**_memory(), **_integers(), **_floats(), **_vectors()}
"""By name. Control, constants, locals, calls and shuffles are methods of the assembler."""


def _atomic(
    opcode: int, operands: tuple[ValueType, ...], result: ValueType | None = "i32"
) -> Instruction:
    return Instruction(code=bytes([0xFE, opcode]), operands=operands, result=result, alignment=2)


ATOMICS: dict[str, Instruction] = {
    "memory.atomic.notify": _atomic(0x00, ("i32", "i32")),
    "memory.atomic.wait32": _atomic(0x01, ("i32", "i32", "i64")),
    "i32.atomic.load": _atomic(0x10, ("i32",)),
    "i32.atomic.store": _atomic(0x17, ("i32", "i32"), None),
    "i32.atomic.rmw.add": _atomic(0x1E, ("i32", "i32")),
    "i32.atomic.rmw.cmpxchg": _atomic(0x48, ("i32", "i32", "i32")),
}
"""What threads on one shared memory need; addresses are multiples of 4, anything else traps."""
