"""Matrices of the gates and basis states that ``model.gates`` names.

Conventions. The first qubit of the call is the most significant bit of a matrix's row and column,
so controls come first. ``u(θ, φ, λ)`` has the real cos(θ/2) in its corner; ``rx``, ``ry``, ``rz``,
``rxx``, ``rzz`` have determinant 1 and ``sx`` squares to ``x``. This is what Qiskit computes with.
The paper's (arXiv:1707.03429) ``U`` differs by a global phase, and so do the bodies that
``qelib1.inc`` gives ``rz``, ``rxx``, ``rzz``, ``sx``, ``sxdg`` and ``ch``; all its other bodies
multiply to exactly the matrices below.
"""

from __future__ import annotations

from cmath import exp
from math import cos, pi, sin, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import NetworkError
from tensorloom.model.gates import GATES, STATES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["gate_array"]

Matrix = np.ndarray[Any, np.dtype[np.complex128]]


def gate_array(
    name: str, parameters: Sequence[float] = (), *, conjugate: bool = False, controls: int = 0
) -> NDArray[np.complex128]:
    """A new array of shape ``(2,) * (controls + n_axes)``, axes (controls, outs, ins).

    Args:
        name: A name in ``GATES`` or ``STATES``; ket and bra have one axis.
        parameters: Angles in the order of OpenQASM [radians].
        conjugate: Whether to take the complex conjugate.
        controls: Axes in front; where not all of them are 1 there is the identity.

    Raises:
        NetworkError: ``unknown-gate``, ``bad-gate-parameters`` or ``bad-gate-controls``.

    Example:
        >>> gate_array("cx").shape
        (2, 2, 2, 2)
        >>> gate_array("x", controls=1).tolist() == [[[1, 0], [0, 1]], [[0, 1], [1, 0]]]
        True
    """
    kind = GATES.get(name) or STATES.get(name)
    if kind is None:
        raise NetworkError(
            "unknown-gate",
            f"There is no gate '{name[:40]}'.",
            "Use a gate of qelib1.inc, or one of ket0, ket1, bra0, bra1.",
            values={"gate": name[:40]},
        )
    if len(parameters) != kind.n_parameters or not np.all(np.isfinite(parameters)):
        shown = ", ".join(f"{angle:.6g}" for angle in parameters[:6])
        raise NetworkError(
            "bad-gate-parameters",
            f"The gate '{name}' cannot take the angles ({shown}).",
            f"Give it {kind.n_parameters} finite numbers [radians].",
            values={"gate": name, "n_parameters": kind.n_parameters},
        )
    if controls and name in STATES:
        raise NetworkError(
            "bad-gate-controls",
            f"The basis state '{name}' cannot have {controls} control{'s' * (controls > 1)}.",
            "Only gates can be controlled.",
            values={"gate": name, "controls": controls},
        )
    matrix = _MATRICES[name](*parameters)
    if conjugate:
        matrix = matrix.conj()
    if controls:
        array = np.tile(np.eye(len(matrix), dtype=np.complex128), (2**controls, 1, 1))
        array[-1] = matrix
        matrix = array
    return matrix.reshape((2,) * (controls + kind.n_axes))


def _fixed(*rows: Sequence[complex]) -> Callable[[], Matrix]:
    """Maker of the matrix with these rows, a new one each time."""
    return np.array(rows, dtype=np.complex128).copy


def _phase(angle: float) -> Matrix:
    return np.array([[1, 0], [0, exp(1j * angle)]])


def _u(theta: float, phi: float, lam: float) -> Matrix:
    c, s = cos(theta / 2), sin(theta / 2)
    return np.array(
        [[c, -exp(1j * lam) * s], [exp(1j * phi) * s, exp(1j * phi) * exp(1j * lam) * c]]
    )


def _u2(phi: float, lam: float) -> Matrix:
    return _u(pi / 2, phi, lam)


def _rx(theta: float) -> Matrix:
    c, s = cos(theta / 2), sin(theta / 2)
    return np.array([[c, -1j * s], [-1j * s, c]])


def _ry(theta: float) -> Matrix:
    c, s = cos(theta / 2), sin(theta / 2)
    return np.array([[c, -s], [s, c]], dtype=np.complex128)


