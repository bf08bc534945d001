"""The service as a real process: greeting, stop, kills, slow and lying clients, TLS, commands."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
from contextlib import closing, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import httpx
import numpy as np
import pytest
from doubles import STUBBORN, LocalExecutor
from worker_harness import PATIENCE_S, Process, contraction, npy, sha, worker

from certificates import certificate
from tensorloom_worker import __main__ as command
from tensorloom_worker import server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Starter = Callable[..., Process]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A service for tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("shared") / "data"
    process = Process(folder=folder, flags=("--body-seconds", "0.5")).start()
    yield process
    process.kill()


@pytest.fixture
def stopped_at_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A service of this process is told to stop before it has begun to listen."""

    class Stopped(LocalExecutor):
        async def start(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    usual = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(command, "_executor", Stopped)
    yield
    signal.signal(signal.SIGTERM, usual)


def connect(process: Process) -> socket.socket:
    place = urlsplit(process.address)
    assert place.hostname is not None
    return socket.create_connection((place.hostname, place.port or 80), PATIENCE_S)


def answer_to(process: Process, raw: bytes) -> bytes:
    """Everything that the service says to these bytes until it hangs up."""
    with closing(connect(process)) as line:
        line.sendall(raw)
        return everything(line)


def everything(line: socket.socket) -> bytes:
    found = b""
    try:
        while part := line.recv(65536):
            found += part
    except ConnectionResetError:
        pass  # it hung up before it had read all; what it said came first
    return found


def head(process: Process, method: str, path: str, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"Authorization: Bearer {process.token}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def finished(process: Process, client: httpx.Client, job: str) -> dict[str, object]:
    with client.stream("GET", f"/v1/jobs/{job}/events") as stream:
        for _ in stream.iter_lines():
            pass
    return dict(client.get(f"/v1/jobs/{job}").json())


def test_the_first_start_shows_the_token_and_later_ones_do_not(
    process_of: Starter, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("<!doctype html><title>Here</title>")
    (site / "x.mjs").write_text("1")
    first = process_of("--site", str(site))
    link = f"{first.address}/#worker={quote(first.address, safe='')}&token={first.token}"
    assert f"Workbench: {link}" in first.greeting
    with first.client() as client:
        page = client.get("/")
        assert "<title>Here" in page.text
        assert page.headers["content-security-policy"] == "frame-ancestors 'self'"
        assert client.get("/x.mjs").headers["content-type"].startswith("text/javascript")
        assert client.get("/../jobs.sqlite3").status_code == 404
        assert client.get("/%2e%2e/data/jobs.sqlite3").status_code == 404
    assert first.stop() == 0
    second = process_of("--site", str(site))
    assert not any(first.token in line for line in second.greeting)
    assert first.token not in second.log
    second.token = first.token
    with second.client() as client:
        assert client.get("/v1/about").status_code == 200


def test_a_first_start_that_told_no_token_keeps_none(
    process_of: Starter, tmp_path: Path, stopped_at_start: None
) -> None:
    assert command.main(["--data", str(tmp_path / "data"), "--port", "0"]) == 0
    first = process_of()
    assert first.token
    with first.client() as client:
        assert client.get("/v1/about").status_code == 200


def test_a_killed_service_goes_on_with_its_jobs(process_of: Starter) -> None:
    first = process_of()
    with first.client() as client:
        jobs = [client.post("/v1/jobs", json=contraction()).json()["id"] for _ in range(5)]
    first.kill()
    second = process_of()
    second.token = first.token
    with second.client() as client:
        ended = [finished(second, client, job) for job in jobs]
    assert {str(job["state"]) for job in ended} == {"done"}


def test_a_job_that_was_cancelled_while_it_ran_is_not_run_again_after_a_kill(
    process_of: Starter,
) -> None:
    first = process_of()
    with first.client() as client:
        job = client.post("/v1/jobs", json=contraction(title=STUBBORN)).json()["id"]
        while state_of(client, job) != "running":
            pass
        answer = client.post(f"/v1/jobs/{job}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "running")
    first.kill()
    second = process_of()
    second.token = first.token
    with second.client() as client:
        while state_of(client, job) == "queued":
            pass
        ended = client.get(f"/v1/jobs/{job}").json()
    assert ended["state"] == "cancelled"
    assert ended["resumed"] == 0


def state_of(client: httpx.Client, job: str) -> str:
    return str(client.get(f"/v1/jobs/{job}").json()["state"])


def test_a_stop_that_comes_while_all_starts_is_not_forgotten(
    tmp_path: Path, stopped_at_start: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--data", str(tmp_path / "data"), "--port", "0"]) == 0
    assert "The heavy worker is at" not in capsys.readouterr().out


def test_a_stop_ends_open_streams(process_of: Starter) -> None:
    process = process_of()
    with process.client() as client, client.stream("GET", "/v1/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 2000"
        assert process.stop() == 0
        assert [line for line in lines if line.startswith("data")] == []


def test_events_come_as_they_happen_and_go_on_after_the_last_one(shared: Process) -> None:
    process = shared
    with process.client() as client, client.stream("GET", "/v1/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        job = client.post("/v1/jobs", json=contraction()).json()["id"]
        states, ids = [], []
        for line in lines:
            if line.startswith("id: "):
                ids.append(int(line[4:]))
            if line.startswith("data: "):
                found = json.loads(line[6:])
                assert found["id"] == job
                states.append(found["state"])
                if found["state"] == "done":
                    break
    assert ids == sorted(set(ids))
    with process.client() as client:
        headers = {"Last-Event-ID": str(ids[-1])}
        with client.stream("GET", f"/v1/jobs/{job}/events", headers=headers) as stream:
            text = "".join(stream.iter_text())
    assert '"state":"done"' in text  # the newest state is always sent


@pytest.mark.asyncio
async def test_a_client_that_says_nothing_is_hung_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.HEAD_S <= 30
    monkeypatch.setattr(server, "HEAD_S", 0.05)
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with worker(tmp_path / "data", port=0) as found:
        serving = server.server_of(found.app, found.app.service.settings, ready.set_result)
        task = asyncio.create_task(serving.serve())
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", await ready)
            writer.write(b"GET /v1/health HTTP/1.1\r\nHost: loc")
            assert await reader.read() == b""  # hung up, without an answer
            writer.close()
            serving.should_exit = True
            await task


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("first", "status", "more"),
    [
        (b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200", b"GET /v1/hea"),
        (b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200", b"\r\n"),
        (
            b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n{",
            b"401",
            b" ",
        ),
    ],
    ids=["a second head", "empty lines", "a body that was refused"],
)
async def test_who_dawdles_after_an_answer_is_hung_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bytes, status: bytes, more: bytes
) -> None:
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with worker(tmp_path / "data", port=0) as found:
        serving = server.server_of(found.app, found.app.service.settings, ready.set_result)
        task = asyncio.create_task(serving.serve())
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", await ready)
            writer.write(first)
            answer = await reader.readuntil(b"}")
            assert answer.startswith(b"HTTP/1.1 " + status)
            monkeypatch.setattr(server, "HEAD_S", 0.05)
            writer.write(more)
            # Uvicorn would wait for ever.
            with suppress(ConnectionResetError):
                await reader.read()
            writer.close()
            serving.should_exit = True
            await task


def test_a_body_that_does_not_come_is_not_waited_for(shared: Process) -> None:
    process = shared
    body = head(process, "POST", "/v1/jobs", "Content-Type: application/json", "Content-Length: 9")
    answer = answer_to(process, body + b"{")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"sender-too-slow" in answer


def test_lying_lengths_do_no_harm(shared: Process) -> None:
    process = shared
    with process.client() as client:
        before = client.get("/v1/jobs").json()
    kind = "Content-Type: application/json"
    text = json.dumps(contraction()).encode()
    short = head(process, "POST", "/v1/jobs", kind, f"Content-Length: {len(text) - 5}") + text
    assert answer_to(process, short).startswith(b"HTTP/1.1 400 ")
    for length in ("-5", "1e3", "0x10", "9" * 40, "5, 6"):
        raw = head(process, "POST", "/v1/jobs", kind, f"Content-Length: {length}") + b"{}"
        status = int(answer_to(process, raw).split(b" ")[1])
        assert 400 <= status < 500, length
    both = head(
        process, "POST", "/v1/jobs", kind, "Content-Length: 2", "Transfer-Encoding: chunked"
    )
    assert b" 500 " not in answer_to(process, both + b"0\r\n\r\n")[:20]
    with process.client() as client:
        assert client.get("/v1/jobs").json() == before


def test_a_head_that_is_too_long_or_no_http_is_refused(shared: Process) -> None:
    process = shared
    long = head(process, "GET", "/v1/jobs", f"X-Long: {'x' * 100_000}")
    assert answer_to(process, long[:-4]).startswith(b"HTTP/1.1 400 ")
    assert answer_to(process, b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n").startswith(
        b"HTTP/1.1 400 "
    )
    with process.client() as client:
        assert client.get("/v1/health").status_code == 200


def test_an_upload_survives_a_broken_connection_and_a_kill(process_of: Starter) -> None:
    data = npy(np.arange(100_000.0))
    name = sha(data)
    path = f"/v1/arrays/{name}?length={len(data)}"
    first = process_of()
    with closing(connect(first)) as line:
        start = head(first, "PATCH", path, f"Content-Length: {len(data)}", "Upload-Offset: 0")
        line.sendall(start + data[:300_000])
    with first.client() as client:
        here = 0
        while here != 300_000:  # until the service has noticed the end and written what came
            answer = client.head(f"/v1/arrays/{name}")
            here = int(answer.headers.get("upload-offset", 0))
    first.kill()
    second = process_of()
    second.token = first.token
    with second.client() as client:
        assert client.head(f"/v1/arrays/{name}").headers["upload-offset"] == "300000"
        answer = client.patch(path, content=data[300_000:], headers={"Upload-Offset": "300000"})
        assert answer.status_code == 204
        assert answer.headers["upload-offset"] == str(len(data))


def test_tls_by_flags(process_of: Starter, tmp_path: Path) -> None:
    made = certificate(tmp_path)
    process = process_of("--tls-cert", str(made.file), "--tls-key", str(made.key))
    assert process.address.startswith("https://127.0.0.1:")
    import ssl  # noqa: PLC0415  # this test only

    with process.client(verify=ssl.create_default_context(cafile=str(made.file))) as client:
        assert client.get("/v1/about").status_code == 200
    with pytest.raises(httpx.ConnectError), process.client() as stranger:
        stranger.get("/v1/health")


def said(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit status, output and errors of a command, in this process beside the running service."""
    capsys.readouterr()
    status = command.main([*arguments, "--data", str(folder)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_tokens_and_backups_while_the_service_runs(
    process_of: Starter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = process_of()
    folder = process.folder
    with process.client() as client:
        job = client.post("/v1/jobs", json=contraction()).json()["id"]
        finished(process, client, job)
        _, fresh, _ = said(capsys, folder, "token", "rotate")
        assert client.get("/v1/about").status_code == 401
        process.token = fresh.strip()
    with process.client() as client:
        assert client.get(f"/v1/jobs/{job}").json()["state"] == "done"
    _, added, _ = said(capsys, folder, "token", "add", "Ada")
    assert said(capsys, folder, "token", "list") == (0, "owner\nAda\n", "")
    status, out, error = said(capsys, folder, "token", "add", "Ada")
    assert (status, out) == (2, "")
    assert "There is a client called Ada" in error
    owner, process.token = process.token, added.strip()
    with process.client() as client:
        assert client.get("/v1/jobs").json() == {"jobs": []}
        assert said(capsys, folder, "token", "remove", "Ada")[0] == 0
        assert client.get("/v1/jobs").status_code == 401
    copy = tmp_path / "copy.sqlite3"
    _, out, _ = said(capsys, folder, "backup", str(copy))
    assert out == f"{copy}: {copy.stat().st_size} bytes\n"
    process.stop()
    # What was backed up is a database that a service starts on.
    (folder / "jobs.sqlite3").unlink()
    for ending in ("-wal", "-shm"):
        (folder / f"jobs.sqlite3{ending}").unlink(missing_ok=True)
    copy.rename(folder / "jobs.sqlite3")
    restored = process_of()
    restored.token = owner
    with restored.client() as client:
        assert client.get(f"/v1/jobs/{job}").json()["state"] == "done"
        data = client.get(f"/v1/jobs/{job}/result.npy").content
    assert np.load(io.BytesIO(data)).shape == (3,)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "x"], "argument --port"),
        (["--port", "99999"], "99999 is more than 65535"),
        (["--tls-cert", "a.pem", "--tls-key", "b.pem"], "The file of --tls-cert is not there: a"),
        (["--scheduler", "foo"], "The address of --scheduler is none."),
        (["--scheduler", "tcp://foo:x"], "The address of --scheduler is none."),
        (["--scheduler", "tls://127.0.0.1:1"], "A tls:// scheduler needs --scheduler-tls-ca"),
        (
            ["--scheduler", "tls://127.0.0.1:1", "--scheduler-tls-ca", "ca.pem"],
            "The file of --scheduler-tls-ca is not there: ca.pem",
        ),
        (["--workers", "-1"], "-1 is less than 0"),
        (["--turn-seconds", "nan"], "nan is no time"),
        (["--tls-cert", "a.pem"], "--tls-cert and --tls-key go together."),
        (["--site", "nowhere"], "The folder of --site holds no index.html."),
        (["token"], "the following arguments are required: ACTION"),
        (["token", "add", ""], "a name has 1 to 60 printable characters"),
        (["token", "rotate", "Ada"], "There is no database in the data folder"),
        (["backup", "x"], "There is no database in the data folder"),
        (["walk"], "invalid choice: 'walk'"),
        (["--host", "no.such.invalid"], "This machine has no address no.such.invalid"),
        (["--host", "192.0.2.1"], "It cannot listen at 192.0.2.1, port 8765: "),
        (["--tls-cert", __file__, "--tls-key", __file__], "--tls-cert and --tls-key cannot be"),
        (["--data", f"{__file__}/data"], f"Not a directory: {__file__}/data"),
    ],
)
def test_bad_command_lines_end_in_one_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [] if arguments[0] in {"token", "walk"} and len(arguments) < 2 else ["--data"]
    full = [*where, *([str(tmp_path)] if where else []), *arguments]
    try:
        status = command.main(full)
    except SystemExit as end:
        status = int(end.code or 0)
    captured = capsys.readouterr()
    assert status == 2
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_port_that_is_taken_is_named_before_anything_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        status, out, error = said(capsys, tmp_path / "data", "--port", str(port))
    assert (status, out) == (2, "")
    assert error == (
        f"tensorloom-worker: Port {port} is taken at 127.0.0.1, perhaps by another heavy worker. "
        "Stop it, or give another one with --port.\n"
    )
    assert not (tmp_path / "data").exists()


def test_a_second_service_on_the_same_folder_is_refused(
    shared: Process, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, error = said(capsys, shared.folder, "--port", "0")
    assert status == 2
    assert error.strip().splitlines()[-1] == (
        "tensorloom-worker: Another heavy worker uses this data folder. "
        "Stop it, or give this one another folder with --data."
    )
