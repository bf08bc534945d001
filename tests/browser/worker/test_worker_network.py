"""The line between page and service is cut in the middle of whatever it carries, and comes back.

The service is the real one; between them is a proxy. Nothing is lost, nothing goes over the line
twice, and the page says how things stand meanwhile.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lossy_line import LossyLine, lossy_line
from paced_worker import TASKS, PacedWorker, paced_worker
from worker_page import card, link_to, send_it_there

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from watch import Watch
    from workbench import Workbench

ROWS, TERMS, COLUMNS = 1000, 700, 200
"""Of the matrices: the larger takes two pieces to send, the product 1.6 MB to fetch."""

OPEN = """
async ([rows, terms, columns]) => {
  const ramp = (size, step) => Array.from({ length: size }, (_, place) => (place * step) % 17 - 8);
  await tensorloom.open({ format: "einsum", text: "ij,jk->ik", arrays: [
    { shape: [rows, terms], data: ramp(rows * terms, 5) },
    { shape: [terms, columns], data: ramp(terms * columns, 3) },
  ] });
}
"""


def product() -> np.ndarray:
    """What numpy finds for the matrices of ``OPEN``."""
    one, other = (
        (np.arange(rows * columns) * step % 17 - 8.0).reshape(rows, columns)
        for rows, columns, step in [(ROWS, TERMS, 5), (TERMS, COLUMNS, 3)]
    )
    return one @ other


@pytest.fixture
def service(tmp_path: Path) -> Iterator[PacedWorker]:
    with paced_worker(tmp_path / "data") as found:
        yield found


@pytest.fixture
def line(service: PacedWorker) -> Iterator[LossyLine]:
    with lossy_line(service.address) as found:
        yield found


@pytest.fixture
def connected(
    bench: Workbench, service: PacedWorker, line: LossyLine, visited: tuple[Workbench, Watch]
) -> Workbench:
    """A page that is connected through the line."""
    visited[1].allow(re.escape(line.address))
    hash_ = link_to(line.address, service.token)
    bench.page.evaluate("(hash) => { location.hash = hash; }", hash_)
    bench.until("now.remote?.connection.kind === 'on'")
    return bench


def is_away(bench: Workbench, words: str) -> None:
    """Waits until the page says that the worker does not answer, in the card and in the header."""
    bench.until("now.remote.connection.kind === 'waiting'")
    assert words in card(bench)
    device = bench.page.get_by_role("button", name="Show this device").inner_text()
    assert "no answer from the worker" in device


def progress(bench: Workbench, tasks: int) -> None:
    bench.until(f"now.remote.current?.job?.progress.fraction === {tasks / TASKS}")


def test_a_job_outlasts_cuts_of_its_upload_its_stream_and_its_result(
    connected: Workbench, service: PacedWorker, line: LossyLine
) -> None:
    bench = connected
    bench.page.evaluate(OPEN, [ROWS, TERMS, COLUMNS])

    # In the middle of the first array.
    line.cut_during("PATCH", "/v1/arrays/", sent=1_500_000)
    send_it_there(bench)
    is_away(bench, "Waits until the worker answers; it is kept here.")
    assert service.executor.began == []
    line.mend()
    bench.until("now.remote.current?.job?.state === 'running'", seconds=40)
    pieces = line.requests("PATCH", "/v1/arrays/")
    first = [one for one in pieces if one.path == pieces[0].path]
    offsets = [int(one.headers["upload-offset"]) for one in first]
    assert offsets[0] == 0
    # It went on behind what had arrived, less what was still between proxy and service.
    assert 500_000 < offsets[1] <= 1_500_000
    assert offsets == sorted(set(offsets))
    ends = [
        start + int(one.headers["content-length"])
        for start, one in zip(offsets, first, strict=True)
    ]
    assert ends[-1] == int(first[0].path.partition("length=")[2])

    # In the middle of the stream; the job goes on meanwhile.
    service.step()
    progress(bench, 1)
    line.cut()
    is_away(bench, "The worker does not answer just now; the job goes on there.")
    before = len(line.requests("GET", "/v1/events"))
    service.step()
    line.mend()
    progress(bench, 2)
    service.step()
    progress(bench, 3)
    streams = line.requests("GET", "/v1/events")
    assert int(streams[before].headers["last-event-id"]) > 0

    # In the middle of the value.
    line.cut_during("GET", "/v1/jobs/", answered=500_000)
    service.step()
    is_away(bench, "The worker does not answer just now; the rest of the value comes when it does.")
    line.mend()
    bench.until("now.result?.backend === 'worker' && now.stale === null", seconds=40)
    value = product()
    assert bench.state("now.result.shape") == list(value.shape)
    assert bench.state("now.result.norm") == pytest.approx(np.linalg.norm(value), rel=1e-12)
    fetched = line.requests("GET", "/v1/jobs/")
    start = int(fetched[1].headers["range"].removeprefix("bytes=").partition("-")[0])
    assert "range" not in fetched[0].headers
    assert 300_000 < start <= 500_000
    assert len(fetched) == 2

    # Nothing was computed twice either.
    assert len(service.executor.began) == 1
    assert service.executor.done_tasks == [(service.executor.began[0], n) for n in range(TASKS)]
    assert bench.toasts() == []


def test_a_job_whose_answer_was_lost_runs_once(
    connected: Workbench, service: PacedWorker, line: LossyLine
) -> None:
    bench = connected
    bench.open(format="einsum", text="ij,jk,kl,li-> i=9 j=8 k=7 l=6", seed=3)
    line.cut_during("POST", "/v1/jobs", answered=1)
    send_it_there(bench)
    is_away(bench, "Waits until the worker answers; it is kept here.")
    # Meanwhile the drawing is another one, with another order.
    drawing = bench.document()
    bench.open(format="einsum", text="i,i-> i=3", seed=1)
    line.mend()
    bench.until("now.remote.jobs.length === 1 && now.remote.jobs[0].sent?.id", seconds=40)
    for _ in range(TASKS):
        done = len(service.executor.done_tasks)
        service.step()
        bench.until(f"now.remote.jobs[0].job.progress.slicesDone > {done}")
    bench.until("now.remote.jobs[0].job.state === 'done'")
    sent = line.requests("POST", "/v1/jobs")
    assert len(sent) == 2
    assert sent[0].headers["idempotency-key"] == sent[1].headers["idempotency-key"]
    assert len(service.executor.began) == 1
    assert bench.toasts() == []
    bench.page.get_by_role("button", name="Open its drawing").click()
    bench.until("now.result?.backend === 'worker' && now.stale === null")
    assert bench.document()["dimensions"] == drawing["dimensions"]
