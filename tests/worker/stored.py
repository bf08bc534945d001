"""Databases with jobs, as the tests of the store fill and damage them."""

from __future__ import annotations

from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING

from tensorloom_worker.records import ArrayUse, Estimate, Job, JobResult, PlanJson
from tensorloom_worker.store import Client, Store, canonical

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = canonical({"kind": "entry", "entry": "path-search", "parameters": {}})


def job(name: str, state: str = "queued") -> Job:
    return Job(id=name * 32, kind="entry", title="T", state=state, created_at="now")  # type: ignore[arg-type]


def add(store: Store, owner: Client, name: str) -> str:
    uses = {"t": ArrayUse(sha256="0" * 64)}
    store.add_job(owner, job(name), request=REQUEST, key=None, arrays=uses, changed=1)
    return name * 32


def filled(folder: Path, jobs: int, *, removed: int = 0) -> set[str]:
    """A closed database with so many jobs, the last removed; each is large enough to fill pages."""
    store = Store(folder)
    owner = store.put_token("owner", "hash")
    names = {f"{number:032x}" for number in range(jobs)}
    for number in range(jobs):
        one = Job(
            id=f"{number:032x}",
            kind="entry",
            title="x" * 200,
            state="queued",
            created_at="now",
            note="x" * 2000,
        )
        store.add_job(owner, one, request=REQUEST, key=None, arrays={}, changed=1)
    gone = {f"{number:032x}" for number in range(jobs - removed, jobs)}
    for name in gone:
        assert store.remove_job(name) == []
    with store.transaction():
        pass
    store._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    return names - gone


def many(folder: Path, jobs: int) -> None:
    """A closed database with so many jobs that are done, numbered by their titles."""
    plan = PlanJson(path=((0, 1),))
    estimate = Estimate(
        mul_adds=1,
        flop=2,
        slices=1,
        peak_bytes_per_worker=8,
        result_bytes=8,
        predicted_ms=1.0,
        fits=True,
        basis="typical",
        plan=plan,
    )
    result = JobResult(
        shape=(),
        dtype="float64",
        error_bound=0.0,
        bytes=8,
        sha256="0" * 64,
        ms=1.0,
        mul_adds=1,
        backend="numpy",
        details={"plan": "long"},
    )
    done = job("a", "done").model_copy(update={"estimate": estimate, "result": result})
    rows = []
    for number in range(jobs):
        one = done.model_copy(update={"id": f"{number:032x}", "title": str(number)})
        record = canonical(one.to_json())
        rows.append((one.id, sha256(REQUEST.encode()).hexdigest(), number, record))
    folder.mkdir(exist_ok=True)
    with closing(Store(folder)) as store:
        owner = store.put_token("owner", "hash")
        with store.transaction() as connection:
            connection.executemany(
                "INSERT INTO jobs (id, token, digest, state, changed, ended_at, record) "
                f"VALUES (?, {owner.id}, ?, 'done', ?, '9999', ?)",
                rows,
            )
            connection.execute("INSERT INTO requests SELECT seq, ? FROM jobs", (REQUEST,))


def overwrite(path: Path, place: int, pages: int) -> bytes:
    """What a file holds after so many of its pages were overwritten."""
    content = bytearray(path.read_bytes())
    first = place // 4096 * 4096
    content[first : first + pages * 4096] = b"\xaa" * (pages * 4096)
    path.write_bytes(content)
    return bytes(content)
