"""Statements -> a circuit: gates with plain angles on numbered qubits, defined gates expanded.

A network has no classical bits. So measurements may only end a wire, and are dropped: what is
contracted is the state before them. A reset is dropped where the qubit still is |0>. Everything
else that needs classical bits is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

from tensorloom.errors import FileFormatError, Where
from tensorloom.formats.qasm.expression import evaluate
from tensorloom.formats.qasm.gate import (
    BUILT_IN,
    HEADER,
    Cost,
    Gate,
    GateUse,
    check_distinct,
    define,
    expand,
    gate_called,
)
from tensorloom.formats.qasm.lexer import FORMAT, Token, refuse
from tensorloom.formats.qasm.parser import statements
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
from tensorloom.model.document import MAX_TENSORS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_QUBITS", "Circuit", "read_circuit"]

MAX_QUBITS = 1000
"""Most qubits of a circuit."""

MAX_STEPS = 1_000_000
"""Most steps of expanding and arithmetic; keeps a short text from running for hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """Gates in order on qubits that start in |0>."""

    n_qubits: int
    gates: tuple[GateUse, ...]


def read_circuit(text: str) -> Circuit:
    """The circuit that a program describes.

    Raises:
        FileFormatError: What is wrong, with its line in ``where``.
    """
    program = _Program()
    for statement in statements(text):
        program.run(statement)
    if not program.n_qubits:
        raise FileFormatError(
            "no-qubits",
            "The program declares no qubits.",
            "Declare some, such as 'qreg q[2];'.",
            Where(file=FORMAT),
        )
    return Circuit(n_qubits=program.n_qubits, gates=tuple(program.uses))


