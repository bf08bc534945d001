"""Circuits in qsim's text: the number of qubits, then one gate per line with its moment.

    3
    0 h 0
    1 fs 0 2 1.5707963 0.5235988

A gate is one tensor with an out axis and an in axis for each of its qubits. Qubits start in |0>;
global phases are kept. Measurements and controlled or fused gates are refused.

Source: github.com/quantumlib/qsim, docs/input_format.md and lib/gates_qsim.h.
"""

from __future__ import annotations

from cmath import exp as cexp
from dataclasses import dataclass
from math import cos, isfinite, pi, sin, sqrt
from string import ascii_letters
from typing import TYPE_CHECKING

from tensorloom.errors import FileFormatError, Where
from tensorloom.model.diagram import MAX_COORDINATE, Diagram, Mark
from tensorloom.model.document import MAX_TENSORS, MAX_TITLE_LENGTH, Document
from tensorloom.model.gates import STATES
from tensorloom.model.index import Index
from tensorloom.model.network import Network
from tensorloom.model.recipe import GateArray, InlineArray
from tensorloom.model.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tensorloom.model.recipe import ArrayRecipe

__all__ = ["FORMAT", "Gate", "is_qsim", "read", "read_circuit"]

FORMAT = "qsim"
MAX_QUBITS = 1000
SPACING = 92
"""Distance of neighbouring moments and wires [pixels]."""

_HALF = (1 + 1j) / 2
_ROOT = 1 / sqrt(2)

Matrix = tuple[tuple[complex, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A gate of the format.

    Args:
        label: What a diagram writes on it.
        n_qubits: Qubits it acts on.
        n_angles: Parameters it takes [radians].
        matrix: Its matrix, rows and columns counted with the first qubit's bit highest.
    """

    label: str
    n_qubits: int
    n_angles: int
    matrix: Callable[..., Matrix]


def _fixed(*rows: tuple[complex, ...]) -> Callable[[], Matrix]:
    return lambda: rows


def _diagonal(*entries: complex) -> Matrix:
    n = len(entries)
    return tuple(
        tuple(entries[row] if row == column else 0j for column in range(n)) for row in range(n)
    )


def _rotation(phase: float) -> Callable[[float], Matrix]:
    """A half turn by an angle about an axis of the equator, ``phase`` from X."""
    return lambda theta: _rxy(theta, phase)


def _rxy(theta: float, phi: float) -> Matrix:
    c, s = cos(theta / 2), sin(theta / 2)
    return (c, -1j * cexp(-1j * phi) * s), (-1j * cexp(1j * phi) * s, c)


def _rz(phi: float) -> Matrix:
    return _diagonal(cexp(-0.5j * phi), cexp(0.5j * phi))


def _fsim(theta: float, phi: float) -> Matrix:
    c, s = cos(theta), -1j * sin(theta)
    return (1, 0, 0, 0), (0, c, s, 0), (0, s, c, 0), (0, 0, 0, cexp(-1j * phi))


_KINDS: dict[str, _Kind] = {
    name: _Kind(label=label, n_qubits=n_qubits, n_angles=n_angles, matrix=matrix)
    for name, label, n_qubits, n_angles, matrix in (
        ("id1", "I", 1, 0, _fixed((1, 0), (0, 1))),
        ("h", "H", 1, 0, _fixed((_ROOT, _ROOT), (_ROOT, -_ROOT))),
        ("t", "T", 1, 0, lambda: _diagonal(1, cexp(0.25j * pi))),
        ("s", "S", 1, 0, _fixed((1, 0), (0, 1j))),
        ("x", "X", 1, 0, _fixed((0, 1), (1, 0))),
        ("y", "Y", 1, 0, _fixed((0, -1j), (1j, 0))),
        ("z", "Z", 1, 0, _fixed((1, 0), (0, -1))),
        ("x_1_2", "√X", 1, 0, _fixed((_HALF, _HALF.conjugate()), (_HALF.conjugate(), _HALF))),
        ("y_1_2", "√Y", 1, 0, _fixed((_HALF, -_HALF), (_HALF, _HALF))),
        ("hz_1_2", "√W", 1, 0, _fixed((_HALF, -1j * _ROOT), (_ROOT, _HALF))),
        ("rx", "R_x", 1, 1, _rotation(0.0)),
        ("ry", "R_y", 1, 1, _rotation(pi / 2)),
        ("rz", "R_z", 1, 1, _rz),
        ("rxy", "R_xy", 1, 2, _rxy),
        ("id2", "I", 2, 0, lambda: _diagonal(1, 1, 1, 1)),
        ("cz", "CZ", 2, 0, lambda: _diagonal(1, 1, 1, -1)),
        ("cnot", "CX", 2, 0, _fixed((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 1), (0, 0, 1, 0))),
        ("sw", "SWAP", 2, 0, _fixed((1, 0, 0, 0), (0, 0, 1, 0), (0, 1, 0, 0), (0, 0, 0, 1))),
        ("is", "iSWAP", 2, 0, _fixed((1, 0, 0, 0), (0, 0, 1j, 0), (0, 1j, 0, 0), (0, 0, 0, 1))),
        ("fs", "fSim", 2, 2, _fsim),
        ("cp", "CP", 2, 1, lambda phi: _diagonal(1, 1, 1, cexp(1j * phi))),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One gate of a circuit.

    Args:
        moment: When it acts.
        label: What a diagram writes on it.
        qubits: On which.
        matrix: Its matrix, rows and columns counted with the first qubit's bit highest.
    """

    moment: int
    label: str
    qubits: tuple[int, ...]
    matrix: Matrix


def is_qsim(text: str) -> bool:
    """Whether a text begins like a circuit: a number alone, then a moment and a gate's name."""
    lines = [line.split() for line in text[:4096].splitlines() if line.strip()][:2]
    return (
        len(lines) == 2  # noqa: PLR2004  # the first two lines
        and len(lines[0]) == 1
        and lines[0][0].isdigit()
        and len(lines[1]) >= 3  # noqa: PLR2004  # moment, gate, qubit
        and lines[1][0].isdigit()
        and lines[1][1] in _KINDS
    )


def read_circuit(text: str) -> tuple[int, tuple[Gate, ...]]:
    """The number of qubits, and the gates in order.

    Raises:
        FileFormatError: What is wrong, with its line in ``where``.
    """
    numbered = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, words) for number, words in numbered if words]
    if not lines or len(lines[0][1]) != 1 or not _is_whole(lines[0][1][0], MAX_QUBITS):
        raise _error(
            "no-qubits",
            "The first line is not the number of qubits.",
            f"Begin with a whole number from 1 to {MAX_QUBITS}.",
            lines[0][0] if lines else 1,
        )
    n_qubits = int(lines[0][1][0])
    if n_qubits < 1:
        raise _error(
            "no-qubits", "The circuit has 0 qubits.", "Begin with at least 1.", lines[0][0]
        )
    if len(lines) + 2 * n_qubits > MAX_TENSORS:
        raise _error(
            "too-many-gates",
            f"The circuit has {len(lines) - 1} gates on {n_qubits} qubits; a document holds "
            f"{MAX_TENSORS} tensors.",
            "Split it into parts.",
            lines[-1][0],
        )
    gates: list[Gate] = []
    busy: dict[int, int] = {}
    for number, words in lines[1:]:
        gate = _gate(words, n_qubits, number)
        for qubit in gate.qubits:
            if busy.get(qubit, -1) >= gate.moment:
                raise _error(
                    "bad-moment",
                    f"Qubit {qubit} has a gate at moment {busy[qubit]} already, and now one at "
                    f"moment {gate.moment}.",
                    "Write gates in the order of their moments, one per qubit and moment.",
                    number,
                )
            busy[qubit] = gate.moment
        gates.append(gate)
    return n_qubits, tuple(gates)


