"""Plans have threads of their own, a time, and an end when nobody waits for them."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from dask_jobs import request_of, ring, run, wanted
from doubles import LocalExecutor
from worker_harness import contraction, worker

from tensorloom.errors import Cancelled, PlanError
from tensorloom.formats import network_json
from tensorloom.model import codec
from tensorloom_worker.execution import planning, trees
from tensorloom_worker.execution.executor import Executor
from tensorloom_worker.execution.planning import ESTIMATES_AT_ONCE, Patience, Planning
from tensorloom_worker.execution.problem import Problem
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from conftest import Cluster
    from tensorloom.plan.tree import ContractionTree
    from tensorloom_worker.ledger import ArrayRef
    from tensorloom_worker.records import ContractRequest, EntryRequest, Estimate

MORE_THAN_THREADS = 40
"""More estimates than asyncio's own pool has threads."""


class Stuck:
    """A step that takes for ever, until the test is over."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.release = threading.Event()

    def __call__(self, *_: object) -> None:
        self.begun.release()
        assert self.release.wait(60)

    async def until_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.acquire, timeout=60)


class Clock:
    """The one that patience looks at; it can be put forward."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.passed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(planning, "monotonic", found)
    return found


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    found = Stuck()
    yield found
    found.release.set()


def test_patience_ends_with_its_time_and_when_nobody_waits() -> None:
    patience = Patience()
    patience.look()
    patience.give_up()
    with pytest.raises(Cancelled, match="Nobody waits for this plan any more"):
        patience.look()
    with pytest.raises(TimeoutError):
        Patience(-1.0).look()


def test_patience_lasts_while_nobody_plans(clock: Clock) -> None:
    patience = Patience(10.0)
    clock.passed += 4.0
    for _ in range(2):
        patience.pause()
        clock.passed += 1e5
    assert patience.left == pytest.approx(6.0, abs=0.5)
    patience.resume()
    patience.look()
    assert not patience.ran_out
    clock.passed += 7.0
    with pytest.raises(TimeoutError):
        patience.look()
    assert patience.ran_out


@pytest.mark.asyncio
async def test_waiting_for_a_thread_takes_none_of_the_time(stuck: Stuck, clock: Clock) -> None:
    one = Planning(1)
    running = asyncio.create_task(one.run(stuck, Patience()))
    await stuck.until_begun()
    waiting = asyncio.create_task(one.run(lambda patience: patience.look(), Patience(60.0)))
    await asyncio.sleep(0)
    clock.passed += 1e5
    stuck.release.set()
    await running
    await waiting
    one.close()


@pytest.mark.asyncio
async def test_a_thread_is_not_waited_for_for_ever(
    stuck: Stuck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "GRACE_S", 0.05)
    one = Planning(1)
    running = asyncio.create_task(one.run(stuck, Patience()))
    await stuck.until_begun()
    begun = threading.Event()
    with pytest.raises(PlanError) as caught:
        await one.run(lambda _: begun.set(), Patience(0.01))
    assert caught.value.code == "planning-too-long"
    # The loop hands on in its next turn that nobody waits.
    await asyncio.sleep(0)
    stuck.release.set()
    await running
    await one.run(lambda _: None, Patience())
    assert not begun.is_set()
    one.close()


@pytest.mark.asyncio
async def test_a_plan_that_nobody_waits_for_stops_at_its_next_look(stuck: Stuck) -> None:
    ended = threading.Event()

    def look_again(patience: Patience) -> None:
        stuck()
        try:
            patience.look()
        except Cancelled:
            ended.set()

    one = Planning(1)
    task = asyncio.create_task(one.run(look_again, Patience()))
    await stuck.until_begun()
    _ = task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    stuck.release.set()
    assert await asyncio.to_thread(ended.wait, 60)
    assert await one.run(lambda _: "the next one", Patience()) == "the next one"
    one.close()


@pytest.mark.asyncio
async def test_a_step_that_does_not_look_is_waited_for_no_longer_than_is_said(
    stuck: Stuck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "GRACE_S", 0.05)
    one = Planning(1)
    with pytest.raises(PlanError) as caught:
        await one.run(stuck, Patience(0.01))
    assert caught.value.code == "planning-too-long"
    assert caught.value.message == "Planning took longer than 0.01 s."
    one.close()


@pytest.mark.asyncio
async def test_closing_gives_up_what_runs_and_what_waits(stuck: Stuck) -> None:
    one = Planning(1)
    patience = Patience()
    running = asyncio.create_task(one.run(stuck, patience))
    await stuck.until_begun()
    waiting = asyncio.create_task(one.run(lambda _: None, Patience()))
    await asyncio.sleep(0)
    one.close()
    with pytest.raises(Cancelled):
        patience.look()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    stuck.release.set()
    await running


