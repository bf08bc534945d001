"""Fused groups: consecutive small steps of a program as one kernel, one call for all of them.

A step of ten multiply-adds takes less time than finding out which kernel it wants. A group is a
module of small functions (``small``), one per distinct spec, and a kernel that calls them in order;
operands are found through a table of the addresses of all the program's buffers, so a module fits
any memory and is made once per program.

The record of a group has the table's address as its descriptor and as its result: a table starts
with a double that the kernel sets, to infinity where a step left the safe range of magnitudes. The
driver then stops as after any kernel whose result asks for it, and the steps are replayed one by
one, with exponents; what they read from before the group is still there (``kernels.arena``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from tensorloom.kernels.arena import MOST_FUSED, small_runs
from tensorloom.kernels.ranges import SAFE_LOG2
from tensorloom.kernels.wasm.assembler import Module, f64, i32, load, select
from tensorloom.kernels.wasm.instructions import unsigned_leb
from tensorloom.kernels.wasm.jit_code import get, memory, op, put
from tensorloom.kernels.wasm.layout import CHECK_DOUBLE, CHECK_SINGLE, RECORD_FIELDS
from tensorloom.kernels.wasm.magnitudes import define_outside
from tensorloom.kernels.wasm.small import OUTSIDE, small_function
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from tensorloom.kernels.program import KernelSpec, Program
    from tensorloom.kernels.wasm.assembler import Function
    from tensorloom.kernels.wasm.element import WasmFeatures
    from tensorloom.model.recipe import DType

__all__ = ["STATUS_BYTES", "Call", "FusedKernel", "Group", "fused_groups", "halves"]

STATUS_BYTES = 8
"""What a table starts with; 32-bit addresses by number of buffer follow."""


class Call(NamedTuple):
    """One step of a group: number of the spec in the group, and buffers by number."""

    spec: int
    left: int
    right: int
    out: int


@dataclass(frozen=True, kw_only=True)
class FusedKernel:
    """The steps of a group as one kernel; takes the place of a ``schedule.Kernel``.

    Args:
        dtype: Element type.
        specs: Each distinct spec once.
        calls: The steps, in order.
        looked: Size of each input, if the group is the program's first: their magnitudes are looked
            at too, so that one call does all of a run [bytes].
    """

    dtype: DType
    specs: tuple[KernelSpec, ...]
    calls: tuple[Call, ...]
    looked: tuple[int, ...] = ()

    form = "fused"

    @cached_property
    def _hash(self) -> int:
        return hash((self.dtype, self.specs, self.calls, self.looked))

    def __hash__(self) -> int:
        """Made once: it goes through hundreds of numbers, and tables of kernels ask often."""
        return self._hash

    @cached_property
    def name(self) -> str:
        """Readable and unique."""
        text = repr(([spec.name for spec in self.specs], self.calls, self.looked))
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return f"fused-{len(self.calls)}-{self.dtype}-{digest}"

    @staticmethod
    def function(spec: int) -> int:
        """Number of the function of a spec in the module; ``kernel`` comes after the last."""
        return OUTSIDE + 1 + spec

    def module(self, features: WasmFeatures) -> bytes:
        """The module; it exports ``kernel(record)`` like every other."""
        module = Module()
        outside = define_outside(module)
        assert outside.number == OUTSIDE
        functions = [
            _called(
                module.include(small_function(spec, features.relaxed_simd), ("i32",) * 3, "i32")
            )
            for spec in self.specs
        ]
        kernel = module.function("kernel", ("i32",))
        table = kernel.variable(load("i32.load", kernel.parameters[0], RECORD_FIELDS["descriptor"]))
        bad = kernel.local("i32")
        base = get(table)
        either = op("i32.or") + put(bad)
        safe = 2.0 ** SAFE_LOG2[self.dtype]
        check = CHECK_SINGLE if self.dtype in ("float32", "complex64") else CHECK_DOUBLE
        ends = i32(check).code + f64(1 / safe).code + f64(safe).code + _called(outside) + either
        chunks = [
            get(bad) + base + memory("i32.load", STATUS_BYTES + 4 * buffer) + i32(size).code + ends
            for buffer, size in enumerate(self.looked)
        ]
        for spec, *buffers in self.calls:
            chunks.append(get(bad))
            chunks += [base + memory("i32.load", STATUS_BYTES + 4 * buffer) for buffer in buffers]
            chunks.append(functions[spec] + either)
        kernel.write(b"".join(chunks))
        status = select(bad, f64(float("inf")), f64(0.0))
        kernel.store("f64.store", table, status)
        return module.encode()


def _called(function: Function) -> bytes:
    """Calls a function; its arguments are on the stack."""
    return b"\x10" + unsigned_leb(function.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Consecutive dispatches that run as one kernel.

    Args:
        first: Number of the first one.
        last: Number of the last one, plus one.
        kernel: What they become.
    """

    first: int
    last: int
    kernel: FusedKernel


def fused_groups(program: Program, most: int = MOST_FUSED) -> tuple[Group, ...]:
    """The groups of a program: every run of small steps.

    Args:
        program: Where they are.
        most: Multiply-adds up to which a step is small.
    """
    return tuple(_group(program, first, last) for first, last in small_runs(program, most))


def halves(program: Program, group: Group) -> tuple[Group, Group]:
    """A group as two; it has two steps at least."""
    middle = (group.first + group.last) // 2
    return _group(program, group.first, middle), _group(program, middle, group.last)


def _group(program: Program, first: int, last: int) -> Group:
    specs: dict[int, int] = {}
    calls = []
    for dispatch in program.dispatches[first:last]:
        right = dispatch.left if dispatch.right is None else dispatch.right
        spec = specs.setdefault(dispatch.kernel, len(specs))
        calls.append(Call(spec, dispatch.left, right, dispatch.out))
    kernel = FusedKernel(
        dtype=program.dtype,
        specs=tuple(program.kernels[number] for number in specs),
        calls=tuple(calls),
        looked=tuple(
            buffer.elements * ITEM_BYTES[program.dtype]
            for buffer in program.buffers
            if buffer.source is not None and first == 0
        ),
    )
    return Group(first=first, last=last, kernel=kernel)
