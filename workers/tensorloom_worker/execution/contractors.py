"""What a job is contracted with, as far as its estimate and its layout go.

    Contractors: what the workers have -> a Contractor for a request
    Contractor: tree that fits -> Strategy -> slices per task, memory, time

What happens on the workers then is in ``tasks``.
"""

from __future__ import annotations

import asyncio
import logging
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from tensorloom.errors import PlanError, WorkerRejected, WorkerUnreachable
from tensorloom.execute.candidates import NARROW
from tensorloom.execute.gpu.backend import assumed_rates
from tensorloom.execute.quantities import bytes_text
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom_worker.execution import costs, gpu, gpu_costs, trees
from tensorloom_worker.execution.adding import is_small
from tensorloom_worker.execution.rates import Measurements
from tensorloom_worker.execution.strategy import strategy_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tensorloom.model.recipe import DType
    from tensorloom.plan.tree import ContractionTree
    from tensorloom_worker.execution.costs import Rates
    from tensorloom_worker.execution.gpu import Adapter
    from tensorloom_worker.execution.gpu_costs import GpuRates
    from tensorloom_worker.execution.planning import Patience
    from tensorloom_worker.execution.pool import Pool
    from tensorloom_worker.execution.strategy import Strategy

__all__ = ["Contractor", "Contractors", "libraries_here", "slices_per_task"]

_LOG = logging.getLogger("tensorloom_worker")

LIBRARIES = ("torch", "cupy")
"""Array libraries that are used if they are there."""

GPU_TYPES: tuple[DType, ...] = ("float32", "complex64")

TASK_SECONDS = 1.0
"""How long a task should take on a typical core: long enough that scheduling does not show, short
enough that little is lost with a worker [s]."""

LEAST_TASK_SECONDS = 0.4
FEW_TASKS = 16
"""Short jobs are cut into so many tasks, if those are not too short: half of that on a fast core,
where a task costs 4 ms of its worker's time beside its slices."""

JOB_SECONDS = 0.01
SMALL_SECONDS = 0.002
"""What a job takes beside its calls and inputs: messages and records; and one that goes to no
worker. Measured on two busy cores [s]."""

COMPILE_MS = 50.0
"""What a kernel takes to compile before that was measured [ms]."""

TRIES = 16
"""How often a tree is cut smaller until a device has room for it: to less than a hundredth."""

_strategy = lru_cache(maxsize=4)(strategy_for)
_gpu_strategy = lru_cache(maxsize=4)(gpu_costs.gpu_strategy)
"""A job asks for its strategy when it is estimated, laid out and begun."""


R = TypeVar("R")


class Contractor(Protocol):
    """One backend in one number type."""

    async def ready(self) -> None:
        """Waits for its rates, but not for long."""

    @property
    def version(self) -> object:
        """Another value whenever predictions may have changed."""

    @property
    def is_calibrated(self) -> bool:
        """Whether its rates were measured here."""

    def fitted(
        self, tree: ContractionTree, most_elements: int, patience: Patience
    ) -> tuple[ContractionTree, int]:
        """The tree as it fits there, and the memory that it is to be planned for [elements].

        Args:
            tree: One that fits a worker's memory.
            most_elements: That memory [elements].
            patience: How long slicings are compared.

        Raises:
            PlanError: It does not fit.
        """

    def strategy(self, tree: ContractionTree, most_elements: int) -> Strategy:
        """How the tree is run."""

    def peak_bytes(self, strategy: Strategy) -> int:
        """Most memory of one worker process [bytes]."""

    def slices_per_task(self, strategy: Strategy) -> int:
        """How many slices make a task; no clock has a say."""

    def seconds(self, strategy: Strategy) -> float:
        """From a job's start to its end [s]."""


class _Calibrated(Generic[R]):
    """What contractors have in common: one type, and rates that are measured on the workers.

    Args:
        dtype: Type to compute in.
        pool: The workers.
        rates: What is measured.
    """

    def __init__(self, dtype: DType, pool: Pool, rates: Measurements[R]) -> None:
        self._dtype: DType = dtype
        self._pool = pool
        self._rates = rates

    async def ready(self) -> None:
        """See ``Contractor``."""
        await self._rates.ready(self._dtype)

    @property
    def version(self) -> object:
        """See ``Contractor``."""
        return self._rates.version(self._dtype)

    @property
    def is_calibrated(self) -> bool:
        """See ``Contractor``."""
        return self._rates.of(self._dtype) is not None


