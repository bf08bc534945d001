"""A network in, its value from a heavy worker out: what ``contract_network`` calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.execute.casting import plain_arrays
from tensorloom.execute.remote.client import WorkerClient
from tensorloom.execute.remote.job import Watcher, contracted
from tensorloom.execute.remote.request import job_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from tensorloom.execute.arrays import ArrayStore
    from tensorloom.execute.backend import Pulse, Result
    from tensorloom.model.document import Document
    from tensorloom.model.network import Network
    from tensorloom.model.recipe import DType
    from tensorloom.plan.plan import Plan

__all__ = ["run_there"]


async def run_there(  # noqa: PLR0913  # what a run is made of
    network: Network | Document,
    arrays: Sequence[ArrayLike] | None,
    *,
    plan: Plan,
    dtype: DType,
    store: ArrayStore,
    pulse: Pulse,
    worker: tuple[str | None, str | None],
    backend: str = "auto",
    batch: Mapping[str, ArrayLike] | None = None,
) -> Result:
    """The value, with where, how long and how exact.

    Args:
        network: The network, or a document that holds it.
        arrays: One per tensor; by default made from the recipes, by the worker.
        plan: An order; what the worker finds is never worse.
        dtype: Type to compute in.
        store: Where recipes that name stored arrays find them.
        pulse: Progress and cancellation.
        worker: Its address and token; ``None`` for what the environment says.
        backend: What contracts there; ``auto`` is its own choice.
        batch: By tensor id, one array per contraction along a first axis.

    Raises:
        InputError: Arrays that do not fit the network.
        WorkerUnreachable: The worker does not answer.
        TensorloomError: What it refuses, in its words.
    """
    client = WorkerClient.of(*worker)
    given = None if arrays is None else plain_arrays(plan.tree, arrays)
    request = job_request(network, given, dtype=dtype, store=store, plan=plan, backend=backend)
    if batch:
        request = request.with_batch(batch)
    try:
        return await contracted(client, request, Watcher(pulse=pulse))
    finally:
        client.close()
