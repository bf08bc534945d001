"""The ledger: sums of tasks, each recorded exactly once and checked by its hash when it is read.

Small sums lie in the database, large ones in files that the database names. A hash is that of the
bytes and of all that gives them their meaning: the job, the task, the exponent, where they split. A
sum that is damaged is dropped, so that its task is done again; a damaged prefix drops everything
that it stood for; sums without a sound layout belong to nothing, and their job begins anew.
"""

from __future__ import annotations

import json
import logging
import secrets
from dataclasses import asdict
from hashlib import sha256
from typing import TYPE_CHECKING

from tensorloom_worker.ledger import Bytes, Partial, Prefix, TaskLayout
from tensorloom_worker.records import PlanJson
from tensorloom_worker.resumes import not_in_vain
from tensorloom_worker.store import canonical, forget_sums

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from tensorloom_worker.files import Files
    from tensorloom_worker.store import Store

__all__ = ["INLINE_BYTES", "StoredLedger"]

INLINE_BYTES = 64 * 1024
"""Largest sum that lies in the database."""

_WHOLE = "2:"
"""Before a hash that covers more than a sum's bytes; older ones cover these alone."""

_LOG = logging.getLogger("tensorloom_worker")


class StoredLedger:
    """A ``Ledger`` on the store.

    Args:
        store: Its database.
        files: Its folders.
    """

    def __init__(self, store: Store, files: Files) -> None:
        self._store = store
        self._files = files

    def tasks(self, job: str) -> Mapping[int, Partial]:
        """Recorded sums by task number, damaged ones left out for good."""
        found: dict[int, Partial] = {}
        for row in self._store.rows("SELECT * FROM tasks WHERE job = ? ORDER BY task", job):
            partial = self._read(row, row["task"])
            if partial is None:
                _LOG.error("The sum of task %s of job %s is damaged; redone.", row["task"], job)
                with self._store.transaction() as connection:
                    connection.execute(
                        "DELETE FROM tasks WHERE job = ? AND task = ?", (job, row["task"])
                    )
                self._drop(row["file"])
            else:
                found[row["task"]] = partial
        return found

    def prefix(self, job: str) -> Prefix | None:
        """The sum of the first tasks; a damaged one makes the job begin anew."""
        rows = self._store.rows("SELECT * FROM prefixes WHERE job = ?", job)
        if not rows:
            return None
        partial = self._read(rows[0], rows[0]["upto"])
        if partial is None:
            _LOG.error("The sum so far of job %s is damaged; its first tasks are redone.", job)
            with self._store.transaction() as connection:
                connection.execute("DELETE FROM prefixes WHERE job = ?", (job,))
            self._drop(rows[0]["file"])
            return None
        return Prefix(upto=rows[0]["upto"], partial=partial)

    def record(self, job: str, task: int, partial: Partial) -> bool:
        """Whether the sum was new."""
        exponent, digest, split, data, name = self._prepared(job, task, partial)
        try:
            with self._store.transaction() as connection:
                done = connection.execute(
                    "INSERT OR IGNORE INTO tasks (job, task, exponent, hash, split, data, file) "
                    "SELECT ?, ?, ?, ?, ?, ?, ? "
                    "WHERE EXISTS (SELECT 1 FROM jobs WHERE id = ?) AND NOT EXISTS "
                    "(SELECT 1 FROM prefixes WHERE job = ? AND upto > ?)",
                    (job, task, exponent, digest, split, data, name, job, job, task),
                ).rowcount
                if done:
                    not_in_vain(connection, job)
        except BaseException:
            self._drop(name)
            raise
        if not done:
            self._drop(name)
        return done > 0

    def fold(self, job: str, prefix: Prefix) -> None:
        """At once: keep this prefix, drop the sums that it holds."""
        exponent, digest, split, data, name = self._prepared(job, prefix.upto, prefix.partial)
        try:
            with self._store.transaction() as connection:
                replaced = connection.execute(
                    "SELECT file FROM prefixes WHERE job = ? "
                    "UNION ALL SELECT file FROM tasks WHERE job = ? AND task < ?",
                    (job, job, prefix.upto),
                ).fetchall()
                connection.execute(
                    "INSERT OR REPLACE INTO prefixes (job, upto, exponent, hash, split, data, file)"
                    " SELECT ?, ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM jobs WHERE id = ?)",
                    (job, prefix.upto, exponent, digest, split, data, name, job),
                )
                connection.execute(
                    "DELETE FROM tasks WHERE job = ? AND task < ?", (job, prefix.upto)
                )
        except BaseException:
            self._drop(name)
            raise
        for row in replaced:
            self._drop(row["file"])

    def layout(self, job: str) -> TaskLayout | None:
        """How the job was cut, if that is fixed; without it, what was recorded is dropped too."""
        query = "SELECT layout, hash FROM layouts WHERE job = ?"
        rows = self._store.rows(query, job)
        found = _layout_of(job, rows[0]) if rows else None
        if found is not None:
            return found
        with self._store.transaction() as connection:
            # It may have been fixed since, and sums recorded that belong to it.
            row = connection.execute(query, (job,)).fetchone()
            found = None if row is None else _layout_of(job, row)
            if found is not None:
                return found
            if row is not None:
                _LOG.error("How job %s was cut into tasks is damaged; it begins anew.", job)
            names = forget_sums(connection, job)
        for name in names:
            self._drop(name)
        return None

    def fix_layout(self, job: str, layout: TaskLayout) -> None:
        """Fix how the job is cut."""
        text = canonical({**asdict(layout), "plan": layout.plan.to_json()})
        with self._store.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO layouts (job, layout, hash) VALUES (?, ?, ?)",
                (job, text, _digest((text.encode(),), job)),
            )

    def file_names(self) -> set[str]:
        """Names of all files of sums."""
        rows = self._store.rows("SELECT file FROM prefixes UNION ALL SELECT file FROM tasks")
        return {row["file"] for row in rows if row["file"]}

    def _prepared(
        self, job: str, number: int, partial: Partial
    ) -> tuple[int, str, int, bytes | None, str | None]:
        """The columns of a sum; a large one is on the disk when this returns."""
        parts = (partial.total, partial.compensation)
        split = len(partial.total)
        digest = _digest(parts, job, number, partial.exponent, split)
        if sum(map(len, parts)) <= INLINE_BYTES:
            return partial.exponent, digest, split, b"".join(parts), None
        name = secrets.token_hex(16)
        self._files.write(self._files.sums / name, parts)
        return partial.exponent, digest, split, None, name

    def _read(self, row: sqlite3.Row, number: int) -> Partial | None:
        data: Bytes | None = row["data"]
        if row["file"]:
            try:
                data = memoryview((self._files.sums / row["file"]).read_bytes())
            except OSError:
                return None
        if not isinstance(data, Bytes):
            return None
        split = row["split"]
        is_old = not str(row["hash"]).startswith(_WHOLE)
        wanted = _digest((data,), row["job"], number, row["exponent"], split)
        if row["hash"] != (sha256(data).hexdigest() if is_old else wanted):
            return None
        return Partial(total=data[:split], compensation=data[split:], exponent=row["exponent"])

    def _drop(self, name: str | None) -> None:
        if name:
            (self._files.sums / name).unlink(missing_ok=True)


def _digest(parts: Iterable[Bytes], *facts: object) -> str:
    """Hash of bytes, in one part or more, and of what belongs to them."""
    found = sha256(" ".join(map(str, facts)).encode())
    for part in (b"\n", *parts):
        found.update(part)
    return _WHOLE + found.hexdigest()


def _layout_of(job: str, row: sqlite3.Row) -> TaskLayout | None:
    """The layout of a row; ``None`` if it is damaged."""
    try:
        # A layout from before hashes has none.
        if row["hash"] not in {None, _digest((row["layout"].encode(),), job)}:
            return None
        found = json.loads(row["layout"])
        return TaskLayout(**{**found, "plan": PlanJson.from_json(found["plan"])})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
