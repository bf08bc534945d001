"""Kernels computed with numpy's strided views, and what numpy copies for them.

Operands become batches of matrices ``(b, m, k)`` and ``(b, n, k)``, copied only where numpy must.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tensorloom.execute.scaling import scale, scaled
from tensorloom.platform import IN_BROWSER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from tensorloom.kernels.program import KernelSpec, LoopAxis, Side

    Operand = Literal["left", "right"]

__all__ = [
    "DEPTH",
    "FEW_PRODUCTS",
    "MANY_PRODUCTS",
    "NO_BLAS",
    "copied_elements",
    "run_kernel",
    "taken_out",
]

NO_BLAS = IN_BROWSER
"""Whether ``matmul`` is a plain loop that misses the cache: 512^3 in 1.5 s in Pyodide 314."""

MANY_PRODUCTS = 1 << 20
"""Without BLAS, einsum's dot product along contiguous rows takes over from here: 0.12 s."""

DEPTH = 1024
"""Terms summed in one go. With float32, 65,536 times 0.1 sums to a relative error of 5e-4 in one
matrix product, of 4e-6 in such blocks [terms]."""

_LEAST_MOVED = 1 << 14
"""Numbers of an operand that lose their exponent at once, in a copy, or a hundredth of both
operands where that is more [elements]."""

_SIDE_BY_SIDE = 1 << 13
"""Results up to this size are made for all blocks in one call; larger ones block by block."""

FEW_PRODUCTS = 64
"""Matrices with fewer multiply-adds each go to einsum: matmul's loop over batches is slower."""


