"""Maxima and sums over large arrays, block by block: no copy of an array's size is made."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["blocks", "largest_of", "square_sum"]

BLOCK = 1 << 16
"""Elements of a block: a copy of it stays in a core's cache."""


def blocks(*arrays: NDArray[Any]) -> Iterator[tuple[NDArray[Any], ...]]:
    """The elements of arrays of one shape, in flat blocks that belong together.

    Args:
        arrays: Any strides; only blocks of what is not contiguous are copied.

    Example:
        >>> a = np.arange(6).reshape(2, 3)
        >>> [(int(x[0]), x.shape) for x, _ in blocks(a.T, a.T)]
        [(0, (6,))]
    """
    if arrays[0].size <= BLOCK:
        yield tuple(array.reshape(-1) for array in arrays)
    elif all(array.flags.c_contiguous for array in arrays):
        flat = [array.reshape(-1) for array in arrays]
        for start in range(0, flat[0].size, BLOCK):
            yield tuple(array[start : start + BLOCK] for array in flat)
    else:
        flags = ["external_loop", "buffered"]
        reading = [["readonly"]] * len(arrays)
        found: Any = np.nditer(arrays, flags, reading, buffersize=BLOCK)  # type: ignore[arg-type]
        for part in found:
            yield part if isinstance(part, tuple) else (part,)


def largest_of(arrays: Iterable[NDArray[Any]]) -> float:
    """The largest magnitude in some blocks: 0 where there is none, NaN if one is no number.

    Args:
        arrays: The blocks; each is looked at before the next one is made.
    """
    largest = 0.0
    for array in arrays:
        # The least of the integers has no opposite: its magnitude would be negative.
        numbers = array.astype(np.float64) if array.dtype.kind == "i" else array
        found = float(np.abs(numbers).max(initial=0))
        if isnan(found):
            return found
        largest = max(largest, found)
    return largest


def square_sum(array: NDArray[Any]) -> float:
    """The sum of squared magnitudes, in double precision; infinite beyond its range."""
    total = 0.0
    wide = np.complex128 if array.dtype.kind == "c" else np.float64
    for (block,) in blocks(array):
        # numpy looks for no overflow in dot products: what is beyond the range is infinite.
        made = block.astype(wide, copy=False)
        parts = (made.real, made.imag) if made.dtype.kind == "c" else (made,)
        total += sum(float(np.vdot(part, part)) for part in parts)
    return total
