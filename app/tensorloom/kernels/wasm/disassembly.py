"""Bytes of our WebAssembly modules back to text, for people who want to read a kernel.

Reads what ``assembler`` writes: one imported memory, functions, at most one table. Lines follow the
WebAssembly text format, one instruction each, indented by block; it is a listing, not input for a
tool. Not a validator: modules of others may be refused.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.instructions import ATOMICS, INSTRUCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tensorloom.kernels.wasm.instructions import Instruction

__all__ = ["instruction_names", "lines", "listing"]

_TYPES = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128"}
_PREFIXES = (0xFD, 0xFE)
_OPENING = {0x02: "block", 0x03: "loop", 0x04: "if"}
_ELSE, _END = 0x05, 0x0B
_TYPE_SECTION, _FUNCTION_SECTION, _EXPORT_SECTION, _CODE_SECTION = 1, 3, 7, 10


def listing(module: bytes) -> str:
    """The module as text: one function after another.

    Raises:
        ValueError: Bytes that ``assembler`` does not write.

    Example:
        >>> from tensorloom.kernels.wasm.assembler import Module
        >>> module = Module()
        >>> double = module.function("double", ("i32",), "i32")
        >>> double.give(double.parameters[0] + double.parameters[0])
        >>> print(listing(module.encode()))
        (func $0 (export "double") (param i32) (result i32)
          local.get 0
          local.get 0
          i32.add
          return
          unreachable
        )
    """
    return "\n".join(lines(module))


def lines(module: bytes, function: int | None = None) -> Iterator[str]:
    """The lines of ``listing``, read as they are asked for.

    Args:
        module: The module.
        function: Number of the only function that is wanted.

    Raises:
        ValueError: As ``listing``.
    """
    for number, body in enumerate(_functions(module)):
        if function is None or number == function:
            yield from body


def instruction_names(module: bytes) -> tuple[str, ...]:
    """Every instruction of the module in order, without operands."""
    inside = (line for body in _functions(module) for line in body[1:-1])
    return tuple(line.split()[0] for line in inside if not line.lstrip().startswith("(local"))


class _Reader:
    """A position in bytes."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def byte(self) -> int:
        """The next byte."""
        if self.at >= len(self.data):
            raise ValueError("The module ends in the middle of an instruction.")
        self.at += 1
        return self.data[self.at - 1]

    def take(self, count: int) -> bytes:
        """Some bytes."""
        if self.at + count > len(self.data):
            raise ValueError("The module ends in the middle of an instruction.")
        self.at += count
        return self.data[self.at - count : self.at]

    def unsigned(self) -> int:
        """A number in unsigned LEB128."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:  # noqa: PLR2004 - the continuation bit
                return value

    def signed(self) -> int:
        """A number in signed LEB128."""
        start = self.at
        value = self.unsigned()
        bits = 7 * (self.at - start)
        return value - (1 << bits) if value >> (bits - 1) else value


def _functions(module: bytes) -> Iterator[list[str]]:
    if module[:8] != b"\x00asm\x01\x00\x00\x00":
        raise ValueError("This is not a WebAssembly module of version 1.")
    sections = dict(_sections(_Reader(module, 8)))
    signatures = [_signature(reader) for reader in _rows(sections.get(_TYPE_SECTION, b""))]
    kinds = [reader.unsigned() for reader in _rows(sections.get(_FUNCTION_SECTION, b""))]
    names = dict(_exports(sections.get(_EXPORT_SECTION, b"")))
    code = _Reader(sections.get(_CODE_SECTION, b"\x00"))
    for number in range(code.unsigned()):
        body = _Reader(code.take(code.unsigned()))
        export = f' (export "{names[number]}")' if number in names else ""
        yield [f"(func ${number}{export}{signatures[kinds[number]]}", *_body(body), ")"]


def _sections(reader: _Reader) -> Iterator[tuple[int, bytes]]:
    while reader.at < len(reader.data):
        number = reader.byte()
        yield number, reader.take(reader.unsigned())


def _rows(section: bytes) -> Iterator[_Reader]:
    """One reader, at each row in turn; the caller reads the whole row."""
    if section:
        reader = _Reader(section)
        for _ in range(reader.unsigned()):
            yield reader


def _signature(reader: _Reader) -> str:
    if reader.byte() != 0x60:  # noqa: PLR2004 - the tag of function types
        raise ValueError("A type of this module is not a function's.")
    parts = []
    for word in ("param", "result"):
        types = [_TYPES[reader.byte()] for _ in range(reader.unsigned())]
        parts.append(f" ({word} {' '.join(types)})" if types else "")
    return "".join(parts)


def _exports(section: bytes) -> Iterator[tuple[int, str]]:
    for reader in _rows(section):
        name = reader.take(reader.unsigned()).decode()
        kind, number = reader.byte(), reader.unsigned()
        if kind == 0:
            yield number, name


def _body(reader: _Reader) -> Iterator[str]:
    for _ in range(reader.unsigned()):
        count, kind = reader.unsigned(), _TYPES[reader.byte()]
        yield f"  (local {kind}" + (f" x {count})" if count > 1 else ")")
    depth = 1
    while reader.at < len(reader.data):
        opcode = reader.byte()
        if opcode in (_END, _ELSE):
            depth -= 1
            if reader.at == len(reader.data):
                return
            yield "  " * depth + ("end" if opcode == _END else "else")
            depth += opcode == _ELSE
        elif opcode in _OPENING:
            reader.byte()
            yield "  " * depth + _OPENING[opcode]
            depth += 1
        else:
            yield "  " * depth + _instruction(opcode, reader)


def _instruction(opcode: int, reader: _Reader) -> str:
    if opcode in _PLAIN:
        return _PLAIN[opcode](reader)
    number = reader.unsigned() if opcode in _PREFIXES else None
    if opcode == 0xFD and number is not None and number in _VECTOR:  # noqa: PLR2004 - SIMD's prefix
        return _VECTOR[number](reader)
    found = _by_code().get((opcode, number))
    if found is None:
        raise ValueError(f"The opcode {opcode:#x} {number or ''} is none of the kernels'.".strip())
    name, row = found
    if row.alignment is not None:
        reader.unsigned()
        offset = reader.unsigned()
        text = f"{name} offset={offset}" if offset else name
        return f"{text} {reader.byte()}" if name.endswith("_lane") else text
    if name.endswith("_lane"):
        return f"{name} {reader.byte()}"
    return name


@cache
def _by_code() -> Mapping[tuple[int, int | None], tuple[str, Instruction]]:
    table: dict[tuple[int, int | None], tuple[str, Instruction]] = {}
    for name, row in {**INSTRUCTIONS, **ATOMICS}.items():
        reader = _Reader(row.code)
        opcode = reader.byte()
        table[opcode, reader.unsigned() if opcode in _PREFIXES else None] = name, row
    return table


def _numbered(name: str) -> Callable[[_Reader], str]:
    return lambda reader: f"{name} {reader.unsigned()}"


def _constant(name: str, code: str) -> Callable[[_Reader], str]:
    size = struct.calcsize(code)
    return lambda reader: f"{name} {struct.unpack(code, reader.take(size))[0]!r}"


def _indirect(reader: _Reader) -> str:
    signature = reader.unsigned()
    reader.unsigned()
    return f"call_indirect (type {signature})"


_PLAIN: Mapping[int, Callable[[_Reader], str]] = {
    0x00: lambda _: "unreachable",
    0x0C: _numbered("br"),
    0x0D: _numbered("br_if"),
    0x0F: lambda _: "return",
    0x10: _numbered("call"),
    0x11: _indirect,
    0x1A: lambda _: "drop",
    0x1B: lambda _: "select",
    0x20: _numbered("local.get"),
    0x21: _numbered("local.set"),
    0x22: _numbered("local.tee"),
    0x41: lambda reader: f"i32.const {reader.signed()}",
    0x42: lambda reader: f"i64.const {reader.signed()}",
    0x43: _constant("f32.const", "<f"),
    0x44: _constant("f64.const", "<d"),
}

_VECTOR: Mapping[int, Callable[[_Reader], str]] = {
    0x0C: lambda reader: f"v128.const i8x16 {' '.join(map(str, reader.take(16)))}",
    0x0D: lambda reader: f"i8x16.shuffle {' '.join(map(str, reader.take(16)))}",
}
