"""KernelSpec and candidate -> WGSL text and how many workgroups to dispatch. Pure.

Each family has a template; the values it is filled with come from ``families``. All sizes and
strides are constants of the text, but for tiny kernels, of which a circuit has hundreds: they share
one text that takes sizes and strides with the call.

A sum cut in parts is two kernels: the first has the parts as one more batch axis of a dense partial
result, the second is a unary kernel that adds them up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from math import ceil, prod
from typing import TYPE_CHECKING

from tensorloom.errors import UnsupportedKernel
from tensorloom.kernels.gpu.addresses import SIDES, spans
from tensorloom.kernels.gpu.families import FAMILIES, THREADS, Layout, in_line
from tensorloom.kernels.gpu.limits import GpuLimits
from tensorloom.kernels.gpu.shader import Shader, Templates, fill
from tensorloom.kernels.gpu.space import MOST_AXES, default_candidate, why_not
from tensorloom.kernels.program import KernelSpec, LoopAxis

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tensorloom.kernels.gpu.candidate import GpuCandidate
    from tensorloom.model.recipe import DType

__all__ = [
    "MAX_GROUPS_PER_ROW",
    "SAFE_EXPONENT",
    "SAFE_EXPONENTS",
    "GpuLimits",
    "Shader",
    "Templates",
    "Use",
    "candidate_of",
    "partial_elements",
    "render",
]

SAFE_EXPONENT = 40
"""Largest magnitudes between 2^-40 and 2^40 keep their exponent: two of them cannot overflow."""

SAFE_EXPONENTS = {False: (-SAFE_EXPONENT, SAFE_EXPONENT), True: (-13, 15)}
"""Exponents ``(low, high)`` of largest magnitudes from ``2**(low - 1)`` to ``2**high`` that need no
care, by whether arrays hold 16-bit numbers. Those end at 65,504; below 2^-14 they lose digits."""

MAX_GROUPS_PER_ROW = 32_768
"""Workgroups in one row of a dispatch; WebGPU's default limit is 65,535 per dimension."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a call wants besides the sum.

    Args:
        scaled: Take carried exponents out of the operands while reading them.
        peaks: Leave the largest magnitude of the result.
        half: Arrays hold 16-bit numbers; sums are made in 32 bits.
        wide: The result is stored in 32 bits all the same.
    """

    scaled: bool = True
    peaks: bool = True
    half: bool = False
    wide: bool = False


FULL = Use()


def render(
    spec: KernelSpec,
    templates: Templates,
    limits: GpuLimits,
    *,
    fixed: bool,
    candidate: GpuCandidate | None = None,
    use: Use = FULL,
) -> Shader:
    """The shader of a kernel.

    Args:
        spec: What to compute, in float32 or complex64.
        templates: From ``assets.templates``.
        limits: Of the device.
        fixed: Whether operands always start at their first element, so that arrays can have a
            fixed size, which saves bounds checks.
        candidate: How; by default what is cheap to compile and good enough.
        use: What the call wants besides.

    Raises:
        UnsupportedKernel: ``gpu-dtype``; ``gpu-too-big`` beyond 2^32 elements; ``gpu-too-long``;
            ``gpu-candidate`` for one that this device cannot run.
    """
    _check(spec)
    chosen = candidate_of(spec, limits, candidate, half=use.half)
    if reason := why_not(spec, chosen, limits, half=use.half):
        raise UnsupportedKernel(
            "gpu-candidate", f"This device cannot run '{chosen}' here: {reason}."
        )
    if chosen.family == "small":
        return _small(spec, templates, use)
    if chosen.splits > 1:
        return _in_parts(spec, chosen, templates, limits, fixed=fixed, use=use)
    return _whole(spec, chosen, templates, limits, fixed=fixed, use=use)


def candidate_of(
    spec: KernelSpec, limits: GpuLimits, chosen: GpuCandidate | None, *, half: bool = False
) -> GpuCandidate:
    """The chosen candidate, or else the default."""
    return default_candidate(spec, limits, half=half) if chosen is None else chosen


def partial_elements(spec: KernelSpec, candidate: GpuCandidate) -> int:
    """Size of what a first shader leaves for a second one; 0 if one is enough [elements]."""
    return candidate.splits * prod(spec.extents[:3]) if candidate.splits > 1 else 0


def _whole(  # noqa: PLR0913  # as render
    spec: KernelSpec,
    candidate: GpuCandidate,
    templates: Templates,
    limits: GpuLimits,
    *,
    fixed: bool,
    use: Use,
    splits: int = 1,
) -> Shader:
    """One shader for the whole sum, or for all parts of it."""
    seen = in_line(spec) if candidate.family == "line" else spec
    layout = Layout(spec=seen, candidate=candidate, limits=limits, splits=splits)
    per_row = min(layout.blocks, MAX_GROUPS_PER_ROW)
    family = FAMILIES[candidate.family]
    lengths = spans(spec) if fixed else {}
    values = {
        **_common(spec, use, fixed=fixed, doubled=family.as_numbers, lengths=lengths),
        **layout.values(),
        **family.values(layout),
        "groups_per_row": per_row,
    }
    text, name = fill(templates, family.template, values)
    return Shader(
        name=name,
        text=text,
        groups=(per_row, ceil(layout.blocks / per_row)),
        unary=spec.unary,
        bindings=_bindings(spec, values),
    )


def _in_parts(  # as render
    spec: KernelSpec,
    candidate: GpuCandidate,
    templates: Templates,
    limits: GpuLimits,
    *,
    fixed: bool,
    use: Use,
) -> Shader:
    """Two shaders: parts of the sum, then their sum."""
    partial, final = _partial(spec, candidate.splits)
    first_use = replace(use, peaks=False)
    final_use = replace(use, scaled=False)
    first = _whole(
        partial,
        candidate,
        templates,
        limits,
        fixed=fixed,
        use=first_use,
        splits=candidate.splits,
    )
    adding = replace(limits, small_mul_adds=0)
    then = render(final, templates, adding, fixed=fixed, use=final_use)
    return replace(first, then=then)


def _partial(spec: KernelSpec, parts: int) -> tuple[KernelSpec, KernelSpec]:
    """The kernel with its result dense and one more batch axis, and the one that adds that up.

    The parts' axis moves no operand: where a part begins is a matter of its loop's bounds.
    """
    outputs = prod(spec.extents[:3])
    dense: dict[str, tuple[LoopAxis, ...]] = {}
    kept: list[LoopAxis] = []
    below = outputs
    for group in ("batch", "rows", "columns"):
        axes = []
        for axis in getattr(spec, group):
            below //= axis.size
            axes.append(replace(axis, out=below))
            kept.append(LoopAxis(size=axis.size, left=below, right=0, out=axis.out))
        dense[group] = tuple(axes)
    part = LoopAxis(size=parts, left=0, right=0, out=outputs)
    partial = replace(
        spec, batch=(part, *dense["batch"]), rows=dense["rows"], columns=dense["columns"]
    )
    adding = KernelSpec(
        dtype=spec.dtype,
        rows=tuple(kept),
        contracted=(LoopAxis(size=parts, left=outputs, right=0, out=0),),
        unary=True,
    )
    return partial, adding


def _check(spec: KernelSpec) -> None:
    """Nothing, when a GPU can run this kernel at all."""
    if spec.dtype not in {"float32", "complex64"}:
        raise UnsupportedKernel(
            "gpu-dtype",
            f"The GPU does not compute in {spec.dtype}.",
            "Choose float32 or complex64, or run it on the CPU.",
        )
    longest = max(spans(spec).values())
    if longest >= 2**32:
        raise UnsupportedKernel(
            "gpu-too-big",
            f"A tensor of {longest} elements is more than a GPU kernel can address.",
            "Slice the network, or run it on the CPU.",
        )


def _common(
    spec: KernelSpec, use: Use, *, fixed: bool, doubled: bool, lengths: Mapping[str, int]
) -> dict[str, object]:
    """What every template asks for; lengths of arrays are left out where they vary."""
    is_complex = spec.dtype == "complex64"
    as_numbers = doubled and is_complex
    element = "vec2<f32>" if is_complex and not doubled else "f32"
    stored = element.replace("f32", "f16") if use.half else element
    return {
        "element": element,
        "stored": stored,
        "stored_out": element if use.wide else stored,
        "half": use.half,
        "is_complex": is_complex,
        "unary": spec.unary,
        "scaled": use.scaled,
        "peaks": use.peaks,
        "subgroups": doubled,
        "matrices": False,
        "safe": SAFE_EXPONENT,
        "uses_largest": use.scaled or use.peaks,
        "uses_call": use.scaled or use.peaks or not fixed,
        "left_start": "" if fixed else "call.left_start + ",
        "right_start": "" if fixed else "call.right_start + ",
        "most_axes": 0,
        **{
            f"{side}_length": f", {lengths[side] * (2 if as_numbers else 1)}"
            if side in lengths
            else ""
            for side in SIDES
        },
    }


def _bindings(spec: KernelSpec, values: Mapping[str, object]) -> tuple[int, ...]:
    """Bindings that a text with these values uses."""
    used = (True, not spec.unary, True, values["uses_largest"], values["uses_call"])
    return tuple(number for number, is_used in enumerate(used) if is_used)


def _small(spec: KernelSpec, templates: Templates, use: Use) -> Shader:
    """The shared text for tiny kernels, with this one's sizes and strides beside it."""
    kept = (*spec.batch, *spec.rows, *spec.columns)
    batch, rows, columns, products = spec.extents
    outputs = batch * rows * columns
    text, name, bindings = _small_text(templates, dtype=spec.dtype, unary=spec.unary, use=use)
    axes = [len(kept), len(kept) + len(spec.contracted), outputs, products, 0, 0]
    for axis in (*reversed(kept), *reversed(spec.contracted)):
        axes += [axis.size, axis.left, axis.right, axis.out]
    return Shader(
        name=name,
        text=text,
        groups=(ceil(outputs / THREADS), 1),
        unary=spec.unary,
        axes=tuple(axes),
        bindings=bindings,
    )


@cache
def _small_text(
    templates: Templates, *, dtype: DType, unary: bool, use: Use
) -> tuple[str, str, tuple[int, ...]]:
    """Text, name and bindings that all tiny kernels of a kind share; a circuit asks 1,000 times."""
    spec = KernelSpec(dtype=dtype, unary=unary)
    values = {
        **_common(spec, use, fixed=False, doubled=False, lengths={}),
        "most_axes": MOST_AXES,
        "threads": THREADS,
    }
    text, name = fill(templates, "contract_small.wgsl.j2", values)
    return text, name, _bindings(spec, values)
