"""The heavy worker against cotengra with numpy, and against plain Dask; what it costs, and scales.

Everybody contracts the same tree in the same type, window after window in turn, with one BLAS
thread per process. ``--only`` runs some of the parts: ``slices``, ``scaling``, ``dask``, ``jobs``,
``many``, ``estimates``, ``sycamore``, ``minutes``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cotengra
import numpy as np
from report import KEPT, MACHINE, keep, table, write_section

from tensorloom.formats import network_json, qsim
from tensorloom.model import codec
from tensorloom.plan.inputs import inputs_of
from tensorloom_worker.execution import entries, trees
from tensorloom_worker.execution.executor import Executor
from tensorloom_worker.execution.pool import WORKER_VARIABLES
from tensorloom_worker.execution.problem import Problem, plan_json
from tensorloom_worker.execution.runner import Runner, Shared
from tensorloom_worker.execution.strategy import Strategy, strategy_for
from tensorloom_worker.records import ContractRequest
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from tensorloom.model.document import Document
    from tensorloom.model.recipe import DType
    from tensorloom.plan.tree import ContractionTree

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
HEADING = "Heavy worker"
PARTS = ("slices", "scaling", "dask", "jobs", "many", "estimates", "sycamore", "minutes")
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


# One process.


def interleaved(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Times of each way, round after round [s]; the first round only warms up."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            if number:
                times[name].append(time.perf_counter() - begun)
    return times


def slices_part(*, quick: bool) -> tuple[str, dict[str, float]]:
    """Throughput of one thread: cotengra with numpy, ours without and with reuse."""
    rows, figures = [], {}
    for one in cases(quick=quick):
        arrays = one.arrays()
        strategy = strategy_for(one.tree, 2 * Strategy.of(one.tree, 0).peak_elements)
        kept = Shared(strategy, arrays, one.problem.dtype)
        plain = Shared(Strategy.of(one.tree, 0), arrays, one.problem.dtype)
        warm = Runner(plain)
        begun = time.perf_counter()
        _ = warm.slice_value(0)
        each = time.perf_counter() - begun
        count = int(min(one.tree.n_slices, max(2, 0.5 / each), 256))

        def theirs(one: Case = one, arrays: list[Any] = arrays, count: int = count) -> object:
            total = one.theirs.contract_slice(arrays, 0)
            for number in range(1, count):
                total = total + one.theirs.contract_slice(arrays, number)
            return total

        def ours(shared: Shared, count: int = count) -> object:
            return Runner(shared).run(0, count)

        times = interleaved(
            {
                "cotengra": theirs,
                "each anew": lambda plain=plain: ours(plain),
                "kept": lambda kept=kept: ours(kept),
            },
            2 if quick else ROUNDS,
        )
        ratios = {
            way: statistics.median(
                peer / own for peer, own in zip(times["cotengra"], times[way], strict=True)
            )
            for way in ("each anew", "kept")
        }
        figures[f"{one.name}: each anew"] = ratios["each anew"]
        figures[f"{one.name}: kept"] = ratios["kept"]
        per_slice = one.tree.n_slices
        pairs = Strategy.of(one.tree, 0).mul_adds / per_slice
        flop = pairs * (8 if one.problem.dtype.startswith("complex") else 2)
        rows.append(
            [
                one.name,
                f"{statistics.median(times['each anew']) / count * 1000:.1f}",
                f"{flop * count / statistics.median(times['cotengra']) / 1e9:.1f}",
                f"{flop * count / statistics.median(times['each anew']) / 1e9:.1f}",
                f"{ratios['each anew']:.2f}",
                f"{Strategy.of(one.tree, 0).mul_adds / strategy.mul_adds:.2f}",
                f"{ratios['kept']:.2f}",
            ]
        )
        print(rows[-1], flush=True)
    heads = [
        "case", "slice [ms]", "cotengra [GFLOP/s]", "ours [GFLOP/s]", "ratio, each slice anew",
        "less work by reuse", "ratio with reuse",
    ]  # fmt: skip
    text = (
        "**Slices in one thread.** The same tree, slices and type; cotengra with numpy contracts "
        "slice after slice. *Each anew*: so do we. *With reuse*: branches that few sliced indices "
        "reach are kept, in up to twice the memory of a slice. Ratios are medians of paired "
        "rounds.\n\n" + table(heads, rows)
    )
    return text, figures


# Two processes.


def _spin(seconds: float, ready: Any, found: Any) -> None:
    """Products of matrices in one thread, counted: what the machine itself gives."""
    matrix = np.random.default_rng(0).standard_normal((384, 384))
    ready.wait()
    end, count = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        _ = matrix @ matrix
        count += 1
    found.put(count)


def control(processes: int, seconds: float) -> float:
    """Matrix products per second of so many processes, each on its own core."""
    context = get_context("spawn")
    ready, found = context.Barrier(processes), context.Queue()
    running = [
        context.Process(target=_spin, args=(seconds, ready, found)) for _ in range(processes)
    ]
    for number, process in enumerate(running):
        process.start()
        os.sched_setaffinity(process.pid or 0, {number % (os.cpu_count() or 1)})
    total = sum(found.get() for _ in running)
    for process in running:
        process.join()
    return total / seconds


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


async def ran(found: Executor, request: ContractRequest) -> tuple[float, Any]:
    """``(seconds, outcome)`` of one job."""
    begun = time.perf_counter()
    outcome = await found.run(
        f"job-{begun}",
        request,
        {},
        ledger(),
        progress=lambda _: None,
        cancelled=asyncio.Event(),
    )
    return time.perf_counter() - begun, outcome


def request_of(one: Case, **more: Any) -> ContractRequest:
    return ContractRequest(
        kind="contract",
        document=codec.to_json(one.document),
        dtype=one.problem.dtype,
        plan=plan_json(one.tree),
        search_seconds=0.0,
        **more,
    )


def scaling_part(*, quick: bool) -> tuple[str, dict[str, float]]:
    """One worker and two, and a control of pure numpy in pinned processes."""
    one = case("rand_50_5_a", 2, "complex64", 2**14 if quick else 2**22)

    async def both() -> tuple[list[float], list[float], list[float]]:
        single, double, controls = [], [], []
        async with executor(1) as few, executor(2) as many:
            for found in (few, many):
                _ = await ran(found, request_of(one))
            for _ in range(1 if quick else 3):
                single.append((await ran(few, request_of(one)))[0])
                double.append((await ran(many, request_of(one)))[0])
                controls.append(control(2, 2.0) / control(1, 2.0))
        return single, double, controls

    single, double, controls = asyncio.run(both())
    gains = [a / b for a, b in zip(single, double, strict=True)]
    figures = {"scaling": statistics.median(gains), "control": statistics.median(controls)}
    text = (
        f"**One worker and two.** {one.name} in {one.tree.n_slices} slices: "
        f"{statistics.median(single):.1f} s with one worker process, "
        f"{statistics.median(double):.1f} s with two: {figures['scaling']:.2f}x. Two pinned "
        f"processes of plain numpy products do {figures['control']:.2f} times what one does."
    )
    return text, figures


def dask_part(*, quick: bool) -> tuple[str, dict[str, float]]:
    """Plain Dask: a future per slice of cotengra's tree, as its documentation shows."""
    rows, figures = [], {}
    chosen = [case("rand_50_5_a", 2, "complex64", 2**14 if quick else 2**16)]

    async def compared(one: Case) -> tuple[float, float, int]:
        arrays = one.arrays()
        count = min(one.tree.n_slices, 2000)
        async with executor(2) as found:
            client = found.pool._client
            _ = await ran(found, request_of(one))
            ours, _ = await ran(found, request_of(one))
            where = await client.scatter(arrays, broadcast=True)
            tree = await client.scatter(one.theirs, broadcast=True)
            begun = time.perf_counter()
            futures = client.map(
                _contract_slice, [tree] * count, [where] * count, list(range(count)), pure=False
            )
            _ = sum(await client.gather(futures))
            theirs = (time.perf_counter() - begun) * one.tree.n_slices / count
        return ours, theirs, count

    for one in chosen:
        ours, theirs, count = asyncio.run(compared(one))
        times = f"{theirs:.1f}", f"{ours:.1f}", f"{theirs / ours:.1f}"
        rows.append([one.name, str(one.tree.n_slices), *times])
        figures[f"{one.name}: plain dask"] = theirs / ours
        print(rows[-1], count, flush=True)
    text = (
        "**Plain Dask.** The same tree on the same two worker processes: a future per slice for "
        "`tree.contract_slice`, arrays and tree scattered, sums gathered, as cotengra's "
        "documentation shows (the first 2,000 slices, scaled up).\n\n"
        + table(["case", "slices", "plain Dask [s]", "ours [s]", "ratio"], rows)
    )
    return text, figures


