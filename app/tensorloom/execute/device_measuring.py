"""Measuring the device step by step: the processor first, the GPU when nothing else is left to do.

The processor's part is needed before kernels can be proposed. The GPU's decides which kernel comes
first there and which are not worth trying; until it is known, typical values do. A GPU that was
lost over it, or refused all of it, is remembered by its key and left alone.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tensorloom.errors import TensorloomError
from tensorloom.execute.gpu.microbench import measured_gpu
from tensorloom.execute.known_device import is_measured, with_gpu
from tensorloom.execute.microbench import measured_cpu
from tensorloom.tune.device import DeviceRecord

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.execute.gpu.microbench import Found
    from tensorloom.execute.wasm.kernels import WasmKernels
    from tensorloom.tune.device import CpuFacts, Curve

__all__ = ["DeviceMeasuring", "Ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How measuring a GPU came out.

    Args:
        record: The device with what was found.
        report: What went wrong, in words.
    """

    record: DeviceRecord
    report: tuple[str, ...] = ()


class DeviceMeasuring:
    """Measures one device.

    Args:
        kernels: The WASM engine.
        gpu: The GPU's device, where there is one.
        clock: Seconds.

    Attributes:
        refused: Key of the GPU that is not to be measured again; empty where it may be.
    """

    def __init__(
        self, kernels: WasmKernels, gpu: GpuDevice | None, clock: Callable[[], float]
    ) -> None:
        self._kernels = kernels
        self._gpu = gpu
        self._clock = clock
        self._cpu_steps: Generator[None, None, tuple[CpuFacts, tuple[Curve, ...]]] | None = None
        self._gpu_steps: AsyncGenerator[Found | None, None] | None = None
        self.refused = ""

    def cpu_step(self) -> DeviceRecord | None:
        """The next step; the record after the last one.

        Raises:
            UnsupportedKernel: The engine has no SIMD.
        """
        if self._cpu_steps is None:
            self._cpu_steps = measured_cpu(self._kernels, self._clock)
        try:
            next(self._cpu_steps)
        except StopIteration as done:
            self._cpu_steps = None
            facts, curves = done.value
            record = DeviceRecord(name="measured here", origin="measured", cpu=facts, curves=curves)
            return with_gpu(record, self._gpu)
        return None

    @property
    def on_gpu(self) -> bool:
        """Whether the GPU is being measured."""
        return self._gpu_steps is not None

    def wants_gpu(self, record: DeviceRecord) -> bool:
        """Whether the GPU's part of a record is missing and may be had."""
        if self._gpu is None or self.refused == record.gpu_key:
            return False
        return not is_measured(record.gpu)

    async def gpu_step(self, record: DeviceRecord) -> Ended | None:
        """The next step of a GPU that ``wants_gpu``; how it came out after the last one.

        Args:
            record: What is known of the device.
        """
        assert self._gpu is not None
        if self._gpu_steps is None:
            self._gpu_steps = measured_gpu(self._gpu, self._clock)
        try:
            found = await anext(self._gpu_steps)
        except TensorloomError as error:
            # What costs the device once would cost it on each visit.
            self._gpu_steps, self.refused = None, record.gpu_key
            with suppress(TensorloomError):
                await self._gpu.renew()
            return Ended(record=record, report=(f"The GPU was not measured: {error.message}",))
        if found is None:
            return None
        self._gpu_steps = None
        facts, curves = found
        if not is_measured(facts):
            self.refused = record.gpu_key
        return Ended(record=replace(record, gpu=facts, curves=(*record.curves, *curves)))
