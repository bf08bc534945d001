"""Programs of a single kernel call: what tuners and benchmarks measure a kernel by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.kernels.program import Buffer, Dispatch, Program
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from tensorloom.kernels.program import KernelSpec

__all__ = ["lone_step"]


def lone_step(spec: KernelSpec) -> Program:
    """A program that is one kernel call, its operands just as long as the kernel reaches."""
    inputs = [spec.reach("left"), *([] if spec.unary else [spec.reach("right")])]
    out = spec.reach("out")
    last = len(inputs)
    return Program(
        dtype=spec.dtype,
        buffers=(
            *(Buffer(elements=size, source=number) for number, size in enumerate(inputs)),
            Buffer(elements=out),
        ),
        kernels=(spec,),
        dispatches=(Dispatch(kernel=0, left=0, right=None if spec.unary else 1, out=last),),
        result=last,
        shape=(out,),
        mul_adds=spec.mul_adds,
        peak_bytes=(sum(inputs) + out) * ITEM_BYTES[spec.dtype],
    )
