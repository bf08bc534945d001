"""What runs on Dask workers: plain functions, told by a small record where everything is.

Inputs and tables are made once per process and job, and kept for the last few jobs as far as the
process's memory is enough for them beside the one that runs; runners belong to threads. A worker
process loads this module by name; nothing is pickled but these calls.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import DeviceMemoryError
from tensorloom.execute.backend import RawResult, drive
from tensorloom.execute.casting import cast_arrays
from tensorloom.execute.error_bound import (
    SAFETY,
    error_bound,
    has_digits,
    length_bound,
    may_cancel,
)
from tensorloom.execute.scaling import finished
from tensorloom.execute.second_opinion import CAUTION, largest_difference, repetition_bytes
from tensorloom.kernels.lower import lower
from tensorloom_worker import VERSION
from tensorloom_worker.execution.gpu import GpuRunner
from tensorloom_worker.execution.gpu_costs import gpu_strategy
from tensorloom_worker.execution.left_sums import LeftSum, is_large, left_sum
from tensorloom_worker.execution.problem import Problem, plan_of
from tensorloom_worker.execution.runner import Runner, Shared, assembled, library
from tensorloom_worker.execution.strategy import strategy_for
from tensorloom_worker.execution.versions import other_version
from tensorloom_worker.execution.wanted import look_of_task, no_look
from tensorloom_worker.ledger import ArrayRef
from tensorloom_worker.records import ContractRequest, PlanJson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import BackendName
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType
    from tensorloom.plan.tree import ContractionTree
    from tensorloom_worker.execution.schedule import Schedule
    from tensorloom_worker.execution.strategy import Strategy
    from tensorloom_worker.execution.sums import Sum
    from tensorloom_worker.ledger import Partial

__all__ = [
    "Done",
    "Job",
    "Parcel",
    "bound",
    "bound_of",
    "contract",
    "contract_here",
    "measured",
    "measured_of",
    "result_of",
]

MOST_JOBS = 2
"""Jobs whose inputs and tables a process keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything a worker needs to know of a job.

    Args:
        request: The request as JSON.
        arrays: Uploaded files.
        plan: The tree as JSON.
        most_elements: Memory that tables may be planned for [elements].
        backend: What contracts.
        peak_bytes: Most that it takes in a process while it runs [bytes].
        memory_bytes: What all jobs of a process may take together [bytes].
    """

    request: dict[str, Any]
    arrays: Mapping[str, ArrayRef]
    plan: dict[str, Any]
    most_elements: int
    backend: str
    peak_bytes: int
    memory_bytes: int

    def to_json(self) -> dict[str, Any]:
        """As JSON; files by their path."""
        return {
            "version": VERSION,
            "request": self.request,
            "arrays": {
                name: {"path": str(ref.path), "key": ref.key, "sha256": ref.sha256}
                for name, ref in self.arrays.items()
            },
            "plan": self.plan,
            "mostElements": self.most_elements,
            "backend": self.backend,
            "peakBytes": self.peak_bytes,
            "memoryBytes": self.memory_bytes,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Job:
        """What ``to_json`` wrote.

        Raises:
            WorkerUnreachable: ``workers-differ``: another version of the package wrote it.
        """
        if value.get("version") != VERSION:
            raise other_version(VERSION, here=str(value.get("version")))
        return cls(
            request=value["request"],
            arrays={
                name: ArrayRef(path=Path(ref["path"]), key=ref["key"], sha256=ref["sha256"])
                for name, ref in value["arrays"].items()
            },
            plan=value["plan"],
            most_elements=value["mostElements"],
            backend=value["backend"],
            peak_bytes=value["peakBytes"],
            memory_bytes=value["memoryBytes"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A job for workers that share no folder with the service.

    Args:
        text: The job as JSON.
        files: The content of its files by hash.
    """

    text: str
    files: dict[str, bytes]


@lru_cache(maxsize=8)
def _read(path: str) -> tuple[str, Job]:
    """``(key, job)`` of a file; the key differs between jobs whose numbers differ."""
    data = Path(path).read_bytes()
    return sha256(data).hexdigest(), Job.from_json(json.loads(data))


def _opened(where: str | Parcel) -> tuple[str, Job]:
    """The job of a file or a parcel, whose files are not unpacked yet."""
    if isinstance(where, str):
        return _read(where)
    key = sha256(where.text.encode()).hexdigest()
    return key, Job.from_json(json.loads(where.text))


