"""A ledger in memory that keeps the rules of the real one, and counts."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tensorloom_worker.ledger import Partial, Prefix, TaskLayout

__all__ = ["MemoryLedger"]


class MemoryLedger:
    """One job's records.

    Args:
        recorded: Called after each record, with how many there have been.
    """

    def __init__(self, recorded: Callable[[int], None] = lambda _: None) -> None:
        self.job: str | None = None
        self.sums: dict[int, Partial] = {}
        self.first: Prefix | None = None
        self.fixed: TaskLayout | None = None
        self.times: Counter[int] = Counter()
        self.folds = 0
        self._recorded = recorded
        self._lock = threading.Lock()

    def _check(self, job: str) -> None:
        self.job = self.job or job
        assert job == self.job, "it holds one job"

    def tasks(self, job: str) -> Mapping[int, Partial]:
        self._check(job)
        return dict(self.sums)

    def prefix(self, job: str) -> Prefix | None:
        self._check(job)
        return self.first

    def record(self, job: str, task: int, partial: Partial) -> bool:
        self._check(job)
        with self._lock:
            if task in self.sums or (self.first is not None and task < self.first.upto):
                return False
            self.sums[task] = partial
            self.times[task] += 1
            count = self.times.total()
        self._recorded(count)
        return True

    def fold(self, job: str, prefix: Prefix) -> None:
        self._check(job)
        with self._lock:
            self.first = prefix
            self.folds += 1
            self.sums = {task: part for task, part in self.sums.items() if task >= prefix.upto}

    def layout(self, job: str) -> TaskLayout | None:
        self._check(job)
        return self.fixed

    def fix_layout(self, job: str, layout: TaskLayout) -> None:
        self._check(job)
        assert self.fixed is None, "the layout is fixed once"
        self.fixed = layout
