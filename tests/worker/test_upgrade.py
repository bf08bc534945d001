"""Databases of other versions: older ones are brought up to date, newer ones left alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from stored import REQUEST, filled, job

from tensorloom_worker import database
from tensorloom_worker.store import Store, canonical

if TYPE_CHECKING:
    from pathlib import Path

A = "a" * 32


@pytest.mark.parametrize("check", [True, False], ids=["service", "command line"])
def test_a_database_of_a_newer_service_is_left_alone(tmp_path: Path, *, check: bool) -> None:
    filled(tmp_path, 1)
    with closing(sqlite3.connect(tmp_path / database.FILE)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = (tmp_path / database.FILE).read_bytes()
    most = database.SCHEMA_VERSION
    with pytest.raises(ValueError, match=f"has version 99; this service reads up to {most}"):
        Store(tmp_path, check=check)
    assert (tmp_path / database.FILE).read_bytes() == before


def test_every_version_is_brought_up_to_date(tmp_path: Path) -> None:
    with closing(Store(tmp_path)) as fresh:
        wanted = {row["sql"] for row in fresh.rows("SELECT sql FROM sqlite_master")}
        assert fresh.rows("PRAGMA user_version")[0][0] == database.SCHEMA_VERSION
    assert len(database._MIGRATIONS) == database.SCHEMA_VERSION
    for version in range(database.SCHEMA_VERSION):
        folder = tmp_path / str(version)
        folder.mkdir()
        with closing(sqlite3.connect(folder / database.FILE)) as old:
            for script in database._MIGRATIONS[:version]:
                old.executescript(script)
            old.execute(f"PRAGMA user_version = {version}")
        with closing(Store(folder)) as store:
            found = {row["sql"] for row in store.rows("SELECT sql FROM sqlite_master")}
        assert found == wanted


def test_jobs_of_an_older_database_keep_their_requests_and_states(tmp_path: Path) -> None:
    record = canonical(job("a", "running").to_json())
    with closing(sqlite3.connect(tmp_path / database.FILE)) as old:
        for script in database._MIGRATIONS[:6]:
            old.executescript(script)
        old.execute("INSERT INTO tokens (id, name, hash, created_at) VALUES (1, 'owner', '', '')")
        old.execute(
            "INSERT INTO jobs (id, token, digest, state, changed, request, record, ran_s) "
            "VALUES (?, 1, ?, 'running', 1, ?, ?, 5)",
            (A, sha256(REQUEST.encode()).hexdigest(), REQUEST, record),
        )
        old.execute("PRAGMA user_version = 6")
        old.commit()
    with closing(Store(tmp_path)) as store:
        [waiting] = store.unfinished()
        assert (waiting.begun, waiting.ran, waiting.unwanted) == (True, 5.0, False)
        assert [one.job for one in store.jobs(store.clients()[0], limit=9)] == [waiting.stored.job]
        assert store.request(A).kind == "entry"
        store.remove_job(A)
        assert store.rows("SELECT count(*) FROM requests")[0][0] == 0
