"""A heavy worker for tests of its clients: a real HTTP server that keeps its word, or breaks it.

It computes with numpy in its own threads, at the pace that a test sets. What it is not: durable,
fair, or safe. The real one is ``workers/tensorloom_worker``; the tests in
``tests/browser/worker`` run against both.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import numpy as np

from tensorloom.engine import contract_network
from tensorloom.errors import TensorloomError
from tensorloom.execute.arrays import ArrayStore, arrays_of
from tensorloom.formats.opening import open_text
from tensorloom.model import codec
from tensorloom.model.commands import SetArray, apply_all
from tensorloom.model.recipe import InlineArray

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorloom.execute.backend import Result
    from tensorloom.model.document import Document
    from tensorloom.model.recipe import DType

__all__ = ["TOKEN", "WorkerDouble", "worker_double"]

TOKEN = "a-token-for-tests"  # of a server that lives as long as a test

OVER = {"done", "failed", "cancelled"}

BACKLOG = 200
"""Most events that a new stream begins with."""


@dataclass
class WorkerDouble:
    """What the server holds, and what a test makes it do.

    Attributes:
        address: Where it answers.
        token: The one that it knows.
        held: While set, new jobs wait as they are.
        lost: So many requests to come are cut off without an answer.
        broken: So many requests to come are answered with status 503.
        cut: So many PATCH requests to come are cut off half way; what arrived by then stays.
        busy: So many PATCH requests to come are told that an earlier one is still being read.
        full: While set, PATCH requests are told that the client's share is used up.
        partials: By job, the sum so far and log10 of its scale.
        away: While set, no request is answered at all.
        estimate: Replaces fields of every estimate.
        requests: ``(method, path, headers)`` of all that came.
    """

    address: str = ""
    token: str = TOKEN
    held: bool = False
    lost: int = 0
    broken: int = 0
    cut: int = 0
    busy: int = 0
    full: bool = False
    away: bool = False
    estimate: dict[str, Any] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    results: dict[str, bytes] = field(default_factory=dict)
    partials: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    blobs: dict[str, bytearray] = field(default_factory=dict)
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    # --- what a test does -----------------------------------------------------------------------

    def step(self, job: str, **change: Any) -> None:  # any JSON
        """Another state of a job; whoever listens is told."""
        with self.changed:
            self.jobs[job] |= change
            self.events.append(("job", json.dumps(self.jobs[job])))
            self.changed.notify_all()

    def run(self, job: str, done: int, of: int, value: float) -> None:
        """Let a held job be some slices further."""
        self.step(
            job,
            state="running",
            progress={
                "slicesDone": str(done),
                "slices": str(of),
                "fraction": done / of,
                "etaMs": 300_000.0,
            },
            partial={"value": [value, 0.0], "log10Scale": 0.0, "relativeChange": 1e-3},
        )

    def finish(self, job: str, value: float | None = None) -> None:
        """Let a held job be computed now.

        Args:
            job: Which one.
            value: Its value, where it is too large to be computed for a test.
        """
        request = self.bodies[job]
        try:
            self._finish(job, request, value)
        except TensorloomError as error:
            self.step(job, state="failed", error=error.to_json())

    def _finish(self, job: str, request: dict[str, Any], value: float | None) -> None:
        document = codec.from_json(request["document"])
        if value is not None:
            document = _constant(value)
        arrays = None
        if value is None and request.get("arrays"):
            given = {name: self._array(use["sha256"]) for name, use in request["arrays"].items()}
            kept = [tensor for tensor in document.network.tensors if tensor.id not in given]
            assert kept == [], "the double takes all arrays or none"
            arrays = [given[tensor.id] for tensor in document.network.tensors]
        dtype = request.get("dtype") or document.dtype
        found = self._contracted(request, document, arrays, dtype)
        file = io.BytesIO()
        np.save(file, found.value, allow_pickle=False)
        data = file.getvalue()
        self.results[job] = data
        number = complex(found.value) if found.value.ndim == 0 else None
        result = {
            "shape": list(found.value.shape),
            "dtype": found.dtype,
            "log10Scale": found.log10_scale,
            "errorBound": found.error_bound,
            "bytes": str(len(data)),
            "sha256": hashlib.sha256(data).hexdigest(),
            "ms": 61_000.0,
            "mulAdds": str(found.mul_adds),
            "backend": "numpy",
        }
        if number is not None:
            result["value"] = [number.real, number.imag]
        of = self.jobs[job]["progress"]["slices"]
        progress = {"slicesDone": of, "slices": of, "fraction": 1.0}
        self.step(job, state="done", result=result, progress=progress, finishedAt=_now())

    def _contracted(
        self, request: dict[str, Any], document: Document, arrays: list[Any] | None, dtype: DType
    ) -> Result:
        """The value; of a batch, one after the other."""
        named = (request.get("batch") or {}).get("arrays") or {}
        if not named:
            return contract_network(document, arrays, backend="numpy", dtype=dtype)
        many = {name: self._array(use["sha256"]) for name, use in named.items()}
        plain = arrays or arrays_of(document.network, dtype, ArrayStore())
        ids = [tensor.id for tensor in document.network.tensors]
        found = []
        for number in range(len(next(iter(many.values())))):
            given = [
                many[name][number] if name in many else array
                for name, array in zip(ids, plain, strict=True)
            ]
            found.append(contract_network(document, given, backend="numpy", dtype=dtype))
        return replace(found[0], value=np.stack([one.value for one in found]))

    def _array(self, sha256: str) -> Any:  # an array of any type
        return np.load(io.BytesIO(bytes(self.blobs[sha256])), allow_pickle=False)

    # --- what requests do -----------------------------------------------------------------------

    def submit(self, key: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and job of a submission."""
        digest = hashlib.sha256(body).hexdigest()
        if key in self.keys:
            job, known = self.keys[key]
            if known != digest:
                return 409, _refusal("key-reused", "This key belongs to another job.")
            return 200, self.jobs[job]
        request = json.loads(body)
        missing = [
            use["sha256"]
            for use in (request.get("arrays") or {}).values()
            if use["sha256"] not in self.blobs
        ]
        if missing:
            return 422, _refusal("array-missing", f"Array {missing[0][:12]} is not here.")
        job = f"job{len(self.jobs) + 1}"
        self.keys[key] = job, digest
        self.bodies[job] = request
        self.jobs[job] = {
            "id": job,
            "kind": "contract",
            "title": request.get("title", ""),
            "state": "queued",
            "createdAt": f"2026-01-01T00:{len(self.jobs) // 60:02d}:{len(self.jobs) % 60:02d}Z",
            "queuePosition": 1,
            "progress": {"slicesDone": "0", "slices": "64", "fraction": 0.0},
            "estimate": self.estimated(),
            "resumed": 0,
        }
        self.step(job)
        if not self.held:
            self.finish(job)
        return 201, self.jobs[job]

    def listed(self, query: dict[str, list[str]]) -> dict[str, Any]:
        """A page of jobs, newest first; each is numbered by its id."""
        before, most = int(query.get("before", ["1000000"])[0]), int(query.get("limit", ["50"])[0])
        older = [job for job in self.jobs.values() if int(job["id"][3:]) < before][::-1]
        more = {"next": older[most - 1]["id"][3:]} if len(older) > most else {}
        return {"jobs": older[:most], **more}

    def estimated(self) -> dict[str, Any]:
        """The estimate of anything."""
        return {
            "mulAdds": "123456789",
            "flop": "246913578",
            "slices": "64",
            "peakBytesPerWorker": "1800000000",
            "resultBytes": "8",
            "predictedMs": 300_000.0,
            "searchMs": 60_000.0,
            "fits": True,
            "basis": "calibrated",
            **self.estimate,
        }


