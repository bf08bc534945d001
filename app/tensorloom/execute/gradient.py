"""Gradients of a network's value: one run of a program with several results.

    lowering(wrt)                     -> how a plan becomes such a program, for ``run.prepare``
    run(choice, arrays, seed, wrt)    -> Gradient

Slices are summed here, outside the backends: a program that keeps results has no slices, so each
slice is a run of its own over views of the arrays. What a tensor's adjoint is constant or zero
along (lone summed and repeated indices) is spread out at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import NetworkError
from tensorloom.execute.backend import RawResult, SlicesDone, no_pulse
from tensorloom.execute.casting import as_numbers, cast_array, plain_arrays
from tensorloom.execute.gradient_bounds import bounds_of
from tensorloom.execute.run import first_able
from tensorloom.execute.scaling import (
    absmax,
    add_exactly,
    as_float,
    finished,
    scaled,
    shift_for,
)
from tensorloom.execute.value import replayed
from tensorloom.kernels.gradient import gradient_indices, lower_gradient
from tensorloom.kernels.lower import lower
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom.plan.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from tensorloom.execute.backend import BackendName, Pulse
    from tensorloom.execute.run import Attempt, Choice
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType
    from tensorloom.plan.tree import ContractionTree

__all__ = ["Gradient", "lowering", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradient:
    """A network's value and its derivatives.

    Args:
        value: Array of the output's shape.
        gradients: One array per tensor asked for, of its shape: the sum over the output of
            ``seed * d value / d element``, nothing conjugated. Real for a real tensor.
        wrt: Numbers of those tensors.
        dtype: Type it was computed in.
        backend: Where.
        ms: Measured duration of the run [ms].
        predicted_ms: What had been predicted [ms].
        peak_bytes: Most bytes alive at once, where the error was measured then too [bytes].
        mul_adds: Multiply-adds done.
        log10_scale: The true value is ``value * 10**log10_scale``.
        log10_scales: The same for each gradient.
        error_bound: Bound on max |value - exact| / max |exact| from rounding; ``None`` where
            nobody asked for bounds.
        error_bounds: The same for each gradient: none of its elements is further off than this
            times its largest; empty where nobody asked.
        notes: Why it did not run where asked, in words.
    """

    value: NDArray[Any]
    gradients: tuple[NDArray[Any], ...]
    wrt: tuple[int, ...]
    dtype: DType
    backend: BackendName
    ms: float
    predicted_ms: float
    peak_bytes: int
    mul_adds: int
    log10_scale: float = 0.0
    log10_scales: tuple[float, ...] = ()
    error_bound: float | None = None
    error_bounds: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()


def lowering(wrt: tuple[int, ...]) -> Callable[[Plan | ContractionTree, DType], Program]:
    """How a plan becomes a program for these gradients; one slice of it, if it is sliced.

    Its memory is that of the whole run: beside one slice lie all arrays, and what is added up.
    """

    def lowered(plan: Plan | ContractionTree, dtype: DType) -> Program:
        whole = plan.tree if isinstance(plan, Plan) else plan
        tree = _one_slice(whole)
        made = lower_gradient(tree, dtype, wrt) if tree.path and wrt else lower(tree, dtype)
        beside = _beside(whole, wrt) * ITEM_BYTES[dtype] if whole.sliced else 0
        after = _after(whole, wrt) * ITEM_BYTES[dtype]
        return replace(made, peak_bytes=max(made.peak_bytes + beside, after))

    return lowered


def _one_slice(tree: ContractionTree) -> ContractionTree:
    sizes = tuple(tree.size_of.items())
    return replace(tree, dimensions=sizes, sliced=()) if tree.sliced else tree


def _beside(tree: ContractionTree, wrt: tuple[int, ...]) -> int:
    """What a sliced run holds outside its slices: arrays and seed, results and their excess."""
    full = dict(tree.dimensions)
    names = gradient_indices(tree)
    results = (tree.output, *(names[number] for number in wrt))
    held = (*tree.inputs, tree.output, *results, *(n for n in results if _adds_up(tree, n)))
    return sum(prod(full[name] for name in indices) for indices in held)


def _after(tree: ContractionTree, wrt: tuple[int, ...]) -> int:
    """What is held after the run: arrays and seed, results, and those that are spread out."""
    full = dict(tree.dimensions)
    names = gradient_indices(tree)
    spread = (tree.inputs[n] for n in wrt if names[n] != tree.inputs[n])
    held = (*tree.inputs, tree.output, tree.output, *(names[n] for n in wrt), *spread)
    return sum(prod(full[name] for name in indices) for indices in held)


def _adds_up(tree: ContractionTree, indices: Sequence[str]) -> bool:
    """Whether an element of an array with these indices gets something from several slices."""
    return not set(tree.sliced).issubset(indices)


async def run(  # noqa: PLR0913  # the last is for tests
    choice: Choice,
    arrays: Sequence[ArrayLike],
    seed: ArrayLike | None,
    wrt: tuple[int, ...],
    *,
    bounds: bool = True,
    pulse: Pulse = no_pulse,
    clock: Callable[[], float] = perf_counter,
) -> Gradient:
    """The value and the gradients.

    Args:
        choice: From ``execute.run.prepare`` with ``lowering(wrt)``.
        arrays: One per tensor, of its shape; converted to the type computed in.
        seed: Weight of each element of the output, of its shape; by default 1 everywhere.
        wrt: As given to ``lowering``.
        bounds: Whether to say how far rounding may have moved them.
        pulse: Progress and cancellation.
        clock: Seconds.

    Raises:
        NetworkError: Arrays that do not belong to the plan.
        UnsupportedKernel, DeviceLost, DeviceMemoryError: The last backend could not either.
        Cancelled: The pulse said so.
    """
    tree = choice.attempts[0].plan.tree
    given = (*plain_arrays(tree, arrays), _seed(tree, seed))
    names = gradient_indices(tree)

    async def on(attempt: Attempt) -> Gradient:
        start = clock()
        dtype = attempt.program.dtype
        cast = [cast_array(array, dtype) for array in given]
        value, kept = await _summed(attempt, cast, wrt, names, pulse)
        del cast
        kept = [_of_kind(given[number], part) for part, number in zip(kept, wrt, strict=True)]
        full = dict(tree.dimensions)
        ms = 1e3 * (clock() - start)
        notes = [*value.notes]

        async def again(others: Sequence[tuple[NDArray[Any], int]]) -> list[RawResult]:
            value, kept = await _summed(attempt, others, wrt, names, no_pulse)
            notes.extend(value.notes)
            own = [_of_kind(given[number], part) for part, number in zip(kept, wrt, strict=True)]
            return [value, *own]

        found: list[float] = []
        held = 0
        if bounds:
            found, held = await bounds_of(attempt, given, wrt, [value, *kept], again)
        # Only now: nothing of their size lies beside repetitions.
        start = clock()
        full = dict(tree.dimensions)
        gradients = [
            _spread(part, full, tree.inputs[number], names[number])
            for part, number in zip(kept, wrt, strict=True)
        ]
        ms += 1e3 * (clock() - start)
        return Gradient(
            value=value.value,
            gradients=tuple(gradients),
            wrt=wrt,
            dtype=dtype,
            backend=attempt.backend.name,
            ms=ms,
            predicted_ms=attempt.predicted_ms,
            peak_bytes=attempt.peak_bytes + held,
            mul_adds=attempt.program.mul_adds * attempt.n_runs,
            log10_scale=value.log10_scale,
            log10_scales=tuple(part.log10_scale for part in kept),
            error_bound=found[0] if bounds else None,
            error_bounds=tuple(found[1:]),
            notes=tuple(notes),
        )

    gradient, notes = await first_able(choice, on)
    return replace(gradient, notes=(*notes, *gradient.notes))


def _seed(tree: ContractionTree, seed: ArrayLike | None) -> NDArray[Any]:
    """The seed as an array of the output's shape.

    Raises:
        NetworkError: ``seed-shape`` or ``bad-array``.
    """
    sizes = dict(tree.dimensions)
    shape = tuple(sizes[name] for name in tree.output)
    if seed is None:
        return np.ones(shape)
    array = as_numbers(seed, len(tree.inputs), "The seed")
    if array.shape != shape:
        raise NetworkError(
            "seed-shape",
            f"The seed has shape {array.shape}, but the value has shape {shape}.",
            "Give one weight per element of the value, or none for 1 everywhere.",
            values={"wanted": list(shape), "found": list(array.shape)},
        )
    return array


def _of_kind(given: NDArray[Any], adjoint: RawResult) -> RawResult:
    """Of a real tensor in a complex network only the real part is asked for."""
    if adjoint.value.dtype.kind == "c" != given.dtype.kind:
        return replace(adjoint, value=adjoint.value.real.copy())
    return adjoint


async def _summed(
    attempt: Attempt,
    cast: Sequence[tuple[NDArray[Any], int]],
    wrt: tuple[int, ...],
    names: tuple[tuple[str, ...], ...],
    pulse: Pulse,
) -> tuple[RawResult, list[RawResult]]:
    """The value and each adjoint, all slices added up."""
    tree, dtype = attempt.plan.tree, attempt.program.dtype
    sums = [_Sum(tree, tree.output, tree.output, dtype)]
    sums += [_Sum(tree, names[number], tree.inputs[number], dtype) for number in wrt]
    arrays, exponents = [array for array, _ in cast], [exponent for _, exponent in cast]
    done = 0

    n_slices, summed = tree.n_slices, 0
    notes: list[str] = []

    async def so_far() -> RawResult | None:
        return sums[0].so_far()

    async def progress(done_mul_adds: int, _slices: SlicesDone | None = None) -> None:
        slices = SlicesDone(done=summed, of=n_slices, so_far=so_far) if n_slices > 1 else None
        await pulse(done + done_mul_adds, slices)

    everything = sum(exponents)
    for fixed in _slices(tree):
        cut = [
            _cut(array, indices, fixed).copy() if fixed else array
            for array, indices in zip(arrays, (*tree.inputs, tree.output), strict=True)
        ]
        value, kept = await _one(attempt, cut, wrt, progress)
        done += attempt.program.mul_adds
        notes += value.notes
        for place, (total, part) in enumerate(zip(sums, (value, *kept), strict=True)):
            # The value knows nothing of the seed, an adjoint nothing of its own tensor.
            own = exponents[wrt[place - 1]] if place else exponents[-1]
            total.add(part, everything - own, fixed)
        summed += 1
    value = replace(sums[0].result(), notes=tuple(notes))
    return value, [total.result() for total in sums[1:]]


async def _one(
    attempt: Attempt, arrays: list[NDArray[Any]], wrt: tuple[int, ...], pulse: Pulse
) -> tuple[RawResult, list[RawResult]]:
    """Value and adjoints of one slice."""
    program, seed = attempt.program, arrays[-1]
    if program.kept:
        raw = await attempt.backend.run(program, arrays, pulse)
        return raw, list(raw.kept)
    # At most one tensor: its value is a sum of it, its adjoint the seed.
    value = await replayed(attempt, arrays[:-1], pulse)
    tree = attempt.plan.tree
    order = gradient_indices(tree)[0] if wrt else ()
    turned = seed.transpose([tree.output.index(name) for name in order]) if wrt else seed
    return value, [RawResult(value=turned) for _ in wrt]


def _taken_out(raw: RawResult, dtype: DType) -> tuple[NDArray[Any], int]:
    """A result's numbers within the safe range, and the exponent beside them."""
    shift = shift_for(absmax(raw.value), dtype)
    value = scaled(raw.value, -shift)
    if raw.log10_scale == 0:
        return value, shift
    mantissa, power = as_float(Fraction(10) ** int(raw.log10_scale))
    return np.asarray(value * value.real.dtype.type(mantissa)), shift + power


