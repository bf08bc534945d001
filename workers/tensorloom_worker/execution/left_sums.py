"""Large sums of tasks on their way to a service on the same machine: files, read where they lie.

They are no records: nothing of them is durable, and the folder is emptied when the service starts.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

from tensorloom_worker.ledger import Partial
from tensorloom_worker.refusals import writing

__all__ = ["LeftSum", "forget_left", "is_large", "left_sum"]

LARGE_BYTES = 1 << 20
"""Sums from here on are left in files; a message is quicker for smaller ones [bytes]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftSum:
    """A sum in a file.

    Args:
        path: The file: the total, and the compensation after it.
        split: Where that begins [bytes].
        exponent: Of two, carried apart.
    """

    path: str
    split: int
    exponent: int

    def taken(self) -> Partial:
        """The sum, as the file lies in memory; it has no name any more."""
        path = Path(self.path)
        with path.open("rb") as file:
            data = memoryview(mmap(file.fileno(), 0, access=ACCESS_READ))
        with suppress(OSError):  # Windows keeps what is mapped; ``forget_left`` comes later
            path.unlink()
        return Partial(
            total=data[: self.split], compensation=data[self.split :], exponent=self.exponent
        )


def is_large(partial: Partial) -> bool:
    """Whether a sum is better left in a file."""
    return len(partial.total) + len(partial.compensation) >= LARGE_BYTES


def left_sum(partial: Partial, job: Path) -> LeftSum:
    """The sum in a file beside that of its job.

    Raises:
        ExecutionError: ``disk-full``.
    """
    path = job.with_name(f"{job.stem}-{secrets.token_hex(8)}")
    try:
        with writing(), path.open("xb") as file:
            file.write(partial.total)
            file.write(partial.compensation)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return LeftSum(path=str(path), split=len(partial.total), exponent=partial.exponent)


def forget_left(job: Path) -> None:
    """Remove what nobody took of a job."""
    for path in job.parent.glob(f"{job.stem}-*"):
        with suppress(OSError):
            path.unlink()
