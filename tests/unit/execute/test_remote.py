"""The Python client against a real server that keeps the worker's contract, and breaks it."""

from __future__ import annotations

import hashlib
import io
import json
import socket
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import tensorloom
from tensorloom.errors import (
    Cancelled,
    InputError,
    NetworkError,
    WorkerRejected,
    WorkerUnreachable,
)
from tensorloom.execute.arrays import ArrayStore
from tensorloom.execute.backend import SlicesDone, drive
from tensorloom.execute.remote.client import WorkerClient, error_of
from tensorloom.execute.remote.job import Watcher, contracted, returned
from tensorloom.execute.remote.request import MOST_INLINE, job_request
from tensorloom.formats.opening import open_text
from tensorloom.model.commands import SetArray, apply_all
from worker_double import TOKEN, WorkerDouble, worker_double

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorloom.model.document import Document


@pytest.fixture
def double() -> Iterator[WorkerDouble]:
    with worker_double() as found:
        yield found


class Clients:
    """Makes clients that never really wait, and closes them."""

    def __init__(self) -> None:
        self.made: list[WorkerClient] = []

    def __call__(self, double: WorkerDouble, **change: Any) -> WorkerClient:
        given = {"address": double.address, "token": TOKEN, "sleep": lambda _: None} | change
        self.made.append(WorkerClient(**given))
        return self.made[-1]


@pytest.fixture
def client_of() -> Iterator[Clients]:
    clients = Clients()
    yield clients
    for client in clients.made:
        client.close()


def document_of(text: str = "ij,jk->ik i=3 j=4 k=2") -> Document:
    return open_text(text, format="einsum", name="", options={"seed": 1}).document


def methods(double: WorkerDouble) -> list[str]:
    return [f"{method} {path.partition('?')[0]}" for method, path, _ in double.requests]


# --- the library's own door -------------------------------------------------------------------


def test_a_network_is_contracted_by_the_worker(double: WorkerDouble) -> None:
    document = document_of()
    here = tensorloom.contract_network(document, backend="numpy")
    there = tensorloom.contract_network(
        document, backend="worker", address=double.address, token=TOKEN
    )
    np.testing.assert_array_equal(there.value, here.value)
    assert there.backend == "worker"
    assert there.dtype == "float64"
    assert there.ms == 61_000.0
    assert there.predicted_ms == 300_000.0
    assert there.mul_adds == 24
    assert there.error_bound == here.error_bound
    assert there.notes == (f"Computed by numpy on the worker at {double.address[7:]}.",)


def test_operands_travel_with_an_equation_and_give_what_einsum_gives(double: WorkerDouble) -> None:
    random = np.random.default_rng(1)
    left, right = random.normal(size=(3, 4)), random.normal(size=(4, 2)) + 1j
    found = tensorloom.contract(
        "ij,jk->ik", left, right, backend="worker", address=double.address, token=TOKEN
    )
    np.testing.assert_allclose(found, left @ right, rtol=1e-14)
    assert double.blobs == {}


def test_what_contracts_there_may_be_chosen(double: WorkerDouble) -> None:
    where = {"backend": "worker", "address": double.address, "token": TOKEN}
    tensorloom.contract_network(document_of(), worker_backend="wgpu", **where)  # type: ignore[arg-type]  # texts
    tensorloom.contract("i,i->", [1.0], [2.0], worker_backend="torch", **where)  # type: ignore[arg-type]
    tensorloom.contract_network(document_of(), **where)  # type: ignore[arg-type]
    found = [double.bodies[job].get("backend") for job in ("job1", "job2", "job3")]
    assert found == ["wgpu", "torch", None]


def test_a_batch_is_many_contractions_that_share_the_rest(double: WorkerDouble) -> None:
    document = document_of("ij,jk->ik i=2 j=3 k=2")
    first, second = (tensor.id for tensor in document.network.tensors)
    random = np.random.default_rng(3)
    left, right = random.normal(size=(5, 2, 3)), random.normal(size=(3, 2))
    found = tensorloom.contract_network(
        document,
        [np.zeros((2, 3)), right],
        backend="worker",
        address=double.address,
        token=TOKEN,
        batch={first: left},
    )
    np.testing.assert_allclose(found.value, left @ right, rtol=1e-14)
    sent = double.bodies["job1"]
    assert list(sent["batch"]["arrays"]) == [first]
    plain = job_request(document, None, dtype="float64", store=ArrayStore())
    with pytest.raises(NetworkError) as unknown:
        plain.with_batch({"z": left})
    assert unknown.value.code == "unknown-tensor"
    with pytest.raises(InputError) as here:
        tensorloom.contract_network(document, batch={second: right[None]})
    assert here.value.code == "batch-here"


