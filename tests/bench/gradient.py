"""What all gradients of a network cost, as a multiple of its value: MPS, PEPS patch, TTN, circuit.

    python3 build.py bench gradient [--quick]
    python tests/bench/gradient.py [--backend numpy|wasm] [--rounds N]

Value and gradients run in turns on each backend, with programs and arrays ready; the ratio is the
median over the rounds of paired times. ``wasm`` is wasmtime here. Multiply-adds can be at most
three times those of the value.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[2] / "app"), str(Path(__file__).parents[1])]

from report import MACHINE, keep, table, write_section  # noqa: E402  # after the path

from tensorloom.execute.backend import drive, no_pulse  # noqa: E402  # after the path
from tensorloom.execute.numpy_backend import NumpyBackend  # noqa: E402  # after the path
from tensorloom.kernels.gradient import lower_gradient  # noqa: E402  # after the path
from tensorloom.kernels.lower import lower  # noqa: E402  # after the path
from tensorloom.plan.find import plan_for  # noqa: E402  # after the path

if TYPE_CHECKING:
    from collections.abc import Callable

    from tensorloom.execute.backend import Backend
    from tensorloom.plan.tree import ContractionTree

HEADING = "Gradients"
MOST = 3.5
"""What the gradients may cost, the value included [times the value]."""

Inputs = tuple[tuple[str, ...], ...]


def mps(sites: int, bond: int) -> tuple[Inputs, dict[str, int]]:
    """The norm of a matrix product state: two chains, each site with its own tensors."""
    inputs = []
    for layer in "ab":
        for place in range(sites):
            ends = [f"{layer}{place}", f"{layer}{place + 1}"]
            bonds = ends[place == 0 : len(ends) - (place == sites - 1)]
            inputs.append((*bonds, f"p{place}"))
    return tuple(inputs), _sizes(inputs, bond, physical=2)


def peps(side: int, bond: int) -> tuple[Inputs, dict[str, int]]:
    """A square patch of four-legged tensors without physical legs, closed at its edges."""
    inputs = []
    for row in range(side):
        for column in range(side):
            legs = [
                *([f"v{row - 1}.{column}"] if row else []),
                *([f"v{row}.{column}"] if row < side - 1 else []),
                *([f"h{row}.{column - 1}"] if column else []),
                *([f"h{row}.{column}"] if column < side - 1 else []),
            ]
            inputs.append(tuple(legs))
    return tuple(inputs), _sizes(inputs, bond)


def ttn(depth: int, bond: int) -> tuple[Inputs, dict[str, int]]:
    """A binary tree with a vector at every leaf."""
    inputs: list[tuple[str, ...]] = []
    for level in range(depth):
        for node in range(2**level):
            children = (f"n{level + 1}.{2 * node}", f"n{level + 1}.{2 * node + 1}")
            inputs.append(children if level == 0 else (f"n{level}.{node}", *children))
    inputs += [(f"n{depth}.{leaf}",) for leaf in range(2**depth)]
    return tuple(inputs), _sizes(inputs, bond)


def circuit(qubits: int, layers: int) -> tuple[Inputs, dict[str, int]]:
    """One amplitude of a brick wall of two-qubit gates."""
    wires = [0] * qubits
    inputs: list[tuple[str, ...]] = [(f"q{qubit}.0",) for qubit in range(qubits)]
    for layer in range(layers):
        for left in range(layer % 2, qubits - 1, 2):
            before = [f"q{qubit}.{wires[qubit]}" for qubit in (left, left + 1)]
            wires[left] += 1
            wires[left + 1] += 1
            after = [f"q{qubit}.{wires[qubit]}" for qubit in (left, left + 1)]
            inputs.append((*after, *before))
    inputs += [(f"q{qubit}.{wires[qubit]}",) for qubit in range(qubits)]
    return tuple(inputs), _sizes(inputs, 2)


def _sizes(inputs: list[tuple[str, ...]], bond: int, *, physical: int = 2) -> dict[str, int]:
    names = dict.fromkeys(name for indices in inputs for name in indices)
    return {name: physical if name.startswith("p") else bond for name in names}


CASES = {
    "MPS norm, 24 sites, bond 64": mps(24, 64),
    "MPS norm, 40 sites, bond 8": mps(40, 8),
    "PEPS patch 5 x 5, bond 4": peps(5, 4),
    "tree, 64 leaves, bond 32": ttn(6, 32),
    "circuit, 12 qubits, 20 layers": circuit(12, 20),
}


def measured(backend: Backend, tree: ContractionTree, rounds: int) -> tuple[float, float, float]:
    """``(value [ms], gradients [ms], median of paired ratios)``."""
    generator = np.random.default_rng(1)
    sizes = dict(tree.dimensions)
    shapes = [tuple(sizes[name] for name in names) for names in tree.inputs]
    arrays = [generator.normal(size=shape) / np.prod(shape) ** 0.25 for shape in shapes]
    forward = lower(tree, "float64")
    both = lower_gradient(tree, "float64", tuple(range(len(arrays))))
    seeded = [*arrays, np.ones(())]
    calls: list[Callable[[], object]] = [
        lambda: drive(backend.run(forward, arrays, no_pulse)),
        lambda: drive(backend.run(both, seeded, no_pulse)),
    ]
    for call in calls * 3:
        call()
    times = [[_timed(call) for call in calls] for _ in range(rounds)]
    value, gradients = (statistics.median(column) for column in zip(*times, strict=True))
    return value, gradients, statistics.median(late / early for early, late in times)


def _timed(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return 1e3 * (perf_counter() - start)


def main() -> int:
    """The exit status: 1 if the gradients of a case cost too much."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--backend", choices=BACKENDS, help="this one alone, nothing written")
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--quick", action="store_true", help="the two fastest cases, no writing")
    given = options.parse_args()
    backends = {name: make() for name, make in BACKENDS.items() if given.backend in (name, None)}
    rows, worst = [], dict.fromkeys(backends, 0.0)
    for name, (inputs, dimensions) in _cases(quick=given.quick):
        tree = plan_for(inputs, (), tuple(dimensions.items())).tree
        work = lower_gradient(tree, "float64", tuple(range(len(inputs)))).mul_adds
        cells = [name, f"{work / lower(tree, 'float64').mul_adds:.2f}"]
        for where, backend in backends.items():
            value, gradients, ratio = measured(backend, tree, 3 if given.quick else given.rounds)
            cells += [f"{value:.3f}", f"{gradients:.3f}", f"{ratio:.2f}"]
            worst[where] = max(worst[where], ratio)
        rows.append(cells)
        print(*cells, sep=" | ", flush=True)
    said = ", ".join(f"{ratio:.2f} on {where}" for where, ratio in worst.items())
    words = (
        "Value and all gradients in float64, in turns, made by `python3 build.py bench gradient` "
        f"on {MACHINE}; wasm is wasmtime. Worst {said}, of at most {MOST} times the value."
    )
    print(words)
    if not given.quick and not given.backend:
        keep("gradient", worst)
        heads = ["network", "multiply-adds, times"]
        for where in backends:
            heads += [f"{where}: value [ms]", "gradients [ms]", "times"]
        write_section(HEADING, f"{words}\n\n{table(heads, rows)}")
    return int(max(worst.values()) > MOST)


def _cases(*, quick: bool) -> list[tuple[str, tuple[Inputs, dict[str, int]]]]:
    return list(CASES.items())[1:3] if quick else list(CASES.items())


def _wasm() -> Backend:
    from tensorloom.execute.wasm.backend import WasmBackend  # noqa: PLC0415  # the same
    from wasmtime_host import WasmtimeHost  # noqa: PLC0415  # a package that numpy needs not

    return WasmBackend(WasmtimeHost())


BACKENDS: dict[str, Callable[[], Backend]] = {"numpy": NumpyBackend, "wasm": _wasm}


if __name__ == "__main__":
    sys.exit(main())
