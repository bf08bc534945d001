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
from dataclasses import dataclass
from fractions import Fraction
from math import inf, isfinite, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.execute.blocks import blocks, largest_of
from tensorloom.execute.casting import cast_arrays
from tensorloom.execute.scaling import as_float, finished, scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import RawResult
    from tensorloom.execute.run import Attempt
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType

    Cast = tuple[NDArray[Any], int]
    Replay = Callable[[Sequence[NDArray[Any]]], Coroutine[Any, Any, RawResult]]
    Again = Callable[[Sequence[Cast]], Coroutine[Any, Any, list[RawResult]]]

__all__ = [
    "CAUTION",
    "MOST_WORK",
    "TRIALS",
    "Opinion",
    "is_short",
    "largest_difference",
    "largest_differences",
    "may_repeat",
    "repetition_bytes",
]

CAUTION = 30.0
TRIALS = 3

MOST_WORK = 2 * 10**8
"""Plans with up to so much work are repeated to measure their error where a bound from averages
would say little: 0.2 s of numpy in Pyodide, less elsewhere. Work, not time: the same network says
the same on a busy device [real multiply-adds]."""

STEP_WORK = 20_000
"""What a kernel call counts as [real multiply-adds]."""

_STEPS = 1 << 10
"""Factors are odd numbers of 1/1024 between 1 and 2: exact in every type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """One of the results to be had again.

    Args:
        first: What came out.
        without: Number of an input that it does not depend on: it is linear in each of the others.
    """

    first: RawResult
    without: int | None = None


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

    async def again(cast: Sequence[Cast]) -> list[RawResult]:
        raw = await replay([array for array, _ in cast])
        exponent = sum(own for _, own in cast)
        return [finished(raw.value, exponent, program.dtype, log10_scale=raw.log10_scale)]

    (worst,) = await largest_differences(program, given, [Opinion(first=first)], again)
    return worst


async def largest_differences(
    program: Program, given: Sequence[NDArray[Any]], opinions: Sequence[Opinion], again: Again
) -> list[float]:
    """The same for several results of one run.

    Args:
        program: What was run; its hash seeds the factors.
        given: The inputs before they were cast.
        opinions: What came out.
        again: The same results from other inputs: ``(array, exponent taken out of it)``.
    """
    largest = [largest_of(part for (part,) in blocks(one.first.value)) for one in opinions]
    worst = [0.0 if 0 < size < inf else 1.0 for size in largest]
    known = [place for place, share in enumerate(worst) if share == 0]
    draw = random.Random(len(given) + program.mul_adds)  # noqa: S311  # not for secrets
    for _ in range(TRIALS if known else 0):
        factors = [_STEPS + 2 * draw.randrange(_STEPS // 2) + 1 for _ in given]
        repeated = await again(_multiplied(given, factors, program.dtype))
        shared = as_float(Fraction(_STEPS ** len(factors), prod(factors)))
        for place in known:
            one = opinions[place]
            own = _STEPS if one.without is None else factors[one.without]
            difference = _difference(one.first, repeated[place], shared, own)
            share = difference / largest[place]
            worst[place] = max(worst[place], share if isfinite(share) else 1.0)
        # Held no longer than it takes to compare it.
        del repeated
    return worst


def _difference(first: RawResult, again: RawResult, shared: tuple[float, int], own: int) -> float:
    """The largest |difference| of one repetition.

    Args:
        first: What came out.
        again: The repetition.
        shared: Mantissa and exponent of what takes all factors out.
        own: The factor that is not in it.
    """
    scale = Fraction(10) ** int(again.log10_scale - first.log10_scale)
    mantissa, power = as_float(scale * Fraction(own, _STEPS))
    mantissa, power = mantissa * shared[0], power + shared[1]

    def unscaled(block: NDArray[Any]) -> NDArray[Any]:
        exact = np.asarray(block, np.result_type(block.dtype, np.float64)) * mantissa
        return scaled(exact, power)

    pairs = blocks(again.value, first.value)
    return largest_of(unscaled(more) - before for more, before in pairs)


def repetition_bytes(
    program: Program, given: Sequence[NDArray[Any]], firsts: Iterable[RawResult]
) -> int:
    """What is held beside a repetition, its own inputs and results not counted [bytes].

    Args:
        program: What was run.
        given: The inputs before they were cast.
        firsts: What came out.
    """
    # Each in turn is held multiplied, too, until it is cast.
    wide = [(_product_type(array, program.dtype), array.size) for array in given]
    other = (dtype.itemsize * size for dtype, size in wide if dtype != program.dtype)
    held = sum(array.nbytes for array in given) + sum(first.value.nbytes for first in firsts)
    return held + max(other, default=0)


def may_repeat(attempt: Attempt, held: int) -> bool:
    """Whether repetitions are short enough and fit beside what is held.

    Args:
        attempt: Where and how the results were made; all its runs are repeated.
        held: From ``repetition_bytes`` [bytes].
    """
    program, times = attempt.program, attempt.n_runs
    calls = times * program.n_slices * len(program.dispatches)
    if not calls or not is_short(program.dtype, times * program.mul_adds, calls):
        return False
    return attempt.has_room(held)


def is_short(dtype: DType, mul_adds: int, calls: int) -> bool:
    """Whether what took so much, on whatever device, is repeated to measure its error.

    Args:
        dtype: Type that it was computed in.
        mul_adds: Multiply-adds of that type.
        calls: Of kernels.
    """
    factor = 4 if dtype.startswith("complex") else 1
    return factor * mul_adds + STEP_WORK * calls <= MOST_WORK


def _multiplied(given: Sequence[NDArray[Any]], factors: Sequence[int], dtype: DType) -> list[Cast]:
    """The inputs times their factors, each with the exponent taken out; see ``cast_arrays``."""
    cast: list[Cast] = []
    for array, factor in zip(given, factors, strict=True):
        product = np.multiply(array, factor / _STEPS, dtype=_product_type(array, dtype))
        (made,), exponent = cast_arrays([product], dtype)
        cast.append((made, exponent))
    return cast


def _product_type(array: NDArray[Any], dtype: DType) -> np.dtype[Any]:
    """What an input is multiplied in: a narrower type would round more than the run does."""
    return np.result_type(array.dtype, dtype)
