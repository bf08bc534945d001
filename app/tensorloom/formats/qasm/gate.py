"""What a gate's name stands for, and expanding a defined gate into gates of the table.

A definition is resolved when it is read: its body points at gates, not at names, so there are no
cycles and what is defined later changes nothing. Its cost is known before it is expanded.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from tensorloom.formats.qasm.expression import Expression, evaluate
from tensorloom.formats.qasm.lexer import refuse
from tensorloom.formats.qasm.syntax import Barrier, Call, Definition
from tensorloom.model.gates import GATES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

__all__ = [
    "BUILT_IN",
    "HEADER",
    "Cost",
    "Gate",
    "GateUse",
    "check_distinct",
    "define",
    "expand",
    "gate_called",
]

MAX_COST = 10_000_000
"""Where costs stop growing; far above every limit they are compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateUse:
    """One gate of the table at work.

    Args:
        name: A name in ``GATES``.
        angles: Its parameters [radians].
        qubits: What it acts on, numbered from 0 in order of declaration.
    """

    name: str
    angles: tuple[float, ...]
    qubits: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What expanding a gate takes, each at most ``MAX_COST``.

    Args:
        tensors: Tensors it is drawn with.
        steps: Gates looked at and steps of arithmetic.
    """

    tensors: int = 0
    steps: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            tensors=min(self.tensors + other.tensors, MAX_COST),
            steps=min(self.steps + other.steps, MAX_COST),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A gate that can be called.

    Args:
        name: Its name in ``GATES`` if it has no body.
        parameters: Names of its parameters.
        n_qubits: Qubits it acts on.
        body: Inner gates, their angles, and the places of their qubits among ours; ``None`` for a
            gate of the table.
        cost: Of expanding it once.
    """

    name: str
    parameters: tuple[str, ...]
    n_qubits: int
    body: tuple[tuple[Gate, tuple[Expression, ...], tuple[int, ...]], ...] | None
    cost: Cost


def _of_table(name: str) -> Gate:
    kind = GATES[name]
    return Gate(
        name=name,
        parameters=("",) * kind.n_parameters,
        n_qubits=kind.n_qubits,
        body=None,
        # One on each wire: itself, dots of controls, ends of links; ``cu`` also has a phase.
        cost=Cost(tensors=kind.n_qubits + (name == "cu"), steps=1),
    )


BUILT_IN: Mapping[str, Gate] = MappingProxyType({"U": _of_table("u"), "CX": _of_table("cx")})
"""Gates of the language itself."""

HEADER: Mapping[str, Gate] = MappingProxyType({name: _of_table(name) for name in GATES})
"""Gates that ``include "qelib1.inc";`` adds."""


def gate_called(call: Call, known: Mapping[str, Gate], opaque: Collection[str] = ()) -> Gate:
    """The gate that a call names, checked to take the angles and qubits given.

    Raises:
        FileFormatError: ``unknown-gate``, ``opaque-gate``, ``bad-gate-parameters`` or
            ``bad-gate-qubits``.
    """
    name, gate = call.name, known.get(call.name.text)
    if gate is None and name.text in opaque:
        refuse(
            name,
            "opaque-gate",
            f"The gate {name.shown} is declared opaque, so nobody knows its matrix.",
            "Give it a body: gate name(parameters) qubits { ... }.",
        )
    if gate is None:
        missing = name.text in HEADER
        refuse(
            name,
            "unknown-gate",
            f"The gate {name.shown} is not known.",
            'Add the line: include "qelib1.inc";'
            if missing
            else "Define it before it is used; capital letters count.",
        )
    counts = (
        (len(call.angles), len(gate.parameters), "bad-gate-parameters", "takes", "angle"),
        (len(call.operands), gate.n_qubits, "bad-gate-qubits", "acts on", "qubit"),
    )
    for given, wanted, code, verb, what in counts:
        if given != wanted:
            refuse(
                name,
                code,
                f"The gate {name.shown} {verb} {wanted} {what}{'s' * (wanted != 1)}, "
                f"but {given} {'is' if given == 1 else 'are'} given.",
                f"Give it {wanted}.",
                {"given": given, "wanted": wanted},
            )
    return gate


def check_distinct(call: Call, qubits: Sequence[int]) -> None:
    """Nothing, when no qubit is given twice.

    Raises:
        FileFormatError: ``repeated-qubit``.
    """
    if len(set(qubits)) != len(qubits):
        refuse(
            call.name,
            "repeated-qubit",
            f"The gate {call.name.shown} is given the same qubit twice.",
            "Give it different qubits.",
        )


def define(definition: Definition, known: Mapping[str, Gate], opaque: Collection[str]) -> Gate:
    """The gate that a definition makes of the gates known before it.

    Raises:
        FileFormatError: ``unknown-register`` for a qubit that is not its own, ``repeated-qubit``,
            or what ``gate_called`` raises.
    """
    places = {name: place for place, name in enumerate(definition.qubits)}
    body = []
    cost = Cost(steps=1)
    for item in definition.body:
        for operand in item.operands:
            if operand.name.text not in places:
                refuse(
                    operand.name,
                    "unknown-register",
                    f"{operand.name.shown} is not a qubit of the gate.",
                    f"Its qubits: {', '.join(places):.200}.",
                )
        if isinstance(item, Barrier):
            continue
        gate = gate_called(item, known, opaque)
        at = tuple(places[operand.name.text] for operand in item.operands)
        check_distinct(item, at)
        body.append((gate, item.angles, at))
        cost = cost + gate.cost + Cost(steps=sum(map(len, item.angles)))
    return Gate(
        name=definition.name.text,
        parameters=definition.parameters,
        n_qubits=len(places),
        body=tuple(body),
        cost=cost,
    )


def expand(gate: Gate, angles: tuple[float, ...], qubits: tuple[int, ...]) -> Iterator[GateUse]:
    """The gates of the table that a call comes to, in order; a stack takes the place of recursion.

    Raises:
        FileFormatError: ``bad-angle``.
    """
    stack = [(gate, angles, qubits)]
    while stack:
        gate, angles, qubits = stack.pop()
        if gate.body is None:
            yield GateUse(name=gate.name, angles=angles, qubits=qubits)
            continue
        values = dict(zip(gate.parameters, angles, strict=True))
        for inner, expressions, places in reversed(gate.body):
            found = tuple(evaluate(expression, values) for expression in expressions)
            stack.append((inner, found, tuple(qubits[place] for place in places)))
