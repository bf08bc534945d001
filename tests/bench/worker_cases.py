"""Networks of the benchmark set with trees of cotengra's, and the executor that contracts them."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cotengra
import numpy as np

from tensorloom.formats import network_json
from tensorloom.model import codec
from tensorloom.plan.inputs import inputs_of
from tensorloom_worker.execution import trees
from tensorloom_worker.execution.executor import Executor
from tensorloom_worker.execution.problem import Problem, plan_json
from tensorloom_worker.records import ContractRequest
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from numpy.typing import NDArray

    from tensorloom.model.document import Document
    from tensorloom.model.recipe import DType
    from tensorloom.plan.tree import ContractionTree
    from tensorloom_worker.ledger import Outcome, Progress
    from tensorloom_worker.records import Estimate

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
ROUNDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A network with a tree cut to a size.

    Args:
        name: As shown.
        problem: What is contracted.
        document: The same.
        tree: Ours, sliced.
        theirs: cotengra's own tree, with the same steps and slices.
        letters: cotengra's index by ours.
    """

    name: str
    problem: Problem
    document: Document
    tree: ContractionTree
    theirs: Any
    letters: dict[str, str]

    def arrays(self, seed: int = 0) -> list[NDArray[Any]]:
        draw = np.random.default_rng(seed)
        sizes = dict(self.problem.dimensions)
        made = []
        for names in self.problem.inputs:
            shape = [sizes[name] for name in names]
            array = draw.standard_normal(shape)
            if self.problem.dtype.startswith("complex"):
                array = array + 1j * draw.standard_normal(shape)
            # So that values stay in range for who carries no exponent.
            made.append((array / np.sqrt(array.size) ** 0.5).astype(self.problem.dtype))
        return made


def document_of(name: str, sizes: Sequence[int] | None) -> Document:
    """A network of the benchmark set, its dimensions in turn changed to these if any are given."""
    value = json.loads((DATA / "networks" / f"{name}.json").read_text())
    if sizes is not None:
        value["size_dict"] = dict(zip(value["size_dict"], cycle(sizes), strict=False))
    return network_json.from_json(value, name=name).document


def case(name: str, size: int | None, dtype: DType, room: int, tries: int = 128) -> Case:
    """A case with a tree of cotengra's, sliced to intermediates of so many elements."""
    sys.setrecursionlimit(100_000)
    document = document_of(name, None if size is None else (size,))
    inputs, output, dimensions = inputs_of(document.network)
    problem = Problem(inputs=inputs, output=output, dimensions=dimensions, dtype=dtype)
    letters = {n: cotengra.get_symbol(place) for place, (n, _) in enumerate(dimensions)}
    finder = cotengra.RandomGreedyOptimizer(max_repeats=tries, seed=0, accel=True)
    theirs = finder.search(
        [tuple(letters[n] for n in names) for names in inputs],
        tuple(letters[n] for n in output),
        {letters[n]: size for n, size in dimensions},
    )
    theirs.subtree_reconfigure_(seed=0)
    theirs = theirs.slice(target_size=room, seed=0)
    back = {letter: n for n, letter in letters.items()}
    tree = trees.tree_of(
        trees.given_tree(problem),
        tuple((int(one), int(other)) for one, other in theirs.get_ssa_path()),
        tuple(back[letter] for letter in theirs.sliced_inds),
    )
    return Case(
        name=f"{name}, {dtype}",
        problem=problem,
        document=document,
        tree=tree,
        theirs=theirs,
        letters=letters,
    )


def cases(*, quick: bool) -> Iterator[Case]:
    yield case("rand_50_5_a", 2, "float64", 2**16)
    if quick:
        return
    yield case("rand_50_5_a", 2, "complex64", 2**20)
    yield case("randreg_200_3_a", 2, "float64", 2**20)
    yield case("randreg_200_3_a", 3, "float32", 2**20)
    yield case("sycamore_n53_m20_s0_e0_pABCDCDAB", None, "complex64", 2**20)


@asynccontextmanager
async def executor(workers: int) -> AsyncIterator[Executor]:
    """A running executor in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        found = Executor(Settings(data_folder=Path(folder), workers=workers))
        await found.start()
        try:
            yield found
        finally:
            await found.close()


def ledger() -> Any:
    """A ledger in memory, the tests' own."""
    sys.path.insert(0, str(ROOT / "tests" / "worker"))
    from memory_ledger import MemoryLedger  # noqa: PLC0415  # not on the path before

    return MemoryLedger()


async def ran(found: Executor, request: ContractRequest) -> tuple[float, Outcome]:
    """``(seconds, outcome)`` of one job."""
    wall, _, outcome = await told(found, request)
    return wall, outcome


async def told(found: Executor, request: ContractRequest) -> tuple[float, Estimate, Outcome]:
    """``(seconds, what was predicted before it began, outcome)`` of a job."""
    heard: list[Progress] = []
    begun = time.perf_counter()
    outcome = await found.run(
        f"job-{begun}",
        request,
        {},
        ledger(),
        progress=heard.append,
        cancelled=asyncio.Event(),
    )
    wall = time.perf_counter() - begun
    return wall, next(one.estimate for one in reversed(heard) if one.estimate), outcome


def request_of(one: Case, **more: Any) -> ContractRequest:
    return ContractRequest(
        kind="contract",
        document=codec.to_json(one.document),
        dtype=one.problem.dtype,
        plan=plan_json(one.tree),
        search_seconds=0.0,
        **more,
    )
