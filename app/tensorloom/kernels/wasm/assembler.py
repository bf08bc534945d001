r"""A typed assembler for WebAssembly: expressions that know their type, functions, modules.

An ``Expression`` carries its type and its encoded bytes, so a wrong operand fails where it is
written, not when an engine refuses the module. Statements append to a ``Function``; blocks and
loops are context managers that yield the label to branch to. Not a compiler: nothing is reordered,
folded or allocated; what is written is what the engine gets.

Source: WebAssembly core specification, binary format.

Example:
    >>> module = Module()
    >>> double = module.function("double", ("i32",), "i32")
    >>> (x,) = double.parameters
    >>> double.give(x + x)
    >>> module.encode()[:4]
    b'\x00asm'
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.instructions import ATOMICS, INSTRUCTIONS, ValueType, unsigned_leb

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "Expression",
    "Function",
    "Label",
    "Local",
    "Module",
    "apply",
    "atomic",
    "f32",
    "f64",
    "i32",
    "i64",
    "lane",
    "load",
    "select",
    "shuffle",
    "v128",
]

_TYPE_CODES: dict[ValueType, int] = {
    "i32": 0x7F,
    "i64": 0x7E,
    "f32": 0x7D,
    "f64": 0x7C,
    "v128": 0x7B,
}
_VOID = 0x40
_END = b"\x0b"


def signed_leb(value: int) -> bytes:
    """``value`` in signed LEB128."""
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if (value == 0 and not byte & 0x40) or (value == -1 and byte & 0x40):
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


@dataclass(frozen=True, slots=True)
class Expression:
    """Code that pushes one value of a known type; ``+ - * <<`` and comparisons are for i32."""

    type: ValueType
    code: bytes

    def __add__(self, other: Expression | int) -> Expression:
        return apply("i32.add", self, _integer(other))

    def __sub__(self, other: Expression | int) -> Expression:
        return apply("i32.sub", self, _integer(other))

    def __mul__(self, other: Expression | int) -> Expression:
        return apply("i32.mul", self, _integer(other))

    def __lshift__(self, other: Expression | int) -> Expression:
        return apply("i32.shl", self, _integer(other))

    def __and__(self, other: Expression | int) -> Expression:
        return apply("i32.and", self, _integer(other))

    def __lt__(self, other: Expression | int) -> Expression:
        return apply("i32.lt_u", self, _integer(other))

    def __le__(self, other: Expression | int) -> Expression:
        return apply("i32.le_u", self, _integer(other))

    def __gt__(self, other: Expression | int) -> Expression:
        return apply("i32.gt_u", self, _integer(other))

    def __ge__(self, other: Expression | int) -> Expression:
        return apply("i32.ge_u", self, _integer(other))

    def equals(self, other: Expression | int) -> Expression:
        """1 where both are equal; ``==`` stays Python's."""
        return apply("i32.eq", self, _integer(other))

    def differs(self, other: Expression | int) -> Expression:
        """1 where they are not equal."""
        return apply("i32.ne", self, _integer(other))


@dataclass(frozen=True, slots=True)
class Local(Expression):
    """A parameter or local variable; as an expression, its value."""

    number: int


@dataclass(frozen=True, slots=True)
class Label:
    """A block or loop that is open; branching to a loop repeats it, to a block leaves it."""

    depth: int


def _integer(value: Expression | int) -> Expression:
    return i32(value) if isinstance(value, int) else value


def i32(value: int) -> Expression:
    """A 32-bit constant; addresses above 2**31 wrap as the engine sees them."""
    signed = (value + 2**31) % 2**32 - 2**31
    return Expression("i32", b"\x41" + signed_leb(signed))


def i64(value: int) -> Expression:
    """A 64-bit constant."""
    return Expression("i64", b"\x42" + signed_leb(value))


def f32(value: float) -> Expression:
    """A single-precision constant."""
    return Expression("f32", b"\x43" + struct.pack("<f", value))


def f64(value: float) -> Expression:
    """A double-precision constant."""
    return Expression("f64", b"\x44" + struct.pack("<d", value))


