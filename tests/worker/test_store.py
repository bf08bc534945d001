"""What survives: the database, its damage, its versions, the ledger, the files, the backup."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from stored import REQUEST, add, filled, job

from tensorloom.errors import ExecutionError, WorkerRejected
from tensorloom_worker import database, quotas
from tensorloom_worker.event_ids import begin_ids, end_ids
from tensorloom_worker.files import Files
from tensorloom_worker.ledger import Partial, Prefix, TaskLayout
from tensorloom_worker.records import PlanJson
from tensorloom_worker.refusals import writing
from tensorloom_worker.store import Client, Store, canonical
from tensorloom_worker.sums import INLINE_BYTES, StoredLedger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGE = bytes(range(256)) * (INLINE_BYTES // 256 + 1)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def store(files: Files) -> Iterator[Store]:
    found = Store(files.root)
    yield found
    found.close()


@pytest.fixture
def owner(store: Store) -> Client:
    return store.put_token("owner", "hash")


@pytest.fixture
def ledger(store: Store, files: Files, owner: Client) -> StoredLedger:
    add(store, owner, "a")
    return StoredLedger(store, files)


A = "a" * 32
LAYOUT = TaskLayout(
    plan=PlanJson(path=((0, 1),), sliced=("i",)),
    slices=10,
    slices_per_task=3,
    dtype="float64",
    backend="numpy",
)


def test_the_database_waits_for_the_disk(store: Store) -> None:
    with store.transaction() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # full


def test_a_final_state_is_never_left(store: Store, owner: Client) -> None:
    name = add(store, owner, "a")
    store.update_job(job("a", "cancelled"), 2)
    store.update_job(job("a", "running"), 3)
    assert store.job(owner, name).job.state == "cancelled"
    assert store.unfinished() == []


def test_unfinished_jobs_come_back_in_order(store: Store, owner: Client) -> None:
    for name in "abc":
        add(store, owner, name)
    store.update_job(job("b", "running"), 2)
    found = [(waiting.stored.job.id[0], waiting.begun) for waiting in store.unfinished()]
    assert found == [("a", False), ("b", True), ("c", False)]


def test_a_cancelled_job_that_has_not_stopped_is_known_to_be_unwanted(
    store: Store, owner: Client
) -> None:
    for name in "ab":
        add(store, owner, name)
        store.update_job(job(name, "running"), 2)
    store.keep_unwanted("b" * 32)
    found = [(waiting.stored.job.id[0], waiting.unwanted) for waiting in store.unfinished()]
    assert found == [("a", False), ("b", True)]


def test_a_new_client_sees_nothing_of_one_that_was_removed(store: Store, owner: Client) -> None:
    old = store.put_token("visitor", "old")
    add(store, old, "a")
    store.remove_token("visitor")
    assert store.jobs(store.put_token("stranger", "new"), limit=10, before=None) == []
    add(store, owner, "b")
    store.remove_token("stranger")
    store.remove_token("owner")
    # Who lost all tokens gets the first client's jobs back, and nobody else does.
    assert store.jobs(store.put_token("guest", "third"), limit=10, before=None) == []
    again = store.jobs(store.put_token("owner", "fourth"), limit=10, before=None)
    assert [stored.job.id for stored in again] == ["b" * 32]


def test_ids_of_a_run_begin_above_all_before_it(store: Store, owner: Client) -> None:
    now = 1_800_000_000.0
    first = begin_ids(store, now)
    assert [first.remembers(identity) for identity in (0, 1)] == [True, False]
    store.add_job(owner, job("a"), request=REQUEST, key=None, arrays={}, changed=first.first + 5)
    second = begin_ids(store, now)  # the first was killed
    assert second.first > first.first + 5
    assert second.remembers(first.first + 5)
    assert not second.remembers(first.first + 6)
    end_ids(store, second.first + 7)
    # A clock that was set back does not give ids twice.
    third = begin_ids(store, now - 1e6)
    assert third.first > second.first + 7
    assert third.remembers(second.first + 7)
    later = begin_ids(store, now + 1e6)
    assert third.first < later.first < 2**53
    # However many runs come after it, what a run lost does not come back.
    assert later.remembers(first.first + 5)
    assert not later.remembers(first.first + 6)
    assert not later.remembers(third.first + 1)


def test_a_database_that_kept_no_runs_knows_what_it_knew(store: Store, owner: Client) -> None:
    store.add_job(owner, job("a"), request=REQUEST, key=None, arrays={}, changed=70)
    with store.transaction() as connection:
        connection.execute("INSERT INTO meta (key, value) VALUES ('first_event', '60')")
    ids = begin_ids(store, 1.0)
    known = {identity: ids.remembers(identity) for identity in (0, 5, 70, 71)}
    assert known == {0: True, 5: True, 70: True, 71: False}


def test_a_task_is_recorded_once(ledger: StoredLedger) -> None:
    assert ledger.record(A, 3, Partial(total=b"first", compensation=b"rest", exponent=-7))
    assert not ledger.record(A, 3, Partial(total=b"second"))
    assert ledger.tasks(A) == {3: Partial(total=b"first", compensation=b"rest", exponent=-7)}


def test_a_folded_task_is_not_recorded_again(ledger: StoredLedger) -> None:
    for task in range(4):
        ledger.record(A, task, Partial(total=b"%d" % task))
    ledger.fold(A, Prefix(upto=3, partial=Partial(total=b"sum")))
    assert ledger.prefix(A) == Prefix(upto=3, partial=Partial(total=b"sum"))
    assert not ledger.record(A, 2, Partial(total=b"again"))
    assert set(ledger.tasks(A)) == {3}


@pytest.mark.parametrize("total", [b"small", LARGE])
def test_nothing_is_recorded_of_a_job_that_is_gone(
    ledger: StoredLedger, store: Store, files: Files, total: bytes
) -> None:
    store.remove_job(A)
    assert not ledger.record(A, 0, Partial(total=total))
    ledger.fold(A, Prefix(upto=1, partial=Partial(total=total)))
    assert ledger.prefix(A) is None
    assert ledger.tasks(A) == {}
    files.sweep(arrays=set(), uploads=set(), jobs=store.known_jobs(), sums=ledger.file_names())
    assert list(files.sums.iterdir()) == []


def test_large_sums_lie_in_files_that_go_with_them(
    ledger: StoredLedger, store: Store, files: Files
) -> None:
    for task in range(3):
        ledger.record(A, task, Partial(total=LARGE, exponent=task))
    assert len(list(files.sums.iterdir())) == 3
    assert ledger.tasks(A)[2] == Partial(total=LARGE, exponent=2)
    ledger.fold(A, Prefix(upto=2, partial=Partial(total=LARGE)))
    assert len(list(files.sums.iterdir())) == 2
    names = store.update_job(job("a", "done"), 5)
    assert sorted(names) == sorted(path.name for path in files.sums.iterdir())


@pytest.mark.parametrize("total", [b"small", LARGE])
def test_a_damaged_sum_is_done_again(
    ledger: StoredLedger, store: Store, files: Files, total: bytes
) -> None:
    ledger.record(A, 0, Partial(total=total))
    ledger.record(A, 1, Partial(total=total))
    with store.transaction() as connection:
        connection.execute("UPDATE tasks SET data = 'x' WHERE task = 0 AND data IS NOT NULL")
    for row in store.rows("SELECT file FROM tasks WHERE task = 0 AND file IS NOT NULL"):
        path = files.sums / row["file"]
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert set(ledger.tasks(A)) == {1}
    assert ledger.record(A, 0, Partial(total=total))
    assert set(ledger.tasks(A)) == {0, 1}


def test_a_damaged_prefix_begins_the_job_anew(ledger: StoredLedger, store: Store) -> None:
    ledger.fold(A, Prefix(upto=2, partial=Partial(total=b"sum")))
    with store.transaction() as connection:
        connection.execute("UPDATE prefixes SET data = 'x'")
    assert ledger.prefix(A) is None
    assert ledger.record(A, 0, Partial(total=b"again"))


@pytest.mark.parametrize("total", [b"small", LARGE])
@pytest.mark.parametrize("change", ["exponent = 40", "split = 2", "task = 7"])
def test_damage_beside_the_bytes_of_a_sum_is_found(
    ledger: StoredLedger, store: Store, caplog: pytest.LogCaptureFixture, total: bytes, change: str
) -> None:
    for task in range(2):
        ledger.record(A, task, Partial(total=total, compensation=b"rest", exponent=3))
    with store.transaction() as connection:
        connection.execute(f"UPDATE tasks SET {change} WHERE task = 0")
    assert set(ledger.tasks(A)) == {1}
    assert f"of job {A} is damaged; redone." in caplog.text


@pytest.mark.parametrize("change", ["exponent = 40", "split = 2", "upto = 3"])
def test_damage_beside_the_bytes_of_a_prefix_is_found(
    ledger: StoredLedger, store: Store, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    ledger.fold(A, Prefix(upto=2, partial=Partial(total=b"sum", compensation=b"rest", exponent=3)))
    with store.transaction() as connection:
        connection.execute(f"UPDATE prefixes SET {change}")
    assert ledger.prefix(A) is None
    assert f"The sum so far of job {A} is damaged" in caplog.text


def test_sums_and_layouts_of_an_older_service_count(ledger: StoredLedger, store: Store) -> None:
    ledger.fix_layout(A, LAYOUT)
    partial = Partial(total=b"sum", compensation=b"rest", exponent=3)
    ledger.fold(A, Prefix(upto=1, partial=partial))
    ledger.record(A, 1, partial)
    with store.transaction() as connection:
        connection.execute("UPDATE layouts SET hash = NULL")
        for table in ("tasks", "prefixes"):
            old = sha256(b"sumrest").hexdigest()
            connection.execute(f"UPDATE {table} SET hash = ?", (old,))
    assert ledger.layout(A) == LAYOUT
    assert ledger.prefix(A) == Prefix(upto=1, partial=partial)
    assert ledger.tasks(A) == {1: partial}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE layouts SET layout = replace(layout, 'task\":3', 'task\":5')",
        "UPDATE layouts SET layout = 'x', hash = NULL",
        "DELETE FROM layouts",
    ],
)
def test_a_job_whose_layout_is_damaged_begins_anew_and_others_go_on(
    ledger: StoredLedger, store: Store, owner: Client, files: Files, change: str
) -> None:
    other = add(store, owner, "b")
    for identity in (A, other):
        ledger.fix_layout(identity, LAYOUT)
        ledger.fold(identity, Prefix(upto=1, partial=Partial(total=LARGE)))
        ledger.record(identity, 1, Partial(total=LARGE))
    with store.transaction() as connection:
        connection.execute(f"{change} WHERE job = ?", (A,))
    assert ledger.layout(A) is None
    assert ledger.prefix(A) is None
    assert ledger.tasks(A) == {}
    assert len(list(files.sums.iterdir())) == 2
    assert ledger.layout(other) == LAYOUT
    assert set(ledger.tasks(other)) == {1}
    ledger.fix_layout(A, LAYOUT)
    assert ledger.layout(A) == LAYOUT


def test_a_layout_is_fixed_once(ledger: StoredLedger) -> None:
    plan = PlanJson(path=((0, 1),), sliced=("i",))
    first = TaskLayout(
        plan=plan, slices=10, slices_per_task=3, dtype="float64", backend="numpy", extra={"a": [1]}
    )
    second = TaskLayout(plan=plan, slices=10, slices_per_task=5, dtype="float64", backend="numpy")
    ledger.fix_layout(A, first)
    ledger.fix_layout(A, second)
    assert ledger.layout(A) == first
    assert first.tasks == 4


def test_a_job_whose_record_is_damaged_is_shown_as_failed_and_the_rest_goes_on(
    store: Store, owner: Client
) -> None:
    for name in "ab":
        add(store, owner, name)
    with store.transaction() as connection:
        connection.execute("UPDATE jobs SET record = '{\"id\":1' WHERE id = ?", (A,))
    found = {stored.job.id[0]: stored.job for stored in store.jobs(owner, limit=9, before=None)}
    assert found["a"].state == "failed"
    assert found["a"].error is not None
    assert found["a"].error.code == "job-damaged"
    assert found["b"].state == "queued"


def test_a_list_reads_no_request(store: Store, owner: Client) -> None:
    add(store, owner, "a")
    read: set[str] = set()

    def seen(action: int, table: str | None, _column: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_READ:
            read.add(str(table))
        return sqlite3.SQLITE_OK

    store._reader.set_authorizer(seen)
    assert len(store.jobs(owner, limit=9)) == 1
    assert len(store.jobs_changed(owner, 0, limit=9)) == 1
    assert len(store.unfinished()) == 1
    assert read == {"jobs"}
    store.request("a" * 32)
    assert read == {"jobs", "requests"}


def test_a_request_that_changed_on_the_disk_is_not_run(store: Store, owner: Client) -> None:
    name = add(store, owner, "a")
    assert store.request(name).kind == "entry"
    with store.transaction() as connection:
        connection.execute("UPDATE requests SET request = replace(request, 'path', 'math')")
    with pytest.raises(WorkerRejected, match="damaged") as caught:
        store.request(name)
    assert caught.value.code == "job-damaged"


def test_quotas_are_looked_up_without_reading_jobs(store: Store) -> None:
    for query, index in (
        (quotas._UNFINISHED.replace("?", "1"), "jobs_unfinished"),
        (quotas._STORED.replace(":token", "1"), "jobs_by_bytes"),
        (quotas._WAITING, "jobs_by_state"),
    ):
        plan = " ".join(row["detail"] for row in store.rows(f"EXPLAIN QUERY PLAN {query}"))
        assert f"USING COVERING INDEX {index}" in plan, plan


def test_a_file_that_is_no_database_is_moved_aside(tmp_path: Path) -> None:
    (tmp_path / database.FILE).write_bytes(b"not a database at all" * 1000)
    with closing(Store(tmp_path)) as store:
        assert store.salvage is not None
        assert store.known_jobs() == set()


def test_a_half_written_log_loses_only_what_was_not_finished(tmp_path: Path) -> None:
    filled(tmp_path, 3)
    store = Store(tmp_path)
    owner = store.clients()[0]
    add(store, owner, "a")
    log = (tmp_path / f"{database.FILE}-wal").read_bytes()
    main = (tmp_path / database.FILE).read_bytes()
    store.close()
    other = tmp_path / "other"
    other.mkdir()
    (other / database.FILE).write_bytes(main)
    (other / f"{database.FILE}-wal").write_bytes(log[:-100])
    with closing(Store(other)) as cut:
        assert cut.salvage is None
        assert len(cut.known_jobs()) == 3


def test_a_backup_is_whole_while_the_service_writes(tmp_path: Path) -> None:
    names = filled(tmp_path, 20)
    target = tmp_path / "copy.sqlite3"
    with closing(Store(tmp_path)) as store:
        owner = store.clients()[0]
        with store.transaction() as connection:
            connection.execute("UPDATE jobs SET state = 'half'")
            size = database.backup(tmp_path, target)
        add(store, owner, "f")
    assert target.stat().st_size == size
    restored = tmp_path / "restored"
    restored.mkdir()
    target.rename(restored / database.FILE)
    with closing(Store(restored)) as copy:
        assert copy.salvage is None
        assert copy.known_jobs() == names
        assert {waiting.stored.job.state for waiting in copy.unfinished()} == {"queued"}


def test_a_backup_takes_no_place_of_what_is_no_file(store: Store, files: Files) -> None:
    pipe, folder = files.root / "pipe", files.root / "results"
    os.mkfifo(pipe)
    for target in (pipe, folder):
        with pytest.raises(ValueError, match="the place of what is no file"):
            database.backup(files.root, target)
    assert pipe.is_fifo()
    assert folder.is_dir()
    assert store.clients() == []
    # A copy may take the place of an older one.
    older = files.root / "copy"
    older.write_bytes(b"old")
    assert database.backup(files.root, older) == older.stat().st_size > 3


def test_what_holds_requests_and_tokens_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o755)
    before = os.umask(0o022)
    try:
        with closing(Store(folder)) as store:
            store.put_token("Ada", "0" * 64)
            database.backup(folder, tmp_path / "copy")
            found = [*folder.glob(f"{database.FILE}*"), tmp_path / "copy"]
            modes = {path.name: oct(path.stat().st_mode & 0o777) for path in found}
    finally:
        os.umask(before)
    names = (database.FILE, f"{database.FILE}-wal", f"{database.FILE}-shm", "copy")
    assert modes == dict.fromkeys(names, oct(0o600))


def test_a_backup_never_takes_the_place_of_the_database(store: Store, files: Files) -> None:
    before = (files.root / database.FILE).stat().st_ino
    with pytest.raises(ValueError, match="another file"):
        database.backup(files.root, files.root / "results" / ".." / database.FILE)
    assert (files.root / database.FILE).stat().st_ino == before
    assert store.rows("PRAGMA integrity_check")[0][0] == "ok"


def test_a_file_is_whole_or_not_there(files: Files) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ExecutionError) as caught:
        files.write(files.result("r"), broken())
    assert caught.value.code == "disk-full"
    assert list(files.results.iterdir()) == []
    files.write(files.result("r"), (b"ab", b"c"))
    with pytest.raises(ExecutionError):
        files.write(files.result("r"), broken())
    assert files.result("r").read_bytes() == b"abc"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_has_one_name(number: int) -> None:
    with pytest.raises(ExecutionError) as caught, writing():
        raise OSError(number, "full")
    assert caught.value.code == "disk-full"
    with pytest.raises(PermissionError), writing():
        raise PermissionError(errno.EACCES, "not full")


def test_a_transaction_on_a_full_disk_changes_nothing(store: Store, owner: Client) -> None:
    name = add(store, owner, "a")
    store._writer.execute("PRAGMA max_page_count = 1")  # SQLite's own way to be full
    request = canonical({"x": "y" * 200_000})
    with pytest.raises(ExecutionError) as caught:
        store.add_job(owner, job("b"), request=request, key=None, arrays={}, changed=1)
    assert caught.value.code == "disk-full"
    assert store.known_jobs() == {name}
    store._writer.execute("PRAGMA max_page_count = 1000000")
    add(store, owner, "c")


def test_two_services_do_not_share_a_folder(tmp_path: Path) -> None:
    first, second = Files(tmp_path), Files(tmp_path)
    first.lock()
    with pytest.raises(WorkerRejected) as caught:
        second.lock()
    assert caught.value.code == "folder-in-use"
    first.unlock()
    second.lock()
    second.unlock()


def test_files_that_nobody_knows_are_swept(files: Files) -> None:
    for path in (
        files.array("a" * 64),
        files.array("b" * 64),
        files.result("j"),
        files.result("k"),
        files.sums / "s",
        files.sums / "t",
        files.upload(1, "a" * 64),
        files.upload(2, "a" * 64),
        files.upload(1, "c" * 64),
    ):
        path.write_bytes(b"x")
    known = {"arrays": {"a" * 64}, "jobs": {"j"}, "sums": {"s"}}
    assert files.sweep(uploads={(1, "a" * 64)}, **known) == 5
    left = {path.name for folder in files.root.iterdir() for path in folder.iterdir()}
    assert left == {"a" * 64, "j.npy", "s", f"1-{'a' * 64}"}


def test_expired_jobs_and_unused_arrays_are_found(store: Store, owner: Client) -> None:
    name = add(store, owner, "a")
    store.put_array(owner, "0" * 64, 5, complete=True)  # used by the job
    store.put_array(owner, "1" * 64, 5, complete=True)
    old = job("a", "done").model_copy(update={"finished_at": "2001-01-01T00:00:00.000Z"})
    store.update_job(old, 2)
    with store.transaction() as connection:
        connection.execute("UPDATE arrays SET used_at = '2001-01-01T00:00:00.000Z'")
    assert store.expired(30) == [(owner.id, name)]
    assert store.expire_arrays(30) == 1
    assert store.known_arrays() == {"0" * 64}
    store.remove_job(name)
    assert store.expire_arrays(30) == 1
