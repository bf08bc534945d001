"""What a run took out of its intermediates so that they stayed in range. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tensorloom.kernels.program import Program

__all__ = ["NOTHING_CARRIED", "Carried", "carried_in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """Exponents that were taken out of intermediates during a run.

    Args:
        times: How often.
        n_bytes: Size of all those intermediates [bytes].
    """

    times: int = 0
    n_bytes: int = 0


NOTHING_CARRIED = Carried()


def carried_in(program: Program, taken: Mapping[int, int]) -> Carried:
    """Exponents that a run took out, in all slices.

    Args:
        program: What ran.
        taken: Exponent taken out of each buffer, 0 where it is missing.
    """
    times = n_bytes = 0
    for place, dispatch in enumerate(program.dispatches):
        if taken.get(dispatch.out):
            repeats = 1 if place < program.prologue else program.n_slices
            times += repeats
            size = program.buffers[dispatch.out].elements * ITEM_BYTES[program.dtype]
            n_bytes += repeats * size
    return Carried(times=times, n_bytes=n_bytes)
