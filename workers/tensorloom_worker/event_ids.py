"""Ids of events: they grow across restarts and restored backups, and those of lost runs are told.

Each run of the service begins with an id made of the time. The database keeps which ids each run
gave, as far as it knows; one that lies in none of them is of a run that was forgotten, because a
backup took its place or nothing of it was written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from tensorloom_worker.store import Store

__all__ = ["Ids", "begin_ids", "end_ids"]

PER_SECOND = 2**21
"""Ids that a run may give per second of its life; they stay below 2^53 until the year 2106."""

RUNS_KEPT = 100
"""Most earlier runs whose ids are known; who was away for longer lists the jobs anew."""

_FIRST = "first_event"
_LAST = "last_event"
_RUNS = "event_runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """The ids of earlier runs of the service, and where those of this one begin.

    Args:
        runs: (first, last) id of each earlier run that the database knows of, oldest first.
        first: Larger than any id of an earlier run, known or not.
    """

    runs: tuple[tuple[int, int], ...]
    first: int

    def remembers(self, identity: int) -> bool:
        """Whether an earlier run that the database knows of gave this id; 0 is before them all."""
        return identity == 0 or any(first <= identity <= last for first, last in self.runs)


def begin_ids(store: Store, seconds: float) -> Ids:
    """Those of a run that begins now, written down.

    Args:
        store: The database.
        seconds: Since 1970 [s].

    Raises:
        ExecutionError: ``disk-full``.
    """
    with store.transaction() as connection:
        changed = connection.execute("SELECT coalesce(max(changed), 0) FROM jobs").fetchone()[0]
        # A run that was killed is known up to the last change that it wrote.
        newest = max(int(changed), _number(_read(connection, _LAST)))
        before = _number(_read(connection, _FIRST))
        known = _read(connection, _RUNS)
        # Databases that kept no runs know of one, from the first id on.
        runs = [(0, newest)] if known is None else _runs_of(known)
        if known is not None and newest >= before:
            runs.append((before, newest))
        runs = runs[-RUNS_KEPT:]
        first = max(int(seconds) * PER_SECOND, newest + 1, before + PER_SECOND)
        _write(connection, _RUNS, " ".join(f"{one}-{last}" for one, last in runs))
        _write(connection, _FIRST, str(first))
    return Ids(runs=tuple(runs), first=first)


def end_ids(store: Store, last: int) -> None:
    """Write down the last id of a run that ends in order.

    Raises:
        ExecutionError: ``disk-full``; what the run told last counts as forgotten.
    """
    with store.transaction() as connection:
        _write(connection, _LAST, str(last))


def _read(connection: sqlite3.Connection, key: str) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def _write(connection: sqlite3.Connection, key: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else 0


def _runs_of(text: str) -> list[tuple[int, int]]:
    """What ``begin_ids`` wrote; a run that cannot be read is forgotten."""
    halves = [run.partition("-") for run in text.split()]
    return [(_number(first), _number(last)) for first, _, last in halves]
