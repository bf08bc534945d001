"""How often a job went on in vain: one that ends the service each time must not do so for ever.

A resume is in vain as long as no sum is recorded after it. A service that is stopped in order
forgets what it counted, so that only a kill, a crash or a power failure counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom_worker.refusals import rejected

if TYPE_CHECKING:
    import sqlite3

    from tensorloom_worker.store import Store

__all__ = ["MOST_IN_VAIN", "begin_resume", "forget_resumes", "not_in_vain"]

MOST_IN_VAIN = 3
"""Resumes of a job one after the other, each ended with the service before a sum was recorded."""


def begin_resume(store: Store, job: str, resumed: set[str]) -> None:
    """Count that a job goes on after the service had stopped.

    Args:
        store: Where it is counted.
        job: Its id; nothing is counted of one that is not among ``resumed``.
        resumed: Jobs that had begun before; this one leaves them.

    Raises:
        WorkerRejected: ``job-ends-worker``; it went on in vain too often.
        ExecutionError: ``disk-full``.
    """
    if job not in resumed:
        return
    with store.transaction() as connection:
        row = connection.execute(
            "UPDATE jobs SET in_vain = in_vain + 1 WHERE id = ? RETURNING in_vain", (job,)
        ).fetchone()
    resumed.remove(job)
    if row is not None and row["in_vain"] > MOST_IN_VAIN:
        raise rejected(
            "job-ends-worker",
            f"The worker ended {MOST_IN_VAIN} times while it went on with this job, and nothing "
            "new was computed.",
            "Its memory may not be enough: make the job smaller, then submit it again.",
        )


def not_in_vain(connection: sqlite3.Connection, job: str) -> None:
    """Something was recorded of a job; part of the transaction that does so."""
    connection.execute("UPDATE jobs SET in_vain = 0 WHERE id = ? AND in_vain > 0", (job,))


def forget_resumes(store: Store) -> None:
    """The service stops in order: no job is to blame.

    Raises:
        ExecutionError: ``disk-full``.
    """
    with store.transaction() as connection:
        connection.execute(
            "UPDATE jobs SET in_vain = 0 WHERE in_vain > 0 AND state IN ('searching', 'running')"
        )
