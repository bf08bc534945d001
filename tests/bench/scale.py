"""Where the scheduler ends: tasks that only sleep, on more and more simulated workers.

A worker here is a thread of one process that sleeps for as long as a task would compute, so that
the machine's cores are left to the scheduler and the client: what is measured is the price of a
task outside the workers. The cost model of ``docs/scale.md`` stands on it.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from dataclasses import dataclass
from functools import partial

import dask
from distributed import Client, LocalCluster
from report import MACHINE, table, write_section

from tensorloom_worker.execution.adding import IN_FLIGHT
from tensorloom_worker.execution.pool import DASK

HEADING = "Scale of the heavy worker"
WORKERS = (1, 4, 16, 64)
TASK_SECONDS = (0.01, 0.05, 0.2, 1.0)
SECONDS = 6.0
"""How long one row should take if nothing is lost [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What was measured for one number of workers and one length of tasks.

    Args:
        workers: Simulated.
        task_s: Time that a task sleeps [s].
        tasks: How many ran.
        wall_s: Until the last was in [s].
        cpu_s: Of this process: scheduler, client and workers' communication [s].
    """

    workers: int
    task_s: float
    tasks: int
    wall_s: float
    cpu_s: float

    @property
    def efficiency(self) -> float:
        """Time that workers slept, as a share of the time they were there."""
        return self.tasks * self.task_s / (self.workers * self.wall_s)

    @property
    def per_second(self) -> float:
        """Tasks per second."""
        return self.tasks / self.wall_s


def nap(seconds: float, number: int) -> int:
    """A task: it sleeps, and gives back what it was called with."""
    time.sleep(seconds)
    return number


async def measured(workers: int, task_s: float, seconds: float) -> Row:
    """One row, with tasks kept in flight as the executor does."""
    with dask.config.set(DASK):
        cluster = await LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=False,
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address=None,
            asynchronous=True,
        )
        client = await Client(cluster, asynchronous=True)
        await client.wait_for_workers(workers)
        tasks = max(workers * 4, round(workers * seconds / task_s))
        # Past the point of saturation a row would take minutes: no more than the scheduler can do.
        tasks = min(tasks, round(1500 * seconds))
        await client.submit(nap, 0.0, -1)
        begun, cpu = time.perf_counter(), time.process_time()
        await _run(client, partial(nap, task_s), tasks, IN_FLIGHT * workers)
        row = Row(
            workers=workers,
            task_s=task_s,
            tasks=tasks,
            wall_s=time.perf_counter() - begun,
            cpu_s=time.process_time() - cpu,
        )
        await client.close()
        await cluster.close()
    return row


async def _run(client: Client, task: partial[int], count: int, in_flight: int) -> None:
    numbers = iter(range(count))

    async def lane() -> None:
        for number in numbers:
            got = await client.submit(task, number, key=f"nap-{number}", pure=False)
            assert got == number

    await asyncio.gather(*(lane() for _ in range(in_flight)))


def text_of(rows: list[Row]) -> str:
    """The section of the page."""
    price = statistics.median(row.cpu_s / row.tasks for row in rows)
    cells = [
        [
            str(row.workers),
            f"{row.task_s:g}",
            str(row.tasks),
            f"{row.per_second:.0f}",
            f"{row.cpu_s / row.tasks * 1000:.2f}",
            f"{100 * row.efficiency:.0f} %",
            f"{100 * min(1, row.task_s / (price * row.workers)):.0f} %",
        ]
        for row in rows
    ]
    heads = [
        "workers", "task [s]", "tasks", "tasks/s", "CPU per task [ms]", "workers busy", "the model",
    ]  # fmt: skip
    return (
        f"`tests/bench/scale.py` on {MACHINE}. Workers are threads that sleep, so the cores belong "
        "to the scheduler, the client and the messages. A task costs "
        f"{price * 1000:.2f} ms of them (median); beyond {1 / price:.0f} tasks per second the "
        "scheduler is the limit, says the model: workers are busy for `t / (c W)` of the time, "
        "with this price as `c`. [Scale](scale.md) says what follows.\n\n" + table(heads, cells)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few short rows, nothing written")
    options = parser.parse_args()
    workers = (1, 8) if options.quick else WORKERS
    lengths = (0.02,) if options.quick else TASK_SECONDS
    rows = []
    for count in workers:
        for task_s in lengths:
            row = asyncio.run(measured(count, task_s, 1.0 if options.quick else SECONDS))
            rows.append(row)
            print(row, f"{row.efficiency:.2f}", flush=True)
    text = text_of(rows)
    print(text)
    if not options.quick:
        write_section(HEADING, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
