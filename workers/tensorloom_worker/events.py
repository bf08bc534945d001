"""Who wants to know what: subscribers of job changes, each with the newest state of each job.

A subscriber that reads slowly gets fewer changes, never an unbounded queue: of each job only the
newest state waits.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tensorloom_worker.records import Event
from tensorloom_worker.refusals import rejected

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tensorloom_worker.event_ids import Ids
    from tensorloom_worker.records import Job

__all__ = ["HEARTBEAT_S", "SLACK", "Hub", "Subscription"]

HEARTBEAT_S = 15.0
"""Longest silence of a stream [s]."""

SLACK = 1000
"""Events before the last one that are sent again: one may have overtaken another."""


class Subscription:
    """The changes that one client has not seen yet.

    Args:
        token: Whose jobs.
        job: Only this one; ``None`` for all.
    """

    def __init__(self, token: int, job: str | None) -> None:
        self.token = token
        self.job = job
        self.closed = False
        self._waiting: dict[str, Event] = {}
        self._wake = asyncio.Event()

    def wants(self, token: int, job: str) -> bool:
        """Whether a change of this job is to be told."""
        return token == self.token and self.job in {None, job}

    def put(self, event: Event) -> None:
        """Tell it; an older change of the same job is forgotten."""
        self._waiting.pop(event.job, None)
        self._waiting[event.job] = event
        self._wake.set()

    def close(self) -> None:
        """End the stream."""
        self.closed = True
        self._wake.set()

    async def events(
        self, *, heartbeat_s: float, alive: Callable[[], bool]
    ) -> AsyncIterator[Event | None]:
        """Changes as they come; ``None`` after each silence.

        Args:
            heartbeat_s: Longest silence [s].
            alive: Asked about as often, however much there is to tell; the stream ends when it
                says no.
        """
        loop = asyncio.get_running_loop()
        asked = loop.time()
        while not self.closed:
            silent = False
            try:
                await asyncio.wait_for(self._wake.wait(), heartbeat_s)
            except TimeoutError:
                silent = True
            if silent or loop.time() - asked >= heartbeat_s:
                if not alive():
                    return
                asked = loop.time()
            if silent:
                yield None
                continue
            if not self._waiting:
                self._wake.clear()
                continue
            event = self._waiting.pop(next(iter(self._waiting)))
            yield event


class Hub:
    """Tells subscribers what changes.

    Args:
        ids: Where its ids begin.
        most: Subscriptions of one token: each holds a connection, of which there are not many.
    """

    def __init__(self, ids: Ids, most: int) -> None:
        self._ids = ids
        self._most = most
        self._last = ids.first
        self._subscriptions: set[Subscription] = set()

    def next_id(self) -> int:
        """A new id, larger than all before."""
        self._last += 1
        return self._last

    def knows(self, identity: int) -> bool:
        """Whether what happened since this event can be told."""
        return self._ids.remembers(identity) or self._ids.first <= identity <= self._last

    @property
    def last(self) -> int:
        """The last id that was given."""
        return self._last

    @property
    def listeners(self) -> int:
        """How many subscribe."""
        return len(self._subscriptions)

    def subscribe(self, token: int, job: str | None = None) -> Subscription:
        """A new subscription; give it back with ``leave``.

        Raises:
            WorkerRejected: ``quota-streams``.
        """
        mine = sum(subscription.token == token for subscription in self._subscriptions)
        if mine >= self._most:
            raise rejected(
                "quota-streams",
                f"{mine} of your streams of events are open, the most that may.",
                "Close some of the pages and programs that are connected to this worker.",
                {"most": self._most},
            )
        subscription = Subscription(token, job)
        self._subscriptions.add(subscription)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        self._subscriptions.discard(subscription)

    def tell(self, token: int, job: Job, identity: int) -> None:
        """Tell that a job changed."""
        wanted = [s for s in self._subscriptions if s.wants(token, job.id)]
        if wanted:
            event = Event(id=identity, kind="job", job=job.id, data=job.in_brief().to_json())
            for subscription in wanted:
                subscription.put(event)

    def gone(self, token: int, job: str) -> None:
        """Tell that a job was deleted."""
        event = Event(id=self.next_id(), kind="gone", job=job, data={"id": job})
        for subscription in self._subscriptions:
            if subscription.wants(token, job):
                subscription.put(event)

    def hang_up(self, token: int | None = None) -> None:
        """End the streams of a token, or all of them."""
        for subscription in list(self._subscriptions):
            if token is None or subscription.token == token:
                subscription.close()
