"""Requests to a heavy worker: retried while its silence may pass, refused in its own words else.

Each method is one address of the service. A connection is kept open between requests and made anew
when it breaks. Nothing is followed elsewhere: a redirect is an answer that no worker gives.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from tensorloom import errors
from tensorloom.errors import TensorloomError, Where, WorkerRejected, WorkerUnreachable
from tensorloom.platform import IN_BROWSER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["ADDRESS_VARIABLE", "TOKEN_VARIABLE", "USUAL_ADDRESS", "Answer", "WorkerClient"]

API = 1
"""The service's interface that this client speaks."""

USUAL_ADDRESS = "http://127.0.0.1:8765"

ADDRESS_VARIABLE = "TENSORLOOM_WORKER"
TOKEN_VARIABLE = "TENSORLOOM_WORKER_TOKEN"  # noqa: S105  # the name of a variable

PIECE_BYTES = 8 * 2**20
"""Bytes sent or read at once; what has arrived is never sent again."""

TIMEOUT_S = 60.0
"""Longest silence within one answer [s]."""

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 10.0

_PASSING = frozenset({429, 500, 502, 503, 504})
"""Statuses that may be others a little later."""

_LASTING = frozenset({"quota-bytes"})
"""What does not pass before somebody deletes something."""

_UPLOAD_PASSING = frozenset({"upload-busy", "upload-offset"})
"""What an upload is told while the worker has not seen yet that an earlier try broke off."""

_BROKEN = (OSError, http.client.HTTPException)
"""What a broken connection raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the service answered.

    Args:
        status: HTTP status, below 400.
        headers: By lower-case name.
        body: All of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401  # any JSON
        """The body as JSON.

        Raises:
            WorkerUnreachable: ``worker-not-one``.
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise _not_one("this address") from error


