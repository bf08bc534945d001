"""What a terminal is told of a job: that it was sent, how it stands, and how to come back to it."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

from tensorloom.execute.quantities import bytes_text, duration_text
from tensorloom.execute.remote.job import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from tensorloom.execute.remote.client import WorkerClient

__all__ = ["Terminal"]

EVERY_S = 3.0
"""Time between two lines about a job that only gets on; what is new is said at once [s]."""


class Terminal:
    """Says on the error stream how a job gets on.

    Args:
        client: The worker.
        clock: Seconds.
    """

    def __init__(self, client: WorkerClient, clock: Callable[[], float] = perf_counter) -> None:
        self._client = client
        self._clock = clock
        self._said = clock()
        self._state = ""
        self.job: str | None = None

    @property
    def watcher(self) -> Watcher:
        """What the following of a job takes."""
        return Watcher(sent=self._sent, stands=self._stands, uploading=self._uploading)

    def farewell(self) -> str:
        """What is said when nobody waits any longer."""
        if self.job is None:
            return "Stopped before the job was sent; nothing runs."
        return (
            f"Job {self.job} goes on. Come back to it: python -m tensorloom contract "
            f"--worker {self._client.address} --job {self.job}"
        )

    def _sent(self, job: str) -> None:
        self.job = job
        self._say(f"Sent to {self._client.name} as job {job}; Ctrl+C leaves it running")

    def _uploading(self, done: int, of: int) -> None:
        if self._is_time():
            self._say(f"{bytes_text(done)} of {bytes_text(of)} sent")

    def _stands(self, record: dict[str, Any]) -> None:
        self.job = record["id"]
        state, progress = record["state"], record.get("progress") or {}
        isnew = state != self._state
        if not (isnew or (state == "running" and self._is_time())) or state == "done":
            return
        self._state = state
        self._say(_words(state, progress, record))

    def _is_time(self) -> bool:
        return self._clock() - self._said >= EVERY_S

    def _say(self, line: str) -> None:
        self._said = self._clock()
        print(line, file=sys.stderr, flush=True)


def _words(state: str, progress: dict[str, Any], record: dict[str, Any]) -> str:
    if state == "queued":
        place = record.get("queuePosition")
        return f"Queued, {place - 1} before it" if place and place > 1 else "Queued"
    if state == "searching":
        return "Looking for an order"
    if state != "running":
        return state.capitalize()
    done, of = int(progress.get("slicesDone", 0)), int(progress.get("slices", 0))
    cut = f", {done:,} of {of:,} slices" if of > 1 else ""
    eta = progress.get("etaMs")
    left = f", about {duration_text(float(eta))} to go" if eta is not None else ""
    return f"{float(progress.get('fraction', 0)):.1%} done{cut}{left}"
