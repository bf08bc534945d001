"""Jobs of every kind that take a second or two, for tests that break something meanwhile.

Each gives the same bits whenever it is run: its tree is given, or found at once.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from worker_harness import npy, sha

from tensorloom.formats import network_json
from tensorloom.model import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["JOBS", "DisturbedJob", "sliced"]

DIMENSION = 10
RAILS = "abc"
"""Tensors of a ladder are joined by so many bonds: matrices of 1000 x 1000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisturbedJob:
    """A request, what must be uploaded before, and in how many slices it is done.

    Args:
        request: As it is sent.
        slices: That it is cut into.
        uploads: Bytes of arrays, by their hash.
    """

    request: dict[str, Any]
    slices: int
    uploads: dict[str, bytes] = field(default_factory=dict)


def sliced() -> DisturbedJob:
    """The trace of a product of matrices, in float64."""
    inputs = _ladder(16)
    return DisturbedJob(request=_contraction(inputs, sliced=("a0", "b0")), slices=100)


def whole() -> DisturbedJob:
    """A product of matrices between two open indices in complex64, as one task."""
    inputs = [("left", *_bonds(0)), *_ladder(12, closed=False), (*_bonds(12), "right")]
    sizes = {"left": 400, "right": 100}
    request = _contraction(inputs, output=("left", "right"), sizes=sizes, dtype="complex64")
    return DisturbedJob(request=request, slices=1)


def beyond_the_range() -> DisturbedJob:
    """The trace of thirty matrices in float32, which holds no number as large."""
    inputs = _ladder(30)
    sizes = {f"c{rung}": 8 for rung in range(30)}
    request = _contraction(inputs, sizes=sizes, sliced=("a0", "b0"), dtype="float32")
    return DisturbedJob(request=request, slices=100)


def amplitudes() -> DisturbedJob:
    """A batch of bras before the same matrices, in complex64."""
    inputs = [("open", *_bonds(0)), *_ladder(6, closed=False), _bonds(6)]
    draw = np.random.default_rng(0)
    bras = draw.standard_normal((60, 20, *(DIMENSION,) * 3, 2)) @ np.array([1, 1j])
    bras = bras.astype("complex64")
    return _batch(inputs, {0: bras}, output=("open",), sizes={"open": 20}, dtype="complex64")


def sweep() -> DisturbedJob:
    """A ring at eight values of two matrices of parameters, in float64."""
    first, *rest = _ladder(4)
    inputs = [(*_bonds(0), "p", *first[4:]), ("p", "a1"), *rest, ("q", "b0")]
    inputs[-2] = (*_bonds(3), "a0", "q", "c0")
    draw = np.random.default_rng(1)
    parameters = {n: draw.standard_normal((8, DIMENSION, DIMENSION)) for n in (1, 5)}
    # From the parameters on, everything is another number at each of their values.
    path = ((0, 1), (4, 5), (2, 6), (3, 8), (7, 9))
    return _batch(inputs, parameters, path=path, sliced=("c0",))


def entry() -> DisturbedJob:
    """Amplitudes of bit strings that agree in no qubit, by the named entry point."""
    qubits, layers, strings = 22, 8, 30
    draw = random.Random(0)
    lines = [str(qubits)]
    for layer in range(layers):
        gates = [f"{2 * layer} {draw.choice(('x_1_2', 'y_1_2', 'hz_1_2'))}" for _ in range(qubits)]
        lines += [f"{gate} {qubit}" for qubit, gate in enumerate(gates)]
        pairs = pairwise(range(layer % 2, qubits))
        lines += [f"{2 * layer + 1} cz {one} {two}" for one, two in list(pairs)[::2]]
    bits = ["".join(draw.choices("01", k=qubits)) for _ in range(strings)]
    parameters = {"circuit": "\n".join(lines), "bits": bits, "dtype": "complex64", "seconds": 0}
    request = {"kind": "entry", "entry": "sample-amplitudes", "parameters": parameters}
    return DisturbedJob(request=request, slices=strings)


JOBS: dict[str, Callable[[], DisturbedJob]] = {
    "slices in float64": cache(sliced),
    "a whole network in complex64": cache(whole),
    "numbers beyond float32": cache(beyond_the_range),
    "a batch of amplitudes": cache(amplitudes),
    "a sweep of parameters": cache(sweep),
    "an entry point": cache(entry),
}


def _bonds(rung: int) -> tuple[str, ...]:
    return tuple(f"{rail}{rung}" for rail in RAILS)


def _ladder(rungs: int, *, closed: bool = True) -> list[tuple[str, ...]]:
    """Tensors in a row, neighbours joined by three bonds; the last one and the first too."""
    ends = [(rung + 1) % rungs if closed else rung + 1 for rung in range(rungs)]
    return [(*_bonds(rung), *_bonds(end)) for rung, end in enumerate(ends)]


def _contraction(
    inputs: Sequence[tuple[str, ...]],
    *,
    output: tuple[str, ...] = (),
    sizes: dict[str, int] | None = None,
    sliced: tuple[str, ...] = (),
    path: tuple[tuple[int, int], ...] = (),
    **more: Any,
) -> dict[str, Any]:
    """A request whose tensors are contracted one after the other, unless a path is given."""
    n = len(inputs)
    names = dict.fromkeys(name for indices in inputs for name in indices)
    network = {
        "inputs": [list(indices) for indices in inputs],
        "output": list(output),
        "size_dict": dict.fromkeys(names, DIMENSION) | (sizes or {}),
    }
    in_turn = [(0, 1), *((n + step - 1, step + 1) for step in range(1, n - 1))]
    return {
        "kind": "contract",
        "document": codec.to_json(network_json.from_json(network).document),
        "plan": {"path": [list(pair) for pair in path or in_turn], "sliced": list(sliced)},
        "searchSeconds": 0,
        "memoryBytes": 2**29,
        **more,
    }


def _batch(inputs: Sequence[tuple[str, ...]], arrays: dict[int, Any], **more: Any) -> DisturbedJob:
    """A contraction for each row of the arrays, given by the number of their tensor."""
    request = _contraction(inputs, **more)
    tensors = request["document"]["tensors"]
    files = {number: npy(array) for number, array in arrays.items()}
    uses = {tensors[number]["id"]: {"sha256": sha(data)} for number, data in files.items()}
    slices = len(next(iter(arrays.values()))) * DIMENSION ** len(request["plan"]["sliced"])
    return DisturbedJob(
        request={**request, "batch": {"arrays": uses}},
        slices=slices,
        uploads={sha(data): data for data in files.values()},
    )
