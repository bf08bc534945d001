"""Each goal of the engine beside the figure that was measured: met, missed, or not measured."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cases import ENCODER, OTHER, REFERENCE, TOKENS
from contest import GPU_PEERS, WASM_PEERS, geomean, ratio
from report import table, write_section

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Goal", "encoder_ratio", "goals_of", "text_of", "write"]

PROJECTIONS = 3
"""Queries, keys and values are the same contraction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One figure and the bound it is held against.

    Args:
        what: In words.
        bound: The least ratio that meets it.
        found: The measured ratio; ``None`` if it was not measured.
        over: What it was measured over.
    """

    what: str
    bound: float
    found: float | None
    over: str

    @property
    def state(self) -> str:
        """``met``, ``missed`` or ``not measured``."""
        if self.found is None:
            return "not measured"
        return "met" if self.found >= self.bound else "missed"


def write(rows: Mapping[str, Any]) -> None:
    """The section of the page."""
    write_section("Goals", text_of(rows))


def text_of(rows: Mapping[str, Any]) -> str:
    """The section of the page."""
    cells = [
        [
            goal.what,
            goal.over,
            f">= {goal.bound:g}x",
            "-" if goal.found is None else f"{goal.found:.2f}x",
            goal.state,
        ]
        for goal in goals_of(rows)
    ]
    words = (
        "From the rows above, asterisks included; ratios of medians paired by round. Goals that "
        "are not ratios to other libraries have sections of their own."
    )
    return f"{words}\n\n{table(['goal', 'over', 'at least', 'measured', ''], cells)}"


ASKED = (
    ("one thread / best WASM peer, least case", "ours 1t", WASM_PEERS, 1.0, True),
    ("one thread / best WASM peer, mean", "ours 1t", WASM_PEERS, 1.9, False),
    ("one thread / ONNX Runtime Web, mean", "ours 1t", ("ort wasm",), 2.2, False),
    ("one thread / jax-js, mean", "ours 1t", ("jax wasm",), 2.7, False),
    ("one thread / numpy in Pyodide, mean", "ours 1t", ("pyodide numpy",), 18, False),
    ("one thread / native numpy, 1 thread, mean", "ours 1t", ("numpy 1t",), 0.9, False),
    ("two threads / best WASM peer, least case", "ours 2t", WASM_PEERS, 1.7, True),
    ("two threads / best WASM peer, mean", "ours 2t", WASM_PEERS, 2.95, False),
    ("two threads / native numpy, 1 thread, mean", "ours 2t", ("numpy 1t",), 1.3, False),
    ("two threads / one thread, least case", "ours 2t", ("ours 1t",), 0.95, True),
    ("WebGPU / best WebGPU peer, least case", "ours gpu", GPU_PEERS, 1.0, True),
    ("WebGPU / jax-js, mean", "ours gpu", ("jax gpu",), 2.0, False),
    ("WebGPU / TensorFlow.js, mean", "ours gpu", ("tf gpu",), 8.0, False),
    ("WebGPU / ONNX Runtime Web, mean", "ours gpu", ("ort gpu",), 8.0, False),
)
"""What, ours, against, the least ratio, and whether it is of the least case instead of the mean."""


def goals_of(rows: Mapping[str, Any]) -> list[Goal]:
    """Every goal on every set."""
    found = []
    for heading, cases in (("first survey", REFERENCE), ("second set", OTHER)):
        known = [rows[case.name] for case in cases if case.name in rows]
        for what, ours, against, bound, least in ASKED:
            pairs = [(row["case"], ratio(row, ours, against)) for row in known]
            ratios = {name: one.median for name, one in pairs if one is not None}
            worst = min(ratios, key=lambda name: ratios[name], default=None)
            value = geomean(ratios.values())
            over = f"{heading}, {len(ratios)} of {len(cases)}"
            if least and worst is not None:
                value, over = ratios[worst], f"{over}: {worst}"
            found.append(Goal(what=what, bound=bound, found=value, over=over))
    for tokens in TOKENS:
        for ours in ("ours 1t", "ours 2t"):
            value = encoder_ratio(rows, tokens, ours)
            what = f"encoder layer, {ours.split()[1]} / best WASM peer"
            found.append(Goal(what=what, bound=1.5, found=value, over=f"{tokens} tokens"))
    return found


def encoder_ratio(rows: Mapping[str, Any], tokens: int, ours: str) -> float | None:
    """Time of a layer by the best single peer over our time: sums of the medians of its steps."""
    names = [case.name for case in ENCODER if case.group == f"encoder{tokens}"]
    if any(name not in rows for name in names):
        return None

    def layer(who: str) -> float | None:
        if any(who not in rows[name]["times"] for name in names):
            return None
        counts = {name: PROJECTIONS if name.startswith("project") else 1 for name in names}
        times = {name: statistics.median(rows[name]["times"][who]) for name in names}
        return float(sum(counts[name] * times[name] for name in names))

    mine = layer(ours)
    theirs = [time for who in WASM_PEERS if (time := layer(who)) is not None]
    return min(theirs) / mine if mine and theirs else None
