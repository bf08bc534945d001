"""How far rounding has moved a result, measured: the same network again, rounded differently.

Each tensor is multiplied by a factor of its own, so every product and every sum rounds another way,
while the exact result changes by the product of all factors, a known number. What the results then
differ by is rounding: an error as large as the first run's, whatever cancels on the way.

    bound = CAUTION * largest difference of TRIALS runs + bound where nothing cancels

The second term covers roundings that agree in all runs. A trial misses a scalar's error by more
than a factor CAUTION when two numbers of nearly normal distribution come that close: 1 in 100;
three at once, 1 in a million.
"""

from __future__ import annotations

import random
from fractions import Fraction
from math import frexp, isfinite, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.execute.blocks import blocks, largest_of
from tensorloom.execute.casting import cast_arrays
from tensorloom.execute.scaling import finished, scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import RawResult
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType

    Replay = Callable[[Sequence[NDArray[Any]]], Coroutine[Any, Any, RawResult]]

__all__ = ["CAUTION", "TRIALS", "largest_difference", "repetition_bytes"]

CAUTION = 30.0
TRIALS = 3

_STEPS = 1 << 10
"""Factors are odd numbers of 1/1024 between 1 and 2: exact in every type."""


async def largest_difference(
    program: Program, given: Sequence[NDArray[Any]], first: RawResult, replay: Replay
) -> float:
    """The largest |difference| between a result and its repetitions, over the largest |result|.

    Args:
        program: What was run; its hash seeds the factors.
        given: The inputs before they were cast.
        first: What came out.
        replay: Runs the program on other arrays.
    """
    largest = largest_of(part for (part,) in blocks(first.value))
    if largest == 0 or not isfinite(largest):
        return 1.0
    draw = random.Random(len(given) + program.mul_adds)  # noqa: S311  # not for secrets
    worst = 0.0
    for _ in range(TRIALS):
        factors = [_STEPS + 2 * draw.randrange(_STEPS // 2) + 1 for _ in given]
        difference = await _difference(program, given, factors, first, replay) / largest
        worst = max(worst, difference if isfinite(difference) else 1.0)
    return worst


async def _difference(
    program: Program,
    given: Sequence[NDArray[Any]],
    factors: Sequence[int],
    first: RawResult,
    replay: Replay,
) -> float:
    """The largest |difference| of one repetition, which is held no longer than this takes."""
    cast, exponent = _multiplied(given, factors, program.dtype)
    raw = await replay(cast)
    raw = finished(raw.value, exponent, program.dtype, log10_scale=raw.log10_scale)
    unscaled = _unscaling(raw.log10_scale - first.log10_scale, prod(factors), len(factors))
    pairs = blocks(raw.value, first.value)
    return largest_of(unscaled(again) - before for again, before in pairs)


def repetition_bytes(program: Program, given: Sequence[NDArray[Any]], first: RawResult) -> int:
    """What is held beside a repetition, its own inputs and result not counted [bytes].

    Args:
        program: What was run.
        given: The inputs before they were cast.
        first: What came out.
    """
    # Each in turn is held multiplied, too, until it is cast.
    wide = [np.result_type(array.dtype, 1.0).itemsize * array.size for array in given]
    other = [size for size, array in zip(wide, given, strict=True) if array.dtype != program.dtype]
    return sum(array.nbytes for array in given) + max(other, default=0) + first.value.nbytes


def _multiplied(
    given: Sequence[NDArray[Any]], factors: Sequence[int], dtype: DType
) -> tuple[list[NDArray[Any]], int]:
    """The inputs times their factors, and the exponent taken out; see ``cast_arrays``."""
    cast: list[NDArray[Any]] = []
    exponent = 0
    for array, factor in zip(given, factors, strict=True):
        (made,), own = cast_arrays([array * (factor / _STEPS)], dtype)
        cast.append(made)
        exponent += own
    return cast, exponent


def _unscaling(log10_scale: float, product: int, n: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Takes the factors out of a repetition, and a scale by which it differs from the first."""
    factor = Fraction(_STEPS**n, product) * Fraction(10) ** int(log10_scale)
    # As mantissa and power of two, for a factor alone may leave the range of a float.
    power = factor.numerator.bit_length() - factor.denominator.bit_length()
    mantissa, own = frexp(float(factor / Fraction(2) ** power))

    def unscaled(block: NDArray[Any]) -> NDArray[Any]:
        exact = np.asarray(block, np.result_type(block.dtype, np.float64)) * mantissa
        return scaled(exact, power + own)

    return unscaled
