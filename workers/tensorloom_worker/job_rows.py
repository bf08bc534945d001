"""Rows of the table of jobs as records; the service goes on where one cannot be read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from tensorloom_worker.records import Job
from tensorloom_worker.refusals import rejected, to_refusal

if TYPE_CHECKING:
    import sqlite3

    from tensorloom.errors import WorkerRejected

__all__ = [
    "BRIEF",
    "WHOLE",
    "StoredJob",
    "Waiting",
    "job_damaged",
    "now_text",
    "stored_job",
    "waiting_job",
]

WHOLE = "seq, id, token, changed, record"
"""What ``stored_job`` reads of a row."""

BRIEF = """
    seq, id, token, changed, CASE WHEN json_valid(record)
    THEN json_remove(record, '$.estimate.plan', '$.result.details') ELSE record END AS record
"""
"""The same for ``Job.in_brief``: a list does not read what is as long as a network."""


def now_text() -> str:
    """The time, as records have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJob:
    """A job with what only the service knows of it.

    Args:
        seq: Its place in time.
        token: Whose it is.
        changed: Id of the event of its last change.
        job: As its owner sees it.
    """

    seq: int
    token: int
    changed: int
    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A job that is to be run.

    Args:
        stored: The job.
        begun: Whether it had been started before the service stopped.
        ran: How long it had run by then [s].
        unwanted: Whether it was cancelled by then, and only its end is to be written.
    """

    stored: StoredJob
    begun: bool
    ran: float
    unwanted: bool


def job_damaged() -> WorkerRejected:
    """What is said of a job whose row cannot be read."""
    return rejected(
        "job-damaged",
        "The record of this job was damaged on the disk of the worker.",
        "Submit it again.",
    )


def stored_job(row: sqlite3.Row) -> StoredJob:
    """The job of a row; one that cannot be read is shown as failed, and the rest goes on."""
    try:
        job = Job.from_json({**json.loads(row["record"]), "id": row["id"]})
    except (ValidationError, ValueError, TypeError, AttributeError):
        job = _unreadable(str(row["id"]))
    return StoredJob(seq=row["seq"], token=row["token"], changed=row["changed"], job=job)


def waiting_job(row: sqlite3.Row) -> Waiting:
    """The unfinished job of a row."""
    return Waiting(
        stored=stored_job(row),
        begun=row["state"] != "queued",
        ran=row["ran_s"],
        unwanted=bool(row["unwanted"]),
    )


def _unreadable(identity: str) -> Job:
    stamp = now_text()
    return Job(
        id=identity,
        kind="contract",
        title="",
        state="failed",
        created_at=stamp,
        finished_at=stamp,
        error=to_refusal(job_damaged()),
    )