def _contract_slice(tree: Any, arrays: Any, number: int) -> Any:
    return tree.contract_slice(arrays, number)


def jobs_part(*, quick: bool) -> tuple[str, dict[str, float]]:
    """Many small jobs, one after the other and eight at once."""
    document = network_json.from_json(
        {
            "inputs": [["a", "b"], ["b", "c"], ["c", "d"], ["d", "a"]],
            "output": [],
            "size_dict": dict.fromkeys("abcd", 8),
        }
    ).document
    count = 50 if quick else 1000

    async def all_of_them() -> list[float]:
        async with executor(2) as found:
            times = []
            for number in range(count):
                request = ContractRequest(
                    kind="contract", document=codec.to_json(document), title=str(number)
                )
                times.append((await ran(found, request))[0])
            return times

    times = sorted(asyncio.run(all_of_them())[5:])
    figures = {"job overhead": statistics.median(times) * 1000}
    text = (
        f"**Small jobs.** {count} jobs of four 8 x 8 matrices, one after the other through the "
        f"executor: {figures['job overhead']:.1f} ms each (median; 95 % below "
        f"{times[int(len(times) * 0.95)] * 1000:.1f} ms), from request to outcome."
    )
    return text, figures


def many_part(*, quick: bool) -> tuple[str, dict[str, float]]:
    """A hundred thousand slices: what the scheduler takes."""
    inputs = [[f"i{k}", f"i{(k + 1) % 12}", f"x{k % 6}"] for k in range(12)]
    names = sorted({name for indices in inputs for name in indices})
    sizes = dict.fromkeys(names, 6) | {"x0": 10, "x1": 10, "x2": 10, "x3": 10, "x4": 10}
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

    async def on_dask() -> tuple[list[float], list[float]]:
        walls, inside = [], []
        # The other worker has tables of its own: one process would have to make room for both.
        async with executor(1) as found, executor(1) as other:
            alone = other.pool.memory_bytes, document, tree
            for number in range(2 if quick else ROUNDS + 1):
                wall, _ = await ran(found, request)
                took = await other.pool.call(_alone, *alone)
                if number:
                    walls.append(wall)
                    inside.append(took)
        return walls, inside

    walls, inside = asyncio.run(on_dask())
    shares = [1 - alone / wall for wall, alone in zip(walls, inside, strict=True)]
    figures = {"scheduler share": statistics.median(shares)}
    text = (
        f"**Many slices.** A job of {tree.n_slices} slices takes {statistics.median(walls):.2f} s "
        f"from request to outcome on one worker; the same slices in one call there "
        f"{statistics.median(inside):.2f} s: {100 * figures['scheduler share']:.1f} % goes to "
        "scheduling, recording and adding up."
    )
    return text, figures


