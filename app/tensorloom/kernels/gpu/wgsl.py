"""KernelSpec -> WGSL text and how many workgroups to dispatch. Pure; templates come in as text.

Three families: a tile of outputs per invocation in registers; where outputs are few and sums long,
one workgroup per output; both with all sizes and strides as constants of the text. Tiny kernels,
of which a circuit has hundreds, share one text that takes sizes and strides with the call.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from math import ceil, prod
from typing import TYPE_CHECKING

from jinja2 import DictLoader, Environment, StrictUndefined

from tensorloom.errors import UnsupportedKernel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tensorloom.kernels.program import KernelSpec, LoopAxis

__all__ = ["SAFE_EXPONENT", "GpuLimits", "Shader", "Templates", "render"]

SAFE_EXPONENT = 40
"""Largest magnitudes between 2^-40 and 2^40 keep their exponent: two of them cannot overflow."""

THREADS = 64
MAX_GROUPS_PER_ROW = 32_768
"""Workgroups in one row of a dispatch; WebGPU's default limit is 65,535 per dimension."""

SPLIT_OUTPUTS, SPLIT_SUM = 4096, 256
"""At most this many outputs with at least this long sums get a workgroup each."""


SIDES = ("left", "right", "out")

MOST_AXES = 29
"""Axes that fit in the constants of one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuLimits:
    """What of a device matters for choosing a kernel.

    Args:
        largest_tile: Most rows and columns of a register tile; 4 on GPUs, 8 on software adapters,
            which want few long invocations.
        split: Whether workgroup memory and barriers are worth using; they are not on the CPU.
        min_groups: Workgroups needed to keep the device busy.
        most_iterations: Longest loop of one invocation; longer sums are split. Mesa's llvmpipe
            silently leaves loops after 65,535 iterations (seen in 22.3).
        small_mul_adds: Kernels up to this work are not worth a text of their own: compiling one
            takes 20 to 80 ms.
    """

    largest_tile: int = 4
    split: bool = True
    min_groups: int = 64
    most_iterations: int = 60_000
    small_mul_adds: int = 1 << 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Shader:
    """One compute shader.

    Args:
        name: Hash of the text.
        text: WGSL with the entry point ``main``.
        groups: Workgroups to dispatch, ``(x, y)``.
        unary: Whether binding 1 is absent.
        axes: What a shared text needs with each call: ``kept_axes``, ``all_axes``, ``outputs``,
            ``products``, then four numbers per axis; empty where all that is in the text.
    """

    name: str
    text: str
    groups: tuple[int, int]
    unary: bool
    axes: tuple[int, ...] = ()


Templates = tuple[tuple[str, str], ...]
"""File names below ``shaders/`` and their texts."""


@cache
def _environment(templates: Templates) -> Environment:
    return Environment(
        loader=DictLoader(dict(templates)),
        undefined=StrictUndefined,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="«",
        variable_end_string="»",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # the output is WGSL, not HTML
    )


def render(spec: KernelSpec, templates: Templates, limits: GpuLimits, *, fixed: bool) -> Shader:
    """The shader of a kernel.

    Args:
        spec: What to compute, in float32 or complex64.
        templates: From ``assets.templates``.
        limits: Of the device.
        fixed: Whether operands always start at their first element, so that arrays can have a
            fixed size, which saves bounds checks.

    Raises:
        UnsupportedKernel: ``gpu-dtype``, or ``gpu-too-big`` beyond 2^32 elements.
    """
    _check(spec, limits)
    if spec.mul_adds <= limits.small_mul_adds and _n_axes(spec) <= MOST_AXES:
        return _small(spec, templates)
    batch, rows, columns, contracted = spec.extents
    few = limits.split and batch * rows * columns <= SPLIT_OUTPUTS and contracted >= SPLIT_SUM
    split = few or contracted > limits.most_iterations
    tile = (1, 1) if split else _tile(spec, limits)
    row_tiles, column_tiles = ceil(rows / tile[0]), ceil(columns / tile[1])
    tiles = batch * row_tiles * column_tiles
    n_groups = tiles if split else ceil(tiles / THREADS)
    per_row = min(n_groups, MAX_GROUPS_PER_ROW)
    values = {
        **_common(spec, {side: span if fixed else None for side, span in _spans(spec).items()}),
        **_offsets(spec, tile, in_turn=split),
        "threads_per_row": per_row * THREADS,
        "groups_per_row": per_row,
        "tile_rows": tile[0],
        "tile_columns": tile[1],
        "row_tiles": row_tiles,
        "column_tiles": column_tiles,
        "tiles": tiles,
        "rows": rows,
        "columns": columns,
        "contracted": contracted,
        "most_axes": 0,
    }
    family = "contract_split.wgsl.j2" if split else "contract.wgsl.j2"
    text, name = _named(templates, family, values)
    return Shader(
        name=name, text=text, groups=(per_row, ceil(n_groups / per_row)), unary=spec.unary
    )


def _check(spec: KernelSpec, limits: GpuLimits) -> None:
    """Nothing, when the device can run this kernel at all."""
    if spec.dtype not in {"float32", "complex64"}:
        raise UnsupportedKernel(
            "gpu-dtype",
            f"The GPU does not compute in {spec.dtype}.",
            "Choose float32 or complex64, or run it on the CPU.",
        )
    longest = max(_spans(spec).values())
    if longest >= 2**32:
        raise UnsupportedKernel(
            "gpu-too-big",
            f"A tensor of {longest} elements is more than a GPU kernel can address.",
            "Slice the network, or run it on the CPU.",
        )
    contracted = spec.extents[3]
    if contracted > max(THREADS * limits.most_iterations, limits.small_mul_adds):
        raise UnsupportedKernel(
            "gpu-too-long",
            f"A sum of {contracted} products is too long for one GPU kernel.",
            "Slice the network, or run it on the CPU.",
        )


def _common(spec: KernelSpec, lengths: Mapping[str, int | None]) -> dict[str, object]:
    """What every template asks for; lengths of arrays are ``None`` where they vary."""
    return {
        "element": "vec2<f32>" if spec.dtype == "complex64" else "f32",
        "is_complex": spec.dtype == "complex64",
        "unary": spec.unary,
        "threads": THREADS,
        "safe": SAFE_EXPONENT,
        **{
            f"{side}_length": "" if length is None else f", {length}"
            for side, length in lengths.items()
        },
    }


def _offsets(spec: KernelSpec, tile: tuple[int, int], *, in_turn: bool) -> dict[str, object]:
    """Where everything lies: WGSL for the offsets of a tile and of each product.

    Args:
        spec: The kernel.
        tile: Rows and columns per invocation.
        in_turn: Whether the position in the sum is one number, or nested loops.
    """
    rows, columns = range(tile[0]), range(tile[1])
    loops = [(f"k{number}", axis) for number, axis in enumerate(spec.contracted)]
    return {
        **{f"batch_{side}": _offset("batch", spec.batch, side) for side in SIDES},
        "row_left": [_offset(f"row_{r}", spec.rows, "left") for r in rows],
        "row_out": [_offset(f"row_{r}", spec.rows, "out") for r in rows],
        "column_right": [_offset(f"column_{c}", spec.columns, "right") for c in columns],
        "column_out": [_offset(f"column_{c}", spec.columns, "out") for c in columns],
        "loops": [{"name": name, "size": axis.size} for name, axis in loops],
        **{
            f"{side}_step": _offset("k", spec.contracted, side) if in_turn else _sum(loops, side)
            for side in ("left", "right")
        },
    }


def _named(templates: Templates, family: str, values: Mapping[str, object]) -> tuple[str, str]:
    """The filled template and the hash that names it, which stands in its first line."""
    body = _environment(templates).get_template(family).render(name="{name}", **values)
    name = hashlib.sha256(body.encode()).hexdigest()[:16]
    return body.replace("{name}", name, 1), name


def _n_axes(spec: KernelSpec) -> int:
    return sum(map(len, (spec.batch, spec.rows, spec.columns, spec.contracted)))


def _small(spec: KernelSpec, templates: Templates) -> Shader:
    """The shared text for tiny kernels, with this one's sizes and strides beside it."""
    kept = (*spec.batch, *spec.rows, *spec.columns)
    batch, rows, columns, products = spec.extents
    outputs = batch * rows * columns
    values = {**_common(spec, dict.fromkeys(SIDES)), "most_axes": MOST_AXES}
    text, name = _named(templates, "contract_small.wgsl.j2", values)
    axes = [len(kept), _n_axes(spec), outputs, products, 0, 0, 0]
    for axis in (*reversed(kept), *reversed(spec.contracted)):
        axes += [axis.size, axis.left, axis.right, axis.out]
    return Shader(
        name=name,
        text=text,
        groups=(ceil(outputs / THREADS), 1),
        unary=spec.unary,
        axes=tuple(axes),
    )


