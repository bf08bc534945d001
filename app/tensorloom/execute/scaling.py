"""Carried exponents: big networks neither overflow nor vanish, on any backend.

A backend keeps a power of two beside each tensor: true value = stored value * 2**exponent. After
every kernel it looks at the largest magnitude; if that has left the safe range it takes the
exponent out (exact: only exponent bits change). At the end ``finished`` puts it back where the
numbers fit, else into ``log10_scale``. Zeros, infinities and NaN carry no exponent: they stay as
they are.

The safe range leaves room for the next kernel: with both operands' largest magnitudes at most
2**s, a sum of K products stays below 2**(2 s) * K.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor, frexp, isfinite, log2, log10
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.execute.backend import RawResult
from tensorloom.kernels.ranges import SAFE_LOG2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType

__all__ = [
    "SAFE_LOG2",
    "SliceSum",
    "absmax",
    "add_exactly",
    "as_float",
    "exponents_of",
    "finished",
    "scale",
    "scaled",
    "shift_for",
]


def absmax(array: NDArray[Any]) -> float:
    """The largest magnitude of a real or imaginary part; 0 for none, NaN if there is one."""
    parts = _parts(array)
    if parts.size == 0:
        return 0.0
    return float(max(parts.max(), -parts.min(), key=_nan_first))


def _nan_first(value: np.floating[Any]) -> float:
    return float("inf") if np.isnan(value) else float(value)


def shift_for(largest: float, dtype: DType) -> int:
    """The exponent to take out of a tensor: 0 within the safe range.

    Example:
        >>> shift_for(1.0, "float32"), shift_for(2.0**60, "float32"), shift_for(0.0, "float32")
        (0, 61, 0)
    """
    if largest == 0 or not isfinite(largest):
        return 0
    exponent = frexp(largest)[1]
    return exponent if abs(exponent) > SAFE_LOG2[dtype] else 0


def exponents_of(program: Program, taken: Mapping[int, int]) -> Mapping[int, int]:
    """The exponent of each buffer: what was taken out of it and of all that it was made from.

    Args:
        program: What was run.
        taken: Exponent taken out of a buffer itself; 0 where it is missing.
    """
    inputs = (number for number, buffer in enumerate(program.buffers) if buffer.source is not None)
    found = {number: taken.get(number, 0) for number in inputs}
    for dispatch in program.dispatches:
        right = 0 if dispatch.right is None else found[dispatch.right]
        found[dispatch.out] = found[dispatch.left] + right + taken.get(dispatch.out, 0)
    return found


def scaled(array: NDArray[Any], exponent: int) -> NDArray[Any]:
    """``array * 2**exponent``, exact unless it leaves the range; the array itself for 0."""
    if exponent == 0:
        return array
    parts = _parts(array)
    # What is not contiguous was copied to be flat; one copy is enough.
    moved = _moved(parts, exponent, None if array.flags.c_contiguous else parts)
    return moved.view(array.dtype).reshape(array.shape)


def scale(array: NDArray[Any], exponent: int) -> None:
    """The same in place, without a second array where it is contiguous.

    Args:
        array: Of whoever calls; nobody else reads it.
        exponent: Power of two that it is multiplied by.
    """
    if exponent == 0:
        return
    if array.flags.c_contiguous:
        parts = _parts(array)
        _moved(parts, exponent, parts)
    else:
        array[...] = scaled(array, exponent)


def _moved(parts: NDArray[Any], exponent: int, out: NDArray[Any] | None) -> NDArray[Any]:
    # Beyond this any finite number is 0 or infinite anyway; ldexp takes C integers only.
    exponent = max(-20_000, min(20_000, exponent))
    with np.errstate(over="ignore", under="ignore"):
        moved: NDArray[Any] = np.ldexp(parts, exponent, out=out)
    return moved


def _parts(array: NDArray[Any]) -> NDArray[Any]:
    """All real and imaginary parts, as a view where the array is contiguous."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(flat.real.dtype)


def as_float(factor: Fraction) -> tuple[float, int]:
    """Mantissa and exponent of a factor, which alone may leave the range of a float."""
    power = factor.numerator.bit_length() - factor.denominator.bit_length()
    mantissa, own = frexp(float(factor / Fraction(2) ** power))
    return mantissa, power + own


