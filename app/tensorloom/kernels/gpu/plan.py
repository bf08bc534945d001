"""Program -> GpuPlan: shaders, physical buffers shared by lifetimes, and calls in order. Pure.

The plan is what a GPU replays, in the page (JavaScript) and on the desktop (``wgpu``) alike; it is
JSON but for the arrays. Buffers are numbered: inputs first, then pooled ones.

A plain plan assumes that no intermediate leaves the safe range of magnitudes; it records the
largest of each that is read later, so that the host knows whether that was so. A scaled plan takes
carried exponents out while reading, for the rare network that needs it. A plain plan of a sliced
program adds slices up on the device: after the calls of a slice, one adds its result to the whole,
keeping what that rounds away beside it, and one checks the magnitudes and clears them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import TYPE_CHECKING

from tensorloom.kernels.gpu.families import THREADS
from tensorloom.kernels.gpu.pool import CALL_BYTES, GpuPlaces, places
from tensorloom.kernels.gpu.shader import fill
from tensorloom.kernels.gpu.wgsl import (
    MAX_GROUPS_PER_ROW,
    SAFE_EXPONENT,
    Shader,
    Use,
    candidate_of,
    partial_elements,
    render,
)
from tensorloom.kernels.slices import result_axes
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tensorloom.kernels.gpu.candidate import GpuCandidate
    from tensorloom.kernels.gpu.wgsl import GpuLimits, Templates
    from tensorloom.kernels.program import KernelSpec, Program

    Chooser = Callable[[KernelSpec], GpuCandidate | None]

__all__ = ["CALL_BYTES", "GpuCall", "GpuPlan", "gpu_plan", "planned_bytes"]


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
        places: Physical buffers and what lies in them. Magnitude slot 0 is 1, slot ``i + 1`` is
            dispatch ``i``'s result, the last one counts slices in which one left the safe range.
        calls: In order.
        scaled: Whether carried exponents are taken out.
    """

    shaders: tuple[Shader, ...]
    places: GpuPlaces
    calls: tuple[GpuCall, ...]
    scaled: bool = False

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
    def cleared(self) -> tuple[int, ...]:
        """Physical buffers that begin a run at zero: where slices are added up."""
        return () if self.places.excess is None else (self.places.result, self.places.excess)

    def to_json(self) -> dict[str, object]:
        """The record that ``workers/browser/webgpu.ts`` replays; each text is in it once."""
        texts = {s.name: s for s in self.shaders}
        number_of = {name: number for number, name in enumerate(texts)}
        return {
            "shaders": [
                {"name": s.name, "text": s.text, "bindings": list(s.bindings)}
                for s in texts.values()
            ],
            "bufferBytes": list(self.places.buffer_bytes),
            "inputs": self.places.n_inputs,
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
            "slots": self.places.n_slots,
            "cleared": list(self.cleared),
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
        half: Whether inputs and intermediates hold 16-bit numbers; sums are made in 32 bits, in
            which the result is stored. Then nothing is scaled.

    Raises:
        UnsupportedKernel: What ``render`` refuses.
    """
    return _Planning(program, templates, limits, choose=choose, scaled=scaled, half=half).plan()


def planned_bytes(
    program: Program, limits: GpuLimits, choose: Chooser | None = None, *, half: bool = False
) -> int:
    """What the plan of a program takes on a device, without making it [bytes].

    Args:
        program: What to replay.
        limits: Of the device.
        choose: The candidate of each kernel; ``None`` where the default is meant.
        half: As for ``gpu_plan``.
    """

    def partial(kernel: int) -> int:
        spec = program.kernels[kernel]
        chosen = choose(spec) if choose else None
        return partial_elements(spec, candidate_of(spec, limits, chosen, half=half))

    found = places(
        program,
        _item_bytes(program, half=half),
        cache(partial),
        after_slice=_after_slice(program, half=half),
    )
    return found.total_bytes


def _item_bytes(program: Program, *, half: bool) -> tuple[int, int]:
    """Size of an element on the way, and in the result [bytes]."""
    item = ITEM_BYTES[program.dtype]
    return item // 2 if half else item, item


def _after_slice(program: Program, *, half: bool) -> int:
    """Calls that add a slice up and check magnitudes. In 16 bits the largest of all slices counts.

    There a tensor that is small in one slice loses digits that are nothing beside the others.
    """
    if not program.slices:
        return 0
    return 1 if half else 2


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
        self.scaled = scaled
        self.half = half
        self.candidates = [
            candidate_of(spec, limits, choose(spec) if choose else None, half=half)
            for spec in program.kernels
        ]
        self.places = places(
            program,
            _item_bytes(program, half=half),
            lambda kernel: partial_elements(program.kernels[kernel], self.candidates[kernel]),
            after_slice=0 if scaled else _after_slice(program, half=half),
        )
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
        if self.places.excess is not None:
            self._add_up(self.places.excess)
        return GpuPlan(
            shaders=tuple(self.shaders),
            places=self.places,
            calls=tuple(self.calls),
            scaled=self.scaled,
        )

    def _dispatch(self, number: int, *, peaks: bool) -> None:
        program, slot_of, place = self.program, self.slot_of, self.places.of
        dispatch = program.dispatches[number]
        spec = program.kernels[dispatch.kernel]
        operands = [dispatch.left] if dispatch.right is None else [dispatch.left, dispatch.right]
        carried = self.scaled and any(buffer in slot_of for buffer in operands)
        wide = self.half and dispatch.out == program.result
        use = Use(scaled=carried, peaks=peaks, half=self.half, wide=wide)
        shader = self._shader(dispatch.kernel, use)
        slots = (
            slot_of.get(dispatch.left, 0),
            0 if dispatch.right is None else slot_of.get(dispatch.right, 0),
            number + 1,
        )
        out = place[dispatch.out]
        between = self.places.between.get(number)
        call = GpuCall(
            shader=self._number(shader),
            left=place[dispatch.left],
            right=None if dispatch.right is None else place[dispatch.right],
            out=out if between is None else between,
            mul_adds=spec.mul_adds,
            slots=slots,
            dispatch=number,
        )
        self.calls.append(call)
        if between is not None:
            assert shader.then is not None, "a cut sum has a second shader"
            adding = GpuCall(
                shader=self._number(shader.then),
                left=between,
                right=None,
                out=out,
                mul_adds=partial_elements(spec, self.candidates[dispatch.kernel]),
                slots=(0, 0, number + 1),
            )
            self.calls.append(adding)
        self.slot_of[dispatch.out] = number + 1

    def _shader(self, kernel: int, use: Use) -> Shader:
        """The shader of one of the program's kernels; a circuit calls the same one many times."""
        known = self.rendered.get((kernel, use))
        if known is None:
            known = self.rendered[kernel, use] = render(
                self.program.kernels[kernel],
                self.templates,
                self.limits,
                fixed=not self.program.slices,
                candidate=self.candidates[kernel],
                use=use,
            )
        return known

    def _number(self, shader: Shader) -> int:
        return self.shaders.setdefault(shader, len(self.shaders))

    def _add_up(self, excess: int) -> None:
        """Calls that add a slice's result to the whole one and check magnitudes."""
        program, found = self.program, self.places
        part, elements = found.of[program.result], program.buffers[program.result].elements
        adding = GpuCall(
            shader=self._number(self._adding(elements)),
            left=part,
            right=excess,
            out=found.result,
            mul_adds=elements,
            whole=True,
        )
        self.calls.append(adding)
        if self.half:
            return
        text, name = fill(
            self.templates, "check.wgsl.j2", {"safe": SAFE_EXPONENT, "n_slots": found.n_slots}
        )
        check = Shader(name=name, text=text, groups=(1, 1), unary=True, bindings=(3,))
        checking = GpuCall(
            shader=self._number(check), left=part, right=None, out=found.result, mul_adds=0
        )
        self.calls.append(checking)

    def _adding(self, elements: int) -> Shader:
        groups = ceil(elements / THREADS)
        per_row = min(groups, MAX_GROUPS_PER_ROW)
        is_complex = self.program.dtype == "complex64"
        values = {
            "element": "vec2<f32>" if is_complex else "f32",
            "bits": "vec2<u32>" if is_complex else "u32",
            "elements": elements,
            "axes": tuple(reversed(result_axes(self.program))),
            "groups_per_row": per_row,
            "threads": THREADS,
        }
        text, name = fill(self.templates, "add_slice.wgsl.j2", values)
        return Shader(
            name=name,
            text=text,
            groups=(per_row, ceil(groups / per_row)),
            unary=False,
            bindings=(0, 1, 2, 4),
        )
