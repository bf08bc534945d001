"""A GPU outside the browser, through ``wgpu``: for ``panel serve``, the command line and tests.

The same shaders and the same plan as in the page. ``wgpu`` is imported when a device is asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import accumulate, count
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import DeviceLost, UnsupportedKernel
from tensorloom.execute.gpu.backend import WebGpuBackend, assumed_rates
from tensorloom.execute.gpu.device import limits_for
from tensorloom.kernels.gpu.limits import GpuLimits
from tensorloom.kernels.gpu.plan import CALL_BYTES, GpuPlan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.kernels.gpu.shader import Shader

__all__ = ["NativeGpu", "make"]

DEFAULT_LIMITS = {
    "max-buffer-size": 1 << 28,
    "max-storage-buffer-binding-size": 1 << 27,
    "max-compute-invocations-per-workgroup": 256,
    "max-compute-workgroup-size-x": 256,
    "max-compute-workgroup-size-y": 256,
    "max-compute-workgroup-storage-size": 16_384,
}
"""What every WebGPU device allows (WebGPU, 3.6.2); the package gives more unless told."""

WANTED_FEATURES = ("subgroup", "shader-f16")

MOST_PIPELINES = 512


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


@dataclass(slots=True, kw_only=True)
class _OnDevice:
    """A loaded plan: its buffers, and a pipeline and a bind group per call."""

    plan: GpuPlan
    buffers: list[Any]
    magnitudes: Any
    constants: Any
    bound: list[tuple[Any, Any, tuple[int, int]]]
    staging: Any = None

    @property
    def all_buffers(self) -> list[Any]:
        """Everything that it takes on the device."""
        staging = [] if self.staging is None else [self.staging]
        return [*self.buffers, self.magnitudes, self.constants, *staging]


class NativeGpu:
    """One device of the machine; see ``GpuDevice``.

    Args:
        adapter: From ``wgpu``; ``NativeGpu.find`` chooses one.
        raised: Whether to ask for what the adapter has, rather than WebGPU's default limits.
    """

    def __init__(self, adapter: Any, *, raised: bool = True) -> None:  # noqa: ANN401  # no types
        self._adapter = adapter
        self._raised = raised
        info = adapter.info
        self.description = f"{info['device']} ({info['backend_type']})"
        self.is_software = info["adapter_type"] == "CPU"
        self._pipelines: OrderedDict[str, Any] = OrderedDict()
        self._loaded: dict[int, _OnDevice] = {}
        self._handles = count(1)
        self.limits = GpuLimits()
        self._request()

    @classmethod
    def find(cls, *, raised: bool = True) -> NativeGpu | None:
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
        best = min(found, key=lambda adapter: order.get(adapter.info["adapter_type"], 9))
        return cls(best, raised=raised)

    def _request(self) -> None:
        limits = self._adapter.limits
        wanted = {name: limits[name] for name in DEFAULT_LIMITS if name in limits}
        features = [name for name in WANTED_FEATURES if name in self._adapter.features]
        self._device = self._adapter.request_device_sync(
            required_limits=wanted if self._raised else DEFAULT_LIMITS,
            required_features=features if self._raised else [],
        )
        self._pipelines.clear()
        self._loaded.clear()
        self._lost = False
        given = self._device.limits
        self.max_buffer_bytes = min(
            int(given["max-storage-buffer-binding-size"]), int(given["max-buffer-size"])
        )
        # There is no way to ask for the memory of a device; this is what small ones have.
        self.limit_bytes = min(4 * self.max_buffer_bytes, 2 << 30)
        sizes = {int(given.get(f"{side}-subgroup-size", 0)) for side in ("min", "max")}
        self.limits = limits_for(
            software=self.is_software,
            threads=int(given["max-compute-invocations-per-workgroup"]),
            workgroup_bytes=int(given["max-compute-workgroup-storage-size"]),
            subgroup=sizes.pop() if "subgroup" in self._device.features and len(sizes) == 1 else 0,
            half="shader-f16" in self._device.features,
            matrices=False,
            speeds=self.limits.speeds,
        )

    async def renew(self) -> None:
        """Ask for the device again; one that is still there goes, with its buffers."""
        before, gone = self._device, self._lost
        self._request()
        if not gone:
            before.destroy()

    def close(self) -> None:
        """Give the device back."""
        self._loaded.clear()
        self._device.destroy()
        self._lost = True

    def lose(self) -> None:
        """For tests: makes the device go away as drivers do."""
        self._device.destroy()
        self._lost = True

    def _alive(self) -> Any:  # noqa: ANN401  # wgpu has no types
        if self._lost:
            raise _gone()
        return self._device

    def _at(self, handle: int) -> _OnDevice:
        """A plan that was loaded; it went with the device if that was renewed meanwhile."""
        found = self._loaded.get(handle)
        if found is None:
            raise _gone()
        return found

    async def load(self, plan: GpuPlan) -> int:
        """Make buffers, pipelines and bind groups."""
        import wgpu  # noqa: PLC0415  # as above

        device = self._alive()
        usage = wgpu.BufferUsage
        storage = usage.STORAGE | usage.COPY_SRC | usage.COPY_DST
        made: list[Any] = []

        def buffer(size: int, use: int) -> Any:  # noqa: ANN401  # wgpu has no types
            made.append(device.create_buffer(size=_padded(size), usage=use))
            return made[-1]

        try:
            pipelines = [self._pipeline(shader) for shader in plan.shaders]
            on_device = _OnDevice(
                plan=plan,
                buffers=[buffer(size, storage) for size in plan.places.buffer_bytes],
                magnitudes=buffer(4 * plan.places.n_slots, storage),
                constants=buffer(
                    CALL_BYTES * max(1, len(plan.calls)), usage.UNIFORM | usage.COPY_DST
                ),
                bound=[],
            )
            for number, call in enumerate(plan.calls):
                pipeline = pipelines[call.shader]
                group = self._group(on_device, pipeline, number)
                on_device.bound.append((pipeline, group, plan.shaders[call.shader].groups))
        except wgpu.GPUError as error:
            for found in made:
                found.destroy()
            raise UnsupportedKernel(
                "gpu-refused",
                f"The GPU refused a kernel: {str(error).splitlines()[0][:120]}",
                "Run it on the CPU.",
            ) from error
        handle = next(self._handles)
        self._loaded[handle] = on_device
        return handle

    def _pipeline(self, shader: Shader) -> Any:  # noqa: ANN401  # wgpu has no types
        found = self._pipelines.get(shader.name)
        if found is None:
            # naga knows subgroup operations without the directive that browsers ask for.
            text = shader.text.replace("enable subgroups;\n", "")
            module = self._device.create_shader_module(code=text)
            found = self._device.create_compute_pipeline(
                layout="auto", compute={"module": module, "entry_point": "main"}
            )
            self._pipelines[shader.name] = found
            while len(self._pipelines) > MOST_PIPELINES:
                self._pipelines.popitem(last=False)
        else:
            self._pipelines.move_to_end(shader.name)
        return found

    def _group(self, loaded: _OnDevice, pipeline: Any, number: int) -> Any:  # noqa: ANN401  # no types
        call = loaded.plan.calls[number]
        constants = {
            "buffer": loaded.constants,
            "offset": CALL_BYTES * number,
            "size": CALL_BYTES,
        }
        resources = {
            0: {"buffer": loaded.buffers[call.left]},
            1: {"buffer": loaded.buffers[call.left if call.right is None else call.right]},
            2: {"buffer": loaded.buffers[call.out]},
            3: {"buffer": loaded.magnitudes},
            4: constants,
        }
        bindings = loaded.plan.shaders[call.shader].bindings
        return self._device.create_bind_group(
            layout=pipeline.get_bind_group_layout(0),
            entries=[{"binding": place, "resource": resources[place]} for place in bindings],
        )

    def upload(self, handle: int, number: int, array: NDArray[Any]) -> None:
        """Fill an input."""
        flat = np.ascontiguousarray(array).reshape(-1)
        self._alive().queue.write_buffer(self._at(handle).buffers[number], 0, flat)

    def constants(self, handle: int, packed: bytes) -> None:
        """Where operands start."""
        self._alive().queue.write_buffer(self._at(handle).constants, 0, packed)

    def begin(self, handle: int) -> None:
        """Clear the magnitudes, and what slices are added up in."""
        device, loaded = self._alive(), self._at(handle)
        cleared = np.zeros(loaded.plan.places.n_slots, np.float32)
        cleared[0] = 1.0
        device.queue.write_buffer(loaded.magnitudes, 0, cleared)
        if loaded.plan.cleared:
            encoder = device.create_command_encoder()
            for number in loaded.plan.cleared:
                encoder.clear_buffer(loaded.buffers[number])
            device.queue.submit([encoder.finish()])

    async def submit(self, handle: int, first: int, last: int, *, wait: bool) -> None:
        """Run some calls."""
        self._submit(self._at(handle).bound[first:last], 1)
        if wait:
            self._wait(handle)

    def _submit(self, bound: list[tuple[Any, Any, tuple[int, int]]], times: int) -> None:
        device = self._alive()
        encoder = device.create_command_encoder()
        pass_ = encoder.begin_compute_pass()
        for _ in range(times):
            for pipeline, group, groups in bound:
                pass_.set_pipeline(pipeline)
                pass_.set_bind_group(0, group)
                pass_.dispatch_workgroups(*groups)
        pass_.end()
        device.queue.submit([encoder.finish()])

    def _wait(self, handle: int) -> None:
        """Until all that was submitted is done: reading waits for it."""
        self._alive().queue.read_buffer(self._at(handle).magnitudes, 0, 4)

    async def repeat(self, handle: int, times: int) -> float:
        """Many runs in one submission [ms]."""
        start = perf_counter()
        self._submit(self._at(handle).bound, times)
        self._wait(handle)
        return 1e3 * (perf_counter() - start)

    async def timed(self, handle: int, times: int) -> float:
        """As ``repeat``: the package does not say how long a tick of the device's clock is."""
        return await self.repeat(handle, times)

    async def read(
        self, handle: int, wanted: Sequence[tuple[int, NDArray[Any]]]
    ) -> NDArray[np.uint32]:
        """Buffers and the magnitudes, through one mapping."""
        device, loaded = self._alive(), self._at(handle)
        parts = [(loaded.magnitudes, loaded.magnitudes.size)]
        parts += [(loaded.buffers[number], _padded(out.nbytes)) for number, out in wanted]
        staging = self._staging(loaded, sum(size for _, size in parts))
        encoder = device.create_command_encoder()
        places = list(accumulate((size for _, size in parts), initial=0))
        for (buffer, size), place in zip(parts, places, strict=False):
            encoder.copy_buffer_to_buffer(buffer, 0, staging, place, size)
        device.queue.submit([encoder.finish()])
        staging.map_sync("READ", 0, places[-1])
        data = np.frombuffer(staging.read_mapped(0, places[-1]), np.uint8)
        staging.unmap()
        for (_, out), place in zip(wanted, places[1:], strict=False):
            out.reshape(-1)[...] = data[place : place + out.nbytes].view(out.dtype)
        return data[: places[1]].view(np.uint32)

    def _staging(self, loaded: _OnDevice, size: int) -> Any:  # noqa: ANN401  # wgpu has no types
        """Where results are mapped; kept, as making one costs more than a small run."""
        import wgpu  # noqa: PLC0415  # as above

        if loaded.staging is None or loaded.staging.size < size:
            if loaded.staging is not None:
                loaded.staging.destroy()
            usage = wgpu.BufferUsage.MAP_READ | wgpu.BufferUsage.COPY_DST
            loaded.staging = self._device.create_buffer(size=size, usage=usage)
        return loaded.staging

    def unload(self, handle: int) -> None:
        """Free a plan's buffers."""
        loaded = self._loaded.pop(handle, None)
        if loaded is not None:
            for buffer in loaded.all_buffers:
                buffer.destroy()

    def counts(self) -> Mapping[str, int]:
        """What is alive."""
        alive = [buffer for loaded in self._loaded.values() for buffer in loaded.all_buffers]
        return {
            "plans": len(self._loaded),
            "buffers": len(alive),
            "bytes": sum(buffer.size for buffer in alive),
            "pipelines": len(self._pipelines),
        }


def _gone() -> DeviceLost:
    return DeviceLost("device-lost", "The GPU went away.", "Run again, or use the CPU.")


def _padded(size: int) -> int:
    """A whole number of 4-byte words, as copies need."""
    return -(-size // 4) * 4
