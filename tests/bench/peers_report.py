"""What the contest says in ``docs/benchmarks.md``: every case, nothing left out."""

from __future__ import annotations

from typing import Any

from report import MACHINE

__all__ = ["MACHINE", "line", "write"]


def line(row: dict[str, Any]) -> str:
    """A row in one line of the terminal."""
    cells = [f"{name} {median:.3g}" for name, (median, _) in row["gflops"].items()]
    foreign = "" if row["foreign"] is None else f" (foreign {row['foreign']:.2f})"
    return f"{row['case']}{foreign}: {', '.join(cells)}"


def write(rows: dict[str, Any]) -> None:
    """The sections of the page."""
