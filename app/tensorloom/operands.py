"""An equation with its operands as a plan: ellipses written out, axes that broadcast left out."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tensorloom.errors import EquationError, NetworkError
from tensorloom.execute.casting import as_numbers
from tensorloom.model.equation import parse
from tensorloom.plan.find import plan_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from tensorloom.plan.inputs import Dimensions, Inputs
    from tensorloom.plan.plan import Plan

__all__ = ["MOST_KEPT", "kept_plan_for", "planned"]

Shape = tuple[int, ...]

MOST_KEPT = 64
"""Plans and choices that are kept for the next call."""

kept_plan_for = lru_cache(MOST_KEPT)(plan_for)


def planned(equation: str, operands: Sequence[ArrayLike]) -> tuple[Plan, list[NDArray[Any]]]:
    """How to contract operands, and their arrays without axes that broadcast.

    Raises:
        EquationError: The text cannot be read.
        NetworkError: The operands do not belong to it.
    """
    if not isinstance(equation, str):
        raise EquationError(
            "not-an-equation",
            f"The first argument is {equation!r:.40}, not an equation.",
            "Begin with text such as 'ij,jk->ik', then one array per operand.",
        )
    arrays = [as_numbers(operand, number) for number, operand in enumerate(operands)]
    plan, spread = _read(equation, tuple(array.shape for array in arrays))
    return plan, [
        array.squeeze(axes) if axes else array for array, axes in zip(arrays, spread, strict=True)
    ]


@lru_cache(MOST_KEPT)
def _read(equation: str, shapes: tuple[Shape, ...]) -> tuple[Plan, tuple[Shape, ...]]:
    """A plan, and the axes of each operand that only broadcast."""
    parsed = parse(_without_ellipsis(equation, shapes))
    inputs, spread = _broadcast(parsed.operands, shapes)
    kept = [
        tuple(size for axis, size in enumerate(shape) if axis not in axes)
        for shape, axes in zip(shapes, spread, strict=True)
    ]
    return kept_plan_for(inputs, parsed.output, _dimensions(inputs, kept)), spread


def _without_ellipsis(equation: str, shapes: Sequence[Shape]) -> str:
    """The equation with ``...`` written out in fresh letters, innermost axes matched last."""
    if "..." not in equation:
        return equation
    left, arrow, right = equation.partition("->")
    operands = left.split(",")
    free = iter(chr(code) for code in range(0x3B1, 0x3B1 + 2000) if chr(code) not in equation)
    extra = [
        len(shape) - len(operand.replace("...", "").replace(" ", ""))
        for operand, shape in zip(operands, shapes, strict=False)
        if "..." in operand
    ]
    letters = "".join(next(free) for _ in range(max(extra, default=0)))
    missing = iter(extra)
    written = []
    for operand in operands:
        count = max(0, next(missing, 0)) if "..." in operand else 0
        written.append(operand.replace("...", letters[len(letters) - count :], 1))
    if not arrow:
        names = left.replace("...", "").replace(",", "").replace(" ", "")
        right = "..." + "".join(sorted(name for name in set(names) if names.count(name) == 1))
    return f"{','.join(written)}->{right.replace('...', letters, 1)}"


def _broadcast(inputs: Inputs, shapes: Sequence[Shape]) -> tuple[Inputs, tuple[Shape, ...]]:
    """Operands without the axes of dimension 1 whose index is larger elsewhere, and those axes."""
    if len(inputs) != len(shapes):
        raise EquationError(
            "wrong-arrays",
            f"The equation has {len(inputs)} operands; {len(shapes)} arrays were given.",
            "Give one array per operand.",
            values={"operands": len(inputs), "arrays": len(shapes)},
        )
    largest: dict[str, int] = {}
    for number, (names, shape) in enumerate(zip(inputs, shapes, strict=True)):
        if len(names) != len(shape):
            raise NetworkError(
                "wrong-axes",
                f"Operand {number} has {len(shape)} axes, but {len(names)} indices.",
                "Write one index per axis.",
                values={"operand": number, "axes": len(shape), "indices": len(names)},
            )
        for name, size in zip(names, shape, strict=True):
            largest[name] = max(largest.get(name, 0), size)
    kept, spread = [], []
    for names, shape in zip(inputs, shapes, strict=True):
        axes = [axis for axis, name in enumerate(names) if shape[axis] == 1 < largest[name]]
        kept.append(tuple(name for axis, name in enumerate(names) if axis not in axes))
        spread.append(tuple(axes))
    return tuple(kept), tuple(spread)


def _dimensions(inputs: Inputs, shapes: Sequence[Shape]) -> Dimensions:
    """The dimension of every index.

    Raises:
        NetworkError: ``dimension-mismatch`` or ``bad-dimension``.
    """
    found: dict[str, tuple[int, int, int]] = {}
    for number, (names, shape) in enumerate(zip(inputs, shapes, strict=True)):
        for axis, (name, size) in enumerate(zip(names, shape, strict=True)):
            if size == 0:
                raise NetworkError(
                    "bad-dimension",
                    f"Index '{name}' cannot have dimension 0 on operand {number} (axis {axis}).",
                    "Give every axis at least one value.",
                    values={"dimension": 0},
                )
            first, first_number, first_axis = found.setdefault(name, (size, number, axis))
            if size != first:
                raise NetworkError(
                    "dimension-mismatch",
                    f"Index '{name}' has dimension {first} on operand {first_number} "
                    f"(axis {first_axis}) but {size} on operand {number} (axis {axis}).",
                    "Make them equal, or give one axis a new index.",
                    values={"one": first, "other": size},
                )
    return tuple((name, size) for name, (size, _, _) in found.items())
