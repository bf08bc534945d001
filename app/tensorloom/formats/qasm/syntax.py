"""What an OpenQASM 2 program says, statement by statement, before anybody asks what it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorloom.formats.qasm.expression import Expression
    from tensorloom.formats.qasm.lexer import Token

__all__ = [
    "Barrier",
    "Call",
    "Conditional",
    "Definition",
    "Include",
    "Measurement",
    "Opaque",
    "Operand",
    "Register",
    "Reset",
    "Statement",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """``qreg name[size];`` or ``creg name[size];``."""

    name: Token
    size: int
    quantum: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Include:
    """``include "file";`` with the quotes taken off."""

    token: Token
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operand:
    """A whole register, or one place of it."""

    name: Token
    place: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """``gate(angles) operands;``."""

    name: Token
    angles: tuple[Expression, ...]
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Barrier:
    """``barrier operands;``."""

    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """``measure source -> target;``."""

    source: Operand
    target: Operand


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """``reset operand;``."""

    token: Token
    operand: Operand


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditional:
    """``if (register == value) statement``; the statement itself is read, but not kept."""

    token: Token
    register: Token


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """``gate name(parameters) qubits { body }``."""

    name: Token
    parameters: tuple[str, ...]
    qubits: tuple[str, ...]
    body: tuple[Call | Barrier, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """``opaque name(parameters) qubits;``: a gate without a body."""

    name: Token


Statement = (
    Register | Include | Call | Barrier | Measurement | Reset | Conditional | Definition | Opaque
)
