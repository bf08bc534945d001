"""What survives a kill: tokens, jobs and the arrays that they use, in one SQLite file.

Each change of state is one transaction, on the disk when the method returns. Methods may be called
from any thread: one connection writes, one reads, each behind its own lock.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from tensorloom_worker import database
from tensorloom_worker.job_rows import (
    BRIEF,
    WHOLE,
    StoredJob,
    Waiting,
    job_damaged,
    now_text,
    stored_job,
    waiting_job,
)
from tensorloom_worker.quotas import Quotas
from tensorloom_worker.records import FINAL, JOB_REQUEST, Job
from tensorloom_worker.refusals import rejected, writing
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tensorloom_worker.records import ArrayUse, ContractRequest, EntryRequest

__all__ = ["Client", "Store", "canonical", "forget_sums"]


def canonical(value: object) -> str:
    """JSON with sorted keys and no blanks.

    Raises:
        UnicodeEncodeError: A string holds half of a surrogate pair.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    text.encode()
    return text


FIRST_CLIENT = "owner"
"""Who gets the token that is printed at the first start."""

_PUT_CLIENT = """
    INSERT INTO tokens (id, name, hash, created_at) VALUES (
        CASE WHEN :name = :first AND NOT EXISTS (SELECT 1 FROM tokens WHERE id = 1) THEN 1
        ELSE 1 + max(
            1,
            (SELECT coalesce(max(id), 0) FROM tokens),
            (SELECT coalesce(max(token), 0) FROM jobs),
            (SELECT coalesce(max(token), 0) FROM arrays)
        ) END,
        :name, :hash, :now
    )
    ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, created_at = excluded.created_at
    RETURNING id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who holds a token.

    Args:
        id: Its number in the database.
        name: What the owner of the service calls it.
        hash: Of the token; another one after a change.
    """

    id: int
    name: str
    hash: str


