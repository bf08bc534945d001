"""Each goal of the engine beside the figure that was measured: met, missed, or not measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cases import ENCODER, OTHER, REFERENCE, TOKENS
from contest import GPU_PEERS, WASM_PEERS, geomean, ratio
from report import kept, table, write_section

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FIGURES", "Goal", "encoder_ratio", "goals_of", "text_of", "write"]

PROJECTIONS = 3
"""Queries, keys and values are the same contraction."""

SMALL_FLOP = 1_000_000
"""Below it a contraction is latency."""

STATES = ("met", "met so far", "missed", "missed so far", "not measured")
"""Of a goal; ``so far``: some of its cases were not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One figure and the bound it is held against.

    Args:
        what: In words.
        bound: The least figure that meets it, or the largest.
        found: The measured figure; ``None`` if it was not measured.
        over: What it was measured over.
        unit: Of both.
        at_most: Whether the bound is from above.
        whole: Whether all of its cases were measured.
    """

    what: str
    bound: float
    found: float | None
    over: str
    unit: str = "x"
    at_most: bool = False
    whole: bool = True

    @property
    def state(self) -> str:
        """``met``, ``missed``, either with ``so far``, or ``not measured``."""
        if self.found is None:
            return "not measured"
        met = self.found <= self.bound if self.at_most else self.found >= self.bound
        return f"{'met' if met else 'missed'}{'' if self.whole else ' so far'}"


def write(rows: Mapping[str, Any]) -> None:
    """The section of the page."""
    names = {figure.benchmark for figure in FIGURES}
    write_section("Goals", text_of(rows, {name: kept(name) for name in names}))


def text_of(rows: Mapping[str, Any], figures: Mapping[str, Mapping[str, float]]) -> str:
    """The section of the page.

    Args:
        rows: Of the contest, by case.
        figures: Of the other benchmarks, by their names.
    """
    goals = [*goals_of(rows), *_others(rows, figures)]
    cells = [
        [
            goal.what,
            goal.over,
            f"{'<=' if goal.at_most else '>='} {goal.bound:g}{goal.unit}",
            "-" if goal.found is None else f"{goal.found:.3g}{goal.unit}",
            goal.state,
        ]
        for goal in goals
    ]
    states = [goal.state for goal in goals]
    counts = ", ".join(f"{states.count(one)} {one}" for one in STATES)
    words = (
        f"{counts}. Ratios to other libraries are from the rows above, asterisks included: ratios "
        "of medians paired by round, and geometric means of them over the cases that were measured "
        "(how many is said; a mean over few cases decides nothing). Other figures are from the "
        "benchmark that is named, as it last ran here. numpy in Pyodide runs the fastest of about "
        "ten formulations, which is twice as fast as what the goal was set by. An "
        "encoder layer is the sum of its steps' medians, each measured alone, against the best "
        "single library."
    )
    head = table(["goal", "over", "bound", "measured", ""], cells)
    return (
        f"{words}\n\n{head}\n\nWhat bounds those that arithmetic puts out of reach on this machine:"
        f"\n\n{BOUNDED.strip()}\n\nNot held against a figure here:\n\n{ELSEWHERE.strip()}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A goal that another benchmark measures.

    Args:
        what: In words.
        benchmark: Its name.
        key: Under which it keeps the figure.
        bound: Of the goal.
        unit: Of the figure.
        scale: Units per unit of what is kept.
        at_most: Whether the bound is from above.
    """

    what: str
    benchmark: str
    key: str
    bound: float
    unit: str = "x"
    scale: float = 1
    at_most: bool = False


def _most(what: str, source: str, bound: float, unit: str = "", scale: float = 1) -> Figure:
    """A figure that may be at most so large; ``source`` is benchmark and key."""
    benchmark, key = source.split(": ")
    return Figure(
        what=what, benchmark=benchmark, key=key, bound=bound, unit=unit, scale=scale, at_most=True
    )


def _least(what: str, source: str, bound: float, unit: str = "x", scale: float = 1) -> Figure:
    """A figure that must be at least so large."""
    benchmark, key = source.split(": ")
    return Figure(what=what, benchmark=benchmark, key=key, bound=bound, unit=unit, scale=scale)


