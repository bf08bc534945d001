"""What the service itself takes to record the sums of tasks and to make the result of them.

A sum is twice its part of the result in every type: in double precision, or with what additions
lost. It is copied, handed over, hashed, written and synchronised; then the whole result is. All of
this takes as long as its bytes, at a rate that is measured where the data folder is. What a cluster
elsewhere takes to send sums is not in it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from time import perf_counter, thread_time
from typing import TYPE_CHECKING

import numpy as np

from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom_worker.execution.left_sums import left_sum
from tensorloom_worker.execution.sums import WIDE, Sum
from tensorloom_worker.limits import beyond_service

if TYPE_CHECKING:
    from pathlib import Path

    from tensorloom.errors import TensorloomError
    from tensorloom.model.recipe import DType
    from tensorloom_worker.execution.pool import Pool
    from tensorloom_worker.execution.strategy import Strategy

__all__ = ["TYPICAL_BYTE_S", "Recorder", "Sums", "fold_bytes", "measured", "most_held"]

FOLD_BYTES = 16 << 20
"""Bytes of sums after which the prefix is written, if they are twice its own."""

HELD_BYTES = 256 << 20
"""What sums that wait for others may take in the service, beyond one per thread and another."""

TYPICAL_BYTE_S = 5e-9
"""A byte of a sum on a solid-state disk, for where none could be measured [s]."""

_ELEMENTS = 1 << 20
_TIMES = 3
"""What is measured: a sum of so many numbers, the quickest of so many times."""


def fold_bytes(total_bytes: int) -> int:
    """After how many bytes of sums the prefix is written, whose total has so many [bytes]."""
    return max(FOLD_BYTES, 2 * total_bytes)


def most_held(sum_bytes: int, threads: int) -> int:
    """How many tasks are under way or wait for an earlier one at most."""
    return max(threads + 1, HELD_BYTES // max(1, sum_bytes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """The sums of a job.

    Args:
        tasks: How many.
        each_bytes: One of them [bytes].
        result_bytes: The result [bytes].
        total_bytes: The total of all, without what additions lost [bytes].
    """

    tasks: int
    each_bytes: int
    result_bytes: int
    total_bytes: int

    @classmethod
    def of(cls, strategy: Strategy, dtype: DType, slices_per_task: int) -> Sums:
        """Those of a strategy in tasks of so many slices."""
        main = strategy.main
        sizes = dict(main.dimensions)
        elements = prod(sizes[name] for name in main.output)
        blocks = min(strategy.n_blocks, -(-slices_per_task // strategy.slices_per_block))
        result = elements * ITEM_BYTES[dtype]
        return cls(
            tasks=-(-main.n_slices // slices_per_task),
            each_bytes=2 * result * blocks // strategy.n_blocks,
            result_bytes=result,
            total_bytes=elements * np.dtype(WIDE[dtype]).itemsize,
        )

    def seconds(self, byte_s: float) -> float:
        """Time for all of them and the result, at so long for a byte [s]."""
        recorded = self.tasks * self.each_bytes
        folds = (self.tasks - 1) // -(-fold_bytes(self.total_bytes) // max(1, self.each_bytes))
        return byte_s * (recorded + (2 * folds + 1) * self.result_bytes)

    def service_bytes(self, threads: int) -> int:
        """Most memory of the service, with workers of so many threads [bytes].

        At the end that is the sum, the result, and the result with its axes in order; before, the
        sum, those that wait to be added, and two temporaries of the one that is.
        """
        if self.tasks == 1:
            return self.each_bytes + 2 * self.result_bytes
        held = min(self.tasks, most_held(self.each_bytes, threads)) + 2
        return 2 * self.result_bytes + max(2 * self.result_bytes, held * self.each_bytes)


class Recorder:
    """What this service has for recording sums.

    Args:
        pool: Whose sums.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._byte_s = TYPICAL_BYTE_S

    def measure(self, folder: Path) -> None:
        """Find out how long it takes where the data folder is."""
        self._byte_s = measured(folder)

    def seconds(self, sums: Sums) -> float:
        """Time for the sums and their result [s]."""
        return sums.seconds(self._byte_s)

    def refusal(self, sums: Sums) -> TensorloomError | None:
        """Why they are not taken."""
        needed = sums.service_bytes(self._pool.n_threads)
        return beyond_service(needed, self._pool.service_bytes)


def measured(folder: Path) -> float:
    """A byte of a sum, from a task's number to its record, in this thread [s].

    In processor time, but for what the disk takes. 16 MiB are written to the folder, twice.
    """
    with suppress(OSError):
        return min(_measured_once(folder) for _ in range(_TIMES))
    return TYPICAL_BYTE_S


def _measured_once(folder: Path) -> float:
    path = folder / "measured"
    begun = thread_time()
    total = Sum((_ELEMENTS,), "float64")
    total.add(np.ones(_ELEMENTS), 0)
    partial = left_sum(total.partial(), path).taken()
    sha256(partial.total).update(partial.compensation)
    try:
        with path.open("wb") as file:
            file.write(partial.total)
            file.write(partial.compensation)
            file.flush()
            took = thread_time() - begun
            begun = perf_counter()
            os.fsync(file.fileno())
            took += perf_counter() - begun
    finally:
        path.unlink(missing_ok=True)
    return took / (len(partial.total) + len(partial.compensation))
