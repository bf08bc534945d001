"""Slices: one thread against cotengra with numpy, two processes, and plain Dask."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
from report import table
from worker_cases import ROUNDS, case, cases, executor, ran, request_of

from tensorloom_worker.execution.runner import Runner, Shared
from tensorloom_worker.execution.strategy import Strategy, strategy_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from worker_cases import Case


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
