"""What a worker process keeps of its jobs: as much as its memory is enough for."""

from __future__ import annotations

import json
import tracemalloc
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from dask_jobs import matrices, request_of, ring, sliced_request

from tensorloom.errors import DeviceMemoryError
from tensorloom.execute.arrays import make_array
from tensorloom.formats import network_json
from tensorloom_worker.execution import tasks
from tensorloom_worker.execution.problem import Problem, plan_json
from tensorloom_worker.execution.runner import Runner, Shared
from tensorloom_worker.execution.strategy import strategy_for
from tensorloom_worker.execution.sums import Sum
from tensorloom_worker.execution.tasks import Job, Parcel
from tensorloom_worker.execution.trees import given_tree
from tensorloom_worker.ledger import ArrayRef
from tensorloom_worker.records import Batch

if TYPE_CHECKING:
    from pathlib import Path

    from tensorloom.execute.backend import RawResult
    from tensorloom_worker.records import ContractRequest

MOST_ELEMENTS = 1 << 24


def parcel(seed: int, memory_bytes: int) -> tuple[Parcel, int]:
    """A job for a process with so much memory, and the most that it takes of it [bytes]."""
    inputs = [[f"i{number}", f"i{(number + 1) % 4}"] for number in range(4)]
    sizes = {f"i{number}": 500 for number in range(4)}
    chain = network_json.from_json({"inputs": inputs, "output": [], "size_dict": sizes}, seed=seed)
    request = sliced_request(chain.document, "i0", dtype="float64")
    problem = Problem.of(request, {})
    assert request.plan is not None
    tree = problem.tree(request.plan)
    peak = strategy_for(tree, MOST_ELEMENTS).peak_elements * problem.itemsize
    job = Job(
        request=request.to_json(),
        arrays={},
        plan=plan_json(tree).to_json(),
        most_elements=MOST_ELEMENTS,
        backend="numpy",
        peak_bytes=peak,
        memory_bytes=memory_bytes,
    )
    return Parcel(text=json.dumps(job.to_json()), files={}), peak


def most_taken(*jobs: Parcel, bound: bool = False) -> int:
    """Most memory of this process while it does tasks of the jobs in turn [bytes]."""
    tracemalloc.start()
    try:
        for start in (0, 4, 8):
            for job in jobs:
                tasks.contract(job, start, start + 2)
        if bound:
            tracemalloc.reset_peak()
            for job in jobs:
                assert 0 < tasks.bound_of(job, 1.0, 0.0)[0] < 1
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_LOADED", OrderedDict())


def test_jobs_that_each_fill_a_process_are_not_kept_together() -> None:
    _, peak = parcel(0, 0)
    one, other = (parcel(seed, peak)[0] for seed in (0, 1))
    alone = most_taken(one)
    assert next(iter(tasks._LOADED.values())).bytes > 0.9 * peak
    tasks._LOADED.clear()
    assert most_taken(one, other) < alone + 0.1 * peak
    assert len(tasks._LOADED) == 1


def test_jobs_that_fit_together_are_loaded_once() -> None:
    _, peak = parcel(0, 0)
    one, other = (parcel(seed, 2 * peak + 1000)[0] for seed in (0, 1))
    _ = most_taken(one, other)
    before = [loaded.shared for loaded in tasks._LOADED.values()]
    _ = most_taken(one, other)
    after = [loaded.shared for loaded in tasks._LOADED.values()]
    assert len(after) == 2
    assert all(first is second for first, second in zip(before, after, strict=True))


def test_what_a_thread_keeps_for_its_next_slice_counts() -> None:
    one, _ = parcel(0, 10**9)
    _ = tasks.contract(one, 0, 2)
    (loaded,) = tasks._LOADED.values()
    (runner,) = loaded.runners.values()
    assert isinstance(runner, Runner)
    assert isinstance(loaded.shared, Shared)
    kept = np.zeros(100)
    runner._live[-1] = kept
    assert loaded.bytes == loaded.shared.bytes + runner.bytes
    assert runner.bytes >= kept.nbytes


def test_inputs_are_laid_out_one_after_the_other() -> None:
    """Of four inputs, one is there twice at a time."""
    _, peak = parcel(0, 0)
    assert peak < most_taken(parcel(0, peak)[0]) < 1.35 * peak


def test_a_bound_makes_room_for_its_inputs() -> None:
    _, peak = parcel(0, 0)
    assert most_taken(parcel(0, peak)[0], bound=True) < 1.1 * peak
    assert not tasks._LOADED


