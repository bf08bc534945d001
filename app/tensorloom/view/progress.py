"""How far a run has come, as notices for the page; what lets its messages in, and stops the run.

A sliced run also shows the sum of the slices done: often the first digits of the value, long before
the value itself. It is marked as what it is, and shown again if the run is stopped.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING

from tensorloom.view.records import partial_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from tensorloom.errors import Cancelled
    from tensorloom.execute.backend import SlicesDone

__all__ = ["RunProgress"]

QUIET_MS = 200.0
"""Runs longer than this show progress and can be cancelled [ms]."""

PROGRESS_INTERVAL_MS = 80.0

PARTIAL_INTERVAL_MS = 400.0
"""Shortest time between two sums so far; nobody reads faster [ms]."""

PARTIAL_SHARE = 20
"""Sums so far cost a copy of the result: they wait so many times as long as one took."""

Notice = dict[str, object]


class RunProgress:
    """The pulse of one run.

    Args:
        total: Its work [multiply-adds].
        notify: Takes notices for the page.
        stopped: Why the run has to end now, and whether the user said so; ``None`` to go on.
        sums: Whether sums so far are wanted.

    Attributes:
        partial: The sum so far, of a sliced run that the user has stopped.
    """

    def __init__(
        self,
        total: int,
        notify: Callable[[Notice], None],
        stopped: Callable[[], Cancelled | None],
        *,
        sums: bool = True,
    ) -> None:
        self.partial: Notice | None = None
        self._total = max(1, total)
        self._notify = notify
        self._stopped = stopped
        self._sums = sums
        self._start = self._said = perf_counter()
        self._summed = 0
        self._next_sum = self._start + PARTIAL_INTERVAL_MS / 1e3

    async def __call__(self, done_mul_adds: int, slices: SlicesDone | None = None, /) -> None:
        """Says how far the run is; raises what stops it."""
        now = perf_counter()
        elapsed = 1e3 * (now - self._start)
        if elapsed > QUIET_MS and 1e3 * (now - self._said) > PROGRESS_INTERVAL_MS:
            self._said = now
            share = min(1.0, done_mul_adds / self._total)
            eta = elapsed * (1 - share) / share if share > 0 else None
            words = f"{slices.done:,} of {slices.of:,} slices" if slices else "Contracting"
            self._notify({"kind": "progress", "done": share, "etaMs": eta, "message": words})
        if (
            self._sums
            and slices is not None
            and self._summed < slices.done
            and now > self._next_sum
        ):
            await self._say_sum(slices)
        await asyncio.sleep(0)
        stop = self._stopped()
        if stop is None:
            return
        if self._sums and stop.code == "cancelled" and slices is not None and slices.done > 0:
            self.partial = await _summed(slices)
        raise stop

    async def _say_sum(self, slices: SlicesDone) -> None:
        start = perf_counter()
        partial = await _summed(slices)
        end = perf_counter()
        self._summed = slices.done
        self._next_sum = end + max(PARTIAL_INTERVAL_MS / 1e3, PARTIAL_SHARE * (end - start))
        if partial is not None:
            self._notify({"kind": "partial", "partial": partial})


async def _summed(slices: SlicesDone) -> Notice | None:
    """The record of the sum so far; ``None`` where it cannot be told."""
    found = await slices.so_far()
    return None if found is None else partial_json(slices, found)
