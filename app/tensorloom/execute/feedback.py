"""What past runs say of predictions: a factor per backend and kind of program.

The kind is the heaviest kernel and the number of steps. Rates are measured on a few samples; a
device has more sides than those. Runs take longer than they should for many reasons (compiling,
others on the machine), and shorter for none: the least of the last few counts, the first one of a
program left out. What was learned of a prediction ends with it: a kernel that was tuned meanwhile
is another one. Nothing is learned of programs too short for the browser's clock.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorloom.execute.backend import BackendName
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType

    Kind = tuple[BackendName, DType, int, str]

__all__ = ["Feedback"]

TELLING_MS = 3.0
"""Programs that take less, by both prediction and clock, say nothing: three ticks of the coarsest
clock (Firefox, WebKit). Leaving out single short runs instead would leave the disturbed ones [ms].
"""

LAST, LEAST = 4, 2
"""So many runs are remembered, and needed."""

SAME = 0.02
"""Predictions that differ by this share are the same one."""

MOST = 20.0
"""A factor beyond this tells of something else: a sleeping machine, a debugger."""

_MOST_KINDS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """Runs of a kind.

    Args:
        predicted_ms: What the backend had predicted [ms].
        times: What the last ones took [ms].
    """

    predicted_ms: float
    times: deque[float] = field(default_factory=lambda: deque(maxlen=LAST))

    def of(self, predicted_ms: float) -> bool:
        """Whether they were runs with this prediction."""
        return abs(predicted_ms - self.predicted_ms) <= SAME * self.predicted_ms


class Feedback:
    """Factors by which predictions were wrong, of one device.

    Attributes:
        revision: Grows whenever a factor may have changed.
    """

    def __init__(self) -> None:
        self._seen: dict[Kind, _Seen] = {}
        self._last: tuple[BackendName, Program] | None = None
        self.revision = 0

    def factor(self, backend: BackendName, program: Program, predicted_ms: float) -> float:
        """By what to multiply a backend's prediction; 1 where nothing is known."""
        seen = self._seen.get(_kind(backend, program))
        if seen is None or len(seen.times) < LEAST or not seen.of(predicted_ms):
            return 1.0
        least = min(seen.times)
        if max(least, predicted_ms) < TELLING_MS:
            return 1.0
        return max(1 / MOST, min(MOST, least / predicted_ms))

    def note(
        self, backend: BackendName, program: Program, *, ms: float, predicted_ms: float
    ) -> None:
        """A run took so long.

        Args:
            backend: Where.
            program: What.
            ms: Measured [ms].
            predicted_ms: What the backend had predicted, without any factor [ms].
        """
        last, self._last = self._last, (backend, program)
        repeated = last is not None and last[0] == backend and last[1] is program
        if not repeated or predicted_ms <= 0:
            return
        if len(self._seen) >= _MOST_KINDS:
            self._seen.clear()
        kind = _kind(backend, program)
        seen = self._seen.get(kind)
        if seen is None or not seen.of(predicted_ms):
            seen = self._seen[kind] = _Seen(predicted_ms=predicted_ms)
        before = min(seen.times, default=None)
        seen.times.append(ms)
        self.revision += before != min(seen.times) or len(seen.times) == LEAST


def _kind(backend: BackendName, program: Program) -> Kind:
    """Backend, type, steps, and the kernel that does most of the work."""
    work: Counter[int] = Counter()
    for dispatch in program.dispatches:
        work[dispatch.kernel] += program.kernels[dispatch.kernel].mul_adds
    name = program.kernels[work.most_common(1)[0][0]].name if work else ""
    return backend, program.dtype, len(program.dispatches), name
