"""How far rounding can have moved gradients: the bounds of ``execute.error_bound``, one for each.

The adjoint of a tensor is a network of its own: all other tensors, and the seed in the tensor's
place. Its steps are those of the program that lead to it, each once, and its typical magnitude
follows from the same averages. Where these say that much is lost, all results are had again from
inputs that round differently (``execute.second_opinion``): one repetition serves all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import inf, isfinite, log
from typing import TYPE_CHECKING

from tensorloom.execute.blocks import blocks, largest_of
from tensorloom.execute.error_bound import (
    MUCH_LOST,
    SAFETY,
    bounded,
    has_digits,
    is_positive,
    length_bounds,
    log_typical,
    underflow_bound,
)
from tensorloom.execute.second_opinion import (
    CAUTION,
    Opinion,
    largest_differences,
    may_repeat,
    repetition_bytes,
)
from tensorloom.kernels.gradient import gradient_indices

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from tensorloom.execute.backend import RawResult
    from tensorloom.execute.run import Attempt
    from tensorloom.execute.second_opinion import Again
    from tensorloom.plan.tree import ContractionTree

__all__ = ["bounds_of"]


async def bounds_of(
    attempt: Attempt,
    given: Sequence[NDArray[Any]],
    wrt: Sequence[int],
    results: Sequence[RawResult],
    again: Again,
) -> tuple[list[float], int]:
    """Bounds on max |found - exact| / max |exact|, between 0 and 1, one per result.

    Beside them what repetitions held beyond a run of their own; 0 where there was none [bytes].

    Args:
        attempt: Where and how they were made.
        given: The tensors and the seed, before they were cast.
        wrt: Numbers of the tensors that adjoints belong to.
        results: The value, then the adjoints, without the axes that they are constant along.
        again: The same from other inputs.
    """
    program, seed = attempt.program, len(given) - 1
    lengths = length_bounds(program, attempt.places, attempt.n_runs)
    # Where there is one tensor its adjoint is the seed, added up as the value is.
    lengths += lengths[:1] * (len(results) - len(lengths))
    without = [seed, *wrt]
    averages = _averages(attempt.plan.tree, given, wrt)
    underflow = underflow_bound(program, attempt.places)
    bounds = [
        _bound(length, underflow, result, one)
        for length, result, one in zip(lengths, results, averages, strict=True)
    ]
    # Where nothing cancels only underflow took much, and what it takes away in every run no
    # repetition shows.
    least = [
        SAFETY * length if one is not None and one.cancels else bound
        for length, one, bound in zip(lengths, averages, bounds, strict=True)
    ]
    # Of zeros no digit is certain, however often they are had again.
    doubted = any(
        b > MUCH_LOST * own and has_digits(result)
        for b, own, result in zip(bounds, least, results, strict=True)
    )
    held = repetition_bytes(program, given, results)
    if not doubted or not may_repeat(attempt, held):
        return bounds, 0
    opinions = [
        Opinion(first=result, without=number)
        for result, number in zip(results, without, strict=True)
    ]
    differences = await largest_differences(program, given, opinions, again)
    return [
        min(bound, own + CAUTION * difference)
        for bound, own, difference in zip(bounds, least, differences, strict=True)
    ], held


@dataclass(frozen=True, slots=True)
class _Average:
    """What a result would be if all signs were random.

    Args:
        typical: Natural log of the typical magnitude of its elements.
        cancels: Whether a tensor that it is made of has a negative element.
    """

    typical: float
    cancels: bool


def _bound(length: float, underflow: float, result: RawResult, average: _Average | None) -> float:
    """The bound of one result from averages; ``None`` where it is a sum of zeros."""
    largest = largest_of(part for (part,) in blocks(result.value))
    if not isfinite(largest):
        return 1.0
    if average is None:
        return 0.0
    typical, cancels = average.typical, average.cancels
    return bounded(length, underflow, result, largest, typical, cancels=cancels)


def _averages(
    tree: ContractionTree, given: Sequence[NDArray[Any]], wrt: Sequence[int]
) -> list[_Average | None]:
    """What averages say of each result; ``None`` where a tensor that it is made of is zero."""
    sizes = {name: log(size) for name, size in tree.dimensions}
    everything = sum(sizes.values())
    names = gradient_indices(tree)
    magnitudes = [log_typical(array) for array in given]
    # Sums over all but one; subtracting would not do for infinite ones.
    others = _all_but_one(magnitudes)
    negative = [not is_positive(array) for array in given]
    n_negative, n_zero = sum(negative), sum(one == -inf for one in magnitudes)

    def average(left_out: int, fixed: Iterable[str]) -> _Average | None:
        if n_zero > (magnitudes[left_out] == -inf):
            return None
        summed = everything - sum(sizes[name] for name in fixed)
        cancels = n_negative > negative[left_out]
        return _Average(others[left_out] + summed / 2, cancels)

    # Along a lone index of its own tensor an adjoint is constant: that one is not summed either.
    lone = [set(own) - set(found) for own, found in zip(tree.inputs, names, strict=True)]
    value = average(len(given) - 1, tree.output)
    return [value, *(average(number, (*names[number], *lone[number])) for number in wrt)]


def _all_but_one(numbers: Sequence[float]) -> list[float]:
    """The sum of all others, for each."""
    before = list(accumulate(numbers, initial=0.0))
    after = list(accumulate(reversed(numbers), initial=0.0))
    return [before[place] + after[len(numbers) - 1 - place] for place in range(len(numbers))]
