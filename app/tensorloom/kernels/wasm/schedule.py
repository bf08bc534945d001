"""From a ``KernelSpec`` to what a WASM kernel needs: which kernel, and its descriptor.

Specs differ in sizes and strides, kernels only in their form and element type; sizes and strides go
into the descriptor, so hundreds of specs share a handful of compiled modules. The form is the
cheapest by a small model of cycles, fitted to measurements on one core (Zen 4, Chromium 156).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tensorloom.kernels.program import LoopAxis
from tensorloom.kernels.wasm.element import Element
from tensorloom.kernels.wasm.layout import DESCRIPTOR_BYTES, GROUPS, PANEL_ROWS

if TYPE_CHECKING:
    from tensorloom.kernels.program import KernelSpec
    from tensorloom.kernels.wasm.arithmetic import LeftMode
    from tensorloom.kernels.wasm.jit_candidate import Candidate
    from tensorloom.model.recipe import DType

__all__ = ["Form", "Kernel", "Schedule", "exchanged", "schedule", "schedules"]

Form = Literal["gemm", "run", "sum", "line", "points", "jit"]

_UNIT = LoopAxis(size=1, left=0, right=0, out=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What distinguishes one compiled module from another.

    Args:
        form: The way it goes about it.
        dtype: Element type.
        mode: For ``run`` and ``sum``: how the left operand runs.
        spec: For ``jit``: what it is generated for.
        candidate: For ``jit``: which of the ways to generate it.
    """

    form: Form
    dtype: DType
    mode: LeftMode = "unit"
    spec: KernelSpec | None = None
    candidate: Candidate | None = None

    @property
    def name(self) -> str:
        """Readable and unique."""
        if self.spec is not None and self.candidate is not None:
            return f"jit-{self.spec.name}-{self.candidate.text.replace(' ', '-')}"
        mode = f"-{self.mode}" if self.form in ("run", "sum") else ""
        return f"{self.form}{mode}-{self.dtype}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How a spec runs on WASM.

    Args:
        kernel: The compiled kernel.
        descriptor: 32-bit words, little-endian.
        extents: Positions of batch, rows and columns over which records can be split.
        swapped: Whether left and right change places; the sum does not care.
        cycles: What the model expects.
        grain: Least part of the rows and columns that is worth a record of its own; parts are
            multiples of it.
        keeps: Whether the kernel keeps the largest magnitudes that it writes in its workspace.
    """

    kernel: Kernel
    descriptor: bytes
    extents: tuple[int, int, int]
    swapped: bool
    cycles: float
    grain: int = 48
    keeps: bool = False


def schedule(spec: KernelSpec, *, relaxed: bool) -> Schedule:
    """The cheapest way to run a spec."""
    return min(schedules(spec, relaxed=relaxed), key=lambda choice: choice.cycles)


def schedules(spec: KernelSpec, *, relaxed: bool) -> tuple[Schedule, ...]:
    """All ways to run a spec; ``gemm`` and ``points`` are always among them."""
    if spec.unary:
        spec = _binary(spec)
    element = Element(spec.dtype, relaxed=relaxed)
    made = [_gemm(spec, element), _points(spec, element)]
    for swapped in (False, True):
        turned = exchanged(spec) if swapped else spec
        # Where both operands run along, an exchange changes nothing.
        along, summed = (
            [axis for axis in axes if not (swapped and axis.left)]
            for axes in (_along_result(turned), _along_sum(turned))
        )
        made += [_run(turned, element, axis, swapped=swapped) for axis in along]
        made += [_sum(turned, element, axis, swapped=swapped) for axis in summed]
    if spec.extents[3] == 1 and not any(way.kernel.form == "run" for way in made):
        made += _line(spec, element)
    return tuple(made)


def _binary(spec: KernelSpec) -> KernelSpec:
    """A unary spec as a product with a single one; complex numbers become pairs of reals.

    As reals because ``(x + iy) * 1`` in complex arithmetic would turn infinities into NaN.
    """
    if not spec.dtype.startswith("complex"):
        return replace(spec, unary=False)
    pair = LoopAxis(size=2, left=1, right=0, out=1)

    def doubled(axes: tuple[LoopAxis, ...]) -> tuple[LoopAxis, ...]:
        return tuple(replace(axis, left=2 * axis.left, out=2 * axis.out) for axis in axes)

    return replace(
        spec,
        dtype="float32" if spec.dtype == "complex64" else "float64",
        batch=doubled(spec.batch),
        rows=_joined((*doubled(spec.rows), pair)),
        columns=doubled(spec.columns),
        contracted=doubled(spec.contracted),
        unary=False,
    )


def _joined(axes: tuple[LoopAxis, ...]) -> tuple[LoopAxis, ...]:
    """The axes with the last two made one where they walk alike."""
    if len(axes) > 1:
        outer, inner = axes[-2:]
        if (outer.left, outer.out) == (inner.size * inner.left, inner.size * inner.out):
            return (*axes[:-2], replace(inner, size=outer.size * inner.size))
    return axes


def exchanged(spec: KernelSpec) -> KernelSpec:
    """The spec with left and right in each other's place."""

    def turned(axes: tuple[LoopAxis, ...]) -> tuple[LoopAxis, ...]:
        return tuple(replace(axis, left=axis.right, right=axis.left) for axis in axes)

    return replace(
        spec,
        batch=turned(spec.batch),
        rows=turned(spec.columns),
        columns=turned(spec.rows),
        contracted=turned(spec.contracted),
    )