def _alone(memory: int, document: Document, tree: ContractionTree) -> float:
    """All slices in one call on a worker, its tables made before [s]."""
    from tensorloom.execute.arrays import ArrayStore, arrays_of  # noqa: PLC0415

    arrays = list(arrays_of(document.network, "float64", ArrayStore()))
    runner = Runner(Shared(strategy_for(tree, memory // 8), arrays, "float64"))
    begun = time.perf_counter()
    _ = runner.run(0, tree.n_slices)
    return time.perf_counter() - begun


def estimates_part(*, quick: bool) -> tuple[str, dict[str, float]]:
    """Predicted and measured times over the benchmark set, at sizes that take seconds."""
    chosen: list[tuple[str, int | None, DType, int | None]] = [
        ("rand_50_5_a", 2, "float64", 2**23),
        ("rand_50_5_a", 2, "complex64", 2**26),
        ("rtree_100_a", None, "float64", None),
        ("mps_mpo_L100_chi64_D5", None, "float32", None),
        ("mps_mpo_L100_chi64_D5", None, "complex128", None),
        ("peps_cluster_r2_D10_a", 4, "float64", None),
        ("peps_cluster_r2_D10_a", 5, "float32", 2**27),
        ("randreg_200_3_a", 2, "float64", 2**30),
        ("cubic_6x6x10", 2, "float32", 2**30),
    ]
    rows, ratios = [], []

    async def measure() -> None:
        async with executor(2) as found:
            for name, size, dtype, memory in chosen[:2] if quick else chosen:
                document = document_of(name, None if size is None else (size,))
                request = ContractRequest(
                    kind="contract",
                    document=codec.to_json(document),
                    dtype=dtype,
                    memory_bytes=memory,
                    search_seconds=0.0,
                )
                said = await found.estimate(request)
                if not said.fits or said.predicted_ms > 60_000:
                    print(name, size, dtype, "left out:", said.predicted_ms, said.refusal)
                    continue
                _ = await ran(found, request)
                _, outcome = await ran(found, request)
                ratio = said.predicted_ms / outcome.ms
                ratios.append(ratio)
                label = "" if size is None else f", dimension {size}"
                rows.append(
                    [
                        f"{name}{label}, {dtype}",
                        str(said.slices),
                        f"{said.mul_adds:.2g}",
                        f"{said.predicted_ms:.0f}",
                        f"{outcome.ms:.0f}",
                        f"{ratio:.2f}",
                    ]
                )
                print(rows[-1], flush=True)

    asyncio.run(measure())
    within = sum(0.5 <= ratio <= 2 for ratio in ratios)
    figures = {"estimates within 2x": within / max(1, len(ratios))}
    heads = ["network", "slices", "multiply-adds", "predicted [ms]", "measured [ms]", "ratio"]
    text = (
        f"**Estimates.** Rates are measured when the service starts; {within} of {len(ratios)} "
        "predictions are within a factor of 2. Measured is the second run, with two workers.\n\n"
        + table(heads, rows)
    )
    return text, figures


def sycamore_part(*, quick: bool) -> tuple[str, dict[str, float]]:
    """Amplitudes of a 53-qubit circuit, against another tree that is not sliced."""
    del quick
    text = (DATA / "circuits" / "sycamore_n53_m10.qsim").read_text()
    document = qsim.read(text)
    n_open = 6
    ends = {qubit: "0" for qubit in range(53) if qubit >= n_open}
    ended = entries.with_ends(document, ends)

    async def both() -> list[str]:
        async with executor(2) as found:
            small = ContractRequest(
                kind="contract",
                document=codec.to_json(ended),
                dtype="complex64",
                memory_bytes=64 << 20,
                search_seconds=60.0,
            )
            large = small.model_copy(update={"memory_bytes": None, "dtype": "complex128"})
            said = await found.estimate(small)
            wall, cut = await ran(found, small)
            _, whole = await ran(found, large)
            scale = 10 ** (cut.log10_scale - whole.log10_scale)
            error = np.abs(cut.array * scale - whole.array).max() / np.abs(whole.array).max()
            return [
                f"{2**n_open}", str(said.slices), f"{cut.mul_adds:.3g}", f"{wall:.1f}",
                f"{cut.ms / 1000:.1f}", f"{whole.ms / 1000:.1f}", f"{error:.1e}",
                f"{cut.error_bound:.1e}",
            ]  # fmt: skip

    row = asyncio.run(both())
    heads = [
        "amplitudes", "slices at first", "multiply-adds", "with search [s]", "contraction [s]",
        "unsliced, complex128 [s]", "difference", "its bound",
    ]  # fmt: skip
    return (
        "**Sycamore.** Amplitudes of `sycamore_n53_m10` with six qubits open, cut to 64 MiB per "
        "worker in complex64, against a contraction with a tree of its own, in complex128.\n\n"
        + table(heads, [row]),
        {},
    )


def minutes_part(*, quick: bool) -> tuple[str, dict[str, float]]:
    """Runs of minutes: searched, cut, contracted, and compared with what was said before."""
    rows = []

    async def measure() -> None:
        async with executor(2) as found:
            chosen: list[tuple[str, tuple[int, ...], DType, int]] = [
                ("randreg_200_3_a", (3, 2, 2), "float32", 1 << 30),
                ("cubic_6x6x10", (2, 2, 1), "float32", 2 << 30),
            ]
            for name, sizes, dtype, memory in chosen[: 1 if quick else 2]:
                request = ContractRequest(
                    kind="contract",
                    document=codec.to_json(document_of(name, sizes)),
                    dtype=dtype,
                    memory_bytes=memory,
                    search_seconds=60.0,
                )
                heard: list[Any] = []
                begun = time.perf_counter()
                outcome = await found.run(
                    "job", request, {}, ledger(),
                    progress=heard.append, cancelled=asyncio.Event(),
                )  # fmt: skip
                wall = time.perf_counter() - begun
                said = next(one.estimate for one in reversed(heard) if one.estimate)
                predicted, took = f"{said.predicted_ms / 1000:.0f}", f"{outcome.ms / 1000:.0f}"
                work = str(said.slices), f"{outcome.mul_adds:.3g}"
                label = f"{name}, dimensions {', '.join(map(str, sizes))} in turn"
                rows.append([label, *work, f"{wall:.0f}", predicted, took])
                print(rows[-1], flush=True)

    asyncio.run(measure())
    heads = [
        "network", "slices", "multiply-adds", "with search [s]", "predicted [s]", "contraction [s]",
    ]  # fmt: skip
    return "**Minutes.** A search of 60 s, then the contraction.\n\n" + table(heads, rows), {}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small, nothing written")
    parser.add_argument("--only", help="some of the parts, comma-separated")
    options = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        # BLAS and malloc read their variables when they are loaded.
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | WORKER_VARIABLES)
    wanted = options.only.split(",") if options.only else PARTS
    store = KEPT / "worker.json"
    known: dict[str, Any] = json.loads(store.read_text()) if store.is_file() else {}
    for part in PARTS:
        if part not in wanted:
            continue
        text, figures = globals()[f"{part}_part"](quick=options.quick)
        print(f"\n{text}\n{figures}", flush=True)
        known[part] = {"text": text, "figures": figures}
        if not options.quick:
            store.write_text(json.dumps(known, indent=1) + "\n")
            _write(known)
    return 0


def _write(known: dict[str, Any]) -> None:
    parts = [known[part] for part in PARTS if part in known]
    head = f"`tests/bench/worker.py` on {MACHINE}, one BLAS thread per process."
    write_section(HEADING, "\n\n".join([head, *(part["text"] for part in parts)]))
    keep("worker", {name: value for part in parts for name, value in part["figures"].items()})


if __name__ == "__main__":
    sys.exit(main())