class HostContractor(_Calibrated["Rates"]):
    """numpy, or what takes its place.

    Args:
        name: Which.
        dtype: Type to compute in.
        pool: The workers.
        rates: Of numpy; there are no others.
    """

    def __init__(self, name: str, dtype: DType, pool: Pool, rates: Measurements[Rates]) -> None:
        super().__init__(dtype, pool, rates)
        self._name = name

    def fitted(
        self, tree: ContractionTree, most_elements: int, patience: Patience
    ) -> tuple[ContractionTree, int]:
        """See ``Contractor``."""
        del patience
        return tree, most_elements

    def strategy(self, tree: ContractionTree, most_elements: int) -> Strategy:
        """See ``Contractor``."""
        return _strategy(tree, most_elements)

    def peak_bytes(self, strategy: Strategy) -> int:
        """See ``Contractor``."""
        at_once = min(self._tasks(strategy), self._pool.threads_per_worker)
        return strategy.peak_elements * ITEM_BYTES[self._dtype] * at_once

    def _tasks(self, strategy: Strategy) -> int:
        return -(-strategy.main.n_slices // self.slices_per_task(strategy))

    def slices_per_task(self, strategy: Strategy) -> int:
        """See ``Contractor``."""
        return slices_per_task(strategy, costs.seconds_of(strategy, costs.TYPICAL)[1])

    def seconds(self, strategy: Strategy) -> float:
        """See ``Contractor``."""
        small = self._name == "numpy" and is_small(strategy, self._tasks(strategy))
        rates = self._rates.of(self._dtype) or costs.TYPICAL
        return (SMALL_SECONDS if small else JOB_SECONDS) + costs.wall_seconds(
            strategy, rates, self.slices_per_task(strategy), self._pool.n_threads
        )


class GpuContractor(_Calibrated["GpuRates"]):
    """The project's own kernels on the machines' GPUs.

    Args:
        dtype: Type to compute in.
        pool: The workers.
        rates: Of the GPU.
        host_rates: Of the processor, which makes the inputs.
        adapter: Of one of the workers; the others' are taken to be alike.
    """

    def __init__(
        self,
        dtype: DType,
        pool: Pool,
        rates: Measurements[GpuRates],
        host_rates: Measurements[Rates],
        adapter: Adapter,
    ) -> None:
        super().__init__(dtype, pool, rates)
        self._host_rates = host_rates
        self._adapter = adapter
        self._assumed = assumed_rates(software=adapter.is_software)

    def fitted(
        self, tree: ContractionTree, most_elements: int, patience: Patience
    ) -> tuple[ContractionTree, int]:
        """See ``Contractor``; processes of one machine share the memory of its GPU."""
        most = most_elements
        for _ in range(TRIES):
            strategy = self.strategy(tree, most)
            if self._has_room(strategy, most_elements * ITEM_BYTES[self._dtype]):
                return tree, most
            most = min(most, strategy.peak_elements) * 3 // 4
            tree = trees.fitting(tree, most, patience).tree
        raise PlanError(
            "inputs-too-big",
            "Inputs and result alone do not fit the GPU: a worker has "
            f"{bytes_text(self._device_bytes)} of it.",
            "Make dimensions smaller, start fewer workers, or ask for numpy.",
            values={"limit": str(self._device_bytes)},
        )

    @property
    def _device_bytes(self) -> int:
        """What a process may take of its machine's device [bytes]."""
        return self._adapter.limit_bytes // self._pool.most_workers_per_host

    def _has_room(self, strategy: Strategy, memory_bytes: int) -> bool:
        adapter = self._adapter
        return (
            gpu_costs.device_bytes(strategy, self._dtype, adapter.limits) <= self._device_bytes
            and gpu_costs.largest_bytes(strategy, self._dtype) <= adapter.max_buffer_bytes
            and self.peak_bytes(strategy) <= memory_bytes
        )

    def strategy(self, tree: ContractionTree, most_elements: int) -> Strategy:
        """See ``Contractor``."""
        return _gpu_strategy(tree, most_elements, self._dtype)

    def peak_bytes(self, strategy: Strategy) -> int:
        """See ``Contractor``; on the device and beside it."""
        return gpu_costs.device_bytes(
            strategy, self._dtype, self._adapter.limits
        ) + gpu_costs.host_bytes(strategy, self._dtype)

    def slices_per_task(self, strategy: Strategy) -> int:
        """See ``Contractor``."""
        one_ms = gpu_costs.slice_ms(strategy, self._dtype, self._assumed)
        return slices_per_task(strategy, 1e-3 * one_ms * strategy.main.n_slices)

    def seconds(self, strategy: Strategy) -> float:
        """See ``Contractor``."""
        found = self._rates.of(self._dtype)
        rates = found or gpu_costs.GpuRates(rates=self._assumed, compile_ms=COMPILE_MS)
        host = self._host_rates.of(self._dtype) or costs.TYPICAL
        on_device = gpu_costs.wall_ms(
            strategy,
            self._dtype,
            rates,
            self.slices_per_task(strategy),
            processes=self._pool.n_workers or 1,
            devices=self._pool.n_hosts,
            limits=self._adapter.limits,
        )
        return JOB_SECONDS + costs.loading_seconds(strategy, host) + 1e-3 * on_device


class Contractors:
    """What the workers can contract with.

    Args:
        pool: The workers.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.rates = Measurements(pool, costs.measured, costs.median_of)
        self._gpu_rates = Measurements(pool, gpu.measured, gpu.median_of)
        self._libraries: tuple[str, ...] = ()
        self._adapter: Adapter | str = "An adapter is being looked for."
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Ask what there is; a GPU is looked for meanwhile."""
        self._libraries = await self._pool.call(libraries_here, priority=1)
        self._begin_looking()
        self.rates.begin("complex64")

    def _begin_looking(self) -> None:
        self._looking = asyncio.create_task(self._look(), name="look for a GPU")

    async def _look(self) -> None:
        try:
            self._adapter = await self._pool.call(gpu.look, priority=1)
        except Exception:  # noqa: BLE001  # drivers, see below
            # They do whatever they like, up to ending the process; numpy needs none of them.
            _LOG.exception("looking for a GPU failed")
            self._adapter = "Looking for an adapter failed."

    async def close(self) -> None:
        """Give up what is under way."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self.rates.close()
        await self._gpu_rates.close()

    @property
    def names(self) -> tuple[str, ...]:
        """What can be asked for."""
        return ("numpy", *self._libraries, *(("wgpu",) if self._gpu else ()))

    @property
    def missing(self) -> Mapping[str, str]:
        """Why other backends are not here, in words."""
        found = {
            name: f"The package {name} is not installed."
            for name in LIBRARIES
            if name not in self._libraries
        }
        return found | ({"wgpu": self._adapter} if isinstance(self._adapter, str) else {})

    @property
    def gpu(self) -> str | None:
        """The GPU in words, where there is one."""
        return self._gpu.description if self._gpu else None

    @property
    def _gpu(self) -> Adapter | None:
        return None if isinstance(self._adapter, str) else self._adapter

    async def check(self, name: str, dtype: DType) -> None:
        """Looks whether a backend can contract in a type.

        Raises:
            WorkerRejected: ``no-such-backend``, ``backend-lacks-type``.
        """
        if name == "wgpu" and self._looking is not None:
            await asyncio.shield(self._looking)
        if name not in self.names:
            raise WorkerRejected(
                "no-such-backend",
                f"The workers have no {name}. {self.missing[name]}",
                f"Ask for {', '.join(self.names)} or auto.",
                values={"backend": name},
            )
        if name == "wgpu" and dtype not in GPU_TYPES:
            raise WorkerRejected(
                "backend-lacks-type",
                f"wgpu computes in {' and '.join(GPU_TYPES)}, not in {dtype}.",
                f"Ask for {NARROW[dtype]}, or for numpy.",
                values={"backend": name, "dtype": dtype, "types": list(GPU_TYPES)},
            )

    async def of(self, name: str, dtype: DType) -> Contractor:
        """A backend in one number type.

        Raises:
            WorkerRejected: It is not here, or does not know the type.
        """
        await self.check(name, dtype)
        if name != "wgpu":
            return HostContractor(name, dtype, self._pool, self.rates)
        assert self._gpu is not None
        return GpuContractor(dtype, self._pool, self._gpu_rates, self.rates, self._gpu)

    async def again(self, name: str, dtype: DType) -> Contractor:
        """That of a job that has begun; a GPU that is not there is looked for once more.

        Raises:
            WorkerUnreachable: ``gpu-gone``: drivers may not start for a while after a restart.
            WorkerRejected: As ``of``, of other backends.
        """
        if name == "wgpu" and self._gpu is None and self._looking and self._looking.done():
            self._begin_looking()
        try:
            return await self.of(name, dtype)
        except WorkerRejected as error:
            if name != "wgpu" or error.code != "no-such-backend":
                raise
            raise WorkerUnreachable(
                "gpu-gone",
                f"The GPU that the job began with is not there. {self.missing[name]}",
                "Give the worker its GPU back, or cancel the job.",
            ) from error


def libraries_here() -> tuple[str, ...]:
    """Array libraries that this worker has beside numpy."""
    return tuple(name for name in LIBRARIES if find_spec(name))


def slices_per_task(strategy: Strategy, seconds: float) -> int:
    """How many slices make a task: about a second, whole inner loops if possible.

    Args:
        strategy: How slices are run.
        seconds: What all of them take at typical rates. Measured ones must not count: a layout is
            the same whenever it is made [s].
    """
    slices = strategy.main.n_slices
    aim = min(TASK_SECONDS, max(LEAST_TASK_SECONDS, seconds / FEW_TASKS))
    most = max(1, min(slices, round(aim * slices / max(seconds, 1e-9))))
    full = dict(strategy.main.dimensions)
    whole = 1
    for name in reversed(strategy.main.sliced):
        if whole * full[name] > most:
            break
        whole *= full[name]
    return whole * (most // whole)
