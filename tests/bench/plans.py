"""Whole networks for the benchmarks of predictions and placement: what the page opens them from.

Circuits as in ``circuits``, and networks of the shapes that people contract: a sandwich of matrix
product states, a patch of PEPS, a tree, and the files of ``shared/data`` that fit where they exist.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

from circuits import DATA, random_circuit

from tensorloom.formats.qasm import read
from tensorloom.plan.find import plan_for, quick

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cases import Case

__all__ = ["MOST_MUL_ADDS", "Opened", "of_case", "plans"]

MOST_MUL_ADDS = 2_000_000_000
"""Of a network that is measured: a second of WASM."""

FILES = ("mps_mpo_L100_chi64_D5", "rtree_100_a")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What the page opens, and the 32-bit type that every backend has.

    Args:
        name: Short and unique.
        dtype: Type to compute in.
        options: Of ``tensorloom.open``.
        mul_adds: Of the plan found at once.
    """

    name: str
    dtype: str
    options: dict[str, Any]
    mul_adds: int


def of_case(case: Case) -> Opened:
    """A pairwise contraction with random numbers."""
    given = {"format": "einsum", "text": case.equation, "sizes": dict(case.dimensions), "seed": 1}
    work = case.flop // (8 if case.is_complex else 2)
    return Opened(name=case.name, dtype=case.dtype, options=given, mul_adds=work)


def plans() -> Iterator[Opened]:
    """Whole networks."""
    for file in sorted((DATA / "circuits").glob("*.qasm")):
        text = file.read_text()
        if (whole := quick(read(text).network).cost.mul_adds) <= MOST_MUL_ADDS:
            yield _circuit(f"{file.stem}, state", text, "state", whole)
    for qubits in (8, 12, 16, 20):
        text, zeros = random_circuit(qubits, 20), "0" * qubits
        work = quick(read(text, output=zeros).network).cost.mul_adds
        yield _circuit(f"random {qubits} x 20, amplitude", text, zeros, work)
    for name in FILES:
        file = DATA / "networks" / f"{name}.json"
        if file.exists():
            told = json.loads(file.read_text())
            yield _network(name, told["inputs"], told["output"], told["size_dict"])
    for length, bond in ((20, 8), (40, 32), (12, 128)):
        yield _sandwich(length, bond)
    for side, bond in ((3, 4), (3, 8), (4, 8), (5, 4)):
        yield _grid(side, bond)


def _circuit(name: str, text: str, output: str, work: int) -> Opened:
    options = {"format": "qasm", "text": text, "output": output}
    return Opened(name=name, dtype="complex64", options=options, mul_adds=work)


def _network(
    name: str, inputs: list[list[str]], output: list[str], sizes: dict[str, int]
) -> Opened:
    told = {"inputs": inputs, "output": output, "size_dict": sizes}
    plan = plan_for(tuple(map(tuple, inputs)), tuple(output), tuple(sizes.items()))
    options = {"format": "network-json", "text": json.dumps(told), "seed": 1}
    return Opened(name=name, dtype="float32", options=options, mul_adds=plan.cost.mul_adds)


def _sandwich(length: int, bond: int) -> Opened:
    """Two matrix product states on each other."""
    inputs = [
        [name for name in (f"{side}{n}" if n else "", f"p{n}", f"{side}{n + 1}") if name]
        for side in "ab"
        for n in range(length)
    ]
    for side in (0, 1):
        inputs[side * length + length - 1].pop()
    sizes = {name: 2 if name[0] == "p" else bond for names in inputs for name in names}
    return _network(f"MPS {length} sites, bond {bond}", inputs, [], sizes)


def _grid(side: int, bond: int) -> Opened:
    """A square patch of PEPS, its physical legs closed."""
    sites = list(product(range(side), repeat=2))
    inputs: dict[tuple[int, int], list[str]] = {site: [] for site in sites}
    for n in range(side):
        for one, other in pairwise(range(side)):
            for pair in (((n, one), (n, other)), ((one, n), (other, n))):
                index = "".join(f"{row}{column}" for row, column in pair)
                for site in pair:
                    inputs[site].append(f"i{index}")
    sizes = {name: bond for names in inputs.values() for name in names}
    return _network(f"grid {side} x {side}, bond {bond}", list(inputs.values()), [], sizes)
