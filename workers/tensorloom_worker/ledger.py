"""The door between the service and the execution: what is recorded of a job, and what is asked.

``execution`` implements ``Executor``; ``store`` implements ``Ledger``. Neither imports the other.
A ledger's methods may be called from any thread; they block until the disk has the change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any, Protocol, SupportsIndex

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from tensorloom_worker.records import (
        ContractRequest,
        EntryRequest,
        Estimate,
        Facts,
        JobProgress,
        PartialValue,
        PlanJson,
        State,
    )

__all__ = [
    "ArrayRef",
    "Bytes",
    "Executor",
    "Ledger",
    "Outcome",
    "Partial",
    "Prefix",
    "Progress",
    "TaskLayout",
]


_WITH_BUFFERS = 5
"""The protocol of pickle from which buffers may travel beside what is pickled."""

_LARGE_BYTES = 1 << 16

Bytes = bytes | memoryview
"""Large ones are views: each copy of them counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """A compensated sum: ``(total + compensation) * 2**exponent``.

    Args:
        total: The bytes of a ``.npy`` file.
        compensation: The same for what rounding took, or empty for none.
        exponent: Of two, carried apart.
    """

    total: Bytes
    compensation: Bytes = b""
    exponent: int = 0

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        """Large ones travel as they lie: Dask copies no buffers that are offered like this."""
        is_plain = protocol.__index__() < _WITH_BUFFERS
        parts = (
            bytes(part) if is_plain or len(part) < _LARGE_BYTES else PickleBuffer(part)
            for part in (self.total, self.compensation)
        )
        return _partial, (*parts, self.exponent)


def _partial(total: Bytes, compensation: Bytes, exponent: int) -> Partial:
    return Partial(total=total, compensation=compensation, exponent=exponent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """The sum of the first tasks.

    Args:
        upto: It holds tasks 0 to ``upto - 1``, added in this order.
        partial: Their sum.
    """

    upto: int
    partial: Partial


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLayout:
    """How a job is cut into tasks: fixed once, so that a resumed job gives the same bits.

    Args:
        plan: The tree that was found.
        slices: Number of slices.
        slices_per_task: Task ``k`` adds up slices ``k * slices_per_task`` and on.
        dtype: Type that is computed in.
        backend: What contracts.
        extra: Anything else that the bits depend on, as JSON.
    """

    plan: PlanJson
    slices: int
    slices_per_task: int
    dtype: str
    backend: str
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def tasks(self) -> int:
        """Number of tasks."""
        return -(-self.slices // self.slices_per_task)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayRef:
    """An uploaded file whose hash has been checked.

    Args:
        path: The file, ``.npy`` or safetensors.
        key: Name inside a safetensors file; ``None`` for ``.npy``.
        sha256: Of the file.
    """

    path: Path
    key: str | None
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a running job has to tell; fields that are ``None`` are as before."""

    state: State | None = None
    progress: JobProgress | None = None
    partial: PartialValue | None = None
    estimate: Estimate | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a job ended with.

    Args:
        array: The result; the service writes it down.
        log10_scale: What it is to be multiplied with.
        error_bound: Relative to the largest magnitude.
        ms: Time on the workers.
        mul_adds: Multiply-add pairs that were done.
        backend: What contracted.
        details: What an entry point tells beside it, as JSON.
    """

    array: np.ndarray[Any, Any]
    error_bound: float
    ms: float
    mul_adds: int
    backend: str
    log10_scale: float = 0.0
    details: dict[str, Any] | None = None


class Ledger(Protocol):
    """What is recorded of jobs under way; every change is on the disk when its method returns."""

    def tasks(self, job: str) -> Mapping[int, Partial]:
        """Recorded sums by task number, those in the prefix apart; damaged ones are left out."""

    def prefix(self, job: str) -> Prefix | None:
        """The sum of the first tasks, if some were added up."""

    def record(self, job: str, task: int, partial: Partial) -> bool:
        """Whether the sum was new; one that is there already stays as it is."""

    def fold(self, job: str, prefix: Prefix) -> None:
        """At once: keep this prefix, drop the sums of the tasks that it holds."""

    def layout(self, job: str) -> TaskLayout | None:
        """How the job was cut, if that is fixed."""

    def fix_layout(self, job: str, layout: TaskLayout) -> None:
        """Fix how the job is cut; once."""


class Executor(Protocol):
    """What computes jobs."""

    async def start(self) -> None:
        """Get ready; jobs may be run when it returns."""

    async def close(self) -> None:
        """Stop everything."""

    def about(self) -> Facts:
        """What computes."""

    async def check(self, request: ContractRequest | EntryRequest) -> None:
        """Looks whether a request can be run here as it says, before it is taken.

        Raises:
            WorkerRejected: It never can.
        """

    async def estimate(
        self,
        request: ContractRequest | EntryRequest,
        arrays: Mapping[str, ArrayRef] | None = None,
    ) -> Estimate:
        """What a job would take.

        Args:
            request: What it would do.
            arrays: As for ``run``, those that are here; a batch without counts as one contraction.

        Raises:
            TensorloomError: The request makes no sense. One that does not fit is no error.
        """

    async def run(
        self,
        job: str,
        request: ContractRequest | EntryRequest,
        arrays: Mapping[str, ArrayRef],
        ledger: Ledger,
        *,
        progress: Callable[[Progress], None],
        cancelled: asyncio.Event,
    ) -> Outcome:
        """The outcome; goes on from what the ledger holds.

        Args:
            job: Its id in the ledger.
            request: What to do.
            arrays: By tensor id; the arrays of a batch are named ``batch:<tensor id>``.
            ledger: Where sums are recorded.
            progress: Called in the event loop's thread, as often as it likes.
            cancelled: Set when the job is to stop.

        Raises:
            Cancelled: ``cancelled`` was set.
            TensorloomError: The job cannot be done.
        """

    async def partial(
        self, job: str, request: ContractRequest | EntryRequest, ledger: Ledger
    ) -> tuple[NDArray[Any], float] | None:
        """The sum of what is recorded, and the log10 of what it is to be multiplied with.

        ``None`` where nothing is recorded yet, or where a part of the work means nothing.
        """