def _gate(words: Sequence[str], n_qubits: int, line: int) -> Gate:
    name = words[1] if len(words) > 1 else ""
    kind = _KINDS.get(name)
    if kind is None:
        raise _error(
            "unknown-gate",
            f"{name!r:.40} is no gate that is read from qsim's format.",
            f"The gates are {', '.join(_KINDS)}.",
            line,
        )
    if len(words) != 2 + kind.n_qubits + kind.n_angles:
        raise _error(
            "bad-gate-parameters",
            f"The gate '{name}' stands with {max(0, len(words) - 2)} numbers; it takes "
            f"{kind.n_qubits} qubits and {kind.n_angles} angles.",
            "Write: moment, gate, qubits, angles.",
            line,
        )
    if not _is_whole(words[0], 10**9):
        raise _error(
            "bad-moment", f"{words[0]!r:.40} is no moment.", "Use whole numbers from 0.", line
        )
    qubits = words[2 : 2 + kind.n_qubits]
    for word in qubits:
        if not _is_whole(word, n_qubits - 1):
            raise _error(
                "bad-gate-qubits",
                f"{word!r:.40} is no qubit of this circuit, which has {n_qubits}.",
                f"Use 0 to {n_qubits - 1}.",
                line,
            )
    places = tuple(int(word) for word in qubits)
    if len(set(places)) < len(places):
        raise _error(
            "repeated-qubit",
            f"The gate '{name}' acts on qubit {places[0]} twice.",
            "Give it two different qubits.",
            line,
        )
    return Gate(
        moment=int(words[0]),
        label=kind.label,
        qubits=places,
        matrix=kind.matrix(*(_angle(word, line) for word in words[2 + kind.n_qubits :])),
    )


