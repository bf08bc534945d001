"""What the measurements of searches for trees have in common: options, and how counts are shown."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

__all__ = ["log10_text", "options"]


def options(
    doc: str | None, *, seconds: float, quick_seconds: float, folder: Path | None = None
) -> argparse.Namespace:
    """What was asked for: ``quick``, ``only``, ``seconds`` of each search, perhaps ``networks``.

    Args:
        doc: Of the script; its first line is its description.
        seconds: Usual time of a search [s].
        quick_seconds: The same of a quick round [s].
        folder: Where networks come from, if that can be chosen.
    """
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    quick = f"{quick_seconds:g} s each, nothing written"
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--seconds", type=float, help=f"time of each search, default {seconds:g}")
    parser.add_argument("--only", default="", help="part of a network's name")
    if folder is not None:
        words = "folder of network JSON"
        parser.add_argument("--networks", type=Path, default=folder, help=words)
    asked = parser.parse_args()
    if asked.seconds is None:
        asked.seconds = quick_seconds if asked.quick else seconds
    return asked


def log10_text(count: int) -> str:
    """The logarithm of a count of operations, to two digits; 0 for none."""
    return f"{math.log10(max(count, 1)):.2f}"
