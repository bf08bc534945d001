"""Jobs on Dask: estimate, search, cut into tasks, run them, add their sums up in order.

The layout of a job (its tree, the number of slices in a task, the memory planned for) is fixed in
the ledger before anything is computed, and depends on no clock: the same request with the same
plan gives the same bits whatever was killed meanwhile, with any number of workers.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import OrderedDict
from contextlib import suppress
from dataclasses import replace
from functools import partial
from hashlib import sha256
from importlib import import_module
from math import inf
from typing import TYPE_CHECKING, Any

from tensorloom.errors import Cancelled, PlanError, WorkerRejected
from tensorloom.model import codec
from tensorloom_worker.entries import ENTRIES, checked_parameters
from tensorloom_worker.execution import trees
from tensorloom_worker.execution.adding import Contraction, blocks_of, sum_so_far
from tensorloom_worker.execution.apart import search_apart
from tensorloom_worker.execution.contractors import Contractors
from tensorloom_worker.execution.estimates import Found, refused, told, too_much
from tensorloom_worker.execution.planning import (
    ESTIMATE_SECONDS,
    ESTIMATES_AT_ONCE,
    PLAN_SECONDS,
    Patience,
    Planning,
)
from tensorloom_worker.execution.pool import Pool
from tensorloom_worker.execution.problem import Problem, check_sizes, plan_json
from tensorloom_worker.execution.recording import Recorder, Sums
from tensorloom_worker.execution.tasks import Job
from tensorloom_worker.ledger import Outcome, Progress, TaskLayout
from tensorloom_worker.records import ContractRequest, EntryRequest, Estimate, Facts, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.errors import TensorloomError
    from tensorloom.plan.tree import ContractionTree
    from tensorloom_worker.execution.contractors import Contractor
    from tensorloom_worker.execution.strategy import Strategy
    from tensorloom_worker.ledger import ArrayRef, Ledger
    from tensorloom_worker.settings import Settings

__all__ = ["Executor"]

WORTH_SEARCHING = 5.0
"""Predicted time from which a job's tree is searched for, unless told: the process of a search
takes half a second to begin [s]."""

SEARCH_SHARE = 0.1
LONGEST_SEARCH = 120.0
"""Share of the predicted time that a search may take unless told, and its most [s]."""

LOOK_SECONDS = 5.0
LOOK_FROM = 60.0
"""How long an estimate looks for a better tree where the first one is no good or takes so long:
what a minute's search finds may take a tenth [s]."""

SPREAD_FROM = 2.0
"""Predicted time from which a tree with fewer slices than threads is cut further [s]."""

LEAST_SEARCH = 1.0
"""What is searched for a tree that fits, where the first one does not [s]."""

MOST_ESTIMATES = 32
"""Estimates kept: a page asks again and again while somebody turns a dial."""


