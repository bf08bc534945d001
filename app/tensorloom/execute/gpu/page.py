"""The page's GPU: JavaScript replays the plans (``workers/browser/webgpu.ts``), Python makes them.

Arrays cross as views of Pyodide's memory, taken at the moment of the copy: memory may grow while
the GPU is awaited, and older views then have no bytes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import DeviceLost, UnsupportedKernel
from tensorloom.execute.gpu.backend import WebGpuBackend, assumed_rates
from tensorloom.kernels.gpu.wgsl import GpuLimits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from numpy.typing import NDArray

    from tensorloom.kernels.gpu.plan import GpuPlan

__all__ = ["BrowserGpu", "make"]


async def make() -> WebGpuBackend:
    """The backend on the page's GPU.

    Raises:
        UnsupportedKernel: ``no-gpu``, with the reason.
    """
    import tensorloom_page  # noqa: PLC0415  # a module that only the page has

    device = BrowserGpu(tensorloom_page.gpu)
    await device.renew()
    return WebGpuBackend(device, assumed_rates(software=device.is_software))


class BrowserGpu:
    """The page's device; see ``GpuDevice``.

    Args:
        executor: The object that ``createGpuExecutor`` made.
    """

    def __init__(self, executor: Any) -> None:  # noqa: ANN401  # a JavaScript object
        self._executor = executor
        self._n_slots = 0
        self.description = ""
        self.is_software = False
        self.limits = GpuLimits()
        self.limit_bytes = self.max_buffer_bytes = 0

    async def renew(self) -> None:
        """Ask for adapter and device, again after a loss."""
        facts = json.loads(await _said(self._executor.request()))
        self.description = facts["description"]
        self.is_software = facts["software"]
        self.max_buffer_bytes = facts["maxBufferBytes"]
        # There is no way to ask for the memory of a device; this is what small ones have.
        self.limit_bytes = min(4 * self.max_buffer_bytes, 2 << 30)
        self.limits = GpuLimits(
            largest_tile=8 if self.is_software else 4,
            split=not self.is_software,
            min_groups=2 if self.is_software else 64,
        )

    async def load(self, plan: GpuPlan, arrays: Sequence[NDArray[Any]]) -> None:
        """Make buffers and pipelines, upload the inputs."""
        self._n_slots = max(1, len(plan.calls)) + 1
        await _said(self._executor.load(json.dumps(plan.to_json())))
        for number, array in enumerate(arrays):
            flat = np.ascontiguousarray(array).reshape(-1)
            self._executor.upload(number, flat.view(np.uint8))

    async def begin(self, constants: bytes) -> None:
        """Start a slice."""
        self._executor.begin(np.frombuffer(constants, np.uint8))

    async def submit(self, first: int, last: int) -> None:
        """Run some calls."""
        await _said(self._executor.submit(first, last))

    async def read(self, out: NDArray[Any]) -> NDArray[np.uint32]:
        """The result and the magnitudes."""
        largest = np.empty(self._n_slots, np.uint32)
        await _said(self._executor.read(out.view(np.uint8), largest.view(np.uint8)))
        return largest

    def release(self) -> None:
        """Free the loaded plan."""
        self._executor.release()


async def _said(promise: Awaitable[Any]) -> Any:  # noqa: ANN401  # what JavaScript gives
    """A promise's value, its rejection as one of our errors."""
    try:
        return await promise
    except Exception as error:
        text = str(error).removeprefix("Error: ")
        if "device-lost" in text:
            raise DeviceLost(
                "device-lost", "The GPU went away.", "Run again, or use the CPU."
            ) from error
        if "no-gpu:" in text:
            raise UnsupportedKernel("no-gpu", text.split("no-gpu:", 1)[1].strip()) from error
        raise UnsupportedKernel(
            "gpu-refused",
            f"The GPU refused a kernel: {text.splitlines()[0][:160]}",
            "Run it on the CPU.",
        ) from error