@contextmanager
def _unpacked(where: str | Parcel, job: Job) -> Iterator[Job]:
    """The job with its files where this process finds them; those of a parcel lie there for now."""
    if isinstance(where, str) or not where.files:
        yield job
        return
    # What is mapped stays after its name is gone; Windows keeps the file until it is let go of.
    with tempfile.TemporaryDirectory(prefix="tensorloom-", ignore_cleanup_errors=True) as folder:
        paths = {name: Path(folder) / name for name in where.files}
        for name, path in paths.items():
            path.write_bytes(where.files[name])
        arrays = {name: replace(ref, path=paths[ref.sha256]) for name, ref in job.arrays.items()}
        yield replace(job, arrays=arrays)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a task gives back.

    Args:
        partial: The sum of its slices, or where that lies.
        seconds: Time it took, without loading.
    """

    partial: Partial | LeftSum
    seconds: float


class _Loaded:
    """A job in this process: made once, by the thread that comes first.

    Args:
        peak_bytes: Most that it takes while it runs [bytes].
    """

    def __init__(self, peak_bytes: int) -> None:
        self._peak_bytes = peak_bytes
        self.lock = threading.Lock()
        self.runners: dict[int, Runner | GpuRunner] = {}
        self.shared: Shared | GpuRunner | None = None
        self.exponent = 0

    @property
    def bytes(self) -> int:
        """What it takes now [bytes]; of what lies on a device only the most is known."""
        if self.shared is None:
            return 0
        if isinstance(self.shared, GpuRunner):
            return self._peak_bytes
        runners = list(self.runners.values())
        return self.shared.bytes + sum(one.bytes for one in runners if isinstance(one, Runner))


_LOADED: OrderedDict[str, _Loaded] = OrderedDict()
_GUARD = threading.Lock()


def contract(where: str | Parcel, start: int, end: int) -> Done:
    """The sum of the slices ``start`` to ``end - 1`` of a job.

    A large one is left in a file where the service is on this machine: a message of its size would
    be copied, encrypted and decrypted, and nobody else heard by the service meanwhile.

    Raises:
        Cancelled: Nobody waits for it any more; other jobs wait for its thread.
        ExecutionError: ``disk-full``.
    """
    look = look_of_task()
    done = _summed(*_runner(where, look), start, end, look)
    partial = done.partial
    if isinstance(where, Parcel) or isinstance(partial, LeftSum) or not is_large(partial):
        return done
    look()
    return replace(done, partial=left_sum(partial, Path(where)))


def contract_here(job: Job, problem: Problem, strategy: Strategy, start: int, end: int) -> Done:
    """The same for who has the job itself, and keeps nothing of it."""
    shared, exponent = _shared(job, problem, lambda: strategy)
    return _summed(_runner_of(shared), exponent, start, end)


def _summed(
    runner: Runner | GpuRunner,
    exponent: int,
    start: int,
    end: int,
    look: Callable[[], None] = no_look,
) -> Done:
    begun = perf_counter()
    try:
        total = runner.run(start, end, look)
    except MemoryError as error:
        raise out_of_memory() from error
    total.exponent = (total.exponent or 0) + exponent
    return Done(partial=total.partial(), seconds=perf_counter() - begun)


def result_of(total: Sum, schedule: Schedule, dtype: DType) -> RawResult:
    """The result that the sum of all slices is, for who has no other use for that."""
    value, exponent = total.value(), total.exponent or 0
    del total
    raw = finished(value, exponent, dtype)
    del value
    narrow, log10_scale = raw.value.astype(dtype, copy=False), raw.log10_scale
    del raw
    return RawResult(value=assembled(schedule, narrow), log10_scale=log10_scale)


def bound_of(where: str | Parcel, largest: float, log10_scale: float) -> tuple[float, float]:
    """Bound on the relative error of a job's result whose largest magnitude is given.

    Runs when the job's tasks are done, and makes its inputs anew.

    Returns:
        The bound, and what it would be if nothing cancelled.
    """
    key, known = _opened(where)
    with _unpacked(where, known) as job:
        problem = Problem.of(ContractRequest.from_json(job.request), job.arrays)
        _make_room_beside(key, job.memory_bytes - problem.input_elements * problem.itemsize)
        return bound(job, largest, log10_scale)


def bound(job: Job, largest: float, log10_scale: float) -> tuple[float, float]:
    """The same, for who has the job itself."""
    request = ContractRequest.from_json(job.request)
    problem = Problem.of(request, job.arrays)
    arrays = problem.arrays(request, job.arrays, job.memory_bytes)
    tree, program = _whole(job, problem)
    raw = RawResult(value=np.array([largest]), log10_scale=log10_scale)
    places = _places(job)
    found = error_bound(tree, program, arrays, raw, places)
    return found, SAFETY * length_bound(program, places)


def measured_of(where: str | Parcel, first: RawResult, bound: float, least: float) -> float:
    """A smaller bound where repetitions give one; see ``execute.second_opinion``.

    Args:
        where: The job.
        first: Its result.
        bound: From ``bound_of``.
        least: Likewise.
    """
    key, known = _opened(where)
    with _unpacked(where, known) as job:
        problem = Problem.of(ContractRequest.from_json(job.request), job.arrays)
        # Inputs are held as they are, multiplied and as they are run.
        taken = job.peak_bytes + 2 * problem.input_elements * problem.itemsize
        _make_room_beside(key, job.memory_bytes - taken)
        return measured(job, first, bound, least)


def measured(job: Job, first: RawResult, bound: float, least: float) -> float:
    """The same, for who has the job itself."""
    request = ContractRequest.from_json(job.request)
    problem = Problem.of(request, job.arrays)
    given = problem.arrays(request, job.arrays, job.memory_bytes)
    _, program = _whole(job, problem)
    held = repetition_bytes(program, given, [first]) + problem.input_elements * problem.itemsize
    # Of zeros no digit is certain, and where nothing cancels only underflow took much.
    if (
        job.peak_bytes + held > job.memory_bytes
        or not has_digits(first)
        or not may_cancel(given, _places(job))
    ):
        return bound
    strategy = _strategy_of(job, problem)

    async def replay(arrays: Sequence[NDArray[Any]]) -> RawResult:
        runner = _runner_of(_held(job, problem, lambda: strategy, list(arrays)))
        return result_of(runner.run(0, strategy.main.n_slices), strategy.schedule, problem.dtype)

    try:
        difference = drive(largest_difference(program, given, first, replay))
    except (MemoryError, DeviceMemoryError):
        return bound
    return min(bound, least + CAUTION * difference)


def _whole(job: Job, problem: Problem) -> tuple[ContractionTree, Program]:
    """The tree that bounds go by: slices are added up exactly, so it is the one without them."""
    # A plan without slices still has those of a batch.
    tree = replace(problem.tree(PlanJson(path=job.plan["path"], sliced=())), sliced=())
    return tree, lower(plan_of(tree), problem.dtype)


def _places(job: Job) -> tuple[BackendName, ...]:
    return ("webgpu" if job.backend == "wgpu" else "numpy",)


def _runner(
    where: str | Parcel, look: Callable[[], None] = no_look
) -> tuple[Runner | GpuRunner, int]:
    """This thread's runner of a job, and the exponent of its inputs."""
    key, job = _opened(where)
    with _GUARD:
        loaded = _LOADED.pop(key, None) or _Loaded(job.peak_bytes)
        # Each job was planned for the whole process: what others left must not be in its way. A
        # thread that is at work on one of them ends its task first, within its own share.
        while len(_LOADED) >= MOST_JOBS:
            _LOADED.popitem(last=False)
        _make_room(job.memory_bytes - job.peak_bytes)
        _LOADED[key] = loaded
    me = threading.get_ident()
    with loaded.lock:
        if isinstance(loaded.shared, GpuRunner) and loaded.shared.is_lost:
            loaded.runners.clear()
            loaded.shared = None
        if loaded.shared is None:
            with _unpacked(where, job) as here:
                loaded.shared, loaded.exponent = _load(here, look)
        if me not in loaded.runners:
            loaded.runners[me] = _runner_of(loaded.shared)
        return loaded.runners[me], loaded.exponent


