"""What a job costs beside its arithmetic: small ones, and one of many slices."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker_cases import ROOT, ROUNDS, executor, ran

from tensorloom.formats import network_json
from tensorloom.model import codec
from tensorloom.plan.inputs import inputs_of
from tensorloom_worker.execution import trees
from tensorloom_worker.execution.problem import Problem, plan_json
from tensorloom_worker.execution.runner import Runner, Shared
from tensorloom_worker.execution.strategy import strategy_for
from tensorloom_worker.execution.tasks import Done
from tensorloom_worker.records import ContractRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tensorloom.model.document import Document
    from tensorloom.plan.tree import ContractionTree
    from tensorloom_worker.execution.pool import Pool


def jobs_part(*, quick: bool) -> tuple[str, dict[str, float]]:
    """Many small jobs: one after the other through the executor, and all queued at the service."""
    document = network_json.from_json(
        {
            "inputs": [["a", "b"], ["b", "c"], ["c", "d"], ["d", "a"]],
            "output": [],
            "size_dict": dict.fromkeys("abcd", 8),
        }
    ).document
    request = ContractRequest(kind="contract", document=codec.to_json(document))
    count = 50 if quick else 1000

    async def all_of_them() -> list[float]:
        async with executor(2) as found:
            return [(await ran(found, request))[0] for _ in range(count)]

    times = sorted(asyncio.run(all_of_them())[5:])
    submitted, each = _queued(request, count)
    figures = {
        "job overhead": statistics.median(times) * 1000,
        "job overhead, submission": statistics.median(submitted) * 1000,
        "job overhead, whole service": each * 1000,
    }
    text = (
        f"**Small jobs.** {count} jobs of four 8 x 8 matrices, one after the other through the "
        f"executor: {figures['job overhead']:.1f} ms each (median; 95 % below "
        f"{times[int(len(times) * 0.95)] * 1000:.1f} ms), from request to outcome. As many queued "
        "at the service, over HTTP, each written to disk before it is answered: "
        f"{figures['job overhead, submission']:.1f} ms for a submission (median), and from the "
        f"first one until the last job is done {figures['job overhead, whole service']:.1f} ms "
        "per job, submission included."
    )
    return text, figures


def _queued(request: ContractRequest, count: int) -> tuple[list[float], float]:
    """Time of each submission, and of all jobs until the last is done, per job [s]."""
    sys.path.insert(0, str(ROOT / "tests" / "worker"))
    from worker_harness import Process  # noqa: PLC0415  # not on the path before

    body = request.model_dump(by_alias=True, exclude_none=True)
    submitted = []
    with tempfile.TemporaryDirectory() as folder:
        service = Process(folder=Path(folder) / "data", flags=("--workers", "2"), dask=True)
        service.start()
        try:
            with service.client() as client:
                # Its workers, and what they import, are there.
                _finished(client, [_submit(client, body, "first")])
                begun = time.perf_counter()
                names = []
                for number in range(count):
                    start = time.perf_counter()
                    names.append(_submit(client, body, str(number)))
                    submitted.append(time.perf_counter() - start)
                # Two run at a time: when the last one ends, at most one other still does.
                _finished(client, names[-1:])
                wall = time.perf_counter() - begun
                _finished(client, names)
        finally:
            service.stop()
    return submitted, wall / count


def _submit(client: httpx.Client, body: dict[str, Any], title: str) -> str:
    answer = client.post("/v1/jobs", json={**body, "title": title})
    answer.raise_for_status()
    name: str = answer.json()["id"]
    return name


def _finished(client: httpx.Client, names: list[str]) -> None:
    """Returns once all jobs are done."""
    for name in names:
        while (state := client.get(f"/v1/jobs/{name}").json()["state"]) != "done":
            assert state in ("queued", "searching", "running"), state
            time.sleep(0.02)


def many_part(*, quick: bool) -> tuple[str, dict[str, float]]:
    """A hundred thousand slices, of microseconds and longer ones: what the scheduler takes."""
    texts, figures = [], {}
    for bond, rounds in ((6, 1),) if quick else ((6, ROUNDS), (12, ROUNDS), (16, 1)):
        text, share = _many(bond, rounds, quick=quick)
        texts.append(text)
        figures[f"scheduler share, bond {bond}"] = share
    return "**Many slices.** " + " ".join(texts), figures


def _many(bond: int, rounds: int, *, quick: bool) -> tuple[str, float]:
    """A ring of tensors with this bond dimension."""
    inputs = [[f"i{k}", f"i{(k + 1) % 12}", f"x{k % 6}"] for k in range(12)]
    names = sorted({name for indices in inputs for name in indices})
    sizes = dict.fromkeys(names, bond) | {"x0": 10, "x1": 10, "x2": 10, "x3": 10, "x4": 10}
    document = network_json.from_json({"inputs": inputs, "output": [], "size_dict": sizes}).document
    found_inputs, output, dimensions = inputs_of(document.network)
    problem = Problem(inputs=found_inputs, output=output, dimensions=dimensions, dtype="float64")
    whole = trees.given_tree(problem)
    sliced = ("x0", "x1", "x2") if quick else ("x0", "x1", "x2", "x3", "x4")
    tree = trees.tree_of(whole, whole.path, sliced)
    request = ContractRequest(
        kind="contract",
        document=codec.to_json(document),
        plan=plan_json(tree),
        search_seconds=0.0,
    )

    async def on_dask() -> tuple[list[float], list[float], list[float]]:
        walls, inside, at_once = [], [], []
        # The other worker has tables of its own: one process would have to make room for both.
        async with executor(1) as found, executor(1) as other:
            spent = _spent_in_slices(found.pool)
            alone = other.pool.memory_bytes, document, tree
            for _ in range(rounds):
                # Twice in a row: the first makes the tables, or finds them cold after half a minute
                # in which nobody read them.
                _ = await ran(found, request)
                spent.clear()
                wall, _ = await ran(found, request)
                walls.append(wall)
                inside.append(sum(spent))
                at_once.append(await other.pool.call(_alone, *alone))
        return walls, inside, at_once

    walls, inside, at_once = asyncio.run(on_dask())
    share = statistics.median(1 - own / wall for own, wall in zip(inside, walls, strict=True))
    wall, alone = statistics.median(walls), statistics.median(at_once)
    return (
        f"A job of {tree.n_slices} slices, {1e6 * statistics.median(inside) / tree.n_slices:.0f} "
        f"us each, takes {wall:.2f} s from request to outcome on one worker: {100 * share:.1f} % "
        "goes to scheduling, recording and adding up, by the clock of its tasks. The same slices "
        f"in one call in another process: {alone:.2f} s."
    ), share


def _spent_in_slices(pool: Pool) -> list[float]:
    """Takes what each task from now on spends on its slices, as its worker measures it [s]."""
    spent: list[float] = []
    deliver = pool.deliver

    async def heard(function: Callable[..., Any], *arguments: Any) -> Any:
        done = await deliver(function, *arguments)
        if isinstance(done, Done):
            spent.append(done.seconds)
        return done

    pool.deliver = heard  # type: ignore[method-assign]  # of this one pool
    return spent


def _alone(memory: int, document: Document, tree: ContractionTree) -> float:
    """All slices in one call on a worker, once they ran before [s]."""
    from tensorloom.execute.arrays import ArrayStore, arrays_of  # noqa: PLC0415

    arrays = list(arrays_of(document.network, "float64", ArrayStore()))
    runner = Runner(Shared(strategy_for(tree, memory // 8), arrays, "float64"))
    _ = runner.run(0, tree.n_slices)
    begun = time.perf_counter()
    _ = runner.run(0, tree.n_slices)
    return time.perf_counter() - begun
