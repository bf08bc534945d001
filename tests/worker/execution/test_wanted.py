"""What nobody waits for any more makes room for what somebody does."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from dask_jobs import request_of
from memory_ledger import MemoryLedger

from tensorloom.errors import Cancelled
from tensorloom.formats import network_json
from tensorloom_worker.execution.wanted import look_of_task, own_task
from tensorloom_worker.records import PlanJson

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Cluster
    from tensorloom_worker.records import ContractRequest

MATRICES = 200
"""Each takes a worker more than a tenth of a second."""


def long_request() -> ContractRequest:
    """A chain of matrices, closed by a tall and a wide one: one slice that takes half a minute."""
    names = [f"i{number}" for number in range(MATRICES + 2)]
    inputs = [[names[number], names[(number + 1) % len(names)]] for number in range(len(names))]
    sizes = {name: 2048 if name == "i0" else 256 for name in names}
    chain = network_json.from_json({"inputs": inputs, "output": [], "size_dict": sizes}, seed=0)
    path = tuple(
        (0 if step == 0 else len(names) + step - 1, step + 1) for step in range(len(names) - 1)
    )
    plan = PlanJson(path=path, sliced=())
    return request_of(chain.document, plan=plan, dtype="complex128")


def test_a_cancelled_slice_lets_go_of_its_worker(start: Callable[..., Cluster]) -> None:
    alone = start(workers=1)

    async def story() -> float:
        executor = alone.executor
        begun, cancelled = asyncio.Event(), asyncio.Event()
        running = asyncio.create_task(
            executor.run(
                "job",
                long_request(),
                {},
                MemoryLedger(),
                progress=lambda told: begun.set() if told.progress is not None else None,
                cancelled=cancelled,
            )
        )
        await asyncio.wait_for(begun.wait(), 60)
        # Long enough that its inputs are there, and it contracts.
        await asyncio.sleep(4)
        assert not running.done()
        cancelled.set()
        with pytest.raises(Cancelled):
            await running
        since = monotonic()
        assert await executor.pool.call(int, "3") == 3
        return monotonic() - since

    assert alone.do(story()) < 3


def test_outside_of_a_worker_somebody_always_waits() -> None:
    assert own_task()()
    look_of_task()()
