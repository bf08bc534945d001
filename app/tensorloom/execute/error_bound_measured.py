"""The error bound of one result, measured where averages say that much is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorloom.errors import ExecutionError
from tensorloom.execute.backend import no_pulse
from tensorloom.execute.error_bound import (
    MUCH_LOST,
    SAFETY,
    has_digits,
    length_bound,
    may_cancel,
)
from tensorloom.execute.second_opinion import (
    CAUTION,
    largest_difference,
    may_repeat,
    repetition_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import RawResult
    from tensorloom.execute.run import Attempt

__all__ = ["measured"]


async def measured(
    bound: float,
    attempt: Attempt,
    given: tuple[NDArray[Any], ...],
    raw: RawResult,
    notes: list[str],
) -> tuple[float, int]:
    """The error bound, by repetition where the one from averages says that much is lost.

    Nothing is repeated that takes long or would not fit beside the inputs and the result.

    Args:
        bound: From averages.
        attempt: Where and how the result was made.
        given: The inputs before they were cast.
        raw: What came out.
        notes: What a repetition notes is added.

    Returns:
        The bound and what was held beside repetitions; 0 where there was none [bytes].
    """
    program = attempt.program
    least = SAFETY * length_bound(program, attempt.places)
    held = repetition_bytes(program, given, [raw])
    if bound <= MUCH_LOST * least or not may_repeat(attempt, held):
        return bound, 0
    # Of zeros no digit is certain, and where nothing cancels only underflow took much: what it
    # takes away in every run no repetition shows.
    if not has_digits(raw) or not may_cancel(given, attempt.places):
        return bound, 0

    async def replay(arrays: Sequence[NDArray[Any]]) -> RawResult:
        again = await attempt.backend.run(program, arrays, no_pulse)
        notes.extend(again.notes)
        return again

    try:
        difference = await largest_difference(program, given, raw, replay)
    except ExecutionError as error:
        # The value is there; only its factors took a repetition out of the range.
        if error.code != "f16-range":
            raise
        return bound, held
    return min(bound, least + CAUTION * difference), held
