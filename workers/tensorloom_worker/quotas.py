"""What a client may have of the service: looked at in the transaction that takes it.

Two requests at once would both find room for one; the store's transactions come one after the
other, and each sees what the one before has written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom_worker.refusals import rejected

if TYPE_CHECKING:
    import sqlite3

    from tensorloom_worker.settings import Settings

__all__ = ["Quotas"]

_STORED = """
    SELECT (SELECT coalesce(sum(length), 0) FROM arrays WHERE token = :token) + (
        SELECT coalesce(sum(result_bytes), 0) FROM jobs WHERE token = :token AND result_bytes > 0
    )
"""
_UNFINISHED = """
    SELECT count(*) FROM jobs
    WHERE token = ? AND state IN ('queued', 'searching', 'running')
"""
_WAITING = "SELECT count(*) FROM jobs WHERE state = 'queued'"


class Quotas:
    """The limits on jobs and bytes of one client, and on the queue of all.

    Args:
        settings: Has the numbers.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def check_job(self, connection: sqlite3.Connection, token: int) -> None:
        """Nothing, when this client may submit one more job.

        Raises:
            WorkerRejected: ``quota-bytes``, ``queue-full`` or ``quota-jobs``.
        """
        settings = self._settings
        self._check_bytes(connection, token, 1, "this result")
        waiting = _number(connection, _WAITING)
        if waiting >= settings.max_queue:
            raise rejected(
                "queue-full",
                f"{waiting} jobs wait already, the most that may.",
                "Try again later.",
                {"most": settings.max_queue},
            )
        mine = _number(connection, _UNFINISHED, token)
        if mine >= settings.max_jobs_per_token:
            raise rejected(
                "quota-jobs",
                f"{mine} of your jobs wait or run, the most that may.",
                "Wait for them or cancel some.",
                {"most": settings.max_jobs_per_token},
            )

    def check_array(self, connection: sqlite3.Connection, token: int, length: int) -> None:
        """Nothing, when this client may send a new file of this length [bytes].

        Raises:
            WorkerRejected: ``upload-too-big`` or ``quota-bytes``.
        """
        most = self._settings.max_upload_bytes
        if length > most:
            raise rejected(
                "upload-too-big",
                f"An array file may have {most} bytes, not {length}.",
                "Split it, or start the worker with a higher --max-upload-bytes.",
                {"most": most},
            )
        self._check_bytes(connection, token, length, "this array")

    def check_result(self, connection: sqlite3.Connection, token: int, size: int) -> None:
        """Nothing, when a result of this size may be kept for this client [bytes].

        Raises:
            WorkerRejected: ``result-too-big`` or ``quota-bytes``.
        """
        most = self._settings.max_result_bytes
        if size > most:
            raise rejected(
                "result-too-big",
                f"The result has {size} bytes; {most} may be kept.",
                "Close some open indices, or start the worker with a higher --max-result-bytes.",
                {"most": most},
            )
        self._check_bytes(connection, token, size, "this result")

    def _check_bytes(
        self, connection: sqlite3.Connection, token: int, more: int, what: str
    ) -> None:
        most = self._settings.max_stored_bytes
        stored = int(connection.execute(_STORED, {"token": token}).fetchone()[0])
        if stored + more > most:
            raise rejected(
                "quota-bytes",
                f"You have {stored} bytes here; with {what} they would pass {most}.",
                "Delete jobs and arrays that are no longer needed.",
                {"stored": stored, "most": most},
            )


def _number(connection: sqlite3.Connection, query: str, *values: object) -> int:
    return int(connection.execute(query, values).fetchone()[0])
