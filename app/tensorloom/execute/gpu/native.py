"""A GPU outside the browser, through ``wgpu``: for ``panel serve``, the command line and tests.

The same shaders and the same plan as in the page. ``wgpu`` is imported when a device is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import DeviceLost, UnsupportedKernel
from tensorloom.execute.gpu.backend import WebGpuBackend, assumed_rates
from tensorloom.kernels.gpu.plan import CALL_BYTES, GpuPlan
from tensorloom.kernels.gpu.wgsl import GpuLimits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["NativeGpu", "make"]

WANTED_LIMITS = (
    "max-buffer-size",
    "max-storage-buffer-binding-size",
)


async def make() -> WebGpuBackend:
    """The backend on this machine's best adapter.

    Raises:
        ImportError: The package ``wgpu`` is not installed.
        UnsupportedKernel: ``no-gpu``.
    """
    device = NativeGpu.find()
    if device is None:
        raise UnsupportedKernel("no-gpu", "No Vulkan, Metal or Direct3D 12 adapter was found.")
    return WebGpuBackend(device, assumed_rates(software=device.is_software))


class NativeGpu:
    """One device of the machine; see ``GpuDevice``.

    Args:
        adapter: From ``wgpu``; ``NativeGpu.find`` chooses one.
    """

    def __init__(self, adapter: Any) -> None:  # noqa: ANN401  # wgpu has no types
        self._adapter = adapter
        info = adapter.info
        self.description = f"{info['device']} ({info['backend_type']})"
        self.is_software = info["adapter_type"] == "CPU"
        self.limits = GpuLimits(
            largest_tile=8 if self.is_software else 4,
            split=not self.is_software,
            min_groups=2 if self.is_software else 64,
        )
        self._shaders: dict[str, Any] = {}
        self._request()

    @classmethod
    def find(cls) -> NativeGpu | None:
        """The best adapter: a discrete GPU, any GPU, a software one; ``None`` without any."""
        import wgpu  # noqa: PLC0415  # optional, and slow to import

        order = {"DiscreteGPU": 0, "IntegratedGPU": 1, "VirtualGPU": 2, "CPU": 3}
        found = [
            adapter
            for adapter in wgpu.gpu.enumerate_adapters_sync()
            # OpenGL adapters lack storage buffers on some drivers.
            if adapter.info["backend_type"] in {"Vulkan", "Metal", "D3D12"}
        ]
        if not found:
            return None
        return cls(min(found, key=lambda adapter: order.get(adapter.info["adapter_type"], 9)))

    def _request(self) -> None:
        limits = self._adapter.limits
        self._device = self._adapter.request_device_sync(
            required_limits={name: limits[name] for name in WANTED_LIMITS if name in limits}
        )
        self._shaders.clear()
        self._lost = False
        self.max_buffer_bytes = min(
            int(limits["max-storage-buffer-binding-size"]), int(limits["max-buffer-size"])
        )
        # There is no way to ask for the memory of a device; this is what small ones have.
        self.limit_bytes = min(4 * self.max_buffer_bytes, 2 << 30)

    async def renew(self) -> None:
        """Ask for the device again."""
        self._request()

    def _alive(self) -> Any:  # noqa: ANN401  # wgpu has no types
        if self._lost:
            raise DeviceLost("device-lost", "The GPU went away.", "Run again, or use the CPU.")
        return self._device

    async def load(self, plan: GpuPlan, arrays: Sequence[NDArray[Any]]) -> None:
        """Make buffers and pipelines, upload the inputs."""
        import wgpu  # noqa: PLC0415  # as above

        device = self._alive()
        self._plan = plan
        usage = wgpu.BufferUsage
        storage = usage.STORAGE | usage.COPY_SRC | usage.COPY_DST
        try:
            self._buffers = [
                device.create_buffer(size=_padded(size), usage=storage)
                for size in plan.buffer_bytes
            ]
            n_calls = max(1, len(plan.calls))
            self._magnitudes = device.create_buffer(size=4 * (n_calls + 1), usage=storage)
            self._constants = device.create_buffer(
                size=CALL_BYTES * n_calls, usage=usage.UNIFORM | usage.COPY_DST
            )
            pipelines = [self._pipeline(shader.name, shader.text) for shader in plan.shaders]
            self._bound = [
                (pipelines[call.shader], self._group(pipelines[call.shader], number))
                for number, call in enumerate(plan.calls)
            ]
        except wgpu.GPUError as error:
            raise UnsupportedKernel(
                "gpu-refused",
                f"The GPU refused a kernel: {str(error).splitlines()[0][:120]}",
                "Run it on the CPU.",
            ) from error
        for buffer, array in zip(self._buffers, arrays, strict=False):
            device.queue.write_buffer(buffer, 0, np.ascontiguousarray(array).reshape(-1))

    def _pipeline(self, name: str, text: str) -> Any:  # noqa: ANN401  # wgpu has no types
        if name not in self._shaders:
            module = self._device.create_shader_module(code=text)
            self._shaders[name] = self._device.create_compute_pipeline(
                layout="auto", compute={"module": module, "entry_point": "main"}
            )
        return self._shaders[name]

    def _group(self, pipeline: Any, number: int) -> Any:  # noqa: ANN401  # wgpu has no types
        call = self._plan.calls[number]
        bound = [(0, call.left), (2, call.out)]
        if call.right is not None:
            bound.append((1, call.right))
        entries = [
            {"binding": place, "resource": {"buffer": self._buffers[buffer]}}
            for place, buffer in bound
        ]
        entries.append({"binding": 3, "resource": {"buffer": self._magnitudes}})
        constants = {"buffer": self._constants, "offset": CALL_BYTES * number, "size": CALL_BYTES}
        entries.append({"binding": 4, "resource": constants})
        return self._device.create_bind_group(
            layout=pipeline.get_bind_group_layout(0), entries=entries
        )

    async def begin(self, constants: bytes) -> None:
        """Start a slice."""
        queue = self._alive().queue
        queue.write_buffer(self._constants, 0, constants)
        cleared = np.zeros(max(1, len(self._plan.calls)) + 1, np.float32)
        cleared[0] = 1.0
        queue.write_buffer(self._magnitudes, 0, cleared)

    async def submit(self, first: int, last: int) -> None:
        """Run some calls."""
        device = self._alive()
        encoder = device.create_command_encoder()
        pass_ = encoder.begin_compute_pass()
        for number in range(first, last):
            pipeline, group = self._bound[number]
            pass_.set_pipeline(pipeline)
            pass_.set_bind_group(0, group)
            shader = self._plan.shaders[self._plan.calls[number].shader]
            pass_.dispatch_workgroups(*shader.groups)
        pass_.end()
        device.queue.submit([encoder.finish()])

    async def read(self, out: NDArray[Any]) -> NDArray[np.uint32]:
        """The result and the magnitudes."""
        queue = self._alive().queue
        size = _padded(self._plan.result_bytes)
        data = queue.read_buffer(self._buffers[self._plan.result], 0, size)
        flat = np.frombuffer(data, np.uint8)[: out.nbytes]
        out[...] = flat.view(out.dtype).reshape(out.shape)
        return np.frombuffer(queue.read_buffer(self._magnitudes), np.uint32)

    def release(self) -> None:
        """Free the loaded plan."""
        for buffer in (*self._buffers, self._magnitudes, self._constants):
            buffer.destroy()
        self._buffers, self._bound = [], []


def _padded(size: int) -> int:
    """A whole number of 4-byte words, as copies need."""
    return -(-size // 4) * 4
