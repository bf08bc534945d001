"""Loops: strided operands and a result layout become the fused axes of one kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorloom.kernels.program import KernelSpec, LoopAxis

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tensorloom.kernels.layout import Operand
    from tensorloom.model.recipe import DType

__all__ = ["binary_kernel", "unary_kernel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Strides:
    """Strides by index name in all three tensors; 0 where one lacks the index."""

    sizes: Mapping[str, int]
    left: Mapping[str, int]
    right: Mapping[str, int]
    out: Mapping[str, int]

    def axes(self, names: Iterable[str]) -> tuple[LoopAxis, ...]:
        """One loop per name, outermost first, neighbours that are one run fused."""
        axes = [
            LoopAxis(
                size=self.sizes[name],
                left=self.left.get(name, 0),
                right=self.right.get(name, 0),
                out=self.out.get(name, 0),
            )
            for name in names
        ]
        axes.sort(key=lambda axis: (axis.out, axis.right, axis.left), reverse=True)
        return _fused(axes)


def binary_kernel(
    left: Operand,
    right: Operand,
    out: Mapping[str, int],
    sizes: Mapping[str, int],
    dtype: DType,
) -> KernelSpec:
    """The kernel of a pairwise step; ``out`` gives the result's strides."""
    strides = _Strides(sizes=sizes, left=left.strides, right=right.strides, out=out)
    names = dict.fromkeys([*left.strides, *right.strides])
    role = {name: (name in left.strides, name in right.strides, name in out) for name in names}
    return KernelSpec(
        dtype=dtype,
        batch=strides.axes(name for name in names if role[name] == (True, True, True)),
        rows=strides.axes(name for name in names if role[name] == (True, False, True)),
        columns=strides.axes(name for name in names if role[name] == (False, True, True)),
        contracted=strides.axes(name for name in names if not role[name][2]),
    )


def unary_kernel(
    operand: Operand, out: Mapping[str, int], sizes: Mapping[str, int], dtype: DType
) -> KernelSpec:
    """The kernel that copies, permutes or sums one operand into strides ``out``."""
    strides = _Strides(sizes=sizes, left=operand.strides, right={}, out=out)
    return KernelSpec(
        dtype=dtype,
        rows=strides.axes(name for name in operand.strides if name in out),
        contracted=strides.axes(name for name in operand.strides if name not in out),
        unary=True,
    )


def _fused(axes: list[LoopAxis]) -> tuple[LoopAxis, ...]:
    """The axes with each pair that steps through all tensors like one loop made one."""
    fused: list[LoopAxis] = []
    for axis in axes:
        outer = fused[-1] if fused else None
        size = axis.size
        if (
            outer
            and outer.out == axis.out * size
            and outer.right == axis.right * size
            and outer.left == axis.left * size
        ):
            fused[-1] = LoopAxis(
                size=outer.size * size, left=axis.left, right=axis.right, out=axis.out
            )
        else:
            fused.append(axis)
    return tuple(fused)