def _tile(spec: KernelSpec, limits: GpuLimits) -> tuple[int, int]:
    """Rows and columns per invocation: as large as the kernel fills and the device stays busy."""
    batch, rows, columns, _ = spec.extents
    most = limits.largest_tile
    most_rows = max(1, most // 2) if spec.dtype == "complex64" else most
    tile = [_power_at_most(rows, most_rows), _power_at_most(columns, most)]
    while max(tile) > 1:
        tiles = batch * ceil(rows / tile[0]) * ceil(columns / tile[1])
        if tiles >= THREADS * limits.min_groups:
            break
        tile[tile.index(max(tile))] //= 2
    return tile[0], tile[1]


def _power_at_most(size: int, most: int) -> int:
    power = 1
    while power * 2 <= min(size, most):
        power *= 2
    return power


def _spans(spec: KernelSpec) -> Mapping[str, int]:
    """Elements from the first to the last one that each operand touches."""
    axes = (*spec.batch, *spec.rows, *spec.columns, *spec.contracted)
    return {side: 1 + sum((axis.size - 1) * getattr(axis, side) for axis in axes) for side in SIDES}


def _offset(position: str, axes: Sequence[LoopAxis], side: str) -> str:
    """WGSL for the offset of a position counted over axes in C order, last axis fastest."""
    terms = []
    total = prod(axis.size for axis in axes)
    below = total
    for axis in axes:
        below //= axis.size
        stride = getattr(axis, side)
        if stride == 0 or axis.size == 1:
            continue
        digit = position if below == 1 else f"({position} / {below}u)"
        if below * axis.size != total:
            digit = f"({digit} % {axis.size}u)"
        terms.append(digit if stride == 1 else f"{digit} * {stride}u")
    return " + ".join(terms) or "0u"


def _sum(loops: Sequence[tuple[str, LoopAxis]], side: str) -> str:
    """WGSL for the offset that the loops' variables make."""
    terms = [(name, getattr(axis, side)) for name, axis in loops]
    written = [name if stride == 1 else f"{name} * {stride}u" for name, stride in terms if stride]
    return " + ".join(written) or "0u"
