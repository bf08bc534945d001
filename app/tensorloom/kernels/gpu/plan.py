"""Program -> GpuPlan: shaders, physical buffers shared by lifetimes, and calls in order. Pure.

The plan is what a GPU replays, in the page (JavaScript) and on the desktop (``wgpu``) alike; it is
JSON but for the arrays. Buffers are numbered: inputs first, then pooled ones.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorloom.kernels.gpu.wgsl import render
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorloom.kernels.gpu.wgsl import GpuLimits, Shader, Templates
    from tensorloom.kernels.program import Program

__all__ = ["CALL_BYTES", "GpuCall", "GpuPlan", "gpu_plan"]

CALL_BYTES = 512
"""Room for one call's constants; a multiple of WebGPU's offset alignment, 256."""

MIN_BUFFER_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuCall:
    """One dispatch.

    Args:
        shader: Number of the shader.
        left: Number of the left operand's physical buffer.
        right: The same for the right one, or ``None``.
        out: The same for the result.
        mul_adds: Work, for progress and for cutting submissions.
    """

    shader: int
    left: int
    right: int | None
    out: int
    mul_adds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuPlan:
    """Everything a GPU replays for one slice.

    Args:
        shaders: Each once.
        buffer_bytes: Size of each physical buffer; the first ``n_inputs`` hold the inputs.
        n_inputs: Number of inputs.
        calls: In order; call ``i`` leaves its largest magnitude in slot ``i + 1``, slot 0 is 1.
        slots: ``(left, right)`` magnitude slots that each call reads.
        result: Physical buffer of the result.
        result_bytes: Its length.
    """

    shaders: tuple[Shader, ...]
    buffer_bytes: tuple[int, ...]
    n_inputs: int
    calls: tuple[GpuCall, ...]
    slots: tuple[tuple[int, int], ...]
    result: int
    result_bytes: int

    def constants(self, starts: Sequence[tuple[int, int]]) -> bytes:
        """The uniform buffer of one slice.

        Args:
            starts: First element of the left and right operand of each call [elements].
        """
        packed = bytearray(CALL_BYTES * max(1, len(self.calls)))
        for number, ((left, right), slots) in enumerate(zip(starts, self.slots, strict=True)):
            axes = self.shaders[self.calls[number].shader].axes
            numbers = (left, right, *slots, number + 1, *axes)
            struct.pack_into(f"<{len(numbers)}I", packed, CALL_BYTES * number, *numbers)
        return bytes(packed)

    def to_json(self) -> dict[str, object]:
        """The record that ``workers/browser/webgpu.ts`` replays."""
        return {
            "shaders": [{"name": s.name, "text": s.text} for s in self.shaders],
            "bufferBytes": list(self.buffer_bytes),
            "inputs": self.n_inputs,
            "calls": [
                {
                    "shader": call.shader,
                    "left": call.left,
                    "right": call.right,
                    "out": call.out,
                    "groups": list(self.shaders[call.shader].groups),
                }
                for call in self.calls
            ],
            "result": self.result,
            "resultBytes": self.result_bytes,
        }


def gpu_plan(program: Program, templates: Templates, limits: GpuLimits) -> GpuPlan:
    """The plan of a program in float32 or complex64.

    Raises:
        UnsupportedKernel: What ``render`` refuses.
    """
    item = ITEM_BYTES[program.dtype]
    fixed = not program.slices
    shaders = tuple(render(spec, templates, limits, fixed=fixed) for spec in program.kernels)
    pool = _Pool(
        [buffer.elements * item for buffer in program.buffers if buffer.source is not None]
    )
    place = {number: number for number in range(pool.n_inputs)}
    slot_of: dict[int, int] = {}
    calls, slots = [], []
    for number, dispatch in enumerate(program.dispatches):
        out = pool.take(program.buffers[dispatch.out].elements * item)
        right = None if dispatch.right is None else place[dispatch.right]
        calls.append(
            GpuCall(
                shader=dispatch.kernel,
                left=place[dispatch.left],
                right=right,
                out=out,
                mul_adds=program.kernels[dispatch.kernel].mul_adds,
            )
        )
        right_slot = 0 if dispatch.right is None else slot_of.get(dispatch.right, 0)
        slots.append((slot_of.get(dispatch.left, 0), right_slot))
        place[dispatch.out] = out
        slot_of[dispatch.out] = number + 1
        for buffer in dispatch.frees:
            pool.give(place[buffer])
    return GpuPlan(
        shaders=shaders,
        buffer_bytes=tuple(pool.sizes),
        n_inputs=pool.n_inputs,
        calls=tuple(calls),
        slots=tuple(slots),
        result=place[program.result],
        result_bytes=program.buffers[program.result].elements * item,
    )


class _Pool:
    """Physical buffers: a freed one is taken again by what it fits closest, grown if it must."""

    def __init__(self, inputs: Sequence[int]) -> None:
        self.n_inputs = len(inputs)
        self.sizes = [max(MIN_BUFFER_BYTES, size) for size in inputs]
        self._free: list[int] = []

    def take(self, size: int) -> int:
        size = max(MIN_BUFFER_BYTES, size)
        if not self._free:
            self.sizes.append(size)
            return len(self.sizes) - 1
        fitting = [number for number in self._free if self.sizes[number] >= size]
        if fitting:
            best = min(fitting, key=self.sizes.__getitem__)
        else:
            best = max(self._free, key=self.sizes.__getitem__)
            self.sizes[best] = size
        self._free.remove(best)
        return best

    def give(self, number: int) -> None:
        if number >= self.n_inputs:
            self._free.append(number)
