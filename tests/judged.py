"""Measured errors beside their bounds, on any network and backend."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accuracy_networks import exact
from random_gradients import gradient_on, random_seed
from random_networks import LONGER
from tensorloom.execute.backend import drive
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.run import prepare, run
from tensorloom.plan.cost import cost_of
from tensorloom.plan.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accuracy_networks import Case
    from tensorloom.execute.backend import Backend
    from tensorloom.model.recipe import DType


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One result.

    Args:
        case: What was contracted.
        dtype: Computed in this type.
        error: max |value - exact| / max |exact|; of an exact 0, 0 or infinity.
        bound: What the result said of it.
        vanishes: Whether exact is 0, of which every error is too large.
    """

    case: Case
    dtype: DType
    error: float
    bound: float
    vanishes: bool = False

    @property
    def holds(self) -> bool:
        """Whether the error is within the bound; 1 says that no digit is certain."""
        return self.bound >= 1 or self.error <= self.bound

    @property
    def ratio(self) -> float:
        """Bound over error; an error below a quarter of a rounding counts as that."""
        return self.bound / max(self.error, float(np.finfo(self.dtype).eps) / 8)


def judged(case: Case, backend: Backend, bits: int) -> Judged:
    """A network computed with 32 or 64 bits per real number.

    Exact is what numbers of twice the length give (80 bits instead of 64).
    """
    dtype: DType = (
        ("complex64" if bits == 32 else "complex128")  # 32 or 64
        if case.is_complex
        else ("float32" if bits == 32 else "float64")  # likewise
    )
    plan = Plan(tree=case.tree, cost=cost_of(case.tree), finder="greedy")
    choice = prepare(plan, backends={backend.name: backend}, backend=backend.name, dtype=dtype)
    found = drive(run(choice, case.arrays))
    wanted, exponent = exact(case.tree, [array.astype(LONGER[dtype]) for array in case.arrays])
    largest = float(np.abs(wanted).max())
    if largest == 0:
        error = math.inf if np.any(found.value) else 0.0
        return Judged(case=case, dtype=dtype, error=error, bound=found.error_bound, vanishes=True)
    scale = np.longdouble(10) ** np.longdouble(found.log10_scale)
    scale *= np.longdouble(2) ** np.longdouble(-exponent)
    difference = np.abs(found.value.astype(np.clongdouble) * scale - wanted)
    return Judged(
        case=case,
        dtype=dtype,
        error=float(difference.max() / largest),
        bound=found.error_bound,
    )


def judged_gradients(case: Case, backend: Backend, *, signed: bool = True) -> list[Judged]:
    """Value and gradients computed with 32 bits per real number; exact is what 64 bits give.

    The seed's elements have random signs, or none are negative.
    """
    narrow: DType = "complex64" if case.is_complex else "float32"
    wide: DType = "complex128" if case.is_complex else "float64"
    weights = random_seed(case.tree, wide, len(case.arrays))
    weights = weights if signed else np.abs(weights)
    found = gradient_on(backend, case.tree, case.arrays, weights, narrow)
    wanted = gradient_on(NumpyBackend(), case.tree, case.arrays, weights, wide)
    assert found.error_bound is not None
    bounds = (found.error_bound, *found.error_bounds)
    scales = (found.log10_scale, *found.log10_scales)
    longer = (wanted.log10_scale, *wanted.log10_scales)
    judged = []
    for place, sure in enumerate((wanted.value, *wanted.gradients)):
        made = (found.value, *found.gradients)[place]
        scale = np.longdouble(10) ** np.longdouble(scales[place] - longer[place])
        difference = float(np.abs(made.astype(np.clongdouble) * scale - sure).max())
        largest = float(np.abs(sure).max())
        error = difference / largest if largest else math.inf if difference else 0.0
        judged.append(
            Judged(case=case, dtype=narrow, error=error, bound=bounds[place], vanishes=largest == 0)
        )
    return judged


def assert_bounds_hold(found: Sequence[Judged], *, most_median: float) -> None:
    """Raises unless every bound is true and half of them are within a factor of the error."""
    for one in found:
        said = f"{one.case.structure}, {one.case.filling}, {one.dtype}"
        assert one.holds, f"{said}: error {one.error:.3g} > bound {one.bound:.3g}"
    assert np.median([one.ratio for one in found if not one.vanishes]) <= most_median