def v128(data: bytes) -> Expression:
    """A constant vector of sixteen bytes."""
    if len(data) != 16:  # noqa: PLR2004 - bytes of v128
        raise TypeError(f"A vector has 16 bytes, not {len(data)}.")
    return Expression("v128", b"\xfd\x0c" + data)


def apply(name: str, *operands: Expression) -> Expression:
    """The result of an instruction without immediates.

    Raises:
        TypeError: An operand has the wrong type, or the instruction wants an immediate.
    """
    row = INSTRUCTIONS[name]
    if row.result is None or row.alignment is not None or name.endswith("_lane"):
        raise TypeError(f"{name} takes an immediate; use load, lane or Function.store.")
    _check(name, row.operands, operands)
    return Expression(row.result, b"".join([*(value.code for value in operands), row.code]))


def load(name: str, address: Expression, offset: int = 0) -> Expression:
    """What lies in memory at ``address + offset``; unaligned addresses are allowed."""
    row = INSTRUCTIONS[name]
    if row.result is None or row.alignment is None:
        raise TypeError(f"{name} is not a load.")
    _check(name, row.operands, (address,))
    return Expression(
        row.result, address.code + row.code + _memory_immediate(row.alignment, offset)
    )


def atomic(
    name: str, address: Expression, *operands: Expression | int, offset: int = 0
) -> Expression:
    """What an atomic instruction on ``address + offset`` gives; ``atomic_store`` is a statement."""
    row = ATOMICS[name]
    if row.result is None or row.alignment is None:
        raise TypeError(f"{name} gives nothing; use Function.atomic_store.")
    given = (address, *(_integer(value) for value in operands))
    _check(name, row.operands, given)
    code = b"".join(value.code for value in given)
    return Expression(row.result, code + row.code + _memory_immediate(row.alignment, offset))


def lane(name: str, vector: Expression, number: int) -> Expression:
    """Lane ``number`` of a vector, as a scalar."""
    row = INSTRUCTIONS[name]
    if row.result is None or not name.endswith("extract_lane"):
        raise TypeError(f"{name} does not extract a lane.")
    _check(name, row.operands, (vector,))
    return Expression(row.result, vector.code + row.code + bytes([number]))


def shuffle(first: Expression, second: Expression, picked: Sequence[int]) -> Expression:
    """Sixteen bytes picked from the thirty-two of two vectors."""
    _check("i8x16.shuffle", ("v128", "v128"), (first, second))
    if len(picked) != 16 or not all(0 <= byte < 32 for byte in picked):  # noqa: PLR2004 - bytes of v128
        raise TypeError(f"A shuffle picks 16 of 32 bytes, not {list(picked)}.")
    return Expression("v128", first.code + second.code + b"\xfd\x0d" + bytes(picked))


def select(condition: Expression, yes: Expression, no: Expression) -> Expression:
    """``yes`` where the condition is not zero, else ``no``; both are evaluated."""
    _check("select", (yes.type, yes.type, "i32"), (yes, no, condition))
    if yes.type == "v128":
        raise TypeError("An untyped select takes numbers, not v128.")
    return Expression(yes.type, yes.code + no.code + condition.code + b"\x1b")


def _memory_immediate(alignment: int, offset: int) -> bytes:
    return unsigned_leb(alignment) + unsigned_leb(offset)


def _check(name: str, wanted: Sequence[ValueType], given: Sequence[Expression]) -> None:
    types = tuple(value.type for value in given)
    if types != tuple(wanted):
        raise TypeError(f"{name} takes ({', '.join(wanted)}), not ({', '.join(types)}).")