def _rz(theta: float) -> Matrix:
    return np.diag([exp(-0.5j * theta), exp(0.5j * theta)])


def _rxx(theta: float) -> Matrix:
    return cos(theta / 2) * np.eye(4) - 1j * sin(theta / 2) * np.fliplr(np.eye(4))


def _rzz(theta: float) -> Matrix:
    return _blocks(_rz(theta), _rz(-theta))


def _cu(theta: float, phi: float, lam: float, gamma: float) -> Matrix:
    return _controlled(exp(1j * gamma) * _u(theta, phi, lam))


def _blocks(*blocks: Matrix) -> Matrix:
    """The matrices along the diagonal: the leading qubits' values choose which one acts."""
    size = len(blocks[0])
    matrix = np.zeros((size * len(blocks), size * len(blocks)), dtype=np.complex128)
    for at, block in enumerate(blocks):
        matrix[at * size : (at + 1) * size, at * size : (at + 1) * size] = block
    return matrix


def _controlled(matrix: Matrix, n_controls: int = 1) -> Matrix:
    """The matrix where all leading ``n_controls`` qubits are 1, else the identity."""
    idle = np.eye(len(matrix), dtype=np.complex128)
    return _blocks(*[idle] * (2**n_controls - 1), matrix)


_I = np.eye(2, dtype=np.complex128)
_X = np.array([[0, 1], [1, 0]], dtype=np.complex128)
_Y = np.array([[0, -1j], [1j, 0]])
_Z = np.array([[1, 0], [0, -1]], dtype=np.complex128)
_H = np.array([[1, 1], [1, -1]]) * complex(sqrt(0.5))
_SX = np.array([[0.5 + 0.5j, 0.5 - 0.5j], [0.5 - 0.5j, 0.5 + 0.5j]])
_SWAP: Matrix = np.eye(4, dtype=np.complex128)[[0, 2, 1, 3]]

_MATRICES: Mapping[str, Callable[..., Matrix]] = {
    "ket0": _fixed([1, 0]),
    "ket1": _fixed([0, 1]),
    "bra0": _fixed([1, 0]),
    "bra1": _fixed([0, 1]),
    "id": _fixed(*_I),
    "u0": lambda _gamma: _I.copy(),
    "x": _fixed(*_X),
    "y": _fixed(*_Y),
    "z": _fixed(*_Z),
    "h": _fixed(*_H),
    "s": _fixed([1, 0], [0, 1j]),
    "sdg": _fixed([1, 0], [0, -1j]),
    "t": _fixed(*_phase(pi / 4)),
    "tdg": _fixed(*_phase(-pi / 4)),
    "sx": _fixed(*_SX),
    "sxdg": _fixed(*_SX.conj().T),
    "u1": _phase,
    "p": _phase,
    "rx": _rx,
    "ry": _ry,
    "rz": _rz,
    "u2": _u2,
    "u3": _u,
    "u": _u,
    "cx": _fixed(*_controlled(_X)),
    "cy": _fixed(*_controlled(_Y)),
    "cz": _fixed(*_controlled(_Z)),
    "ch": _fixed(*_controlled(_H)),
    "csx": _fixed(*_controlled(_SX)),
    "swap": _fixed(*_SWAP),
    "crx": lambda theta: _controlled(_rx(theta)),
    "cry": lambda theta: _controlled(_ry(theta)),
    "crz": lambda theta: _controlled(_rz(theta)),
    "cu1": lambda angle: _controlled(_phase(angle)),
    "cp": lambda angle: _controlled(_phase(angle)),
    "rxx": _rxx,
    "rzz": _rzz,
    "cu3": lambda theta, phi, lam: _controlled(_u(theta, phi, lam)),
    "cu": _cu,
    "ccx": _fixed(*_controlled(_X, 2)),
    "cswap": _fixed(*_controlled(_SWAP)),
    "rccx": _fixed(*_blocks(_I, _I, _Z, _Y)),
    "c3x": _fixed(*_controlled(_X, 3)),
    "c3sqrtx": _fixed(*_controlled(_SX, 3)),
    "rc3x": _fixed(*_blocks(_I, _I, _I, _I, _I, _I, 1j * _Z, 1j * _Y)),
    "c4x": _fixed(*_controlled(_X, 4)),
}
