"""Array files: resumed, checked, owned, and used by jobs."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save as save_safetensors
from worker_harness import Worker, contraction, document, npy, sha, worker

from tensorloom_worker.array_files import load, read_facts
from tensorloom_worker.refusals import disk_full

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

DATA = npy(np.arange(24.0).reshape(4, 6))


def where(name: str, length: int) -> str:
    return f"/v1/arrays/{name}?length={length}"


@pytest.mark.asyncio
async def test_an_upload_goes_on_where_it_stopped(service: Worker) -> None:
    name, length = sha(DATA), len(DATA)
    assert (await service.client.head(f"/v1/arrays/{name}")).status_code == 404
    for start, end in ((0, 100), (100, 101), (101, length)):
        answer = await service.client.patch(
            where(name, length), content=DATA[start:end], headers={"Upload-Offset": str(start)}
        )
        assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(end))
        found = await service.client.head(f"/v1/arrays/{name}")
        assert found.headers["upload-offset"] == str(end)
        assert found.headers["upload-length"] == str(length)
    assert service.app.service.files.array(name).read_bytes() == DATA


@pytest.mark.asyncio
async def test_a_wrong_offset_or_length_is_refused_with_the_right_one(service: Worker) -> None:
    name, length = sha(DATA), len(DATA)
    await service.client.patch(
        where(name, length), content=DATA[:10], headers={"Upload-Offset": "0"}
    )
    for offset, claimed in ((0, length), (11, length), (10, length + 1)):
        answer = await service.client.patch(
            where(name, claimed), content=b"x", headers={"Upload-Offset": str(offset)}
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "upload-offset")
        assert answer.headers["upload-offset"] == "10"
        assert answer.json()["values"] == {"offset": 10, "length": length}


@pytest.mark.asyncio
async def test_the_length_of_a_file_that_is_here_is_not_the_one_that_is_claimed(
    service: Worker,
) -> None:
    name = await service.upload(DATA)
    answer = await service.client.patch(
        where(name, len(DATA) + 1), content=b"x", headers={"Upload-Offset": str(len(DATA))}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "upload-offset")
    assert answer.json()["values"] == {"offset": len(DATA), "length": len(DATA)}


@pytest.mark.asyncio
async def test_uploads_that_nobody_goes_on_with_are_removed_with_their_bytes(
    service: Worker,
) -> None:
    found = service.app.service
    old, new = [(sha(DATA + end), len(DATA) + 1) for end in (b"x", b"y")]
    for name, length in (old, new):
        await service.client.patch(
            where(name, length), content=DATA[:10], headers={"Upload-Offset": "0"}
        )
    with found.store.transaction() as connection:
        connection.execute("UPDATE arrays SET used_at = '2001-01-01T00:00:00.000Z'")
    await service.client.patch(where(*new), content=DATA[10:20], headers={"Upload-Offset": "10"})
    assert found.store.expire_arrays(30) == 1
    found._sweep_arrays()
    left = [path.name.partition("-")[2] for path in found.files.uploads.iterdir()]
    assert left == [new[0]]


@pytest.mark.asyncio
async def test_an_upload_is_not_removed_while_it_comes(service: Worker) -> None:
    name, length = sha(DATA), len(DATA)
    half_way, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield DATA[:10]
        half_way.set()
        await go_on.wait()
        yield DATA[10:]

    upload = asyncio.create_task(
        service.client.patch(where(name, length), content=slowly(), headers={"Upload-Offset": "0"})
    )
    await half_way.wait()
    answer = await service.client.delete(f"/v1/arrays/{name}")
    assert (answer.status_code, answer.json()["code"]) == (409, "upload-busy")
    go_on.set()
    assert (await upload).status_code == 204
    assert service.app.service.files.array(name).read_bytes() == DATA
    assert (await service.client.delete(f"/v1/arrays/{name}")).status_code == 204


@pytest.mark.asyncio
async def test_more_bytes_than_announced_are_refused(service: Worker) -> None:
    answer = await service.client.patch(
        where(sha(DATA), 10), content=DATA, headers={"Upload-Offset": "0"}
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "upload-too-big")


@pytest.mark.asyncio
async def test_bytes_with_another_hash_are_dropped(service: Worker) -> None:
    name = sha(b"something else")
    answer = await service.client.patch(
        where(name, len(DATA)), content=DATA, headers={"Upload-Offset": "0"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "array-hash")
    assert (await service.client.head(f"/v1/arrays/{name}")).status_code == 404
    assert not list(service.app.service.files.uploads.iterdir())


@pytest.mark.asyncio
async def test_a_file_belongs_to_the_client_that_sent_it(service: Worker) -> None:
    name = await service.upload(DATA)
    async with service.second_client() as second:
        assert (await second.head(f"/v1/arrays/{name}")).status_code == 404
        assert (await second.delete(f"/v1/arrays/{name}")).status_code == 404
        job = await second.post("/v1/jobs", json=contraction(arrays={"a": {"sha256": name}}))
        assert job.json()["code"] == "array-not-uploaded"
        await service.upload(DATA, second)
        assert (await service.client.delete(f"/v1/arrays/{name}")).status_code == 204
        assert (await second.head(f"/v1/arrays/{name}")).status_code == 200
        assert (await second.delete(f"/v1/arrays/{name}")).status_code == 204
    assert not service.app.service.files.array(name).exists()


@pytest.mark.asyncio
async def test_quotas_of_bytes(tmp_path: Path) -> None:
    limits = {"max_upload_bytes": 1000, "max_stored_bytes": 1200}
    async with worker(tmp_path / "data", **limits) as small:
        big = await small.client.patch(
            where("0" * 64, 1001), content=b"x", headers={"Upload-Offset": "0"}
        )
        assert (big.status_code, big.json()["code"]) == (413, "upload-too-big")
        await small.client.patch(
            where("1" * 64, 1000), content=b"x", headers={"Upload-Offset": "0"}
        )
        more = await small.client.patch(
            where("2" * 64, 201), content=b"x", headers={"Upload-Offset": "0"}
        )
        assert (more.status_code, more.json()["code"]) == (429, "quota-bytes")
        assert more.json()["values"] == {"stored": 1000, "most": 1200}


@pytest.mark.asyncio
async def test_how_far_several_uploads_came_is_told_at_once_and_without_errors(
    service: Worker,
) -> None:
    name, part = await service.upload(DATA), "1" * 64
    await service.client.patch(where(part, 1000), content=b"xyz", headers={"Upload-Offset": "0"})
    asked = {"arrays": ["2" * 64, name, part]}
    answer = await service.client.post("/v1/arrays/query", json=asked)
    assert answer.status_code == 200
    assert answer.json()["arrays"] == [
        {"sha256": "2" * 64, "offset": "0"},
        {"sha256": name, "offset": str(len(DATA)), "length": str(len(DATA))},
        {"sha256": part, "offset": "3", "length": "1000"},
    ]
    async with service.second_client() as second:
        theirs = (await second.post("/v1/arrays/query", json=asked)).json()["arrays"]
    assert [one["offset"] for one in theirs] == ["0"] * 3
    for wrong in ([], ["x"], ["2" * 64] * 1001):
        refused = await service.client.post("/v1/arrays/query", json={"arrays": wrong})
        assert (refused.status_code, refused.json()["code"]) == (422, "bad-field")


@pytest.mark.asyncio
async def test_uploads_at_once_do_not_pass_a_quota_together(tmp_path: Path) -> None:
    async with worker(tmp_path / "data", max_stored_bytes=1200) as small:
        asked = [
            small.client.patch(
                where(digit * 64, 1000), content=b"x", headers={"Upload-Offset": "0"}
            )
            for digit in "123456"
        ]
        answers = await asyncio.gather(*asked)
        assert sorted(answer.status_code for answer in answers) == [204] + [429] * 5


@pytest.mark.asyncio
async def test_a_full_disk_keeps_what_came_and_says_so(
    service: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_wanted: int) -> None:
        raise disk_full()

    with monkeypatch.context() as full:
        full.setattr(service.app.service.files, "check_room", no_room)
        answer = await service.client.patch(
            where(sha(DATA), len(DATA)), content=DATA, headers={"Upload-Offset": "0"}
        )
        assert (answer.status_code, answer.json()["code"]) == (507, "disk-full")
        assert "retry-after" in answer.headers
        job = await service.client.post("/v1/jobs", json=contraction())
        assert (job.status_code, job.json()["code"]) == (507, "disk-full")
    await service.upload(DATA)


def arrays_document() -> dict[str, Any]:
    """A (2x3) times B (3): both from uploads."""
    made = document()
    made["dimensions"] = {"i": 2, "j": 3}
    return made


A, B = np.arange(6.0).reshape(2, 3), np.array([1.0, 10.0, 100.0])


@pytest.mark.asyncio
async def test_a_job_contracts_uploaded_arrays(service: Worker) -> None:
    a = await service.upload(npy(np.asfortranarray(A)))
    both = await service.upload(save_safetensors({"other": A, "mine": B}))
    arrays = {"a": {"sha256": a}, "b": {"sha256": both, "key": "mine"}}
    job = await service.submit(document=arrays_document(), arrays=arrays)
    assert (await service.finished(job))["state"] == "done"
    answer = await service.client.get(f"/v1/jobs/{job}/result.npy")
    np.testing.assert_allclose(np.load(io.BytesIO(answer.content)), A @ B)


@pytest.mark.asyncio
async def test_a_job_whose_list_of_arrays_is_lost_still_uses_them(service: Worker) -> None:
    a = await service.upload(npy(A))
    job = await service.submit(document=arrays_document(), arrays={"a": {"sha256": a}})
    await service.finished(job)
    with service.app.service.store.transaction() as connection:
        connection.execute("DELETE FROM job_arrays")
    _, refs = service.app.service._prepared(job)
    assert {name: ref.sha256 for name, ref in refs.items()} == {"a": a}


@pytest.mark.asyncio
async def test_arrays_must_fit_their_tensors(service: Worker) -> None:
    a = await service.upload(npy(A))
    both = await service.upload(save_safetensors({"mine": B}))
    for use, code, words in (
        ({"a": {"sha256": both, "key": "mine"}}, "array-shape", "has the shape (3,), not (2, 3)."),
        ({"b": {"sha256": both}}, "array-key", "holds several arrays; the request names none."),
        ({"b": {"sha256": both, "key": "x"}}, "array-key", "The file holds no array called 'x'."),
        ({"a": {"sha256": a, "key": "x"}}, "array-key", "The file holds no array called 'x'."),
    ):
        answer = await service.client.post(
            "/v1/jobs", json=contraction(document=arrays_document(), arrays=use)
        )
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert words in answer.json()["message"]


@pytest.mark.asyncio
@pytest.mark.parametrize("of_batch", [False, True])
async def test_complex_values_are_refused_where_the_type_is_real(
    service: Worker, *, of_batch: bool
) -> None:
    def asked(digest: str, dtype: str) -> dict[str, Any]:
        uses = {"arrays": {"b": {"sha256": digest}}}
        more = {"batch": uses} if of_batch else uses
        return contraction(document=arrays_document(), dtype=dtype, **more)

    values = np.zeros((2, 3), np.complex64)[: 2 if of_batch else 1].squeeze()
    real = await service.upload(npy(values))
    values[..., -1] = 1j
    odd = await service.upload(npy(values))
    refused = await service.client.post("/v1/jobs", json=asked(odd, "float32"))
    assert (refused.status_code, refused.json()["code"]) == (422, "complex-into-real")
    assert refused.json()["message"] == (
        "The array of tensor 'b' is complex, but the network is contracted in float32."
    )
    assert refused.json()["where"] == {"tensors": ["b"]}
    for request in (asked(odd, "complex64"), asked(real, "float32")):
        assert (await service.client.post("/v1/jobs", json=request)).status_code == 201


@pytest.mark.asyncio
async def test_a_batch_has_one_more_axis_and_one_length(service: Worker) -> None:
    two = await service.upload(npy(np.zeros((5, 3))))
    three = await service.upload(npy(np.zeros((6, 2, 3))))
    ok = contraction(document=arrays_document(), batch={"arrays": {"b": {"sha256": two}}})
    assert (await service.client.post("/v1/jobs", json=ok)).status_code == 201
    both = {"b": {"sha256": two}, "a": {"sha256": three}}
    odd = contraction(document=arrays_document(), batch={"arrays": both})
    answer = await service.client.post("/v1/jobs", json=odd)
    assert answer.json()["code"] == "array-shape"
    twice = contraction(
        document=arrays_document(),
        arrays={"b": {"sha256": two}},
        batch={"arrays": {"b": {"sha256": two}}},
    )
    answer = await service.client.post("/v1/jobs", json=twice)
    assert answer.json()["message"] == "Tensor 'b' has an array and one of a batch."


@pytest.mark.asyncio
async def test_a_stored_array_that_is_not_sent_is_asked_for(service: Worker) -> None:
    made = arrays_document()
    made["tensors"][0]["array"] = {
        "kind": "blob",
        "hash": "a" * 64,
        "shape": [2, 3],
        "dtype": "float64",
    }
    answer = await service.client.post("/v1/jobs", json=contraction(document=made))
    assert (answer.status_code, answer.json()["code"]) == (422, "array-missing")
    assert answer.json()["where"] == {"tensors": ["a"]}


@pytest.mark.asyncio
async def test_an_array_in_use_is_not_removed(service: Worker) -> None:
    a = await service.upload(npy(A))
    service.executor.gate.clear()
    job = await service.submit(document=arrays_document(), arrays={"a": {"sha256": a}})
    answer = await service.client.delete(f"/v1/arrays/{a}")
    assert (answer.status_code, answer.json()["code"]) == (409, "array-in-use")
    await service.client.delete(f"/v1/jobs/{job}")
    assert (await service.client.delete(f"/v1/arrays/{a}")).status_code == 204


@pytest.mark.asyncio
async def test_a_damaged_array_is_named_set_aside_and_the_rest_goes_on(service: Worker) -> None:
    a = await service.upload(npy(A))
    service.executor.gate.clear()
    path = service.app.service.files.array(a)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    use = {"a": {"sha256": a}}
    job = await service.submit(document=arrays_document(), arrays=use)
    other = await service.submit()
    service.executor.gate.set()
    found = await service.finished(job)
    assert found["error"]["code"] == "array-damaged"
    assert a[:12] in found["error"]["message"]
    assert (await service.finished(other))["state"] == "done"
    assert (await service.client.head(f"/v1/arrays/{a}")).status_code == 404
    await service.upload(npy(A))
    again = await service.submit(document=arrays_document(), arrays=use)
    assert (await service.finished(again))["state"] != "queued"


def safetensors_bytes(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def entry(shape: list[object], begin: int, end: int, dtype: str = "F64") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def npy_with(header: str) -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


HOSTILE_FILES = {
    "nothing of the kind": b"hello, world, this is text",
    "pickle": b"\x80\x04\x95\x10\x00\x00\x00cos\nsystem\n.",
    "zip bomb": b"PK\x03\x04" + bytes(100),
    "gzip": b"\x1f\x8b\x08\x00" + bytes(100),
    "npy of objects": npy(np.zeros(3))[:10].replace(b"NUMPY", b"NUMPY")
    + npy(np.zeros(3))[10:].replace(b"'<f8'", b"'|O' "),
    "npy of a structure": npy_with("{'descr': [('a','<f8')], 'fortran_order': False, 'shape': ()}"),
    "npy of a huge shape": npy_with(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000000)}"
    ),
    "npy with a shape that is no number": npy_with(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (float('nan'),)}"
    ),
    "npy with a negative shape": npy_with(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"
    ),
    "npy with code in its header": npy_with("__import__('os').system('true')"),
    "npy with a deep header": npy_with("(" * 5000 + ")" * 5000),
    "npy cut short": npy(np.zeros(100))[:-8],
    "npy with more": npy(np.zeros(100)) + b"more",
    "npy with a header length beyond its end": b"\x93NUMPY\x01\x00\xff\xff{",
    "npy of version 9": b"\x93NUMPY\x09\x00" + bytes(100),
    "npy magic alone": b"\x93NUMPY",
    "safetensors header beyond its end": (2**63).to_bytes(8, "little") + b"{}",
    "safetensors header that is no JSON": safetensors_bytes(b"{nope"),
    "safetensors header with NaN": safetensors_bytes(b'{"a": NaN}'),
    "safetensors header with a key twice": safetensors_bytes(b'{"a": 1, "a": 2}'),
    "safetensors header that nests": safetensors_bytes(b'{"a":' * 3000 + b"1" + b"}" * 3000),
    "safetensors without arrays": safetensors_bytes({}),
    "safetensors that overlap": safetensors_bytes(
        {"a": entry([1], 0, 8), "b": entry([1], 0, 8)}, bytes(8)
    ),
    "safetensors with a gap": safetensors_bytes(
        {"a": entry([1], 0, 8), "b": entry([1], 16, 24)}, bytes(24)
    ),
    "safetensors of a huge shape": safetensors_bytes({"a": entry([2**40, 2**40], 0, 8)}, bytes(8)),
    "safetensors of a float shape": safetensors_bytes({"a": entry([1.5], 0, 8)}, bytes(8)),
    "safetensors of a negative span": safetensors_bytes({"a": entry([1], 8, 0)}, bytes(8)),
    "safetensors of an unknown type": safetensors_bytes({"a": entry([1], 0, 8, "OBJ")}, bytes(8)),
    "safetensors of many axes": safetensors_bytes({"a": entry([1] * 65, 0, 8)}, bytes(8)),
    "safetensors cut short": safetensors_bytes({"a": entry([2], 0, 16)}, bytes(8)),
    "safetensors with more": safetensors_bytes({"a": entry([1], 0, 8)}, bytes(9)),
    "safetensors of an empty array": safetensors_bytes({"a": entry([0], 0, 0)}),
    "one byte": b"x",
}


@pytest.mark.asyncio
@pytest.mark.parametrize("name", HOSTILE_FILES)
async def test_hostile_files_are_refused_and_dropped(service: Worker, name: str) -> None:
    data = HOSTILE_FILES[name]
    answer = await service.client.patch(
        where(sha(data), len(data)), content=data, headers={"Upload-Offset": "0"}
    )
    assert answer.status_code == 422, answer.text
    assert answer.json()["kind"] == "FileFormatError"
    assert answer.json()["hint"]
    assert (await service.client.head(f"/v1/arrays/{sha(data)}")).status_code == 404
    files = service.app.service.files
    assert [*files.uploads.iterdir(), *files.arrays.iterdir()] == []


def test_arrays_are_mapped_as_they_were_saved(tmp_path: Path) -> None:
    made = {
        "f8": np.arange(6.0).reshape(2, 3),
        "c8": np.array([1 + 2j], dtype=np.complex64),
        "i4": np.array([[7]], dtype=np.int32),
    }
    file = tmp_path / "a.safetensors"
    file.write_bytes(save_safetensors(made))
    assert {name: facts.shape for name, facts in read_facts(file).items()} == {
        "f8": (2, 3),
        "c8": (1,),
        "i4": (1, 1),
    }
    for name, array in made.items():
        np.testing.assert_array_equal(load(file, name), array)
    plain = tmp_path / "b.npy"
    np.save(plain, np.asfortranarray(made["f8"]))
    np.testing.assert_array_equal(load(plain, None), made["f8"])
    np.save(plain, np.array(2.5))
    assert load(plain, None).shape == ()
    assert float(load(plain, None)) == 2.5
