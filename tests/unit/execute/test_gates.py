from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import statevector
from tensorloom.errors import NetworkError
from tensorloom.execute.gates import gate_array
from tensorloom.model.gates import CONTROLLED, GATES, STATES

ANGLES = (0.3, -1.1, 2.5, 0.7)


def matrix_of(name: str, *angles: float, conjugate: bool = False) -> np.ndarray:
    array = gate_array(name, angles, conjugate=conjugate)
    size = 2 ** GATES[name].n_qubits
    return array.reshape(size, size)


def assert_equal(found: np.ndarray, expected: object) -> None:
    np.testing.assert_allclose(found, np.asarray(expected), rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", GATES)
def test_every_gate_has_its_shape_and_is_unitary(name: str) -> None:
    kind = GATES[name]
    angles = ANGLES[: kind.n_parameters]
    array = gate_array(name, angles)
    assert array.shape == (2,) * (2 * kind.n_qubits)
    assert array.dtype == np.complex128
    matrix = matrix_of(name, *angles)
    assert_equal(matrix @ matrix.conj().T, np.eye(len(matrix)))


@pytest.mark.parametrize("name", sorted(set(GATES) & set(statevector.GATES)))
def test_gates_equal_those_made_of_pauli_exponentials(name: str) -> None:
    angles = ANGLES[: GATES[name].n_parameters]
    assert_equal(matrix_of(name, *angles), statevector.GATES[name](*angles))


# Parameters, number of qubits, and bodies as in qelib1.inc.
BODIES = {
    "csx": ("", 2, "h b; cu1(pi/2) a,b; h b;"),
    "cy": ("", 2, "sdg b; cx a,b; s b;"),
    "swap": ("", 2, "cx a,b; cx b,a; cx a,b;"),
    "cswap": ("", 3, "cx c,b; ccx a,b,c; cx c,b;"),
    "crx": ("t", 2, "u1(pi/2) b; cx a,b; u3(-t/2,0,0) b; cx a,b; u3(t/2,-pi/2,0) b;"),
    "crz": ("t", 2, "u1(t/2) b; cx a,b; u1(-t/2) b; cx a,b;"),
    "cu1": ("t", 2, "u1(t/2) a; cx a,b; u1(-t/2) b; cx a,b; u1(t/2) b;"),
    "cu3": (
        "t,p,l",
        2,
        "u1((l+p)/2) a; u1((l-p)/2) b; cx a,b; u3(-t/2,0,-(p+l)/2) b; cx a,b; u3(t/2,p,0) b;",
    ),
    "rccx": ("", 3, "h c; t c; cx b,c; tdg c; cx a,c; t c; cx b,c; tdg c; h c;"),
    "rc3x": (
        "",
        4,
        (
            "h d; t d; cx c,d; tdg d; h d; cx a,d; t d; cx b,d; tdg d; cx a,d; t d; cx b,d; tdg d;"
            "h d; t d; cx c,d; tdg d; h d;"
        ),
    ),
}
BODIES_UP_TO_PHASE = {
    "rz": ("t", 1, "u1(t) a;"),
    "sx": ("", 1, "sdg a; h a; sdg a;"),
    "sxdg": ("", 1, "s a; h a; s a;"),
    "ch": ("", 2, "h b; sdg b; cx a,b; h b; t b; cx a,b; t b; h b; s b; x b; s a;"),
    "rzz": ("t", 2, "cx a,b; u1(t) b; cx a,b;"),
    "rxx": ("t", 2, "u3(pi/2,t,0) a; h b; cx a,b; u1(-t) b; cx a,b; h b; u2(-pi,pi-t) a;"),
}


def body_matrix(name: str, parameters: str, n: int, body: str) -> np.ndarray:
    """What a body multiplies to, column by column, by the simulator of the tests."""
    angles = ANGLES[: GATES[name].n_parameters]
    brackets = f"({','.join(map(str, angles))})" if angles else ""
    formals = f"({parameters})" if parameters else ""
    definition = f"gate g{formals} {','.join('abcd'[:n])} {{ {body} }} qreg q[{n}];"
    qubits = ",".join(f"q[{qubit}]" for qubit in range(n))
    columns = []
    for value in range(2**n):
        flips = "".join(f"x q[{q}];" for q in range(n) if value >> (n - 1 - q) & 1)
        state = statevector.simulate(f"{definition} {flips} g{brackets} {qubits};")
        columns.append(state.reshape(-1))
    return np.array(columns).T


@pytest.mark.parametrize("name", BODIES)
def test_gates_equal_what_their_header_bodies_multiply_to(name: str) -> None:
    angles = ANGLES[: GATES[name].n_parameters]
    assert_equal(matrix_of(name, *angles), body_matrix(name, *BODIES[name]))


@pytest.mark.parametrize("name", BODIES_UP_TO_PHASE)
def test_some_gates_equal_their_header_bodies_up_to_a_phase(name: str) -> None:
    angles = ANGLES[: GATES[name].n_parameters]
    matrix = matrix_of(name, *angles)
    body = body_matrix(name, *BODIES_UP_TO_PHASE[name])
    phase = np.trace(matrix.conj().T @ body) / len(matrix)
    assert abs(phase) == pytest.approx(1)
    assert abs(phase - 1) > 0.1
    np.testing.assert_allclose(phase * matrix, body, rtol=0, atol=2e-15)


def test_axes_are_outputs_then_inputs_with_the_control_first() -> None:
    cx = gate_array("cx")
    assert cx[1, 1, 1, 0] == 1
    assert cx[1, 0, 1, 1] == 1
    assert cx[0, 1, 0, 1] == 1
    assert np.count_nonzero(cx) == 4
    y = gate_array("y")
    assert y[0, 1] == -1j


def test_u_has_a_real_corner_and_rz_has_determinant_one() -> None:
    assert_equal(
        matrix_of("u3", math.pi / 2, 0.0, math.pi),
        np.array([[1, 1], [1, -1]]) * math.sqrt(0.5),
    )
    assert_equal(matrix_of("u1", math.pi / 2), [[1, 0], [0, 1j]])
    half = math.sqrt(0.5)
    expected = [[half * (1 - 1j), 0], [0, half * (1 + 1j)]]
    assert_equal(matrix_of("rz", math.pi / 2), expected)
    assert_equal(matrix_of("sx") @ matrix_of("sx"), [[0, 1], [1, 0]])


def test_conjugate_conjugates_every_element() -> None:
    assert_equal(matrix_of("s", conjugate=True), [[1, 0], [0, -1j]])
    assert_equal(matrix_of("ry", 0.4, conjugate=True), matrix_of("ry", 0.4))


def test_basis_states_have_one_axis() -> None:
    values = {name: gate_array(name).tolist() for name in STATES}
    assert values == {"ket0": [1, 0], "ket1": [0, 1], "bra0": [1, 0], "bra1": [0, 1]}


def test_arrays_are_new_each_time() -> None:
    gate_array("x")[:] = 7
    assert gate_array("x").tolist() == [[0, 1], [1, 0]]


def test_unknown_gate_is_refused_by_name() -> None:
    with pytest.raises(NetworkError) as caught:
        gate_array("warp")
    assert caught.value.code == "unknown-gate"
    assert caught.value.message == "There is no gate 'warp'."
    assert caught.value.hint == "Use a gate of qelib1.inc, or one of ket0, ket1, bra0, bra1."


@pytest.mark.parametrize(
    ("name", "angles", "message"),
    [
        ("rx", (), "The gate 'rx' cannot take the angles ()."),
        ("h", (0.5,), "The gate 'h' cannot take the angles (0.5)."),
        ("u2", (1.0, math.inf), "The gate 'u2' cannot take the angles (1, inf)."),
    ],
)
def test_wrong_angles_are_refused(name: str, angles: tuple[float, ...], message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        gate_array(name, angles)
    assert caught.value.code == "bad-gate-parameters"
    assert caught.value.message == message
    assert caught.value.hint == f"Give it {GATES[name].n_parameters} finite numbers [radians]."


@pytest.mark.parametrize("name", CONTROLLED)
def test_copy_dots_and_a_gate_with_controls_are_the_controlled_gate(name: str) -> None:
    base, controls = CONTROLLED[name]
    angles = ANGLES[: GATES[name].n_parameters]
    found = gate_array(base, angles, controls=controls)
    n = GATES[name].n_qubits
    assert found.ndim == controls + 2 * (n - controls)
    # A copy dot makes the out and the in index of its wire equal to the link.
    links, targets = range(controls), range(controls, 2 * n - controls)
    outs, ins = targets[: n - controls], targets[n - controls :]
    again = range(2 * n - controls, 2 * n)
    operands: list[Any] = [found, [*links, *targets]]
    for link, copy in zip(links, again, strict=True):
        operands += [np.eye(2), [link, copy]]
    whole = np.einsum(*operands, [*links, *outs, *again, *ins])
    np.testing.assert_array_equal(whole, gate_array(name, angles))


def test_controls_come_first_and_the_identity_is_where_they_are_not_all_one() -> None:
    array = gate_array("y", controls=2)
    assert array.shape == (2, 2, 2, 2)
    assert_equal(array[1, 1], [[0, -1j], [1j, 0]])
    for links in ((0, 0), (0, 1), (1, 0)):
        assert_equal(array[links], [[1, 0], [0, 1]])
    assert_equal(gate_array("y", controls=2, conjugate=True)[1, 1], [[0, 1j], [-1j, 0]])


def test_states_take_no_controls() -> None:
    with pytest.raises(NetworkError) as caught:
        gate_array("ket1", controls=2)
    assert caught.value.code == "bad-gate-controls"
    assert caught.value.message == "The basis state 'ket1' cannot have 2 controls."
    assert caught.value.hint == "Only gates can be controlled."