def _make_room_beside(key: str, room: int) -> None:
    """The same when the tasks of a job are done: it is let go of first."""
    with _GUARD:
        if key in _LOADED:
            _LOADED.move_to_end(key, last=False)
        _make_room(room)


def _make_room(room: int) -> None:
    """Lets go of jobs, the one that ran longest ago first, until the rest holds so much [bytes]."""
    while _LOADED and sum(loaded.bytes for loaded in _LOADED.values()) > room:
        _LOADED.popitem(last=False)


def _runner_of(shared: Shared | GpuRunner) -> Runner | GpuRunner:
    """A thread's own runner; a device has one for all threads."""
    return shared if isinstance(shared, GpuRunner) else Runner(shared)


def _load(job: Job, look: Callable[[], None]) -> tuple[Shared | GpuRunner, int]:
    problem = Problem.of(ContractRequest.from_json(job.request), job.arrays)
    return _shared(job, problem, lambda: _strategy_of(job, problem), look)


def _strategy_of(job: Job, problem: Problem) -> Strategy:
    tree = problem.tree(PlanJson.from_json(job.plan))
    if job.backend == "wgpu":
        return gpu_strategy(tree, job.most_elements, problem.dtype)
    return strategy_for(tree, job.most_elements)


def _shared(
    job: Job,
    problem: Problem,
    strategy: Callable[[], Strategy],
    look: Callable[[], None] = no_look,
) -> tuple[Shared | GpuRunner, int]:
    request = ContractRequest.from_json(job.request)
    try:
        arrays = problem.arrays(request, job.arrays, job.memory_bytes)
        cast, exponent = cast_arrays(arrays, problem.dtype)
        arrays = list(cast)
        del cast
        return _held(job, problem, strategy, arrays, look), exponent
    except MemoryError as error:
        raise out_of_memory() from error


def _held(
    job: Job,
    problem: Problem,
    strategy: Callable[[], Strategy],
    arrays: list[NDArray[Any]],
    look: Callable[[], None] = no_look,
) -> Shared | GpuRunner:
    """What all slices share; the list is empty afterwards, unless a device has the arrays."""
    if job.backend == "wgpu":
        return GpuRunner(strategy(), arrays, problem.dtype)
    return Shared(strategy(), _drained(arrays), problem.dtype, library(job.backend), look)


def _drained(arrays: list[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Each of the arrays, and afterwards only who was given it has it."""
    arrays.reverse()
    while arrays:
        yield arrays.pop()


def out_of_memory() -> DeviceMemoryError:
    """The error of a worker whose memory ran out."""
    return DeviceMemoryError(
        "out-of-memory",
        "A worker ran out of memory.",
        "Give the job less memory per worker, so that it is cut into more slices.",
    )
