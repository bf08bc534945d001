"""Circuits of QASMBench, where at hand, and random ones, against a state-vector simulation.

Tolerances: a network of unitary gates multiplies each rounding by at most 1, and the deepest
circuit here has 783 gates. In a random walk that is sqrt(783) = 28 epsilons: 6e-15 in double and
3e-6 in single precision.
"""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from statevector import GATES as SIMULATED
from statevector import simulate
from tensorloom.execute.arrays import ArrayStore, arrays_of
from tensorloom.execute.backend import drive
from tensorloom.execute.run import prepare, run
from tensorloom.formats.qasm import read
from tensorloom.model.gates import GATES
from tensorloom.plan.find import quick

if TYPE_CHECKING:
    from tensorloom.execute.backend import Backend
    from tensorloom.model.document import Document
    from tensorloom.model.recipe import DType

FOLDER = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "circuits"
NAMES = (
    "adder_n4", "basis_change_n3", "bell_n4", "bv_n19", "cat_state_n4", "fredkin_n3", "grover_n2",
    "ising_n10", "qaoa_n6", "qft_n18", "qft_n4", "teleportation_n3", "vqe_n4", "wstate_n3",
)  # fmt: skip
MAX_STATE_QUBITS = 10
TOLERANCES: dict[DType, float] = {"complex128": 1e-12, "complex64": 1e-5}


def program(name: str) -> str:
    path = FOLDER / f"{name}.qasm"
    if not path.exists():
        pytest.skip(f"needs {name}.qasm of QASMBench in ../shared/data/circuits")
    return path.read_text()


simulated = cache(simulate)


def contract(backend: Backend, document: Document, dtype: DType) -> np.ndarray[Any, Any]:
    """The value, through the engine on one backend."""
    if dtype not in backend.dtypes:
        pytest.skip(f"{backend.name} does not compute in {dtype}")
    plan = quick(document.network)
    arrays = arrays_of(document.network, dtype, ArrayStore())
    choice = prepare(plan, backends={backend.name: backend}, backend=backend.name, dtype=dtype)
    found = drive(run(choice, arrays))
    assert (found.backend, found.dtype) == (backend.name, dtype)
    return np.asarray(found.value * 10.0**found.log10_scale)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", NAMES)
def test_amplitudes_match_the_state_vector(backend: Backend, name: str, dtype: DType) -> None:
    text = program(name)
    state = simulated(text)
    likely = np.unravel_index(int(np.argmax(np.abs(state))), state.shape)
    draw = random.Random(name)
    for outcome in (
        "".join(map(str, likely)),
        "0" * state.ndim,
        "".join(draw.choice("01") for _ in range(state.ndim)),
    ):
        found = contract(backend, read(text, output=outcome), dtype)
        expected = state[tuple(map(int, outcome))]
        assert abs(complex(found) - expected) < TOLERANCES[dtype], outcome


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", NAMES)
def test_full_states_match_with_qubit_0_first(backend: Backend, name: str, dtype: DType) -> None:
    text = program(name)
    document = read(text)
    if len(document.network.output) > MAX_STATE_QUBITS:
        assert document.network.output_shape == (2,) * len(document.network.output)
        return
    found = contract(backend, document, dtype)
    assert np.abs(found - simulated(text)).max() < TOLERANCES[dtype]


def random_program(seed: int) -> str:
    """Gates of the header and a defined one, forty each, on five qubits in two registers."""
    draw = random.Random(seed)
    names = sorted(set(GATES) & set(SIMULATED))
    qubits = ["p[0]", "p[1]", "q[0]", "q[1]", "q[2]"]
    lines = [
        'include "qelib1.inc"; qreg p[2]; qreg q[3];',
        "gate mix(a, b) u, v { u3(a/2, b-a, -b) v; cp(a*b) u, v; sx u; } h p; u2(0.2, -pi/3) q;",
    ]
    for _ in range(40):
        name = draw.choice(names)
        angles = ", ".join(f"{draw.uniform(-4, 4):.6f}" for _ in range(GATES[name].n_parameters))
        operands = ",".join(draw.sample(qubits, GATES[name].n_qubits))
        lines.append(f"{name}({angles}) {operands};")
        lines.append(f"mix({draw.uniform(-4, 4):.6f}, 2) {','.join(draw.sample(qubits, 2))};")
    return "\n".join(lines)


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_random_circuits_match_the_state_vector(backend: Backend, dtype: DType) -> None:
    for seed in range(3):
        text = random_program(seed)
        state = simulated(text)
        found = contract(backend, read(text), dtype)
        assert np.abs(found - state).max() < TOLERANCES[dtype], seed
        amplitude = contract(backend, read(text, output="01101"), dtype)
        assert abs(complex(amplitude) - state[0, 1, 1, 0, 1]) < TOLERANCES[dtype], seed
