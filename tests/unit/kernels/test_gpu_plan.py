"""GPU plans: buffers shared by lifetimes, magnitude slots, constants."""

from __future__ import annotations

import struct

from chains import chain
from tensorloom.assets import templates
from tensorloom.kernels.gpu.candidate import GpuCandidate
from tensorloom.kernels.gpu.plan import CALL_BYTES, gpu_plan
from tensorloom.kernels.gpu.wgsl import GpuLimits
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree


def test_a_chain_needs_two_buffers_beside_its_inputs() -> None:
    plan = gpu_plan(lower(chain([8] * 7), "float32"), templates(), GpuLimits())
    assert plan.places.n_inputs == 6
    assert plan.places.buffer_bytes == (256,) * 8
    assert all(call.out not in (call.left, call.right) for call in plan.calls)


def test_slots_follow_the_tensors_not_the_buffers() -> None:
    plan = gpu_plan(lower(chain([8] * 5), "float32"), templates(), GpuLimits())
    # Inputs read slot 0 (the number 1); call i + 1 reads what call i left in slot i + 1.
    assert [max(call.slots[:2]) for call in plan.calls] == [0, 1, 2]
    assert [call.slots[2] for call in plan.calls] == [1, 2, 3]


def test_constants_hold_starts_and_slots_at_aligned_offsets() -> None:
    plan = gpu_plan(lower(chain([8] * 4), "float32"), templates(), GpuLimits())
    packed = plan.constants([(5, 6), (7, 8)])
    assert len(packed) == 2 * CALL_BYTES
    assert struct.unpack_from("<6I", packed, CALL_BYTES) == (7, 8, *plan.calls[1].slots, 0)


def test_equal_kernels_are_one_shader() -> None:
    plan = gpu_plan(lower(chain([8] * 7), "float32"), templates(), GpuLimits())
    assert len(set(plan.shaders)) == len(plan.shaders)
    assert len(plan.shaders) < len(plan.calls)


def test_only_what_is_read_later_leaves_its_magnitude() -> None:
    plan = gpu_plan(lower(chain([8] * 4), "float32"), templates(), GpuLimits())
    texts = [plan.shaders[call.shader].text for call in plan.calls]
    assert ["leave(" in text for text in texts] == [True, False]
    assert not any("unscale" in text for text in texts)


def test_a_scaled_plan_takes_exponents_out_of_intermediates_only() -> None:
    plan = gpu_plan(lower(chain([8] * 4), "float32"), templates(), GpuLimits(), scaled=True)
    texts = [plan.shaders[call.shader].text for call in plan.calls]
    assert ["unscale" in text for text in texts] == [False, True]


def _sliced() -> ContractionTree:
    return ContractionTree(
        inputs=(("i", "k"), ("k", "j")),
        output=("i", "j"),
        dimensions=(("i", 3), ("k", 5), ("j", 4)),
        path=((0, 1),),
        sliced=("i",),
    )


def test_slices_are_added_up_in_a_buffer_of_their_own() -> None:
    plan = gpu_plan(lower(_sliced(), "float32"), templates(), GpuLimits())
    assert plan.cleared == (plan.places.result, plan.places.excess)
    adding, checking = plan.calls[-2:]
    assert adding.whole
    assert adding.out == plan.places.result
    assert adding.right == plan.places.excess
    assert adding.left not in plan.cleared
    assert plan.places.reads[0] == (plan.places.result, 3 * 4 * 4)
    assert plan.shaders[checking.shader].bindings == (3,)
    # The adding call alone is told where this slice's part starts.
    packed = plan.constants([(0, 0)], whole_start=8)
    starts = [struct.unpack_from("<6I", packed, CALL_BYTES * n)[5] for n in range(3)]
    assert starts == [0, 8, 0]


def test_a_cut_sum_is_two_calls_with_a_buffer_between() -> None:
    tree = ContractionTree(
        inputs=(("i", "k"), ("k", "j")),
        output=("i", "j"),
        dimensions=(("i", 8), ("k", 4096), ("j", 8)),
        path=((0, 1),),
    )
    cut = GpuCandidate.parse("registers 4x4/2x2 split 16")
    plan = gpu_plan(lower(tree, "float32"), templates(), GpuLimits(), choose=lambda _: cut)
    partial, adding = plan.calls
    assert partial.out == adding.left
    assert adding.out == plan.places.result
    assert plan.places.buffer_bytes[partial.out] == 16 * 64 * 4
