"""A program on two backends: parts of its tree here, parts there, tensors passed between.

    parts(program, devices) -> Part*            connected steps of one device, as programs
    run_parts(parts, backends, arrays, pulse)   the result, with the exponents of all parts

Only programs without slices and with one result: slices would cross the border each time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tensorloom.execute.backend import RawResult
from tensorloom.execute.scaling import finished
from tensorloom.kernels.program import Buffer, Dispatch, Program
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Backend, Pulse, SlicesDone

__all__ = ["Part", "parts", "run_parts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Steps that run on one device without a break.

    Args:
        device: Its number.
        program: The steps; its inputs are whole buffers, its result is one, flat unless the last.
        operands: Numbers of the buffers that it reads, in the order of its inputs.
        outs: Number of the buffer that each step makes; the last is the part's result.
    """

    device: int
    program: Program
    operands: tuple[int, ...]
    outs: tuple[int, ...]

    @property
    def out(self) -> int:
        """Number of the buffer that it makes."""
        return self.outs[-1]


def parts(program: Program, devices: Sequence[int]) -> tuple[Part, ...]:
    """A program cut where its tree changes sides; in an order in which they can run.

    Args:
        program: Without slices, each intermediate read once.
        devices: Number of the device of each dispatch.
    """
    assert not program.slices, "slices are not placed"
    assert not program.kept, "programs with several results are not placed"
    device_of = {
        dispatch.out: device for dispatch, device in zip(program.dispatches, devices, strict=True)
    }
    gathered: dict[int, list[Dispatch]] = {}
    made = []
    for dispatch in program.dispatches:
        own = device_of[dispatch.out]
        steps = [
            step
            for operand in _operands(dispatch)
            if device_of.get(operand) == own
            for step in gathered.pop(operand)
        ]
        gathered[dispatch.out] = [*steps, dispatch]
        made += [
            _part(program, gathered.pop(operand), device_of[operand])
            for operand in _operands(dispatch)
            if operand in gathered and device_of[operand] != own
        ]
    made += [_part(program, steps, device_of[out]) for out, steps in gathered.items()]
    return tuple(made)


def _operands(dispatch: Dispatch) -> tuple[int, ...]:
    """The buffers it reads, each once."""
    both = (dispatch.left,) if dispatch.right is None else (dispatch.left, dispatch.right)
    return tuple(dict.fromkeys(both))


def _part(program: Program, steps: Sequence[Dispatch], device: int) -> Part:
    """Some connected steps as a program: inputs first, everything numbered anew."""
    outs = [step.out for step in steps]
    read = dict.fromkeys(operand for step in steps for operand in _operands(step))
    operands = tuple(operand for operand in read if operand not in outs)
    number = {old: new for new, old in enumerate((*operands, *outs))}
    used = dict.fromkeys(step.kernel for step in steps)
    kernel = {old: new for new, old in enumerate(used)}
    elements = [program.buffers[old].elements for old in number]
    result = steps[-1].out
    own = Program(
        dtype=program.dtype,
        buffers=tuple(
            Buffer(elements=size, source=new if new < len(operands) else None)
            for new, size in enumerate(elements)
        ),
        kernels=tuple(program.kernels[old] for old in used),
        dispatches=tuple(
            Dispatch(
                kernel=kernel[step.kernel],
                left=number[step.left],
                right=None if step.right is None else number[step.right],
                out=number[step.out],
                frees=tuple(number[old] for old in step.frees if old in outs),
            )
            for step in steps
        ),
        result=number[result],
        shape=program.shape if result == program.result else (program.buffers[result].elements,),
        mul_adds=sum(program.kernels[step.kernel].mul_adds for step in steps),
        peak_bytes=sum(elements) * ITEM_BYTES[program.dtype],
    )
    return Part(device=device, program=own, operands=operands, outs=tuple(outs))


async def run_parts(
    cut: Sequence[Part],
    backends: Sequence[Backend],
    arrays: Sequence[NDArray[Any]],
    pulse: Pulse,
) -> RawResult:
    """The result of all parts.

    Args:
        cut: From ``parts``.
        backends: By number of device.
        arrays: One per input buffer of the whole program, of its dtype.
        pulse: Progress and cancellation; hears of the whole.

    Raises:
        UnsupportedKernel, DeviceMemoryError, DeviceLost, Cancelled: As ``Backend.run``.
    """
    live: dict[int, RawResult] = {
        number: RawResult(value=array) for number, array in enumerate(arrays)
    }
    before = 0
    notes: list[str] = []

    async def own_pulse(done: int, slices: SlicesDone | None = None) -> None:
        await pulse(before + done, slices)

    for part in cut:
        read = [_taken(live, operand, len(arrays)) for operand in part.operands]
        flat = [one.value.reshape(-1) for one in read]
        raw = await backends[part.device].run(part.program, flat, own_pulse)
        before += part.program.mul_adds
        notes += raw.notes
        live[part.out] = RawResult(
            value=raw.value,
            log10_scale=raw.log10_scale + sum(one.log10_scale for one in read),
        )
    last = live[cut[-1].out]
    raw = finished(last.value, 0, cut[-1].program.dtype, log10_scale=last.log10_scale)
    return replace(raw, notes=tuple(notes))


def _taken(live: dict[int, RawResult], number: int, n_inputs: int) -> RawResult:
    """A buffer; an intermediate is read once and let go."""
    if number < n_inputs:
        return live[number]
    return live.pop(number)