class Function:
    """A function being written.

    Args:
        number: Its number in the module.
        parameters: Types of its parameters.
        result: Type of its result, or ``None``.
    """

    def __init__(
        self, number: int, parameters: Sequence[ValueType], result: ValueType | None
    ) -> None:
        self.number = number
        self.parameters = tuple(
            Local(kind, b"\x20" + unsigned_leb(i), i) for i, kind in enumerate(parameters)
        )
        self.result = result
        self._locals: list[ValueType] = []
        self._body = bytearray()
        self._depth = 0

    def local(self, kind: ValueType) -> Local:
        """A new local variable, zero at first."""
        number = len(self.parameters) + len(self._locals)
        self._locals.append(kind)
        return Local(kind, b"\x20" + unsigned_leb(number), number)

    def variable(self, value: Expression) -> Local:
        """A new local variable that holds ``value``."""
        made = self.local(value.type)
        self.set(made, value)
        return made

    def set(self, variable: Local, value: Expression | int) -> None:
        """Assigns."""
        value = _integer(value)
        _check("local.set", (variable.type,), (value,))
        self._body += value.code + b"\x21" + unsigned_leb(variable.number)

    def store(self, name: str, address: Expression, value: Expression, offset: int = 0) -> None:
        """Writes ``value`` to memory at ``address + offset``."""
        row = INSTRUCTIONS[name]
        if row.alignment is None or row.result is not None:
            raise TypeError(f"{name} is not a store.")
        _check(name, row.operands, (address, value))
        self._body += address.code + value.code + row.code
        self._body += _memory_immediate(row.alignment, offset)

    def atomic_store(
        self, address: Expression, value: Expression | int, *, offset: int = 0
    ) -> None:
        """Writes an integer to memory at ``address + offset`` for other threads to see."""
        row, value = ATOMICS["i32.atomic.store"], _integer(value)
        _check("i32.atomic.store", row.operands, (address, value))
        self._body += address.code + value.code + row.code + _memory_immediate(2, offset)

    def write(self, code: bytes) -> None:
        """Appends code put together elsewhere, whose loops and blocks are all closed."""
        self._body += code

    def drop(self, value: Expression) -> None:
        """Evaluates and forgets."""
        self._body += value.code + b"\x1a"

    def call(self, target: Function, *arguments: Expression) -> None:
        """Calls a function of this module that returns nothing."""
        if target.result is not None:
            raise TypeError("The result of a call needs a place; use value_of.")
        self._body += _call(target, arguments)

    def value_of(self, target: Function, *arguments: Expression) -> Expression:
        """The result of calling a function of this module."""
        if target.result is None:
            raise TypeError("This function returns nothing; use call.")
        return Expression(target.result, _call(target, arguments))

    def call_indirect(self, signature: int, slot: Expression, *arguments: Expression) -> None:
        """Calls table entry ``slot``, a function of the numbered signature without result."""
        _check("call_indirect", ("i32",), (slot,))
        self._body += b"".join(value.code for value in arguments)
        self._body += slot.code + b"\x11" + unsigned_leb(signature) + b"\x00"

    @contextmanager
    def block(self) -> Iterator[Label]:
        """Code that a branch to the label leaves."""
        yield from self._open(b"\x02")

    @contextmanager
    def loop(self) -> Iterator[Label]:
        """Code that a branch to the label starts again."""
        yield from self._open(b"\x03")

    @contextmanager
    def when(self, condition: Expression) -> Iterator[Label]:
        """Code that runs where the condition is not zero."""
        _check("if", ("i32",), (condition,))
        self._body += condition.code
        yield from self._open(b"\x04")

    @contextmanager
    def otherwise(self) -> Iterator[None]:
        """The other branch; directly after ``when``."""
        if self._body[-1:] != _END:
            raise TypeError("'otherwise' stands directly after 'when'.")
        self._body[-1:] = b"\x05"
        self._depth += 1
        yield
        self._depth -= 1
        self._body += _END

    @contextmanager
    def counting(
        self, counter: Local, stop: Expression | int, step: Expression | int = 1
    ) -> Iterator[None]:
        """Code repeated while ``counter < stop``, the counter growing by ``step`` after each."""
        with self.when(counter < stop), self.loop() as again:
            yield
            self.set(counter, counter + step)
            self.branch(again, counter < stop)

    def branch(self, label: Label, condition: Expression | None = None) -> None:
        """Goes to a label, always or where the condition is not zero."""
        distance = unsigned_leb(self._depth - label.depth)
        if condition is None:
            self._body += b"\x0c" + distance
            return
        _check("br_if", ("i32",), (condition,))
        self._body += condition.code + b"\x0d" + distance

    def give(self, value: Expression | None = None) -> None:
        """Returns."""
        wanted = () if self.result is None else (self.result,)
        _check("return", wanted, () if value is None else (value,))
        self._body += (b"" if value is None else value.code) + b"\x0f"

    def encode(self) -> bytes:
        """Locals and body, as the code section wants them."""
        if self._depth:
            raise TypeError("A block is still open.")
        runs: list[tuple[int, ValueType]] = []
        for kind in self._locals:
            if runs and runs[-1][1] == kind:
                runs[-1] = (runs[-1][0] + 1, kind)
            else:
                runs.append((1, kind))
        declared = b"".join(unsigned_leb(n) + bytes([_TYPE_CODES[kind]]) for n, kind in runs)
        # A function with a result ends in an explicit return; what follows is never reached.
        tail = b"" if self.result is None else b"\x00"
        code = unsigned_leb(len(runs)) + declared + bytes(self._body) + tail + _END
        return unsigned_leb(len(code)) + code

    def _open(self, opcode: bytes) -> Iterator[Label]:
        self._body += opcode + bytes([_VOID])
        self._depth += 1
        yield Label(self._depth)
        self._depth -= 1
        self._body += _END


