"""GPU plans: buffers shared by lifetimes, magnitude slots, constants."""

from __future__ import annotations

import struct
from itertools import pairwise

from tensorloom.assets import templates
from tensorloom.kernels.gpu.plan import CALL_BYTES, gpu_plan
from tensorloom.kernels.gpu.wgsl import GpuLimits
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree


def _chain(n: int) -> ContractionTree:
    names = [f"i{number}" for number in range(n + 1)]
    path = [(0, 1), *((n + step - 1, step + 1) for step in range(1, n - 1))]
    return ContractionTree(
        inputs=tuple(pairwise(names)),
        output=(names[0], names[-1]),
        dimensions=tuple((name, 8) for name in names),
        path=tuple(path),
    )


def test_a_chain_needs_two_buffers_beside_its_inputs() -> None:
    plan = gpu_plan(lower(_chain(6), "float32"), templates(), GpuLimits())
    assert plan.n_inputs == 6
    assert plan.buffer_bytes == (256,) * 8
    assert all(call.out not in (call.left, call.right) for call in plan.calls)


def test_slots_follow_the_tensors_not_the_buffers() -> None:
    plan = gpu_plan(lower(_chain(4), "float32"), templates(), GpuLimits())
    # Inputs read slot 0 (the number 1); call i + 1 reads what call i left in slot i + 1.
    assert [max(pair) for pair in plan.slots] == [0, 1, 2]


def test_constants_hold_starts_and_slots_at_aligned_offsets() -> None:
    plan = gpu_plan(lower(_chain(3), "float32"), templates(), GpuLimits())
    packed = plan.constants([(5, 6), (7, 8)])
    assert len(packed) == 2 * CALL_BYTES
    assert struct.unpack_from("<5I", packed, CALL_BYTES) == (7, 8, *plan.slots[1], 2)


def test_equal_kernels_are_one_shader() -> None:
    plan = gpu_plan(lower(_chain(6), "float32"), templates(), GpuLimits())
    assert len({shader.name for shader in plan.shaders}) == len(plan.shaders)
    assert len(plan.shaders) < len(plan.calls)
