"""Whether somebody still waits for what runs on a Dask worker.

Dask does not stop a task that runs. It is told that it is cancelled, and goes on: whatever may take
long looks now and then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from distributed import get_worker

from tensorloom.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["look_of_task", "no_look", "own_task"]


def own_task() -> Callable[[], bool]:
    """Tells whether somebody waits for this task; always so outside of Dask."""
    try:
        worker = get_worker()
        key = worker.get_current_task()
    except (ValueError, KeyError):
        return lambda: True
    known = worker.state.tasks

    def is_wanted() -> bool:
        task = known.get(key)
        return task is not None and task.state != "cancelled"

    return is_wanted


def look_of_task() -> Callable[[], None]:
    """Raises ``Cancelled`` once nobody waits for this task any more; takes a tenth of a µs."""
    is_wanted = own_task()

    def look() -> None:
        if not is_wanted():
            raise Cancelled("cancelled", "Nobody waits for this task any more.")

    return look


def no_look() -> None:
    """Of what somebody waits for in any case."""
