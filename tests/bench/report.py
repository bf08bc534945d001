"""Sections of ``docs/benchmarks.md``: each benchmark replaces its own and leaves the others.

Figures that a goal is held against are kept in ``measured``, for the table of all goals.
"""

from __future__ import annotations

import json
import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CACHE", "KEPT", "MACHINE", "keep", "kept", "table", "write_section"]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
KEPT = Path(__file__).resolve().parent / "measured"
CACHE = ROOT / ".cache" / "bench"

MACHINE = f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}"
"""What every figure must name."""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = (heads, ["---"] * len(heads), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_section(heading: str, text: str, page: Path = PAGE) -> None:
    """Put a section into the page, in place of the one with the same heading.

    Args:
        heading: Without the marks, such as ``Contraction trees``.
        text: Markdown below it.
        page: The page.
    """
    old = page.read_text() if page.is_file() else "# Benchmarks\n"
    new = f"## {heading}\n\n{text.strip()}\n"
    section = re.compile(rf"^## {re.escape(heading)}$.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    whole = section.sub(lambda _: f"{new}\n", old) if section.search(old) else f"{old}\n{new}"
    page.write_text(whole.rstrip() + "\n")


def keep(name: str, figures: Mapping[str, float]) -> None:
    """Keep what a benchmark found.

    Args:
        name: Of the benchmark.
        figures: Each under a key that ``goals`` knows.
    """
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name}-figures.json").write_text(json.dumps(dict(figures), indent=1) + "\n")


def kept(name: str) -> dict[str, float]:
    """What the benchmark found last; nothing if it never ran here."""
    file = KEPT / f"{name}-figures.json"
    found: dict[str, float] = json.loads(file.read_text()) if file.is_file() else {}
    return found
