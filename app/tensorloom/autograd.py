"""``contract`` for programs that are differentiated with ``autograd``, an optional package.

    from autograd import grad
    from tensorloom.autograd import contract

    grad(lambda x: contract("i,ij,j->", x, m, x))(vector)

Derivatives follow autograd's convention: nothing is conjugated, and a real operand's is real. A
value that is one number is made together with its gradients, in one program; going back only
multiplies them by a number. For other values going back is one program of its own. Derivatives of
derivatives are contractions again, with the seed as one more tensor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from autograd import numpy as anp
from autograd.extend import defvjp_argnums, primitive
from autograd.tracer import isbox

from tensorloom import engine
from tensorloom.derivatives import gradient
from tensorloom.model.equation import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["contract"]

_LETTERS = 0x4E00
"""The first of 20,000 letters without case or accents: one per index."""


def contract(equation: str, *operands: Any, **options: Any) -> Any:  # noqa: ANN401  # boxes too
    """The contracted operands; see ``tensorloom.contract``.

    Args:
        equation: Such as ``ij,jk->ik``.
        *operands: Arrays, also those that autograd follows.
        **options: ``backend`` and ``dtype``, as there.

    Example:
        >>> from autograd import grad
        >>> grad(lambda x: contract("i,i->", x, x))(np.array([1.0, 2.0]))
        array([2., 4.])
    """
    followed = tuple(number for number, operand in enumerate(operands) if isbox(operand))
    return _contract(equation, *operands, made=_Made(wrt=followed), **options)


@dataclass(slots=True, kw_only=True)
class _Made:
    """Gradients that were made together with a value, by operand.

    Args:
        wrt: Operands that somebody follows.
        gradients: Filled by ``_contract`` if the value is one number.
    """

    wrt: tuple[int, ...]
    gradients: dict[int, NDArray[Any]] = field(default_factory=dict)


def _contract(equation: str, *operands: Any, made: _Made, **options: Any) -> NDArray[Any]:  # noqa: ANN401  # as above
    if not made.wrt or not _is_number(equation):
        return engine.contract(equation, *operands, **options)
    # Complex throughout if any operand is: what a real operand loses is lost after the seed came.
    common = np.result_type(*operands)
    arrays = [np.asarray(one, common) for one in operands]
    found = gradient(equation, arrays, wrt=made.wrt, bounds=False, **options)
    for number, array, scale in zip(made.wrt, found.gradients, found.log10_scales, strict=True):
        made.gradients[number] = engine.unscaled(array, scale)
    return engine.unscaled(found.value, found.log10_scale)


_contract = primitive(_contract)


def _is_number(equation: str) -> bool:
    """Whether an equation's value has no axes."""
    _, arrow, output = equation.partition("->")
    return not output.strip() if arrow else "..." not in equation and not parse(equation).output


def _vjp(
    argnums: Sequence[int],
    _value: NDArray[Any],
    arguments: Sequence[Any],
    options: dict[str, Any],
) -> Callable[[Any], tuple[Any, ...]]:
    """What turns the derivative of a value into those of the operands it was made from."""
    equation, *operands = arguments
    wrt = [number - 1 for number in argnums]
    options = dict(options)
    made = options.pop("made").gradients

    def back(seed: Any) -> tuple[Any, ...]:  # noqa: ANN401  # an array, or autograd's box of one
        if isbox(seed) or any(map(isbox, operands)):
            return tuple(_adjoint(equation, operands, number, seed, options) for number in wrt)
        if made:
            return tuple(_like(operands[number], seed * made[number]) for number in wrt)
        found = gradient(equation, operands, wrt=wrt, seed=seed, bounds=False, **options)
        return tuple(map(engine.unscaled, found.gradients, found.log10_scales))

    return back


def _adjoint(
    equation: str,
    operands: Sequence[Any],
    number: int,
    seed: Any,  # noqa: ANN401  # boxes
    options: dict[str, Any],
) -> Any:  # noqa: ANN401  # boxes
    """One operand's derivative as a contraction, so that it can be differentiated again."""
    parsed = parse(equation)
    names = dict.fromkeys(name for operand in parsed.operands for name in operand)
    letters = {name: chr(_LETTERS + place) for place, name in enumerate(names)}
    fresh = map(chr, count(_LETTERS + len(letters)))
    terms = ["".join(letters[name] for name in names) for names in parsed.operands]
    others = [*terms[:number], *terms[number + 1 :], "".join(letters[n] for n in parsed.output)]
    arrays = [*operands[:number], *operands[number + 1 :], seed]
    own, shape = "", np.shape(operands[number])
    for letter, size in zip(terms[number], shape, strict=True):
        if letter in own:
            # Zero off the diagonal of a repeated index.
            own += next(fresh)
            others.append(letter + own[-1])
            arrays.append(np.eye(size))
            continue
        own += letter
        if not any(letter in term for term in others):
            # Constant along an index that only this operand has.
            others.append(letter)
            arrays.append(np.ones(size))
    found = contract(f"{','.join(others)}->{own}", *arrays, **options)
    spread = tuple(axis for axis, size in enumerate(shape) if size < found.shape[axis])
    return _like(operands[number], anp.sum(found, axis=spread, keepdims=True) if spread else found)


def _like(operand: Any, derivative: Any) -> Any:  # noqa: ANN401  # boxes
    """The derivative of a real operand is real."""
    real = not anp.iscomplexobj(operand) and anp.iscomplexobj(derivative)
    return anp.real(derivative) if real else derivative


defvjp_argnums(_contract, _vjp)
