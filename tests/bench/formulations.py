"""Ways to write a contraction for a library that has matrix products and transpositions.

A formulation permutes and reshapes both operands to (batch, rows, sum) and (batch, sum, columns),
multiplies, reshapes, and permutes the result. They differ in the order of the grouped indices, in
which operand comes first, and in whether a transposed operand is flagged or copied; each peer tries
them all and keeps its fastest, so that none is judged by a clumsy one. Pure Python: the same text
runs natively and in Pyodide.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

__all__ = ["apply", "formulations"]

Formulation = dict[str, Any]


def formulations(equation: str, dimensions: dict[str, int]) -> list[Formulation]:
    """Distinct formulations: products, those with the fewest copies first, and ``einsum``.

    Args:
        equation: Two operands, no repeated index on one, no index summed on one operand alone.
        dimensions: Size of each index.
    """
    inputs, output = equation.split("->")
    operands = inputs.split(",")
    found: dict[str, Formulation] = {}
    orders = ("operand", "output")
    for choice in itertools.product((False, True), (0, 1), orders, (True, False)):
        made = _product(operands, output, dimensions, choice)
        found.setdefault(repr(made), made)
    products = sorted(found.values(), key=_copies)
    for number, made in enumerate(products):
        made["name"] = f"product {number}"
    return [*products, {"name": "einsum", "einsum": equation}]


def _product(
    operands: list[str], output: str, dimensions: dict[str, int], choice: tuple[Any, ...]
) -> Formulation:
    """One formulation.

    Args:
        operands: Indices of both.
        output: Indices of the result.
        dimensions: Size of each index.
        choice: Whether operands are swapped; the operand whose order the summed indices take;
            whose order the free ones take; whether a transposed operand is flagged, not copied.
    """
    swap, sums, rows, flags = choice
    left, right = operands[::-1] if swap else operands
    batch = [name for name in output if name in left and name in right]
    summed = [name for name in operands[sums] if name not in output]
    free = [
        [name for name in (output if rows == "output" else side) if name in side and name in output]
        for side in (left, right)
    ]
    rest = [[name for name in side if name not in batch] for side in free]

    def sized(names: list[str]) -> int:
        return math.prod(dimensions[name] for name in names)

    def side(indices: str, first: list[str], last: list[str]) -> Formulation:
        """How an operand is brought to (batch, first, last), or flagged as transposed."""
        wanted, flagged = [*batch, *first, *last], [*batch, *last, *first]
        turned = flags and "".join(flagged) == indices and wanted != flagged
        order = flagged if turned else wanted
        matrix = [sized(last), sized(first)] if turned else [sized(first), sized(last)]
        perm = [indices.index(name) for name in order]
        return {
            "perm": None if perm == sorted(perm) else perm,
            "shape": [sized(batch), *matrix] if batch else matrix,
            "transpose": turned,
        }

    produced = [*batch, *rest[0], *rest[1]]
    perm = [produced.index(name) for name in output]
    return {
        "swap": swap,
        "left": side(left, rest[0], summed),
        "right": side(right, summed, rest[1]),
        "shape": [dimensions[name] for name in produced],
        "perm": None if perm == sorted(perm) else perm,
    }


def _copies(made: Formulation) -> int:
    return sum(part["perm"] is not None for part in (made["left"], made["right"], made))


def apply(made: Formulation, numpy: Any, a: Any, b: Any, product: Any = None) -> Any:
    """The contraction by numpy.

    Args:
        made: A formulation.
        numpy: The module.
        a: First operand.
        b: Second operand.
        product: Matrix product in place of numpy's own.
    """
    if "einsum" in made:
        return numpy.einsum(made["einsum"], a, b, optimize=made.get("optimize", False))
    if made["swap"]:
        a, b = b, a
    left, right = (_side(part, x) for part, x in ((made["left"], a), (made["right"], b)))
    out = (product or numpy.matmul)(left, right).reshape(made["shape"])
    return numpy.ascontiguousarray(out if made["perm"] is None else out.transpose(made["perm"]))


def _side(part: Formulation, array: Any) -> Any:
    if part["perm"] is not None:
        array = array.transpose(part["perm"])
    array = array.reshape(part["shape"])
    return array.swapaxes(-1, -2) if part["transpose"] else array
