"""How much other programs use the processors while something is measured (Linux)."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["Load"]

PROC = Path("/proc")


class Load:
    """Counts from its making; the share of foreign work is asked for at the end."""

    def __init__(self) -> None:
        self._began = _snapshot()

    def foreign(self) -> float | None:
        """Share of all processors' time that went to others; ``None`` where it cannot be known."""
        if self._began is None:
            return None
        now = _snapshot()
        if now is None:
            return None
        total, busy, own = (after - before for after, before in zip(now, self._began, strict=True))
        return max(0.0, (busy - own) / total) if total else 0.0


def _snapshot() -> tuple[int, int, int] | None:
    """Ticks of all processors: total, busy, and those of this process and its descendants."""
    try:
        words = (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    fields = [int(word) for word in words]
    total = sum(fields)
    return total, total - fields[3] - fields[4], _own()


def _own() -> int:
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
        except OSError:
            continue  # it ended meanwhile
        fields = text.rpartition(")")[2].split()
        number = int(entry.name)
        parents[number] = int(fields[1])
        # Own time and that of children that ended.
        ticks[number] = sum(int(fields[at]) for at in (11, 12, 13, 14))
    ours = {os.getpid()}
    grown = True
    while grown:
        more = {number for number, parent in parents.items() if parent in ours} - ours
        ours |= more
        grown = bool(more)
    return sum(ticks.get(number, 0) for number in ours)
