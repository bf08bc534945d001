"""How far rounding can have moved a result, known without computing it twice.

    bound = SAFETY * max(u * lengths * loss, underflow)

``u`` is the unit roundoff; ``lengths`` adds up the roundings of each step that may agree: K in a
sum of K terms, fewer where it is long, by how a backend makes long sums. ``loss`` is how much
smaller the result is than a sum of the same products with random signs would be: what cancels in
the value does not cancel in the error. For a network with elements of variance s_i^2 in tensor i
and N_s summed index values, that sum has standard deviation prod(s_i) * sqrt(N_s). Where no tensor
has a negative element nothing cancels: loss is 1. Yet what underflows beside larger numbers may be
all that a result is made of: ``underflow`` is a type's smallest number over the smallest maximum of
a tensor (``kernels.ranges``), for each tensor, times the loss whatever the signs. Tensors stored in
16 bits add 2^-11 each, and that counts so, too.

It is a bound for real data, not a proof: inputs made so that large intermediates cancel inside the
network, yet not in these averages, can pass it. Where it finds much lost, as after hundreds of
random matrices (whose products are typically far smaller than their average), the error is
measured instead: ``execute.second_opinion``. 1 means that no digit is certain.
"""

from __future__ import annotations

from math import exp, inf, isfinite, log, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.execute.blocks import blocks, largest_of, square_sum
from tensorloom.kernels.ranges import SAFE_LOG2

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import BackendName, RawResult
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType
    from tensorloom.plan.tree import ContractionTree

__all__ = [
    "MUCH_LOST",
    "SAFETY",
    "bounded",
    "error_bound",
    "has_digits",
    "is_positive",
    "length_bound",
    "length_bounds",
    "log_summed",
    "log_typical",
    "may_cancel",
    "underflow_bound",
]

SAFETY = 2.0
"""Covers the gap between averages and maxima; the worst of 10,000 random networks came to 0.91 of
its bound (docs/benchmarks.md)."""

MUCH_LOST = 30.0
"""Digits lost from which the error is measured where that is quick: a factor in the error."""

BLOCK = 256
"""Terms of a sum that count in full [terms]."""

SIDE_BY_SIDE: Mapping[BackendName, int] = {"numpy": 32, "wasm": 16, "webgpu": 4, "webgpu-f16": 4}
"""Beyond a block, so many terms count as one. numpy and most kernels of WASM begin a new sum after
a block or two; its dot products add up two doubles at a time, invocations of a GPU one number.
Where all terms are alike most roundings agree, and a sixth of their number is left: sums of 16,000
to 60,000 times 0.7 stay below two thirds of these bounds (tests/conformance/test_long_sums.py)
[terms]."""

STORED_ROUNDOFF: Mapping[BackendName, float] = {"webgpu-f16": 2.0**-11}
"""What storing a tensor rounds away besides, beside its largest number."""

UNIT_ROUNDOFF: Mapping[DType, float] = {
    "float32": 2.0**-24,
    "complex64": 2.0**-24,
    "float64": 2.0**-53,
    "complex128": 2.0**-53,
}

_PLAIN = 1e-30
"""A sum of squares between this and its inverse has lost nothing to the range of doubles."""

COMPLEX_FACTOR = 2.0
"""A complex product has four real ones and two sums: at most 2 sqrt(2) roundings, 2 typically."""


def length_bound(program: Program, places: Collection[BackendName]) -> float:
    """Bound on the relative error where nothing cancels: roundings per step, times the roundoff.

    Args:
        program: What was run; all its dispatches lead to its result.
        places: On which backends.
    """
    side_by_side = _side_by_side(places)
    n_inputs = sum(buffer.source is not None for buffer in program.buffers)
    roundings = n_inputs + program.n_slices - 1
    for terms, dispatches in program.sum_lengths.items():
        roundings += dispatches * _roundings_of(terms, side_by_side)
    # The result is stored in full; what stores one tensor narrowly stores all others so.
    stored = max(STORED_ROUNDOFF.get(name, 0.0) for name in places)
    n_stored = n_inputs + len(program.dispatches) - 1
    return _of_a_rounding(program.dtype) * roundings + stored * n_stored


def length_bounds(
    program: Program, places: Collection[BackendName], n_runs: int
) -> tuple[float, ...]:
    """The same for each result of a program: counted are the steps that lead to it.

    Args:
        program: What was run.
        places: On which backends.
        n_runs: How often, its results added up.

    Returns:
        One bound for the program's result and one for each buffer that it keeps.
    """
    side_by_side = _side_by_side(places)
    inputs = (number for number, buffer in enumerate(program.buffers) if buffer.source is not None)
    roundings = dict.fromkeys(inputs, 1)
    for dispatch in program.dispatches:
        terms = program.kernels[dispatch.kernel].extents[3]
        right = 0 if dispatch.right is None else roundings[dispatch.right]
        own = _roundings_of(terms, side_by_side)
        roundings[dispatch.out] = roundings[dispatch.left] + right + own
    added = program.n_slices * n_runs - 1
    unit = _of_a_rounding(program.dtype)
    # The number 1, a buffer that nothing makes, is exact.
    return tuple(
        unit * (roundings.get(number, 0) + added) for number in (program.result, *program.kept)
    )


