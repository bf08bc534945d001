"""What the service says no with: one function per kind of refusal, and the HTTP status of each.

Every body of an error is a ``TensorloomError`` as JSON. Nothing here names a file, a folder, a host
or a line of source; what is logged is the business of the service.
"""

from __future__ import annotations

import errno
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from tensorloom.errors import (
    ExecutionError,
    InputError,
    TensorloomError,
    WorkerRejected,
)
from tensorloom_worker.records import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import ValidationError

__all__ = [
    "disk_full",
    "from_validation",
    "internal",
    "rejected",
    "status_of",
    "to_refusal",
    "writing",
]

_BAD_REQUEST = 400
_INVALID = 422

_STATUS: dict[str, int] = {
    "not-json": 400,
    "request-cut-short": 400,
    "token-missing": 401,
    "token-wrong": 401,
    "host-not-allowed": 403,
    "origin-not-allowed": 403,
    "array-unknown": 404,
    "result-damaged": 404,
    "job-unknown": 404,
    "no-such-address": 404,
    "result-not-ready": 404,
    "method-not-allowed": 405,
    "sender-too-slow": 408,
    "array-in-use": 409,
    "job-key-used": 409,
    "upload-busy": 409,
    "upload-offset": 409,
    "length-missing": 411,
    "request-too-big": 413,
    "upload-too-big": 413,
    "encoding-refused": 415,
    "range-refused": 416,
    "quota-bytes": 429,
    "quota-jobs": 429,
    "quota-streams": 429,
    "queue-full": 429,
    "internal": 500,
    "closing": 503,
    "disk-full": 507,
}
"""HTTP status by code; everything else that a user can cause is 422."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SQLITE_FULL = (
    "SQLITE_FULL",
    "SQLITE_IOERR_WRITE",
    "SQLITE_IOERR_FSYNC",
    "SQLITE_IOERR_TRUNCATE",
    "SQLITE_IOERR_SHMSIZE",
    "SQLITE_IOERR_SHMOPEN",
)
_MAX_PLACE = 80


def status_of(error: TensorloomError) -> int:
    """The HTTP status that fits an error."""
    return _STATUS.get(error.code, _INVALID)


def to_refusal(error: TensorloomError) -> Refusal:
    """The error as a record."""
    return Refusal.from_json(error.to_json())


def rejected(
    code: str, message: str, hint: str, values: Mapping[str, object] | None = None
) -> WorkerRejected:
    """A refusal of the service."""
    return WorkerRejected(code, message, hint, values=dict(values or {}))


def internal() -> ExecutionError:
    """What a client learns of a bug: that there is one."""
    return ExecutionError(
        "internal",
        "The heavy worker made a mistake.",
        "Its log says what happened; please report it.",
    )


def disk_full() -> ExecutionError:
    """There is no room to write."""
    return ExecutionError(
        "disk-full",
        "The disk of the heavy worker is full.",
        "Delete jobs or arrays that are no longer needed, or give it a larger data folder.",
    )


@contextmanager
def writing() -> Iterator[None]:
    """Turns what the system says of a full disk into ``disk-full``.

    Raises:
        ExecutionError: ``disk-full``.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full() from error
        raise
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorname", "") in _SQLITE_FULL:
            raise disk_full() from error
        raise


def from_validation(error: ValidationError, what: str) -> InputError:
    """The first thing that pydantic found, in our words.

    Args:
        error: What it found.
        what: The record that was read, such as ``the request``.
    """
    found = cast("Sequence[Mapping[str, Any]]", error.errors(include_url=False))[0]
    place = ".".join(str(part) for part in found["loc"] if part not in {"contract", "entry"})
    place = place[:_MAX_PLACE] or what
    match found["type"]:
        case "union_tag_not_found":
            return _bad_kind("missing-field", what, "is missing")
        case "union_tag_invalid":
            return _bad_kind("bad-field", what, "is neither 'contract' nor 'entry'")
        case "missing":
            return InputError(
                "missing-field",
                f"The field '{place}' of {what} is missing.",
                "Add it.",
                values={"field": place},
            )
        case "extra_forbidden":
            return InputError(
                "unknown-field",
                f"The field '{place}' of {what} is not known.",
                "Take it out.",
                values={"field": place},
            )
        case _:
            wanted = str(found["msg"]).removeprefix("Value error, ")
            sentence = wanted[:1].lower() + wanted[1:]
            return InputError(
                "bad-field",
                f"The field '{place}' of {what} cannot be used: {sentence}.",
                "The interface's description, /v1/openapi.json, says what it may be.",
                values={"field": place},
            )


def _bad_kind(code: str, what: str, problem: str) -> InputError:
    return InputError(
        code,
        f"The field 'kind' of {what} {problem}.",
        "Give 'contract' with a document, or 'entry' with the name of an entry point.",
        values={"field": "kind"},
    )
