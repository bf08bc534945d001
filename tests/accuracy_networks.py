"""Seeded networks for judging error bounds: many structures, many ways to fill them.

``exact`` contracts them in whatever longer type the arrays have, step by step, taking exponents
out on the way; it shares nothing with the backends.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from random_networks import random_tree
from tensorloom.plan.find import plan_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tensorloom.plan.tree import ContractionTree

    Array = NDArray[Any]
    Fill = Callable[[np.random.Generator, tuple[int, ...]], Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A network with numbers in float64 or complex128.

    Args:
        structure: How its tensors hang together, in a word.
        filling: What is in them, in a word.
        tree: What meets when.
        arrays: One per tensor.
    """

    structure: str
    filling: str
    tree: ContractionTree
    arrays: list[Array]

    @property
    def is_complex(self) -> bool:
        """Whether complex numbers are needed."""
        return any(array.dtype.kind == "c" for array in self.arrays)


def _graph(draw: random.Random, n: int, bonds: int, most: int) -> ContractionTree:
    """Tensors on a random connected graph, with up to two open legs."""
    legs: list[list[str]] = [[] for _ in range(n)]
    sizes: dict[str, int] = {}

    def bond(one: int, other: int) -> None:
        name = f"b{len(sizes)}"
        sizes[name] = draw.randint(1, most)
        legs[one].append(name)
        legs[other].append(name)

    for number in range(1, n):
        bond(draw.randrange(max(0, number - 4), number), number)
    for _ in range(bonds):
        one, other = draw.sample(range(n), 2)
        if max(len(legs[one]), len(legs[other])) < 5:  # small tensors
            bond(one, other)
    output = []
    for number in draw.sample(range(n), draw.randint(0, 2)):
        name = f"o{number}"
        sizes[name] = draw.randint(1, most)
        legs[number].append(name)
        output.append(name)
    inputs = tuple(tuple(draw.sample(names, len(names))) for names in legs)
    return plan_for(inputs, tuple(output), tuple(sizes.items())).tree


def _chain(draw: random.Random, n: int, most: int) -> ContractionTree:
    """A product of matrices or its trace, from left to right or as greedy likes it."""
    sizes = tuple((f"i{number}", draw.randint(2, most)) for number in range(n + 1))
    names = [name for name, _ in sizes]
    output = (names[0], names[-1]) if draw.random() < 0.5 else ()  # a coin
    inputs = tuple(pairwise(names))
    tree = plan_for(inputs, output, sizes).tree
    if draw.random() < 0.5:  # a coin
        path = [(0, 1), *((n + step - 1, step + 1) for step in range(1, n - 1))]
        tree = replace(tree, path=tuple(path))
    return tree


def _overlap(draw: random.Random, n: int, most: int) -> ContractionTree:
    """Two matrix product states of ``n`` sites above each other."""
    sizes = {f"p{site}": 2 for site in range(n)}
    rows = []
    for row in "ab":
        for site in range(n):
            names = [f"p{site}"]
            for place in (site - 1, site):
                if 0 <= place < n - 1:
                    name = f"{row}{place}"
                    sizes.setdefault(name, draw.randint(2, most))
                    names.append(name)
            rows.append(tuple(names))
    return plan_for(tuple(rows), (), tuple(sizes.items())).tree


