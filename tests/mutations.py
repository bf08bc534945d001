"""Mistakes on purpose, in kernels and in how they are judged: what judges must notice each.

The list is the lab's "break it" list. The benchmark of tuning makes them in the page, where it
measures what they cost; ``tests/unit/tune/test_mutations.py`` makes them natively.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from published_rules import cpu_survivors
from published_space import lite_space
from tensorloom.kernels.wasm import jit_code, jit_pack, jit_tile
from tensorloom.kernels.wasm.instructions import INSTRUCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorloom.kernels.program import KernelSpec
    from tensorloom.tune.device import CpuFacts

__all__ = [
    "KERNELS",
    "added_offsets",
    "exchanged_legs",
    "one_beyond",
    "survivors_by_area",
    "survivors_without_registers",
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
