"""Networks worth slicing as jobs for a cluster, and what they should give."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from distributed import LocalCluster
from memory_ledger import MemoryLedger

from tensorloom.execute.arrays import ArrayStore, arrays_of
from tensorloom.formats import network_json
from tensorloom.model import codec
from tensorloom.model.recipe import RandomArray
from tensorloom.plan.tree import ContractionTree
from tensorloom_worker.records import ContractRequest, PlanJson

if TYPE_CHECKING:
    from execution.conftest import Cluster

    from tensorloom.model.document import Document
    from tensorloom.model.recipe import Distribution
    from tensorloom_worker.ledger import ArrayRef, Ledger, Outcome, Progress

__all__ = [
    "SLICED",
    "Stop",
    "begun",
    "close",
    "crash_after",
    "cubic",
    "matrices",
    "request_of",
    "ring",
    "run",
    "sliced_request",
    "wanted",
]

SLICED = ("x0", "x1", "i3")
"""Indices of a ring of 8 that cut it into many tasks."""


def ring(n: int, size: int, *, output: tuple[str, ...] = (), seed: int = 0) -> Document:
    """Matrices in a ring, each with a bond to the one across: a network that is worth slicing."""
    inputs = [[f"i{k}", f"i{(k + 1) % n}", f"x{k % (n // 2)}"] for k in range(n)]
    names = {name for indices in inputs for name in indices}
    return network_json.from_json(
        {
            "inputs": inputs,
            "output": list(output),
            "size_dict": dict.fromkeys(sorted(names), size),
        },
        seed=seed,
    ).document


def matrices(n: int, distribution: Distribution = "normal") -> Document:
    """A product of so many random matrices of two rows and columns."""
    inputs = [[f"i{k}", f"i{k + 1}"] for k in range(n)]
    sizes = {f"i{k}": 2 for k in range(n + 1)}
    chain_of = {"inputs": inputs, "output": ["i0", f"i{n}"], "size_dict": sizes}
    document = network_json.from_json(chain_of).document
    tensors = tuple(
        replace(tensor, array=RandomArray(seed=number, distribution=distribution))
        for number, tensor in enumerate(document.network.tensors)
    )
    return replace(document, network=replace(document.network, tensors=tensors))


def cubic(n: int, size: int) -> ContractionTree:
    """A closed network of ``n`` tensors with three legs each, joined one after the other."""
    ends = [tensor for tensor in range(n) for _ in range(3)]
    random.Random(n).shuffle(ends)
    legs: list[list[str]] = [[] for _ in range(n)]
    for number in range(0, len(ends), 2):
        for tensor in set(ends[number : number + 2]):
            legs[tensor].append(f"i{number}")
    return ContractionTree(
        inputs=tuple(tuple(names) for names in legs),
        output=(),
        dimensions=tuple((name, size) for name in sorted(set(chain(*legs)))),
        path=tuple((0 if step == 0 else n + step - 1, step + 1) for step in range(n - 1)),
    )


def wanted(document: Document) -> np.ndarray[Any, Any]:
    network = document.network
    names = {index.name: number for number, index in enumerate(network.indices)}
    operands: list[Any] = []
    for tensor, array in zip(
        network.tensors, arrays_of(network, "complex128", ArrayStore()), strict=True
    ):
        operands += [array, [names[name] for name in tensor.indices]]
    output = [names[name] for name in network.output]
    found = np.einsum(*operands, output, optimize=("greedy", 2**30))
    return np.asarray(found)


def request_of(document: Document, **more: Any) -> ContractRequest:
    return ContractRequest(
        kind="contract", document=codec.to_json(document), **({"search_seconds": 0.0} | more)
    )


def sliced_request(document: Document, *sliced: str, **more: Any) -> ContractRequest:
    """A request with a tree that is cut as said, one tensor after the other."""
    n = len(document.network.tensors)
    path = tuple((0 if step == 0 else n + step - 1, step + 1) for step in range(n - 1))
    return request_of(document, plan=PlanJson(path=path, sliced=sliced), **more)


def run(
    cluster: Cluster,
    request: ContractRequest,
    ledger: Ledger | None = None,
    *,
    arrays: dict[str, ArrayRef] | None = None,
    heard: list[Progress] | None = None,
    cancelled: asyncio.Event | None = None,
) -> Outcome:
    return cluster.do(
        cluster.executor.run(
            "job",
            request,
            arrays or {},
            ledger or MemoryLedger(),
            progress=(heard if heard is not None else []).append,
            cancelled=cancelled or asyncio.Event(),
        )
    )


class Stop(Exception):  # what a test throws
    """Thrown by a ledger to end a run like a crash does."""


def crash_after(count: int) -> MemoryLedger:
    def recorded(so_far: int) -> None:
        if so_far == count:
            raise Stop

    return MemoryLedger(recorded)


async def begun(port: int, n_workers: int = 1) -> LocalCluster:
    """A cluster of somebody else's in this process."""
    return await LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        processes=False,
        protocol="tcp://",
        host="127.0.0.1",
        scheduler_port=port,
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address=None,
        asynchronous=True,
    )


async def close(running: LocalCluster) -> None:
    await running.close()