class _Handler(BaseHTTPRequestHandler):
    """One request; ``double`` is set by the server that it belongs to."""

    double: ClassVar[WorkerDouble]
    protocol_version = "HTTP/1.1"

    def log_message(self, *_words: object) -> None:
        """Nothing: tests read ``requests``."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, BrokenPipeError):
            self.close_connection = True

    def _answer(
        self, status: int, body: object = None, headers: dict[str, str] | None = None
    ) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self._cross_origin()
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _cross_origin(self) -> None:
        origin = self.headers.get("Origin")
        if origin:
            self.send_header("Access-Control-Allow-Origin", origin)
            self.send_header("Access-Control-Expose-Headers", "Upload-Offset, Upload-Length")
            self.send_header("Vary", "Origin")

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _refused_at_all(self) -> bool:
        """Whether this request ends here: cut off, broken, or without the token."""
        double = self.double
        double.requests.append((self.command, self.path, dict(self.headers)))
        if double.away or double.lost > 0:
            double.lost = max(0, double.lost - 1)
            self.close_connection = True
            return True
        if double.broken > 0:
            double.broken -= 1
            self._body()
            self._answer(503, {"nothing": "of ours"})
            return True
        known = self.headers.get("Authorization") == f"Bearer {double.token}"
        if not known and self.path != "/v1/health":
            self._body()
            self._answer(401, b"no")
            return True
        return False

    def do_OPTIONS(self) -> None:
        self.send_response(204)
        self._cross_origin()
        self.send_header("Access-Control-Allow-Methods", "GET, HEAD, POST, PATCH, DELETE")
        self.send_header(
            "Access-Control-Allow-Headers",
            "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Upload-Offset, Range",
        )
        self.send_header("Access-Control-Allow-Private-Network", "true")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        if self._refused_at_all():
            return
        double, path = self.double, urlsplit(self.path).path
        job = re.fullmatch(r"/v1/jobs/(\w+)(/result\.npy|/partial\.npy)?", path)
        if path == "/v1/health":
            self._answer(200, {"status": "ok", "version": "9.9", "api": 1})
        elif path == "/v1/about":
            self._answer(200, ABOUT)
        elif path == "/v1/jobs":
            self._answer(200, double.listed(parse_qs(urlsplit(self.path).query)))
        elif path == "/v1/events":
            self._stream(int(self.headers.get("Last-Event-ID") or 0))
        elif job and job[1] in double.jobs and not job[2]:
            self._answer(200, double.jobs[job[1]])
        elif job and job[2] == "/result.npy" and job[1] in double.results:
            self._file(double.results[job[1]])
        elif job and job[2] == "/partial.npy" and job[1] in double.partials:
            data, log10_scale = double.partials[job[1]]
            self._answer(200, data, {"Tensorloom-Log10-Scale": repr(log10_scale)})
        else:
            self._answer(404, _refusal("no-such-thing", "There is nothing here."))

    def do_HEAD(self) -> None:
        if self._refused_at_all():
            return
        kept = self.double.blobs.get(self.path.rpartition("/")[2])
        if kept is None:
            self._answer(404, b"")
        else:
            self._answer(200, b"", {"Upload-Offset": str(len(kept))})

    def _file(self, data: bytes) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if not wanted:
            self._answer(200, data)
            return
        first, last = int(wanted[1]), int(wanted[2])
        span = f"bytes {first}-{last}/{len(data)}"
        self._answer(206, data[first : last + 1], {"Content-Range": span})

    def _stream(self, last: int) -> None:
        """Events after the given one, as they come, until the server is away or stopped."""
        double = self.double
        self.send_response(200)
        self._cross_origin()
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.close_connection = True
        sent = last or max(0, len(double.events) - BACKLOG)
        while not double.away:
            with double.changed:
                if len(double.events) == sent and not double.away:
                    double.changed.wait(timeout=5)
                news = double.events[sent:]
            for kind, data in news:
                sent += 1
                self.wfile.write(f"id: {sent}\nevent: {kind}\ndata: {data}\n\n".encode())
            self.wfile.write(b": still here\n\n")
            self.wfile.flush()

    def do_POST(self) -> None:
        if self._refused_at_all():
            return
        double, body = self.double, self._body()
        cancel = re.fullmatch(r"/v1/jobs/(\w+)/cancel", self.path)
        if self.path == "/v1/estimates":
            self._answer(200, double.estimated())
        elif self.path == "/v1/jobs":
            self._answer(*double.submit(self.headers["Idempotency-Key"], body))
        elif self.path == "/v1/arrays/query":
            arrays = [
                {"sha256": name, "offset": str(len(double.blobs.get(name, b"")))}
                for name in json.loads(body)["arrays"]
            ]
            self._answer(200, {"arrays": arrays})
        elif cancel and cancel[1] in double.jobs:
            if double.jobs[cancel[1]]["state"] not in OVER:
                double.step(cancel[1], state="cancelled", finishedAt=_now())
            self._answer(200, double.jobs[cancel[1]])
        else:
            self._answer(404, _refusal("no-such-thing", "There is nothing here."))

    def do_DELETE(self) -> None:
        if self._refused_at_all():
            return
        job = self.path.rpartition("/")[2]
        with self.double.changed:
            self.double.jobs.pop(job, None)
            self.double.events.append(("gone", json.dumps({"id": job})))
            self.double.changed.notify_all()
        self._answer(204, b"")

    def do_PATCH(self) -> None:
        if self._refused_at_all():
            return
        double, parts = self.double, urlsplit(self.path)
        sha256, length = parts.path.rpartition("/")[2], int(parse_qs(parts.query)["length"][0])
        kept = double.blobs.setdefault(sha256, bytearray())
        offset, announced = int(self.headers["Upload-Offset"]), int(self.headers["Content-Length"])
        if double.full:
            self._body()
            self._answer(429, _refusal("quota-bytes", "You have too much here."))
            return
        if double.busy > 0:
            double.busy -= 1
            self._body()
            self._answer(409, _refusal("upload-busy", "Another request sends it."))
            return
        if offset != len(kept):
            self._body()
            self._answer(409, _refusal("wrong-offset", "This is not where it goes on."))
            return
        if double.cut > 0:
            double.cut -= 1
            kept += self.rfile.read(announced // 2)
            self.close_connection = True
            self.connection.close()
            return
        kept += self.rfile.read(announced)
        if len(kept) == length and hashlib.sha256(kept).hexdigest() != sha256:
            del double.blobs[sha256]
            self._answer(422, _refusal("wrong-hash", "The bytes are not those that were named."))
            return
        self._answer(204, b"", {"Upload-Offset": str(len(kept))})


ABOUT = {
    "version": "9.9",
    "api": 1,
    "scheduler": "local",
    "workers": 2,
    "threads": 2,
    "memoryBytesPerWorker": 4_000_000_000,
    "backends": ["numpy"],
    "limits": {},
    "dtypes": ["float32", "float64", "complex64", "complex128"],
    "entries": [],
    "calibrated": True,
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_where: object) -> None:
        """Nothing: connections are cut on purpose."""


@contextmanager
def worker_double(port: int = 0) -> Iterator[WorkerDouble]:
    """A running double; its requests end when it is left."""
    double = WorkerDouble()
    handler = type("Handler", (_Handler,), {"double": double})
    with _Server(("127.0.0.1", port), handler) as server:
        double.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield double
        finally:
            double.away = True
            with double.changed:
                double.changed.notify_all()
            server.shutdown()
            thread.join()


def _constant(value: float) -> Document:
    """A document whose value is known."""
    text = "i->"
    document = open_text(text, format="einsum", name="", options={}).document
    [tensor] = document.network.tensors
    size = document.network.dimension_of["i"]
    recipe = InlineArray(values=(value, *[0.0] * (size - 1)), shape=(size,))
    return apply_all(document, [SetArray(id=tensor.id, array=recipe)])


def _refusal(code: str, message: str) -> dict[str, Any]:
    return {
        "kind": "WorkerRejected",
        "code": code,
        "message": message,
        "hint": "Do otherwise.",
        "where": {},
        "values": {},
    }


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