def test_a_batch_takes_the_place_of_the_tensor_s_own_array() -> None:
    document = document_of("ij,jk->ik i=65 j=64 k=65")
    first, second = (tensor.id for tensor in document.network.tensors)
    large = np.ones((65, 64))
    plain = job_request(document, [large, 2 * large.T], dtype="float64", store=ArrayStore())
    sent = plain.with_batch({first: np.ones((1, 65, 64))})
    assert set(plain.record["arrays"]) == {first, second}
    assert set(sent.record["arrays"]) == {second}
    names = [
        use["sha256"]
        for use in (sent.record["arrays"][second], sent.record["batch"]["arrays"][first])
    ]
    assert sorted(sent.files) == sorted(names)


def test_address_and_token_may_come_from_the_environment(
    double: WorkerDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENSORLOOM_WORKER", double.address)
    monkeypatch.setenv("TENSORLOOM_WORKER_TOKEN", TOKEN)
    found = tensorloom.contract("i,i->", [1.0, 2.0], [3.0, 4.0], backend="worker")
    assert found == 11.0


def test_arrays_that_do_not_fit_are_refused_before_anything_is_sent(double: WorkerDouble) -> None:
    document = document_of()
    with pytest.raises(NetworkError) as caught:
        tensorloom.contract_network(
            document,
            [np.ones((3, 4)), np.ones((5, 2))],
            backend="worker",
            address=double.address,
            token=TOKEN,
        )
    assert caught.value.code == "array-shape"
    assert double.requests == []


# --- what is sent -----------------------------------------------------------------------------


def test_small_arrays_travel_in_the_document_and_large_ones_as_files_once() -> None:
    small, large = np.arange(4.0).reshape(2, 2), np.ones((65, 64))
    assert small.size <= MOST_INLINE < large.size
    document = document_of("ij,ab,ab->ij i=2 j=2 a=65 b=64")
    sent = job_request(document, [small, large, large.copy()], dtype="float32", store=ArrayStore())
    tensors: Any = sent.record["document"]
    recipes = [tensor["array"] for tensor in tensors["tensors"]]
    assert recipes[0] == {
        "kind": "inline",
        "values": [0.0, 1.0, 2.0, 3.0],
        "shape": [2, 2],
        "complex": False,
    }
    assert [recipe["kind"] for recipe in recipes[1:]] == ["blob", "blob"]
    assert len(sent.files) == 1
    [name] = sent.files
    ids = [tensor["id"] for tensor in tensors["tensors"]]
    assert sent.record["arrays"] == {ids[1]: {"sha256": name}, ids[2]: {"sha256": name}}
    assert sent.record["dtype"] == "float32"


def test_numbers_that_json_has_no_word_for_travel_as_files() -> None:
    document = document_of("i->i i=2")
    sent = job_request(document, [np.array([np.nan, 1.0])], dtype="float64", store=ArrayStore())
    assert len(sent.files) == 1
    assert json.dumps(sent.record, allow_nan=False)


def test_stored_arrays_of_a_document_travel_as_files(double: WorkerDouble) -> None:
    store = ArrayStore()
    document = document_of("ij,jk->ik i=2 j=2 k=2")
    arrays = [np.arange(4.0).reshape(2, 2) + place for place in range(2)]
    ids = [tensor.id for tensor in document.network.tensors]
    document = apply_all(
        document,
        [
            SetArray(id=name, array=store.add(array))
            for name, array in zip(ids, arrays, strict=True)
        ],
    )
    found = tensorloom.contract_network(
        document, store=store, backend="worker", address=double.address, token=TOKEN
    )
    np.testing.assert_array_equal(found.value, arrays[0] @ arrays[1])
    assert len(double.blobs) == 2


def test_the_order_found_here_is_sent_along() -> None:
    document = document_of("ij,jk,kl->il i=2 j=9 k=2 l=3")
    plan = tensorloom.engine.plan_of(document.network)
    sent = job_request(document, None, dtype="float64", store=ArrayStore(), plan=plan)
    assert sent.record["plan"] == {"path": [list(pair) for pair in plan.tree.path], "sliced": []}


# --- uploads ----------------------------------------------------------------------------------


def test_an_upload_that_was_cut_off_goes_on_where_it_stopped(
    double: WorkerDouble, client_of: Clients
) -> None:
    data = np.random.default_rng(0).bytes(20 * 2**20)
    double.cut = 2
    told: list[int] = []
    name = hashlib.sha256(data).hexdigest()
    client_of(double).upload(name, data, told.append)
    assert bytes(double.blobs[name]) == data
    offsets = [
        int(headers["Upload-Offset"]) for method, _, headers in double.requests if method == "PATCH"
    ]
    half = 4 * 2**20
    assert offsets == [0, half, 2 * half, 4 * half]
    assert told == [0, half, 2 * half, 4 * half, len(data)]


def test_a_file_that_is_there_is_not_sent_again(double: WorkerDouble, client_of: Clients) -> None:
    data = b"some bytes"
    name = hashlib.sha256(data).hexdigest()
    client = client_of(double)
    client.upload(name, data, lambda _: None)
    client.upload(name, data, lambda _: None)
    assert methods(double).count(f"PATCH /v1/arrays/{name}") == 1


def test_an_upload_waits_for_an_earlier_try_that_the_worker_still_reads(
    double: WorkerDouble, client_of: Clients
) -> None:
    data, waited = b"some bytes", list[float]()
    name = hashlib.sha256(data).hexdigest()
    double.busy = 2
    client_of(double, sleep=waited.append).upload(name, data, lambda _: None)
    assert bytes(double.blobs[name]) == data
    assert waited == [0.25, 0.5]


def test_an_upload_that_the_worker_never_takes_ends(
    double: WorkerDouble, client_of: Clients
) -> None:
    data, waited = b"some bytes", list[float]()
    name = hashlib.sha256(data).hexdigest()
    double.busy = 1_000_000
    client = client_of(double, sleep=waited.append, patience_s=30.0)
    with pytest.raises(WorkerRejected) as caught:
        client.upload(name, data, lambda _: None)
    assert caught.value.code == "upload-busy"
    assert 30.0 <= sum(waited) <= 60.0


def test_a_share_that_is_used_up_is_said_at_once(double: WorkerDouble, client_of: Clients) -> None:
    data, waited = b"some bytes", list[float]()
    double.full = True
    client = client_of(double, sleep=waited.append)
    with pytest.raises(WorkerRejected) as caught:
        client.upload(hashlib.sha256(data).hexdigest(), data, lambda _: None)
    assert caught.value.code == "quota-bytes"
    assert waited == []


def test_the_sum_so_far_comes_with_its_own_scale(double: WorkerDouble, client_of: Clients) -> None:
    file = io.BytesIO()
    np.save(file, np.array(1.5))
    double.partials["0" * 32] = (file.getvalue(), 301.25)
    found = client_of(double).partial("0" * 32)
    assert found == (file.getvalue(), 301.25)
    assert client_of(double).partial("1" * 32) is None


# --- tries ------------------------------------------------------------------------------------


def test_requests_that_break_are_tried_again_and_make_one_job(
    double: WorkerDouble, client_of: Clients
) -> None:
    request = job_request(document_of(), None, dtype="float64", store=ArrayStore())
    client = client_of(double)
    client.greet()
    double.lost, double.broken = 1, 2
    job = client.submit(request.record, "one-key")
    assert len(double.jobs) == 1
    assert client.submit(request.record, "one-key")["id"] == job["id"]
    assert [method for method in methods(double) if method == "POST /v1/jobs"] == [
        "POST /v1/jobs"
    ] * 5
    with pytest.raises(WorkerRejected) as caught:
        client.submit({**request.record, "title": "other"}, "one-key")
    assert caught.value.code == "key-reused"


def test_pauses_between_tries_grow_and_end(double: WorkerDouble, client_of: Clients) -> None:
    double.away = True
    pauses: list[float] = []
    client = client_of(double, sleep=pauses.append, patience_s=30)
    with pytest.raises(WorkerUnreachable) as caught:
        client.job("job1")
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert caught.value.code == "worker-unreachable"


def test_a_worker_that_is_not_there_is_said_soon() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(WorkerUnreachable) as caught:
            WorkerClient(address=f"127.0.0.1:{port}", token=TOKEN, sleep=lambda _: None).greet()
    assert caught.value.message == f"The worker at 127.0.0.1:{port} does not answer."
    assert "build.py worker" in caught.value.hint


def test_a_worker_that_goes_away_leaves_a_way_back_to_the_job(
    double: WorkerDouble, client_of: Clients
) -> None:
    double.held = True

    def vanish(_job: str) -> None:
        double.away = True

    request = job_request(document_of(), None, dtype="float64", store=ArrayStore())
    client = client_of(double)
    with pytest.raises(WorkerUnreachable) as caught:
        drive(contracted(client, request, Watcher(sent=vanish)))
    assert caught.value.code == "worker-interrupted"
    assert caught.value.values["job"] == "job1"
    assert caught.value.hint == (
        f"Come back to it: python -m tensorloom contract --worker {double.address} --job job1"
    )
    double.away = False
    double.finish("job1")
    np.testing.assert_array_equal(
        drive(returned(client, "job1")).value,
        tensorloom.contract_network(document_of(), backend="numpy").value,
    )


# --- following a job --------------------------------------------------------------------------


class Pulse:
    """Writes down what it is told; cancels at the given call."""

    def __init__(self, cancel_at: int | None = None) -> None:
        self.told: list[tuple[int, int | None]] = []
        self.cancel_at = cancel_at

    async def __call__(self, done: int, slices: SlicesDone | None = None, /) -> None:
        self.told.append((done, slices.done if slices else None))
        if len(self.told) == self.cancel_at:
            raise Cancelled("cancelled", "Enough.")


def test_the_pulse_is_told_of_slices_and_may_cancel_the_job(
    double: WorkerDouble, client_of: Clients
) -> None:
    double.held = True
    pulse = Pulse(cancel_at=3)
    steps = iter([16, 32, 48])

    def step(_seconds: float) -> None:
        double.run("job1", next(steps), 64, 0.5)

    client = client_of(double, sleep=step)
    request = job_request(document_of(), None, dtype="float64", store=ArrayStore())
    with pytest.raises(Cancelled):
        drive(contracted(client, request, Watcher(pulse=pulse)))
    assert pulse.told == [(0, 0), (123_456_789 // 4, 16), (123_456_789 // 2, 32)]
    assert double.jobs["job1"]["state"] == "cancelled"


def test_a_cancellation_stays_one_where_the_worker_does_not_take_it(
    double: WorkerDouble, client_of: Clients
) -> None:
    double.held = True

    async def pulse(_done: int, _slices: SlicesDone | None = None, /) -> None:
        double.token = "another"  # from now on it refuses
        raise Cancelled("cancelled", "Enough.")

    client = client_of(double)
    request = job_request(document_of(), None, dtype="float64", store=ArrayStore())
    with pytest.raises(Cancelled) as caught:
        drive(contracted(client, request, Watcher(pulse=pulse)))
    assert caught.value.message == "Enough."
    (note,) = caught.value.__notes__
    assert note.startswith(f"Job job1 may go on at {client.name}: ")
    assert double.jobs["job1"]["state"] == "queued"


def test_a_job_that_somebody_else_cancels_is_said(double: WorkerDouble, client_of: Clients) -> None:
    double.held = True
    client = client_of(
        double,
        sleep=lambda _: double.step("job1", state="cancelled"),
    )
    request = job_request(document_of(), None, dtype="float64", store=ArrayStore())
    with pytest.raises(Cancelled) as caught:
        drive(contracted(client, request))
    assert caught.value.message == "Job job1 was cancelled."
    assert "POST /v1/jobs/job1/cancel" not in methods(double)


def test_a_job_that_fails_raises_what_the_worker_says(
    double: WorkerDouble, client_of: Clients
) -> None:
    double.held = True
    error = NetworkError("complex-into-real", "An array is complex.", "Choose complex64.").to_json()
    client = client_of(
        double,
        sleep=lambda _: double.step("job1", state="failed", error=error),
    )
    request = job_request(document_of(), None, dtype="float64", store=ArrayStore())
    with pytest.raises(NetworkError) as caught:
        drive(contracted(client, request))
    assert (caught.value.code, caught.value.hint) == ("complex-into-real", "Choose complex64.")


def test_a_result_that_is_not_the_computed_one_is_refused(
    double: WorkerDouble, client_of: Clients
) -> None:
    client = client_of(double)
    request = job_request(document_of(), None, dtype="float64", store=ArrayStore())
    drive(contracted(client, request))
    data = double.results["job1"]
    double.results["job1"] = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(WorkerRejected) as caught:
        drive(returned(client, "job1"))
    assert caught.value.code == "worker-damaged-result"


def test_a_result_of_many_pieces_is_put_together(
    double: WorkerDouble, client_of: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tensorloom.execute.remote.client.PIECE_BYTES", 50)
    request = job_request(document_of(), None, dtype="float64", store=ArrayStore())
    found = drive(contracted(client_of(double), request))
    here = tensorloom.contract_network(document_of(), backend="numpy")
    np.testing.assert_array_equal(found.value, here.value)
    assert methods(double).count("GET /v1/jobs/job1/result.npy") == 4


# --- refusals ---------------------------------------------------------------------------------


def test_a_wrong_token_is_said_and_not_tried_again(
    double: WorkerDouble, client_of: Clients
) -> None:
    client = client_of(double, token="other")
    client.greet()
    with pytest.raises(WorkerUnreachable) as caught:
        client.job("job1")
    assert caught.value.code == "worker-token"
    assert len(double.requests) == 2


def test_the_token_is_not_sent_with_the_greeting(double: WorkerDouble, client_of: Clients) -> None:
    client_of(double).greet()
    assert "Authorization" not in double.requests[0][2]


@pytest.mark.parametrize("token", ["", "  \n"])
def test_no_token_is_refused_at_once(token: str) -> None:
    with pytest.raises(WorkerUnreachable) as caught:
        WorkerClient(address="127.0.0.1:1", token=token)
    assert caught.value.code == "worker-no-token"


@pytest.mark.parametrize("token", ["tlw_a\ntlw_b", "“tlw_a”", "tlw_a tlw_b", "tlw_\x7f"])
def test_what_is_no_token_is_refused_and_not_said(token: str) -> None:
    with pytest.raises(WorkerUnreachable) as caught:
        WorkerClient(address="127.0.0.1:1", token=token)
    assert caught.value.code == "worker-token"
    assert "tlw_" not in str(caught.value.to_json())


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        (" 127.0.0.1:8765/ ", "http://127.0.0.1:8765"),
        ("https://worker.example/lab//", "https://worker.example/lab"),
        ("bücher.example", "http://bücher.example"),
        ("http://[::1]:8765", "http://[::1]:8765"),
    ],
)
def test_an_address_has_one_form(typed: str, address: str) -> None:
    assert WorkerClient(address=typed, token="t").address == address


@pytest.mark.parametrize(
    "typed",
    [
        *("", "ftp://worker", "http://", "http://a:b@worker", "http://w/?t=1", "http://w:x"),
        *("http://a..b:1", f"http://{64 * 'a'}", "http://w/a b", "http://w/é"),
    ],
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(WorkerUnreachable) as caught:
        WorkerClient(address=typed, token="t")
    assert caught.value.code == "worker-address"


def test_python_in_the_page_is_told_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tensorloom.execute.remote.client.IN_BROWSER", True)
    with pytest.raises(WorkerUnreachable) as caught:
        WorkerClient(address="127.0.0.1:1", token="t")
    assert caught.value.code == "worker-in-page"
    assert "tensorloom.run" in caught.value.hint


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<html>", "worker-not-one"),
        (b'{"status": "fine"}', "worker-not-one"),
        (b"[1]", "worker-not-one"),
        (b'{"status": "ok", "api": 2}', "worker-version"),
    ],
)
def test_what_answers_must_be_a_worker_of_this_version(
    double: WorkerDouble,
    client_of: Clients,
    monkeypatch: pytest.MonkeyPatch,
    body: bytes,
    code: str,
) -> None:
    monkeypatch.setattr("worker_double.json.dumps", lambda _value: body.decode())
    with pytest.raises(WorkerUnreachable) as caught:
        client_of(double).greet()
    assert caught.value.code == code


def test_errors_keep_their_class_and_unknown_ones_are_refusals() -> None:
    record = {"kind": "PlanError", "code": "too-long", "message": "M.", "hint": "H."}
    assert type(error_of(record)).__name__ == "PlanError"
    assert type(error_of({**record, "kind": "Where"})).__name__ == "WorkerRejected"
    assert error_of(record, status=422).values == {"status": 422}