FIGURES = (
    _least("circuits / numpy in Pyodide, mean", "circuits: pyodide", 30),
    _least("circuits / numpy in Pyodide, least case", "circuits: least pyodide", 30),
    _least("circuits / native numpy, mean", "circuits: native", 1),
    _least("circuits / native numpy, least case", "circuits: least native", 1),
    _least(
        "cases predicted within 1.5x, never run, WASM",
        "prediction: wasm cases, never run",
        90,
        " %",
        100,
    ),
    _least("cases predicted within 1.5x, tuned, WASM", "prediction: wasm cases", 90, " %", 100),
    _least(
        "networks predicted within 1.5x, never run, WASM",
        "prediction: wasm networks, never run",
        90,
        " %",
        100,
    ),
    _least(
        "networks predicted within 1.5x, tuned, WASM", "prediction: wasm networks", 90, " %", 100
    ),
    _least(
        "networks predicted within 1.5x, runs in a row, WASM",
        "prediction: wasm networks, in a row",
        90,
        " %",
        100,
    ),
    _least(
        "cases predicted within 1.5x, never run, SwiftShader",
        "prediction: webgpu cases, never run",
        90,
        " %",
        100,
    ),
    _least(
        "cases predicted within 1.5x, tuned, SwiftShader", "prediction: webgpu cases", 90, " %", 100
    ),
    _least(
        "networks predicted within 1.5x, never run, SwiftShader",
        "prediction: webgpu networks, never run",
        90,
        " %",
        100,
    ),
    _least(
        "networks predicted within 1.5x, tuned, SwiftShader",
        "prediction: webgpu networks",
        90,
        " %",
        100,
    ),
    _most("choice / better of WASM and WebGPU, worst network", "prediction: placement", 1.2, "x"),
    _most(
        "auto's own runs / better, worst network", "prediction: placement, auto itself", 1.2, "x"
    ),
    _most("error bounds that are not true", "accuracy: untrue", 0),
    _most("bound / error, largest median of a set", "accuracy: median", 1000),
    _most("all gradients / value, worst network, WASM", "gradient: wasm", 3.5, "x"),
    _most("all gradients / value, worst network, numpy", "gradient: numpy", 3.5, "x"),
    _most("a WASM kernel generated and compiled", "tuning: kernel", 5, " ms"),
    _most("a shape tuned on WASM, slowest", "tuning: shape", 0.3, " s"),
    _most("a network tuned on SwiftShader, slowest", "tuning: network", 3, " s"),
    _most("an encoder layer tuned while it runs", "tuning: layer", 30, " s"),
    _least("chosen / best of the space, least shape", "tuning: share", 0.9),
    _least("chosen / best of the space, SwiftShader", "tuning: gpu share", 0.9),
    _least("chosen / best tile, least shape, Firefox", "tiles: firefox", 0.9),
    _least("chosen / best tile, least shape, WebKitGTK", "tiles: webkit", 0.9),
    _most("3 tensors, run again from Python", "overhead: backend.run", 0.2, " ms"),
    _most("3 tensors, contract_network in Python", "overhead: contract_network", 0.2, " ms"),
    _most("3 tensors, from JavaScript", "overhead: engine", 50, " us", 1000),
)
"""Goals that other benchmarks measure."""

BOUNDED = """
- One thread against peers with two: 128-bit vectors with a fused multiply-add make at most 58.7
  GFLOP/s in float32 at 3.67 GHz. Large products run at 46 to 56; machines differ between the dates
  above, and within them by a third from minute to minute. Where a peer with both processors comes
  as far (jax-js on mm1024), one thread is hardly above it, and an encoder layer, whose best peer
  reaches 35 to 46 on most of its steps, is not 1.5 times as fast. With two threads both are.
- numpy in Pyodide: its fastest formulation of a large product runs at 6.4 GFLOP/s; 18 times that is
  twice what a thread of WASM can do.
- Native numpy with one thread uses vectors of 256 or 512 bits, 117 GFLOP/s at most: on large
  squares no 128-bit code gets past half of it.
"""
"""Why some goals are missed, of the machine that the page names."""

ELSEWHERE = """
- Predicted peak bytes: asserted by tests/unit/execute/test_memory.py. Leaks, faults, a chain of
  10,000 matrices: by tests/conformance and tests/browser.
- The first number of an embedded network: tests/browser/test_embed.py, with slack for load.
- A real GPU (60 % of its peak, 1.25x the best static tile): none is here; not measured. What three
  could make of the cases at best: `bench roofline`.
"""
"""Goals of which no figure is in the table, and why."""