@pytest.mark.asyncio
async def test_the_service_answers_while_planning_is_stuck(
    elsewhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stuck: Stuck
) -> None:
    monkeypatch.setattr(trees, "fitting", stuck)
    async with worker(tmp_path / "data", executor=Executor, scheduler=elsewhere) as found:
        asked = [
            asyncio.create_task(found.client.post("/v1/estimates", json=contraction(title=str(n))))
            for n in range(MORE_THAN_THREADS)
        ]
        for _ in range(ESTIMATES_AT_ONCE):
            await stuck.until_begun()
        async with asyncio.timeout(30):
            job = await found.submit()
            # Its own plan does not wait for those of the estimates.
            await stuck.until_begun()
            listed = (await found.client.get("/v1/jobs")).json()["jobs"]
            assert [(one["id"], one["state"]) for one in listed] == [(job, "searching")]
            assert (await found.client.delete(f"/v1/jobs/{job}")).status_code == 204
            assert (await found.client.get("/v1/jobs")).json() == {"jobs": []}
        for task in asked:
            _ = task.cancel()
        _ = await asyncio.gather(*asked, return_exceptions=True)
        stuck.release.set()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("count", "dimension", "code"),
    [(180, 100, "too-many-slices"), (500, 2**31 - 1, "inputs-too-big")],
)
async def test_numbers_beyond_floats_are_refused_in_words(
    elsewhere: str, tmp_path: Path, count: int, dimension: int, code: str
) -> None:
    names = [f"i{number}" for number in range(count)]
    inputs = [[name, names[number - 1]] for number, name in enumerate(names)]
    sizes = dict.fromkeys(names, dimension)
    chain = {"inputs": inputs, "output": [], "size_dict": sizes}
    # Every second tensor first: nothing is summed before the last half comes.
    order = [*range(0, count, 2), *range(1, count, 2)]
    path = [(order[0], order[1])]
    path += [(count + step, other) for step, other in enumerate(order[2:])]
    document = codec.to_json(network_json.from_json(chain, seed=0).document)
    plan = {"path": path, "sliced": []}
    body = {"kind": "contract", "document": document, "plan": plan, "searchSeconds": 0}
    async with worker(tmp_path / "data", executor=Executor, scheduler=elsewhere) as found:
        answer = await found.client.post("/v1/estimates", json=body)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert not said["fits"]
    assert said["refusal"]["code"] == code
    assert len(said["refusal"]["message"]) < 200


class Endless(LocalExecutor):
    """Its estimates end when they are cancelled only."""

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def estimate(
        self,
        request: ContractRequest | EntryRequest,
        arrays: Mapping[str, ArrayRef] | None = None,
    ) -> Estimate:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return await super().estimate(request, arrays)


@pytest.mark.asyncio
async def test_an_estimate_ends_when_its_asker_hangs_up(tmp_path: Path) -> None:
    async with worker(tmp_path / "data", executor=Endless) as found:
        executor = found.executor
        assert isinstance(executor, Endless)
        body = json.dumps(contraction()).encode()
        first = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if first:
                return first.pop()
            await executor.begun.wait()
            return {"type": "http.disconnect"}

        async def send(_message: object) -> None:
            pass

        head = {"authorization": f"Bearer {found.token}", "host": "localhost:8765"}
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/v1/estimates",
            "raw_path": b"/v1/estimates",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in head.items()],
            "client": ("127.0.0.1", 1),
            "server": ("localhost", 8765),
        }
        async with asyncio.timeout(30):
            await found.app(scope, receive, send)
        assert executor.cancelled.is_set()


def test_a_search_that_took_long_leaves_time_to_plan(
    cluster: Cluster, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def searched(start: ContractionTree, *_: Any) -> ContractionTree:
        clock.passed += 1e5
        return start

    # What is late is not waited for.
    monkeypatch.setattr(planning, "GRACE_S", 0.0)
    monkeypatch.setattr(cluster.executor, "searched", searched)
    document = ring(8, 4)
    found = run(cluster, request_of(document, title="long search", search_seconds=1e4))
    assert clock.passed > 0
    exact = wanted(document)
    assert abs(found.array - exact) <= found.error_bound * abs(exact)


def test_an_estimate_that_was_cut_off_is_made_again_for_who_has_more_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_of(ring(8, 4))
    problem = Problem.of(request, {})
    one = Executor(Settings(data_folder=tmp_path, workers=1))
    numpy = asyncio.run(one._contractors.of("numpy", problem.dtype))
    fitting = trees.fitting
    asked: list[float] = []

    def slow(tree: Any, most: int, patience: Patience) -> Any:
        asked.append(patience.seconds)
        with suppress(TimeoutError):
            patience.look()
        return fitting(tree, most, Patience())

    monkeypatch.setattr(trees, "fitting", slow)
    for seconds in (-2.0, -2.0, -1.0, 600.0, -3.0, 6000.0):
        assert one._estimated(problem, request, numpy, Patience(seconds)).estimate.fits
    assert asked == [-2.0, -1.0, 600.0]


@pytest.mark.parametrize("where", ["own", "elsewhere"])
def test_a_cancelled_search_frees_the_threads(
    cluster: Cluster, start: Callable[..., Cluster], elsewhere: str, where: str
) -> None:
    workers = cluster if where == "own" else start(scheduler=elsewhere)
    executor = workers.executor
    pool = executor.pool
    document = ring(40, 4)
    problem = Problem.of(request_of(document), {})
    first = trees.given_tree(problem)

    async def story() -> float:
        searching = asyncio.create_task(executor.searched(first, 2**14, 3600.0))
        # Long enough for the annealing of one and the trials of another.
        await asyncio.sleep(6.0)
        assert not searching.done()
        searching.cancel()
        await asyncio.gather(searching, return_exceptions=True)
        begun = time.monotonic()
        await asyncio.gather(*(pool.call(time.sleep, 0.5) for _ in range(2 * pool.n_threads)))
        return time.monotonic() - begun

    assert workers.do(story()) < 20.0
