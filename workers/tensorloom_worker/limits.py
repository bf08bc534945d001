"""What the service was told not to go beyond: why a job that it could compute is not taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.errors import NetworkError, WorkerRejected
from tensorloom.execute.quantities import bytes_text, duration_text

if TYPE_CHECKING:
    from tensorloom.errors import TensorloomError
    from tensorloom_worker.settings import Settings

__all__ = [
    "beyond_arrays",
    "beyond_result",
    "beyond_search",
    "beyond_service",
    "beyond_tensors",
    "beyond_time",
]


def beyond_tensors(count: int, settings: Settings) -> TensorloomError | None:
    """Why a network of so many tensors is not taken."""
    if count <= settings.max_tensors:
        return None
    return NetworkError(
        "too-big",
        f"The network has {count} tensors; this worker takes {settings.max_tensors}.",
        "Split it, or start the worker with a higher --max-tensors.",
        values={"count": count, "most": settings.max_tensors},
    )


def beyond_result(size: int, settings: Settings) -> TensorloomError | None:
    """Why a result of this size is not taken [bytes]."""
    if size <= settings.max_result_bytes:
        return None
    return WorkerRejected(
        "result-too-big",
        f"The result would have {bytes_text(size)}; the most is "
        f"{bytes_text(settings.max_result_bytes)}.",
        "Sum over some output indices, or ask for fewer of their values.",
        values={"bytes": str(size), "most": str(settings.max_result_bytes)},
    )


def beyond_service(needed: int, most: int) -> TensorloomError | None:
    """Why a result is not taken whose sums need so much of the service's memory [bytes]."""
    if needed <= most:
        return None
    return WorkerRejected(
        "result-too-big",
        f"Adding the result up would take the service {bytes_text(needed)}; a job may take "
        f"{bytes_text(most)} there.",
        "Sum over some output indices, or start the worker with fewer --concurrent-jobs.",
        values={"bytes": str(needed), "most": str(most)},
    )


def beyond_arrays(size: int, settings: Settings) -> TensorloomError | None:
    """Why an entry point does not build arrays of this size [bytes]."""
    if size <= settings.max_stored_bytes:
        return None
    return WorkerRejected(
        "entry-too-big",
        f"The job would build arrays of {bytes_text(size)}; the most is "
        f"{bytes_text(settings.max_stored_bytes)}.",
        "Ask for less in one job, or start the worker with a higher --max-stored-bytes.",
        values={"bytes": str(size), "most": str(settings.max_stored_bytes)},
    )


def beyond_time(predicted_ms: float, settings: Settings) -> TensorloomError | None:
    """Why a contraction of this time is not taken [ms]."""
    most_ms = settings.max_job_seconds * 1000
    if predicted_ms <= most_ms:
        return None
    return WorkerRejected(
        "job-too-long",
        f"It would take {_about(predicted_ms)}; the most is {duration_text(most_ms)}.",
        "Search for a better order, give it more memory, or make dimensions smaller.",
        values={"predictedMs": predicted_ms, "mostMs": most_ms},
    )


def beyond_search(seconds: float, settings: Settings) -> TensorloomError | None:
    """Why a search of this time is not taken [s]: nothing could come after it."""
    if seconds <= settings.max_job_seconds:
        return None
    most_ms = settings.max_job_seconds * 1000
    return WorkerRejected(
        "job-too-long",
        f"It would search for {duration_text(seconds * 1000)}; the most that a job may run is "
        f"{duration_text(most_ms)}.",
        "Search for a shorter time.",
        values={"predictedMs": seconds * 1000, "mostMs": most_ms},
    )


_YEAR_MS = 3.6e6 * 24 * 365.25
_YEARS = 1000


def _about(ms: float) -> str:
    """A duration, in years where hours say nothing."""
    if ms < _YEAR_MS:
        return f"about {duration_text(ms)}"
    if ms < _YEARS * _YEAR_MS:
        return f"about {ms / _YEAR_MS:.3g} years"
    return f"more than {_YEARS} years"
