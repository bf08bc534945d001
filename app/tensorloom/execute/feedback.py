"""What past runs say of predictions: a factor per backend and kind of program.

The kind is the heaviest kernel and the number of steps. Rates are measured on a few samples; a
device has more sides than those. The mean of the middle ones of the last runs counts: a compilation
or others on the machine make some of them longer, the tick of a clock some shorter, and several
ticks tell more than one. The first run of a program is left out, also where others ran meanwhile
and it has to be made ready again. What was learned of a prediction
ends with it: a kernel that was tuned meanwhile is another one. Nothing is learned of programs too
short for the browser's clock.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorloom.execute.backend import BackendName
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType

    Kind = tuple[BackendName, DType, int, str]

__all__ = ["Feedback"]

TELLING_TICKS = 2
"""Programs that take fewer ticks of the clock, by both prediction and clock, say nothing. Leaving
out single short runs instead would leave the disturbed ones."""

COARSEST_TICK_MS = 1.0
"""Clocks of Firefox and WebKit in pages that are not isolated [ms]."""

LAST, LEAST = 8, 3
"""So many runs are remembered, and needed."""

TOLD = 0.1
"""A factor that moves by less is not worth predicting everything again."""

READY = 4
"""Programs that ran last on a backend and are ready to run again: no backend keeps fewer."""

SAME = 0.02
"""Predictions that differ by this share are the same one."""

MOST = 20.0
"""A factor beyond this tells of something else: a sleeping machine, a debugger."""

_MOST_KINDS = 1024


@dataclass(slots=True, kw_only=True)
class _Seen:
    """Runs of a kind.

    Args:
        predicted_ms: What the backend had predicted [ms].
        times: What the last ones took [ms].
        factor: What was told of them; nothing yet while it is 1.
    """

    predicted_ms: float
    factor: float = 1.0
    times: deque[float] = field(default_factory=lambda: deque(maxlen=LAST))

    def of(self, predicted_ms: float) -> bool:
        """Whether they were runs with this prediction."""
        return abs(predicted_ms - self.predicted_ms) <= SAME * self.predicted_ms


class Feedback:
    """Factors by which predictions were wrong, of one device.

    Args:
        tick_ms: Smallest step of the clock that measures the runs [ms].

    Attributes:
        revision: Grows whenever a factor has changed.
    """

    def __init__(self, tick_ms: float = COARSEST_TICK_MS) -> None:
        self._telling_ms = TELLING_TICKS * tick_ms
        self._seen: dict[Kind, _Seen] = {}
        self._ready: dict[BackendName, deque[Program]] = {}
        self.revision = 0

    def factor(self, backend: BackendName, program: Program, predicted_ms: float) -> float:
        """By what to multiply a backend's prediction; 1 where nothing is known."""
        seen = self._seen.get(_kind(backend, program))
        return seen.factor if seen is not None and seen.of(predicted_ms) else 1.0

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
        if not self._was_ready(backend, program) or predicted_ms <= 0:
            return
        if len(self._seen) >= _MOST_KINDS:
            self._seen.clear()
        kind = _kind(backend, program)
        seen = self._seen.get(kind)
        if seen is None or not seen.of(predicted_ms):
            seen = self._seen[kind] = _Seen(predicted_ms=predicted_ms)
        seen.times.append(ms)
        found = self._found(seen)
        if abs(found - seen.factor) > TOLD * seen.factor:
            seen.factor = found
            self.revision += 1

    def _was_ready(self, backend: BackendName, program: Program) -> bool:
        """Whether a run found its program ready, which it is from now on."""
        ready = self._ready.setdefault(backend, deque(maxlen=READY))
        others = [one for one in ready if one is not program]
        found = len(others) < len(ready)
        ready.clear()
        ready.extend((*others, program))
        return found

    def _found(self, seen: _Seen) -> float:
        """The factor that the last runs say."""
        times = sorted(seen.times)
        outer = len(times) // 3
        middle = fmean(times[outer : len(times) - outer])
        telling = max(middle, seen.predicted_ms) >= self._telling_ms
        if len(seen.times) < LEAST or not telling:
            return 1.0
        return max(1 / MOST, min(MOST, middle / seen.predicted_ms))


def _kind(backend: BackendName, program: Program) -> Kind:
    """Backend, type, steps, and the kernel that does most of the work."""
    work: Counter[int] = Counter()
    for dispatch in program.dispatches:
        work[dispatch.kernel] += program.kernels[dispatch.kernel].mul_adds
    name = program.kernels[work.most_common(1)[0][0]].name if work else ""
    return backend, program.dtype, len(program.dispatches), name
