"""Circuits in qsim's text against a state vector made of plain matrix products."""

from __future__ import annotations

from functools import reduce
from math import pi
from typing import TYPE_CHECKING

import numpy as np
import pytest

from statevector import HADAMARD, PAULI, SQRT_X, rotation
from tensorloom.errors import FileFormatError
from tensorloom.execute.arrays import ArrayStore, arrays_of
from tensorloom.formats import qsim
from tensorloom.formats.opening import open_text, sniff

if TYPE_CHECKING:
    from tensorloom.model.document import Document

PROJECTORS = (np.diag([1.0, 0.0]), np.diag([0.0, 1.0]))
FLIP = np.array([[0, 1], [0, 0]])

# Written out a second time, from exponentials where the format has numbers.
W = (PAULI["X"] + PAULI["Y"]) / np.sqrt(2)
ONE_QUBIT = {
    "id1": np.eye(2),
    "h": HADAMARD,
    "t": np.exp(0.125j * pi) * rotation("Z", pi / 4),
    "s": np.exp(0.25j * pi) * rotation("Z", pi / 2),
    "x": PAULI["X"],
    "y": PAULI["Y"],
    "z": PAULI["Z"],
    "x_1_2": SQRT_X,
    "y_1_2": np.exp(0.25j * pi) * rotation("Y", pi / 2),
    "hz_1_2": np.exp(0.25j * pi) * (np.eye(2) - 1j * W) / np.sqrt(2),
    "rx 0.3": rotation("X", 0.3),
    "ry 0.4": rotation("Y", 0.4),
    "rz 0.5": rotation("Z", 0.5),
    "rxy 0.6 0.7": rotation("Z", 0.7) @ rotation("X", 0.6) @ rotation("Z", -0.7),
}


def fsim(theta: float, phi: float) -> np.ndarray:
    """exp(-i theta (XX + YY)/2) times a phase where both qubits are 1."""
    swap = rotation("XX", theta) @ rotation("YY", theta)
    return swap @ np.diag([1, 1, 1, np.exp(-1j * phi)])


TWO_QUBITS = {
    "id2": np.eye(4),
    "cz": np.diag([1, 1, 1, -1]),
    "cnot": np.kron(PROJECTORS[0], np.eye(2)) + np.kron(PROJECTORS[1], PAULI["X"]),
    "sw": sum(np.kron(PAULI[p], PAULI[p]) for p in "IXYZ") / 2,
    "is": fsim(-pi / 2, 0),
    "fs 0.8 0.9": fsim(0.8, 0.9),
    "cp 1.1": np.diag([1, 1, 1, np.exp(1.1j)]),
}


def state_of(document: Document) -> np.ndarray:
    network = document.network
    names = {index.name: number for number, index in enumerate(network.indices)}
    operands: list[object] = []
    arrays = arrays_of(network, "complex128", ArrayStore())
    for tensor, array in zip(network.tensors, arrays, strict=True):
        operands += [array, [names[name] for name in tensor.indices]]
    found = np.einsum(*operands, [names[name] for name in network.output], optimize="greedy")  # type: ignore[call-overload]
    return np.asarray(found)


def on_qubits(matrix: np.ndarray, qubits: tuple[int, ...], n: int) -> np.ndarray:
    """A gate as a matrix on all qubits, qubit 0 highest, built from single entries."""
    total = np.zeros((2**n, 2**n), complex)
    side = range(len(matrix))
    for row in side:
        for column in side:
            factors = [np.eye(2)] * n
            for place, qubit in enumerate(qubits):
                shift = len(qubits) - 1 - place
                out, enters = row >> shift & 1, column >> shift & 1
                unit = np.zeros((2, 2))
                unit[out, enters] = 1
                factors[qubit] = unit
            total = total + matrix[row, column] * reduce(np.kron, factors)
    return total


def line(moment: int, name: str, qubits: tuple[int, ...]) -> str:
    word, *angles = name.split()
    return " ".join([str(moment), word, *map(str, qubits), *angles])


@pytest.mark.parametrize("name", ONE_QUBIT)
def test_a_gate_on_one_qubit_has_its_matrix(name: str) -> None:
    columns = []
    for bit in "01":
        flips = ["0 x 0"] if bit == "1" else []
        text = "\n".join(["1", *flips, line(1, name, (0,))])
        columns.append(state_of(qsim.read(text)))
    np.testing.assert_allclose(np.transpose(columns), ONE_QUBIT[name], atol=1e-15)


