"""Jobs from the request to the result, through the ASGI app with an executor in this process."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import threading
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
from doubles import TASKS, machine_error
from stored import many
from worker_harness import Worker, contraction, document, scalar_document, worker

from tensorloom import contract_network
from tensorloom.errors import PlanError
from tensorloom.model import codec
from tensorloom_worker import queue
from tensorloom_worker.refusals import disk_full

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

pytestmark = pytest.mark.asyncio


async def test_a_job_is_submitted_run_and_its_result_read(service: Worker) -> None:
    job = await service.submit(title="Mine")
    found = await service.finished(job)
    assert found["state"] == "done"
    assert found["title"] == "Mine"
    assert found["progress"]["slicesDone"] == str(TASKS)
    assert found["createdAt"] <= found["startedAt"] <= found["finishedAt"]
    answer = await service.client.get(f"/v1/jobs/{job}/result.npy")
    expected = contract_network(codec.from_json(document())).value
    np.testing.assert_allclose(np.load(io.BytesIO(answer.content)), expected, rtol=1e-14)
    assert found["result"]["bytes"] == str(len(answer.content))
    assert answer.headers["etag"] == f'"{found["result"]["sha256"]}"'


async def test_a_scalar_result_is_in_the_job_itself(service: Worker) -> None:
    job = await service.submit(document=scalar_document())
    found = await service.finished(job)
    expected = contract_network(codec.from_json(scalar_document())).value
    assert found["result"]["value"] == [pytest.approx(float(expected)), 0.0]
    assert found["result"]["shape"] == []


async def test_a_title_is_taken_from_the_document(service: Worker) -> None:
    job = await service.submit(document=document(title="Of the document"))
    assert (await service.finished(job))["title"] == "Of the document"


async def test_an_entry_point_is_a_job_like_any_other(service: Worker) -> None:
    request = {"kind": "entry", "entry": "path-search", "parameters": {"document": document()}}
    answer = await service.client.post("/v1/jobs", json=request)
    assert answer.status_code == 201
    found = await service.finished(answer.json()["id"])
    assert (found["kind"], found["state"]) == ("entry", "done")


async def test_the_same_key_gives_the_same_job_and_another_request_is_refused(
    service: Worker,
) -> None:
    key = {"Idempotency-Key": "0123-abcd"}
    first = await service.client.post("/v1/jobs", json=contraction(), headers=key)
    again = await service.client.post("/v1/jobs", json=contraction(), headers=key)
    other = await service.client.post("/v1/jobs", json=contraction(title="x"), headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert (other.status_code, other.json()["code"]) == (409, "job-key-used")
    assert len((await service.client.get("/v1/jobs")).json()["jobs"]) == 1


async def test_what_was_taken_once_is_not_judged_again(
    service: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(_request: object) -> None:
        raise machine_error("no-such-backend")

    key = {"Idempotency-Key": "0123-abcd"}
    first = await service.client.post("/v1/jobs", json=contraction(), headers=key)
    monkeypatch.setattr(service.executor, "check", gone)
    again = await service.client.post("/v1/jobs", json=contraction(), headers=key)
    fresh = await service.client.post("/v1/jobs", json=contraction())
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert fresh.json()["code"] == "no-such-backend"


async def test_a_key_belongs_to_its_client(service: Worker) -> None:
    key = {"Idempotency-Key": "0123-abcd"}
    mine = await service.client.post("/v1/jobs", json=contraction(), headers=key)
    async with service.second_client() as second:
        theirs = await second.post("/v1/jobs", json=contraction(), headers=key)
    assert mine.status_code == theirs.status_code == 201
    assert mine.json()["id"] != theirs.json()["id"]


async def test_jobs_of_other_clients_do_not_exist(service: Worker) -> None:
    job = await service.submit()
    await service.finished(job)
    async with service.second_client() as second:
        assert (await second.get("/v1/jobs")).json() == {"jobs": []}
        for method, path in (
            ("GET", f"/v1/jobs/{job}"),
            ("DELETE", f"/v1/jobs/{job}"),
            ("POST", f"/v1/jobs/{job}/cancel"),
            ("GET", f"/v1/jobs/{job}/result.npy"),
            ("GET", f"/v1/jobs/{job}/partial.npy"),
            ("GET", f"/v1/jobs/{job}/events"),
        ):
            answer = await second.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (404, "job-unknown"), path
    assert (await service.client.get(f"/v1/jobs/{job}")).status_code == 200


async def test_the_list_goes_backwards_in_pages(service: Worker) -> None:
    jobs = [await service.submit(title=str(number)) for number in range(5)]
    first = (await service.client.get("/v1/jobs?limit=2")).json()
    second = (await service.client.get(f"/v1/jobs?limit=2&before={first['next']}")).json()
    third = (await service.client.get(f"/v1/jobs?limit=2&before={second['next']}")).json()
    pages = [[job["id"] for job in page["jobs"]] for page in (first, second, third)]
    assert pages == [[jobs[4], jobs[3]], [jobs[2], jobs[1]], [jobs[0]]]
    assert "next" not in third


async def test_two_thousand_jobs_are_listed_whatever_is_deleted_between_pages(
    tmp_path: Path,
) -> None:
    many(tmp_path / "data", 2_000)
    async with worker(tmp_path / "data") as found:
        listed, query = [], ""
        while True:
            page = (await found.client.get(f"/v1/jobs?limit=200{query}")).json()
            listed += [job["title"] for job in page["jobs"]]
            if "next" not in page:
                break
            query = f"&before={page['next']}"
            gone = page["jobs"][-1]["id"]
            assert (await found.client.delete(f"/v1/jobs/{gone}")).status_code == 204
    assert listed == [str(number) for number in reversed(range(2_000))]


async def test_lists_and_streams_leave_out_what_is_as_long_as_a_network(tmp_path: Path) -> None:
    many(tmp_path / "data", 1)
    async with worker(tmp_path / "data") as found:
        [listed] = (await found.client.get("/v1/jobs")).json()["jobs"]
        stream = (await found.client.get(f"/v1/jobs/{listed['id']}/events")).text
        whole = (await found.client.get(f"/v1/jobs/{listed['id']}")).json()
    told = json.loads(stream.partition("data: ")[2].partition("\n")[0])
    assert whole["estimate"].pop("plan") == {"path": [[0, 1]], "sliced": []}
    assert whole["result"].pop("details") == {"plan": "long"}
    assert listed == told == whole


async def test_a_waiting_job_knows_its_place_and_can_be_cancelled(service: Worker) -> None:
    service.executor.gate.clear()
    jobs = [await service.submit() for _ in range(5)]
    await service.until(jobs[1], "running")
    places = [
        (await service.client.get(f"/v1/jobs/{job}")).json().get("queuePosition") for job in jobs
    ]
    assert places == [None, None, 1, 2, 3]
    answer = await service.client.post(f"/v1/jobs/{jobs[3]}/cancel")
    assert answer.json()["state"] == "cancelled"
    assert (await service.client.get(f"/v1/jobs/{jobs[4]}")).json()["queuePosition"] == 2
    service.executor.gate.set()
    ended = [await service.finished(job) for job in jobs]
    assert [job["state"] for job in ended] == ["done", "done", "done", "cancelled", "done"]


async def test_a_running_job_is_cancelled_for_good(service: Worker) -> None:
    service.executor.gate.clear()
    job = await service.submit()
    await service.until(job, "running")
    await service.client.post(f"/v1/jobs/{job}/cancel")
    found = await service.finished(job)
    assert found["state"] == "cancelled"
    again = await service.client.post(f"/v1/jobs/{job}/cancel")
    assert again.json() == found
    assert service.app.service.ledger.layout(job) is None


async def test_a_deleted_job_is_gone_with_its_result(service: Worker) -> None:
    job = await service.submit()
    await service.finished(job)
    path = service.app.service.files.result(job)
    assert path.exists()
    assert (await service.client.delete(f"/v1/jobs/{job}")).status_code == 204
    assert (await service.client.get(f"/v1/jobs/{job}")).status_code == 404
    assert not path.exists()


async def test_a_running_job_can_be_deleted(service: Worker) -> None:
    service.executor.gate.clear()
    job = await service.submit()
    await service.until(job, "running")
    assert (await service.client.delete(f"/v1/jobs/{job}")).status_code == 204
    assert (await service.client.get("/v1/jobs")).json() == {"jobs": []}


async def test_a_job_that_cannot_be_done_says_why(service: Worker) -> None:
    service.executor.fail = lambda _job, _task: PlanError("too-long", "It takes 3 years.", "Slice.")
    found = await service.finished(await service.submit())
    assert found["state"] == "failed"
    assert found["error"]["code"] == "too-long"
    assert found["error"]["message"] == "It takes 3 years."


async def test_a_bug_in_one_job_is_told_without_a_trace_and_others_go_on(service: Worker) -> None:
    service.executor.fail = lambda _job, _task: RuntimeError("/secret/path")
    found = await service.finished(await service.submit())
    assert found["error"]["code"] == "internal"
    assert "secret" not in str(found)
    service.executor.fail = lambda _job, _task: None
    assert (await service.finished(await service.submit()))["state"] == "done"


async def test_the_sum_so_far_can_be_read_while_a_job_runs(service: Worker) -> None:
    job = await service.submit(document=scalar_document())
    whole = (await service.finished(job))["result"]["value"][0]
    # Tasks 0 to 2 of four have weights 1, 2, 3; the fourth is never done.
    service.executor.fail = lambda _job, task: machine_error("disk-full") if task == 3 else None
    job = await service.submit(document=scalar_document())
    found = await service.until(job, "queued", noted=True)
    assert found["note"] == "It waits: The machine is not well. Wait."
    answer = await service.client.get(f"/v1/jobs/{job}/partial.npy")
    assert answer.status_code == 200
    scale = 10 ** float(answer.headers["tensorloom-log10-scale"])
    # The double writes its sums with exponent -1, so they count half.
    assert np.load(io.BytesIO(answer.content)) * scale == pytest.approx(whole * 6 / 2)


async def test_there_is_no_partial_sum_of_a_finished_job_and_no_early_result(
    service: Worker,
) -> None:
    service.executor.gate.clear()
    job = await service.submit()
    await service.until(job, "running")
    for name in ("result", "partial"):
        answer = await service.client.get(f"/v1/jobs/{job}/{name}.npy")
        assert (answer.status_code, answer.json()["code"]) == (404, "result-not-ready")
    service.executor.gate.set()
    await service.finished(job)
    assert (await service.client.get(f"/v1/jobs/{job}/partial.npy")).status_code == 404


@pytest.mark.parametrize(
    ("wanted", "status", "part"),
    [
        ("bytes=5-9", 206, slice(5, 10)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=0-100000", 206, slice(0, None)),
        ("bytes=9-5", 200, slice(0, None)),
        ("lines=1-2", 200, slice(0, None)),
        ("bytes=0-1,5-6", 200, slice(0, None)),
    ],
)
async def test_a_download_goes_on_where_it_stopped(
    service: Worker, wanted: str, status: int, part: slice
) -> None:
    job = await service.submit()
    await service.finished(job)
    whole = (await service.client.get(f"/v1/jobs/{job}/result.npy")).content
    answer = await service.client.get(f"/v1/jobs/{job}/result.npy", headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (status, whole[part])


async def test_a_download_beyond_the_end_is_refused_in_words(service: Worker) -> None:
    job = await service.submit()
    size = int((await service.finished(job))["result"]["bytes"])
    answer = await service.client.get(
        f"/v1/jobs/{job}/result.npy", headers={"Range": f"bytes={size}-"}
    )
    assert (answer.status_code, answer.json()["code"]) == (416, "range-refused")


async def test_a_damaged_result_is_named_and_set_aside(service: Worker) -> None:
    job = await service.submit()
    await service.finished(job)
    path = service.app.service.files.result(job)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    answer = await service.client.get(f"/v1/jobs/{job}/result.npy")
    assert (answer.status_code, answer.json()["code"]) == (404, "result-damaged")
    assert not path.exists()
    assert len(list(service.app.service.files.damaged.iterdir())) == 1


async def test_a_result_that_is_too_big_fails_the_job(tmp_path: Path) -> None:
    async with worker(tmp_path / "data", max_result_bytes=100) as small:
        found = await small.finished(await small.submit())
    assert found["error"]["code"] == "result-too-big"
    assert found["error"]["values"] == {"most": 100}


async def test_results_count_for_the_share_of_bytes(tmp_path: Path) -> None:
    async with worker(tmp_path / "data", max_stored_bytes=200, concurrent_jobs=1) as small:
        first = await small.submit()
        second = await small.submit()
        size = int((await small.finished(first))["result"]["bytes"])
        assert 100 < size <= 200 < 2 * size
        assert (await small.finished(second))["error"]["code"] == "quota-bytes"
        object.__setattr__(small.app.service.settings, "max_stored_bytes", size)
        more = await small.client.post("/v1/jobs", json=contraction())
        assert (more.status_code, more.json()["code"]) == (429, "quota-bytes")
        assert (await small.client.delete(f"/v1/jobs/{first}")).status_code == 204
        assert "result" in await small.finished(await small.submit())


async def test_two_results_at_once_do_not_both_find_the_last_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker(tmp_path / "data", max_stored_bytes=200, concurrent_jobs=2) as small:
        files = small.app.service.files
        usual, both = files.write, threading.Barrier(2)

        def write(path: Path, parts: Iterable[bytes | memoryview]) -> None:
            both.wait(30)  # each has found room
            usual(path, parts)

        monkeypatch.setattr(files, "write", write)
        jobs = [await small.submit() for _ in range(2)]
        found = [await small.finished(job) for job in jobs]
        assert sorted(job["state"] for job in found) == ["done", "failed"]
        failed = next(job for job in found if job["state"] == "failed")
        assert failed["error"]["code"] == "quota-bytes"
        assert not files.result(failed["id"]).exists()


async def test_submissions_at_once_do_not_pass_a_quota_together(tmp_path: Path) -> None:
    async with worker(tmp_path / "data", max_jobs_per_token=3, concurrent_jobs=1) as small:
        small.executor.gate.clear()
        asked = [small.client.post("/v1/jobs", json=contraction()) for _ in range(12)]
        answers = await asyncio.gather(*asked)
        assert sorted(answer.status_code for answer in answers) == [201] * 3 + [429] * 9
        assert len((await small.client.get("/v1/jobs")).json()["jobs"]) == 3


async def test_a_job_that_was_taken_is_found_again_by_its_key_when_the_quota_is_used_up(
    tmp_path: Path,
) -> None:
    async with worker(tmp_path / "data", max_jobs_per_token=1) as small:
        small.executor.gate.clear()
        key = {"Idempotency-Key": "0123-abcd"}
        first = await small.client.post("/v1/jobs", json=contraction(), headers=key)
        again = await small.client.post("/v1/jobs", json=contraction(), headers=key)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["id"] == again.json()["id"]


@pytest.mark.parametrize("running", [True, False], ids=["running", "waiting"])
async def test_deleting_a_job_does_not_wait_for_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, running: bool
) -> None:
    monkeypatch.setattr(queue, "RETRY_S", (0.01,))
    async with worker(tmp_path / "data", concurrent_jobs=1) as service:
        service.executor.gate.clear()
        first = await service.submit()
        await service.until(first, "running")
        job = first if running else await service.submit()
        with monkeypatch.context() as full:
            full.setattr(service.app.service.store, "update_job", raises_disk_full)
            async with asyncio.timeout(30):
                answer = await service.client.delete(f"/v1/jobs/{job}")
            assert (answer.status_code, answer.json()["code"]) == (507, "disk-full")
            found = (await service.client.get(f"/v1/jobs/{job}")).json()
            assert found["note"].startswith("Its end waits: The disk of the heavy worker is full.")
        assert (await service.finished(job))["state"] == "cancelled"
        assert (await service.client.delete(f"/v1/jobs/{job}")).status_code == 204
        assert (await service.client.get(f"/v1/jobs/{job}")).status_code == 404


def raises_disk_full(*_: object) -> None:
    raise disk_full()


async def test_quotas_are_said_before_a_job_is_taken(tmp_path: Path) -> None:
    limits = {"max_jobs_per_token": 3, "max_queue": 2, "concurrent_jobs": 1}
    async with worker(tmp_path / "data", **limits) as small:
        small.executor.gate.clear()
        first = await small.submit()
        await small.until(first, "running")
        for _ in range(2):
            await small.submit()
        full = await small.client.post("/v1/jobs", json=contraction())
        assert (full.status_code, full.json()["code"]) == (429, "queue-full")
        assert int(full.headers["retry-after"]) > 0
        object.__setattr__(small.app.service.settings, "max_queue", 100)
        mine = await small.client.post("/v1/jobs", json=contraction())
        assert (mine.status_code, mine.json()["code"]) == (429, "quota-jobs")
        async with small.second_client() as second:
            assert (await second.post("/v1/jobs", json=contraction())).status_code == 201


@pytest.mark.parametrize(
    "full", [machine_error("disk-full"), OSError(errno.ENOSPC, "No space left on device")]
)
async def test_a_full_disk_makes_a_job_wait_and_it_ends_right(
    service: Worker, full: Exception
) -> None:
    failed: list[int] = []

    def fail(_job: str, task: int) -> Exception | None:
        if len(failed) < 1 and task == 2:
            failed.append(task)
            return full
        return None

    service.executor.fail = fail
    job = await service.submit()
    found = await service.finished(job)
    assert failed == [2]
    assert found["state"] == "done"
    assert sorted(service.executor.done_tasks) == [(job, task) for task in range(TASKS)]
    assert service.executor.began == [job, job]
    expected = contract_network(codec.from_json(document())).value
    answer = await service.client.get(f"/v1/jobs/{job}/result.npy")
    np.testing.assert_allclose(np.load(io.BytesIO(answer.content)), expected, rtol=1e-14)


async def test_unfinished_jobs_go_on_after_a_restart(tmp_path: Path) -> None:
    async with worker(tmp_path / "data", concurrent_jobs=1) as first:
        first.executor.gate.clear()
        running, waiting = await first.submit(), await first.submit()
        await first.until(running, "running")
        token = first.token
    async with worker(tmp_path / "data", token=token) as second:
        ended = [await second.finished(job) for job in (running, waiting)]
    assert [job["state"] for job in ended] == ["done", "done"]
    assert [job["resumed"] for job in ended] == [1, 0]


async def test_an_estimate_stores_nothing(service: Worker) -> None:
    answer = await service.client.post("/v1/estimates", json=contraction())
    assert answer.status_code == 200
    assert answer.json()["mulAdds"] == "12"
    assert (await service.client.get("/v1/jobs")).json() == {"jobs": []}


async def test_about_says_what_there_is(service: Worker) -> None:
    found = (await service.client.get("/v1/about")).json()
    assert found["api"] == 1
    assert found["dtypes"] == ["float32", "float64", "complex64", "complex128"]
    names = [entry["name"] for entry in found["entries"]]
    assert names == ["path-search", "sample-amplitudes"]
    assert found["limits"]["maxTensors"] == 20_000


REFUSED = [
    ({}, "missing-field", "The field 'kind' of the request is missing."),
    ({"kind": "code", "source": "1"}, "bad-field", "'kind'"),
    ({"kind": "contract"}, "missing-field", "The field 'document' of the request is missing."),
    (contraction(surprise=1), "unknown-field", "The field 'surprise' of the request"),
    (contraction(document=[]), "bad-field", "The field 'document' of the request"),
    (contraction(document={}), "not-a-document", "not a Tensorloom document"),
    (contraction(dtype="int8"), "bad-field", "The field 'dtype' of the request"),
    (contraction(memoryBytes=0), "bad-field", "memoryBytes"),
    (contraction(searchSeconds=-1), "bad-field", "searchSeconds"),
    (contraction(plan={"path": [[0, 2]]}), "bad-path", "Step 2 joins 0 and 2"),
    (contraction(plan={"path": []}), "bad-path", "leaves 2 tensors apart"),
    (contraction(plan={"path": [[0, 1]], "sliced": ["z"]}), "unknown-index", "slices index 'z'"),
    (contraction(arrays={"c": {"sha256": "0" * 64}}), "unknown-tensor", "tensor 'c'"),
    (contraction(arrays={"a": {"sha256": "0" * 64}}), "array-not-uploaded", "array 000000000000"),
    ({"kind": "entry", "entry": "rm"}, "unknown-entry", "There is no entry point called 'rm'."),
    (
        {"kind": "entry", "entry": "path-search", "parameters": {}},
        "missing-field",
        "The field 'document' of the parameters is missing.",
    ),
]


@pytest.mark.parametrize(("request_json", "code", "words"), REFUSED)
async def test_a_request_without_sense_is_refused_in_words(
    service: Worker, request_json: dict[str, object], code: str, words: str
) -> None:
    answer = await service.client.post("/v1/jobs", json=request_json)
    assert answer.status_code == 422
    assert answer.json()["code"] == code
    assert words in answer.json()["message"]
    assert answer.json()["hint"]
    assert (await service.client.get("/v1/jobs")).json() == {"jobs": []}


async def test_a_network_with_too_many_tensors_is_refused(tmp_path: Path) -> None:
    async with worker(tmp_path / "data", max_tensors=1) as small:
        answer = await small.client.post("/v1/jobs", json=contraction())
    assert answer.json()["message"] == "The network has 2 tensors; this worker takes 1."


async def test_an_unknown_address_and_method_are_answered_in_words(service: Worker) -> None:
    nowhere = await service.client.get("/v1/nowhere")
    method = await service.client.put("/v1/jobs")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "no-such-address")
    assert (method.status_code, method.json()["code"]) == (405, "method-not-allowed")
    assert isinstance(method, httpx.Response)
    assert "allow" in method.headers


async def test_a_site_beside_the_interface_answers_for_none_of_its_addresses(
    tmp_path: Path,
) -> None:
    site = tmp_path / "site"
    (site / "v1").mkdir(parents=True)
    for name in ("index.html", "v1/health", "v1/other", "v1other.html"):
        (site / name).write_text("a file")
    async with worker(tmp_path / "data", site_folder=site) as found:
        answers = [
            (await found.client.request(method, path)).status_code
            for method, path in (
                ("HEAD", "/v1/health"),
                ("PUT", "/v1/jobs"),
                ("GET", "/v1/other"),
                ("GET", "/v1"),
                ("HEAD", "/"),
                ("GET", "/v1other.html"),
            )
        ]
    assert answers == [405, 405, 404, 404, 200, 200]