@dataclass(slots=True, kw_only=True)
class WorkerClient:
    """Speaks with the worker at one address.

    Args:
        address: Such as ``http://127.0.0.1:8765``.
        token: As the worker printed it.
        patience_s: How long its silence may last before it counts as away [s].
        sleep: Waits so many seconds.

    Raises:
        WorkerUnreachable: ``worker-address``, ``worker-no-token``, ``worker-token``,
            ``worker-in-page``.
    """

    address: str
    token: str
    patience_s: float = 120.0
    sleep: Callable[[float], None] = time.sleep
    _connection: http.client.HTTPConnection | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if IN_BROWSER:
            raise WorkerUnreachable(
                "worker-in-page",
                "Python in the page cannot open connections of its own.",
                "Call tensorloom.run({backend: 'worker'}) from JavaScript, or use the page.",
            )
        self.address = _normal(self.address)
        if not self.token.strip():
            raise WorkerUnreachable(
                "worker-no-token",
                "There is no token.",
                f"Give it as token=, in a file, or in {TOKEN_VARIABLE}; the worker prints it when "
                "it starts for the first time.",
            )
        self.token = self.token.strip()
        if not _is_plain(self.token):
            # What it is stays untold: it may hold the token.
            raise WorkerUnreachable(
                "worker-token",
                "What was given as the token is none: it has blanks, several lines, or characters "
                "beyond ASCII, such as curly quotes.",
                "Give the token that the worker printed, and nothing else.",
            )

    @classmethod
    def of(cls, address: str | None, token: str | None) -> WorkerClient:
        """The client for what was given, or else for what the environment names."""
        return cls(
            address=address or os.environ.get(ADDRESS_VARIABLE) or USUAL_ADDRESS,
            token=token or os.environ.get(TOKEN_VARIABLE) or "",
        )

    @property
    def name(self) -> str:
        """What users know the worker by, such as ``127.0.0.1:8765``."""
        return self.address.partition("://")[2]

    # --- the service's addresses ----------------------------------------------------------------

    def greet(self) -> None:
        """Nothing, when a worker of our version answers; it is waited for only shortly.

        Raises:
            WorkerUnreachable: ``worker-unreachable``, ``worker-not-one``, ``worker-version``.
        """
        found = self.request("GET", "/v1/health", patience_s=1.0).json()
        if not isinstance(found, dict) or found.get("status") != "ok":
            raise _not_one(self.name)
        if found.get("api") != API:
            raise WorkerUnreachable(
                "worker-version",
                f"The worker speaks version {found.get('api')} of its interface, this client "
                f"version {API}.",
                "Update the older of the two.",
                values={"worker": found.get("api"), "client": API},
            )

    def submit(self, request: Mapping[str, object], key: str) -> dict[str, Any]:
        """The job; the same key gives the same job, however often it is sent."""
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        answer = self.request("POST", "/v1/jobs", json.dumps(request).encode(), headers)
        return _record(answer)

    def job(self, job: str) -> dict[str, Any]:
        """How a job stands."""
        return _record(self.request("GET", f"/v1/jobs/{quote(job, safe='')}"))

    def cancel(self, job: str) -> dict[str, Any]:
        """The job, stopped unless it was over."""
        return _record(self.request("POST", f"/v1/jobs/{quote(job, safe='')}/cancel"))

    def partial(self, job: str) -> tuple[bytes, float] | None:
        """The sum so far as a .npy file, and log10 of its scale; ``None`` where there is none."""
        try:
            answer = self.request("GET", f"/v1/jobs/{quote(job, safe='')}/partial.npy")
        except WorkerRejected as error:
            if error.values.get("status") == http.HTTPStatus.NOT_FOUND:
                return None
            raise
        return answer.body, float(answer.headers.get("tensorloom-log10-scale", 0.0))

    def result(self, job: str, n_bytes: int) -> bytes:
        """The result as a .npy file, in pieces, each asked for again if its connection breaks."""
        found = bytearray()
        path = f"/v1/jobs/{quote(job, safe='')}/result.npy"
        while len(found) < n_bytes:
            last = min(len(found) + PIECE_BYTES, n_bytes) - 1
            answer = self.request("GET", path, headers={"Range": f"bytes={len(found)}-{last}"})
            if answer.status == http.HTTPStatus.OK:
                return answer.body
            if not answer.body:
                break
            found += answer.body
        return bytes(found)

    def upload(self, sha256: str, data: bytes, said: Callable[[int], None]) -> None:
        """Bring a file to the worker, unless it is there; goes on where an earlier try stopped.

        Args:
            sha256: Its name.
            data: Its bytes.
            said: Told how many bytes have arrived.
        """
        path = f"/v1/arrays/{sha256}"
        offset = self._offset(path)
        pauses = _pauses(self.patience_s)
        while offset < len(data):
            said(offset)
            headers = {
                "Upload-Offset": str(offset),
                "Content-Type": "application/octet-stream",
            }
            piece = data[offset : offset + PIECE_BYTES]
            try:
                answer = self._once("PATCH", f"{path}?length={len(data)}", piece, headers)
            except (_Passing, WorkerRejected) as error:
                before, refusal = offset, error.said if isinstance(error, _Passing) else error
                if refusal is error and refusal.code not in _UPLOAD_PASSING:
                    raise
                pause = next(pauses)
                if pause is None:
                    raise refusal from error
                self.pause(pause)
                # Some of the piece may have arrived.
                offset = self._offset(path)
                if offset > before:
                    pauses = _pauses(self.patience_s)
                continue
            pauses = _pauses(self.patience_s)
            offset = int(answer.headers.get("upload-offset", offset + len(piece)))
        said(offset)

    def _offset(self, path: str) -> int:
        try:
            answer = self.request("HEAD", path)
        except WorkerRejected as error:
            if error.values.get("status") == http.HTTPStatus.NOT_FOUND:
                return 0
            raise
        return int(answer.headers.get("upload-offset", 0))

    # --- one request ----------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        patience_s: float | None = None,
    ) -> Answer:
        """The answer, after as many tries as patience allows.

        Raises:
            WorkerUnreachable: ``worker-unreachable``, ``worker-token`` or ``worker-not-one``.
            TensorloomError: What the service refuses, in its words.
        """
        patience = self.patience_s if patience_s is None else patience_s
        for pause in _pauses(patience):
            try:
                return self._once(method, path, body, headers or {})
            except _Passing as error:
                if pause is None:
                    raise error.said from error.cause
                self.pause(pause)
        raise AssertionError("the last pause is None")

    def _once(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """The answer to one try.

        Raises:
            _Passing: Another try may succeed.
        """
        parts = urlsplit(self.address)
        sent = {"Authorization": f"Bearer {self.token}", **headers}
        if path == "/v1/health":
            del sent["Authorization"]
        try:
            connection = self._connection or self._connected()
            self._connection = connection
            connection.request(method, f"{parts.path}{path}", body or None, sent)
            response = connection.getresponse()
            answer = Answer(
                status=response.status,
                headers={name.lower(): value for name, value in response.getheaders()},
                body=response.read(),
            )
        except _BROKEN as error:
            self.close()
            raise _Passing(self._unreachable(), error) from error
        if answer.status < http.HTTPStatus.MULTIPLE_CHOICES:
            return answer
        refusal = self._refusal(answer)
        if answer.status in _PASSING and refusal.code not in _LASTING:
            raise _Passing(refusal, None)
        raise refusal

    def _connected(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.address)
        host = parts.hostname or ""
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_S, context=context)
        return http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)

    def pause(self, seconds: float) -> None:
        """Wait."""
        self.sleep(seconds)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _unreachable(self) -> WorkerUnreachable:
        return WorkerUnreachable(
            "worker-unreachable",
            f"The worker at {self.name} does not answer.",
            "See that it runs (python3 build.py worker) and that the address is right.",
            values={"address": self.address},
        )

    def _refusal(self, answer: Answer) -> TensorloomError:
        """The service's own words where it has any."""
        try:
            said = json.loads(answer.body)
        except ValueError:
            said = None
        if isinstance(said, dict) and isinstance(said.get("code"), str) and "message" in said:
            return error_of(said, status=answer.status)
        if answer.status == http.HTTPStatus.UNAUTHORIZED:
            return WorkerUnreachable(
                "worker-token",
                f"The worker at {self.name} does not know this token.",
                "Copy the token that it printed when it started, or make a new one (token rotate).",
            )
        return WorkerRejected(
            "worker-answer",
            f"The worker at {self.name} answered with status {answer.status}.",
            "Look at what it printed.",
            values={"status": answer.status},
        )


