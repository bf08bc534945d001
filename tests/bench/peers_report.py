"""What the contest says in ``docs/benchmarks.md``: every case, nothing left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cases import ENCODER, OTHER, REFERENCE, WIDE
from contest import GPU_PEERS, NATIVE, OURS, QUIET, WASM_PEERS, geomean, ratio
from report import MACHINE, table, write_section

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MACHINE", "line", "write"]

Row = dict[str, Any]
"""A row as ``peers.measure`` gives it."""

VERSIONS = (
    "TensorFlow.js 4.22.0, ONNX Runtime Web 1.30.0, jax-js 0.1.25, numpy 2.4.3 and scipy 1.18.0 in "
    "Pyodide 314.0.3"
)

SHORT = 60
"""Characters of a reason that a table shows."""


def line(row: Row) -> str:
    """A row in one line of the terminal."""
    cells = [f"{name} {median:.3g}" for name, (median, _) in row["gflops"].items()]
    cells += [f"{name} failed: {why}" for name, why in row["failed"].items()]
    foreign = "" if row["foreign"] is None else f" (foreign {row['foreign']:.2f})"
    return f"{row['case']}{foreign}, {row['seconds']:.0f} s: {', '.join(cells)}"


def write(rows: Mapping[str, Row]) -> None:
    """The section of the page."""
    write_section("Against other libraries", text_of(rows))


def text_of(rows: Mapping[str, Row]) -> str:
    """The section with every case."""
    sets = {"The cases of the first survey": REFERENCE, "A second set of the same classes": OTHER,
            "64-bit types": WIDE, "Steps of encoder layers": ENCODER}  # fmt: skip
    parts = [_words(rows)]
    for heading, cases in sets.items():
        known = [rows[case.name] for case in cases if case.name in rows]
        missing = [case.name for case in cases if case.name not in rows]
        if known:
            parts.append(f"### {heading}\n\n{_table(known)}\n\n{_means(known)}")
            parts += _notes(known)
        if missing:
            parts.append(f"Not measured ({heading[0].lower()}{heading[1:]}): {', '.join(missing)}.")
    return "\n\n".join(parts)


def _words(rows: Mapping[str, Row]) -> str:
    dates = sorted({row["date"] for row in rows.values()})
    pairs = {pair for row in rows.values() for pair in row["threads"].items() if pair[1]}
    fewer = [name for name, row in rows.items() if row.get("products")]
    machines = "; ".join(sorted({row["machine"] for row in rows.values()}))
    threads = [f"{name} {count}" for name, count in sorted(pairs)]
    when = " to ".join(dict.fromkeys((dates[0], dates[-1])))
    return (
        f"Median GFLOP/s (2 FLOP per multiply-add, 8 if complex), made by `python3 build.py bench "
        f"peers` in headless Chromium on {machines}, {when}. "
        f"{VERSIONS}. Threads: {', '.join(threads)}; WebGPU is SwiftShader on the same processors. "
        "Every row is one run: windows of about 4 ms after one call that is not timed (a peer's "
        "call of more than 100 ms is timed at once), in rounds whose order is shuffled; results "
        "stay in the library's memory. Each library runs its fastest right formulation of all that "
        "are known to us (permute and multiply in up to ten ways, its einsum, Gemm, jit; three or "
        "four real products for want of complex numbers). "
        "Ratios: ours over the best peer of that case, paired by round: median [least..largest]. "
        "A peer that failed (its reason stands in its place) may have been the best: no such ratio "
        "is made of that case. "
        "Ours repeats a contraction inside the engine; peers are called from JavaScript each time, "
        "as their users call them, which weighs on cases below 1 MFLOP and is most of mps16. "
        "On WebGPU a window of ours is one submission of many runs, a window of theirs many calls "
        "and one wait at its end. "
        f"{_fewer(fewer)}Other work: the share of the processors that other programs took while "
        f"each side was measured; an asterisk where that was more than {QUIET:.0%}, ?: not "
        "kept. A dash: the library has no such type, or the case was not measured."
    )


def _fewer(names: list[str]) -> str:
    if not names:
        return ""
    return (
        "Of these, peers on WebGPU were given only the formulations with the fewest copies and "
        f"einsum, for want of time: {', '.join(names)}. "
    )


def _table(rows: list[Row]) -> str:
    names = [*OURS, *WASM_PEERS, *GPU_PEERS, *NATIVE]
    names = [name for name in names if any(_cell(row, name) != "-" for row in rows)]
    heads = ["case", "einsum", "type", *names, "1t / best WASM", "2t / best WASM", "gpu / best gpu"]
    heads.append("other work")
    return table(heads, [_cells(row, names) for row in rows])


def _cells(row: Row, names: list[str]) -> list[str]:
    loads = row["foreign"]
    mark = "*" if any((load or 0) > QUIET for load in loads.values()) else ""
    load = ", ".join(
        f"{side} {'?' if loads[side] is None else f'{loads[side]:.0%}'}" for side in sorted(loads)
    )
    sizes = " ".join(f"{name}{size}" for name, size in row["dimensions"].items())
    speeds = [_cell(row, name) for name in names]
    pairs = (("ours 1t", WASM_PEERS), ("ours 2t", WASM_PEERS), ("ours gpu", GPU_PEERS))
    ratios = [ratio(row, ours, peers) for ours, peers in pairs]
    shown = ["-" if one is None else one.text for one in ratios]
    what = [f"{row['case']}{mark}", f"`{row['equation']}` {sizes}", row["dtype"]]
    return [*what, *speeds, *shown, load]


def _cell(row: Row, name: str) -> str:
    if name in row["failed"]:
        why = " ".join(row["failed"][name].replace("|", "/").split())
        return f"failed: {why if len(why) <= SHORT else why[:SHORT].rstrip() + ' ...'}"
    return f"{row['gflops'][name][0]:.3g}" if name in row["gflops"] else "-"


def _notes(rows: list[Row]) -> list[str]:
    """What is to be known of some rows, each note once."""
    cases: dict[str, list[str]] = {}
    for row in rows:
        if row.get("note"):
            cases.setdefault(row["note"], []).append(row["case"])
    return [f"{', '.join(names)}: {note}" for note, names in cases.items()]


def _means(rows: list[Row]) -> str:
    """Geometric means per contestant; over fewer cases where it has no answer to some."""
    found = []
    for name in (*OURS, *WASM_PEERS, *GPU_PEERS, *NATIVE):
        speeds = [row["gflops"][name][0] for row in rows if name in row["gflops"]]
        if speeds:
            found.append(f"{name} {geomean(speeds):.3g} ({len(speeds)} of {len(rows)})")
    return f"Geometric means [GFLOP/s] (cases): {', '.join(found)}."
