"""What an earlier visit has left open about a shape. Pure.

A busy machine hides the best kernel by times that do not settle and by candidates that are not
reached, and it hides what threads gain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.execute.known_kernels import flop
from tensorloom.execute.wasm.team_trials import LEAST_FLOP, MOST_MS, fits

if TYPE_CHECKING:
    from tensorloom.execute.tuned_shape import Place
    from tensorloom.kernels.program import KernelSpec
    from tensorloom.tune.database import Entry

__all__ = ["CLEAR_GAIN", "MOST_TIMES", "is_doubted", "lacks_gain"]

CLEAR_GAIN = 1.2
"""Threads that gain less may have had no processor."""

MOST_TIMES = 3
"""Searches for a shape and looks at its threads within a visit, by who waits for the best: a busy
machine hides it by times that do not settle, candidates not reached, threads without a gain."""


def is_doubted(entry: Entry, backend: Place) -> bool:
    """Whether an earlier visit did not come to an end with a search, as on a busy machine.

    Not on a GPU: what a network's time does not do for there, it will not do for again.
    """
    return backend == "wasm" and not entry.spec


def lacks_gain(spec: KernelSpec, entry: Entry, *, threads: int) -> bool:
    """Whether a shape was tuned without the threads that there are now, or without their gain.

    A gain of exactly 1 is that of a kernel which is not shared out.
    """
    if threads == 1 or flop(spec) < LEAST_FLOP or not fits(spec):
        return False
    if entry.threads == threads and (entry.gain == 1 or entry.gain >= CLEAR_GAIN):
        return False
    return flop(spec) / entry.gflops / 1e6 <= MOST_MS
