"""Every family of GPU kernels, forced, on shapes that reach its edges; on the native adapter."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from random_networks import (
    assert_close,
    equation,
    random_arrays,
    random_tree,
    reference,
    tolerance,
)
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.gpu.backend import WebGpuBackend, assumed_rates
from tensorloom.execute.gpu.trials import GpuTrials
from tensorloom.kernels.gpu.candidate import GpuCandidate
from tensorloom.kernels.gpu.space import why_not
from tensorloom.kernels.gpu.wgsl import GpuLimits
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree
from tensorloom.tune.search import Check, Failure, Sample, Verdict, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorloom.kernels.program import Program

pytestmark = pytest.mark.gpu

OWN = GpuLimits(min_groups=0, small_mul_adds=0)
FAMILIES = {
    "tile of 4": OWN,
    "tile of 8": replace(OWN, largest_tile=8, split=False),
    "tile of 1": replace(OWN, largest_tile=1, split=False),
    "split sums": replace(OWN, most_iterations=3),
    "shared text": GpuLimits(small_mul_adds=1 << 40),
}


@pytest.fixture(params=list(FAMILIES), ids=[name.replace(" ", "-") for name in FAMILIES])
def forced(gpu: WebGpuBackend, request: pytest.FixtureRequest) -> Iterator[WebGpuBackend]:
    """The backend, choosing one family only."""
    usual = gpu.device.limits
    gpu.device.limits = FAMILIES[request.param]
    yield gpu
    gpu.device.limits = usual


CANDIDATES = (
    "registers 3x5/4x2",
    "registers 1x1/1x64",
    "registers 8x8/4x1",
    "registers 2x4/8x2 split 3",
    "outer 2x3/4x4",
    "lanes 1x1",
    "lanes 5x3",
    "lanes 16x2",
    "lanes 3x2 split 2",
    "shared 2x3/4x4 k8",
    "shared 1x2/16x3 k5 split 2",
    "dot 1x1/64",
    "dot 2x3/32",
    "line 1x3/8x1",
    "small",
)
SIZES = ((1, 1, 40), (5, 9, 33), (17, 3, 1), (33, 65, 18), (70, 1, 129), (3, 2, 5), (64, 64, 64))


def _assert_agrees(backend: WebGpuBackend, tree: ContractionTree, dtype: str, seed: int) -> None:
    program = lower(tree, dtype)  # type: ignore[arg-type]  # one of the two that GPUs have
    if not program.dispatches:
        return
    arrays = random_arrays(tree, dtype, seed)
    found = drive(backend.run(program, arrays, no_pulse))
    wanted = reference(equation(tree), arrays, dtype)
    assert_close(found.value, wanted, tolerance(program, wanted))


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_random_networks_agree(forced: WebGpuBackend, dtype: str) -> None:
    # Compiling is what takes time: each type draws networks of its own.
    for seed in range(0 if dtype == "float32" else 1, 40, 2):
        _assert_agrees(forced, random_tree(seed, sliced=seed % 4 < 2), dtype, seed)


@pytest.mark.parametrize(
    "sizes", [(1, 1, 40), (5, 9, 33), (17, 3, 1), (33, 65, 18), (70, 1, 129), (3, 2, 5)]
)
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_odd_matrices_agree(forced: WebGpuBackend, sizes: tuple[int, int, int], dtype: str) -> None:
    rows, columns, contracted = sizes
    tree = ContractionTree(
        inputs=(("i", "k"), ("k", "j")),
        output=("j", "i"),
        dimensions=(("i", rows), ("k", contracted), ("j", columns)),
        path=((0, 1),),
    )
    _assert_agrees(forced, tree, dtype, seed=3)


def test_exponents_are_carried_on_the_gpu(forced: WebGpuBackend) -> None:
    n = 60
    names = [f"i{number}" for number in range(n + 1)]
    tree = ContractionTree(
        inputs=tuple((names[step], names[step + 1]) for step in range(n)),
        output=(names[0], names[-1]),
        dimensions=tuple((name, 3) for name in names),
        path=((0, 1), *((n + step - 1, step + 1) for step in range(1, n - 1))),
    )
    arrays = [np.full((3, 3), 1e8, np.float32) for _ in range(n)]
    found = drive(forced.run(lower(tree, "float32"), arrays, no_pulse))
    # 60 factors of 1e8 and 59 sums over 3 equal terms.
    wanted = 8 * n + 59 * np.log10(3)
    np.testing.assert_allclose(np.log10(found.value) + found.log10_scale, wanted, rtol=1e-6)


@pytest.fixture
def chosen(gpu: WebGpuBackend, request: pytest.FixtureRequest) -> Iterator[WebGpuBackend]:
    """The backend, computing every kernel the same way where that is possible."""
    usual = gpu.device.limits
    # llvmpipe runs 256-bit vectors, so eight invocations in step; wgpu does not say.
    limits = replace(usual, subgroup=8 if "subgroup" in gpu.device._device.features else 0)  # type: ignore[attr-defined]  # the native one
    candidate = GpuCandidate.parse(request.param)
    gpu.device.limits = limits
    gpu.choose = lambda spec: None if why_not(spec, candidate, limits) else candidate
    yield gpu
    gpu.device.limits = usual
    gpu.choose = None
    gpu.release()


@pytest.mark.parametrize("chosen", CANDIDATES, indirect=True)
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_every_candidate_agrees_on_edges(chosen: WebGpuBackend, dtype: str) -> None:
    # Layouts take turns, so that the two types together meet every size in both.
    layouts = ((("i", "k"), ("k", "j")), (("k", "i"), ("j", "k")))
    first = 0 if dtype == "float32" else 1
    for number, (rows, columns, contracted) in enumerate(SIZES, start=first):
        tree = ContractionTree(
            inputs=layouts[number % 2],
            output=("i", "j"),
            dimensions=(("i", rows), ("k", contracted), ("j", columns)),
            path=((0, 1),),
        )
        _assert_agrees(chosen, tree, dtype, seed=5)


@pytest.mark.parametrize("chosen", CANDIDATES, indirect=True)
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_every_candidate_agrees_on_many_axes(chosen: WebGpuBackend, dtype: str) -> None:
    trees = [
        (("abcd", "dbea", "ec"), {"a": 3, "b": 5, "c": 7, "d": 4, "e": 6}),
        (("gdab", "efgc", "abcdef"), {"a": 3, "b": 2, "c": 3, "d": 2, "e": 3, "f": 2, "g": 12}),
        (("bki", "bkj", "bij"), {"b": 3, "i": 9, "j": 10, "k": 13}),
        (("abcdp", "ceghp", "abdegh"), dict.fromkeys("abcdegh", 3) | {"p": 2}),
        (("aibjc", "klij", "akblc"), {"a": 4, "b": 3, "c": 5, "i": 2, "j": 2, "k": 2, "l": 2}),
        (("abcd", "cbda", "abcd"), {"a": 3, "b": 5, "c": 7, "d": 2}),
        (("abk", "kba", "ba"), {"a": 9, "b": 13, "k": 6}),
        (("ba", "a", "ab"), {"a": 37, "b": 5}),
    ]
    for (left, right, out), sizes in trees[0 if dtype == "float32" else 1 :: 2]:
        tree = ContractionTree(
            inputs=(tuple(left), tuple(right)),
            output=tuple(out),
            dimensions=tuple(sizes.items()),
            path=((0, 1),),
        )
        _assert_agrees(chosen, tree, dtype, seed=9)


HALVES = (
    "registers 3x5/4x2",
    "shared 2x3/4x4 k8",
    "dot 2x3/32",
    "outer 2x3/4x4",
    "line 1x3/8x1",
    "small",
)


@pytest.mark.parametrize("text", HALVES)
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_numbers_are_stored_in_16_bits_and_added_in_32(
    gpu: WebGpuBackend, text: str, dtype: str
) -> None:
    if not gpu.device.limits.half:
        pytest.skip("the adapter has no shader-f16")
    contracted = 12 if text.startswith("outer") else 300
    spec = _product((19, 11, contracted), dtype).kernels[0]
    draw = np.random.default_rng(2)
    rounded = [
        draw.standard_normal((*shape, 2)).astype(np.float16).astype(np.float32)
        for shape in ((19, contracted), (contracted, 11))
    ]
    operands = [
        np.ascontiguousarray(pair).view(np.complex64)[..., 0]
        if dtype == "complex64"
        else pair[..., 0].copy()
        for pair in rounded
    ]
    candidate = GpuCandidate.parse(text)
    trial = drive(gpu.try_kernel(spec, candidate, operands, half=True))
    left, right = (operand.astype(np.complex128) for operand in operands)
    wanted = left @ right
    # The stored result is rounded once to 11 bits; adding 300 products in 16 would cost 300 times.
    bound = 2.0**-11 * np.abs(wanted) + 2.0**-24 * contracted * (np.abs(left) @ np.abs(right))
    found = trial.out.reshape(wanted.shape)
    assert (np.abs(found - wanted) <= bound + 2.0**-11 * np.abs(wanted)).all()
    assert np.abs(found - wanted).max() > 0


def _product(sizes: tuple[int, int, int], dtype: str) -> Program:
    rows, columns, contracted = sizes
    tree = ContractionTree(
        inputs=(("i", "k"), ("k", "j")),
        output=("i", "j"),
        dimensions=(("i", rows), ("k", contracted), ("j", columns)),
        path=((0, 1),),
    )
    return lower(tree, dtype)  # type: ignore[arg-type]  # one of the two that GPUs have


@pytest.fixture(scope="module")
def least() -> WebGpuBackend:
    """A device with the limits and features that every WebGPU has, and no more."""
    native = pytest.importorskip("tensorloom.execute.gpu.native")
    pytest.importorskip("wgpu", reason="the package wgpu is not installed")
    device = native.NativeGpu.find(raised=False)
    if device is None:
        pytest.skip("no adapter here")
    return WebGpuBackend(device, assumed_rates(software=device.is_software))


def test_default_limits_are_enough(least: WebGpuBackend) -> None:
    limits = least.device.limits
    assert (limits.workgroup_threads, limits.workgroup_bytes) == (256, 16_384)
    assert (limits.subgroup, limits.half, limits.matrices) == (0, False, False)
    for seed, sizes in enumerate(((300, 200, 100), (1, 2, 5000), (257, 1, 30))):
        tree = ContractionTree(
            inputs=(("i", "k"), ("k", "j")),
            output=("i", "j"),
            dimensions=tuple(zip("ijk", sizes, strict=True)),
            path=((0, 1),),
        )
        _assert_agrees(least, tree, "float32", seed)
        _assert_agrees(least, tree, "complex64", seed)


def test_what_the_device_refuses_scores_as_failed(least: WebGpuBackend) -> None:
    spec = _product((64, 64, 64), "float32").kernels[0]
    # The device is said to allow more than it does, as drivers do.
    usual = least.device.limits
    least.device.limits = replace(usual, workgroup_threads=1024)
    try:
        trials = GpuTrials(spec, least.device, perf_counter)
        failed = drive(trials.answer(Window(text="registers 1x1/32x32", first=True), no_pause))
        assert isinstance(failed, Failure)
        assert "refused" in failed.reason
        sample = drive(trials.answer(Window(text="registers 4x4/4x4", first=True), no_pause))
        assert isinstance(sample, Sample)
    finally:
        least.device.limits = usual


@pytest.mark.parametrize("k", [2, 4, 8])
def test_a_gate_is_checked_like_a_large_operand(gpu: WebGpuBackend, k: int) -> None:
    # Of 4, 16 and 64 numbers, on one side or the other of what guards an operand elsewhere.
    spec = _product((64, k, k), "complex64").kernels[0]
    trials = GpuTrials(spec, gpu.device, perf_counter)
    text = next(option.text for option in trials.options if not option.cut)
    verdict = drive(trials.answer(Check(text=text), no_pause))
    assert isinstance(verdict, Verdict)
    assert verdict.error <= verdict.bound < 1e-3


async def no_pause() -> None:
    """Nothing else wants the thread."""
