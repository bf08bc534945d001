"""The named entry points: long computations that are jobs like any other.

Each is called with the executor, the job, its checked parameters, its ledger, and who wants to hear
of progress; it gives an outcome. Beside each stands what tells beforehand what that takes.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from tensorloom.errors import PlanError
from tensorloom.model import codec
from tensorloom_worker.execution import searching, trees
from tensorloom_worker.execution.apart import typical_bytes
from tensorloom_worker.execution.planning import PLAN_SECONDS, Patience
from tensorloom_worker.execution.problem import BATCH, Problem, plan_json
from tensorloom_worker.execution.strategy import strategy_for
from tensorloom_worker.ledger import ArrayRef, Outcome, Progress
from tensorloom_worker.records import ContractRequest, Estimate, JobProgress
from tensorloom_worker.sampling import Sampling, end_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tensorloom_worker.entries import PathSearchParameters, SampleAmplitudesParameters
    from tensorloom_worker.execution.executor import Executor
    from tensorloom_worker.ledger import Ledger

__all__ = ["estimated_amplitudes", "estimated_search", "path_search", "sample_amplitudes"]


async def path_search(
    executor: Executor,
    job: str,
    parameters: PathSearchParameters,
    ledger: Ledger,
    progress: Callable[[Progress], None],
) -> Outcome:
    """The best tree found in the time given; the array holds its path in SSA numbers."""
    del job, ledger  # A search that was cut off begins anew.
    request = ContractRequest(
        kind="contract", document=parameters.document, memory_bytes=parameters.memory_bytes
    )
    problem = await asyncio.to_thread(Problem.of, request, {})
    most = executor.most_elements(problem, request)
    patience = Patience(PLAN_SECONDS)
    if parameters.plan is None:
        start = await executor.planning.run(lambda _: trees.given_tree(problem), patience)
    else:
        start = problem.tree(parameters.plan)
    progress(Progress(state="running", progress=JobProgress(eta_ms=parameters.seconds * 1000)))
    begun = monotonic()
    tree = await executor.searched(start, most, parameters.seconds)
    if tree is None:
        raise PlanError(
            "too-many-slices",
            f"No tree was found in {parameters.seconds:g} s that fits {most} elements.",
            "Search longer, or give it more memory.",
            values={"limit": str(most), "slices": trees.MOST_SLICES},
        )
    strategy = await executor.planning.run(lambda _: strategy_for(tree, most), patience)
    return Outcome(
        array=np.array(tree.path, dtype=np.int64).reshape(-1, 2),
        error_bound=0.0,
        ms=(monotonic() - begun) * 1000,
        mul_adds=0,
        backend="cotengra",
        details={
            "plan": plan_json(tree).to_json(),
            "mulAdds": str(strategy.mul_adds),
            "slices": str(tree.n_slices),
            "peakBytes": str(strategy.peak_elements * problem.itemsize),
            "helpers": list(searching.searchers()),
        },
    )


async def estimated_search(executor: Executor, parameters: PathSearchParameters) -> Estimate:
    """What a path search takes: its time, its memory, and a path's; it contracts nothing."""
    document = await asyncio.to_thread(codec.from_json, parameters.document)
    pool, n_tensors = executor.pool, len(document.network.tensors)
    steps = max(0, n_tensors - 1)
    # Each thread of a worker has a search of its own.
    peak = pool.threads_per_worker * min(pool.search_bytes, typical_bytes(n_tensors))
    return Estimate(
        mul_adds=0,
        flop=0,
        slices=0,
        peak_bytes_per_worker=peak if steps > 1 else 0,
        result_bytes=steps * 2 * np.dtype(np.int64).itemsize,
        # Two tensors meet in one way.
        predicted_ms=1000 * parameters.seconds if steps > 1 else 0.0,
        fits=True,
        basis="typical",
    )


async def sample_amplitudes(
    executor: Executor,
    job: str,
    parameters: SampleAmplitudesParameters,
    ledger: Ledger,
    progress: Callable[[Progress], None],
) -> Outcome:
    """One amplitude per bit string, in their order."""
    # The service may have been started with another limit since: a job goes on as it was cut.
    layout = await asyncio.to_thread(ledger.layout, job)
    most = None if layout is None else layout.extra.get("mostResultBytes")
    sampling, request = await asyncio.to_thread(_asked, executor, parameters, most)

    def told(heard: Progress) -> None:
        estimate = heard.estimate and _of_amplitudes(sampling, heard.estimate)
        progress(replace(heard, estimate=estimate))

    folder = executor.settings.data_folder / "running"
    making = asyncio.create_task(asyncio.to_thread(_bras, folder, job, sampling, request))
    try:
        arrays = await asyncio.shield(making)
        outcome = await executor.contracted(job, request, arrays, ledger, told)
    finally:
        # A thread writes on when its job is cancelled.
        await asyncio.wait({making})
        for path in folder.glob(f"{job}-*.npy"):
            path.unlink(missing_ok=True)
    return replace(outcome, array=sampling.picked(outcome.array))


async def estimated_amplitudes(
    executor: Executor, parameters: SampleAmplitudesParameters
) -> Estimate:
    """What the amplitudes take: the contraction that they come out of."""
    sampling, request = await asyncio.to_thread(_asked, executor, parameters)
    problem = await asyncio.to_thread(Problem.of, request, {})
    problem = problem.of_length(len(parameters.bits))
    return _of_amplitudes(sampling, await executor.foreseen(problem, request))


def _asked(
    executor: Executor, parameters: SampleAmplitudesParameters, most_bytes: int | None = None
) -> tuple[Sampling, ContractRequest]:
    """What is asked for, and its contraction; both take seconds where there is much of it.

    Args:
        executor: Who contracts it.
        parameters: What came.
        most_bytes: Most bytes of a result when the job was cut; ``None`` for those of now.
    """
    sampling = Sampling.of(parameters, most_bytes or executor.settings.max_result_bytes)
    return sampling, sampling.request


def _of_amplitudes(sampling: Sampling, estimate: Estimate) -> Estimate:
    """The estimate of the contraction as that of the job, which knows nothing of its network."""
    return estimate.model_copy(update={"result_bytes": sampling.result_bytes, "plan": None})


def _bras(
    folder: Path, job: str, sampling: Sampling, request: ContractRequest
) -> dict[str, ArrayRef]:
    """The bras of the batch, one file each; none where there is no batch.

    They are the job's own: another one with the same bits may end before.
    """
    if request.batch is None:
        return {}
    found = {}
    for qubit in sampling.varying:
        path, name = folder / f"{job}-{qubit}.npy", end_id(qubit)
        np.save(path, sampling.bras(qubit))
        digest = request.batch.arrays[name].sha256
        found[BATCH + name] = ArrayRef(path=path, key=None, sha256=digest)
    return found
