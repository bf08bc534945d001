"""Mistakes on purpose, in kernels and in how they are judged: what judges must notice each.

The list is the lab's "break it" list. The benchmark of tuning makes them in the page, where it
measures what they cost; ``tests/unit/tune/test_mutations.py`` makes them natively.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from published_rules import cpu_survivors
from published_space import lite_space
from tensorloom.kernels.wasm import fused, jit_code, jit_pack, jit_tile, small
from tensorloom.kernels.wasm.instructions import INSTRUCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tensorloom.kernels.program import KernelSpec, LoopAxis
    from tensorloom.kernels.wasm.element import Element, WasmFeatures
    from tensorloom.kernels.wasm.fused import FusedKernel
    from tensorloom.tune.device import CpuFacts

__all__ = [
    "FUSED",
    "KERNELS",
    "added_offsets",
    "exchanged_legs",
    "one_beyond",
    "survivors_by_area",
    "survivors_without_registers",
    "wrong_emitter",
]


def exchanged_legs(spec: KernelSpec) -> KernelSpec:
    """Two legs of the right operand change places in packing; they have equal sizes."""
    first, second, *others = spec.columns
    assert first.size == second.size
    columns = (
        replace(first, right=second.right),
        replace(second, right=first.right),
        *others,
    )
    return replace(spec, columns=columns)


def one_beyond(spec: KernelSpec) -> KernelSpec:
    """Sums read one product beyond their end, as if there were zeros."""
    *others, last = spec.contracted
    return replace(spec, contracted=(*others, replace(last, size=last.size + 1)))


KERNELS = {
    "two legs of B exchanged in packing": exchanged_legs,
    "one element read past the edge": one_beyond,
}
"""Mistakes in a kernel, as the spec that it was generated for instead."""


def _emitted(change: Callable[[KernelSpec], KernelSpec]) -> Callable[..., bytes]:
    """An emitter of small functions that takes each spec for another one."""
    return lambda spec, relaxed: small.small_function.__wrapped__(change(spec), relaxed)


def _turned(spec: KernelSpec) -> KernelSpec:
    """The first two legs of the result that have equal sizes change places, if there are such."""
    legs = [*spec.batch, *spec.rows, *spec.columns]
    for number, first in enumerate(legs):
        for second in legs[number + 1 :]:
            if first.size == second.size:
                return _with_outs(spec, {first: second.out, second: first.out})
    return spec


def _with_outs(spec: KernelSpec, outs: dict[LoopAxis, int]) -> KernelSpec:
    def moved(axes: tuple[LoopAxis, ...]) -> tuple[LoopAxis, ...]:
        return tuple(replace(axis, out=outs.get(axis, axis.out)) for axis in axes)

    return replace(
        spec, batch=moved(spec.batch), rows=moved(spec.rows), columns=moved(spec.columns)
    )


def _shorter(spec: KernelSpec) -> KernelSpec:
    """Sums of more than two products leave out the last of an axis."""
    if spec.extents[3] <= 2:
        return spec
    *others, last = spec.contracted
    return replace(spec, contracted=(*others, replace(last, size=last.size - 1)))


def _longer(spec: KernelSpec) -> KernelSpec:
    return one_beyond(spec) if spec.contracted else spec


def _exchanged_operands(right: Callable[..., bytes]) -> Callable[..., bytes]:
    """A module whose last step reads its operands in each other's place."""

    def module(kernel: FusedKernel, features: WasmFeatures) -> bytes:
        *others, last = kernel.calls
        turned = last._replace(left=last.right, right=last.left)
        return right(replace(kernel, calls=(*others, turned)), features)

    return module


def _plus_signs(right: Callable[[Element], bytes]) -> Callable[[Element], bytes]:
    """Products of imaginary parts are added: -1 becomes 1."""

    def signs(element: Element) -> bytes:
        code = right(element)
        return code.replace(b"\x80\xbf", b"\x80\x3f").replace(b"\xf0\xbf", b"\xf0\x3f")

    return signs


FUSED: dict[str, tuple[Any, str, Any]] = {
    "two legs of the result exchanged": (fused, "small_function", _emitted(_turned)),
    "the last product left out": (fused, "small_function", _emitted(_shorter)),
    "one product too many": (fused, "small_function", _emitted(_longer)),
    "operands exchanged": (
        fused.FusedKernel,
        "module",
        _exchanged_operands(fused.FusedKernel.module),
    ),
    "a sign in complex products": (small, "_signs", _plus_signs(small._signs)),
    "the parts of complex numbers not exchanged": (
        small,
        "_exchange",
        lambda element: small._picked(element, tuple(range(element.lanes))),
    ),
}
"""Mistakes in the emitter of fused groups: what is replaced where, and by what."""


@contextmanager
def wrong_emitter(name: str) -> Iterator[None]:
    """Fused groups come with a mistake of ``FUSED``."""
    owner, attribute, mistaken = FUSED[name]
    right = getattr(owner, attribute)
    # Functions that are kept were made without the mistake, and those made with it must not stay.
    small.small_function.cache_clear()
    setattr(owner, attribute, mistaken)
    try:
        yield
    finally:
        setattr(owner, attribute, right)
        small.small_function.cache_clear()


@contextmanager
def added_offsets() -> Iterator[None]:
    """Loads of vectors add their offset to the address instead of carrying it."""
    right = jit_code.memory

    def memory(name: str, offset: int) -> bytes:
        row = INSTRUCTIONS[name]
        # Stores and loads of lanes have a vector above the address on the stack.
        if not offset or row.operands != ("i32",):
            return right(name, offset)
        return jit_code._constant(offset) + jit_code.op("i32.add") + right(name, 0)

    users = (jit_code, jit_pack, jit_tile)
    for module in users:
        module.memory = memory  # type: ignore[attr-defined]  # imported there
    try:
        yield
    finally:
        for module in users:
            module.memory = right  # type: ignore[attr-defined]  # as above


def survivors_without_registers(facts: CpuFacts) -> int:
    """Candidates left where the rule of registers is dropped."""
    return len(cpu_survivors(facts, off={"registers"}).kept)


def survivors_by_area(facts: CpuFacts) -> int:
    """Candidates left where the rule of the cache counts ``mb nb`` for ``mb kb + kb nb``."""
    assert facts.l1_bytes is not None
    fitting = {one.text for one in cpu_survivors(facts, off={"cache"}).kept}
    return sum(
        one.text in fitting and 0.9 * facts.l1_bytes <= 4 * one.mb * one.nb <= facts.l1_bytes
        for one in lite_space()
    )
