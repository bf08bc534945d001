"""Who may ask, from where, by which name; and that no answer tells more than it should."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from worker_harness import Worker, client_of, contraction, document, worker

from tensorloom_worker import security
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    import httpx

pytestmark = pytest.mark.asyncio


async def test_nobody_asks_without_a_token(service: Worker) -> None:
    async with client_of(service.app, None) as nobody:
        for path in ("/v1/about", "/v1/jobs", "/v1/events", "/v1/nowhere", "/v1"):
            answer = await nobody.get(path)
            assert (answer.status_code, answer.json()["code"]) == (401, "token-missing"), path
            assert answer.headers["www-authenticate"] == "Bearer"
        assert (await nobody.get("/v1/health")).status_code == 200


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("Bearer tlw_wrong", "token-wrong"),
        ("Bearer " + "x" * 20_000, "token-wrong"),
        ("Bearer \xe9", "token-wrong"),
        ("Bearer ", "token-missing"),
        ("Basic dXNlcjpwYXNz", "token-missing"),
        ("", "token-missing"),
    ],
)
async def test_wrong_tokens_are_refused(service: Worker, header: str, code: str) -> None:
    async with client_of(service.app, None) as nobody:
        headers = {b"Authorization": header.encode("latin-1")}
        answer = await nobody.get("/v1/about", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, code)


async def test_only_a_hash_of_the_token_is_stored(service: Worker) -> None:
    folder = service.app.service.files.root
    for path in folder.rglob("*"):
        if path.is_file():
            assert service.token.encode() not in path.read_bytes(), path.name


async def test_tokens_are_compared_in_constant_time(
    service: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []
    real = security.hmac.compare_digest

    def compare(left: str, right: str) -> bool:
        seen.append((left, right))
        return bool(real(left, right))

    monkeypatch.setattr(security.hmac, "compare_digest", compare)
    service.second_client()
    assert (await service.client.get("/v1/about")).status_code == 200
    # Every stored hash, the right one first, and hashes are all of one length.
    assert len(seen) == 2
    assert {len(text) for pair in seen for text in pair} == {64}


async def test_a_rotated_token_counts_and_the_old_one_does_not(service: Worker) -> None:
    job = await service.submit()
    await service.finished(job)
    fresh = (await service.client.post("/v1/token/rotate")).json()["token"]
    assert fresh != service.token
    assert (await service.client.get("/v1/about")).status_code == 401
    async with client_of(service.app, fresh) as client:
        assert (await client.get(f"/v1/jobs/{job}")).status_code == 200


async def test_a_rotation_ends_the_streams_of_the_old_token(service: Worker) -> None:
    service.executor.gate.clear()
    job = await service.submit()
    stream = asyncio.create_task(service.client.get(f"/v1/jobs/{job}/events"))
    while not service.app.service.hub.listeners:  # noqa: ASYNC110  # the hub has no event for it
        await asyncio.sleep(0)  # only lets the other task run
    await service.client.post("/v1/token/rotate")
    async with asyncio.timeout(30):
        answer = await stream
    assert "done" not in answer.text


ORIGINS = [
    ("http://localhost:8000", {}, True),
    ("http://127.0.0.1:5173", {}, True),
    ("http://[::1]:80", {}, True),
    ("https://example.org", {}, False),
    ("http://localhost.evil.org", {}, False),
    ("http://evil.org/http://localhost", {}, False),
    ("null", {}, False),
    ("https://example.org", {"allowed_origins": ("https://example.org",)}, True),
    ("https://exampleXorg", {"allowed_origins": ("https://example.org",)}, False),
    ("https://example.org:444", {"allowed_origins": ("https://example.org",)}, False),
    ("http://localhost:8000", {"host": "192.0.2.1", "allowed_hosts": ("localhost",)}, False),
    ("https://anything.org", {"allowed_origins": ("*",)}, True),
]


@pytest.mark.parametrize(("origin", "settings", "allowed"), ORIGINS)
async def test_pages_ask_only_from_allowed_origins(
    tmp_path: Path, origin: str, settings: dict[str, Any], *, allowed: bool
) -> None:
    async with worker(tmp_path / "data", **settings) as found:
        answer = await found.client.get("/v1/about", headers={"Origin": origin})
        preflight = await found.client.options(
            "/v1/jobs",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,idempotency-key,upload-offset",
                "Access-Control-Request-Private-Network": "true",
            },
        )
    if allowed:
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == origin
        assert "Origin" in answer.headers["vary"]
        assert "Upload-Offset" in answer.headers["access-control-expose-headers"]
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == origin
        assert preflight.headers["access-control-allow-private-network"] == "true"
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "origin-not-allowed")
        assert "access-control-allow-origin" not in answer.headers
        assert preflight.status_code == 400
        assert "access-control-allow-origin" not in preflight.headers
    assert "access-control-allow-credentials" not in answer.headers


async def test_a_page_can_read_why_its_token_is_refused(service: Worker) -> None:
    async with client_of(service.app, "wrong") as client:
        answer = await client.get("/v1/about", headers={"Origin": "http://localhost:8000"})
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == "http://localhost:8000"


@pytest.mark.parametrize(
    ("host", "settings", "allowed"),
    [
        ("localhost:8765", {}, True),
        ("127.0.0.1", {}, True),
        ("[::1]:8765", {}, True),
        ("LocalHost:1", {}, True),
        ("evil.org", {}, False),
        ("evil.org:8765", {}, False),
        ("", {}, False),
        ("box.lan", {"allowed_hosts": ("box.lan",)}, True),
        ("anything", {"host": "0.0.0.0"}, True),
    ],
)
async def test_the_service_answers_to_its_names_only(
    tmp_path: Path, host: str, settings: dict[str, Any], *, allowed: bool
) -> None:
    async with worker(tmp_path / "data", **settings) as found:
        answer = await found.client.get("/v1/health", headers={"Host": host})
    if allowed:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "host-not-allowed")


async def test_every_answer_forbids_sniffing_framing_and_caching(service: Worker) -> None:
    for path in ("/v1/health", "/v1/about", "/v1/nowhere", "/v1/jobs/x"):
        headers = (await service.client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


async def test_a_bug_is_answered_without_a_trace(
    service: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("/home/somebody/secret")

    monkeypatch.setattr(service.app.service, "about", broken)
    answer = await service.client.get("/v1/about")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "secret" in caplog.text  # the log does say


def deep(levels: int) -> bytes:
    return b'{"kind":"contract","document":' + b"[" * levels + b"]" * levels + b"}"


def wide_document() -> dict[str, Any]:
    """More tensors than a document may have."""
    made = document()
    made["tensors"] = [
        {"id": f"t{n}", "name": "T", "indices": [], "array": {"kind": "constant", "value": 1}}
        for n in range(20_001)
    ]
    made["marks"] = {f"t{n}": {"x": 0, "y": 0} for n in range(20_001)}
    return {**made, "dimensions": {}, "output": []}


HOSTILE_BODIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not-json"),
    "no JSON": (b"hello", "not-json"),
    "cut short": (b'{"kind":', "not-json"),
    "not UTF-8": (b'{"kind":"\xff\xfe"}', "not-json"),
    "NaN": (b'{"kind":"contract","searchSeconds":NaN}', "not-json"),
    "infinity": (b'{"kind":"contract","searchSeconds":-Infinity}', "not-json"),
    "1e999": (json.dumps(contraction()).replace("4", "1e999").encode(), "bad-field"),
    "a key twice": (b'{"kind":"contract","kind":"entry"}', "not-json"),
    "13 levels": (deep(13), "not-json"),
    "100,000 levels": (deep(100_000), "not-json"),
    "a number of 10,000 digits": (b'{"kind":' + b"9" * 10_000 + b"}", "not-json"),
    "half a surrogate pair": (b'{"kind":"contract","title":"\\ud800"}', "not-json"),
    "a zero byte": (b'{"kind":"\\u0000"}', "bad-field"),
    "a list": (b"[]", "bad-field"),
    "null": (b"null", "bad-field"),
    "a huge dimension": (json.dumps(contraction(document=document(dimension=2**40))).encode(), ""),
    "a negative dimension": (
        json.dumps(contraction(document=document(dimension=-1))).encode(),
        "bad-dimension",
    ),
    "a dimension of zero": (
        json.dumps(contraction(document=document(dimension=0))).encode(),
        "bad-dimension",
    ),
    "too many tensors": (json.dumps(contraction(document=wide_document())).encode(), "too-big"),
    "a path of strings": (
        json.dumps(contraction(plan={"path": [["0", "x"]]})).encode(),
        "bad-field",
    ),
    "a path below zero": (json.dumps(contraction(plan={"path": [[-1, 0]]})).encode(), "bad-field"),
    "a path of three": (json.dumps(contraction(plan={"path": [[0, 1, 2]]})).encode(), "bad-field"),
    "prototype": (json.dumps(contraction(__proto__={"x": 1})).encode(), "unknown-field"),
    "a long title": (json.dumps(contraction(title="x" * 201)).encode(), "bad-field"),
    "a path outside": (
        json.dumps(contraction(arrays={"a": {"sha256": "../" * 21 + "x"}})).encode(),
        "bad-field",
    ),
    "an upper-case hash": (
        json.dumps(contraction(arrays={"a": {"sha256": "A" * 64}})).encode(),
        "bad-field",
    ),
}


@pytest.mark.parametrize("name", HOSTILE_BODIES)
async def test_hostile_bodies_are_refused_in_words(service: Worker, name: str) -> None:
    body, code = HOSTILE_BODIES[name]
    for path in ("/v1/jobs", "/v1/estimates"):
        answer = await service.client.post(
            path, content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in {400, 422}, answer.text
        assert answer.json()["hint"]
        assert answer.json()["code"] == code or not code
        assert str(service.app.service.files.root) not in answer.text
    assert (await service.client.get("/v1/jobs")).json() == {"jobs": []}


async def test_a_body_of_another_type_or_compressed_is_refused(service: Worker) -> None:
    for headers in ({"Content-Type": "text/plain"}, {"Content-Encoding": "gzip"}):
        answer = await service.client.post("/v1/jobs", content=b"{}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (415, "encoding-refused")


async def test_a_body_is_counted_whatever_its_header_claims(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1024

    async with worker(tmp_path / "data", max_body_bytes=4096) as small:
        claimed = await small.client.post("/v1/jobs", content=b" " * 4097)
        streamed = await small.client.post("/v1/jobs", content=endless())
    for answer in (claimed, streamed):
        assert (answer.status_code, answer.json()["code"]) == (413, "request-too-big")
        assert answer.json()["values"] == {"most": 4096}


async def test_a_sender_that_pauses_is_not_waited_for(tmp_path: Path) -> None:
    async def pausing() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with worker(tmp_path / "data", body_seconds=0.05) as strict:
        answer = await strict.client.post("/v1/jobs", content=pausing())
        assert (answer.status_code, answer.json()["code"]) == (408, "sender-too-slow")
        name = "0" * 64
        answer = await strict.client.patch(
            f"/v1/arrays/{name}?length=100", content=pausing(), headers={"Upload-Offset": "0"}
        )
        assert (answer.status_code, answer.json()["code"]) == (408, "sender-too-slow")
        # What came before the pause is kept, and the upload can go on.
        found = await strict.client.head(f"/v1/arrays/{name}")
        assert found.headers["upload-offset"] == "1"


async def test_hostile_requests_leave_no_memory_behind(service: Worker) -> None:
    """Traced blocks after a warm-up, so neither the allocator nor the machine has a say."""

    async def round_of(send: Callable[[bytes], Awaitable[httpx.Response]]) -> None:
        for name, (body, _) in HOSTILE_BODIES.items():
            if name == "too many tensors":  # slow to trace, and told apart above
                continue
            assert (await send(body)).status_code in {400, 422}

    async def post(body: bytes) -> httpx.Response:
        return await service.client.post("/v1/jobs", content=body)

    async def patch(body: bytes) -> httpx.Response:
        name, length = "f" * 64, max(1, len(body))
        return await service.client.patch(
            f"/v1/arrays/{name}?length={length}",
            content=body or b"x",
            headers={"Upload-Offset": "0"},
        )

    await round_of(post)
    await round_of(patch)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(2):
            await round_of(post)
            await round_of(patch)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 2**20


async def test_settings_have_no_default_that_listens_to_the_world() -> None:
    assert security.is_loopback(Settings().host)
    assert not security.is_loopback("0.0.0.0")