class Store:
    """The database of a data folder.

    Args:
        folder: The data folder; it exists.
        quotas: What a client may have.
        check: Whether to look for damage; not while a service may be using the file.

    Raises:
        ValueError: A newer service wrote it.
    """

    def __init__(self, folder: Path, quotas: Quotas | None = None, *, check: bool = True) -> None:
        self._quotas = quotas or Quotas(Settings())
        self.salvage: database.Salvage | None = None
        with writing():
            if check:
                self._writer, self.salvage = database.open_checked(folder)
            else:
                self._writer = database.connect(folder / database.FILE)
                database.version_of(self._writer)
        self._reader = database.connect(folder / database.FILE, read_only=True)
        self._write_lock = threading.RLock()
        self._read_lock = threading.Lock()

    def close(self) -> None:
        """Let go of the file; everything is on the disk already."""
        with self._read_lock:
            self._reader.close()
        with self._write_lock:
            self._writer.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The writing connection in a transaction that is durable when the block ends.

        Raises:
            ExecutionError: ``disk-full``; nothing was changed.
        """
        with self._write_lock, writing():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """All rows of a query, as of the last transaction."""
        with self._read_lock:
            return self._reader.execute(query, values).fetchall()

    # Tokens.

    def put_token(self, name: str, digest: str) -> Client:
        """The client of this name, with a token of this hash from now on.

        A new client gets a number that nobody had: jobs and arrays of removed ones stay for a
        while. The first client alone comes back to its own, should all tokens be lost.
        """
        with self.transaction() as connection:
            values = {"name": name, "first": FIRST_CLIENT, "hash": digest, "now": now_text()}
            row = connection.execute(_PUT_CLIENT, values).fetchone()
            return Client(id=row[0], name=name, hash=digest)

    def remove_token(self, name: str) -> bool:
        """Whether there was a client of this name; its jobs stay until they expire."""
        with self.transaction() as connection:
            return connection.execute("DELETE FROM tokens WHERE name = ?", (name,)).rowcount > 0

    def clients(self) -> list[Client]:
        """Everybody who holds a token."""
        found = self.rows("SELECT id, name, hash FROM tokens ORDER BY id")
        return [Client(id=row["id"], name=row["name"], hash=row["hash"]) for row in found]

    # Jobs.

    def add_job(  # one transaction
        self,
        client: Client,
        job: Job,
        *,
        request: str,
        key: str | None,
        arrays: Mapping[str, ArrayUse],
        changed: int,
    ) -> tuple[StoredJob, bool]:
        """The job, and whether it is new: the same key and request give the same job again.

        Raises:
            WorkerRejected: ``job-key-used``, or what ``Quotas.check_job`` says.
        """
        digest = sha256(request.encode()).hexdigest()
        record = canonical(job.to_json())
        with self.transaction() as connection:
            if key is not None:
                known = _of_key(connection, client, key, digest)
                if known is not None:
                    return known, False
            self._quotas.check_job(connection, client.id)
            [seq] = connection.execute(
                "INSERT INTO jobs (id, token, key, digest, state, changed, record) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING seq",
                (job.id, client.id, key, digest, job.state, changed, record),
            ).fetchone()
            connection.execute("INSERT INTO requests (seq, request) VALUES (?, ?)", (seq, request))
            connection.executemany(
                "INSERT INTO job_arrays (job, name, sha, array_key) VALUES (?, ?, ?, ?)",
                [(job.id, name, use.sha256, use.key) for name, use in arrays.items()],
            )
        return StoredJob(seq=seq, token=client.id, changed=changed, job=job), True

    def job_of_key(self, client: Client, key: str, request: str) -> StoredJob | None:
        """The job that this request became before, if it did.

        Raises:
            WorkerRejected: ``job-key-used``.
        """
        with self._read_lock:
            return _of_key(self._reader, client, key, sha256(request.encode()).hexdigest())

    def update_job(self, job: Job, changed: int) -> list[str]:
        """Keep the newest state of a job; a final one is never left again.

        Returns:
            Files of sums that nobody needs any more: those of a job that ended.

        Raises:
            WorkerRejected: What ``Quotas.check_result`` says; nothing was changed.
        """
        with self.transaction() as connection:
            if job.result is not None:
                self._quotas.check_result(connection, _owner(connection, job), job.result.bytes)
            connection.execute(
                "UPDATE jobs SET state = ?, changed = ?, record = ?, ended_at = ?, "
                "result_bytes = ? WHERE id = ? AND state NOT IN ('done', 'failed', 'cancelled')",
                (
                    job.state,
                    changed,
                    canonical(job.to_json()),
                    job.finished_at,
                    job.result.bytes if job.result else 0,
                    job.id,
                ),
            )
            return forget_sums(connection, job.id) if job.state in FINAL else []

    def job(self, client: Client, identity: str) -> StoredJob:
        """A job of this client.

        Raises:
            WorkerRejected: ``job-unknown``.
        """
        query = f"SELECT {WHOLE} FROM jobs WHERE id = ? AND token = ?"  # noqa: S608  # our names
        found = self.rows(query, identity, client.id)
        if not found:
            raise rejected(
                "job-unknown",
                "There is no such job.",
                "It may have been deleted, or it belongs to another token.",
            )
        return stored_job(found[0])

    def jobs(self, client: Client, *, limit: int, before: int | None = None) -> list[StoredJob]:
        """Jobs of this client in brief, newest first.

        Args:
            client: Whose.
            limit: Most of them.
            before: Only those with a ``seq`` below; that job itself may be gone.
        """
        query = f"SELECT {BRIEF} FROM jobs WHERE token = ? AND seq < ? ORDER BY seq DESC LIMIT ?"  # noqa: S608  # our names
        found = self.rows(query, client.id, 2**63 - 1 if before is None else before, limit)
        return [stored_job(row) for row in found]

    def jobs_changed(self, client: Client, since: int, *, limit: int) -> list[StoredJob]:
        """The newest so many jobs of this client that changed after an event, in brief.

        The oldest change comes first.
        """
        query = f"SELECT {BRIEF} FROM jobs WHERE token = ? AND changed > ? ORDER BY changed DESC"  # noqa: S608  # our names
        found = self.rows(f"{query} LIMIT ?", client.id, since, limit)
        return [stored_job(row) for row in reversed(found)]

    def unfinished(self) -> list[Waiting]:
        """Every job that is not final, oldest first."""
        found = self.rows(
            f"SELECT {WHOLE}, state, ran_s, unwanted FROM jobs "  # noqa: S608  # our names
            "WHERE state IN ('queued', 'searching', 'running') ORDER BY seq"
        )
        return [waiting_job(row) for row in found]

    def keep_unwanted(self, identity: str) -> None:
        """Know that a job was cancelled: whatever happens to the service, it is not run again."""
        with self.transaction() as connection:
            connection.execute("UPDATE jobs SET unwanted = 1 WHERE id = ?", (identity,))

    def keep_ran(self, identity: str, seconds: float) -> None:
        """Know that a job has run so long, in all its turns [s]."""
        with self.transaction() as connection:
            query = "UPDATE jobs SET ran_s = max(ran_s, ?) WHERE id = ?"
            connection.execute(query, (seconds, identity))

    def request(self, identity: str) -> ContractRequest | EntryRequest:
        """What a job is to do.

        Raises:
            WorkerRejected: ``job-damaged``.
        """
        query = "SELECT request, digest FROM jobs JOIN requests USING (seq) WHERE id = ?"
        found = self.rows(query, identity)
        try:
            text = found[0]["request"] if found else ""
            if sha256(text.encode()).hexdigest() != found[0]["digest"]:
                raise job_damaged()
            return JOB_REQUEST.validate_python(json.loads(text))
        except (IndexError, TypeError, ValueError, AttributeError) as error:
            raise job_damaged() from error

    def remove_job(self, identity: str) -> list[str]:
        """Forget a job and all that was recorded of it; files of its sums are returned."""
        with self.transaction() as connection:
            files = forget_sums(connection, identity)
            connection.execute("DELETE FROM job_arrays WHERE job = ?", (identity,))
            connection.execute("DELETE FROM jobs WHERE id = ?", (identity,))
        return files

    def known_jobs(self) -> set[str]:
        """Every job."""
        return {row["id"] for row in self.rows("SELECT id FROM jobs")}

    def expired(self, days: int) -> list[tuple[int, str]]:
        """(token, job) of each job that ended so long ago."""
        limit = _days_ago(days)
        found = self.rows("SELECT token, id FROM jobs WHERE ended_at < ?", limit)
        return [(row["token"], row["id"]) for row in found]

    # Arrays, and room for results.

    def put_array(self, client: Client, sha: str, length: int, *, complete: bool) -> None:
        """Know that this client sends, or has sent, a file.

        Raises:
            WorkerRejected: It is new, and what ``Quotas.check_array`` says.
        """
        with self.transaction() as connection:
            known = connection.execute(
                "UPDATE arrays SET length = ?, complete = ?, used_at = ? "
                "WHERE token = ? AND sha = ?",
                (length, int(complete), now_text(), client.id, sha),
            ).rowcount
            if not known:
                self._quotas.check_array(connection, client.id, length)
                connection.execute(
                    "INSERT INTO arrays (token, sha, length, complete, used_at) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (client.id, sha, length, int(complete), now_text()),
                )

    def array(self, client: Client, sha: str) -> tuple[int, bool] | None:
        """(length, whether it is complete) of a file of this client."""
        found = self.rows(
            "SELECT length, complete FROM arrays WHERE token = ? AND sha = ?", client.id, sha
        )
        return (found[0]["length"], bool(found[0]["complete"])) if found else None

    def remove_array(self, sha: str, client: Client | None = None) -> None:
        """Forget a file of one client, or of all."""
        with self.transaction() as connection:
            if client is None:
                connection.execute("DELETE FROM arrays WHERE sha = ?", (sha,))
            else:
                connection.execute(
                    "DELETE FROM arrays WHERE sha = ? AND token = ?", (sha, client.id)
                )

    def known_arrays(self) -> set[str]:
        """Files that somebody has."""
        return {row["sha"] for row in self.rows("SELECT DISTINCT sha FROM arrays")}

    def known_uploads(self) -> set[tuple[int, str]]:
        """(client, file) of each upload that is not complete."""
        found = self.rows("SELECT token, sha FROM arrays WHERE NOT complete")
        return {(row["token"], row["sha"]) for row in found}

    def is_used(self, client: Client, sha: str) -> bool:
        """Whether an unfinished job of this client uses the file."""
        return bool(
            self.rows(
                "SELECT 1 FROM job_arrays JOIN jobs ON jobs.id = job_arrays.job WHERE sha = ? AND "
                "token = ? AND state IN ('queued', 'searching', 'running') LIMIT 1",
                sha,
                client.id,
            )
        )

    def expire_arrays(self, days: int) -> int:
        """How many files were forgotten that no job uses and nobody touched for so long."""
        with self.transaction() as connection:
            return connection.execute(
                "DELETE FROM arrays WHERE used_at < ? AND NOT EXISTS (SELECT 1 FROM job_arrays "
                "JOIN jobs ON jobs.id = job_arrays.job WHERE job_arrays.sha = arrays.sha "
                "AND jobs.token = arrays.token)",
                (_days_ago(days),),
            ).rowcount

    def check_result(self, token: int, size: int) -> None:
        """Nothing, when there is room for a result now; it counts once its job has ended.

        Raises:
            WorkerRejected: What ``Quotas.check_result`` says.
        """
        with self._read_lock:
            self._quotas.check_result(self._reader, token, size)


def _of_key(
    connection: sqlite3.Connection, client: Client, key: str, digest: str
) -> StoredJob | None:
    """The job of a key, which must have been asked for by the same request."""
    query = f"SELECT {WHOLE}, digest FROM jobs WHERE token = ? AND key = ?"  # noqa: S608  # our names
    row = connection.execute(query, (client.id, key)).fetchone()
    if row is None:
        return None
    if row["digest"] != digest:
        raise rejected(
            "job-key-used",
            "This Idempotency-Key belongs to a job with another request.",
            "Use a new key for each new request.",
        )
    return stored_job(row)


def _owner(connection: sqlite3.Connection, job: Job) -> int:
    """Whose job it is; nobody's if it is gone."""
    row = connection.execute("SELECT token FROM jobs WHERE id = ?", (job.id,)).fetchone()
    return int(row[0]) if row else 0


def forget_sums(connection: sqlite3.Connection, job: str) -> list[str]:
    """Names of the files of a job's sums, which are forgotten with its layout."""
    rows = connection.execute(
        "SELECT file FROM prefixes WHERE job = ? UNION ALL SELECT file FROM tasks WHERE job = ?",
        (job, job),
    ).fetchall()
    for table in ("layouts", "prefixes", "tasks"):
        connection.execute(f"DELETE FROM {table} WHERE job = ?", (job,))  # noqa: S608  # our names
    return [row["file"] for row in rows if row["file"]]


def _days_ago(days: int) -> str:
    then = datetime.now(UTC) - timedelta(days=days)
    return then.isoformat(timespec="milliseconds").replace("+00:00", "Z")
