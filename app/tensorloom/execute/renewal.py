"""What a look at a known kernel changes of what is kept. Pure.

Whatever an earlier visit has measured on a busy machine would otherwise count for ever.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tensorloom.execute.known_kernels import flop

if TYPE_CHECKING:
    from tensorloom.kernels.program import KernelSpec
    from tensorloom.tune.database import Entry
    from tensorloom.tune.recheck import Finding

__all__ = ["is_far_off", "is_own", "makes_a_difference", "renewed", "speed"]

CLEAR_LEAD = 1.1
"""One that loses to the next best by so much was not chosen well among the others either."""

FAR_OFF = 1.25
"""A kernel that is so much faster than it seemed was chosen while others had the machine."""

TOLD = 1.1
"""Times that differ by less are no reason to prepare programs anew."""


def is_own(entry: Entry, spec: KernelSpec) -> bool:
    """Whether what is kept was measured of this shape; not if it was of another of its class."""
    return entry.spec in ("", spec.name)


def renewed(entry: Entry, spec: KernelSpec, finding: Finding) -> Entry:
    """What to keep from now on.

    Speeds of one shape say nothing of another; a kernel that fails for one is trusted for none.

    Args:
        entry: What was kept.
        spec: The shape that was looked at, of the entry's class.
        finding: How that came out; something is best.
    """
    if finding.failed:
        tried = dict.fromkeys((*entry.tried, finding.failed))
        second = "" if entry.second == finding.failed else entry.second
        entry = replace(entry, second=second, tried=tuple(tried))
    if not is_own(entry, spec):
        return entry
    gflops = speed(spec, finding)
    if finding.best != entry.candidate:
        return replace(
            entry,
            candidate=finding.best,
            gflops=gflops,
            second=finding.other,
            threads=1,
            gain=1.0,
        )
    if not finding.settled and gflops <= entry.gflops:
        return entry
    return replace(entry, gflops=gflops, second=finding.other or entry.second)


def is_far_off(entry: Entry, spec: KernelSpec, finding: Finding) -> bool:
    """Whether the whole choice is to be made again.

    Args:
        entry: What was kept.
        spec: The shape that was looked at; others of its class have other speeds.
        finding: How that came out.
    """
    if not finding.settled:
        return False
    faster = entry.spec == spec.name and speed(spec, finding) > FAR_OFF * entry.gflops
    return faster or finding.lead > CLEAR_LEAD


def makes_a_difference(before: Entry, after: Entry) -> bool:
    """Whether runs or their predictions change."""
    ratio = after.gflops / before.gflops
    same = (after.candidate, after.gain) == (before.candidate, before.gain)
    return not same or not 1 / TOLD < ratio < TOLD


def speed(spec: KernelSpec, finding: Finding) -> float:
    """Of the better one [GFLOP/s]."""
    return flop(spec) / finding.ms / 1e6
