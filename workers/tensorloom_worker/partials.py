"""The sum so far of a job, from what its ledger holds."""

from __future__ import annotations

import io
from math import log10, prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tensorloom_worker.ledger import Ledger, Partial

__all__ = ["sum_so_far"]


def sum_so_far(ledger: Ledger, job: str) -> tuple[np.ndarray[Any, Any], float] | None:
    """The array and the log10 of what it is to be multiplied with; ``None`` if nothing is there."""
    layout = ledger.layout(job)
    prefix = ledger.prefix(job)
    parts: list[tuple[int | None, Partial]] = [(None, prefix.partial)] if prefix else []
    parts += sorted(ledger.tasks(job).items())
    if not parts:
        return None
    exponent = max(part.exponent for _, part in parts)
    blocks = layout.extra.get("blocks") if layout else None
    if layout is None or blocks is None:
        total = sum(np.asarray(_scaled(part, part.exponent - exponent)) for _, part in parts)
        return np.asarray(total), exponent * log10(2)
    # A result with sliced indices lies in blocks; a task's sum holds those that it touched.
    each = layout.slices // prod(blocks["counts"])
    whole: np.ndarray[Any, Any] | None = None
    for task, part in parts:
        array = _scaled(part, part.exponent - exponent)
        if whole is None:
            whole = np.zeros((prod(blocks["counts"]), *blocks["shape"]), array.dtype)
        first = 0 if task is None else task * layout.slices_per_task // each
        whole[first : first + len(array)] += array
    assert whole is not None
    shaped = whole.reshape(*blocks["counts"], *blocks["shape"]).transpose(blocks["order"])
    return np.asarray(shaped, order="C"), exponent * log10(2)


def _scaled(part: Partial, shift: int) -> np.ndarray[Any, Any]:
    """A sum times a power of two that is at most one; far below the largest it is zero."""
    array = _array(part.total)
    if part.compensation:
        array = array + _array(part.compensation)
    return np.asarray(array * 2.0 ** max(shift, -1074))


def _array(data: bytes) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return found
