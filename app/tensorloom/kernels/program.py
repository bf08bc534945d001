"""A program: kernels, buffers and dispatches in order; data that every backend replays.

Made by ``kernels.lower`` from a plan. A kernel is a nest of loops; each operand is read through its
own strides, so a transpose, a diagonal, a lone sum or a broadcast costs no step of its own:

    out[batch, rows, columns] = sum over contracted of left[batch, rows, contracted]
                                                     * right[batch, columns, contracted]

Complex elements count as one element everywhere. Invariant: buffers are dense; an input's layout is
C order of its tensor, an intermediate's is the one its consumer likes.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tensorloom.model.recipe import DType

__all__ = ["Buffer", "Dispatch", "KernelSpec", "LoopAxis", "Program", "Side", "SliceAxis"]

Side = Literal["left", "right", "out"]
"""The operands of a kernel and its result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopAxis:
    """One loop of a kernel, after fusing axes that are contiguous in every operand they touch.

    Args:
        size: Number of values [elements].
        left: Stride in the left operand [elements]; 0 where it does not carry the axis.
        right: Stride in the right operand [elements]; 0 likewise.
        out: Stride in the result [elements]; 0 for summed axes.
    """

    size: int
    left: int
    right: int
    out: int


@dataclass(frozen=True, kw_only=True)
class KernelSpec:
    """One pairwise contraction of fixed sizes and strides; its hash names the generated kernel.

    Args:
        dtype: Element type of all three tensors.
        batch: Axes in left, right and result.
        rows: Axes in left and result.
        columns: Axes in right and result.
        contracted: Summed axes; a lone sum has stride 0 in the operand that lacks it.
        unary: No right operand: the kernel copies, permutes or sums the left one alone.
    """

    dtype: DType
    batch: tuple[LoopAxis, ...] = ()
    rows: tuple[LoopAxis, ...] = ()
    columns: tuple[LoopAxis, ...] = ()
    contracted: tuple[LoopAxis, ...] = ()
    unary: bool = False

    @cached_property
    def name(self) -> str:
        """Sixteen hexadecimal digits of the hash of all fields."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def extents(self) -> tuple[int, int, int, int]:
        """Total sizes ``(batch, m, n, k)`` [elements]."""
        groups = (self.batch, self.rows, self.columns, self.contracted)
        b, m, n, k = (prod(axis.size for axis in group) for group in groups)
        return b, m, n, k

    @property
    def mul_adds(self) -> int:
        """Multiply-adds of one dispatch."""
        return prod(self.extents)

    def reach(self, side: Side) -> int:
        """Elements from the first to the last one that it touches of an operand or the result."""
        axes = (*self.batch, *self.rows, *self.columns, *self.contracted)
        return 1 + sum((axis.size - 1) * int(getattr(axis, side)) for axis in axes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """A dense tensor in device memory.

    Args:
        elements: Its size [elements].
        source: Number of the network's tensor for an input, ``None`` for what a dispatch makes.
    """

    elements: int
    source: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """One kernel call.

    Args:
        kernel: Number of the kernel.
        left: Number of the left operand's buffer.
        right: The same for the right one; ``None`` for a unary kernel.
        out: Number of the result's buffer; every dispatch writes another one.
        frees: Buffers that are not read afterwards within this slice (never inputs).
    """

    kernel: int
    left: int
    right: int | None
    out: int
    frees: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceAxis:
    """A sliced index: value ``v`` moves the start of each input by ``v`` times its stride.

    Args:
        size: Number of values.
        inputs: ``(buffer, stride)`` of each input that carries it [elements].
        output: Stride in the full result [elements], or ``None`` if slices are summed.
    """

    size: int
    inputs: tuple[tuple[int, int], ...]
    output: int | None = None


@dataclass(frozen=True, kw_only=True)
class Program:
    """Everything a backend needs besides the arrays.

    Args:
        dtype: Element type throughout.
        buffers: By number; inputs first, in the network's order. Inputs hold whole tensors, also
            under slicing.
        kernels: By number, each once.
        dispatches: In order, for one slice. Empty if the network has one tensor and no work
            (``result`` is that input), or none at all (``result`` is a lone buffer: the scalar 1).
            ``execute.run`` answers those itself; no backend is asked.
        slices: Sliced indices; the number of slices is the product of their sizes. The last
            dispatch's result is *added* into the full result (at the offset of output slices).
        result: Buffer that holds the result of one slice; C order of ``shape`` with output slices
            taken out.
        shape: Shape of the full result.
        mul_adds: Total multiply-adds over all slices.
        peak_bytes: Memory for inputs, the result and the arena of all else (``kernels.arena``),
            which is what the WASM engine takes.
        kept: Buffers that are results too, given back in this order (gradients). Each is dense,
            made by a dispatch, never freed and not ``result``; other dispatches may read it, and
            buffers here may be read by several. Nothing is sliced then.
        prologue: How many dispatches come first that are the same in every slice and need to run
            only once; what the others read of them is not freed. A backend may repeat them.
    """

    dtype: DType
    buffers: tuple[Buffer, ...]
    kernels: tuple[KernelSpec, ...]
    dispatches: tuple[Dispatch, ...]
    result: int
    shape: tuple[int, ...]
    mul_adds: int
    peak_bytes: int
    slices: tuple[SliceAxis, ...] = ()
    kept: tuple[int, ...] = ()
    prologue: int = 0

    @property
    def n_slices(self) -> int:
        """Number of slices, at least 1."""
        return prod(axis.size for axis in self.slices)

    @cached_property
    def sum_lengths(self) -> Mapping[int, int]:
        """How many dispatches add up so many terms."""
        return Counter(self.kernels[dispatch.kernel].extents[3] for dispatch in self.dispatches)