def _is_whole(word: str, most: int) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 12 and int(word) <= most  # noqa: PLR2004


def _angle(word: str, line: int) -> float:
    try:
        value = float(word)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise _error("bad-angle", f"{word!r:.40} is no angle.", "Use a decimal number.", line)
    return value


def read(text: str, *, output: str = "state", name: str = "") -> Document:
    """The circuit as a document, contracted in complex128.

    Args:
        text: The circuit.
        output: ``state`` for the full state, one open wire per qubit, qubit 0 first; or zeros and
            ones, one per qubit, for the amplitude of that outcome.
        name: Name of the file; becomes the title.

    Raises:
        FileFormatError: What cannot be read, with the line in ``where``.

    Example:
        >>> document = read(chr(10).join(["2", "0 h 0", "1 cnot 0 1"]))
        >>> [tensor.name for tensor in document.network.tensors]
        ['|0⟩', '|0⟩', 'H', 'CX']
    """
    n_qubits, gates = read_circuit(text)
    if output != "state" and (len(output) != n_qubits or not set(output) <= {"0", "1"}):
        raise FileFormatError(
            "bad-output",
            f"The output '{output:.40}' is not an outcome of {n_qubits} qubits.",
            f"Use 'state', or {n_qubits} zeros and ones with qubit 0 first.",
            Where(file=FORMAT),
            {"n_qubits": n_qubits},
        )
    printable = "".join(letter for letter in name if letter.isprintable())
    title = printable.removesuffix(".qsim")[:MAX_TITLE_LENGTH] or "Circuit"
    return _document(n_qubits, gates, "" if output == "state" else output, title)


def _document(n_qubits: int, gates: Sequence[Gate], ends: str, title: str) -> Document:
    """Kets, gates and, for an outcome, bras; drawn by moment and qubit."""
    steps = [0] * n_qubits
    tensors: list[Tensor] = []
    places: list[tuple[float, float]] = []
    columns = {moment: n for n, moment in enumerate(sorted({g.moment for g in gates}), 1)}

    def wire(qubit: int) -> str:
        return f"q{qubit}_{steps[qubit]}"

    def put(
        recipe: ArrayRecipe, label: str, indices: tuple[str, ...], column: int, row: float
    ) -> None:
        tensors.append(Tensor(id=f"t{len(tensors) + 1}", name=label, indices=indices, array=recipe))
        places.append((column, row))

    for qubit in range(n_qubits):
        put(GateArray(name="ket0"), STATES["ket0"].label, (wire(qubit),), 0, qubit)
    for gate in gates:
        entering = [wire(qubit) for qubit in gate.qubits]
        for qubit in gate.qubits:
            steps[qubit] += 1
        leaving = [wire(qubit) for qubit in gate.qubits]
        row = sum(gate.qubits) / len(gate.qubits)
        put(_recipe(gate), gate.label, (*leaving, *entering), columns[gate.moment], row)
    for qubit, bit in enumerate(ends):
        put(
            GateArray(name=f"bra{bit}"),
            STATES[f"bra{bit}"].label,
            (wire(qubit),),
            len(columns) + 1,
            qubit,
        )
    long_names = dict.fromkeys(name for tensor in tensors for name in tensor.indices)
    # Letters for all indices, if there are enough: so the equation reads well.
    names = dict(zip(long_names, ascii_letters, strict=False))
    if len(names) < len(long_names):
        names = {name: name for name in long_names}
    network = Network(
        tensors=tuple(
            Tensor(
                id=tensor.id,
                name=tensor.name,
                indices=tuple(names[index] for index in tensor.indices),
                array=tensor.array,
            )
            for tensor in tensors
        ),
        indices=tuple(Index(name=name, dimension=2) for name in names.values()),
        output=() if ends else tuple(names[wire(qubit)] for qubit in range(n_qubits)),
    )
    spacing = min(SPACING, MAX_COORDINATE / (len(columns) + n_qubits + 2))
    marks = {
        tensor.id: Mark(
            x=round(x * spacing),
            y=round(y * spacing),
            shape="square" if len(tensor.indices) > 1 else "none",
        )
        for tensor, (x, y) in zip(tensors, places, strict=True)
    }
    return Document(title=title, dtype="complex128", network=network, diagram=Diagram(marks=marks))


def _recipe(gate: Gate) -> InlineArray:
    values = tuple(
        part
        for row in gate.matrix
        for entry in row
        for part in (complex(entry).real, complex(entry).imag)
    )
    return InlineArray(values=values, shape=(2,) * (2 * len(gate.qubits)), complex=True)


def _error(code: str, message: str, hint: str, line: int) -> FileFormatError:
    return FileFormatError(code, message, hint, Where(line=line, file=FORMAT))
