"""The sum so far of a job, from what its ledger holds."""

from __future__ import annotations

import io
from math import log10
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tensorloom_worker.ledger import Ledger, Partial

__all__ = ["sum_so_far"]


def sum_so_far(ledger: Ledger, job: str) -> tuple[np.ndarray[Any, Any], float] | None:
    """The array and the log10 of what it is to be multiplied with; ``None`` if nothing is there."""
    prefix = ledger.prefix(job)
    parts = [prefix.partial] if prefix else []
    parts += [partial for _, partial in sorted(ledger.tasks(job).items())]
    if not parts:
        return None
    exponent = max(part.exponent for part in parts)
    total = sum(np.asarray(_scaled(part, part.exponent - exponent)) for part in parts)
    return np.asarray(total), exponent * log10(2)


def _scaled(part: Partial, shift: int) -> np.ndarray[Any, Any]:
    """A sum times a power of two that is at most one; far below the largest it is zero."""
    array = _array(part.total)
    if part.compensation:
        array = array + _array(part.compensation)
    return np.asarray(array * 2.0 ** max(shift, -1074))


def _array(data: bytes) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return found