def underflow_bound(program: Program, places: Collection[BackendName]) -> float:
    """Bound on what underflow takes from all tensors together, each beside its largest number.

    Args:
        program: What was run.
        places: On which backends. GPUs may take the smallest numbers for zeros.
    """
    limits = np.finfo(program.dtype)
    flushed = any(name.startswith("webgpu") for name in places)
    least = float(limits.tiny if flushed else limits.smallest_subnormal)
    return len(program.buffers) * least * 2.0 ** (2 * SAFE_LOG2[program.dtype])


def _side_by_side(places: Collection[BackendName]) -> int:
    return min(SIDE_BY_SIDE[name] for name in places)


def _roundings_of(terms: int, side_by_side: int) -> int:
    """Roundings of one step that may agree, the product's included."""
    return min(terms, BLOCK) + max(0, terms - BLOCK) // side_by_side + 1


def _of_a_rounding(dtype: DType) -> float:
    """What one rounding may change of a number, relative to it."""
    return UNIT_ROUNDOFF[dtype] * (COMPLEX_FACTOR if dtype.startswith("complex") else 1.0)


def error_bound(
    tree: ContractionTree,
    program: Program,
    arrays: Sequence[NDArray[Any]],
    raw: RawResult,
    places: Collection[BackendName],
) -> float:
    """Bound on max |value - exact| / max |exact|, between 0 and 1.

    Args:
        tree: What was contracted.
        program: How.
        arrays: The inputs.
        raw: What came out.
        places: The backends that made it.
    """
    if not program.dispatches:
        return UNIT_ROUNDOFF[program.dtype] if len(arrays) else 0.0
    largest = largest_of(part for (part,) in blocks(raw.value))
    if not isfinite(largest):
        return 1.0
    typical = log_summed(tree) / 2
    for array in arrays:
        own = log_typical(array)
        if own == -inf:
            return 0.0
        typical += own
    lengths, underflow = length_bound(program, places), underflow_bound(program, places)
    cancels = may_cancel(arrays, places)
    return bounded(lengths, underflow, raw, largest, typical, cancels=cancels)


def may_cancel(arrays: Sequence[NDArray[Any]], places: Collection[BackendName]) -> bool:
    """Whether the result may be smaller than what its roundings go by.

    What is stored in 16 bits rounds by its tensor's largest number; small ones may be all that the
    result is made of.
    """
    narrow = any(name in STORED_ROUNDOFF for name in places)
    return narrow or not all(map(is_positive, arrays))


def bounded(
    lengths: float,
    underflow: float,
    raw: RawResult,
    largest: float,
    typical: float,
    *,
    cancels: bool,
) -> float:
    """The bound from what nothing but lengths would give, from what cancels and what underflows.

    Args:
        lengths: Bound where nothing cancels.
        underflow: From ``underflow_bound``.
        raw: What came out.
        largest: Its largest magnitude, a finite number.
        typical: Natural log of the typical magnitude of an element if all signs were random.
        cancels: Whether anything can cancel.
    """
    if largest == 0:
        return 1.0
    excess = typical - log(largest) - raw.log10_scale * log(10)
    loss = exp(min(700.0, max(0.0, excess)))
    return min(1.0, SAFETY * max(lengths * (loss if cancels else 1.0), underflow * loss))


def has_digits(raw: RawResult) -> bool:
    """Whether a result is other than zeros, and finite: repetitions say nothing of others."""
    return 0 < largest_of(part for (part,) in blocks(raw.value)) < inf


def is_positive(array: NDArray[Any]) -> bool:
    """Whether it has no negative and no complex element."""
    return bool(array.dtype.kind != "c" and array.min() >= 0)


def log_summed(tree: ContractionTree) -> float:
    """Natural log of how many products of all tensors add up to one element of the result."""
    return log(prod(size for name, size in tree.dimensions if name not in tree.output))


def log_typical(array: NDArray[Any]) -> float:
    """Natural log of an array's root mean square: -inf of zeros, inf where one is not finite."""
    if array.dtype.kind in "fc":
        square = square_sum(array)
        if _PLAIN < square < 1 / _PLAIN:
            return log(square / array.size) / 2
    largest = largest_of(part for (part,) in blocks(array))
    if largest == 0:
        return -inf
    if not isfinite(largest):
        return inf
    square = sum(square_sum(part / largest) for (part,) in blocks(array))
    return log(largest) + log(square / array.size) / 2
