"""OpenQASM 2 text -> statements, one at a time. The grammar of arXiv:1707.03429, appendix A.

More lenient than the paper where programs in circulation are: the version line may be missing, and
names may start with a capital letter or an underscore.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.formats.qasm.expression import Expression, read_expression
from tensorloom.formats.qasm.lexer import Reader, Token, refuse
from tensorloom.formats.qasm.syntax import (
    Barrier,
    Call,
    Conditional,
    Definition,
    Include,
    Measurement,
    Opaque,
    Operand,
    Register,
    Reset,
    Statement,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

__all__ = ["statements"]

MAX_DIGITS = 9
"""Longest size or place of a register [digits]."""

MAX_OPERANDS = 10_000
"""Most operands of one statement."""

_RESERVED = frozenset(
    ("OPENQASM", "include", "qreg", "creg", "gate", "opaque", "barrier", "measure", "reset", "if")
)


def statements(text: str) -> Iterator[Statement]:
    """The program's statements in order, read as they are asked for.

    Raises:
        FileFormatError: ``newer-version``, ``bad-syntax``, ``bad-character``, ``too-big`` or what
            ``read_expression`` raises; ``where`` marks the place.
    """
    reader = Reader(text)
    _read_version(reader)
    while reader.next.kind != "end":
        read = _STATEMENTS.get(reader.next.text, _call)
        yield read(reader)


def _read_version(reader: Reader) -> None:
    if not reader.skips("OPENQASM"):
        return
    version = reader.next
    if version.kind not in ("real", "whole"):
        reader.wants("the version 2.0")
    if float(version.text) != 2.0:  # noqa: PLR2004  # the version of the language
        refuse(
            version,
            "newer-version",
            f"The program is written in OpenQASM {version.text:.20}; version 2.0 is read here.",
            "Export it as OpenQASM 2.",
            {"version": version.text[:20]},
        )
    reader.take()
    reader.expect(";")


def _name(reader: Reader, what: str) -> Token:
    token = reader.expect_kind("name", what)
    if token.text in _RESERVED:
        refuse(
            token,
            "bad-syntax",
            f"{what} is needed, but {token.shown} is a word of the language.",
            "Choose another name, or check the statement before it for a missing ';'.",
        )
    return token


def _whole(reader: Reader, what: str) -> int:
    token = reader.expect_kind("whole", what)
    digits = token.text.lstrip("0") or "0"
    if len(digits) > MAX_DIGITS:
        refuse(
            token,
            "too-big",
            f"{token.shown} is too large for {what}.",
            f"Use at most {MAX_DIGITS} digits.",
        )
    return int(digits)


def _register(reader: Reader) -> Register:
    quantum = reader.take().text == "qreg"
    name = _name(reader, "A register's name")
    reader.expect("[")
    size = _whole(reader, "a register's size")
    reader.expect("]")
    reader.expect(";")
    return Register(name=name, size=size, quantum=quantum)


def _include(reader: Reader) -> Include:
    reader.take()
    token = reader.expect_kind("string", "A file's name in quotes")
    reader.expect(";")
    return Include(token=token, file=token.text[1:-1])


def _operand(reader: Reader) -> Operand:
    name = _name(reader, "A register's name")
    if not reader.skips("["):
        return Operand(name=name)
    place = _whole(reader, "a place in a register")
    reader.expect("]")
    return Operand(name=name, place=place)


def _formal(reader: Reader) -> Operand:
    return Operand(name=_name(reader, "A qubit's name"))


def _operands(reader: Reader, read: Callable[[Reader], Operand]) -> tuple[Operand, ...]:
    """One or more operands and the semicolon after them."""
    found = [read(reader)]
    while reader.skips(","):
        found.append(read(reader))
        if len(found) > MAX_OPERANDS:
            refuse(
                reader.next,
                "too-big",
                f"The statement has more than {MAX_OPERANDS} operands.",
                "Split it into parts.",
            )
    reader.expect(";")
    return tuple(found)


def _angles(reader: Reader, parameters: Collection[str]) -> tuple[Expression, ...]:
    """The angles in brackets, if there are any."""
    if not reader.skips("(") or reader.skips(")"):
        return ()
    found = [read_expression(reader, parameters)]
    while reader.skips(","):
        found.append(read_expression(reader, parameters))
    reader.expect(")")
    return tuple(found)


def _call(reader: Reader) -> Call:
    name = _name(reader, "A statement")
    angles = _angles(reader, ())
    return Call(name=name, angles=angles, operands=_operands(reader, _operand))


def _barrier(reader: Reader) -> Barrier:
    reader.take()
    return Barrier(operands=_operands(reader, _operand))


def _measurement(reader: Reader) -> Measurement:
    reader.take()
    source = _operand(reader)
    reader.expect("->")
    target = _operand(reader)
    reader.expect(";")
    return Measurement(source=source, target=target)


def _reset(reader: Reader) -> Reset:
    token = reader.take()
    operand = _operand(reader)
    reader.expect(";")
    return Reset(token=token, operand=operand)


def _conditional(reader: Reader) -> Conditional:
    token = reader.take()
    reader.expect("(")
    register = _name(reader, "A register's name")
    reader.expect("==")
    reader.expect_kind("whole", "A whole number")
    reader.expect(")")
    read = {"measure": _measurement, "reset": _reset}.get(reader.next.text, _call)
    read(reader)
    return Conditional(token=token, register=register)


def _formals(reader: Reader, what: str) -> tuple[str, ...]:
    """Names separated by commas, all different, in order."""
    found: dict[str, None] = {}
    while True:
        token = _name(reader, what)
        if token.text in found or token.text == "pi":
            refuse(
                token,
                "repeated-name",
                f"The name {token.shown} is already taken.",
                "Give every parameter and every qubit of a gate its own name.",
            )
        found[token.text] = None
        if not reader.skips(","):
            return tuple(found)


def _signature(reader: Reader) -> tuple[Token, tuple[str, ...], tuple[str, ...]]:
    """The name, the parameters and the qubits of a gate that is declared."""
    reader.take()
    name = _name(reader, "A gate's name")
    parameters: tuple[str, ...] = ()
    if reader.skips("(") and not reader.skips(")"):
        parameters = _formals(reader, "A parameter's name")
        reader.expect(")")
    return name, parameters, _formals(reader, "A qubit's name")


def _definition(reader: Reader) -> Definition:
    name, parameters, qubits = _signature(reader)
    known = dict.fromkeys(parameters)
    body: list[Call | Barrier] = []
    reader.expect("{")
    while not reader.skips("}"):
        if reader.skips("barrier"):
            body.append(Barrier(operands=_operands(reader, _formal)))
            continue
        gate = _name(reader, "A gate or '}'")
        angles = _angles(reader, known)
        body.append(Call(name=gate, angles=angles, operands=_operands(reader, _formal)))
    return Definition(name=name, parameters=parameters, qubits=qubits, body=tuple(body))


def _opaque(reader: Reader) -> Opaque:
    name, _parameters, _qubits = _signature(reader)
    reader.expect(";")
    return Opaque(name=name)


_STATEMENTS: dict[str, Callable[[Reader], Statement]] = {
    "qreg": _register,
    "creg": _register,
    "include": _include,
    "gate": _definition,
    "opaque": _opaque,
    "barrier": _barrier,
    "measure": _measurement,
    "reset": _reset,
    "if": _conditional,
}