class Executor:
    """Runs jobs on a pool of Dask workers; see ``ledger.Executor``.

    Args:
        settings: What the service was started with.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pool = Pool(settings)
        self._folder = settings.data_folder / "running"
        self._contractors = Contractors(self.pool)
        self._recorder = Recorder(self.pool)
        self._estimates: OrderedDict[str, Found] = OrderedDict()
        self.planning = Planning(settings.concurrent_jobs)
        self._estimating = Planning(ESTIMATES_AT_ONCE)

    async def start(self) -> None:
        """Start the workers; rates are measured meanwhile."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(self._recorder.measure, self._folder)
        await self.pool.start()
        await self._contractors.start()

    async def close(self) -> None:
        """Stop the workers, or let go of them."""
        self.planning.close()
        self._estimating.close()
        await self._contractors.close()
        await self.pool.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def about(self) -> Facts:
        """What computes."""
        return Facts(
            scheduler=self.pool.scheme,
            workers=self.pool.n_workers,
            threads=self.pool.n_threads,
            memory_bytes_per_worker=self.pool.memory_bytes,
            backends=self._contractors.names,
            missing=dict(self._contractors.missing),
            gpu=self._contractors.gpu,
            calibrated=self._contractors.rates.any,
        )

    async def estimate(
        self,
        request: ContractRequest | EntryRequest,
        arrays: Mapping[str, ArrayRef] | None = None,
    ) -> Estimate:
        """What a job would take; see ``ledger.Executor``."""
        if isinstance(request, EntryRequest):
            parameters = checked_parameters(request)
            said: Estimate = await _named(ENTRIES[request.entry].estimate)(self, parameters)
            return said
        problem = await asyncio.to_thread(Problem.of, request, arrays or {})
        return await self.foreseen(problem, request)

    async def foreseen(self, problem: Problem, request: ContractRequest) -> Estimate:
        """What contracting a problem would take."""
        contractor = await self._contractors.of(backend_of(request), problem.dtype)
        patience = Patience(ESTIMATE_SECONDS)
        found = await self._looked(problem, request, contractor, self._estimating, patience)
        return found.estimate

    async def _looked(
        self,
        problem: Problem,
        request: ContractRequest,
        contractor: Contractor,
        planning: Planning,
        patience: Patience,
    ) -> Found:
        """The estimate; where the first tree is no good, after a short search for a better one."""
        await contractor.ready()
        found = await planning.run(partial(self._estimated, problem, request, contractor), patience)
        refusal = found.estimate.refusal
        if found.looked or request.search_seconds == 0:
            return found
        if refusal is None and found.estimate.predicted_ms < 1000 * LOOK_FROM:
            return found
        if refusal is not None and refusal.code not in ("too-many-slices", "job-too-long"):
            return found
        start = await _start(found, problem, planning, patience)
        tree = await self.searched(start, self.most_elements(problem, request), LOOK_SECONDS)
        if tree is None:
            return found
        again = partial(self._estimated, problem, request, contractor, better=tree)
        return await planning.run(again, patience)

    async def run(  # the contract of the service
        self,
        job: str,
        request: ContractRequest | EntryRequest,
        arrays: Mapping[str, ArrayRef],
        ledger: Ledger,
        *,
        progress: Callable[[Progress], None],
        cancelled: asyncio.Event,
    ) -> Outcome:
        """The outcome of a job; goes on from what the ledger holds."""
        work = self._outcome(job, request, arrays, ledger, progress)
        task = asyncio.create_task(work, name=f"job {job}")
        stop = asyncio.create_task(cancelled.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Cancelled("cancelled", f"Job {job} was cancelled.")
            return task.result()
        finally:
            stop.cancel()
            task.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    async def partial(
        self,
        job: str,
        request: ContractRequest | EntryRequest,
        ledger: Ledger,
    ) -> tuple[NDArray[Any], float] | None:
        """The sum of the slices that are recorded; ``None`` where a part of it means nothing."""
        if isinstance(request, EntryRequest):
            return None
        return await asyncio.to_thread(sum_so_far, ledger, job)

    async def _outcome(
        self,
        job: str,
        request: ContractRequest | EntryRequest,
        arrays: Mapping[str, ArrayRef],
        ledger: Ledger,
        progress: Callable[[Progress], None],
    ) -> Outcome:
        if isinstance(request, ContractRequest):
            return await self.contracted(job, request, arrays, ledger, progress)
        parameters = checked_parameters(request)
        function = _named(ENTRIES[request.entry].function)
        outcome: Outcome = await function(self, job, parameters, ledger, progress)
        return outcome

    async def contracted(
        self,
        job: str,
        request: ContractRequest,
        arrays: Mapping[str, ArrayRef],
        ledger: Ledger,
        progress: Callable[[Progress], None],
    ) -> Outcome:
        """The outcome of a contraction."""
        problem = await asyncio.to_thread(Problem.of, request, arrays)
        layout = await asyncio.to_thread(ledger.layout, job)
        if layout is None:
            layout = await self._laid_out(problem, request, progress)
            await asyncio.to_thread(ledger.fix_layout, job, layout)
        tree = await asyncio.to_thread(problem.tree, layout.plan)
        if tree.n_slices != layout.slices:
            # Slices that are missing would be zeros in the result, and nobody would know.
            raise WorkerRejected(
                "job-damaged",
                f"The job was cut into {layout.slices} slices, but its plan has {tree.n_slices}.",
                "Submit it again.",
                values={"slices": str(layout.slices), "planned": str(tree.n_slices)},
            )
        most = layout.extra["mostElements"]
        contractor = await self._contractors.again(layout.backend, problem.dtype)
        await contractor.ready()
        patience = Patience(PLAN_SECONDS)
        strategy = await self.planning.run(lambda _: contractor.strategy(tree, most), patience)
        estimated = partial(told, problem, strategy, layout.plan, contractor, self._recorder)
        estimate = await self.planning.run(lambda _: estimated(), patience)
        progress(Progress(state="running", estimate=estimate))
        spec = Job(
            request=await asyncio.to_thread(request.to_json),
            arrays=dict(arrays),
            plan=layout.plan.to_json(),
            most_elements=most,
            backend=layout.backend,
            peak_bytes=contractor.peak_bytes(strategy),
            memory_bytes=self.pool.memory_bytes,
        )
        contraction = Contraction(
            pool=self.pool,
            folder=self._folder,
            problem=problem,
            strategy=strategy,
            layout=layout,
            job=job,
            spec=spec,
            ledger=ledger,
            progress=progress,
        )
        return await contraction.outcome()

    # Estimates.

    async def check(self, request: ContractRequest | EntryRequest) -> None:
        """Looks whether a request can be contracted here as it says."""
        if not isinstance(request, ContractRequest):
            return
        document = await asyncio.to_thread(codec.from_json, request.document)
        dtype = request.dtype or document.dtype
        if request.backend not in ("auto", "numpy"):
            await self._contractors.check(request.backend, dtype)
        if self.pool.n_workers:
            check_sizes(document.network, dtype, self._memory_bytes(request))

    def _memory_bytes(self, request: ContractRequest) -> int:
        """Memory that a process may use for a job [bytes]."""
        most = self.pool.memory_bytes
        return most if request.memory_bytes is None else min(most, request.memory_bytes)

    def most_elements(self, problem: Problem, request: ContractRequest) -> int:
        """Memory that a task may plan for: its thread's part of a process [elements]."""
        return self._memory_bytes(request) // self.pool.threads_per_worker // problem.itemsize

    def _estimated(
        self,
        problem: Problem,
        request: ContractRequest,
        contractor: Contractor,
        patience: Patience,
        better: ContractionTree | None = None,
    ) -> Found:
        """The estimate, and the tree it speaks of: the best of those that are known."""
        most = self.most_elements(problem, request)
        # The length of a batch is in its arrays, which an estimate may not have had.
        asked = [request.to_json(), problem.dimensions, most, contractor.version]
        key = sha256(json.dumps(asked).encode()).hexdigest()
        known = self._estimates.get(key)
        if known is not None and better is None and patience.seconds <= known.enough:
            return known
        starts = [] if request.plan is None else [problem.tree(request.plan)]
        if not _is_fixed(request):
            # Slices without overhead keep several threads busy: they stay beside the whole tree.
            starts += [trees.whole_where_it_fits(problem, tree, most) for tree in starts]
            starts.append(trees.given_tree(problem) if better is None else better)
        try:
            found, most = self._fastest(starts, most, request, contractor, patience)
        except PlanError as refusal:
            return Found(estimate=refused(problem, starts[0], refusal), refusal=refusal)
        strategy = contractor.strategy(found, most)
        estimate = told(problem, strategy, plan_json(found), contractor, self._recorder)
        search = {"search_ms": 1000 * self._search_seconds(request, estimate)}
        estimate = estimate.model_copy(update=search)
        reason = self._refusal(problem, strategy, contractor, estimate)
        if reason is not None:
            update = {"fits": False, "refusal": Refusal.from_json(reason.to_json())}
            estimate = estimate.model_copy(update=update)
        answer = Found(
            estimate=estimate,
            tree=found,
            most_elements=most,
            looked=better is not None,
            enough=patience.seconds if patience.ran_out else inf,
        )
        if known is not None and known.estimate.predicted_ms < estimate.predicted_ms:
            looked = known.looked or answer.looked
            answer = replace(known, looked=looked, enough=answer.enough)
        self._estimates[key] = answer
        while len(self._estimates) > MOST_ESTIMATES:
            self._estimates.popitem(last=False)
        return answer

    def _refusal(
        self, problem: Problem, strategy: Strategy, contractor: Contractor, estimate: Estimate
    ) -> TensorloomError | None:
        """Why a strategy that fits the workers is not run."""
        sums = Sums.of(strategy, problem.dtype, contractor.slices_per_task(strategy))
        return too_much(estimate, self.settings) or self._recorder.refusal(sums)

    def _fastest(
        self,
        starts: Sequence[ContractionTree],
        most: int,
        request: ContractRequest,
        contractor: Contractor,
        patience: Patience,
    ) -> tuple[ContractionTree, int]:
        """The tree that ends first, cut and spread, and its memory; or why the last has no room."""
        options = []
        for tree in dict.fromkeys(starts):
            try:
                cut = trees.fitting(tree, most, patience).tree
                cut, room = contractor.fitted(cut, most, patience)
                options.append((self._spread(cut, room, request, contractor, patience), room))
            except PlanError as error:
                refusal = error
        if not options:
            raise refusal
        return min(options, key=lambda one: contractor.seconds(contractor.strategy(*one)))

    def _spread(
        self,
        tree: ContractionTree,
        most: int,
        request: ContractRequest,
        contractor: Contractor,
        patience: Patience,
    ) -> ContractionTree:
        """The tree cut into work for all threads, where that ends sooner and is allowed."""

        def seconds(cut: ContractionTree) -> float:
            return contractor.seconds(contractor.strategy(cut, most))

        if (
            _is_fixed(request)
            or tree.n_slices >= self.pool.n_threads
            or seconds(tree) < SPREAD_FROM
        ):
            return tree
        return trees.spread(tree, self.pool.n_threads, seconds, patience)

    def _search_seconds(self, request: ContractRequest, estimate: Estimate) -> float:
        if request.search_seconds is not None:
            return request.search_seconds
        seconds = estimate.predicted_ms / 1000
        return 0.0 if seconds < WORTH_SEARCHING else min(LONGEST_SEARCH, SEARCH_SHARE * seconds)

    # Layouts.

    async def _laid_out(
        self,
        problem: Problem,
        request: ContractRequest,
        progress: Callable[[Progress], None],
    ) -> TaskLayout:
        """The layout of a new job, after a search where that is worth it.

        Raises:
            TensorloomError: It does not fit.
        """
        backend = backend_of(request)
        contractor = await self._contractors.again(backend, problem.dtype)
        patience = Patience(PLAN_SECONDS)
        found = await self._looked(problem, request, contractor, self.planning, patience)
        tree, most = found.tree, found.most_elements
        seconds = self._search_seconds(request, found.estimate)
        if tree is None or seconds > 0:
            progress(Progress(state="searching", estimate=found.estimate))
            start = await _start(found, problem, self.planning, patience)
            whole = self.most_elements(problem, request)
            better = await self.searched(start, whole, max(seconds, LEAST_SEARCH))
            # The search has a time of its own, and waits for busy workers.
            patience = Patience(PLAN_SECONDS)
            if better is not None:
                starts = [better] if tree is None else [better, tree]
                fit = partial(self._fastest, starts, whole, request, contractor)
                with suppress(PlanError):
                    tree, most = await self.planning.run(fit, patience)
        if tree is None:
            assert found.refusal is not None
            raise found.refusal
        chosen = partial(contractor.strategy, tree, most)
        strategy = await self.planning.run(lambda _: chosen(), patience)
        estimate = told(problem, strategy, plan_json(tree), contractor, self._recorder)
        refusal = self._refusal(problem, strategy, contractor, estimate)
        if refusal is not None:
            raise refusal
        return TaskLayout(
            plan=plan_json(tree),
            slices=tree.n_slices,
            slices_per_task=contractor.slices_per_task(strategy),
            dtype=problem.dtype,
            backend=backend,
            extra={
                "mostElements": most,
                "blocks": blocks_of(strategy),
                "mostResultBytes": self.settings.max_result_bytes,
            },
        )

    async def searched(
        self, start: ContractionTree, most_elements: int, seconds: float
    ) -> ContractionTree | None:
        """The best of the given tree and what all workers find; ``None`` if nothing fits."""
        most_bytes = self.pool.search_bytes
        found = await asyncio.gather(
            *(
                self.pool.call(search_apart, start, most_elements, seconds, seed, most_bytes)
                for seed in range(self.pool.n_threads)
            )
        )
        found = [one for one in found if one is not None]

        def best(patience: Patience) -> tuple[ContractionTree | None, PlanError | None]:
            options = [trees.tree_of(start, *one) for one in found]
            return trees.best_of([*options, start], most_elements, patience)

        # What was found fits. The given tree may have to be cut, and that takes what it is given.
        patience = Patience(seconds if found else max(seconds, ESTIMATE_SECONDS))
        chosen, _ = await self.planning.run(best, patience)
        return chosen


def _named(place: str) -> Any:  # noqa: ANN401  # a function of an entry point
    """The function at ``module:function``; entry points import this module."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _is_fixed(request: ContractRequest) -> bool:
    """Who gives a plan and allows no search wants that plan."""
    return request.plan is not None and request.search_seconds == 0


async def _start(
    found: Found, problem: Problem, planning: Planning, patience: Patience
) -> ContractionTree:
    """Where a search begins: the tree of an estimate, or the one found at once."""
    if found.tree is not None:
        return found.tree
    return await planning.run(lambda _: trees.given_tree(problem), patience)


def backend_of(request: ContractRequest) -> str:
    """What contracts a request."""
    return "numpy" if request.backend == "auto" else request.backend
