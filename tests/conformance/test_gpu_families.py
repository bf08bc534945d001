"""Every family of GPU kernels, forced, on shapes that reach its edges; on the native adapter."""

from __future__ import annotations

from dataclasses import replace
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
from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.kernels.gpu.candidate import GpuCandidate
from tensorloom.kernels.gpu.space import why_not
from tensorloom.kernels.gpu.wgsl import GpuLimits
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorloom.execute.gpu.backend import WebGpuBackend

pytestmark = pytest.mark.gpu

OWN = GpuLimits(min_groups=0, small_mul_adds=0)
FAMILIES = {
    "tile of 4": OWN,
    "tile of 8": replace(OWN, largest_tile=8, split=False),
    "tile of 1": replace(OWN, largest_tile=1, split=False),
    "split sums": replace(OWN, most_iterations=3),
    "shared text": GpuLimits(small_mul_adds=1 << 40),
}


@pytest.fixture(scope="module")
def gpu() -> WebGpuBackend:
    native = pytest.importorskip("tensorloom.execute.gpu.native")
    pytest.importorskip("wgpu", reason="the package wgpu is not installed")
    try:
        return drive(native.make())
    except UnsupportedKernel as error:
        pytest.skip(error.message)


@pytest.fixture(params=list(FAMILIES), ids=[name.replace(" ", "-") for name in FAMILIES])
def forced(gpu: WebGpuBackend, request: pytest.FixtureRequest) -> Iterator[WebGpuBackend]:
    """The backend, choosing one family only."""
    usual = gpu.device.limits
    gpu.device.limits = FAMILIES[request.param]  # type: ignore[misc]  # a plain attribute natively
    yield gpu
    gpu.device.limits = usual  # type: ignore[misc]  # as above


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
    "shared 4x4/8x8 k8",
    "shared 1x2/16x3 k5 split 2",
    "dot 1x1/64",
    "dot 2x3/32",
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
    for seed in range(40):
        _assert_agrees(forced, random_tree(seed, sliced=seed % 4 == 0), dtype, seed)


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
    gpu.device.limits = limits  # type: ignore[misc]  # a plain attribute natively
    gpu.choose = lambda spec: None if why_not(spec, candidate, limits) else candidate
    yield gpu
    gpu.device.limits = usual  # type: ignore[misc]  # as above
    gpu.choose = None
    gpu.release()


@pytest.mark.parametrize("chosen", CANDIDATES, indirect=True)
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_every_candidate_agrees_on_edges(chosen: WebGpuBackend, dtype: str) -> None:
    for rows, columns, contracted in SIZES:
        for operands in ((("i", "k"), ("k", "j")), (("k", "i"), ("j", "k"))):
            tree = ContractionTree(
                inputs=operands,
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
    ]
    for (left, right, out), sizes in trees:
        tree = ContractionTree(
            inputs=(tuple(left), tuple(right)),
            output=tuple(out),
            dimensions=tuple(sizes.items()),
            path=((0, 1),),
        )
        _assert_agrees(chosen, tree, dtype, seed=9)
