"""A job that waits or runs, as the queue keeps it in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tensorloom.errors import TensorloomError
    from tensorloom_worker.job_rows import Waiting
    from tensorloom_worker.records import Job

__all__ = ["Live", "Stop"]

Stop = Literal["cancelled", "turn", "too-long", "closing"]
"""Why a run is to stop."""


@dataclass(kw_only=True, eq=False)
class Live:
    """A job that waits or runs.

    Args:
        seq: Its place in time.
        token: Whose it is.
        job: Its newest state.
        changed: Id of the event of its last change.
        goes_on: Whether it can be stopped and go on from what it has recorded.
        begun: Whether it had been started before the service stopped.
        ran: How long it ran in earlier turns [s].
        held_up: Set while its end cannot be written, because of ``problem``.
        again: Set to write it now, before the wait is over.
        recorded_before: Slices whose sums this turn began with; ``None`` before it has told.
        has_recorded: Whether this turn has recorded a sum.
    """

    seq: int
    token: int
    job: Job
    changed: int
    goes_on: bool
    begun: bool = False
    ran: float = 0.0
    stop: Stop | None = None
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    held_up: asyncio.Event = field(default_factory=asyncio.Event)
    again: asyncio.Event = field(default_factory=asyncio.Event)
    problem: TensorloomError | None = None
    task: asyncio.Task[None] | None = None
    turn_began: float = 0.0
    recorded_before: int | None = None
    has_recorded: bool = False
    not_before: float = 0.0
    tries: int = 0
    told_at: float = 0.0
    tell_later: asyncio.TimerHandle | None = None

    def begin_turn(self, now: float) -> None:
        """Start counting what a turn takes and records."""
        self.turn_began = now
        self.recorded_before = None
        self.has_recorded = False

    def count_slices(self, recorded: int) -> bool:
        """Whether these are the first slices that the turn has added to what it began with."""
        if self.recorded_before is None:
            self.recorded_before = recorded
        is_first = not self.has_recorded and recorded > self.recorded_before
        self.has_recorded |= is_first
        return is_first

    @classmethod
    def of(cls, waiting: Waiting, *, goes_on: bool) -> Live:
        """A job that was unfinished when the service stopped."""
        stored = waiting.stored
        return cls(
            seq=stored.seq,
            token=stored.token,
            job=stored.job.model_copy(update={"state": "queued"}),
            changed=stored.changed,
            goes_on=goes_on,
            begun=waiting.begun,
            ran=waiting.ran,
        )
