"""The circuits of QASMBench at hand: the network's amplitudes against a state-vector simulation."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import opt_einsum
import pytest

from statevector import simulate
from tensorloom.execute.arrays import ArrayStore, arrays_of
from tensorloom.formats.qasm import read

if TYPE_CHECKING:
    from tensorloom.model.document import Document
    from tensorloom.model.recipe import DType

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "data" / "circuits"
NAMES = (
    "adder_n4", "basis_change_n3", "bell_n4", "bv_n19", "cat_state_n4", "fredkin_n3", "grover_n2",
    "ising_n10", "qaoa_n6", "qft_n18", "qft_n4", "teleportation_n3", "vqe_n4", "wstate_n3",
)  # fmt: skip
MAX_STATE_QUBITS = 10

# Rounding of a unitary circuit: each gate adds about one epsilon to amplitudes of size at most 1;
# the deepest circuit here has 783 gates, and 783 * 6e-8 = 5e-5 in the worst case, 2e-6 in a walk.
TOLERANCES: dict[DType, float] = {"complex128": 1e-12, "complex64": 1e-5}


def program(name: str) -> str:
    path = FOLDER / f"{name}.qasm"
    if not path.exists():
        pytest.skip(f"needs {name}.qasm of QASMBench in ../shared/data/circuits")
    return path.read_text()


def contract(document: Document, dtype: DType) -> np.ndarray[Any, Any]:
    """The value, by opt_einsum's greedy order on numpy arrays."""
    network = document.network
    numbers = {index.name: number for number, index in enumerate(network.indices)}
    operands: list[Any] = []
    arrays = arrays_of(network, dtype, ArrayStore())
    for tensor, array in zip(network.tensors, arrays, strict=True):
        operands += [array, [numbers[name] for name in tensor.indices]]
    output = [numbers[name] for name in network.output]
    return np.asarray(opt_einsum.contract(*operands, output, optimize="greedy"))


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", NAMES)
def test_amplitudes_match_the_state_vector(name: str, dtype: DType) -> None:
    text = program(name)
    state = simulate(text)
    draw = random.Random(name)
    likely = np.unravel_index(int(np.argmax(np.abs(state))), state.shape)
    outcomes = ["".join(map(str, likely)), "0" * state.ndim]
    outcomes += ["".join(draw.choice("01") for _ in range(state.ndim)) for _ in range(4)]
    for outcome in outcomes:
        found = contract(read(text, output=outcome), dtype)
        expected = state[tuple(map(int, outcome))]
        assert abs(complex(found) - expected) < TOLERANCES[dtype], outcome


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", NAMES)
def test_the_full_state_matches_with_qubit_0_first(name: str, dtype: DType) -> None:
    text = program(name)
    document = read(text)
    if len(document.network.output) > MAX_STATE_QUBITS:
        assert document.network.output_shape == (2,) * len(document.network.output)
        return
    found = contract(document, dtype)
    assert np.abs(found - simulate(text)).max() < TOLERANCES[dtype]
