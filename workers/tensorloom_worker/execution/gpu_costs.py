"""What a strategy takes on a worker's GPU: its programs, their memory, and how long they run.

A program keeps from slice to slice what is the same in all of them, and nothing else; so does the
strategy that is reckoned with here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, prod
from typing import TYPE_CHECKING

from tensorloom.execute.calibration import predict, step_times
from tensorloom.kernels.gpu.plan import planned_bytes
from tensorloom.kernels.lower import lower
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom_worker.execution.strategy import adding_elements, strategy_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorloom.execute.calibration import Rates
    from tensorloom.kernels.gpu.limits import GpuLimits
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType
    from tensorloom.plan.tree import ContractionTree
    from tensorloom_worker.execution.strategy import Strategy, Table

__all__ = [
    "GpuRates",
    "Programs",
    "device_bytes",
    "gpu_strategy",
    "host_bytes",
    "largest_bytes",
    "lowered",
    "slice_ms",
    "wall_ms",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuRates:
    """How fast a device is.

    Args:
        rates: Of its kernels.
        compile_ms: What a kernel takes before it runs for the first time [ms].
    """

    rates: Rates
    compile_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """What a strategy runs.

    Args:
        tables: Once, in the order of its tables.
        main: For each slice; one block of the result.
    """

    tables: tuple[Program, ...]
    main: Program

    def __iter__(self) -> Iterator[Program]:
        """All of them."""
        return iter((*self.tables, self.main))


def lowered(strategy: Strategy, dtype: DType) -> Programs:
    """The programs of a strategy in one number type."""
    return _lowered(strategy.tables, strategy.main, dtype)


@lru_cache(maxsize=4)
def _lowered(tables: tuple[Table, ...], main: ContractionTree, dtype: DType) -> Programs:
    block = tuple(name for name in main.output if name not in main.sliced)
    return Programs(
        tables=tuple(lower(table.tree, dtype) for table in tables),
        main=lower(replace(main, output=block), dtype),
    )


def gpu_strategy(tree: ContractionTree, most_elements: int, dtype: DType) -> Strategy:
    """How a sliced tree is run on a GPU, and what is kept there from slice to slice.

    Args:
        tree: With its sliced indices.
        most_elements: Memory that tables may be planned for [elements].
        dtype: Type to compute in.
    """
    found = strategy_for(tree, most_elements)
    every = len(found.main.sliced)
    once = 0 if lowered(found, dtype).main.prologue else every
    levels = tuple(once if level == 0 else every for level in found.levels)
    return replace(found, levels=levels)


def device_bytes(strategy: Strategy, dtype: DType, limits: GpuLimits) -> int:
    """Most bytes on the device at once: tables are made one after the other, before the rest."""
    return max(planned_bytes(program, limits) for program in lowered(strategy, dtype))


def host_bytes(strategy: Strategy, dtype: DType) -> int:
    """What a process holds beside the device: inputs, tables, and the sum of a block [bytes]."""
    trees = (strategy.main, *(table.tree for table in strategy.tables))
    sizes = {name: size for tree in trees for name, size in tree.dimensions}
    held = sum(prod(sizes[name] for name in names) for tree in trees for names in tree.inputs)
    return (held + adding_elements(strategy.main)) * ITEM_BYTES[dtype]


def largest_bytes(strategy: Strategy, dtype: DType) -> int:
    """The largest tensor [bytes]."""
    programs = lowered(strategy, dtype)
    elements = [
        max(prod(program.shape), *(buffer.elements for buffer in program.buffers))
        for program in programs
    ]
    return max(elements) * ITEM_BYTES[dtype]


def slice_ms(strategy: Strategy, dtype: DType, rates: Rates) -> float:
    """What each slice takes, with adding it to the others [ms]."""
    program = lowered(strategy, dtype).main
    steps = step_times(program, rates)[program.prologue :]
    adding = 2 * rates.dispatch_ms + prod(program.shape) / rates.rate(dtype, "stream")
    return sum(steps) + (adding if program.slices else 0.0)


def wall_ms(  # noqa: PLR0913  # what a time on a cluster depends on
    strategy: Strategy,
    dtype: DType,
    rates: GpuRates,
    slices_per_task: int,
    *,
    processes: int,
    devices: int,
    limits: GpuLimits,
) -> float:
    """From the first task out to the last one in, loading apart [ms].

    Processes of one machine share its device: there what they do comes one after the other.

    Args:
        strategy: What is run.
        dtype: Type to compute in.
        rates: Of one device.
        slices_per_task: As laid out.
        processes: On all machines.
        devices: One per machine.
        limits: Of a device.
    """
    programs, speed = lowered(strategy, dtype), rates.rates
    main = programs.main
    slices = strategy.main.n_slices
    tasks = ceil(slices / slices_per_task)
    runs = max(tasks, strategy.n_blocks)
    once = sum(step_times(main, speed)[: main.prologue])
    back = 2 * prod(main.shape) * ITEM_BYTES[dtype] / speed.bytes_per_ms
    work = slices * slice_ms(strategy, dtype, speed) + runs * (speed.run_ms + once + back)
    inputs = sum(buffer.elements for buffer in main.buffers if buffer.source is not None)
    each = inputs * ITEM_BYTES[dtype] / speed.bytes_per_ms
    each += sum(predict(program, speed) for program in programs.tables)
    sharing = min(ceil(processes / devices), ceil(tasks / devices))
    # Small kernels of one kind share a text.
    texts = {
        spec
        for program in programs
        for spec in program.kernels
        if spec.mul_adds > limits.small_mul_adds
    }
    return work / min(devices, tasks) + sharing * each + (1 + len(texts)) * rates.compile_ms
