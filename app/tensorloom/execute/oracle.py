"""The reference for one kernel: its sums in double precision, at its edges and a few places inside.

Everything is taken from the spec's strides, nothing from a generated kernel: a leg exchanged in
packing, a tile beyond the edge, or a sum that ends early give other numbers here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorloom.kernels.program import KernelSpec, LoopAxis

__all__ = ["GUARD", "filled", "largest_error", "rounding_bound"]

GUARD = 16
"""NaN after each operand [elements]: what is read beyond the end shows in the result."""

EDGE, INSIDE = 8, 8
"""Rows and columns looked at: at each end, and between."""

MOST_PRODUCTS = 1 << 21
"""Products of the reference; Python's own numbers are slow in a browser."""

_PERIOD = 65_521
"""A prime: no stride of a tensor repeats with it, so no two legs look alike."""

_PER_PRODUCT = 4e-7
"""Error per product in single precision: 3.4 times its rounding."""


def filled(target: NDArray[Any], seed: int) -> None:
    """Normal numbers, and NaN in the last ``GUARD`` elements."""
    generator = np.random.default_rng(seed)
    block = generator.standard_normal(_PERIOD).astype(target.dtype)
    if target.dtype.kind == "c":
        block += (1j * generator.standard_normal(_PERIOD)).astype(target.dtype)
    for start in range(0, len(target), _PERIOD):
        part = target[start : start + _PERIOD]
        part[...] = block[: len(part)]
    target[len(target) - GUARD :] = np.nan


def rounding_bound(spec: KernelSpec, left: NDArray[Any], right: NDArray[Any]) -> float:
    """Largest difference that rounding explains: 4e-7 K max|A| max|B| in single precision."""
    single = spec.dtype in ("float32", "complex64")
    each = _PER_PRODUCT * (1.0 if single else 2.0**-29)
    # A complex product is four real ones, two for each part.
    each *= 2.0 if spec.dtype.startswith("complex") else 1.0
    # The block that fills operands has every number that occurs. A guard is no number, and an
    # operand need not have one: on a GPU nothing lies behind it.
    largest = [float(np.nanmax(np.abs(array[:_PERIOD]))) for array in (left, right)]
    return each * spec.extents[3] * largest[0] * largest[1]


def largest_error(
    spec: KernelSpec, left: NDArray[Any], right: NDArray[Any], out: NDArray[Any]
) -> float:
    """Largest difference from the reference; NaN if the result has one where it was looked at."""
    batch, m, n, k = spec.extents
    rows, columns = _places(m), _places(n)
    while len(rows) * len(columns) * k > MOST_PRODUCTS and max(len(rows), len(columns)) > _FEWEST:
        # The ends stay: edges are where kernels err.
        rows, columns = _thinned(rows), _thinned(columns)
    depth = [_offsets(spec.contracted, side, np.arange(k)) for side in ("left", "right")]
    worst = 0.0
    for item in sorted({0, batch // 2, batch - 1}):
        start = [int(_offsets(spec.batch, side, np.array([item]))[0]) for side in _SIDES]
        row_left, row_out = (_offsets(spec.rows, side, rows) for side in ("left", "out"))
        column_right, column_out = (
            _offsets(spec.columns, side, columns) for side in ("right", "out")
        )
        wide = np.complex128 if spec.dtype.startswith("complex") else np.float64
        a = left[start[0] + row_left[:, None] + depth[0]].astype(wide)
        b = right[start[1] + column_right[:, None] + depth[1]].astype(wide)
        made = out[start[2] + row_out[:, None] + column_out]
        error = np.abs(made - a @ b.T).max()
        worst = float(error) if not error <= worst else worst
    return worst


_SIDES = ("left", "right", "out")
_FEWEST = 4


def _places(size: int) -> NDArray[np.intp]:
    """Positions to look at: both ends, and some between."""
    if size <= 2 * EDGE + INSIDE:
        return np.arange(size)
    inside = np.random.default_rng(size).choice(size - 2 * EDGE, INSIDE, replace=False) + EDGE
    return np.unique([*range(EDGE), *inside, *range(size - EDGE, size)])


def _thinned(places: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.unique([*places[::2], places[-1]]) if len(places) > _FEWEST else places


def _offsets(
    axes: tuple[LoopAxis, ...], side: str, positions: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Offsets of positions of a group of axes, the last axis fastest [elements]."""
    if not axes:
        return np.zeros(len(positions), np.intp)
    where = np.unravel_index(positions, [axis.size for axis in axes])
    strides = [int(getattr(axis, side)) for axis in axes]
    found: NDArray[np.intp] = sum(  # type: ignore[assignment]  # a sum of arrays, never of none
        at * stride for at, stride in zip(where, strides, strict=True)
    )
    return found
