"""A damaged database: what can be read is carried over, however often that is stopped."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from stored import REQUEST, add, filled, overwrite
from worker_harness import npy, worker

from tensorloom.errors import WorkerRejected
from tensorloom_worker import database
from tensorloom_worker.files import Files
from tensorloom_worker.store import Store
from tensorloom_worker.sums import StoredLedger
from tensorloom_worker.sweeping import sweep

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_damaged_database_is_moved_aside_and_its_readable_rows_carried_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = filled(tmp_path, 100)
    path = tmp_path / database.FILE
    content = overwrite(path, path.stat().st_size // 2, 3)
    store = Store(tmp_path)
    with closing(store):
        assert store.salvage is not None
        kept = store.known_jobs()
        assert kept < names
        assert len(kept) >= 50
        assert [client.name for client in store.clients()] == ["owner"]
        assert store.salvage.aside.read_bytes() == content
        assert store.rows("PRAGMA integrity_check")[0][0] == "ok"
    assert "is damaged" in caplog.text
    with closing(Store(tmp_path)) as again:
        assert again.salvage is None
        assert again.known_jobs() == kept


class Killed(BaseException):
    """Ends the process of a test."""


@pytest.mark.parametrize("survived", range(5))
def test_a_salvage_that_is_killed_between_its_moves_is_finished_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    filled(tmp_path, 100)
    path = tmp_path / database.FILE
    content = overwrite(path, path.stat().st_size // 2, 3)
    shutil.copytree(tmp_path, tmp_path / "whole")
    with closing(Store(tmp_path / "whole")) as whole:
        kept = whole.known_jobs()
    (tmp_path / "other").mkdir()
    with closing(Store(tmp_path / "other")) as other:
        other.put_token("stranger", "hash")
        log = (tmp_path / "other" / f"{database.FILE}-wal").read_bytes()
    moves = 0
    for name in ("rename", "replace"):
        original = getattr(Path, name)

        def move(source: Path, target: Path, original: Callable[..., Path] = original) -> Path:
            nonlocal moves
            if moves == survived:
                raise Killed
            found = original(source, target)
            moves += 1
            if source == path:
                # What a process leaves that had the file open; the new one must not read it.
                path.with_name(f"{path.name}-wal").write_bytes(log)
                path.with_name(f"{path.name}-shm").write_bytes(bytes(32768))
            return found

        monkeypatch.setattr(Path, name, move)
    with suppress(Killed):
        Store(tmp_path).close()
    monkeypatch.undo()
    assert moves == min(survived, 4)
    with closing(Store(tmp_path)) as again:
        assert again.known_jobs() == kept
        assert [client.name for client in again.clients()] == ["owner"]
    aside = sorted((tmp_path / database.DAMAGED).iterdir())
    assert aside[0].read_bytes() == content
    if survived > 0:
        assert [found.read_bytes() for found in aside[1:]] == [bytes(32768), log]


@pytest.mark.asyncio
async def test_results_and_arrays_whose_rows_are_lost_are_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    async with worker(folder) as first:
        job = await first.submit()
        await first.finished(job)
        array = await first.upload(npy(np.arange(5.0)))
    result = (folder / "results" / f"{job}.npy").read_bytes()
    path = folder / database.FILE
    path.write_bytes(bytes(100) + path.read_bytes()[100:])
    async with worker(folder):
        found = {file.name.partition("-")[0]: file for file in (folder / "damaged").iterdir()}
        assert found[f"{job}.npy"].read_bytes() == result
        assert found[array].read_bytes() == npy(np.arange(5.0))
    assert "does not name: 2; they lie in damaged/" in caplog.text
    # From then on, what nobody knows of is what somebody deleted.
    (folder / "results" / f"{job}.npy").write_bytes(result)
    async with worker(folder):
        assert len(list((folder / "damaged").iterdir())) == len(found)
        assert not list((folder / "results").iterdir())


@pytest.mark.parametrize("survived", range(3))
def test_a_start_that_is_killed_while_it_sets_files_aside_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    files = Files(tmp_path)
    filled(tmp_path, 1)
    for name in "abc":
        files.result(name).write_bytes(name.encode())
    (files.results / ".d.npy.part").write_bytes(b"d")
    path = tmp_path / database.FILE
    path.write_bytes(bytes(100) + path.read_bytes()[100:])
    set_aside = Files.set_aside
    moved: list[Path] = []

    def move(files: Files, path: Path) -> None:
        if len(moved) == survived:
            raise Killed
        moved.append(path)
        set_aside(files, path)

    monkeypatch.setattr(Files, "set_aside", move)
    with closing(Store(tmp_path)) as store, pytest.raises(Killed):
        sweep(store, files, StoredLedger(store, files))
    monkeypatch.undo()
    with closing(Store(tmp_path)) as again:
        assert again.salvage is None
        sweep(again, files, StoredLedger(again, files))
    assert not list(files.results.iterdir())
    kept = [file.read_bytes() for file in files.damaged.iterdir() if ".npy-" in file.name]
    assert sorted(kept) == [b"a", b"b", b"c"]


def test_only_jobs_that_nobody_deleted_count_as_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = filled(tmp_path, 100, removed=20)
    path = tmp_path / database.FILE
    overwrite(path, path.stat().st_size // 2, 3)
    with closing(Store(tmp_path)) as store:
        assert store.salvage is not None
        kept = store.known_jobs()
        assert kept < names
        assert store.salvage.lost == len(names) - len(kept)
        assert f"jobs lost: {store.salvage.lost}." in caplog.text
        # The next salvage counts from here, and no number is given twice.
        add(store, store.clients()[0], "z")
        [newest] = store.jobs(store.clients()[0], limit=1)
        assert (newest.job.id, newest.seq) == ("z" * 32, 101)
        store.remove_job("z" * 32)
        store._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    overwrite(path, path.stat().st_size - 3 * 4096, 1)
    with closing(Store(tmp_path)) as again:
        assert again.salvage is not None
        assert again.salvage.lost == len(kept) - len(again.known_jobs())


def test_where_nothing_tells_how_many_jobs_were_lost_no_number_is_made_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path, 100, removed=20)
    path = tmp_path / database.FILE
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM meta WHERE key = 'jobs_removed'")
        connection.commit()
    overwrite(path, path.stat().st_size // 2, 3)
    with closing(Store(tmp_path)) as store:
        assert store.salvage is not None
        assert store.salvage.lost is None
    assert "jobs lost: nothing tells how many." in caplog.text


def test_jobs_removed_before_they_were_counted_count(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / database.FILE)) as old:
        old.executescript(database._MIGRATIONS[0])
        for number in range(5):
            values = (f"{number:032x}", 1, "", "done", 1, "{}", "{}")
            old.execute(
                "INSERT INTO jobs (id, token, digest, state, changed, request, record) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
        old.execute("DELETE FROM jobs WHERE seq IN (2, 5)")
        old.execute("PRAGMA user_version = 1")
        old.commit()
    with closing(Store(tmp_path)) as store:
        assert store.remove_job(f"{0:032x}") == []
        found = store.rows("SELECT value FROM meta WHERE key = 'jobs_removed'")
    assert [row["value"] for row in found] == ["3"]


def test_requests_of_an_older_database_are_salvaged_with_their_jobs(tmp_path: Path) -> None:
    path = tmp_path / database.FILE
    with closing(sqlite3.connect(path)) as old:
        for script in database._MIGRATIONS[:7]:
            old.executescript(script)
        digest = sha256(REQUEST.encode()).hexdigest()
        old.executemany(
            "INSERT INTO jobs (id, token, digest, state, changed, request, record) "
            "VALUES (?, 1, ?, 'queued', 1, ?, ?)",
            [(f"{n:032x}", digest, REQUEST, '{"x": "' + "x" * 2000 + '"}') for n in range(100)],
        )
        old.execute("PRAGMA user_version = 7")
        old.commit()
    overwrite(path, path.stat().st_size // 2, 3)
    with closing(Store(tmp_path)) as store:
        assert store.salvage is not None
        kept = store.known_jobs()
        assert 50 < len(kept) < 100
        assert {store.request(name).kind for name in kept} == {"entry"}
        assert store.rows("SELECT count(*) FROM requests")[0][0] == len(kept)


def test_a_request_that_was_lost_fails_its_job_by_name(tmp_path: Path) -> None:
    [name] = filled(tmp_path, 1)
    with closing(Store(tmp_path)) as store:
        with store.transaction() as connection:
            connection.execute("DELETE FROM requests")
        with pytest.raises(WorkerRejected) as caught:
            store.request(name)
    assert caught.value.code == "job-damaged"