@dataclass(slots=True)
class _Program:
    """What is known while a program is read.

    Args:
        gates: Gates by name; the program's own take the place of the header's.
        opaque: Names of gates without a matrix.
        registers: First number, and the declaration, by name.
        touched: Qubits that a gate has acted on.
        measured: Qubits whose wire has ended.
        uses: The circuit so far.
        cost: What it has taken.
        n_qubits: Qubits declared so far.
    """

    gates: dict[str, Gate] = field(default_factory=lambda: dict(BUILT_IN))
    opaque: set[str] = field(default_factory=set)
    registers: dict[str, tuple[int, Register]] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)
    measured: set[int] = field(default_factory=set)
    uses: list[GateUse] = field(default_factory=list)
    cost: Cost = field(default_factory=Cost)
    n_qubits: int = 0

    def run(self, statement: Statement) -> None:
        """Take one statement into account."""
        match statement:
            case Call():
                self._call(statement)
            case Definition():
                self.gates[statement.name.text] = define(statement, self.gates, self.opaque)
            case Register():
                self._declare(statement)
            case Include():
                self._include(statement)
            case Measurement():
                self._measure(statement)
            case Barrier() | Opaque():
                self._note(statement)
            case Reset():
                self._reset(statement)
            case Conditional():
                _refuse_conditional(statement)
            case _:
                assert_never(statement)

    def _note(self, statement: Barrier | Opaque) -> None:
        """Check what leaves no trace in the circuit."""
        if isinstance(statement, Opaque):
            self.opaque.add(statement.name.text)
            return
        for operand in statement.operands:
            self._resolve(operand, quantum=True)

    def _include(self, statement: Include) -> None:
        if statement.file.rpartition("/")[2] != "qelib1.inc":
            refuse(
                statement.token,
                "unknown-include",
                f"The file '{statement.file:.40}' is not at hand.",
                'Paste its gates into the program; only "qelib1.inc" is built in.',
            )
        for name, gate in HEADER.items():
            self.gates.setdefault(name, gate)

    def _declare(self, register: Register) -> None:
        name = register.name
        if name.text in self.registers:
            refuse(
                name,
                "repeated-name",
                f"The register {name.shown} is declared twice.",
                "Give every register its own name.",
            )
        self.registers[name.text] = (self.n_qubits, register)
        if not register.quantum:
            return
        self.n_qubits += register.size
        if self.n_qubits > MAX_QUBITS:
            refuse(
                name,
                "too-many-qubits",
                f"The program has {self.n_qubits} qubits so far; the most is {MAX_QUBITS}.",
                "Split it into parts.",
                {"count": self.n_qubits, "most": MAX_QUBITS},
            )
        self._spend(name, Cost())

    def _resolve(self, operand: Operand, *, quantum: bool) -> range:
        """The numbers of the qubits or bits that an operand stands for."""
        name = operand.name
        first, register = self.registers.get(name.text, (0, None))
        if register is None or register.quantum != quantum:
            what, word = ("qubits", "qreg") if quantum else ("classical bits", "creg")
            refuse(
                name,
                "unknown-register",
                f"There is no register of {what} named {name.shown}.",
                f"Declare it before, such as '{word} {name.text:.20}[2];'.",
            )
        if operand.place is None:
            return range(first, first + register.size)
        if operand.place >= register.size:
            refuse(
                name,
                "bad-place",
                f"{name.shown} has no place {operand.place}; its size is {register.size}.",
                "Places are counted from 0.",
                {"place": operand.place, "size": register.size},
            )
        return range(first + operand.place, first + operand.place + 1)

    def _call(self, call: Call) -> None:
        """Apply a gate, once per place where whole registers are given."""
        gate = gate_called(call, self.gates, self.opaque)
        ranges = [self._resolve(operand, quantum=True) for operand in call.operands]
        self._spend(call.name, Cost(steps=sum(map(len, call.angles))))
        angles = tuple(evaluate(angle, {}) for angle in call.angles)
        for turn in range(_turns(call, ranges)):
            qubits = tuple(
                numbers[0 if operand.place is not None else turn]
                for numbers, operand in zip(ranges, call.operands, strict=True)
            )
            check_distinct(call, qubits)
            self._spend(call.name, gate.cost)
            if not self.measured.isdisjoint(qubits):
                refuse(
                    call.name,
                    "measured-qubit",
                    f"The gate {call.name.shown} acts on a qubit that was measured before.",
                    "Only measurements at the end of a wire can be left out; move them there.",
                )
            self.touched.update(qubits)
            self.uses.extend(expand(gate, angles, qubits))

    def _spend(self, token: Token, cost: Cost) -> None:
        """Count what comes next; every qubit may yet get a tensor at both ends.

        Legs need no limit of their own: the tensors of a gate have at most five each on average.
        """
        self.cost = total = self.cost + cost
        bounds = (
            (total.tensors + 2 * self.n_qubits, MAX_TENSORS, "tensors"),
            (total.steps, MAX_STEPS, "steps to expand"),
        )
        for count, most, what in bounds:
            if count > most:
                refuse(
                    token,
                    "too-many-gates",
                    f"The circuit comes to more than {most} {what} here.",
                    "Split it into parts.",
                    {"most": most},
                )

    def _measure(self, statement: Measurement) -> None:
        source = self._resolve(statement.source, quantum=True)
        target = self._resolve(statement.target, quantum=False)
        if len(source) != len(target):
            refuse(
                statement.source.name,
                "register-sizes",
                f"{len(source)} qubits are measured into {len(target)} bits.",
                "Measure into as many bits.",
                {"qubits": len(source), "bits": len(target)},
            )
        self._spend(statement.source.name, Cost(steps=len(source)))
        self.measured.update(source)

    def _reset(self, statement: Reset) -> None:
        qubits = self._resolve(statement.operand, quantum=True)
        self._spend(statement.token, Cost(steps=len(qubits)))
        if not (self.touched | self.measured).isdisjoint(qubits):
            refuse(
                statement.token,
                "reset",
                "A qubit is reset after it was used, which no network of gates can express.",
                "Use a fresh qubit instead; qubits start as zero.",
            )


def _turns(call: Call, ranges: Sequence[range]) -> int:
    """How often a call is repeated: the size that all whole registers in it share.

    Raises:
        FileFormatError: ``register-sizes``.
    """
    sizes = {
        len(numbers): operand.name
        for numbers, operand in zip(ranges, call.operands, strict=True)
        if operand.place is None
    }
    if len(sizes) > 1:
        (size, name), (other, other_name) = list(sizes.items())[:2]
        refuse(
            call.name,
            "register-sizes",
            f"{name.shown} has size {size}, but {other_name.shown} has size {other}.",
            "Whole registers in one call must have the same size.",
            {"sizes": [size, other]},
        )
    return next(iter(sizes), 1)


def _refuse_conditional(statement: Conditional) -> None:
    refuse(
        statement.token,
        "classical-condition",
        f"'if' depends on the classical register {statement.register.shown}.",
        "Control the gate by the qubit before it is measured: 'if (c==1) x' becomes 'cx'.",
    )