@pytest.mark.parametrize("qubits", [(0, 1), (1, 0)])
@pytest.mark.parametrize("name", TWO_QUBITS)
def test_a_gate_on_two_qubits_has_its_matrix(name: str, qubits: tuple[int, int]) -> None:
    columns = []
    for basis in ("00", "01", "10", "11"):
        flips = [f"0 x {qubit}" for qubit, bit in enumerate(basis) if bit == "1"]
        text = "\n".join(["2", *flips, line(1, name, qubits)])
        columns.append(state_of(qsim.read(text)).reshape(4))
    wanted = on_qubits(np.asarray(TWO_QUBITS[name]), qubits, 2)
    np.testing.assert_allclose(np.transpose(columns), wanted, atol=1e-15)


def random_circuit(seed: int, n: int = 5, moments: int = 9) -> tuple[str, np.ndarray]:
    """A circuit's text and its state, gate after gate on the whole state."""
    draw = np.random.default_rng(seed)
    lines, state = [str(n)], np.zeros(2**n, complex)
    state[0] = 1
    for moment in range(moments):
        free = [int(qubit) for qubit in draw.permutation(n)]
        while len(free) > 1:
            gates = TWO_QUBITS if draw.random() < 0.5 else ONE_QUBIT
            qubits = tuple(free.pop() for _ in range(2 if gates is TWO_QUBITS else 1))
            name = str(draw.choice(list(gates)))
            lines.append(line(moment, name, qubits))
            state = on_qubits(np.asarray(gates[name]), qubits, n) @ state
    return "\n".join(lines) + "\n", state


@pytest.mark.parametrize("seed", range(4))
def test_a_random_circuit_gives_its_state(seed: int) -> None:
    text, state = random_circuit(seed)
    np.testing.assert_allclose(state_of(qsim.read(text)).reshape(-1), state, atol=1e-13)


def test_an_outcome_gives_its_amplitude() -> None:
    text, state = random_circuit(7)
    amplitude = state_of(qsim.read(text, output="01101"))
    assert complex(amplitude) == pytest.approx(complex(state[0b01101]), abs=1e-14)


def test_the_format_is_recognised_by_its_first_two_lines() -> None:
    assert sniff("2\n0 hz_1_2 0\n") == "qsim"
    assert open_text("1\n0 h 0\n", name="bell.qsim").document.title == "bell"
    with pytest.raises(FileFormatError) as caught:
        sniff("2\n3\n")
    assert caught.value.code == "unknown-format"


@pytest.mark.parametrize(
    ("text", "code", "number"),
    [
        ("", "no-qubits", 1),
        ("0\n", "no-qubits", 1),
        ("1001\n", "no-qubits", 1),
        ("two\n0 h 0", "no-qubits", 1),
        ("2\n\n0 hadamard 0", "unknown-gate", 3),
        ("2\n0", "unknown-gate", 2),
        ("2\n0 h", "bad-gate-parameters", 2),
        ("2\n0 rz 0", "bad-gate-parameters", 2),
        ("2\n0 h 0 1", "bad-gate-parameters", 2),
        ("2\n0 h 2", "bad-gate-qubits", 2),
        ("2\n0 h -1", "bad-gate-qubits", 2),
        ("2\n0 cz 1 1", "repeated-qubit", 2),
        ("2\nx h 0", "bad-moment", 2),
        ("2\n1 h 0\n1 x 0", "bad-moment", 3),
        ("2\n0 rz 0 nan", "bad-angle", 2),
        ("2\n0 rz 0 1,5", "bad-angle", 2),
        ("999\n" + "0 h 0\n" * 20_000, "too-many-gates", 20_001),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, code: str, number: int) -> None:
    with pytest.raises(FileFormatError) as caught:
        qsim.read(text)
    assert caught.value.code == code
    assert caught.value.where.line == number
    assert caught.value.hint


def test_two_gates_at_once_on_a_qubit_are_told_apart() -> None:
    with pytest.raises(FileFormatError) as caught:
        qsim.read("3\n4 h 1\n2 x 1\n")
    assert caught.value.message == (
        "Qubit 1 has a gate at moment 4 already, and now one at moment 2."
    )


def test_a_wrong_outcome_is_refused() -> None:
    with pytest.raises(FileFormatError) as caught:
        qsim.read("2\n0 h 0\n", output="012")
    assert caught.value.code == "bad-output"
