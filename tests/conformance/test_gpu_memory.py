"""What is predicted to be taken on a GPU is what its buffers take, to the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from random_networks import random_arrays, random_tree
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.gpu.half import HalfGpuBackend
from tensorloom.kernels.gpu.candidate import GpuCandidate
from tensorloom.kernels.gradient import lower_gradient
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tensorloom.execute.gpu.backend import WebGpuBackend
    from tensorloom.kernels.program import Program

pytestmark = pytest.mark.gpu


def programs() -> Iterator[tuple[Program, list[NDArray[np.generic]]]]:
    """Whole and sliced networks, and gradients."""
    for seed in range(24):
        tree = random_tree(seed, sliced=seed % 3 == 1)
        arrays = list(random_arrays(tree, "complex64", seed))
        if seed % 3 == 2 and tree.path:
            sizes = dict(tree.dimensions)
            weights = np.ones([sizes[name] for name in tree.output], "complex64")
            numbers = tuple(range(len(arrays)))
            yield lower_gradient(tree, "complex64", numbers), [*arrays, weights]
        elif tree.path:
            yield lower(tree, "complex64"), arrays


def assert_as_predicted(gpu: WebGpuBackend, program: Program, arrays: list[NDArray]) -> None:
    """Raises unless a run takes what was predicted."""
    gpu.release()
    predicted = gpu.peak_bytes(program)
    drive(gpu.run(program, arrays, no_pulse))
    assert gpu.device.counts()["plans"] == 1
    assert gpu.device.counts()["bytes"] == predicted


def test_buffers_take_what_was_predicted(gpu: WebGpuBackend) -> None:
    checked = [assert_as_predicted(gpu, *given) for given in programs()]
    assert len(checked) > 15


def test_16_bit_buffers_take_what_was_predicted(gpu: WebGpuBackend) -> None:
    if not gpu.device.limits.half:
        pytest.skip("the adapter has no shader-f16")
    gpu.release()
    half = HalfGpuBackend(gpu)
    checked = [
        assert_as_predicted(half, program, arrays)
        for program, arrays in programs()
        if not program.kept
    ]
    half.release()
    assert len(checked) > 10


def test_parts_of_cut_sums_are_counted(gpu: WebGpuBackend) -> None:
    tree = ContractionTree(
        inputs=(("i", "k"), ("k", "j"), ("j", "l")),
        output=("i", "l"),
        dimensions=(("i", 32), ("k", 4096), ("j", 16), ("l", 8)),
        path=((0, 1), (2, 3)),
    )
    cut = GpuCandidate.parse("registers 4x4/2x2 split 16")
    program = lower(tree, "float32")
    plain = gpu.peak_bytes(program)
    before, gpu.choose = gpu.choose, lambda spec: cut if spec.extents[3] > 1000 else None
    try:
        assert gpu.peak_bytes(program) > plain
        assert_as_predicted(gpu, program, list(random_arrays(tree, "float32", 1)))
    finally:
        gpu.choose = before
