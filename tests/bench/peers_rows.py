"""Rows of the contest as they are kept: beside the tests, so that a page can be made of them again.

A row is whole in itself: its ratios are of one run. Processor and WebGPU may be measured in two
runs, for no ratio is between them. What was tried and the time of each round go to a log in the
cache, for whoever wants to know why.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from contest import GPU_PEERS
from report import CACHE, KEPT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cases import Case

__all__ = ["keep", "kept", "missing"]

Row = dict[str, Any]

FILE = KEPT / "peers.json"
LOG = CACHE / "peers.jsonl"
PARTS = ("ratios", "chosen", "threads", "gflops", "failed")
"""Of a row: what is by contestant."""

LEFT_OUT = ("times", "tried")
"""Of a row: what only the log has."""


def keep(row: Row) -> None:
    """Put a row beside those of other runs, in place of the one of the same case and side."""
    chosen = {name: _fastest(tried) for name, tried in row["tried"].items()}
    whole = {**row, "chosen": {name: one for name, one in chosen.items() if one}}
    short = {name: part for name, part in whole.items() if name not in LEFT_OUT}
    rows = _stored()
    names = {*row["gflops"], *row["failed"]}
    for side in ("cpu", "gpu"):
        if any(_side(name) == side for name in names):
            rows[f"{row['case']} {side}"] = _of_side(short, side)
    lines = (f"{json.dumps(name)}: {json.dumps(one)}" for name, one in sorted(rows.items()))
    KEPT.mkdir(parents=True, exist_ok=True)
    fresh = FILE.with_suffix(".new")
    fresh.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    fresh.replace(FILE)
    CACHE.mkdir(parents=True, exist_ok=True)
    with LOG.open("a") as log:
        log.write(json.dumps(row) + "\n")


def kept() -> dict[str, Row]:
    """By case, both sides together."""
    merged: dict[str, Row] = {}
    for row in _stored().values():
        before = merged.get(row["case"])
        merged[row["case"]] = row if before is None else _merged(before, row)
    return merged


def missing(cases: Iterable[Case], names: Sequence[str], since: str) -> tuple[Case, ...]:
    """The cases without a row of that date or later on some side that the contestants are of."""
    rows = _stored()
    sides = {_side(name) for name in names}
    return tuple(
        case
        for case in cases
        if any(rows.get(f"{case.name} {side}", {"date": ""})["date"] < since for side in sides)
    )


def _stored() -> dict[str, Row]:
    found: dict[str, Row] = json.loads(FILE.read_text()) if FILE.is_file() else {}
    return found


def _fastest(tried: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    right = [one for one in tried if one["ms"]]
    best = min(right, key=lambda one: float(one["ms"]), default=None)
    return best and {"name": best["name"], "firstMs": best["firstMs"]}


def _side(name: str) -> str:
    return "gpu" if name in {*GPU_PEERS, "ours gpu"} else "cpu"


def _of_side(row: Row, side: str) -> Row:
    """The row with the contestants of one side alone."""
    parts = {
        part: {name: found for name, found in row[part].items() if _side(name) == side}
        for part in PARTS
    }
    parts["ratios"] = {
        ours: {name: found for name, found in others.items() if _side(name) == side}
        for ours, others in parts["ratios"].items()
    }
    return {**row, **parts, "foreign": {side: row["foreign"]}}


def _merged(one: Row, other: Row) -> Row:
    """Both sides of a case."""
    parts = {part: {**one[part], **other[part]} for part in PARTS}
    return {
        **one, **parts, "foreign": {**one["foreign"], **other["foreign"]},
        "wrong": one["wrong"] + other["wrong"],
        "note": " ".join(row["note"] for row in (one, other) if row.get("note")),
        "products": one.get("products") or other.get("products"),
        "date": max(one["date"], other["date"]),
    }  # fmt: skip
