"""One replay of a program on WASM: its memory, its slices, its exponents, its pauses.

Memory: inputs stay where they are, intermediates share one arena, the result is an array of its
own; the sheet of records is kept between runs and only gets new addresses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.backend import RawResult, SlicesDone
from tensorloom.execute.scaling import (
    SAFE_LOG2,
    SliceSum,
    absmax,
    exponents_of,
    finished,
    scale,
    scaled,
    shift_for,
)
from tensorloom.execute.wasm.proof import prove_groups
from tensorloom.kernels.arena import place_buffers
from tensorloom.kernels.slices import Slice, result_axes, slices_of
from tensorloom.kernels.wasm.fused import fused_groups, halves
from tensorloom.kernels.wasm.fused_probe import probe_sizes
from tensorloom.kernels.wasm.records import (
    PIECE_CYCLES,
    address,
    fill_table,
    record_sheet,
    settled,
)
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Pulse
    from tensorloom.execute.wasm.kernels import WasmKernels
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm.fused import FusedKernel, Group
    from tensorloom.kernels.wasm.fused_probe import Sizes
    from tensorloom.kernels.wasm.records import RecordSheet
    from tensorloom.kernels.wasm.schedule import Kernel, Schedule
    from tensorloom.model.recipe import DType

__all__ = ["Prepared", "Replay", "Settled", "prepared", "proven_groups", "settle", "several"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a program needs besides arrays.

    Args:
        program: What it is.
        sheet: Its records, for any address.
        offsets: Where its intermediates lie in the arena, and last 0 [bytes].
        arena_bytes: Size of the arena.
        steps: Records of the steps of each fused group, by the group's record.
        groups: Its fused groups.
        sizes: What each is proven with; see ``kernels.wasm.fused_probe``.
    """

    program: Program
    sheet: RecordSheet
    offsets: NDArray[np.int64]
    arena_bytes: int
    steps: Mapping[int, tuple[int, int]]
    groups: tuple[Group, ...] = ()
    sizes: tuple[Sizes, ...] = ()


def prepared(
    program: Program, *, relaxed: bool, fused: bool, plans: Sequence[Schedule] | None = None
) -> Prepared:
    """The program with its records.

    Args:
        program: What to run.
        relaxed: Whether kernels may use fused multiply-add.
        fused: Whether small steps run as groups: quicker to run, longer to prepare. A group that
            cannot be proven is none.
        plans: How to run each kernel; by default the cheapest way.
    """
    groups, sizes = _provable(program) if fused else ((), ())
    offsets, arena_bytes = place_buffers(program)
    sheet = record_sheet(program, relaxed=relaxed, plans=plans, groups=groups)
    return Prepared(
        program=program,
        sheet=sheet,
        offsets=np.array([*offsets, 0], np.int64),
        arena_bytes=arena_bytes,
        steps=_steps(sheet),
        groups=groups,
        sizes=sizes,
    )


def with_plans(known: Prepared, plans: Sequence[Schedule] | None, *, relaxed: bool) -> Prepared:
    """The same program and groups, its other kernels run in other ways.

    Args:
        known: The program.
        plans: How to run each kernel; by default the cheapest way.
        relaxed: Whether kernels may use fused multiply-add.
    """
    sheet = record_sheet(known.program, relaxed=relaxed, plans=plans, groups=known.groups)
    return replace(known, sheet=sheet, steps=_steps(sheet))


def _steps(sheet: RecordSheet) -> dict[int, tuple[int, int]]:
    """First and last step, plus one, of the records that are groups."""
    return {record: (first, last) for record, first, last in sheet.fused}


