"""Candidates of GPU kernels: their texts, what is cut and why, counts of work."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import pytest

from tensorloom.errors import InputError
from tensorloom.kernels.gpu.candidate import Family, GpuCandidate
from tensorloom.kernels.gpu.limits import GpuLimits
from tensorloom.kernels.gpu.model import modelled_ms
from tensorloom.kernels.gpu.padding import padded_work, workgroups
from tensorloom.kernels.gpu.roofline import GPUS, group_counts, roofline_ms
from tensorloom.kernels.gpu.space import default_candidate, gpu_candidates, survey, why_not
from tensorloom.kernels.program import KernelSpec, LoopAxis

if TYPE_CHECKING:
    from pathlib import Path

SIMULATED = GpuLimits(software=True, largest_tile=8, split=False, min_groups=4, subgroup=4)
HARDWARE = GpuLimits()


def _matrices(rows: int, columns: int, contracted: int, dtype: str = "float32") -> KernelSpec:
    return KernelSpec(
        dtype=dtype,  # type: ignore[arg-type]  # one of two
        rows=(LoopAxis(size=rows, left=contracted, right=0, out=columns),),
        columns=(LoopAxis(size=columns, left=0, right=1, out=1),),
        contracted=(LoopAxis(size=contracted, left=1, right=columns, out=0),),
    )


@pytest.mark.parametrize(
    "text",
    [
        "registers 8x8/4x1",
        "lanes 16x8",
        "lanes 5x3 split 4",
        "shared 4x4/8x8 k16",
        "shared 4x4/8x8 k8 split 16",
        "dot 1x4/64",
        "outer 4x8/8x8",
        "line 1x8/64x1",
        "matrix 32x32/128 k16",
        "small",
    ],
)
def test_texts_come_back(text: str) -> None:
    assert GpuCandidate.parse(text).text == text


def test_every_family_is_explained_in_the_view_of_kernels(root: Path) -> None:
    words = root / "app/tensorloom/view/editor/chrome/kernels/candidateWords.ts"
    gpu = words.read_text().partition("const WEBGPU")[2]
    assert [family for family in get_args(Family) if f"/^{family}\\b/" not in gpu] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "registers",
        "registers 0x4/8x8",
        "registers 4x4/64x64",
        "registers 4x4/8x8 k8",
        "shared 4x4/8x8",
        "dot 1x1/48",
        "line 2x4/64x1",
        "tensor 4x4/8x8",
        "registers 4x4/8x8; drop",
        "registers 04x4/8x8",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        GpuCandidate.parse(text)
    assert caught.value.code == "kernel-candidate"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("registers 1x1/32x16", "512 invocations where 256 are allowed"),
        ("shared 8x8/16x16 k32", "32768 bytes of a workgroup's 16384"),
        ("lanes 4x4", "no subgroups of one known size"),
        ("matrix 32x32/128 k16", "no subgroup matrices"),
        ("outer 4x4/8x8", "a sum of 300 is not written out"),
        ("registers 4x4/8x8 split 200", "some parts of the sum would be empty"),
    ],
)
def test_a_device_with_default_limits_says_what_it_cannot(text: str, reason: str) -> None:
    assert why_not(_matrices(64, 64, 300), GpuCandidate.parse(text), HARDWARE) == reason


def test_raised_limits_let_more_through() -> None:
    wide = GpuCandidate.parse("registers 1x1/32x16")
    assert why_not(_matrices(64, 64, 300), wide, replace(HARDWARE, workgroup_threads=512)) == ""


@pytest.mark.parametrize(
    ("spec", "limits", "text", "reason"),
    [
        (
            _matrices(512, 512, 512),
            SIMULATED,
            "shared 4x4/8x8 k8",
            "barriers cost a simulated GPU more than loads",
        ),
        (
            _matrices(512, 512, 512),
            HARDWARE,
            "dot 1x1/64",
            "more than 8 rows and columns keep invocations busy without",
        ),
        (
            _matrices(512, 512, 12),
            HARDWARE,
            "shared 4x4/8x8 k8",
            "a sum of 12 is too short to stage 8 products at once",
        ),
        (
            _matrices(4, 4096, 512),
            HARDWARE,
            "registers 4x4/8x8",
            "8.00 times the work, as tiles hang over the edges",
        ),
        (
            _matrices(512, 512, 100),
            HARDWARE,
            "registers 4x4/8x8 split 4",
            "parts of fewer than 64 products",
        ),
        (
            _matrices(64, 64, 512),
            HARDWARE,
            "registers 4x4/8x8",
            "4 workgroups where the device wants 64",
        ),
        (
            _matrices(512, 512, 512, "complex64"),
            HARDWARE,
            "registers 8x8/8x8",
            "128 sums per invocation where 64 fit in registers",
        ),
    ],
)
def test_what_cannot_win_is_cut_with_its_reason(
    spec: KernelSpec, limits: GpuLimits, text: str, reason: str
) -> None:
    verdicts = {verdict.candidate.text: verdict for verdict in survey(spec, limits)}
    assert verdicts[text].cut == reason
    assert not verdicts[text].by_limit


def _batched(batch: int, rows: int, columns: int, contracted: int) -> KernelSpec:
    left, right, out = rows * contracted, contracted * columns, rows * columns
    return replace(
        _matrices(rows, columns, contracted),
        batch=(LoopAxis(size=batch, left=left, right=right, out=out),),
    )


@pytest.mark.parametrize(
    "spec", [_batched(4000, 5, 6, 7), _batched(999, 5, 5, 3), _matrices(2050, 3, 1950)]
)
def test_tiles_that_hang_over_are_tried_where_they_should_win(spec: KernelSpec) -> None:
    first = gpu_candidates(spec, SIMULATED)[0]
    assert first.family == "lanes"
    assert padded_work(spec, first, SIMULATED) > 1.25 * spec.mul_adds
    times = {
        verdict: modelled_ms(spec, verdict.candidate, SIMULATED)
        for verdict in survey(spec, SIMULATED)
    }
    best = min(ms for verdict, ms in times.items() if not verdict.cut)
    assert all(ms >= best for verdict, ms in times.items() if "hang over" in verdict.cut)


@pytest.mark.parametrize("limits", [SIMULATED, HARDWARE], ids=["simulated", "hardware"])
def test_numbers_of_their_own_are_computed_in_a_line(limits: GpuLimits) -> None:
    numbers = _batched(1 << 20, 1, 1, 1)
    line = default_candidate(numbers, limits)
    assert line.family == "line"
    # All in one row of blocks; a workgroup for each number before.
    assert workgroups(numbers, line, limits) == (1 << 20) // (line.columns * line.across)
    assert padded_work(numbers, line, limits) == numbers.mul_adds
    # Nothing is shared: two numbers loaded and one stored for each.
    counts = group_counts(numbers, line, limits)
    assert counts.loaded_bytes == 2 * counts.stored_bytes == 8 * counts.mul_adds


def test_matrices_are_not_computed_in_a_line() -> None:
    def families(spec: KernelSpec) -> set[str]:
        return {verdict.candidate.family for verdict in survey(spec, HARDWARE)}

    assert "line" in families(_batched(500, 4, 4, 9))
    assert "line" not in families(_batched(500, 4, 5, 9))
    # Hundreds of tiny steps share a text.
    assert "line" not in families(_batched(50, 4, 4, 9))
    cut = replace(GpuCandidate.parse("line 1x8/64x1"), splits=2)
    assert why_not(_matrices(5, 4, 9), cut, HARDWARE) == "its sum is not cut"


SHAPES = (
    (256, 256, 256),
    (257, 193, 311),
    (8192, 64, 64),
    (64, 64, 8192),
    (1024, 1024, 8),
    (4, 2048, 2048),
    (1, 1, 50_000),
    (1, 4000, 900),
    (3, 2, 5),
)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("limits", [SIMULATED, HARDWARE], ids=["simulated", "hardware"])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_survivors_can_run_and_are_few(
    shape: tuple[int, int, int], limits: GpuLimits, dtype: str
) -> None:
    spec = _matrices(*shape, dtype)
    left = gpu_candidates(spec, limits)
    assert 1 <= len(left) <= 48
    assert len(set(left)) == len(left)
    assert all(why_not(spec, candidate, limits) == "" for candidate in left)
    assert why_not(spec, default_candidate(spec, limits), limits) == ""


def test_hardware_begins_with_what_won_elsewhere() -> None:
    texts = [candidate.text for candidate in gpu_candidates(_matrices(1024, 1024, 1024), HARDWARE)]
    assert texts[:3] == ["registers 4x4/8x8", "shared 4x4/8x8 k8", "registers 8x8/8x8"]


def test_large_products_prefer_lanes_on_simulated_gpus() -> None:
    spec = _matrices(512, 512, 512)
    assert gpu_candidates(spec, SIMULATED)[0].family == "lanes"
    lanes, plain = GpuCandidate.parse("lanes 16x8"), GpuCandidate.parse("registers 8x8/4x1")
    assert modelled_ms(spec, lanes, SIMULATED) < modelled_ms(spec, plain, SIMULATED)


def test_padding_and_workgroups_are_counted() -> None:
    tiles = GpuCandidate.parse("registers 4x4/8x8")
    spec = _matrices(33, 64, 10)
    assert workgroups(spec, tiles, HARDWARE) == 2 * 2
    assert padded_work(spec, tiles, HARDWARE) == 64 * 64 * 10


def test_staging_loads_less_per_workgroup() -> None:
    spec = _matrices(512, 512, 512)
    plain = group_counts(spec, GpuCandidate.parse("registers 4x4/8x8"), HARDWARE)
    staged = group_counts(spec, GpuCandidate.parse("shared 4x4/8x8 k8"), HARDWARE)
    # A block of 32 x 32 outputs: 32 * 32 * 512 multiply-adds from 2 * 32 * 512 numbers.
    assert staged.mul_adds == plain.mul_adds == 32 * 32 * 512
    assert staged.loaded_bytes == 2 * 32 * 512 * 4
    assert plain.loaded_bytes == 8 * staged.loaded_bytes
    assert staged.intensity > plain.intensity


def test_thin_kernels_are_bound_by_memory() -> None:
    thin = _matrices(1, 4096, 4096)
    assert roofline_ms(thin, GPUS[0]) == pytest.approx((4096 + 4096**2 + 4096) * 4 / 360e6)
