"""The SQLite file: opened durably, brought up to date, checked, salvaged when damaged, backed up.

Write-ahead log with full synchronisation: a transaction that has returned survives a kill and a
power failure. A damaged file is moved aside, never overwritten; every row that can still be read is
carried over into a new one, and what was lost is said. However it is stopped, a start finishes it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tensorloom_worker.files import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "FILE",
    "SCHEMA_VERSION",
    "UNSWEPT",
    "Salvage",
    "backup",
    "connect",
    "open_checked",
    "version_of",
]

FILE = "jobs.sqlite3"
DAMAGED = "damaged"
BUSY_MS = 10_000
SCHEMA_VERSION = 8
UNSWEPT = "unswept"
"""What ``meta`` holds from a salvage on until the files of rows that are lost have been set aside:
they look like files that nobody needs."""
MAX_GAP = 10_000
"""Most rows that are looked for one by one between two readable parts of a damaged table."""

_LOG = logging.getLogger("tensorloom_worker")

_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE tokens (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        hash TEXT NOT NULL,
        created_at TEXT NOT NULL
    );
    CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        token INTEGER NOT NULL,
        key TEXT,
        digest TEXT NOT NULL,
        state TEXT NOT NULL,
        changed INTEGER NOT NULL,
        ended_at TEXT,
        result_bytes INTEGER NOT NULL DEFAULT 0,
        request TEXT NOT NULL,
        record TEXT NOT NULL,
        UNIQUE (token, key)
    );
    CREATE INDEX jobs_by_token ON jobs (token, seq);
    CREATE INDEX jobs_by_state ON jobs (state, seq);
    CREATE TABLE job_arrays (
        job TEXT NOT NULL, name TEXT NOT NULL, sha TEXT NOT NULL, array_key TEXT,
        UNIQUE (job, name)
    );
    CREATE INDEX job_arrays_by_sha ON job_arrays (sha);
    CREATE TABLE layouts (job TEXT PRIMARY KEY, layout TEXT NOT NULL);
    CREATE TABLE prefixes (
        job TEXT PRIMARY KEY, upto INTEGER NOT NULL, exponent INTEGER NOT NULL,
        hash TEXT NOT NULL, split INTEGER NOT NULL, data BLOB, file TEXT
    );
    CREATE TABLE tasks (
        job TEXT NOT NULL, task INTEGER NOT NULL, exponent INTEGER NOT NULL,
        hash TEXT NOT NULL, split INTEGER NOT NULL, data BLOB, file TEXT,
        UNIQUE (job, task)
    );
    CREATE TABLE arrays (
        token INTEGER NOT NULL, sha TEXT NOT NULL, length INTEGER NOT NULL,
        complete INTEGER NOT NULL, used_at TEXT NOT NULL,
        UNIQUE (token, sha)
    );
    CREATE INDEX arrays_by_sha ON arrays (sha);
    """,
    """
    INSERT INTO meta (key, value) VALUES (
        'jobs_removed',
        (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'jobs')
            - (SELECT count(*) FROM jobs)
    );
    CREATE TRIGGER count_removed_jobs AFTER DELETE ON jobs BEGIN
        UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'jobs_removed';
    END;
    """,
    """
    CREATE INDEX jobs_unfinished ON jobs (token, state)
        WHERE state IN ('queued', 'searching', 'running');
    CREATE INDEX jobs_by_bytes ON jobs (token, result_bytes) WHERE result_bytes > 0;
    """,
    # Layouts from before have none, and sums from before one of their bytes alone.
    """
    ALTER TABLE layouts ADD COLUMN hash TEXT;
    """,
    """
    ALTER TABLE jobs ADD COLUMN ran_s REAL NOT NULL DEFAULT 0;
    """,
    """
    ALTER TABLE jobs ADD COLUMN in_vain INTEGER NOT NULL DEFAULT 0;
    """,
    """
    ALTER TABLE jobs ADD COLUMN unwanted INTEGER NOT NULL DEFAULT 0;
    """,
    # A row that holds its request is read past it in every list, and written anew with every state.
    """
    CREATE TABLE requests (seq INTEGER PRIMARY KEY, request TEXT NOT NULL);
    INSERT INTO requests (seq, request) SELECT seq, request FROM jobs;
    ALTER TABLE jobs DROP COLUMN request;
    CREATE TRIGGER forget_requests AFTER DELETE ON jobs BEGIN
        DELETE FROM requests WHERE seq = OLD.seq;
    END;
    """,
)
"""Step ``n`` brings a database from version ``n`` to ``n + 1``; steps are never changed."""

