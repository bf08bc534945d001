"""Device rules: which candidates of the lite space use a device well, and why others are cut.

Each rule can be switched off by itself, as each can be wrong about a device. A rule says nothing
where the record does not know the number it needs. The limits of WebGPU come last and cannot be
argued with: what breaks one would not compile.

Source: as in ``published_space``; register and cache rules of its published code.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from published_space import lite_space

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from published_devices import PublishedGpu
    from published_space import LiteCandidate
    from tensorloom.tune.device import CpuFacts

    CpuRule = Callable[[LiteCandidate, CpuFacts], str]
    GpuRule = Callable[[LiteCandidate, PublishedGpu], str]

__all__ = ["CPU_RULES", "GPU_RULES", "Survivors", "cpu_survivors", "gpu_survivors"]

_Facts = TypeVar("_Facts")

LEAST_REGISTERS = 0.8
"""A tile should need this share of the vector registers, or they lie idle."""

LEAST_CACHE = 0.9
"""Blocks should fill this share of the nearest cache."""

LEAST_INVOCATIONS = 4
"""Threads along each side of a workgroup."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivors:
    """What a set of rules left.

    Args:
        kept: Candidates that all rules in force agree with.
        cut: Candidates each rule cut, the first one to object counted.
    """

    kept: tuple[LiteCandidate, ...]
    cut: Mapping[str, int]


def cpu_survivors(facts: CpuFacts, *, off: Collection[str] = ()) -> Survivors:
    """Candidates for a CPU; rules named in ``off`` are not asked."""
    return _survivors(lite_space(), CPU_RULES, facts, off)


def gpu_survivors(facts: PublishedGpu, *, off: Collection[str] = ()) -> Survivors:
    """Candidates for a GPU; ``limits`` cannot be switched off."""
    return _survivors(lite_space(gpu=True), GPU_RULES, facts, set(off) - {"limits"})


def _survivors(
    space: tuple[LiteCandidate, ...],
    rules: Mapping[str, Callable[[LiteCandidate, _Facts], str]],
    facts: _Facts,
    off: Collection[str],
) -> Survivors:
    kept = []
    cut: Counter[str] = Counter()
    for candidate in space:
        for name, rule in rules.items():
            if name not in off and rule(candidate, facts):
                cut[name] += 1
                break
        else:
            kept.append(candidate)
    return Survivors(kept=tuple(kept), cut=dict(cut))


def _registers(candidate: LiteCandidate, facts: CpuFacts) -> str:
    have = facts.vector_registers
    if have is None or LEAST_REGISTERS * have <= candidate.vector_registers <= have:
        return ""
    return f"needs {candidate.vector_registers:g} of {have} vector registers"


def _cache(candidate: LiteCandidate, facts: CpuFacts) -> str:
    have = facts.l1_bytes
    if have is None or LEAST_CACHE * have <= candidate.block_bytes <= have:
        return ""
    return f"its blocks take {candidate.block_bytes} of {have} bytes of the nearest cache"


def _square(candidate: LiteCandidate, _facts: PublishedGpu) -> str:
    return "" if candidate.mr == candidate.nr else "its register tile is not square"


def _vectors(candidate: LiteCandidate, facts: PublishedGpu) -> str:
    if facts.simd is None or candidate.vector == facts.simd:
        return ""
    return "loads of vectors do not suit this way of executing"


def _invocations(candidate: LiteCandidate, _facts: PublishedGpu) -> str:
    sides = candidate.mb // candidate.mr, candidate.nb // candidate.nr
    return "" if min(sides) >= LEAST_INVOCATIONS else "fewer than 4 threads along a side"


def _thread_registers(candidate: LiteCandidate) -> int:
    return candidate.mr + candidate.nr + candidate.mr * candidate.nr


def _gpu_registers(candidate: LiteCandidate, facts: PublishedGpu) -> str:
    """Registers of a thread and of a workgroup."""
    each = _thread_registers(candidate)
    for need, most, whose in (
        (each, facts.registers_per_thread, "thread"),
        (each * candidate.invocations, facts.registers_per_block, "workgroup"),
        (each * candidate.invocations, facts.registers_per_processor, "processor"),
    ):
        if most is not None and need > most:
            return f"needs {need} of {most} registers of a {whose}"
    return ""


def _shared(candidate: LiteCandidate, facts: PublishedGpu) -> str:
    have = facts.shared_bytes
    if have is None or candidate.block_bytes <= have:
        return ""
    return f"its blocks take {candidate.block_bytes} of {have} bytes of a processor"


def _register_bound(candidate: LiteCandidate, facts: PublishedGpu) -> str:
    """Registers must be what limits the workgroups at work, not cache, threads or slots.

    With ``active = min(blocks, by registers, by cache, by threads)``, ``active`` must not be less
    than the registers alone would allow.
    """
    whole = facts.registers_per_processor
    if whole is None:
        return ""
    by_registers = whole // (_thread_registers(candidate) * candidate.invocations)
    others = [
        facts.blocks_per_processor,
        None if facts.shared_bytes is None else facts.shared_bytes // candidate.block_bytes,
        None
        if facts.threads_per_processor is None
        else facts.threads_per_processor // candidate.invocations,
    ]
    active = min([by_registers, *(most for most in others if most is not None)])
    return "" if active >= by_registers else "bound by cache or threads before registers"


def _limits(candidate: LiteCandidate, facts: PublishedGpu) -> str:
    """What this device's WebGPU refuses."""
    if candidate.invocations > facts.max_invocations:
        return f"{candidate.invocations} threads exceed the limit of {facts.max_invocations}"
    if candidate.block_bytes > facts.max_storage_bytes:
        return f"{candidate.block_bytes} bytes exceed the limit of {facts.max_storage_bytes}"
    return ""


CPU_RULES: Mapping[str, CpuRule] = {"registers": _registers, "cache": _cache}
"""By name, in the order in which they are asked; each gives why it cuts, or nothing."""

GPU_RULES: Mapping[str, GpuRule] = {
    "square": _square,
    "vectors": _vectors,
    "invocations": _invocations,
    "registers": _gpu_registers,
    "shared": _shared,
    "register-bound": _register_bound,
    "limits": _limits,
}
