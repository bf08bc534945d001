"""From a ``KernelSpec`` to what a WASM kernel needs: which kernel, its descriptor, pieces of work.

Specs differ in sizes and strides, kernels only in their form and element type; sizes and strides go
into the descriptor, so hundreds of specs share a handful of compiled modules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tensorloom.kernels.program import LoopAxis
from tensorloom.kernels.wasm_element import Element
from tensorloom.kernels.wasm_layout import (
    AXIS_BYTES,
    DESCRIPTOR_BYTES,
    GROUPS,
    PANEL_ROWS,
)

if TYPE_CHECKING:
    from tensorloom.kernels.program import KernelSpec
    from tensorloom.model.recipe import DType

__all__ = ["Form", "Kernel", "Schedule", "schedule"]

Form = Literal["gemm"]

_UNIT = LoopAxis(size=1, left=0, right=0, out=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What distinguishes one compiled module from another.

    Args:
        form: The way it goes about it.
        dtype: Element type.
    """

    form: Form
    dtype: DType

    @property
    def name(self) -> str:
        """Readable and unique."""
        return f"{self.form}-{self.dtype}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How a spec runs on WASM.

    Args:
        kernel: The compiled kernel.
        descriptor: Words of its descriptor.
        extents: Positions of batch, rows and columns, after any exchange.
        swapped: Whether left and right change places; the sum does not care.
    """

    kernel: Kernel
    descriptor: tuple[int, ...]
    extents: tuple[int, int, int]
    swapped: bool


def schedule(spec: KernelSpec, *, relaxed: bool) -> Schedule:
    """The way to run a spec."""
    if spec.unary:
        spec = _binary(spec)
    swapped = _prefers_exchange(spec)
    if swapped:
        spec = _exchanged(spec)
    element = Element(spec.dtype, relaxed=relaxed)
    batch, m, n, _ = spec.extents
    return Schedule(
        kernel=Kernel(form="gemm", dtype=spec.dtype),
        descriptor=_descriptor(spec, element, _tile_rows(m, element.rows)),
        extents=(batch, m, n),
        swapped=swapped,
    )


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
        rows=(*doubled(spec.rows), pair),
        columns=doubled(spec.columns),
        contracted=doubled(spec.contracted),
        unary=False,
    )


def _prefers_exchange(spec: KernelSpec) -> bool:
    """Whether the rows hold the result's unit stride, which tiles write along columns."""
    return any(axis.out == 1 for axis in spec.rows)


def _exchanged(spec: KernelSpec) -> KernelSpec:
    def turned(axes: tuple[LoopAxis, ...]) -> tuple[LoopAxis, ...]:
        return tuple(replace(axis, left=axis.right, right=axis.left) for axis in axes)

    return replace(
        spec,
        batch=turned(spec.batch),
        rows=turned(spec.columns),
        columns=turned(spec.rows),
        contracted=turned(spec.contracted),
    )


def _tile_rows(m: int, most: int) -> int:
    """Rows per tile: the fewest tiles, as even as they go."""
    tiles = -(-m // most)
    return -(-m // tiles)


def _descriptor(spec: KernelSpec, element: Element, tile_rows: int) -> tuple[int, ...]:
    size = element.bytes
    header = [spec.extents[3], tile_rows, PANEL_ROWS // tile_rows * tile_rows]
    words: list[int] = []
    for name in GROUPS:
        axes = getattr(spec, name) or (_UNIT,)
        header += [len(axes), DESCRIPTOR_BYTES + 4 * len(words)]
        for axis in reversed(_ordered(name, axes)):
            words += [axis.size, size * axis.left, size * axis.right, size * axis.out]
    header += [0] * (DESCRIPTOR_BYTES // 4 - len(header))
    assert 4 * len(words) % AXIS_BYTES == 0
    return (*header, *words)


def _ordered(name: str, axes: tuple[LoopAxis, ...]) -> tuple[LoopAxis, ...]:
    """Outermost first; what is summed runs in the order of the operands' memory."""
    if name != "contracted":
        return axes
    return tuple(
        sorted(axes, key=lambda axis: (max(axis.left, axis.right), axis.left), reverse=True)
    )