_TABLES = (
    "meta",
    "tokens",
    "jobs",
    "requests",
    "job_arrays",
    "layouts",
    "prefixes",
    "tasks",
    "arrays",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvage:
    """What became of a damaged database.

    Args:
        aside: Where the damaged file lies now.
        rows: Rows carried over, by table.
        lost: Jobs that are gone, without those that were deleted; ``None`` if nothing tells.
    """

    aside: Path
    rows: dict[str, int]
    lost: int | None


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection that may be used from any thread, one at a time."""
    if not read_only:
        _make_private(path)
    target = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    connection = sqlite3.connect(
        target, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1e3
    )
    try:
        connection.execute("PRAGMA foreign_keys = OFF")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        else:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    connection.row_factory = sqlite3.Row
    return connection


def open_checked(folder: Path) -> tuple[sqlite3.Connection, Salvage | None]:
    """The database of a data folder, sound and up to date, and what had to be salvaged.

    Raises:
        sqlite3.Error: It cannot be opened for another reason than damage.
        ValueError: A newer service wrote it.
    """
    path = folder / FILE
    salvage = None
    if not path.exists() and _fresh(path).exists():
        _LOG.error("The salvage of a damaged database was stopped half way; it is finished now.")
        _take_place(path)
    try:
        connection = connect(path)
        problem = _problem(connection)
        if problem:
            connection.close()
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and not _is_damage(error):
            raise
        problem = str(error)
    if problem:
        _LOG.error("The database %s is damaged (%s); what can be read is saved.", FILE, problem)
        connection, salvage = _salvage(path)
        _LOG.error(
            "The damaged database lies in %s. Rows carried over: %s; jobs lost: %s.",
            f"{DAMAGED}/{salvage.aside.name}",
            ", ".join(f"{count} {table}" for table, count in salvage.rows.items()),
            "nothing tells how many" if salvage.lost is None else salvage.lost,
        )
    _migrate(connection)
    return connection, salvage


def backup(folder: Path, target: Path) -> int:
    """Bytes of a copy of the database, taken while the service runs.

    Raises:
        ValueError: The copy would take the place of the database, or of what is no file.
        sqlite3.Error: It could not be copied.
    """
    if target.resolve() == (folder / FILE).resolve():
        raise ValueError("The copy would take the place of the database itself; name another file.")
    if target.exists() and not target.is_file():
        raise ValueError("The copy would take the place of what is no file; name another one.")
    with closing(connect(folder / FILE, read_only=True)) as source:
        fresh = target.with_name(f"{target.name}.part")
        fresh.unlink(missing_ok=True)
        _make_private(fresh)
        with closing(sqlite3.connect(fresh)) as copy:
            source.backup(copy)
            found = copy.execute("PRAGMA integrity_check").fetchone()[0]
        if found != "ok":
            fresh.unlink()
            raise sqlite3.DatabaseError(found)
        fresh.replace(target)
    return target.stat().st_size


def _make_private(path: Path) -> None:
    """Make the file, unless it is there, for its owner alone: it holds requests and token hashes.

    SQLite takes an empty file for a new database, and gives its log the mode of the file.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _problem(connection: sqlite3.Connection) -> str:
    """What is wrong with the file; empty if nothing."""
    try:
        found = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if found == "ok" else found.splitlines()[-1]


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def version_of(connection: sqlite3.Connection) -> int:
    """The version of a database's tables.

    Raises:
        ValueError: A newer service wrote it.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise ValueError(
            f"The database has version {version}; this service reads up to {SCHEMA_VERSION}."
        )
    return version


def _migrate(connection: sqlite3.Connection) -> None:
    for number in range(version_of(connection), SCHEMA_VERSION):
        script = _MIGRATIONS[number]
        connection.executescript(f"BEGIN;{script};PRAGMA user_version = {number + 1};COMMIT;")


def _fresh(path: Path) -> Path:
    """Where what can be read is gathered; it is whole once the damaged file has left its place."""
    return path.with_name(f"{path.name}.new")


def _take_place(path: Path) -> Path:
    """Put the gathered rows in the place of the damaged database; where that lies from now on.

    The main file leaves first: while it is in its place, the next start reads it again. Its log
    leaves before the new file comes, which would take it for its own. What a start that was stopped
    has moved already stays where it is.
    """
    folder = path.parent / DAMAGED
    folder.mkdir(exist_ok=True)
    if path.exists():
        aside = folder / f"jobs-{datetime.now(UTC).strftime('%Y%m%dT%H%M%S%f')}.sqlite3"
        path.rename(aside)
    else:
        aside = max(folder.glob("jobs-*.sqlite3"), default=folder / "jobs-lost.sqlite3")
    sync_folder(path.parent)
    for ending in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + ending).replace(aside.with_name(aside.name + ending))
    sync_folder(folder)
    sync_folder(path.parent)
    _fresh(path).rename(path)
    sync_folder(path.parent)
    return aside


def _salvage(path: Path) -> tuple[sqlite3.Connection, Salvage]:
    """A new database with every readable row of the old one, which is moved aside."""
    fresh_path = _fresh(path)
    for ending in ("", "-wal", "-shm"):
        fresh_path.with_name(fresh_path.name + ending).unlink(missing_ok=True)
    with closing(connect(fresh_path)) as fresh:
        _migrate(fresh)
        fresh.execute("BEGIN")
        fresh.execute("DELETE FROM meta")
        rows = {table: _carry_over(path, fresh, table) for table in _TABLES}
        fresh.execute("DELETE FROM requests WHERE seq NOT IN (SELECT seq FROM jobs)")
        lost = _lost_jobs(path, fresh, rows["jobs"])
        fresh.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, '1')", (UNSWEPT,))
        fresh.execute("COMMIT")
        fresh.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    sync_folder(path.parent)
    aside = _take_place(path)
    return connect(path), Salvage(aside=aside, rows=rows, lost=lost)


def _lost_jobs(path: Path, fresh: sqlite3.Connection, carried: int) -> int | None:
    """How many jobs are gone that nobody deleted; the new database begins to count from here.

    Jobs are numbered without gaps, and those that were deleted are counted.
    """
    given = _last_number(path)
    removed = fresh.execute("SELECT value FROM meta WHERE key = 'jobs_removed'").fetchone()
    lost = None
    if given is not None and removed is not None and removed[0].isdigit():
        lost = max(0, given - int(removed[0]) - carried)
    last = max(given or 0, fresh.execute("SELECT coalesce(max(seq), 0) FROM jobs").fetchone()[0])
    # A number that was given once is not given again.
    fresh.execute("DELETE FROM sqlite_sequence WHERE name = 'jobs'")
    fresh.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', ?)", (last,))
    fresh.execute(
        "INSERT OR REPLACE INTO meta (key, value) VALUES ('jobs_removed', ?)",
        (str(last - carried),),
    )
    return lost


def _last_number(path: Path) -> int | None:
    """The last number that a job was given, if that can be read."""
    try:
        with closing(connect(path, read_only=True)) as old:
            row = old.execute("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'").fetchone()
            return 0 if row is None else int(row[0])
    except (sqlite3.DatabaseError, ValueError, TypeError):
        return None


def _carry_over(path: Path, fresh: sqlite3.Connection, table: str) -> int:
    """How many rows of a table were carried over."""
    known = {row[1] for row in fresh.execute(f"PRAGMA table_info({table})")}
    count = 0
    for rowid, row in _readable_rows(path, table):
        columns = [name for name in row if name in known]
        places = ", ".join("?" for _ in columns)
        done = fresh.execute(
            f"INSERT OR IGNORE INTO {table} (rowid, {', '.join(columns)}) VALUES (?, {places})",  # noqa: S608  # our names
            [rowid, *(row[name] for name in columns)],
        )
        count += done.rowcount
        if table == "jobs" and "request" in row:  # where it lay before it had a table
            values = (rowid, row["request"])
            fresh.execute("INSERT OR IGNORE INTO requests (seq, request) VALUES (?, ?)", values)
    return count


def _readable_rows(path: Path, table: str) -> Iterator[tuple[int, dict[str, object]]]:
    """Rows from the front up to the damage, from the back down to it, and what lies between."""
    try:
        old = connect(path, read_only=True)
    except sqlite3.DatabaseError:
        return
    with closing(old):
        if not list(_walk(old, "SELECT 0 AS _rowid FROM sqlite_master")):
            return
        last = -1
        for rowid, row in _walk(old, f"SELECT rowid AS _rowid, * FROM {table} ORDER BY rowid"):  # noqa: S608  # our names
            last = rowid
            yield rowid, row
        first = None
        for rowid, row in _walk(old, f"SELECT rowid AS _rowid, * FROM {table} ORDER BY rowid DESC"):  # noqa: S608  # our names
            if rowid <= last:
                return
            first = rowid
            yield rowid, row
        end = first if first is not None else last + MAX_GAP
        query = f"SELECT rowid AS _rowid, * FROM {table} WHERE rowid = ?"  # noqa: S608  # our names
        for wanted in range(last + 1, min(end, last + MAX_GAP)):
            yield from _walk(old, query, wanted)


def _walk(
    old: sqlite3.Connection, query: str, *values: object
) -> Iterator[tuple[int, dict[str, object]]]:
    """Rows until the first that cannot be read."""
    try:
        for row in old.execute(query, values):
            yield row["_rowid"], {name: row[name] for name in row.keys() if name != "_rowid"}  # noqa: SIM118  # sqlite3.Row is no mapping
    except sqlite3.DatabaseError:
        return
