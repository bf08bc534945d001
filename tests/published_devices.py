"""The devices of the published method: what its rules ask of a processor and of a GPU.

Source: as in ``published_space``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorloom.tune.device import CpuFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NAMED", "PublishedDevice", "PublishedGpu"]

KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedGpu:
    """What the rules ask of a GPU; what is ``None`` no rule looks at.

    Args:
        max_invocations: Threads of a workgroup that WebGPU allows.
        max_storage_bytes: Shared memory of a workgroup that WebGPU allows [bytes].
        shared_bytes: Nearest cache or shared memory of a processor [bytes].
        registers_per_thread: 32-bit registers.
        registers_per_block: The same for a workgroup.
        registers_per_processor: The same for a processor.
        threads_per_processor: Threads that a processor holds.
        blocks_per_processor: Workgroups that a processor holds.
        simd: Whether a thread works on vectors (SIMD) or on one number (SIMT).
    """

    max_invocations: int = 256
    max_storage_bytes: int = 16 * KIB
    shared_bytes: int | None = None
    registers_per_thread: int | None = None
    registers_per_block: int | None = None
    registers_per_processor: int | None = None
    threads_per_processor: int | None = None
    blocks_per_processor: int | None = None
    simd: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedDevice:
    """A device of the paper."""

    name: str
    cpu: CpuFacts
    gpu: PublishedGpu | None = None


def _pc(name: str, l1_kib: int) -> PublishedDevice:
    facts = CpuFacts(vector_registers=16, l1_bytes=l1_kib * KIB, relaxed_simd=True)
    return PublishedDevice(name=name, cpu=facts)


def _phone(name: str) -> PublishedDevice:
    # The published records of phones leave the cache rule off.
    return PublishedDevice(name=name, cpu=CpuFacts(vector_registers=32, relaxed_simd=True))


_RTX = PublishedGpu(
    shared_bytes=64 * KIB,
    registers_per_thread=255,
    registers_per_block=65_536,
    registers_per_processor=65_536,
    threads_per_processor=1024,
    blocks_per_processor=16,
    simd=False,
)

NAMED: Mapping[str, PublishedDevice] = {
    record.name: record
    for record in (
        _pc("HP EliteDesk 800 G6", 32),
        _pc("Honor MagicBook 16 (Intel)", 48),
        _pc("Honor MagicBook 16 (AMD)", 32),
        _pc("Surface Book", 32),
        _phone("Pixel 4 XL"),
        _phone("Vivo X30"),
        _phone("Honor 70"),
        _phone("Mate 20"),
        PublishedDevice(
            name="RTX-class GPU",
            cpu=CpuFacts(vector_registers=16, l1_bytes=32 * KIB, relaxed_simd=True),
            gpu=_RTX,
        ),
    )
}
"""Records of the paper's devices, for comparing; sizes that its code does not give are those of
public data sheets (Alder Lake's 48 KiB, Turing's registers and shared memory)."""
