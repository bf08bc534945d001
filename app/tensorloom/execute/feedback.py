"""What past runs say of predictions: one running factor per backend, type and kind of work.

Rates are measured on a few samples; a device has more sides than those. Each run that repeats the
one before (the first one compiles) moves the factor of its kind half of the way to what would have
been right. Runs too short for the browser's clock say nothing.
"""

from __future__ import annotations

from collections import Counter
from math import exp, log
from typing import TYPE_CHECKING

from tensorloom.execute.calibration import size_class

if TYPE_CHECKING:
    from tensorloom.execute.backend import BackendName
    from tensorloom.execute.calibration import SizeClass
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType

    Kind = tuple[BackendName, DType, SizeClass]

__all__ = ["Feedback"]

TELLING_MS = 3.0
"""Shortest run that says something: three ticks of the coarsest clock (Firefox, WebKit) [ms]."""

WEIGHT = 0.5
MOST = 20.0
"""A factor beyond this tells of something else: a sleeping machine, a debugger."""


class Feedback:
    """Factors by which predictions were wrong, of one device."""

    def __init__(self) -> None:
        self._log_factors: dict[Kind, float] = {}
        self._last: Program | None = None

    def factor(self, backend: BackendName, program: Program) -> float:
        """By what to multiply a backend's prediction; 1 where nothing is known."""
        return exp(self._log_factors.get(_kind(backend, program), 0.0))

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
        repeated, self._last = self._last is program, program
        if not repeated or ms < TELLING_MS or predicted_ms <= 0:
            return
        kind = _kind(backend, program)
        wrong = log(max(1 / MOST, min(MOST, ms / predicted_ms)))
        known = self._log_factors.get(kind, 0.0)
        self._log_factors[kind] = known + WEIGHT * (wrong - known)


def _kind(backend: BackendName, program: Program) -> Kind:
    """Backend, type, and the class of kernels that does most of the work."""
    work: Counter[SizeClass] = Counter()
    for dispatch in program.dispatches:
        spec = program.kernels[dispatch.kernel]
        work[size_class(spec)] += spec.mul_adds
    return backend, program.dtype, work.most_common(1)[0][0] if work else "stream"
