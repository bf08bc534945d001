"""Sends a network to a heavy worker and waits for its value, however often the line breaks.

Whoever stops waiting loses nothing: the job goes on, and ``returned`` takes it up again by its id.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import Cancelled, TensorloomError, WorkerRejected, WorkerUnreachable
from tensorloom.execute.backend import RawResult, Result, SlicesDone, no_pulse
from tensorloom.execute.remote.client import error_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Pulse
    from tensorloom.execute.remote.client import WorkerClient
    from tensorloom.execute.remote.request import JobRequest

__all__ = ["Watcher", "contracted", "returned"]

FIRST_LOOK_S = 0.02
LONGEST_LOOK_S = 1.0
"""Pauses between two looks at a job; they grow from the first to the longest [s]."""


@dataclass(slots=True, kw_only=True)
class Watcher:
    """Who is told how a job gets on.

    Args:
        pulse: Told of multiply-adds and slices done; a ``Cancelled`` that it raises ends the job.
        sent: Told the job's id as soon as there is one.
        stands: Told the job's record whenever it was looked at.
        uploading: Told of (bytes that arrived, bytes in all) while arrays are sent.
    """

    pulse: Pulse = no_pulse
    sent: Callable[[str], None] = lambda _job: None
    stands: Callable[[dict[str, Any]], None] = lambda _record: None
    uploading: Callable[[int, int], None] = lambda _done, _of: None


async def contracted(
    client: WorkerClient, request: JobRequest, watcher: Watcher | None = None
) -> Result:
    """The value of a network, computed by a worker.

    Args:
        client: The worker.
        request: What to compute.
        watcher: Who is told.

    Raises:
        WorkerUnreachable: The worker does not answer, or not any more.
        TensorloomError: What it refuses, in its words.
        Cancelled: The watcher's pulse, or somebody else, cancelled the job. A note on it says where
            the worker could not be told, and why.
    """
    told = watcher or Watcher()
    client.greet()
    whole, before = sum(map(len, request.files.values())), 0
    for sha256, data in request.files.items():
        client.upload(sha256, data, partial(_arrived, told, before, whole))
        before += len(data)
    # The key makes a request that is sent again the same job.
    record = client.submit(request.record, str(uuid.uuid4()))
    told.sent(record["id"])
    return await _followed(client, record, told)


def _arrived(told: Watcher, before: int, whole: int, done: int) -> None:
    told.uploading(before + done, whole)


async def returned(client: WorkerClient, job: str, watcher: Watcher | None = None) -> Result:
    """The value of a job that was sent before; waited for if it is not there yet.

    Raises:
        The same as ``contracted``.
    """
    client.greet()
    return await _followed(client, client.job(job), watcher or Watcher())


async def _followed(client: WorkerClient, record: dict[str, Any], told: Watcher) -> Result:
    job, pause = record["id"], FIRST_LOOK_S
    try:
        while True:
            told.stands(record)
            await _pulse(client, record, told)
            if record["state"] in {"done", "failed", "cancelled"}:
                break
            client.pause(pause)
            pause = min(LONGEST_LOOK_S, 1.5 * pause)
            record = client.job(job)
        return _value(client, record)
    except Cancelled as cancelled:
        if record["state"] != "cancelled":
            try:
                client.cancel(job)
            except TensorloomError as error:
                # Whoever cancelled catches that, not what became of it; a full disk, say.
                cancelled.add_note(f"Job {job} may go on at {client.name}: {error}")
        raise
    except WorkerUnreachable as error:
        if error.code != "worker-unreachable":
            raise
        raise WorkerUnreachable(
            "worker-interrupted",
            f"The worker at {client.name} has stopped answering; job {job} goes on there.",
            f"Come back to it: python -m tensorloom contract --worker {client.address} --job {job}",
            values={"address": client.address, "job": job},
        ) from error


async def _pulse(client: WorkerClient, record: dict[str, Any], told: Watcher) -> None:
    progress = record.get("progress") or {}
    done, of = int(progress.get("slicesDone", 0)), int(progress.get("slices", 0))
    mul_adds = int((record.get("estimate") or {}).get("mulAdds", 0))

    async def so_far() -> RawResult | None:
        found = client.partial(record["id"])
        if found is None:
            return None
        return RawResult(value=_array(found[0]), log10_scale=found[1])

    slices = SlicesDone(done=done, of=of, so_far=so_far) if of > 1 else None
    await told.pulse(int(mul_adds * float(progress.get("fraction", 0.0))), slices)


def _value(client: WorkerClient, record: dict[str, Any]) -> Result:
    """The result of a job that is over.

    Raises:
        Cancelled: It was cancelled.
        TensorloomError: Why it failed, in the worker's words.
        WorkerRejected: ``worker-damaged-result``.
    """
    job, state = record["id"], record["state"]
    if state == "cancelled":
        raise Cancelled("cancelled", f"Job {job} was cancelled.")
    found = record.get("result")
    if state == "failed" or not found:
        raise error_of(
            record.get("error")
            or {"kind": "", "code": "worker-answer", "message": f"Job {job} failed without a word."}
        )
    data = client.result(job, int(found["bytes"]))
    if hashlib.sha256(data).hexdigest() != found["sha256"]:
        raise WorkerRejected(
            "worker-damaged-result",
            f"The result of job {job} is not the one that the worker computed.",
            f"Ask for it again with --job {job}; if that does not help, send it anew.",
            values={"job": job},
        )
    value = _array(data)
    estimate = record.get("estimate") or {}
    return Result(
        value=value,
        dtype=found["dtype"],
        backend="worker",
        ms=float(found["ms"]),
        predicted_ms=float(estimate.get("predictedMs", found["ms"])),
        peak_bytes=int(estimate.get("peakBytesPerWorker", value.nbytes)),
        mul_adds=int(found["mulAdds"]),
        error_bound=float(found["errorBound"]),
        log10_scale=float(found.get("log10Scale", 0.0)),
        notes=(f"Computed by {found['backend']} on the worker at {client.name}.",),
    )


def _array(data: bytes) -> NDArray[Any]:
    """The array of a .npy file; never a pickle."""
    found: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return found