def _hyper(draw: random.Random, n: int) -> ContractionTree:
    """Factors over a few shared variables, as in a graphical model."""
    names = [f"v{number}" for number in range(max(4, n // 2))]
    sizes = {name: draw.randint(2, 4) for name in names}
    inputs = tuple(
        tuple(dict.fromkeys(draw.choices(names[max(0, at - 3) : at + 1], k=draw.randint(1, 3))))
        for at in (number * len(names) // n for number in range(n))
    )
    used = {name: size for name, size in sizes.items() if any(name in legs for legs in inputs)}
    output = (draw.choice(sorted(used)),) if draw.random() < 0.3 else ()  # some
    return plan_for(inputs, output, tuple(used.items())).tree


def _circuit(draw: random.Random, qubits: int, depth: int) -> ContractionTree:
    """Two-qubit gates on random neighbours, from |0> to an amplitude or two open wires."""
    wires = [f"q{qubit}_0" for qubit in range(qubits)]
    inputs: list[tuple[str, ...]] = [(wire,) for wire in wires]
    names = list(wires)
    for step in range(1, depth * qubits // 2 + 1):
        one = draw.randrange(qubits - 1)
        new = [f"q{one}_{step}", f"q{one + 1}_{step}"]
        inputs.append((*new, wires[one], wires[one + 1]))
        wires[one : one + 2] = new
        names += new
    output = tuple(wires[: draw.randint(0, 2)])
    inputs += [(wire,) for wire in wires if wire not in output]
    return plan_for(tuple(inputs), output, tuple((name, 2) for name in names)).tree


def _sliced(draw: random.Random, tree: ContractionTree) -> ContractionTree:
    names = [name for name, size in tree.dimensions if size > 1]
    return replace(tree, sliced=tuple(draw.sample(names, min(len(names), draw.randint(1, 3)))))


def _structures(draw: random.Random) -> dict[str, Callable[[], ContractionTree]]:
    seed = draw.randrange(1 << 30)
    return {
        "small": lambda: random_tree(seed),
        "small, sliced": lambda: random_tree(seed, sliced=True),
        "graph": lambda: _graph(draw, draw.randint(5, 24), draw.randint(0, 8), 5),
        "graph, sliced": lambda: _sliced(draw, _graph(draw, draw.randint(5, 12), 4, 4)),
        "wide": lambda: _graph(draw, draw.randint(2, 4), 1, 60),
        "chain": lambda: _chain(draw, draw.randint(3, 40), 12),
        "overlap": lambda: _overlap(draw, draw.randint(3, 12), 8),
        "factors": lambda: _hyper(draw, draw.randint(4, 30)),
        "circuit": lambda: _circuit(draw, draw.randint(2, 6), draw.randint(2, 8)),
    }


def _unitary(draw: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """A unitary matrix over the first half of the axes; a basis state for a single axis."""
    rows = int(np.prod(shape[: len(shape) // 2]))
    size = int(np.prod(shape))
    if len(shape) < 2 or rows * rows != size:  # a vector
        one = np.zeros(size, complex)
        one[0] = 1
        return one.reshape(shape)
    found, _ = np.linalg.qr(draw.normal(size=(rows, rows)) + 1j * draw.normal(size=(rows, rows)))
    return np.asarray(found).reshape(shape)


def _sparse(draw: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.asarray(draw.normal(size=shape) * (draw.random(size=shape) < 0.4))


def _lopsided(draw: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Nearly of rank one: intermediate sums align, and their differences cancel."""
    found = np.asarray(1e-3 * draw.normal(size=shape))
    product = np.ones(())
    for size in shape:
        product = np.multiply.outer(product, draw.normal(size=size))
    return np.asarray(found + product)


def _steep(draw: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Nothing negative, and small numbers beside a large one; in one of three tensors only they."""
    found = draw.random(size=shape) * 10 ** draw.uniform(-22, -14, size=shape)
    found.flat[0] = draw.random() if draw.random() < 2 / 3 else 0.0  # two of three
    return np.asarray(found)


FILLINGS: dict[str, Fill] = {
    "normal": lambda draw, shape: draw.normal(size=shape),
    "complex normal": lambda draw, shape: draw.normal(size=shape) + 1j * draw.normal(size=shape),
    "positive": lambda draw, shape: draw.random(size=shape),
    "between -1 and 1": lambda draw, shape: draw.uniform(-1, 1, size=shape),
    "spread": lambda draw, shape: draw.normal(size=shape) * 10 ** draw.uniform(-2, 2, size=shape),
    "sparse": _sparse,
    "all 0.1": lambda _, shape: np.full(shape, 0.1),
    "signs of 0.1": lambda draw, shape: draw.choice([-0.1, 0.1], size=shape),
    "rank one": _lopsided,
    "unitary": _unitary,
    "shifted": lambda draw, shape: 1 + 0.1 * draw.normal(size=shape),
}


def accuracy_case(seed: int) -> Case:
    """Network number ``seed``."""
    draw = random.Random(seed)
    structures = _structures(draw)
    structure = draw.choice(list(structures))
    filling = draw.choice(list(FILLINGS))
    return filled(structures[structure](), structure, filling, seed)


def steep_case(seed: int) -> Case:
    """A network whose value may be made of what underflows beside larger numbers."""
    draw = random.Random(seed)
    structures = _structures(draw)
    structure = draw.choice(list(structures))
    return filled(structures[structure](), structure, "steep", seed)


def deep_case(seed: int) -> Case:
    """A network of about 500 steps."""
    draw = random.Random(seed)
    make: dict[str, Callable[[], ContractionTree]] = {
        "deep chain": lambda: _chain(draw, 501, 6),
        "deep overlap": lambda: _overlap(draw, 250, 4),
        "deep graph": lambda: _graph(draw, 500, 60, 2),
        "deep circuit": lambda: _circuit(draw, 6, 160),
    }
    structure = draw.choice(list(make))
    filling = draw.choice(list(FILLINGS)) if structure != "deep circuit" else "unitary"
    return filled(make[structure](), structure, filling, seed)


def filled(tree: ContractionTree, structure: str, filling: str, seed: int) -> Case:
    """A tree with numbers of one kind."""
    generator = np.random.default_rng(seed)
    sizes = dict(tree.dimensions)
    fill = _steep if filling == "steep" else FILLINGS[filling]
    arrays = [
        np.asarray(fill(generator, tuple(sizes[name] for name in names))) for names in tree.inputs
    ]
    return Case(structure=structure, filling=filling, tree=tree, arrays=arrays)


def exact(tree: ContractionTree, arrays: Sequence[Array]) -> tuple[Array, int]:
    """``(value, exponent)`` of the network, in the arrays' own type; slices do not matter."""
    live = {number: _normal(array) for number, array in enumerate(arrays)}
    if not tree.path:
        return _pair(tree.inputs[0], None, tree.output, live[0], None)
    tensors = dict(enumerate(tree.inputs))
    steps = replace(tree, sliced=()).steps
    for step in steps:
        left, right = live.pop(step.left), live.pop(step.right)
        live[step.out] = _pair(
            tensors.pop(step.left), tensors.pop(step.right), step.out_indices, left, right
        )
        tensors[step.out] = step.out_indices
    return live[steps[-1].out]


def _normal(array: Array) -> tuple[Array, int]:
    largest = float(np.abs(array).max(initial=0))
    if largest == 0 or not np.isfinite(largest):
        return array, 0
    exponent = int(np.frexp(largest)[1])
    return array * array.real.dtype.type(2.0) ** -exponent, exponent


def _pair(
    left_names: tuple[str, ...],
    right_names: tuple[str, ...] | None,
    out: tuple[str, ...],
    left: tuple[Array, int],
    right: tuple[Array, int] | None,
) -> tuple[Array, int]:
    number = {
        name: at for at, name in enumerate(dict.fromkeys((*left_names, *(right_names or ()))))
    }
    operands: list[Any] = [left[0], [number[name] for name in left_names]]
    exponent = left[1]
    if right is not None and right_names is not None:
        operands += [right[0], [number[name] for name in right_names]]
        exponent += right[1]
    made, own = _normal(np.asarray(np.einsum(*operands, [number[name] for name in out])))
    return made, exponent + own