def _others(rows: Mapping[str, Any], figures: Mapping[str, Mapping[str, float]]) -> list[Goal]:
    """Goals that other benchmarks measure, and the time that tuning took in the contest."""
    found = []
    for figure in FIGURES:
        value = figures.get(figure.benchmark, {}).get(figure.key)
        found.append(
            Goal(
                what=figure.what,
                bound=figure.bound,
                found=None if value is None else figure.scale * value,
                over=f"`bench {figure.benchmark}`",
                unit=figure.unit,
                at_most=figure.at_most,
            )
        )
    for who, bound in (("ours 1t", 0.3), ("ours gpu", 3.0)):
        spent = {
            row["case"]: row["chosen"][who]["firstMs"] / 1000
            for row in rows.values()
            if row["chosen"].get(who) and row["chosen"][who]["firstMs"]
        }
        worst = max(spent, key=lambda name: spent[name], default=None)
        over = "-" if worst is None else f"worst of {len(spent)}: {worst}"
        what = f"tuning, compiling and warming a case, {who.removeprefix('ours ')}"
        value = None if worst is None else spent[worst]
        found.append(Goal(what=what, bound=bound, found=value, over=over, unit=" s", at_most=True))
    return found


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
            failed = [row["case"] for row in known if set(against) & set(row["failed"])]
            worst = min(ratios, key=lambda name: ratios[name], default=None)
            value = geomean(ratios.values())
            over = f"{heading}, {len(ratios)} of {len(cases)}"
            over += f" (a peer failed at {', '.join(failed)})" if failed else ""
            if least and worst is not None:
                value, over = ratios[worst], f"{over}: {worst}"
            whole = len(ratios) + len(failed) == len(cases)
            found.append(Goal(what=what, bound=bound, found=value, over=over, whole=whole))
    found += [_speed_of(rows), _small_of(rows)]
    for tokens in TOKENS:
        for ours in ("ours 1t", "ours 2t"):
            value = encoder_ratio(rows, tokens, ours)
            what = f"encoder layer, {ours.split()[1]} / best WASM peer"
            found.append(Goal(what=what, bound=1.5, found=value, over=f"{tokens} tokens"))
    return found


def _speed_of(rows: Mapping[str, Any]) -> Goal:
    """The one absolute goal, of the machine of the first survey."""
    speeds = [
        rows[case.name]["gflops"]["ours 2t"][0]
        for case in REFERENCE
        if "ours 2t" in rows.get(case.name, {"gflops": {}})["gflops"]
    ]
    over = f"first survey, {len(speeds)} of {len(REFERENCE)}"
    return Goal(
        what="two threads, mean",
        bound=69,
        found=geomean(speeds),
        over=over,
        unit=" GFLOP/s",
        whole=len(speeds) == len(REFERENCE),
    )


def _small_of(rows: Mapping[str, Any]) -> Goal:
    """The slowest small case on WebGPU, of many in one submission [ms]."""
    times = {
        name: row["flop"] / row["gflops"]["ours gpu"][0] / 1e6
        for name, row in rows.items()
        if row["flop"] < SMALL_FLOP and "ours gpu" in row["gflops"]
    }
    worst = max(times, key=lambda name: times[name], default=None)
    return Goal(
        what="WebGPU, a case below 1 MFLOP, many in one submission",
        bound=0.2,
        found=None if worst is None else times[worst],
        over="-" if worst is None else f"worst of {len(times)}: {worst}",
        unit=" ms",
        at_most=True,
    )


def encoder_ratio(rows: Mapping[str, Any], tokens: int, ours: str) -> float | None:
    """Time of a layer by the best single peer over our time: sums of the medians of its steps."""
    names = [case.name for case in ENCODER if case.group == f"encoder{tokens}"]
    if any(name not in rows for name in names):
        return None

    def layer(who: str) -> float | None:
        if any(who not in rows[name]["gflops"] for name in names):
            return None
        counts = {name: PROJECTIONS if name.startswith("project") else 1 for name in names}
        times = {name: rows[name]["flop"] / rows[name]["gflops"][who][0] for name in names}
        return float(sum(counts[name] * times[name] for name in names))

    mine = layer(ours)
    theirs = [time for who in WASM_PEERS if (time := layer(who)) is not None]
    return min(theirs) / mine if mine and theirs else None
