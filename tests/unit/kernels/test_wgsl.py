"""WGSL text: choice of family and tile, dispatch size, limits."""

from __future__ import annotations

import pytest

from tensorloom.assets import templates
from tensorloom.errors import UnsupportedKernel
from tensorloom.kernels.gpu.candidate import GpuCandidate
from tensorloom.kernels.gpu.wgsl import GpuLimits, Shader, Use, candidate_of, render
from tensorloom.kernels.program import KernelSpec, LoopAxis


def _matrices(rows: int, columns: int, contracted: int, dtype: str = "float32") -> KernelSpec:
    return KernelSpec(
        dtype=dtype,  # type: ignore[arg-type]  # one case asks for a wrong one
        rows=(LoopAxis(size=rows, left=contracted, right=0, out=columns),),
        columns=(LoopAxis(size=columns, left=0, right=1, out=1),),
        contracted=(LoopAxis(size=contracted, left=1, right=columns, out=0),),
    )


def _render(
    spec: KernelSpec, limits: GpuLimits | None = None, candidate: GpuCandidate | None = None
) -> Shader:
    chosen = limits or GpuLimits(min_groups=1, small_mul_adds=0)
    return render(spec, templates(), chosen, fixed=True, candidate=candidate)


def test_the_name_is_a_hash_of_the_text_and_its_first_word() -> None:
    one, other = _render(_matrices(8, 8, 8)), _render(_matrices(8, 8, 9))
    assert one.text.startswith(f"// {one.name}: ")
    assert one.name != other.name
    assert one == _render(_matrices(8, 8, 8))


def test_groups_cover_all_tiles() -> None:
    # 100 x 60 outputs in blocks of 32 x 32, 8 x 8 invocations with a tile of 4 x 4 each.
    tiles = GpuCandidate.parse("registers 4x4/8x8")
    assert _render(_matrices(100, 60, 8), candidate=tiles).groups == (4 * 2, 1)


def test_very_many_groups_fill_two_dimensions() -> None:
    # 40,000 x 4,000 outputs in blocks of 32 x 32: 1,250 x 125 workgroups.
    tiles = GpuCandidate.parse("registers 4x4/8x8")
    shader = _render(_matrices(40_000, 4_000, 2), candidate=tiles)
    assert shader.groups == (32_768, 5)
    assert "group.y * 32768u" in shader.text
    assert "block >= 156250u" in shader.text


def test_few_outputs_with_long_sums_get_a_workgroup_each() -> None:
    shader = _render(_matrices(2, 3, 1000))
    assert "workgroupBarrier" in shader.text
    assert shader.groups == (6, 1)


def test_tiny_kernels_share_one_text_and_differ_in_their_axes() -> None:
    one, other = _render(_matrices(2, 3, 4), GpuLimits()), _render(_matrices(3, 2, 4), GpuLimits())
    assert one.name == other.name
    # Kept and all axes, outputs, products, padding; then (size, left, right, out), fastest first.
    assert one.axes == (2, 3, 6, 4, 0, 0, 3, 0, 1, 1, 2, 4, 0, 3, 4, 1, 3, 0)


def test_kernels_with_more_axes_than_a_call_has_room_for_get_their_own_text() -> None:
    axes = tuple(LoopAxis(size=1, left=1, right=0, out=1) for _ in range(30))
    assert _render(KernelSpec(dtype="float32", rows=axes, unary=True), GpuLimits()).axes == ()


def test_a_software_adapter_sums_in_one_invocation() -> None:
    assert (
        "workgroupBarrier"
        not in _render(_matrices(2, 3, 1000), GpuLimits(split=False, small_mul_adds=0)).text
    )


def test_loops_that_llvmpipe_would_cut_are_split() -> None:
    assert (
        "workgroupBarrier"
        in _render(_matrices(2, 3, 70_000), GpuLimits(split=False, small_mul_adds=0)).text
    )


def test_tiles_shrink_until_the_device_is_busy() -> None:
    busy = _render(_matrices(512, 512, 8), GpuLimits(min_groups=64, small_mul_adds=0))
    assert "sum_3_3" in busy.text
    starved = _render(_matrices(64, 64, 8), GpuLimits(min_groups=64, small_mul_adds=0))
    assert "sum_1_0" not in starved.text


def test_double_precision_is_refused() -> None:
    with pytest.raises(UnsupportedKernel) as caught:
        _render(_matrices(2, 2, 2, "float64"))
    assert caught.value.code == "gpu-dtype"
    assert caught.value.message == "The GPU does not compute in float64."


def test_tensors_beyond_32_bit_addresses_are_refused() -> None:
    with pytest.raises(UnsupportedKernel) as caught:
        _render(_matrices(70_000, 70_000, 1))
    assert caught.value.code == "gpu-too-big"
    assert "4900000000 elements" in caught.value.message


@pytest.mark.parametrize("contracted", [64 * 60_000 + 1, 10**8])
def test_sums_beyond_the_iteration_limit_are_made_in_parts(contracted: int) -> None:
    spec = _matrices(1, 1, contracted)
    chosen = candidate_of(spec, GpuLimits(), None)
    assert chosen.splits > 1
    assert -(-contracted // chosen.splits) <= 60_000
    assert _render(spec).then is not None


def test_sums_that_parts_cannot_shorten_are_refused() -> None:
    """22 axes of two: cut along one of them, each half still has two million terms."""
    axes = [LoopAxis(size=2, left=2**n, right=2 ** (21 - n), out=0) for n in range(22)]
    with pytest.raises(UnsupportedKernel) as caught:
        _render(KernelSpec(dtype="float32", contracted=tuple(axes)))
    assert caught.value.code == "gpu-too-long"


def test_what_a_device_cannot_run_is_refused_with_the_reason() -> None:
    with pytest.raises(UnsupportedKernel) as caught:
        _render(_matrices(64, 64, 64), candidate=GpuCandidate.parse("registers 1x1/32x16"))
    assert caught.value.code == "gpu-candidate"
    assert caught.value.message == (
        "This device cannot run 'registers 1x1/32x16' here: 512 invocations where 256 are allowed."
    )


def test_a_fixed_kernel_without_exponents_binds_its_arrays_only() -> None:
    use = Use(scaled=False, peaks=False)
    tiles = GpuCandidate.parse("registers 4x4/2x2")
    shader = render(
        _matrices(8, 8, 8), templates(), GpuLimits(), fixed=True, use=use, candidate=tiles
    )
    assert shader.bindings == (0, 1, 2)
    assert "largest" not in shader.text
