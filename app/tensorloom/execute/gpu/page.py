"""The page's GPU: JavaScript replays the plans (``workers/browser/webgpu.ts``), Python makes them.

Arrays cross as views of Pyodide's memory, taken at the moment of the copy: memory may grow while
the GPU is awaited, and older views then have no bytes.
"""

from __future__ import annotations

import json
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import DeviceLost, UnsupportedKernel
from tensorloom.execute.gpu.backend import WebGpuBackend, assumed_rates
from tensorloom.execute.gpu.device import limits_for
from tensorloom.kernels.gpu.limits import GpuLimits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

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
        self._n_slots: dict[int, int] = {}
        self.description = ""
        self.is_software = False
        self.limits = GpuLimits()
        self.limit_bytes = self.max_buffer_bytes = 0

    async def renew(self) -> None:
        """Ask for adapter and device, again after a loss."""
        facts = json.loads(await _said(self._executor.request()))
        self._n_slots.clear()
        self.description = facts["description"]
        self.is_software = facts["software"]
        self.max_buffer_bytes = facts["maxBufferBytes"]
        # There is no way to ask for the memory of a device; this is what small ones have.
        self.limit_bytes = min(4 * self.max_buffer_bytes, 2 << 30)
        self.limits = limits_for(
            software=self.is_software,
            threads=facts["threads"],
            workgroup_bytes=facts["workgroupBytes"],
            subgroup=facts["subgroup"],
            half=facts["half"],
            matrices=facts["matrices"],
            speeds=self.limits.speeds,
        )

    async def load(self, plan: GpuPlan) -> int:
        """Make buffers, pipelines and bind groups."""
        handle = int(await _said(self._executor.load(json.dumps(plan.to_json()))))
        self._n_slots[handle] = plan.places.n_slots
        return handle

    def upload(self, handle: int, number: int, array: NDArray[Any]) -> None:
        """Fill an input."""
        flat = np.ascontiguousarray(array).reshape(-1)
        _at_once(self._executor.upload, handle, number, flat.view(np.uint8))

    def constants(self, handle: int, packed: bytes) -> None:
        """Where operands start."""
        _at_once(self._executor.constants, handle, np.frombuffer(packed, np.uint8))

    def begin(self, handle: int) -> None:
        """Clear the magnitudes, and what slices are added up in."""
        _at_once(self._executor.begin, handle)

    async def submit(self, handle: int, first: int, last: int, *, wait: bool) -> None:
        """Run some calls."""
        if wait:
            await _said(self._executor.submit(handle, first, last))
        else:
            _at_once(self._executor.enqueue, handle, first, last)

    async def repeat(self, handle: int, times: int) -> float:
        """Many runs in one submission [ms]."""
        return float(await _said(self._executor.repeat(handle, times)))

    async def timed(self, handle: int, times: int) -> float:
        """The same by timestamps of the device, where it offers them."""
        return float(await _said(self._executor.timed(handle, times)))

    async def read(
        self, handle: int, wanted: Sequence[tuple[int, NDArray[Any]]]
    ) -> NDArray[np.uint32]:
        """Buffers and the magnitudes."""
        largest = np.empty(self._n_slots[handle], np.uint32)
        views = [out.reshape(-1).view(np.uint8) for _, out in wanted]
        # One array crosses, however many are read.
        joint = views[0] if len(views) == 1 else np.empty(sum(map(len, views)), np.uint8)
        parts = json.dumps([[number, out.nbytes] for number, out in wanted])
        await _said(self._executor.read(handle, parts, joint, largest.view(np.uint8)))
        if len(views) > 1:
            for view, end in zip(views, accumulate(map(len, views)), strict=True):
                view[...] = joint[end - len(view) : end]
        return largest

    def unload(self, handle: int) -> None:
        """Free a plan's buffers."""
        self._n_slots.pop(handle, None)
        self._executor.unload(handle)

    def counts(self) -> Mapping[str, int]:
        """What is alive."""
        found: dict[str, int] = json.loads(self._executor.counts())
        return found


def _at_once(step: Any, *arguments: object) -> None:  # noqa: ANN401  # a JavaScript function
    """A step that does not wait, its exception as one of our errors."""
    try:
        step(*arguments)
    except Exception as error:
        raise _ours(error) from error


async def _said(promise: Awaitable[Any]) -> Any:  # noqa: ANN401  # what JavaScript gives
    """A promise's value, its rejection as one of our errors."""
    try:
        return await promise
    except Exception as error:
        raise _ours(error) from error


def _ours(error: Exception) -> DeviceLost | UnsupportedKernel:
    """What a JavaScript error means."""
    text = str(error).removeprefix("Error: ")
    if "device-lost" in text:
        return DeviceLost("device-lost", "The GPU went away.", "Run again, or use the CPU.")
    if "no-gpu:" in text:
        return UnsupportedKernel("no-gpu", text.split("no-gpu:", 1)[1].strip())
    return UnsupportedKernel(
        "gpu-refused",
        f"The GPU refused a kernel: {text.splitlines()[0][:160]}",
        "Run it on the CPU.",
    )