def _provable(program: Program) -> tuple[tuple[Group, ...], tuple[Sizes, ...]]:
    """The fused groups that have a probe, and the sizes of its inputs.

    One that has none is halved: gradients read the steps before them, which one set of sizes does
    not always keep in range.
    """
    open_ = [*reversed(fused_groups(program))]
    found: list[tuple[Group, Sizes]] = []
    while open_:
        group = open_.pop()
        looked = bool(group.kernel.looked)
        sizes = probe_sizes(program, group.first, group.last, looked=looked)
        if sizes is not None:
            found.append((group, sizes))
        elif group.last - group.first > 1:
            open_ += reversed(halves(program, group))
    return tuple(group for group, _ in found), tuple(sizes for _, sizes in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What a program keeps in the engine's memory between runs.

    Args:
        descriptors: Sizes and strides of its kernels.
        records: Complete but for the operands' addresses.
        records_address: Where they are.
        scanned: Address and size of each input, for the look at their magnitudes [bytes].
        scanned_address: Where that is.
    """

    descriptors: NDArray[np.uint32]
    records: NDArray[np.uint32]
    records_address: int
    scanned: NDArray[np.uint32]
    scanned_address: int


def settle(known: Prepared, kernels: WasmKernels) -> Settled:
    """The program in the engine's memory, its kernels compiled.

    Raises:
        UnsupportedKernel: The engine cannot run one of them, or runs it wrongly.
    """
    taken: list[Kernel | FusedKernel] = []
    try:
        for kernel in known.sheet.kernels:
            kernels.slot(kernel)
            taken.append(kernel)
        return _settled(known, kernels)
    except BaseException:
        kernels.release(taken)
        raise


def proven_groups(program: Program, kernels: WasmKernels) -> tuple[Group, ...]:
    """The fused groups of a program; none where one of its kernels computes wrongly here."""
    known = prepared(program, relaxed=kernels.relaxed, fused=True)
    try:
        settle(known, kernels)
    except UnsupportedKernel:
        return ()
    kernels.release(known.sheet.kernels)
    return known.groups


def _settled(known: Prepared, kernels: WasmKernels) -> Settled:
    host, program, sheet = kernels.host, known.program, known.sheet
    slots = [kernels.place(kernel) for kernel in sheet.kernels]
    descriptors = host.placed(sheet.descriptors)
    words = settled(sheet, slots, host.address(descriptors), host.address(kernels.workspace))
    records = host.placed(words)
    prove_groups(known, records, kernels)
    inputs = [buffer.elements for buffer in program.buffers if buffer.source is not None]
    scanned = np.zeros((len(inputs), 2), np.uint32)
    scanned[:, 1] = np.array(inputs, np.int64) * ITEM_BYTES[program.dtype]
    scanned = host.placed(scanned)
    return Settled(
        descriptors=descriptors,
        records=records,
        records_address=host.address(records),
        scanned=scanned,
        scanned_address=host.address(scanned),
    )


class Replay:
    """One run: its memory, its exponent, and how far it has come."""

    def __init__(
        self,
        known: Prepared,
        kept: Settled,
        kernels: WasmKernels,
        arrays: Sequence[NDArray[Any]],
    ) -> None:
        self.prepared = known
        self.program = program = known.program
        self.kernels = kernels
        self.kept = kept
        self.limit = 2.0 ** SAFE_LOG2[program.dtype]
        place = kernels.host.address
        self.inputs = [kernels.host.placed(array.reshape(-1)) for array in arrays]
        self.places = [place(array) for array in self.inputs]
        self.taken: dict[int, int] = {}
        self.input_exponent = self._make_inputs_safe()
        self.arena = kernels.host.empty(known.arena_bytes)
        elements = program.buffers[program.result].elements if program.dispatches else 0
        self.out = kernels.host.empty(elements * ITEM_BYTES[program.dtype]).view(program.dtype)
        self.addresses = self._addresses()
        self.done = 0
        self.since_pulse = 0.0
        self.slices: SlicesDone | None = None

    async def result(self, pulse: Pulse) -> RawResult:
        """All slices, added up."""
        program = self.program
        if not program.slices:
            value, exponent = await self._slice(None, pulse, self.input_exponent)
            if program.kept:
                # What is kept stays in the arena, which is this run's own: there is little else.
                return several(program, self.taken, self._made)
            return _result(value.reshape(program.shape), exponent, program.dtype)
        total = SliceSum(program.shape, program.dtype)
        axes = result_axes(program)
        once = self.prepared.sheet.once
        common = self.input_exponent
        common += await self._pieces(range(once), self.addresses, pulse)

        async def so_far() -> RawResult:
            return _result(total.value, total.exponent or 0, program.dtype)

        for number, piece in enumerate(slices_of(program)):
            self.slices = SlicesDone(done=number, of=program.n_slices, so_far=so_far)
            value, exponent = await self._slice(piece, pulse, common)
            total.add(piece.out, axes, value, exponent)
        return _result(total.result(), total.exponent or 0, program.dtype)

    def _make_inputs_safe(self) -> int:
        """Takes exponents out of inputs that have left the safe range; the sum of them."""
        kernels, dtype, table = self.kernels, self.program.dtype, self.kept.scanned
        table[:, 0] = self.places
        total = 0
        number = kernels.outside(self.kept.scanned_address, 0, len(table), dtype, self.limit)
        while number < len(table):
            shift = shift_for(absmax(self.inputs[number]), dtype)
            if shift:
                self.inputs[number] = kernels.host.placed(scaled(self.inputs[number], -shift))
                self.places[number] = kernels.host.address(self.inputs[number])
                self.taken[number] = shift
            total += shift
            number += 1
            number = kernels.outside(
                self.kept.scanned_address, number, len(table), dtype, self.limit
            )
        return total

    def _addresses(self) -> NDArray[np.int64]:
        """Address of every buffer, and last that of the constant 1."""
        place = self.kernels.host.address
        found = self.prepared.offsets + place(self.arena)
        found[: len(self.inputs)] = self.places
        if self.program.dispatches:
            found[self.program.result] = place(self.out)
        found[-1] = self.kernels.one_address[self.program.dtype]
        return found

    async def _slice(
        self, piece: Slice | None, pulse: Pulse, common: int
    ) -> tuple[NDArray[Any], int]:
        """The result of one slice and its exponent, ``common`` being that of all slices."""
        program, sheet = self.program, self.prepared.sheet
        if not program.dispatches:
            return self._untouched(piece)
        addresses = self.addresses
        if piece is not None:
            starts = np.array([*piece.starts, 0], np.int64)
            addresses = addresses + starts * ITEM_BYTES[program.dtype]
        numbers = range(sheet.once, len(sheet.pieces))
        return self.out, common + await self._pieces(numbers, addresses, pulse)

    async def _pieces(self, numbers: range, addresses: NDArray[np.int64], pulse: Pulse) -> int:
        """Replays pieces of the sheet; the exponents taken out on the way."""
        sheet = self.prepared.sheet
        words = addresses.astype(np.uint32)
        self._address(words)
        exponent = 0
        for number in numbers:
            exponent += self._piece(*sheet.pieces[number])
            self.done += sheet.done[number] - (sheet.done[number - 1] if number else 0)
            self.since_pulse += min(sheet.cycles, PIECE_CYCLES)
            if self.since_pulse >= PIECE_CYCLES:
                self.since_pulse = 0.0
                await pulse(self.done, self.slices)
                # Another run of this program may have used the records meanwhile.
                self._address(words)
        return exponent

    def _address(self, addresses: NDArray[np.uint32]) -> None:
        """Tells records and fused groups where everything is."""
        sheet = self.prepared.sheet
        address(self.kept.records, sheet, addresses)
        fill_table(self.kept.descriptors, sheet, addresses)

    def _piece(self, first: int, last: int) -> int:
        """Replays records; the exponents taken out on the way."""
        exponent = 0
        while first < last:
            try:
                reached = self.kernels.run(
                    self.kept.records_address, first, last, 1 / self.limit, self.limit
                )
            except UnsupportedKernel as error:
                raise self.kernels.blamed(error, self.kept.records, first, last) from error
            first = abs(reached)
            if reached < 0 and first - 1 in self.prepared.steps:
                exponent += self._piece(*self.prepared.steps[first - 1])
            elif reached < 0:
                exponent += self._rescaled(self.prepared.sheet.dispatches[first - 1])
        return exponent

    def _rescaled(self, dispatch: int) -> int:
        """Takes the exponent out of what a dispatch made, in place."""
        number = self.program.dispatches[dispatch].out
        made = self._made(number)
        shift = shift_for(absmax(made), self.program.dtype)
        if shift:
            scale(made, -shift)
            self.taken[number] = shift
        return shift

    def _made(self, number: int) -> NDArray[Any]:
        """The buffer that a dispatch made, flat."""
        program = self.program
        if number == program.result:
            return self.out
        start = int(self.prepared.offsets[number])
        stop = start + program.buffers[number].elements * ITEM_BYTES[program.dtype]
        return self.arena[start:stop].view(program.dtype)

    def _untouched(self, piece: Slice | None) -> tuple[NDArray[Any], int]:
        """The result of a program without work: an input as it is, or the scalar 1."""
        program = self.program
        if program.result >= len(self.inputs):
            return np.ones(1, program.dtype), 0
        array = self.inputs[program.result]
        return array if piece is None else array[
            piece.starts[program.result] :
        ], self.input_exponent


def several(
    program: Program, taken: Mapping[int, int], made: Callable[[int], NDArray[Any]]
) -> RawResult:
    """The result and what is kept beside it, each with an exponent of its own.

    Args:
        program: What ran; it keeps buffers.
        taken: Exponent taken out of each buffer, 0 where it is missing.
        made: The numbers in a buffer, flat.
    """
    exponents = exponents_of(program, taken)
    raw, *kept = (
        _result(made(number), exponents[number], program.dtype)
        for number in (program.result, *program.kept)
    )
    return replace(raw, value=raw.value.reshape(program.shape), kept=tuple(kept))


def _result(value: NDArray[Any], exponent: int, dtype: DType) -> RawResult:
    """The result; most carry no exponent and need no look at their numbers."""
    if exponent == 0:
        return RawResult(value=value)
    return finished(value, exponent, dtype)
