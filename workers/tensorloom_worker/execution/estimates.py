"""What is told of a job before it runs, and why one that fits the memory is not taken."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from tensorloom_worker.execution import trees
from tensorloom_worker.execution.problem import Problem, result_bytes
from tensorloom_worker.execution.recording import Sums
from tensorloom_worker.execution.strategy import Strategy
from tensorloom_worker.limits import beyond_result, beyond_time
from tensorloom_worker.records import Estimate, PlanJson, Refusal

if TYPE_CHECKING:
    from tensorloom.errors import PlanError, TensorloomError
    from tensorloom.plan.tree import ContractionTree
    from tensorloom_worker.execution.contractors import Contractor
    from tensorloom_worker.execution.recording import Recorder
    from tensorloom_worker.settings import Settings

__all__ = ["Found", "refused", "told", "too_much"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An estimate with the tree it speaks of and its memory, or why there is none.

    Args:
        estimate: What is told.
        tree: What it speaks of.
        most_elements: Memory that it is planned for [elements].
        refusal: Why there is none.
        looked: Whether better trees were searched for.
        enough: Patience to which this is the answer; less than for ever if it was cut off, and who
            has more looks again [s].
    """

    estimate: Estimate
    tree: ContractionTree | None = None
    most_elements: int = 0
    refusal: PlanError | None = None
    looked: bool = False
    enough: float = inf


def told(
    problem: Problem,
    strategy: Strategy,
    plan: PlanJson,
    contractor: Contractor,
    recorder: Recorder,
) -> Estimate:
    """The estimate of a strategy that fits the workers."""
    sums = Sums.of(strategy, problem.dtype, contractor.slices_per_task(strategy))
    per_pair = 8 if problem.dtype.startswith("complex") else 2
    return Estimate(
        mul_adds=strategy.mul_adds,
        flop=strategy.mul_adds * per_pair,
        slices=strategy.main.n_slices,
        peak_bytes_per_worker=contractor.peak_bytes(strategy),
        result_bytes=result_bytes(problem),
        predicted_ms=1000 * (contractor.seconds(strategy) + recorder.seconds(sums)),
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
    return beyond_result(estimate.result_bytes, settings) or beyond_time(
        estimate.predicted_ms, settings
    )