class _Written(Function):
    """A function that was written before."""

    code = b""

    def encode(self) -> bytes:
        """Its code as it was given."""
        return self.code


def _call(target: Function, arguments: Sequence[Expression]) -> bytes:
    _check("call", [parameter.type for parameter in target.parameters], arguments)
    return b"".join(value.code for value in arguments) + b"\x10" + unsigned_leb(target.number)


class Module:
    """A module being written: it imports ``env.memory`` and exports its named functions."""

    def __init__(self) -> None:
        self._signatures: list[bytes] = []
        self._functions: list[tuple[int, str | None, Function]] = []
        self._table: tuple[str, int] | None = None

    def function(
        self,
        export: str | None,
        parameters: Sequence[ValueType] = (),
        result: ValueType | None = None,
    ) -> Function:
        """A new function, exported under a name unless that is ``None``."""
        made = Function(len(self._functions), parameters, result)
        self._functions.append((self.signature(parameters, result), export, made))
        return made

    def include(
        self, code: bytes, parameters: Sequence[ValueType], result: ValueType | None = None
    ) -> Function:
        """A function whose code an earlier ``Function.encode`` gave; many modules may share it."""
        made = _Written(len(self._functions), parameters, result)
        made.code = code
        self._functions.append((self.signature(parameters, result), None, made))
        return made

    def signature(self, parameters: Sequence[ValueType], result: ValueType | None = None) -> int:
        """The number of a function type."""
        results = b"\x00" if result is None else bytes([1, _TYPE_CODES[result]])
        codes = bytes(_TYPE_CODES[kind] for kind in parameters)
        text = b"\x60" + unsigned_leb(len(codes)) + codes + results
        if text not in self._signatures:
            self._signatures.append(text)
        return self._signatures.index(text)

    def table(self, export: str, size: int) -> None:
        """An exported table of functions, empty at first, for ``call_indirect``."""
        self._table = (export, size)

    def encode(self) -> bytes:
        """The module's bytes.

        The memory import asks for at least one page and names no limit, so any memory that is not
        shared fits, Pyodide's in particular, before and after it grows.
        """
        functions = [function for _, _, function in self._functions]
        exports = [
            _text(name) + b"\x00" + unsigned_leb(function.number)
            for _, name, function in self._functions
            if name is not None
        ]
        tables: list[bytes] = []
        if self._table is not None:
            tables = [b"\x70\x00" + unsigned_leb(self._table[1])]
            exports.append(_text(self._table[0]) + b"\x01\x00")
        memory = _text("env") + _text("memory") + b"\x02\x00\x01"
        sections = (
            (1, self._signatures),
            (2, [memory]),
            (3, [unsigned_leb(signature) for signature, _, _ in self._functions]),
            (4, tables),
            (7, exports),
            (10, [function.encode() for function in functions]),
        )
        body = b"".join(_section(number, rows) for number, rows in sections if rows)
        return b"\x00asm\x01\x00\x00\x00" + body


def _text(value: str) -> bytes:
    data = value.encode()
    return unsigned_leb(len(data)) + data


def _section(number: int, rows: Sequence[bytes]) -> bytes:
    content = unsigned_leb(len(rows)) + b"".join(rows)
    return bytes([number]) + unsigned_leb(len(content)) + content
