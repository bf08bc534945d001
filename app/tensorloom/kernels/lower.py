"""Lowering: a contraction tree becomes a program of strided kernels.

Every pairwise step is one kernel; transposes, diagonals, lone sums and broadcasts are strides, not
steps of their own. Two passes: from the result backwards, each step chooses the layouts of the
intermediates it reads; then forwards, each step becomes loop axes. Size-1 indices vanish.
Not here: how a kernel is computed (WGSL, WASM, numpy) and where.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from math import prod
from typing import TYPE_CHECKING

from tensorloom.kernels.arena import place_buffers
from tensorloom.kernels.layout import Operand, Wish, order_operands, wish_layouts
from tensorloom.kernels.loops import binary_kernel, unary_kernel
from tensorloom.kernels.program import Buffer, Dispatch, Program, SliceAxis
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom.plan.plan import Plan
from tensorloom.plan.sharing import MOST_KEPT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tensorloom.kernels.program import KernelSpec
    from tensorloom.model.recipe import DType
    from tensorloom.plan.tree import ContractionTree, Step

__all__ = ["Lowering", "lower"]


def lower(plan: Plan | ContractionTree, dtype: DType) -> Program:
    """The program that contracts a tree in one number type.

    Args:
        plan: What meets when; a plan's cost is not read.
        dtype: Element type of all tensors.

    Example:
        >>> from tensorloom.plan.tree import ContractionTree
        >>> tree = ContractionTree(
        ...     inputs=(("i", "j"), ("j", "k")), output=("i", "k"),
        ...     dimensions=(("i", 2), ("j", 3), ("k", 4)), path=((0, 1),),
        ... )
        >>> lower(tree, "float64").kernels[0].extents
        (1, 2, 4, 3)
    """
    tree = plan.tree if isinstance(plan, Plan) else plan
    return Lowering(tree, dtype).program()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Emitted:
    """One kernel call before lifetimes are known."""

    kernel: int
    operands: tuple[int, ...]
    out: int


class Lowering:
    """The state of one lowering; lives for one call of ``lower``."""

    def __init__(self, tree: ContractionTree, dtype: DType) -> None:
        self.tree = tree
        self.dtype = dtype
        self.full = dict(tree.dimensions)
        self.sliced = {name for name in tree.sliced if self.full[name] > 1}
        self.sizes = {
            name: size for name, size in self.full.items() if size > 1 and name not in self.sliced
        }
        self.n_inputs = len(tree.inputs)
        self.numbers = count(self.n_inputs)
        self.elements = [prod(self.full[name] for name in names) for names in tree.inputs]
        self.kernels: dict[KernelSpec, int] = {}
        self.emitted: list[_Emitted] = []

    def program(self) -> Program:
        """All of it."""
        return self._assembled(self._forward())

    def _forward(self) -> int:
        """Number of the buffer that holds the result."""
        tree = self.tree
        operands = {
            number: Operand(buffer=number, strides=self._input_strides(names))
            for number, names in enumerate(tree.inputs)
        }
        output = tuple(name for name in tree.output if name in self.sizes)
        if tree.path:
            wishes = wish_layouts(tree, output, self.sizes)
            for step in tree.steps:
                self._step(step, operands, wishes)
            return operands[len(tree.inputs) + len(tree.path) - 1].buffer
        if tree.inputs:
            return self._single(operands[0], output)
        self.elements.append(1)
        return 0

    def _input_strides(self, names: tuple[str, ...]) -> Mapping[str, int]:
        """Stride by index name in C order; those of a repeated index add up: its diagonal."""
        strides: dict[str, int] = {}
        stride = 1
        for name in reversed(names):
            if name in self.sizes:
                strides[name] = strides.get(name, 0) + stride
            stride *= self.full[name]
        return strides

    def _emit(self, kernel: KernelSpec, read: tuple[Operand, ...], layout: Wish) -> Operand:
        """The operand that a kernel call makes."""
        out = next(self.numbers)
        self.elements.append(prod(self.sizes[name] for name in layout))
        number = self.kernels.setdefault(kernel, len(self.kernels))
        self.emitted.append(
            _Emitted(kernel=number, operands=tuple(operand.buffer for operand in read), out=out)
        )
        return Operand(buffer=out, strides=self._dense(layout))

    def _dense(self, layout: Wish) -> Mapping[str, int]:
        strides: dict[str, int] = {}
        stride = 1
        for name in reversed(layout):
            strides[name] = stride
            stride *= self.sizes[name]
        return strides

    def _single(self, operand: Operand, output: Wish) -> int:
        """Buffer of the result of a network with one tensor; no call if there is no work."""
        dense = operand.strides == self._dense(output) and not self.sliced
        if dense and self.elements[0] == prod(self.sizes[name] for name in output):
            return operand.buffer
        kernel = unary_kernel(operand, self._dense(output), self.sizes, self.dtype)
        return self._emit(kernel, (operand,), output).buffer

    def _step(
        self, step: Step, operands: dict[int, Operand], wishes: Mapping[int, tuple[str, ...]]
    ) -> None:
        left, right = operands.pop(step.left), operands.pop(step.right)
        layout = wishes[step.out]
        left, right = (
            self._summed(left, right, layout, wishes.get(step.left)),
            self._summed(right, left, layout, wishes.get(step.right)),
        )
        left, right = order_operands(left, right, layout)
        kernel = binary_kernel(left, right, self._dense(layout), self.sizes, self.dtype)
        operands[step.out] = self._emit(kernel, (left, right), layout)

    def _summed(self, operand: Operand, other: Operand, out: Wish, wish: Wish | None) -> Operand:
        """The operand with its lone indices summed beforehand, if that saves half of the work."""
        kept = [name for name in operand.strides if name in other.strides or name in out]
        lone = prod(self.sizes[name] for name in operand.strides if name not in kept)
        if lone == 1:
            return operand
        own = prod(self.sizes[name] for name in operand.strides)
        work = own * prod(self.sizes[name] for name in other.strides if name not in operand.strides)
        if own + work // lone > work // 2:
            return operand
        layout = tuple(wish) if wish is not None else tuple(kept)
        layout = tuple(name for name in layout if name in kept)
        kernel = unary_kernel(operand, self._dense(layout), self.sizes, self.dtype)
        return self._emit(kernel, (operand,), layout)

    def _assembled(self, result: int, kept: tuple[int, ...] = ()) -> Program:
        plain = self._in_order(self.emitted, 0, result, kept)
        prologue, rest = self._split()
        if not prologue:
            return plain
        hoisted = self._in_order(prologue + rest, len(prologue), result, kept)
        return hoisted if hoisted.peak_bytes <= MOST_KEPT * plain.peak_bytes else plain

    def _split(self) -> tuple[list[_Emitted], list[_Emitted]]:
        """Calls that are the same in every slice, and the others."""
        if not self.sliced:
            return [], self.emitted
        varies = {n for n, names in enumerate(self.tree.inputs) if self.sliced.intersection(names)}
        prologue, rest = [], []
        for call in self.emitted:
            if varies.isdisjoint(call.operands):
                prologue.append(call)
            else:
                varies.add(call.out)
                rest.append(call)
        return prologue, rest

    def _in_order(
        self, calls: Sequence[_Emitted], prologue: int, result: int, kept: tuple[int, ...]
    ) -> Program:
        """The program of these calls, the first of which are the prologue."""
        dispatches = self._dispatches(calls, prologue, {*range(self.n_inputs), result, *kept})
        kernels = tuple(self.kernels)
        slices = self._slices()
        work = [kernels[call.kernel].mul_adds for call in calls]
        program = Program(
            dtype=self.dtype,
            buffers=tuple(
                Buffer(elements=size, source=number if number < self.n_inputs else None)
                for number, size in enumerate(self.elements)
            ),
            kernels=kernels,
            dispatches=dispatches,
            slices=slices,
            result=result,
            shape=tuple(self.full[name] for name in self.tree.output),
            mul_adds=sum(work[:prologue])
            + prod(axis.size for axis in slices) * sum(work[prologue:]),
            peak_bytes=0,
            kept=kept,
            prologue=prologue,
        )
        return replace(program, peak_bytes=self._peak_bytes(program))

    def _dispatches(
        self, calls: Sequence[_Emitted], prologue: int, lasting: set[int]
    ) -> tuple[Dispatch, ...]:
        """The calls with lifetimes; what the prologue leaves to the others lasts, too."""
        last_use = {buffer: place for place, call in enumerate(calls) for buffer in call.operands}
        first = {call.out for call in calls[:prologue] if last_use[call.out] >= prologue}
        lasting = lasting | first
        return tuple(
            Dispatch(
                kernel=call.kernel,
                left=call.operands[0],
                right=call.operands[1] if len(call.operands) > 1 else None,
                out=call.out,
                frees=tuple(
                    buffer
                    for buffer in call.operands
                    if buffer not in lasting and last_use[buffer] == place
                ),
            )
            for place, call in enumerate(calls)
        )

    def _slices(self) -> tuple[SliceAxis, ...]:
        output = self._strides_in(self.tree.output)
        inputs = [self._strides_in(names) for names in self.tree.inputs]
        return tuple(
            SliceAxis(
                size=self.full[name],
                inputs=tuple(
                    (number, strides[name])
                    for number, strides in enumerate(inputs)
                    if name in strides
                ),
                output=output.get(name),
            )
            for name in self.tree.sliced
            if name in self.sliced
        )

    def _strides_in(self, names: tuple[str, ...]) -> Mapping[str, int]:
        """Stride of each sliced index in a whole tensor; those of a repeated one add up."""
        strides: dict[str, int] = {}
        stride = 1
        for name in reversed(names):
            if name in self.sliced:
                strides[name] = strides.get(name, 0) + stride
            stride *= self.full[name]
        return strides

    def _peak_bytes(self, program: Program) -> int:
        """Inputs, the result, and the arena; the full result apart where slices are added up."""
        elements = sum(self.elements[: self.n_inputs])
        if program.dispatches:
            elements += self.elements[program.result]
        if program.slices or not program.dispatches:
            # Beside sums of slices lies what additions have rounded away.
            elements += prod(program.shape) * (2 if program.slices else 1)
        return elements * ITEM_BYTES[self.dtype] + place_buffers(program)[1]
