"""Where elements lie: WGSL for offsets through the axes of a kernel. Pure text."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tensorloom.kernels.program import KernelSpec, LoopAxis, Side

__all__ = ["SIDES", "loop_offset", "offset", "spans"]

SIDES: tuple[Side, ...] = ("left", "right", "out")


def spans(spec: KernelSpec) -> Mapping[str, int]:
    """Elements from the first to the last one that each operand touches."""
    return {side: spec.reach(side) for side in SIDES}


def offset(position: str, axes: Sequence[LoopAxis], side: str) -> str:
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


def loop_offset(loops: Sequence[tuple[str, LoopAxis]], side: str, more: int = 0) -> str:
    """WGSL for the offset that loop variables make, and a constant.

    Args:
        loops: Variable and axis of each loop.
        side: Of which operand.
        more: Elements on top.
    """
    terms = [(name, getattr(axis, side)) for name, axis in loops]
    written = [name if stride == 1 else f"{name} * {stride}u" for name, stride in terms if stride]
    if more:
        written.append(f"{more}u")
    return " + ".join(written) or "0u"
