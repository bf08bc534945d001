"""Sums that lose nothing: parts with an exponent are added in a fixed order.

Single precision is added up in double precision. Double precision keeps what each addition rounds
away beside the sum (TwoSum), so that a million slices lose no more than two.

Source: T. Ogita, S. Rump, S. Oishi, Accurate sum and dot product, SIAM J. Sci. Comput. 26 (2005),
algorithm 4.4 (Sum2); TwoSum is Knuth's.
"""

from __future__ import annotations

import io
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import ExecutionError
from tensorloom.execute.scaling import absmax, scaled
from tensorloom.formats.npy import HEAD_BYTES
from tensorloom_worker.array_files import npy_parts
from tensorloom_worker.ledger import Partial

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorloom_worker.ledger import Bytes

__all__ = ["Sum", "npy_bytes", "npy_from"]

WIDE = {
    "float32": "float64",
    "complex64": "complex128",
    "float64": "float64",
    "complex128": "complex128",
}


_LARGE_BYTES = 1 << 20


class Sum:
    """``(total + excess) * 2**exponent``.

    Args:
        shape: Of what is added up.
        dtype: Of the parts.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        self.exponent: int | None = None
        self.total: NDArray[Any] = np.zeros(shape, WIDE[dtype])
        self.excess: NDArray[Any] | None = None if WIDE[dtype] != dtype else np.zeros(shape, dtype)

    @classmethod
    def of(cls, partial: Partial, dtype: str) -> Sum:
        """The sum that a record holds, where that lies: nothing is added to it."""
        total = npy_from(partial.total)
        made = cls((), dtype)
        made.total = total
        if made.excess is not None:
            made.excess = npy_from(partial.compensation)
        made.exponent = None if _is_zero(total, made.excess) else partial.exponent
        return made

    def own(self) -> Sum:
        """The same in memory of its own, for who adds to it."""
        made = Sum((), self.total.dtype.name)
        made.exponent, made.total = self.exponent, self.total.copy()
        made.excess = None if self.excess is None else self.excess.copy()
        return made

    def partial(self) -> Partial:
        """What is recorded of it."""
        return Partial(
            total=npy_bytes(self.total),
            compensation=b"" if self.excess is None else npy_bytes(self.excess),
            exponent=self.exponent or 0,
        )

    def value(self) -> NDArray[Any]:
        """The sum without its exponent, in the type it was added in; it may be the total itself."""
        if self.excess is None:
            return self.total
        # Beyond the range a sum is infinite; then nothing is left over of it.
        with np.errstate(over="ignore", invalid="ignore"):
            whole = np.asarray(self.total + self.excess)
        np.copyto(whole, self.total, where=~np.isfinite(self.total))
        return whole

    def add(self, part: NDArray[Any], exponent: int, where: Any = ...) -> None:  # noqa: ANN401
        """Adds ``part * 2**exponent`` to ``self[where]``."""
        part = self._aligned(part, exponent)
        total = self.total[where]
        if self.excess is None:
            total += part
            self.total[where] = total
            return
        grown, lost = _two_sum(total, part)
        self.total[where] = grown
        self.excess[where] += lost

    def merge(self, other: Sum, where: Any = ...) -> None:  # noqa: ANN401  # an index
        """Adds another sum to ``self[where]``: its total, then what that had lost."""
        exponent = other.exponent or 0
        part = self._aligned(other.total, exponent, other.excess)
        lost = None if other.excess is None else scaled(other.excess, exponent - self._exponent)
        self.add(part, self._exponent, where)
        if self.excess is not None and lost is not None:
            self.excess[where] += lost.reshape(self.excess[where].shape)

    @property
    def _exponent(self) -> int:
        return self.exponent or 0

    def _aligned(
        self, part: NDArray[Any], exponent: int, excess: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """The part with the sum's exponent, which becomes the part's if that is larger.

        Zeros have none of their own: that of their factors could be far from that of the rest.
        """
        if exponent == self.exponent:
            return part
        if self.exponent is None or exponent > self.exponent:
            if _is_zero(part, excess):
                return part
            if self.exponent is not None:
                self.total = scaled(self.total, self.exponent - exponent)
                if self.excess is not None:
                    self.excess = scaled(self.excess, self.exponent - exponent)
            self.exponent = exponent
            return part
        return scaled(part.astype(self.total.dtype, copy=False), exponent - self.exponent)


def _is_zero(part: NDArray[Any], excess: NDArray[Any] | None) -> bool:
    return absmax(part) == 0 and (excess is None or absmax(excess) == 0)


def _two_sum(total: NDArray[Any], part: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    with np.errstate(over="ignore", invalid="ignore"):
        grown = total + part
        moved = grown - total
        return grown, (total - (grown - moved)) + (part - moved)


def npy_bytes(array: NDArray[Any]) -> Bytes:
    """The bytes of a ``.npy`` file, in one copy."""
    head, elements = npy_parts(array)
    if len(elements) < _LARGE_BYTES:
        return head + elements
    # numpy lets other threads go on while it copies; Python does not.
    room = np.empty(len(head) + len(elements), np.uint8)
    room[: len(head)] = np.frombuffer(head, np.uint8)
    room[len(head) :] = np.frombuffer(elements, np.uint8)
    return room.data


def npy_from(data: Bytes) -> NDArray[Any]:
    """The array of such bytes, as a view; only what ``npy_bytes`` wrote is read."""
    try:
        head = io.BytesIO(data[:HEAD_BYTES])
        np.lib.format.read_magic(head)
        shape, _, dtype = np.lib.format.read_array_header_1_0(head)
        found: NDArray[Any] = np.frombuffer(data, dtype, prod(shape), head.tell()).reshape(shape)
    except (ValueError, EOFError) as error:
        raise ExecutionError(
            "bad-partial-sum",
            "A recorded partial sum cannot be read.",
            "Run the job again.",
        ) from error
    return found