def _along_result(spec: KernelSpec) -> list[LoopAxis]:
    """Axes along which result and right operand are contiguous and the left one is, or stands."""
    axes = (*spec.batch, *spec.columns)
    return [axis for axis in axes if axis.out == axis.right == 1 >= axis.left]


def _along_sum(spec: KernelSpec) -> list[LoopAxis]:
    """Summed axes along which both operands are contiguous; real lone sums may stand on the left.

    Complex lone sums never come here: lowering makes them unary, and those are sums of reals.
    """
    least = 1 if spec.dtype.startswith("complex") else 0
    return [axis for axis in spec.contracted if axis.right == 1 >= axis.left >= least]


def _gemm(spec: KernelSpec, element: Element) -> Schedule:
    """Packed blocks; columns hold the result's unit stride, which tiles write along."""
    swapped = any(axis.out == 1 for axis in spec.rows)
    if swapped:
        spec = exchanged(spec)
    batch, m, n, k = spec.extents
    tile_rows = -(-m // -(-m // element.rows))
    tiles = -(-m // tile_rows) * -(-n // element.columns)
    inner = max(tile_rows, 3) * (2 if element.complex else 1)
    contiguous = any(axis.out == 1 and axis.size >= element.columns // 2 for axis in spec.columns)
    store = tile_rows * (2 if contiguous else 4 * min(n, element.columns))
    side_by_side = any(axis.right == 1 and axis.size >= element.columns for axis in spec.columns)
    packing = k * (m + n * (0.5 if side_by_side else 1.5))
    cycles = 150 + batch * (100 + packing + tiles * (22 + store + k * inner))
    runs = _runs([(axis.size, axis.right) for axis in _ordered("contracted", spec.contracted)])
    header = (k, tile_rows, PANEL_ROWS // tile_rows * tile_rows, int(runs), 0)
    return Schedule(
        kernel=Kernel(form="gemm", dtype=spec.dtype),
        descriptor=_descriptor(spec, element, header),
        extents=(batch, m, n),
        swapped=swapped,
        cycles=cycles,
    )


def _points(spec: KernelSpec, element: Element) -> Schedule:
    """One number at a time."""
    flat = _blocked(_positions(spec, None))
    positions, k = flat.extents[0], flat.extents[3]
    work = 6 if element.complex else 3
    return Schedule(
        kernel=Kernel(form="points", dtype=spec.dtype),
        descriptor=_descriptor(flat, element, (k, 0, 0, 0, 0)),
        extents=(positions, 1, 1),
        swapped=False,
        cycles=100 + positions * (10 + work * k),
    )


def _line(spec: KernelSpec, element: Element) -> list[Schedule]:
    """One number at a time along an axis of the result, nothing summed; none without an axis.

    Elementwise products and transposes, where not all that is read and written is contiguous.
    """
    flat = _blocked(_positions(spec, None))
    axes = [axis for axis in flat.batch if axis.size > 1]
    if not axes:
        return []
    # The innermost one stays within cache lines; of two or three numbers it would be no line.
    axis = axes[-1] if axes[-1].size >= _LINE else max(axes, key=lambda axis: axis.size)
    axes.remove(axis)
    flat = replace(flat, batch=tuple(axes), contracted=())
    size = element.bytes
    steps = tuple(size * step for step in (axis.left, axis.right, axis.out))
    positions = flat.extents[0]
    # Most of it is waiting: each number may be in another cache line.
    work = 12 if element.complex else 6
    return [
        Schedule(
            kernel=Kernel(form="line", dtype=spec.dtype),
            descriptor=_descriptor(flat, element, (1, 0, 0, 0, axis.size * size), steps),
            extents=(positions, 1, axis.size),
            swapped=False,
            cycles=100 + positions * (20 + work * axis.size),
        )
    ]


_LINE = 8


def _run(spec: KernelSpec, element: Element, axis: LoopAxis, *, swapped: bool) -> Schedule:
    """Vectors along an axis of the result."""
    flat = _positions(spec, axis)
    positions, k = flat.extents[0], flat.extents[3]
    vectors, rest = divmod(axis.size * element.bytes, 16)
    each = (1 if axis.left == 0 else 1.5) * (2 if element.complex else 1)
    spans = k // 4 + k % 4 // 2 + k % 2
    cycles = spans * (15 + vectors) + 0.6 * each * k * vectors
    cycles += rest // element.bytes * 4 * (spans + k)
    return Schedule(
        kernel=Kernel(form="run", dtype=spec.dtype, mode="unit" if axis.left else "splat"),
        descriptor=_descriptor(flat, element, (k, 0, 0, 0, axis.size * element.bytes)),
        extents=(positions, 1, axis.size),
        swapped=swapped,
        cycles=100 + positions * (12 + cycles),
    )


def _sum(spec: KernelSpec, element: Element, axis: LoopAxis, *, swapped: bool) -> Schedule:
    """Vectors along a summed axis."""
    flat = _positions(spec, axis)
    positions, k = flat.extents[0], flat.extents[3]
    vectors, rest = divmod(axis.size * element.bytes, 16)
    each = (1 if axis.left == 0 else 1.5) * (2 if element.complex else 1)
    cycles = k * (6 + 0.8 * vectors * each + rest // element.bytes * 4)
    return Schedule(
        kernel=Kernel(form="sum", dtype=spec.dtype, mode="unit" if axis.left else "splat"),
        descriptor=_descriptor(flat, element, (k, 0, 0, 0, axis.size * element.bytes)),
        extents=(positions, 1, 1),
        swapped=swapped,
        cycles=100 + positions * (15 + cycles),
    )


def _positions(spec: KernelSpec, run: LoopAxis | None) -> KernelSpec:
    """The spec with all axes of the result in its batch group, and one axis left out."""
    result = [*spec.batch, *spec.rows, *spec.columns]
    summed = list(spec.contracted)
    if run is not None:
        (result if run.out else summed).remove(run)
    result.sort(key=lambda axis: axis.out, reverse=True)
    return replace(spec, batch=tuple(result), rows=(), columns=(), contracted=tuple(summed))


def _blocked(spec: KernelSpec) -> KernelSpec:
    """The positions in small squares where the result's unit stride is not an operand's.

    A transpose then reads and writes whole cache lines. Long axes only where sizes divide: those
    are the ones whose strides, too, are multiples of many, and fight for the same lines.
    """
    common = [axis for axis in spec.batch if axis.out == 1 and axis.left == 1]
    unit = common[0].size if common else 1
    written = [axis for axis in spec.batch if axis.out == unit and axis not in common]
    read = [
        axis
        for axis in spec.batch
        if axis not in common and axis.out > unit and unit in (axis.left, axis.right)
    ]
    if not written or not read:
        return spec
    outer, inner = [], []
    for axis in (read[0], written[0]):
        sides = (axis.size,) if axis.size <= _SQUARE else (16, 8, 4)
        side = next((side for side in sides if axis.size % side == 0), 1)
        outer.append(_stepped(axis, axis.size // side, side))
        inner.append(_stepped(axis, side, 1))
    rest = [axis for axis in spec.batch if axis not in (*common, read[0], written[0])]
    return replace(spec, batch=(*rest, *outer, *inner, *common))


_SQUARE = 16


def _stepped(axis: LoopAxis, size: int, step: int) -> LoopAxis:
    return LoopAxis(size=size, left=step * axis.left, right=step * axis.right, out=step * axis.out)


def _descriptor(
    spec: KernelSpec, element: Element, header: tuple[int, ...], last: tuple[int, ...] = ()
) -> bytes:
    size = element.bytes
    groups: list[int] = []
    words: list[int] = []
    for name in GROUPS:
        axes = getattr(spec, name) or (_UNIT,)
        groups += [len(axes), DESCRIPTOR_BYTES + 4 * len(words)]
        for axis in reversed(_ordered(name, axes)):
            words += [axis.size, size * axis.left, size * axis.right, size * axis.out]
    filler = [0] * (DESCRIPTOR_BYTES // 4 - len(header) - len(groups) - len(last))
    every = (*header, *groups, *filler, *last, *words)
    return struct.pack(f"<{len(every)}I", *(word & 0xFFFFFFFF for word in every))


def _ordered(name: str, axes: tuple[LoopAxis, ...]) -> tuple[LoopAxis, ...]:
    """Outermost first; what is summed runs in the order of the operands' memory."""
    if name != "contracted":
        return axes
    order = sorted(axes, key=lambda axis: (max(axis.left, axis.right), axis.left))
    return tuple(reversed(order))


def _runs(axes: list[tuple[int, int]]) -> bool:
    """Whether ``(size, stride)`` axes, outermost first, walk through memory without a gap."""
    expected = 1
    for size, stride in reversed(axes):
        if stride != expected:
            return False
        expected *= size
    return expected > 1
