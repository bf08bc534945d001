"""An executor that contracts in this process, in a few recorded tasks, and can be held or failed.

It keeps the contract of ``ledger.Executor`` in earnest: it goes on from what the ledger holds,
records each task once, and adds up in a fixed order. Only Dask is missing.
"""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom import contract_network
from tensorloom.errors import Cancelled, TensorloomError
from tensorloom.model import codec
from tensorloom_worker.array_files import load
from tensorloom_worker.ledger import Outcome, Partial, Prefix, Progress, TaskLayout
from tensorloom_worker.records import (
    ContractRequest,
    EntryRequest,
    Estimate,
    Facts,
    JobProgress,
    PartialValue,
    PlanJson,
    as_pair,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tensorloom_worker.ledger import ArrayRef, Ledger
    from tensorloom_worker.settings import Settings

TASKS = 4

STUBBORN = "stubborn"
"""Title of a job that never gets on, and does not stop when it is asked to."""


class LocalExecutor:
    """Contracts in a thread; ``gate`` holds jobs between tasks while it is cleared."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.gate = asyncio.Event()
        self.gate.set()
        self.fail: Callable[[str, int], Exception | None] = lambda _job, _task: None
        self.began: list[str] = []
        self.done_tasks: list[tuple[str, int]] = []

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def about(self) -> Facts:
        return Facts(
            scheduler="local",
            workers=1,
            threads=1,
            memory_bytes_per_worker=2**30,
            backends=("numpy",),
            calibrated=False,
        )

    async def check(self, request: ContractRequest | EntryRequest) -> None:
        pass

    async def estimate(
        self,
        request: ContractRequest | EntryRequest,
        arrays: Mapping[str, ArrayRef] | None = None,
    ) -> Estimate:
        del arrays
        if isinstance(request, EntryRequest):
            return _estimate(0, 8)
        network = codec.from_json(request.document).network
        from tensorloom.plan.find import quick  # noqa: PLC0415  # slow to import

        plan = quick(network)
        size = 8
        for name in network.output:
            size *= network.dimension_of[name]
        return _estimate(plan.cost.mul_adds, size)

    async def run(
        self,
        job: str,
        request: ContractRequest | EntryRequest,
        arrays: Mapping[str, ArrayRef],
        ledger: Ledger,
        *,
        progress: Callable[[Progress], None],
        cancelled: asyncio.Event,
    ) -> Outcome:
        self.began.append(job)
        value = await asyncio.to_thread(_value, request, arrays)
        if ledger.layout(job) is None:
            layout = TaskLayout(
                plan=PlanJson(path=()),
                slices=TASKS,
                slices_per_task=1,
                dtype=value.dtype.name,
                backend="numpy",
            )
            await asyncio.to_thread(ledger.fix_layout, job, layout)
        progress(Progress(state="running"))
        if request.title == STUBBORN:
            await asyncio.Event().wait()
        prefix = ledger.prefix(job)
        first = prefix.upto if prefix else 0
        held = ledger.tasks(job)
        for task in range(first, TASKS):
            await _until(self.gate, cancelled)
            error = self.fail(job, task)
            if error is not None:
                raise error
            if task not in held:
                partial = Partial(total=_npy(value * (task + 1)), exponent=-1)
                if await asyncio.to_thread(ledger.record, job, task, partial):
                    self.done_tasks.append((job, task))
            if task == 1:
                both = Prefix(upto=2, partial=Partial(total=_npy(value * 3), exponent=-1))
                await asyncio.to_thread(ledger.fold, job, both)
            progress(_progress(task + 1, value))
        total = sum(np.load(io.BytesIO(p.total)) for p in ledger.tasks(job).values())
        kept = ledger.prefix(job)
        assert kept is not None
        total = (total + np.load(io.BytesIO(kept.partial.total))) / 10
        return Outcome(
            array=np.asarray(total), error_bound=1e-15, ms=1.0, mul_adds=4, backend="numpy"
        )

    async def partial(
        self, job: str, _request: ContractRequest | EntryRequest, ledger: Ledger
    ) -> tuple[np.ndarray[Any, Any], float] | None:
        prefix = ledger.prefix(job)
        parts = [*([prefix.partial] if prefix else []), *ledger.tasks(job).values()]
        if not parts:
            return None
        total = sum(np.load(io.BytesIO(part.total)) * 2.0**part.exponent for part in parts)
        return np.asarray(total), 0.0


def _progress(done: int, value: np.ndarray[Any, Any]) -> Progress:
    scalar = as_pair(complex(value * done / TASKS)) if value.ndim == 0 else None
    return Progress(
        progress=JobProgress(slices_done=done, slices=TASKS, fraction=done / TASKS, eta_ms=1.0),
        partial=PartialValue(value=scalar, relative_change=0.1),
    )


async def _until(gate: asyncio.Event, cancelled: asyncio.Event) -> None:
    """Wait for the gate, or stop."""
    waits = [asyncio.create_task(event.wait()) for event in (gate, cancelled)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waits:
            task.cancel()
    if cancelled.is_set():
        raise Cancelled("cancelled", "The job was stopped.")


def _value(
    request: ContractRequest | EntryRequest, arrays: Mapping[str, ArrayRef]
) -> np.ndarray[Any, Any]:
    if isinstance(request, EntryRequest):
        return np.asarray(float(len(request.parameters)))
    document = codec.from_json(request.document)
    if not arrays:
        return np.asarray(contract_network(document).value)
    network = document.network
    from tensorloom import contract  # noqa: PLC0415  # slow to import

    operands = [np.asarray(load(arrays[t.id].path, arrays[t.id].key)) for t in network.tensors]
    letters = {name: chr(97 + place) for place, name in enumerate(network.dimension_of)}
    inputs = ",".join("".join(letters[name] for name in t.indices) for t in network.tensors)
    output = "".join(letters[name] for name in network.output)
    return np.asarray(contract(f"{inputs}->{output}", *operands))


def _estimate(mul_adds: int, size: int) -> Estimate:
    return Estimate(
        mul_adds=mul_adds,
        flop=2 * mul_adds,
        slices=TASKS,
        peak_bytes_per_worker=size,
        result_bytes=size,
        predicted_ms=1.0,
        fits=True,
        basis="typical",
    )


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def machine_error(code: str) -> TensorloomError:
    from tensorloom.errors import ExecutionError  # noqa: PLC0415  # tests only

    return ExecutionError(code, "The machine is not well.", "Wait.")
