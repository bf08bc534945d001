"""Which of the trees that are known an estimate and a job go by: the one that ends first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dask_jobs import request_of

from tensorloom.formats import network_json
from tensorloom_worker.execution.executor import Executor
from tensorloom_worker.execution.planning import Patience
from tensorloom_worker.execution.problem import Problem
from tensorloom_worker.records import PlanJson
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from tensorloom_worker.records import Estimate


def said_of(folder: Path, threads: int, sliced: tuple[str, ...], **more: float) -> Estimate:
    """The estimate of eight closed chains of matrices, with a page's plan that has these slices."""
    inputs = [["a", "i", "k"], ["a", "k", "j"], ["a", "j", "i"]]
    sizes = {"a": 8, "i": 1600, "k": 1600, "j": 1600}
    network = network_json.from_json({"inputs": inputs, "output": [], "size_dict": sizes}, seed=0)
    plan = PlanJson(path=((0, 1), (3, 2)), sliced=sliced)
    request = request_of(network.document, plan=plan, dtype="float64", **more)
    settings = Settings(
        data_folder=folder, workers=threads, threads=1, max_memory_bytes_per_worker=64 << 30
    )
    executor = Executor(settings)
    problem = Problem.of(request, {})
    numpy = asyncio.run(executor._contractors.of("numpy", problem.dtype))
    return executor._estimated(problem, request, numpy, Patience()).estimate


def test_slices_of_a_plan_that_keep_threads_busy_stay(tmp_path: Path) -> None:
    fixed = said_of(tmp_path, 8, ("a",))
    free = said_of(tmp_path, 8, ("a",), search_seconds=1.0)
    whole = said_of(tmp_path, 8, (), search_seconds=1.0)
    assert fixed.slices == free.slices == 8
    assert free.predicted_ms == fixed.predicted_ms < 0.7 * whole.predicted_ms


def test_slices_of_a_plan_that_cost_work_are_left_out(tmp_path: Path) -> None:
    fixed = said_of(tmp_path, 1, ("i", "j"))
    free = said_of(tmp_path, 1, ("i", "j"), search_seconds=1.0)
    assert free.slices == 1
    assert free.predicted_ms < fixed.predicted_ms