def _slices(tree: ContractionTree) -> Iterator[Mapping[str, int]]:
    """The values of the sliced indices, slice by slice."""
    full = dict(tree.dimensions)
    for values in product(*(range(full[name]) for name in tree.sliced)):
        yield dict(zip(tree.sliced, values, strict=True))


def _cut(array: NDArray[Any], indices: Sequence[str], fixed: Mapping[str, int]) -> NDArray[Any]:
    """The part of an array where the sliced indices have these values; its axes stay."""
    if not fixed:
        return array
    place = [slice(fixed[n], fixed[n] + 1) if n in fixed else slice(None) for n in indices]
    return array[(*place, ...)]  # with the dots also a scalar stays an array that can be added to


class _Sum:
    """An array that slices are added into, with one power of two beside it.

    Its numbers stay within the safe range, so that a sum may leave the type's though no slice did.
    What additions round away is added up in a second one, as in ``scaling.SliceSum``, unless each
    element comes from one slice.

    Args:
        tree: What is sliced.
        indices: The array's.
        tensor: Those of the tensor it belongs to. Along the others it is constant: every value of
            a sliced one gives the same, and the first is taken.
        dtype: Its type.
    """

    def __init__(
        self,
        tree: ContractionTree,
        indices: Sequence[str],
        tensor: Sequence[str],
        dtype: DType,
    ) -> None:
        full = dict(tree.dimensions)
        self.constant = set(tensor).difference(indices)
        self.indices = indices
        self.adds_up = _adds_up(tree, indices)
        self.dtype = dtype
        self.whole = tuple(full[name] for name in indices)
        self.part = tuple(tree.size_of[name] for name in indices)
        self.only: RawResult | None = None
        self.total: NDArray[Any] | None = None
        self.excess: NDArray[Any] | None = None
        self.exponent: int | None = None

    def add(self, raw: RawResult, exponent: int, fixed: Mapping[str, int]) -> None:
        """Adds one slice times ``2**exponent`` where it belongs."""
        if any(fixed.get(name) for name in self.constant):
            return
        if not fixed:
            if exponent:
                raw = finished(raw.value, exponent, self.dtype, log10_scale=raw.log10_scale)
            self.only = replace(raw, value=raw.value.reshape(self.part), kept=())
            return
        if self.total is None:
            self.total = np.zeros(self.whole, self.dtype)
            self.excess = np.zeros(self.whole, self.dtype) if self.adds_up else None
        part, own = _taken_out(raw, self.dtype)
        if absmax(part) == 0:
            # Its scale is that of no number: beside it all that is here could vanish.
            return
        self._make_room(exponent + own)
        assert self.exponent is not None, "made room for"
        part = scaled(part.reshape(self.part), exponent + own - self.exponent)
        place = _cut(self.total, self.indices, fixed)
        if self.excess is None:
            place += part
        else:
            add_exactly(place, _cut(self.excess, self.indices, fixed), part)

    def _make_room(self, exponent: int) -> None:
        """Takes the exponent of a part that is larger, or that finds nothing here."""
        if exponent == self.exponent:
            return
        held = [array for array in (self.total, self.excess) if array is not None]
        if self.exponent is None or all(absmax(array) == 0 for array in held):
            self.exponent = exponent
        elif exponent > self.exponent:
            for array in held:
                array[...] = scaled(array, self.exponent - exponent)
            self.exponent = exponent

    def so_far(self) -> RawResult | None:
        """A copy of the sum; ``None`` before the first slice."""
        if self.total is None:
            return self.only
        excess = 0 if self.excess is None else self.excess
        return finished(np.asarray(self.total + excess), self.exponent or 0, self.dtype)

    def result(self) -> RawResult:
        """The sum; nothing is added afterwards."""
        if self.only is not None:
            return self.only
        assert self.total is not None, "there is at least one slice"
        if self.excess is not None:
            self.total += self.excess
            self.excess = None
        return finished(self.total, self.exponent or 0, self.dtype)


def _spread(
    raw: RawResult, full: Mapping[str, int], names: tuple[str, ...], own: tuple[str, ...]
) -> NDArray[Any]:
    """An adjoint as an array of its tensor's shape: constant or zero where it has no axis."""
    if own == names:
        return raw.value
    distinct = tuple(dict.fromkeys(names))
    axes = tuple(place for place, name in enumerate(distinct) if name not in own)
    wide = np.expand_dims(raw.value, axes)
    wide = np.broadcast_to(wide, [full[name] for name in distinct])
    if distinct == names:
        return wide.copy()
    found = np.zeros([full[name] for name in names], raw.value.dtype)
    diagonal = np.einsum(found, [distinct.index(name) for name in names], range(len(distinct)))
    diagonal[...] = wide
    return found