def test_a_bound_keeps_what_has_room() -> None:
    _, peak = parcel(0, 0)
    one, other = (parcel(seed, 2 * peak + 1000)[0] for seed in (0, 1))
    _ = most_taken(one, other)
    kept = list(tasks._LOADED.values())
    assert tasks.bound_of(other, 1.0, 0.0)[0] > 0
    assert list(tasks._LOADED.values()) == kept[:1]


def test_a_tensor_may_be_as_large_as_the_memory_of_its_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a tab can hold in one array is no limit here."""
    monkeypatch.setitem(make_array.__kwdefaults__, "most_bytes", 1000)
    size = 500 * 500 * 8
    assert tasks.contract(parcel(0, size)[0], 0, 2).seconds > 0
    with pytest.raises(DeviceMemoryError) as caught:
        _ = tasks.contract(parcel(0, size - 1)[0], 0, 2)
    assert (caught.value.code, caught.value.values) == (
        "array-too-big",
        {"bytes": size, "most": size - 1},
    )


def contracted(request: ContractRequest, refs: dict[str, ArrayRef]) -> tuple[Job, RawResult]:
    """A job and its result."""
    problem = Problem.of(request, refs)
    tree = given_tree(problem)
    job = Job(
        request=request.to_json(),
        arrays=refs,
        plan=plan_json(tree).to_json(),
        most_elements=MOST_ELEMENTS,
        backend="numpy",
        peak_bytes=0,
        memory_bytes=10**9,
    )
    strategy = strategy_for(tree, MOST_ELEMENTS)
    done = tasks.contract_here(job, problem, strategy, 0, tree.n_slices)
    total = Sum.of(done.partial, problem.dtype)
    return job, tasks.result_of(total, strategy.schedule, problem.dtype)


def test_the_bound_of_a_batch_does_not_grow_with_its_length(tmp_path: Path) -> None:
    """Its contractions are not added to each other: each is as exact as it is alone."""
    document = ring(6, 3)
    name = document.network.tensors[1].id
    batch = Batch.model_validate({"arrays": {name: {"sha256": "0" * 64}}})
    bounds = []
    for length in (1, 300):
        path = tmp_path / f"{length}.npy"
        np.save(path, np.random.default_rng(1).random((length, 3, 3, 3)))
        refs = {f"batch:{name}": ArrayRef(path=path, key=None, sha256="0" * 64)}
        job, found = contracted(request_of(document, dtype="float32", batch=batch), refs)
        _, exact = contracted(request_of(document, dtype="float64", batch=batch), refs)
        largest = float(np.abs(exact.value).max())
        error = np.abs(found.value - exact.value).max() / largest
        assert 0 < error < tasks.bound(job, largest, 0.0)[0]
        # Beside the same number, so that what cancels has no part in it.
        bounds.append(tasks.bound(job, 1000.0, 0.0)[0])
    assert bounds[1] < 1.5 * bounds[0]


def test_what_averages_say_nothing_of_is_measured() -> None:
    """Products of many random matrices are far smaller than their average."""
    document = matrices(300)
    job, found = contracted(request_of(document, dtype="float32"), {})
    _, exact = contracted(request_of(document, dtype="float64"), {})
    assert found.log10_scale == exact.log10_scale
    largest = float(np.abs(exact.value).max())
    bound, least = tasks.bound(job, largest, exact.log10_scale)
    assert bound == 1
    error = np.abs(found.value - exact.value).max() / largest
    assert 0 < error < tasks.measured(job, found, bound, least) < 1e-2


def test_nothing_is_measured_where_repetitions_have_no_room() -> None:
    job, found = contracted(request_of(matrices(300), dtype="float32"), {})
    less = replace(job, peak_bytes=job.memory_bytes - 1000)
    assert tasks.measured(less, found, 0.75, 1e-6) == 0.75


def test_the_bound_of_zeros_and_of_what_cannot_cancel_stays() -> None:
    job, found = contracted(request_of(matrices(3), dtype="float32"), {})
    zeros = replace(found, value=np.zeros_like(found.value))
    assert tasks.measured(job, zeros, 1.0, 1e-6) == 1
    job, found = contracted(request_of(matrices(3, "uniform"), dtype="float32"), {})
    assert tasks.measured(job, found, 0.75, 1e-6) == 0.75
