"""Micro-benchmarks of a GPU as plans: arithmetic, copying, reading once and again. Pure.

They say what the device can do at most, so nothing in them computes anything that is wanted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.kernels.gpu.plan import GpuCall, GpuPlan
from tensorloom.kernels.gpu.pool import GpuPlaces
from tensorloom.kernels.gpu.shader import Shader, fill

if TYPE_CHECKING:
    from tensorloom.kernels.gpu.shader import Templates

__all__ = [
    "GROUP_BYTES",
    "MOST_TURNS",
    "again",
    "again_bytes",
    "arithmetic",
    "arithmetic_flop",
    "copying",
    "reading",
]

UNROLL = 4

MOST_TURNS = 60_000
"""Mesa's llvmpipe silently leaves loops after 65,535 iterations (seen in 22.3)."""

THREADS, EACH = 256, 4
"""Invocations of a workgroup and 16-byte blocks of each, where bytes are moved."""

GROUP_BYTES = 16 * THREADS * EACH
"""What is moved is a multiple of this."""

_LEAST_BYTES = 16


def arithmetic(templates: Templates, *, chains: int, threads: int, groups: int) -> GpuPlan:
    """Sums in registers; the turns of the loop are the call's first start.

    Buffer 0 takes a factor, a summand and a number that is never reached.

    Args:
        templates: From ``assets.templates``.
        chains: Sums of four numbers side by side in an invocation.
        threads: Invocations of a workgroup.
        groups: Workgroups, at most 65,535.
    """
    values = {"chains": chains, "unroll": UNROLL, "threads": threads}
    text, name = fill(templates, "bench_arithmetic.wgsl.j2", values)
    shader = Shader(name=name, text=text, groups=(groups, 1), unary=True, bindings=(0, 2, 4))
    return _plan(shader, (_LEAST_BYTES, _LEAST_BYTES), ((0, 1),))


def arithmetic_flop(*, chains: int, threads: int, groups: int, turns: int) -> int:
    """Operations of one run of ``arithmetic``: two per multiply-add [FLOP]."""
    return 2 * 4 * chains * UNROLL * threads * groups * turns


AGAIN_NUMBERS, AGAIN_UNROLL = 1024, 8
"""What a workgroup reads again: 4 KiB fit every nearest cache, and the least workgroup memory."""


def again(templates: Templates, *, shared: bool, threads: int, groups: int) -> GpuPlan:
    """Numbers read again and again by all; the turns of the loop are the call's first start.

    Args:
        templates: From ``assets.templates``.
        shared: Whether from workgroup memory, not through the caches.
        threads: Invocations of a workgroup; divides ``AGAIN_NUMBERS``.
        groups: Workgroups, at most 65,535.
    """
    values = {
        "shared": shared,
        "numbers": AGAIN_NUMBERS,
        "unroll": AGAIN_UNROLL,
        "threads": threads,
    }
    text, name = fill(templates, "bench_again.wgsl.j2", values)
    shader = Shader(name=name, text=text, groups=(groups, 1), unary=True, bindings=(0, 2, 4))
    return _plan(shader, (4 * AGAIN_NUMBERS, _LEAST_BYTES), ((0, 1),))


def again_bytes(*, threads: int, groups: int, turns: int) -> int:
    """What one run of ``again`` reads in its loop [bytes]."""
    return 4 * AGAIN_UNROLL * threads * groups * turns


def copying(templates: Templates, size: int) -> GpuPlan:
    """There and back: two calls that read and write ``size`` bytes each.

    Args:
        templates: From ``assets.templates``.
        size: A multiple of ``GROUP_BYTES`` [bytes].
    """
    return _plan(_moving(templates, "bench_copy.wgsl.j2", size), (size, size), ((0, 1), (1, 0)))


def reading(templates: Templates, size: int) -> GpuPlan:
    """One call that reads ``size`` bytes and writes nothing; ``size`` as for ``copying``."""
    return _plan(_moving(templates, "bench_read.wgsl.j2", size), (size, _LEAST_BYTES), ((0, 1),))


def _moving(templates: Templates, template: str, size: int) -> Shader:
    assert size % GROUP_BYTES == 0
    text, name = fill(templates, template, {"each": EACH, "threads": THREADS})
    groups = size // GROUP_BYTES
    return Shader(name=name, text=text, groups=(groups, 1), unary=True, bindings=(0, 2))


def _plan(shader: Shader, sizes: tuple[int, int], pairs: tuple[tuple[int, int], ...]) -> GpuPlan:
    """Calls of one shader between two buffers, the first of which is an input."""
    calls = tuple(
        GpuCall(shader=0, left=source, right=None, out=to, mul_adds=0, dispatch=number)
        for number, (source, to) in enumerate(pairs)
    )
    placed = GpuPlaces(
        buffer_bytes=sizes,
        n_inputs=1,
        of={0: 0, 1: 1},
        between={},
        result=1,
        excess=None,
        reads=((1, sizes[1]),),
        n_calls=len(calls),
        n_slots=len(calls) + 2,
    )
    return GpuPlan(shaders=(shader,), places=placed, calls=calls)
