"""Generated kernels on specs drawn at random: whatever is proposed computes what numpy does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorloom.execute.wasm.kernels import WasmKernels
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.jit import WasmDevice, jit_candidates
from tensorloom.plan.tree import ContractionTree
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from tensorloom.model.recipe import DType


@pytest.fixture(scope="module", params=(True, False), ids=("fused", "plain"))
def kernels(request: pytest.FixtureRequest) -> WasmKernels:
    return WasmKernels(WasmtimeHost(relaxed_simd=request.param))


@st.composite
def contractions(draw: st.DrawFn) -> tuple[str, dict[str, int]]:
    """An equation of two tensors, its legs in any order, and sizes."""
    roles = draw(st.lists(st.sampled_from(("batch", "row", "column", "sum")), max_size=5))
    # Always something in each operand; what is empty otherwise is a unary kernel's business.
    roles += ["row", "column"]
    letters = "abcdefg"[: len(roles)]
    sizes = {letter: draw(st.integers(1, 9)) for letter in letters}
    inside = {
        "left": ("batch", "row", "sum"),
        "right": ("batch", "column", "sum"),
        "out": ("batch", "row", "column"),
    }
    left, right, out = (
        "".join(
            draw(
                st.permutations(
                    [x for x, role in zip(letters, roles, strict=True) if role in inside[side]]
                )
            )
        )
        for side in ("left", "right", "out")
    )
    return f"{left},{right}->{out}", sizes


@settings(max_examples=12, deadline=None, derandomize=True)
@given(contraction=contractions(), dtype=st.sampled_from(("float32", "float64", "complex64")))
def test_every_candidate_computes_what_numpy_does(
    kernels: WasmKernels, contraction: tuple[str, dict[str, int]], dtype: DType
) -> None:
    equation, sizes = contraction
    inputs, output = equation.split("->")
    tree = ContractionTree(
        inputs=tuple(tuple(names) for names in inputs.split(",")),
        output=tuple(output),
        dimensions=tuple(sorted(sizes.items())),
        path=((0, 1),),
    )
    program = lower(tree, dtype)
    arrays = [_numbers([sizes[name] for name in names], dtype) for names in inputs.split(",")]
    wanted = np.einsum(equation, *arrays).reshape(-1)
    device = WasmDevice.typical(relaxed_simd=kernels.relaxed)
    (spec,) = program.kernels
    for way in jit_candidates(spec, device):
        assert np.array_equal(kernels.once(program, way, arrays), wanted), way.kernel.name


def _numbers(shape: list[int], dtype: DType) -> Any:
    """Whole numbers: sums of their products are exact in every type."""
    rng = np.random.default_rng(7)
    values = rng.integers(-8, 9, shape) + 1j * rng.integers(-8, 9, shape)
    return (values if dtype.startswith("complex") else values.real).astype(dtype)
