"""A state-vector simulator of OpenQASM 2 that shares nothing with the code it checks.

Its matrices are written out as numbers or built from exponentials of Pauli matrices; its reading is
a handful of regular expressions, good for well-formed programs only. Angles go through ``eval`` on
text of digits, ``pi``, operators and function names, which is why this lives in the tests.
"""

from __future__ import annotations

import math
import re
from functools import reduce
from typing import Any

import numpy as np

Matrix = np.ndarray[Any, Any]

PAULI = {
    "I": np.array([[1, 0], [0, 1]], dtype=complex),
    "X": np.array([[0, 1], [1, 0]], dtype=complex),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.array([[1, 0], [0, -1]], dtype=complex),
}
MATH = {"pi": math.pi, "ln": math.log} | {
    name: getattr(math, name) for name in ("sin", "cos", "tan", "exp", "sqrt")
}


def rotation(pauli: str, angle: float) -> Matrix:
    """exp(-i angle/2 P) for a Pauli string P, which squares to one."""
    p = reduce(np.kron, [PAULI[letter] for letter in pauli])
    return math.cos(angle / 2) * np.eye(len(p)) - 1j * math.sin(angle / 2) * p


def phase(angle: float) -> Matrix:
    return np.exp(0.5j * angle) * rotation("Z", angle)


def u3(theta: float, phi: float, lam: float) -> Matrix:
    """Rz(phi) Ry(theta) Rz(lam), with the global phase that makes the corner real."""
    euler = rotation("Z", phi) @ rotation("Y", theta) @ rotation("Z", lam)
    return np.exp(0.5j * (phi + lam)) * euler


def controlled(matrix: Matrix, n: int = 1) -> Matrix:
    """|1..1><1..1| (x) matrix + (1 - |1..1><1..1|) (x) 1."""
    ones = np.zeros((2**n, 2**n))
    ones[-1, -1] = 1
    return np.kron(ones, matrix) + np.kron(np.eye(2**n) - ones, np.eye(len(matrix)))


SQRT_X = np.exp(0.25j * math.pi) * rotation("X", math.pi / 2)
HADAMARD = (PAULI["X"] + PAULI["Z"]) / math.sqrt(2)
SWAP = sum(np.kron(PAULI[p], PAULI[p]) for p in "IXYZ") / 2

GATES: dict[str, Any] = {
    "U": u3, "u3": u3, "u": u3, "u1": phase, "p": phase,
    "u2": lambda phi, lam: u3(math.pi / 2, phi, lam),
    "u0": lambda _gamma: PAULI["I"],
    "id": lambda: PAULI["I"], "x": lambda: PAULI["X"], "y": lambda: PAULI["Y"],
    "z": lambda: PAULI["Z"], "h": lambda: HADAMARD,
    "s": lambda: np.diag([1, 1j]), "sdg": lambda: np.diag([1, -1j]),
    "t": lambda: phase(math.pi / 4), "tdg": lambda: phase(-math.pi / 4),
    "sx": lambda: SQRT_X, "sxdg": lambda: SQRT_X.conj().T,
    "rx": lambda a: rotation("X", a), "ry": lambda a: rotation("Y", a),
    "rz": lambda a: rotation("Z", a),
    "rxx": lambda a: rotation("XX", a), "rzz": lambda a: rotation("ZZ", a),
    "CX": lambda: controlled(PAULI["X"]), "cx": lambda: controlled(PAULI["X"]),
    "cy": lambda: controlled(PAULI["Y"]), "cz": lambda: controlled(PAULI["Z"]),
    "ch": lambda: controlled(HADAMARD), "csx": lambda: controlled(SQRT_X),
    "swap": lambda: SWAP, "cswap": lambda: controlled(SWAP),
    "crx": lambda a: controlled(rotation("X", a)), "cry": lambda a: controlled(rotation("Y", a)),
    "crz": lambda a: controlled(rotation("Z", a)),
    "cu1": lambda a: controlled(phase(a)), "cp": lambda a: controlled(phase(a)),
    "cu3": lambda a, b, c: controlled(u3(a, b, c)),
    "cu": lambda a, b, c, g: controlled(np.exp(1j * g) * u3(a, b, c)),
    "ccx": lambda: controlled(PAULI["X"], 2), "c3x": lambda: controlled(PAULI["X"], 3),
    "c4x": lambda: controlled(PAULI["X"], 4), "c3sqrtx": lambda: controlled(SQRT_X, 3),
}  # fmt: skip
"""Rows and columns count with the first qubit of the call as the highest bit."""

_DEFINITION = re.compile(r"gate\s+(\w+)\s*(?:\(([^)]*)\))?\s*([\w\s,]+?)\s*\{(.*?)\}", re.DOTALL)
_CALL = re.compile(r"(\w+)\s*(?:\((.*)\))?\s+(.*)", re.DOTALL)


def simulate(program: str) -> Matrix:
    """The state before measurement, shape ``(2,) * n``, qubit 0 on axis 0."""
    text = re.sub(r"//[^\n]*", "", program)
    bodies = {
        name: (_list(parameters), _list(qubits), body)
        for name, parameters, qubits, body in _DEFINITION.findall(text)
    }
    text = _DEFINITION.sub("", text)
    start: dict[str, tuple[int, int]] = {}
    n = 0
    for name, size in re.findall(r"qreg\s+(\w+)\s*\[(\d+)\]", text):
        start[name] = (n, int(size))
        n += int(size)
    state = np.zeros((2,) * n, dtype=complex)
    state[(0,) * n] = 1
    skipped = ("OPENQASM", "include", "qreg", "creg", "barrier", "measure")
    for statement in filter(None, map(str.strip, text.split(";"))):
        if not statement.startswith(skipped):
            state = _apply(state, statement, {}, start, bodies)
    return state


def _list(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _apply(
    state: Matrix, statement: str, names: dict[str, float], start: dict[str, Any], bodies: Any
) -> Matrix:
    match = _CALL.fullmatch(statement)
    assert match is not None, statement
    name, angles, operands = match.groups()
    values = [
        eval(angle.replace("^", "**"), {"__builtins__": {}}, MATH | names)
        for angle in _list(angles or "")
    ]
    places = [_qubits(operand, start) for operand in _list(operands)]
    for turn in range(max(map(len, places))):
        qubits = [place[turn % len(place)] for place in places]
        if name in bodies:
            parameters, formals, body = bodies[name]
            inner = {formal: (qubit, 1) for formal, qubit in zip(formals, qubits, strict=True)}
            for line in filter(None, map(str.strip, body.split(";"))):
                inside = dict(zip(parameters, values, strict=True))
                state = _apply(state, line, inside, inner, bodies)
        else:
            state = apply_matrix(state, GATES[name](*values), qubits)
    return state


def _qubits(operand: str, start: dict[str, tuple[int, int]]) -> list[int]:
    name, _, place = operand.partition("[")
    first, size = start[name.strip()]
    return [first + int(place.rstrip("] "))] if place else list(range(first, first + size))


def apply_matrix(state: Matrix, matrix: Matrix, qubits: list[int]) -> Matrix:
    """The state after a gate on these axes."""
    k = len(qubits)
    tensor = np.asarray(matrix).reshape((2,) * (2 * k))
    moved = np.tensordot(tensor, state, axes=(range(k, 2 * k), qubits))
    return np.moveaxis(moved, range(k), qubits)