class _Passing(Exception):  # not an error yet: the next try may succeed
    """A try failed in a way that the next one need not."""

    def __init__(self, said: TensorloomError, cause: BaseException | None) -> None:
        super().__init__(str(said))
        self.said = said
        self.cause = cause


def error_of(record: Mapping[str, Any], *, status: int | None = None) -> TensorloomError:
    """The error that a record of the service describes, in the class that it names.

    Args:
        record: As ``TensorloomError.to_json`` writes it.
        status: HTTP status of the answer that it came in.
    """
    named = getattr(errors, str(record.get("kind")), None)
    where = record.get("where") or {}
    values = dict(record.get("values") or {})
    if status is not None:
        values["status"] = status
    make: type[TensorloomError] = WorkerRejected
    if isinstance(named, type) and issubclass(named, TensorloomError):
        make = named
    return make(
        code=str(record["code"]),
        message=str(record["message"]),
        hint=str(record.get("hint", "")),
        where=Where(
            tensors=tuple(map(str, where.get("tensors", ()))),
            indices=tuple(map(str, where.get("indices", ()))),
        ),
        values=values,
    )


def _record(answer: Answer) -> dict[str, Any]:
    found = answer.json()
    if not isinstance(found, dict) or "id" not in found:
        raise _not_one("this address")
    return found


def _not_one(name: str) -> WorkerUnreachable:
    return WorkerUnreachable(
        "worker-not-one",
        f"What answers at {name} is not a Tensorloom worker.",
        "Check the address and the port.",
    )


def _normal(typed: str) -> str:
    """The address in its one form; it may lack the scheme or end in a slash."""
    text = typed.strip()
    full = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(full)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        (parts.hostname or "").encode("idna")  # as whoever looks the name up does
    except ValueError:
        good = False
    isplain = good and full.isprintable() and _is_plain(parts.path)
    if not isplain or parts.username or parts.query or parts.fragment:
        raise WorkerUnreachable(
            "worker-address",
            f"{text[:60]!r} is not the address of a worker.",
            f"Write scheme, host and port, like {USUAL_ADDRESS}.",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _is_plain(text: str) -> bool:
    """Whether it can stand in the head of a request as it is."""
    return text.isascii() and text.isprintable() and " " not in text


def _pauses(patience_s: float) -> Iterator[float | None]:
    """Pauses between tries, twice as long each time, until patience ends; then ``None``."""
    pause, waited = FIRST_PAUSE_S, 0.0
    while waited < patience_s:
        yield pause
        waited += pause
        pause = min(2 * pause, LONGEST_PAUSE_S)
    yield None
