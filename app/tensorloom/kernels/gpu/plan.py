"""Program -> GpuPlan: shaders, physical buffers shared by lifetimes, and calls in order. Pure.

The plan is what a GPU replays, in the page (JavaScript) and on the desktop (``wgpu``) alike; it is
JSON but for the arrays. Buffers are numbered: inputs first, then pooled ones.

A plain plan assumes that no intermediate leaves the safe range of magnitudes; it records the
largest of each that is read later, so that the host knows whether that was so. A scaled plan takes
carried exponents out while reading, for the rare network that needs it. A plain plan of a sliced
program adds slices up on the device: after the calls of a slice, one adds its result to the whole
and one checks the magnitudes and clears them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorloom.kernels.gpu.shader import fill
from tensorloom.kernels.gpu.wgsl import SAFE_EXPONENT, Shader, Use, render
from tensorloom.kernels.program import KernelSpec, LoopAxis
from tensorloom.kernels.slices import result_axes
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tensorloom.kernels.gpu.candidate import GpuCandidate
    from tensorloom.kernels.gpu.wgsl import GpuLimits, Templates
    from tensorloom.kernels.program import Program

    Chooser = Callable[[KernelSpec], GpuCandidate | None]

__all__ = ["CALL_BYTES", "GpuCall", "GpuPlan", "gpu_plan"]

CALL_BYTES = 512
"""Room for one call's constants; a multiple of WebGPU's offset alignment, 256."""

MIN_BUFFER_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuCall:
    """One dispatch of a shader.

    Args:
        shader: Number of the shader.
        left: Number of the left operand's physical buffer.
        right: The same for the right one, or ``None``.
        out: The same for the result.
        mul_adds: Work, for progress and for cutting submissions.
        slots: Magnitude slots of left, right and result; slot 0 holds 1.
        dispatch: The program's dispatch that this is part of; ``None`` for what the plan adds.
        whole: Whether it writes into the whole result, from where the slice's part starts.
    """

    shader: int
    left: int
    right: int | None
    out: int
    mul_adds: int
    slots: tuple[int, int, int] = (0, 0, 0)
    dispatch: int | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuPlan:
    """Everything a GPU replays for one slice.

    Args:
        shaders: Each once.
        buffer_bytes: Size of each physical buffer; the first ``n_inputs`` hold the inputs.
        n_inputs: Number of inputs.
        calls: In order.
        n_slots: Magnitudes: slot 0 is 1, slot ``i + 1`` is dispatch ``i``'s result, the last one
            counts slices in which a magnitude left the safe range.
        result: Physical buffer of the result: of a slice, or of the whole if ``sums_slices``.
        result_bytes: Its length.
        kept: Physical buffers returned besides, and their lengths.
        scaled: Whether carried exponents are taken out.
        sums_slices: Whether the device adds slices up.
    """

    shaders: tuple[Shader, ...]
    buffer_bytes: tuple[int, ...]
    n_inputs: int
    calls: tuple[GpuCall, ...]
    n_slots: int
    result: int
    result_bytes: int
    kept: tuple[tuple[int, int], ...] = ()
    scaled: bool = False
    sums_slices: bool = False

    def constants(self, starts: Sequence[tuple[int, int]], whole_start: int = 0) -> bytes:
        """The uniform buffer of one slice.

        Args:
            starts: First element of the left and right operand of each dispatch [elements].
            whole_start: Where the slice's result starts in the whole one [elements].
        """
        packed = bytearray(CALL_BYTES * max(1, len(self.calls)))
        for number, call in enumerate(self.calls):
            left, right = (0, 0) if call.dispatch is None else starts[call.dispatch]
            out = whole_start if call.whole else 0
            numbers = (left, right, *call.slots, out, *self.shaders[call.shader].axes)
            struct.pack_into(f"<{len(numbers)}I", packed, CALL_BYTES * number, *numbers)
        return bytes(packed)

    @property
    def total_bytes(self) -> int:
        """Bytes of all buffers on the device [bytes]."""
        return sum(self.buffer_bytes) + 4 * self.n_slots + CALL_BYTES * max(1, len(self.calls))

    def to_json(self) -> dict[str, object]:
        """The record that ``workers/browser/webgpu.ts`` replays; each text is in it once."""
        texts = {s.name: s for s in self.shaders}
        number_of = {name: number for number, name in enumerate(texts)}
        return {
            "shaders": [
                {"name": s.name, "text": s.text, "bindings": list(s.bindings)}
                for s in texts.values()
            ],
            "bufferBytes": list(self.buffer_bytes),
            "inputs": self.n_inputs,
            "calls": [
                {
                    "shader": number_of[self.shaders[call.shader].name],
                    "left": call.left,
                    "right": call.right,
                    "out": call.out,
                    "groups": list(self.shaders[call.shader].groups),
                }
                for call in self.calls
            ],
            "slots": self.n_slots,
            "result": self.result,
            "resultBytes": self.result_bytes,
            "sumsSlices": self.sums_slices,
        }


def gpu_plan(
    program: Program,
    templates: Templates,
    limits: GpuLimits,
    *,
    choose: Chooser | None = None,
    scaled: bool = False,
    half: bool = False,
) -> GpuPlan:
    """The plan of a program in float32 or complex64.

    Args:
        program: What to replay.
        templates: From ``assets.templates``.
        limits: Of the device.
        choose: The candidate of each kernel; ``None`` where the default is meant.
        scaled: Whether to take carried exponents out.
        half: Whether arrays hold 16-bit numbers, inputs and result included; sums are made in 32
            bits. Nothing watches their narrower range: for kernels by themselves.

    Raises:
        UnsupportedKernel: What ``render`` refuses.
    """
    return _Planning(program, templates, limits, choose=choose, scaled=scaled, half=half).plan()


class _Planning:
    """The state of one planning; lives for one call of ``gpu_plan``."""

    def __init__(
        self,
        program: Program,
        templates: Templates,
        limits: GpuLimits,
        *,
        choose: Chooser | None,
        scaled: bool,
        half: bool,
    ) -> None:
        self.program = program
        self.templates = templates
        self.limits = limits
        self.choose = choose
        self.scaled = scaled
        self.half = half
        self.item = ITEM_BYTES[program.dtype] // (2 if half else 1)
        self.pool = _Pool(
            [buffer.elements * self.item for buffer in program.buffers if buffer.source is not None]
        )
        self.place = {number: number for number in range(self.pool.n_inputs)}
        self.slot_of: dict[int, int] = {}
        self.shaders: dict[Shader, int] = {}
        self.rendered: dict[tuple[int, Use], Shader] = {}
        self.calls: list[GpuCall] = []

    def plan(self) -> GpuPlan:
        """All of it."""
        program = self.program
        read_later = {
            buffer for call in program.dispatches for buffer in (call.left, call.right)
        } - {None}
        for number, dispatch in enumerate(program.dispatches):
            self._dispatch(number, peaks=dispatch.out in read_later)
            for buffer in dispatch.frees:
                self.pool.give(self.place[buffer])
        result = self.place[program.result]
        result_bytes = program.buffers[program.result].elements * self.item
        n_slots = len(program.dispatches) + 2
        sums_slices = bool(program.slices) and not self.scaled
        if sums_slices:
            result = self._add_up(result)
            result_bytes = self.pool.sizes[result]
        return GpuPlan(
            shaders=tuple(self.shaders),
            buffer_bytes=tuple(self.pool.sizes),
            n_inputs=self.pool.n_inputs,
            calls=tuple(self.calls),
            n_slots=n_slots,
            result=result,
            result_bytes=result_bytes,
            kept=tuple(
                (self.place[number], program.buffers[number].elements * self.item)
                for number in program.kept
            ),
            scaled=self.scaled,
            sums_slices=sums_slices,
        )

    def _dispatch(self, number: int, *, peaks: bool) -> None:
        program, slot_of = self.program, self.slot_of
        dispatch = program.dispatches[number]
        spec = program.kernels[dispatch.kernel]
        operands = [dispatch.left] if dispatch.right is None else [dispatch.left, dispatch.right]
        carried = self.scaled and any(buffer in slot_of for buffer in operands)
        use = Use(scaled=carried, peaks=peaks, half=self.half)
        shader = self._shader(dispatch.kernel, use)
        slots = (
            slot_of.get(dispatch.left, 0),
            0 if dispatch.right is None else slot_of.get(dispatch.right, 0),
            number + 1,
        )
        out = self.pool.take(program.buffers[dispatch.out].elements * self.item)
        first = GpuCall(
            shader=self._number(shader),
            left=self.place[dispatch.left],
            right=None if dispatch.right is None else self.place[dispatch.right],
            out=out,
            mul_adds=spec.mul_adds,
            slots=slots,
            dispatch=number,
        )
        self._call(first, shader)
        self.place[dispatch.out] = out
        self.slot_of[dispatch.out] = number + 1

    def _shader(self, kernel: int, use: Use) -> Shader:
        """The shader of one of the program's kernels; a circuit calls the same one many times."""
        known = self.rendered.get((kernel, use))
        if known is None:
            spec = self.program.kernels[kernel]
            known = self.rendered[kernel, use] = render(
                spec,
                self.templates,
                self.limits,
                fixed=not self.program.slices,
                candidate=self.choose(spec) if self.choose else None,
                use=use,
            )
        return known

    def _call(self, call: GpuCall, shader: Shader) -> None:
        """The call, or two where the sum is cut."""
        if shader.then is None:
            self.calls.append(call)
            return
        between = self.pool.take(shader.partial_elements * self.item)
        self.calls += [
            GpuCall(
                shader=call.shader,
                left=call.left,
                right=call.right,
                out=between,
                mul_adds=call.mul_adds,
                slots=call.slots,
                dispatch=call.dispatch,
            ),
            GpuCall(
                shader=self._number(shader.then),
                left=between,
                right=None,
                out=call.out,
                mul_adds=shader.partial_elements,
                slots=(0, 0, call.slots[2]),
                whole=call.whole,
            ),
        ]
        self.pool.give(between)

    def _number(self, shader: Shader) -> int:
        return self.shaders.setdefault(shader, len(self.shaders))

    def _add_up(self, part: int) -> int:
        """Calls that add a slice's result to the whole one and check magnitudes."""
        program = self.program
        whole_elements = 1
        for size in program.shape:
            whole_elements *= size
        self.pool.close()
        whole = self.pool.take(whole_elements * self.item)
        dense, below = [], 1
        for size, stride in reversed(result_axes(program)):
            dense.append(LoopAxis(size=size, left=below, right=0, out=stride))
            below *= size
        spec = KernelSpec(dtype=program.dtype, rows=tuple(reversed(dense)), unary=True)
        shader = render(
            spec,
            self.templates,
            self.limits,
            fixed=False,
            use=Use(scaled=False, peaks=False, accumulate=True, half=self.half),
        )
        adding = GpuCall(
            shader=self._number(shader),
            left=part,
            right=None,
            out=whole,
            mul_adds=spec.mul_adds,
            whole=True,
        )
        self.calls.append(adding)
        n_slots = len(program.dispatches) + 2
        text, name = fill(
            self.templates, "check.wgsl.j2", {"safe": SAFE_EXPONENT, "n_slots": n_slots}
        )
        check = Shader(name=name, text=text, groups=(1, 1), unary=True, bindings=(3,))
        checking = GpuCall(shader=self._number(check), left=part, right=None, out=whole, mul_adds=0)
        self.calls.append(checking)
        return whole


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

    def close(self) -> None:
        """What is taken from here on is nobody else's."""
        self._free.clear()
