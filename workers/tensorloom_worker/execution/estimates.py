"""What is told of a job before it runs, and why one that fits the memory is not taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.errors import PlanError, TensorloomError, WorkerRejected
from tensorloom.execute.quantities import bytes_text, duration_text
from tensorloom_worker.execution import trees
from tensorloom_worker.execution.problem import Problem, result_bytes
from tensorloom_worker.execution.strategy import Strategy
from tensorloom_worker.records import Estimate, PlanJson, Refusal

if TYPE_CHECKING:
    from tensorloom.plan.tree import ContractionTree
    from tensorloom_worker.execution.contractors import Contractor
    from tensorloom_worker.settings import Settings

__all__ = ["refused", "told", "too_much"]


def told(problem: Problem, strategy: Strategy, plan: PlanJson, contractor: Contractor) -> Estimate:
    """The estimate of a strategy that fits."""
    per_pair = 8 if problem.dtype.startswith("complex") else 2
    return Estimate(
        mul_adds=strategy.mul_adds,
        flop=strategy.mul_adds * per_pair,
        slices=strategy.main.n_slices,
        peak_bytes_per_worker=contractor.peak_bytes(strategy),
        result_bytes=result_bytes(problem),
        predicted_ms=1000 * contractor.seconds(strategy),
        fits=True,
        basis="calibrated" if contractor.is_calibrated else "typical",
        plan=plan,
    )


def refused(problem: Problem, tree: ContractionTree, error: PlanError) -> Estimate:
    """The estimate of what does not fit: the numbers are those of the tree without slices.

    None is more than ``trees.MOST_TOLD``.
    """
    strategy = Strategy.of(trees.tree_of(tree, tree.path, ()))
    pairs = strategy.mul_adds
    return Estimate(
        mul_adds=min(pairs, trees.MOST_TOLD),
        flop=min(pairs * (8 if problem.dtype.startswith("complex") else 2), trees.MOST_TOLD),
        slices=1,
        peak_bytes_per_worker=min(strategy.peak_elements * problem.itemsize, trees.MOST_TOLD),
        result_bytes=result_bytes(problem),
        predicted_ms=0.0,
        fits=False,
        refusal=Refusal.from_json(error.to_json()),
        basis="typical",
    )


def too_much(estimate: Estimate, settings: Settings) -> TensorloomError | None:
    """Why a job that fits the memory is not taken."""
    if estimate.result_bytes > settings.max_result_bytes:
        return WorkerRejected(
            "result-too-big",
            f"The result would have {bytes_text(estimate.result_bytes)}; the most is "
            f"{bytes_text(settings.max_result_bytes)}.",
            "Sum over some output indices, or ask for fewer of their values.",
            values={
                "bytes": str(estimate.result_bytes),
                "most": str(settings.max_result_bytes),
            },
        )
    if estimate.predicted_ms > settings.max_job_seconds * 1000:
        return WorkerRejected(
            "job-too-long",
            f"It would take {_about(estimate.predicted_ms)}; the most is "
            f"{duration_text(settings.max_job_seconds * 1000)}.",
            "Search for a better order, give it more memory, or make dimensions smaller.",
            values={
                "predictedMs": estimate.predicted_ms,
                "mostMs": settings.max_job_seconds * 1000,
            },
        )
    return None


_YEAR_MS = 3.6e6 * 24 * 365.25
_YEARS = 1000


def _about(ms: float) -> str:
    """A duration, in years where hours say nothing."""
    if ms < _YEAR_MS:
        return f"about {duration_text(ms)}"
    if ms < _YEARS * _YEAR_MS:
        return f"about {ms / _YEAR_MS:.3g} years"
    return f"more than {_YEARS} years"