def run_kernel(
    spec: KernelSpec,
    left: NDArray[Any],
    right: NDArray[Any] | None,
    out: NDArray[Any],
    *,
    chunk: int = 1 << 22,
    largest: tuple[int, int] = (0, 0),
) -> Iterator[int]:
    """Runs one kernel into ``out`` piece by piece; yields the multiply-adds of each piece.

    Args:
        spec: What to do.
        left: Left operand, flat, from its first element on.
        right: Right operand likewise; ``None`` for a unary kernel.
        out: Result, flat.
        chunk: Size of a piece, about [multiply-adds].
        largest: Where ``taken_out`` of them is to be missing in the result, the binary exponents
            of the operands' largest magnitudes; the right one's is 0 if there is none.
    """
    if right is None:
        _unary(spec, left, out, largest[0])
        yield spec.mul_adds
        return
    batch, m, n, _ = spec.extents
    # All that a copy of the right operand does not lose the left one does.
    b, rest = _matrices(right, spec, "right", largest[1], largest[1] // 2)
    a, rest = _matrices(left, spec, "left", largest[0], largest[0] + rest)
    k = a.shape[2]
    c = _view(out, _pairs((*spec.batch, *spec.rows, *spec.columns), "out"))
    in_place = _in_place(out, spec)
    whole = np.empty((batch, m, n), c.dtype) if in_place is None else in_place
    done = 0
    most = _rows_at_once(spec, k, chunk)
    if rest:
        # Copies without the exponent stay small beside the operands.
        at_once = max(_LEAST_MOVED, (a.size + b.size) // 100)
        most = min(most, max(1, at_once // min(k, DEPTH)))
    for batches, rows, reached in _pieces(batch, m, most):
        _product(a[batches, rows], b[batches], whole[batches, rows], rest)
        so_far = spec.mul_adds * reached // (batch * m)
        yield so_far - done
        done = so_far
    if in_place is None:
        c[...] = whole.reshape(c.shape)


def taken_out(largest: tuple[int, int]) -> int:
    """The exponent that the result of such operands lacks.

    The right one stays as it is, and the left one makes room for it: the left one's magnitudes are
    up to 2**-(r / 2) beside 2**r, and those of products up to 2**(r / 2), far inside the range.
    """
    return largest[0] + largest[1] // 2


def _rows_at_once(spec: KernelSpec, k: int, chunk: int) -> int:
    """Rows of a piece, those of all batches counted, for sums of ``k`` terms."""
    batch, m, n, _ = spec.extents
    return batch * m if spec.mul_adds <= chunk else max(1, chunk // (n * k))


def _in_place(out: NDArray[Any], spec: KernelSpec) -> NDArray[Any] | None:
    """The result as the products come, ``(batch, m, n)``; ``None`` if it cannot be seen that way.

    Most can: in C order, or turned, which ``matmul`` writes as fast.
    """
    axes = _in_order(spec)
    return _view(out, axes) if axes else None


def _in_order(spec: KernelSpec) -> list[tuple[int, int]]:
    """The result's batches, rows and columns as one axis each; none if one of them is several."""
    groups = [_one_axis(_pairs(axes, "out")) for axes in (spec.batch, spec.rows, spec.columns)]
    return [] if None in groups else [axis for axis in groups if axis]


def _pairs(axes: Sequence[LoopAxis], side: Side) -> list[tuple[int, int]]:
    """Size and stride of axes in an operand or the result [elements]."""
    return [(axis.size, getattr(axis, side)) for axis in axes]


def _one_axis(axes: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """Sizes and strides of axes as those of one [elements]; ``None`` if they are none."""
    size, stride = 1, 1
    for length, step in reversed(axes):
        if size > 1 and length > 1 and step != size * stride:
            return None
        if size == 1:
            stride = step
        size *= length
    return size, stride


def _pieces(batch: int, m: int, most: int) -> Iterator[tuple[slice, slice, int]]:
    """``(batches, rows, rows done so far)`` of pieces of at most about ``most`` rows."""
    batches = max(1, most // m)
    rows = m if batches > 1 else min(m, most)
    for at in range(0, batch, batches):
        end = min(at + batches, batch)
        for row in range(0, m, rows):
            reached = min(row + rows, m)
            yield slice(at, end), slice(row, reached), at * m + (end - at) * reached


@np.errstate(all="ignore")
def _unary(spec: KernelSpec, left: NDArray[Any], out: NDArray[Any], largest: int) -> None:
    kept = _view(left, _pairs((*spec.rows, *spec.contracted), "left"))
    made = _view(out, _pairs(spec.rows, "out"))
    made[...], rest = _sums(kept, len(spec.rows), largest, largest)
    scale(out, -rest)


def _sums(array: NDArray[Any], n_kept: int, largest: int, shift: int) -> tuple[NDArray[Any], int]:
    """Sums over all axes but the first ``n_kept``; long ones along memory, where numpy halves.

    The second is what is still to be taken out of ``shift``: all of it unless sums could overflow.
    """
    shape = array.shape[:n_kept]
    terms = prod(array.shape[n_kept:])
    if shift and largest + terms.bit_length() > np.finfo(array.dtype).maxexp:
        array, shift = scaled(array, -shift), 0
    if terms > DEPTH:
        array = array.reshape(*shape, -1)
    return np.asarray(array.sum(axis=tuple(range(n_kept, array.ndim)))), shift


def _groups(spec: KernelSpec, side: Operand) -> tuple[Sequence[LoopAxis], ...]:
    """An operand's axes: batches, rows or columns, those summed with the other, lone ones."""
    both = [axis for axis in spec.contracted if axis.left and axis.right]
    lone = [axis for axis in spec.contracted if axis not in both and getattr(axis, side)]
    return spec.batch, spec.rows if side == "left" else spec.columns, both, lone


@np.errstate(all="ignore")
def _matrices(
    flat: NDArray[Any], spec: KernelSpec, side: Operand, largest: int, shift: int
) -> tuple[NDArray[Any], int]:
    """An operand as matrices, its lone indices summed, and what of ``shift`` is still in it.

    ``_operand_elements`` says what this takes; a copy loses its exponent in place.
    """
    *groups, lone = _groups(spec, side)
    axes = [axis for group in groups for axis in group]
    found = _view(flat, _pairs((*axes, *lone), side))
    if lone:
        found, shift = _sums(found, len(axes), largest, shift)
    batch, free, k = (prod(axis.size for axis in group) for group in groups)
    found = found.reshape(batch, free, k)
    if _without_blas(spec, k):
        found = np.ascontiguousarray(found)
    if shift and not np.may_share_memory(found, flat):
        scale(found, -shift)
        shift = 0
    return found, shift


def _without_blas(spec: KernelSpec, k: int) -> bool:
    """Whether rows and columns should lie along memory."""
    return NO_BLAS and spec.extents[1] * spec.extents[2] * k >= MANY_PRODUCTS


@np.errstate(all="ignore")
def _product(a: NDArray[Any], b: NDArray[Any], out: NDArray[Any], shift: int = 0) -> None:
    """The matrix product of each batch, into ``out``, without this exponent."""
    batch, m, k = a.shape
    n = b.shape[1]
    if k > DEPTH:
        _deep_product(a, b, out, shift)
        return
    a = scaled(a, -shift)
    few, many = m * n * k <= FEW_PRODUCTS, m * n * k >= MANY_PRODUCTS
    if k == 1:
        np.multiply(a, b.swapaxes(1, 2), out=out)
    elif (batch > 1 and few) or (NO_BLAS and many):
        np.einsum("bmk,bnk->bmn", a, b, out=out)
    else:
        np.matmul(a, b.swapaxes(1, 2), out=out)


def _deep_product(a: NDArray[Any], b: NDArray[Any], out: NDArray[Any], shift: int) -> None:
    """The same, summed in blocks: as exact as a sum of ``DEPTH`` terms, or nearly."""
    batch, m, k = a.shape
    n = b.shape[1]
    blocks = k // DEPTH
    rest = blocks * DEPTH
    if m * n <= _SIDE_BY_SIDE:
        parts = np.empty((batch, blocks, m, n), out.dtype)
        # Neither way copies an operand; whichever takes fewer calls.
        if shift or blocks <= batch:
            for block in range(blocks):
                at = slice(block * DEPTH, (block + 1) * DEPTH)
                _product(a[..., at], b[..., at], parts[:, block], shift)
        else:
            for x, y, part in zip(a[..., :rest], b[..., :rest], parts, strict=True):
                c, d = (z.reshape(-1, blocks, DEPTH).swapaxes(0, 1) for z in (x, y))
                _product(c, d, part)
        np.sum(parts, axis=1, out=out)
        starts = [rest]
    else:
        _product(a[..., :DEPTH], b[..., :DEPTH], out, shift)
        starts = [*range(DEPTH, rest, DEPTH), rest]
    part = np.empty_like(out)
    for start in starts:
        if start < k:
            _product(a[..., start : start + DEPTH], b[..., start : start + DEPTH], part, shift)
            out += part


def copied_elements(spec: KernelSpec, chunk: int) -> int:
    """What ``run_kernel`` takes beside operands and result [elements]."""
    if spec.unary:
        sums = _summed_elements(_pairs(spec.rows, "left"), _pairs(spec.contracted, "left"))
        return sums[0]
    batch, m, n, _ = spec.extents
    k = prod(axis.size for axis in _groups(spec, "left")[2])
    first, kept = _operand_elements(spec, "right", k)
    second, also_kept = _operand_elements(spec, "left", k)
    making = 0 if _in_order(spec) else batch * m * n
    if k > DEPTH:
        making += _deep_elements(spec, k, _rows_at_once(spec, k, chunk))
    return max(first, kept + second, kept + also_kept + making)


def _operand_elements(spec: KernelSpec, side: Operand, k: int) -> tuple[int, int]:
    """``(most, kept)``: what ``_matrices`` takes, and what of it stays [elements]."""
    *groups, lone = (_pairs(axes, side) for axes in _groups(spec, side))
    axes = [axis for group in groups for axis in group]
    own = prod(size for size, _ in axes)
    if lone:
        most, in_order = _summed_elements(axes, lone)
        return (most if in_order else max(most, 2 * own)), own
    copied = None in map(_one_axis, groups)
    if not copied and _without_blas(spec, k):
        dense = _one_axis(axes)
        copied = dense is None or dense[1] != 1
    return (own, own) if copied else (0, 0)


def _summed_elements(
    kept: Sequence[tuple[int, int]], lone: Sequence[tuple[int, int]]
) -> tuple[int, bool]:
    """What ``_sums`` takes [elements], and whether the sums lie in the order of their axes."""
    own = prod(size for size, _ in kept)
    terms = prod(size for size, _ in lone)
    if terms > DEPTH and _one_axis(lone) is None:
        return own * terms + own, True
    # numpy keeps the order in which the operand lies.
    strides = [stride for size, stride in kept if size > 1]
    return own, strides == sorted(strides, reverse=True)


def _deep_elements(spec: KernelSpec, k: int, most: int) -> int:
    """What ``_deep_product`` takes for the largest piece [elements]."""
    batch, m, n, _ = spec.extents
    batches, rows, _ = next(_pieces(batch, m, most))
    part = int(batches.stop * rows.stop * n)
    return part * (k // DEPTH + 1) if rows.stop * n <= _SIDE_BY_SIDE else part


def _view(flat: NDArray[Any], axes: Sequence[tuple[int, int]]) -> NDArray[Any]:
    """A view with these ``(size, stride)`` axes [elements]; numpy checks that it stays inside."""
    item = flat.itemsize
    return np.ndarray(
        [size for size, _ in axes],
        flat.dtype,
        flat,
        strides=[stride * item for _, stride in axes],
    )