class SliceSum:
    """The full result while slices are added up, with one exponent for all of it.

    What additions round away is added up beside it, so a million slices lose no more than two, and
    large ones that cancel do not take the small ones with them.

    Source: T. Ogita, S. Rump, S. Oishi, Accurate sum and dot product, SIAM J. Sci. Comput. 26
    (2005), algorithm 4.4 (Sum2); TwoSum is Knuth's.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DType) -> None:
        self.exponent: int | None = None
        self._dtype: DType = dtype
        self._total = np.zeros(shape, dtype)
        self._excess = np.zeros(shape, dtype)

    @property
    def value(self) -> NDArray[Any]:
        """The sum so far, without its exponent; a copy."""
        return np.asarray(self._total + self._excess)

    def raw(self) -> RawResult:
        """The sum so far as a backend gives it back."""
        return finished(self.value, self.exponent or 0, self._dtype)

    def wide(self) -> NDArray[Any]:
        """The sum in double precision, without its exponent."""
        return self._total.astype(np.result_type(self._dtype, np.float64)) + self._excess

    def result(self) -> NDArray[Any]:
        """The sum, without its exponent, in place: nothing is added afterwards."""
        self._total += self._excess
        return self._total

    def add(
        self, start: int, axes: Sequence[tuple[int, int]], part: NDArray[Any], exponent: int
    ) -> None:
        """Adds one slice's result ``part * 2**exponent``.

        Args:
            start: Where it goes: its first element [elements].
            axes: ``(size, stride)`` of each axis, from ``kernels.slices.result_axes`` [elements].
            part: Its numbers, in C order.
            exponent: Of all of them.
        """
        if self.exponent is None or exponent > self.exponent:
            if absmax(part) == 0:
                # Its factors' exponent is none of its own, and could be far from that of the rest.
                return
            if self.exponent is not None:
                for array in (self._total, self._excess):
                    scale(array, self.exponent - exponent)
            self.exponent = exponent
        total, excess = (_view(array, start, axes) for array in (self._total, self._excess))
        add_exactly(total, excess, scaled(part.reshape(total.shape), exponent - self.exponent))


def add_exactly(total: NDArray[Any], excess: NDArray[Any], part: NDArray[Any]) -> None:
    """Adds a part to a total, and what that rounds away to the excess; in place (TwoSum).

    Three arrays of the part's size are made on the way, as ``NumpyBackend.peak_bytes`` counts.
    """
    # Beyond the range sums are infinite and stay so; nothing is left over of them.
    with np.errstate(over="ignore", invalid="ignore"):
        grown = np.asarray(total + part)
        moved = np.asarray(grown - total)
        left = np.asarray(part - moved)
        np.subtract(grown, moved, out=moved)
        np.subtract(total, moved, out=moved)
        moved += left
        excess += moved
    total[...] = grown
    del grown, moved, left
    for half in (excess.real, excess.imag) if excess.dtype.kind == "c" else (excess,):
        half[~np.isfinite(half)] = 0


def _view(array: NDArray[Any], start: int, axes: Sequence[tuple[int, int]]) -> NDArray[Any]:
    """Where a slice goes; numpy checks that it stays inside."""
    return np.ndarray(
        [size for size, _ in axes],
        array.dtype,
        array.reshape(-1)[start:],
        strides=[stride * array.itemsize for _, stride in axes],
    )


def finished(
    value: NDArray[Any],
    exponent: int,
    dtype: DType,
    *,
    log10_scale: float = 0.0,
    in_place: bool = False,
) -> RawResult:
    """What a backend gives back for ``value * 2**exponent * 10**log10_scale``.

    The scale is a whole power of ten, and the largest number beside it is between 1 and 10: nothing
    is lost in ``10**log10_scale``. It is 0 wherever the numbers fit the type.

    Args:
        value: The numbers.
        exponent: Carried beside them.
        dtype: Type of what is given back.
        log10_scale: Carried beside them, too.
        in_place: Whether ``value`` may be overwritten, as nobody else reads it.
    """
    if exponent == 0 and log10_scale == 0:
        return RawResult(value=value)
    largest = absmax(value)
    if largest == 0 or not isfinite(largest):
        return RawResult(value=value)
    limits = np.finfo(dtype)
    true_log2 = log2(largest) + exponent + log10_scale * log2(10)
    fits = log2(float(limits.tiny)) <= true_log2 < log2(float(limits.max))
    value = value if in_place and value.flags.writeable else np.array(value, order="C")
    if fits and log10_scale == 0:
        scale(value, exponent)
        return RawResult(value=value)
    power = 0 if fits else floor(true_log2 * log10(2))
    own = frexp(largest)[1]
    # Exact as a fraction, one rounding as a float; near 1 unless everything fits again.
    factor = Fraction(2) ** (exponent + own) * Fraction(10) ** (int(log10_scale) - power)
    shift = factor.numerator.bit_length() - factor.denominator.bit_length()
    number = value.real.dtype.type(float(factor / Fraction(2) ** shift))
    scale(value, -own)
    value *= number
    normal = value.astype(dtype, copy=False)
    scale(normal, shift)
    return RawResult(value=normal, log10_scale=float(power))
