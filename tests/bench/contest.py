"""Rounds of a contest and what may be said of them: pure functions of times.

Times are milliseconds per contraction, one per round and contestant. A ratio is paired within its
round, because what else the machine does falls on neighbours alike. Who failed has no ratio, and
against the best of several there is none either where one of them failed: it may have been the
best.
"""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "GPU_PEERS",
    "NATIVE",
    "OURS",
    "QUIET",
    "WASM_PEERS",
    "Ratio",
    "best_of",
    "failed_of",
    "geomean",
    "gflops",
    "orders",
    "paired",
    "ratio",
    "ratios_of",
    "tolerance",
    "wrong_of",
]

Row = dict[str, Any]
"""A row as ``peers.measure`` gives it."""

WASM_PEERS = ("jax wasm", "ort wasm", "tf wasm", "pyodide blas", "pyodide numpy")
GPU_PEERS = ("jax gpu", "ort gpu", "tf gpu")
NATIVE = ("numpy 1t", "numpy 2t")
OURS = ("ours 1t", "ours 2t", "ours gpu")

QUIET = 0.1
"""Share of all processors that other work may take before a row is marked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times faster one contestant is than another.

    Args:
        median: Over the rounds.
        low: The least of them.
        high: The largest of them.
    """

    median: float
    low: float
    high: float

    @property
    def text(self) -> str:
        """As shown: ``1.72x [1.50..1.90]``."""
        return f"{self.median:.2f}x [{self.low:.2f}..{self.high:.2f}]"

    @property
    def sure(self) -> bool:
        """Whether it was faster in every round."""
        return self.low > 1


def orders(names: Sequence[str], rounds: int, seed: int) -> list[list[str]]:
    """The order of the contestants in each round, shuffled anew."""
    source = random.Random(seed)
    return [source.sample(list(names), len(names)) for _ in range(rounds)]


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Ratio of speeds, paired by round."""
    ratios = [other / own for own, other in zip(ours, theirs, strict=True)]
    return Ratio(median=statistics.median(ratios), low=min(ratios), high=max(ratios))


def gflops(flop: int, times: Sequence[float]) -> tuple[float, float]:
    """Median and best window [GFLOP/s]."""
    return flop / statistics.median(times) / 1e6, flop / min(times) / 1e6


def best_of(speeds: Mapping[str, Sequence[float]], names: Iterable[str]) -> str | None:
    """The contestant among ``names`` with the largest median; ``None`` if none was measured."""
    known = [name for name in names if name in speeds]
    return max(known, key=lambda name: speeds[name][0], default=None)


def ratios_of(times: Mapping[str, Sequence[float]]) -> dict[str, dict[str, Sequence[float]]]:
    """By ours and another: how many times faster ours is, median, least and largest."""
    found: dict[str, dict[str, Sequence[float]]] = {}
    for ours in OURS:
        for other in times:
            if ours in times and ours != other:
                one = paired(times[ours], times[other])
                found.setdefault(ours, {})[other] = one.median, one.low, one.high
    return found


def tolerance(dtype: str, summed: int) -> float:
    """The largest error of a right result, relative to its largest number.

    Rounding errors grow with the root of the summed length, as the largest number does, so their
    ratio hardly grows; peers are measured at 3e-6 (float32), and 60,000 summed numbers at 1e-5.
    """
    epsilon = 2.0**-23 if dtype in {"float32", "complex64"} else 2.0**-52
    return epsilon * (64 + math.sqrt(summed))


def ratio(row: Row, ours: str, peers: Iterable[str]) -> Ratio | None:
    """How much faster ours is than the best of the peers; ``None`` if that cannot be said."""
    names = set(peers)
    best = best_of(row["gflops"], sorted(names))
    if best is None or ours not in row["gflops"] or names & set(row["failed"]):
        return None
    median, low, high = row["ratios"][ours][best]
    return Ratio(median=median, low=low, high=high)


def geomean(values: Iterable[float]) -> float | None:
    """Geometric mean; ``None`` of nothing."""
    logs = [math.log(value) for value in values]
    return math.exp(statistics.fmean(logs)) if logs else None


def failed_of(tried: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, str]:
    """Why, by the name of each peer that had formulations, all of which threw.

    One that offers no formulation at all, for want of the type, has not failed.
    """
    return {
        name: str(outcomes[-1]["error"])
        for name, outcomes in tried.items()
        if name not in OURS
        and outcomes
        and all(one["error"] and one["maxErr"] is None for one in outcomes)
    }


def wrong_of(tried: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """What may not pass: a wrong or failed result of ours, a peer with wrong numbers only."""
    found = []
    failed = failed_of(tried)
    for name, outcomes in tried.items():
        errors = [one for one in outcomes if one["error"]]
        if name in OURS or (outcomes and len(errors) == len(outcomes) and name not in failed):
            found += [f"{name}, {one['name']}: {one['error']}" for one in errors]
    return found
