"""The value alone, without the bound on its error: what a loop that trains something asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tensorloom.execute.backend import RawResult, no_pulse
from tensorloom.execute.casting import cast_arrays, plain_arrays
from tensorloom.execute.run import first_able
from tensorloom.execute.scaling import finished

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

    from tensorloom.execute.backend import Pulse
    from tensorloom.execute.run import Attempt, Choice

__all__ = ["replayed", "value"]


async def value(
    choice: Choice, arrays: Sequence[ArrayLike], *, pulse: Pulse = no_pulse
) -> RawResult:
    """The contracted network.

    Args:
        choice: From ``execute.run.prepare``.
        arrays: One per tensor, of its shape; converted to the type computed in.
        pulse: Progress and cancellation.

    Raises:
        NetworkError: Arrays that do not belong to the plan.
        UnsupportedKernel, DeviceLost, DeviceMemoryError: The last backend could not either.
        Cancelled: The pulse said so.
    """
    given = plain_arrays(choice.attempts[0].plan.tree, arrays)

    async def on(attempt: Attempt) -> RawResult:
        cast, exponent = cast_arrays(given, attempt.program.dtype)
        raw = await replayed(attempt, cast, pulse)
        if exponent == 0:
            return raw
        return finished(raw.value, exponent, attempt.program.dtype, log10_scale=raw.log10_scale)

    found, _ = await first_able(choice, on)
    return found


async def replayed(attempt: Attempt, arrays: Sequence[NDArray[Any]], pulse: Pulse) -> RawResult:
    """The program's result; one without kernel calls is its only tensor, or the number 1."""
    program = attempt.program
    if program.dispatches:
        return await attempt.backend.run(program, arrays, pulse)
    only = arrays[program.result] if arrays else np.ones((), program.dtype)
    return RawResult(value=only.reshape(program.shape).copy())
