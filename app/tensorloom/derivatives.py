"""Gradients in one call: the value of an equation or a network, and its derivatives.

    gradient("ij,jk->", [a, b])   -> Gradient: the value, and one array per operand

The module is not named after its function: importing it would hide ``tensorloom.gradient``.
"""

from __future__ import annotations

from dataclasses import replace
from operator import index
from typing import TYPE_CHECKING, Any

from tensorloom.engine import chosen, completed, plan_of
from tensorloom.errors import NetworkError, UnsupportedKernel
from tensorloom.execute.arrays import ArrayStore, arrays_of
from tensorloom.execute.backend import no_pulse
from tensorloom.execute.casting import as_numbers, common_dtype
from tensorloom.execute.gradient import Gradient, lowering, run
from tensorloom.model.document import Document, check_dtype
from tensorloom.operands import planned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from tensorloom.execute.backend import Pulse
    from tensorloom.model.network import Network
    from tensorloom.model.recipe import DType
    from tensorloom.plan.plan import Plan

__all__ = ["Gradient", "gradient"]


def gradient(  # noqa: PLR0913  # the last two are for callers with their own engine
    network: str | Network | Document,
    arrays: Sequence[ArrayLike] | None = None,
    *,
    wrt: Sequence[int] | None = None,
    seed: ArrayLike | None = None,
    backend: str = "auto",
    dtype: DType | None = None,
    plan: Plan | None = None,
    bounds: bool = True,
    pulse: Pulse = no_pulse,
) -> Gradient:
    """A value and its derivatives with respect to tensors: ``sum over the output of seed * value``.

    All derivatives share the intermediates of one forward pass and cost at most twice as much as
    the value, however many tensors there are. Nothing is conjugated: for a real function of complex
    tensors, go against the *conjugate* of its gradient to make it smaller (the convention of
    autograd and of JAX). The gradient of a real array is real.

    Args:
        network: An equation such as ``ij,jk->``, a network, or a document that holds one.
        arrays: One per tensor; by default made from the tensors' recipes.
        wrt: Numbers of the tensors to differentiate with respect to; by default all.
        seed: Weight of each element of the value, of its shape; by default 1 everywhere.
        backend: ``auto``, ``numpy``, ``wasm``, ``webgpu`` or ``wgpu``; not ``webgpu-f16``.
        dtype: Type to compute in; by default the smallest that holds all arrays of an equation,
            the document's, else float64.
        plan: How; by default found at once.
        bounds: Whether to say how far rounding may have moved value and gradients. Where much
            cancels in a small network that takes three more runs: a loop that trains something
            can do without.
        pulse: Progress and cancellation.

    Raises:
        InputError: Arrays, a seed or numbers that do not fit the network.
        DeviceMemoryError: It does not fit, even sliced.
        PlanError: ``too-long``.
        UnsupportedKernel: ``no-f16``.

    Example:
        >>> import numpy as np
        >>> found = gradient("i,i->", [np.array([1.0, 2.0]), np.array([3.0, 4.0])])
        >>> float(found.value), found.gradients[0].tolist()
        (11.0, [3.0, 4.0])
    """
    if isinstance(network, str):
        shapes = [as_numbers(array, number).shape for number, array in enumerate(arrays or ())]
        own_plan, given = planned(network, arrays or ())
        seeds = [] if seed is None else [as_numbers(seed, len(given), "The seed")]
        dtype = dtype or common_dtype([*given, *seeds])
    else:
        own_plan, given, dtype = _of_network(network, arrays, dtype, plan)
        shapes = [array.shape for array in given]
    chosen_plan = plan or own_plan
    numbers = _numbers(wrt, len(given))
    if backend == "webgpu-f16":
        raise UnsupportedKernel(
            "no-f16", "Gradients are not made of 16-bit numbers.", "Choose webgpu, or auto."
        )
    choice = chosen(chosen_plan, backend, dtype, lowering(numbers), numbers)
    found = completed(run(choice, given, seed, numbers, bounds=bounds, pulse=pulse), pulse)
    shaped = [
        array.reshape(shapes[number])
        for array, number in zip(found.gradients, numbers, strict=True)
    ]
    return replace(found, gradients=tuple(shaped))


def _of_network(
    network: Network | Document,
    arrays: Sequence[ArrayLike] | None,
    dtype: DType | None,
    plan: Plan | None,
) -> tuple[Plan, list[NDArray[Any]], DType]:
    """Plan, arrays and number type of a network or a document."""
    if isinstance(network, Document):
        dtype = dtype or network.dtype
        network = network.network
    dtype = dtype or "float64"
    check_dtype(dtype)
    given = arrays_of(network, dtype, ArrayStore()) if arrays is None else arrays
    found = [as_numbers(array, number) for number, array in enumerate(given)]
    return plan or plan_of(network), found, dtype


def _numbers(wrt: Sequence[int] | None, n_tensors: int) -> tuple[int, ...]:
    """Which tensors: all, or those asked for.

    Raises:
        NetworkError: ``no-such-tensor``.
    """
    if wrt is None:
        return tuple(range(n_tensors))
    try:
        given: tuple[object, ...] = tuple(wrt)
    except TypeError:
        given = (wrt,)
    numbers = tuple(_whole(number) for number in given)
    for number, word in zip(numbers, given, strict=True):
        if not 0 <= number < n_tensors or numbers.count(number) > 1:
            raise NetworkError(
                "no-such-tensor",
                f"There is no tensor {word!s:.40} among {n_tensors}, or it is named twice.",
                "Tensors count from 0; name each once, as a whole number.",
                values={"tensor": f"{word!s:.40}", "tensors": n_tensors},
            )
    return numbers


def _whole(number: object) -> int:
    """A whole number; -1 for anything else, booleans too: a mask names no tensors."""
    if isinstance(number, bool):
        return -1
    try:
        return index(number)  # type: ignore[arg-type]  # asked for
    except TypeError:
        return -1
