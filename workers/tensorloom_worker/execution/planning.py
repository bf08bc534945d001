"""Threads of their own for planning: whatever a network asks of them, the rest goes on.

Slicing a large tree may take minutes and asks no database. It runs beside the threads that the
store uses, stops when nobody wants its answer any more, and has a time after which it gives up.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from tensorloom.errors import Cancelled, PlanError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ESTIMATES_AT_ONCE",
    "ESTIMATE_SECONDS",
    "PLAN_SECONDS",
    "Patience",
    "Planning",
    "took_too_long",
]

ESTIMATE_SECONDS = 60.0
PLAN_SECONDS = 600.0
"""How long the plan of an estimate, and that of a job, may take in this process [s]."""

ESTIMATES_AT_ONCE = 2
"""Estimates whose plans are made at the same time; a job's plan never waits for them."""

GRACE_S = 10.0
"""What a step that does not look at its patience may take beyond it before it is waited for no
longer [s]."""

T = TypeVar("T")


class Patience:
    """How long somebody waits for a plan; whoever makes it looks now and then.

    Args:
        seconds: From now on, without what passes between ``pause`` and ``resume`` [s].

    Attributes:
        ran_out: Whether somebody looked when the time was over, and stopped.
    """

    def __init__(self, seconds: float = inf) -> None:
        self.seconds = seconds
        self.ran_out = False
        self._until = monotonic() + seconds
        self._kept: float | None = None
        self._given_up = False

    def pause(self) -> None:
        """Nobody plans now: what is left stays left."""
        self._kept = self.left

    def resume(self) -> None:
        """Somebody plans again, with what was left."""
        self._until, self._kept = monotonic() + self.left, None

    def give_up(self) -> None:
        """Let who looks next stop."""
        self._given_up = True

    def look(self) -> None:
        """Nothing, while somebody waits.

        Raises:
            TimeoutError: The time is over.
            Cancelled: Nobody waits any more.
        """
        if self._given_up:
            raise Cancelled("cancelled", "Nobody waits for this plan any more.")
        if monotonic() > self._until:
            self.ran_out = True
            raise TimeoutError

    @property
    def left(self) -> float:
        """What is left of the time, 0 at least [s]."""
        return max(0.0, self._until - monotonic()) if self._kept is None else self._kept


class Planning:
    """Runs planning in threads of its own.

    Args:
        threads: How many plans are made at once; more of them wait.
    """

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="plan")
        self._patiences: set[Patience] = set()

    async def run(self, function: Callable[[Patience], T], patience: Patience) -> T:
        """What the function gives; when it is cancelled, the function learns it at its next look.

        Args:
            function: Plans; looks at its patience where it may take long.
            patience: How long, from when there is a thread for it; that is waited for as long.

        Raises:
            PlanError: ``planning-too-long``.
        """
        loop = asyncio.get_running_loop()
        begun: asyncio.Future[None] = loop.create_future()
        most = _with_grace(patience)

        def timed() -> T:
            patience.resume()
            loop.call_soon_threadsafe(begun.set_result, None)
            try:
                return function(patience)
            finally:
                patience.pause()

        self._patiences.add(patience)
        patience.pause()
        running = loop.run_in_executor(self._threads, timed)
        try:
            either: set[asyncio.Future[Any]] = {begun, running}
            done, _ = await asyncio.wait(either, timeout=most, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise took_too_long(patience)
            return await asyncio.wait_for(running, most)
        except TimeoutError as error:
            raise took_too_long(patience) from error
        finally:
            if running.cancel() or running.cancelled():
                patience.give_up()
            self._patiences.discard(patience)

    def close(self) -> None:
        """Give up every plan; what waits never begins."""
        for patience in self._patiences:
            patience.give_up()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _with_grace(patience: Patience) -> float | None:
    """How long a step is waited for; ``None`` for ever [s]."""
    return None if patience.left == inf else patience.left + GRACE_S


def took_too_long(patience: Patience) -> PlanError:
    """Nothing that fits was found in time."""
    return PlanError(
        "planning-too-long",
        f"Planning took longer than {patience.seconds:g} s.",
        "Send a plan that fits the memory with the request, or make the network smaller.",
        values={"seconds": patience.seconds},
    )
