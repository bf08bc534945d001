"""When a processor is measured again. Pure.

Who else used it while it was measured must not decide for ever: it is measured again after some
visits, and as soon as a kernel is faster than it seemed able to be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tensorloom.tune.device import GPU_CURVES

if TYPE_CHECKING:
    from tensorloom.model.recipe import DType
    from tensorloom.tune.device import DeviceRecord

__all__ = ["RecordAge"]

MOST_VISITS = 20
PATIENCE_VISITS = 10
"""Measured again in vain, a processor is left alone for so many visits."""

IMPLAUSIBLE = 1.1
"""A kernel that exceeds the peak by so much was not measured wrongly itself; nor is a peak that is
lower by so much than the one before measured rightly, unless another visit finds it too."""


@dataclass(slots=True, kw_only=True)
class RecordAge:
    """What speaks for measuring a processor again.

    Args:
        visits: Since it was measured; below 0, it is left alone for so many more.
        fastest: The fastest kernel of this visit, one thread, as if in float32 [GFLOP/s].
        lower: The peak that an earlier visit measured and did not believe; 0 if none [GFLOP/s].
    """

    visits: int = 0
    fastest: float = 0.0
    lower: float = 0.0

    def saw(self, gflops: float, dtype: DType) -> None:
        """A kernel was measured on one thread.

        Args:
            gflops: Its speed [GFLOP/s].
            dtype: Its type; half as many doubles fit into a vector.
        """
        narrow = dtype in ("float32", "complex64")
        self.fastest = max(self.fastest, gflops if narrow else 2 * gflops)

    def is_due(self, record: DeviceRecord) -> bool:
        """Whether to measure now; never on the visit on which it was measured."""
        if self.visits < 1 or record.origin != "measured":
            return False
        return self.visits >= MOST_VISITS or not self._is_plausible(record)

    def judged(self, old: DeviceRecord, new: DeviceRecord) -> DeviceRecord:
        """The record to keep: the new one, unless the processor was or may have been busy.

        Args:
            old: So far; what is known of the GPU stays.
            new: The processor's part, measured now.
        """
        before, now = old.cpu.peak_gflops or 0.0, new.cpu.peak_gflops or 0.0
        doubted, self.lower = self.lower, 0.0
        is_plausible = self._is_plausible(new)
        self.visits = 0 if is_plausible else -PATIENCE_VISITS
        if not is_plausible and now < before:
            return old
        if 0 < IMPLAUSIBLE * now < before and not 0 < doubted <= IMPLAUSIBLE * now:
            # The next visit measures again.
            self.visits, self.lower = MOST_VISITS - 1, max(now, doubted)
            return old
        gpu_curves = (curve for curve in old.curves if curve.name in GPU_CURVES)
        return replace(old, cpu=new.cpu, curves=(*new.curves, *gpu_curves))

    def _is_plausible(self, record: DeviceRecord) -> bool:
        peak = record.cpu.peak_gflops
        return peak is None or self.fastest <= IMPLAUSIBLE * peak
