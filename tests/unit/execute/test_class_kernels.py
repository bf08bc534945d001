"""A kernel that was chosen for one shape serves its whole class, or leaves it alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.jit import WasmDevice, can_make, jit_ranking
from tensorloom.plan.tree import ContractionTree
from tensorloom.tune.database import Entry, shape_class
from tuners import spec_of, tuner_for
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from tensorloom.kernels.program import Program

DEVICE = WasmDevice.typical(relaxed_simd=True)

PAIRS = [
    ("aij", "bij", "aij", "bji"),
    ("ija", "ijb", "ija", "jib"),
    ("aij", "ijb", "aij", "jib"),
    ("ij", "ij", "ij", "ji"),
]
"""Operands of two products that differ in the order of what is summed."""


SIZES = {"a": 4, "b": 4, "i": 64, "j": 64}


def program(left: str, right: str, *, dtype: str = "float32") -> Program:
    output = tuple(name for name in "ab" if name in left + right)
    tree = ContractionTree(
        inputs=(tuple(left), tuple(right)),
        output=output,
        dimensions=tuple(SIZES.items()),
        path=((0, 1),),
    )
    return lower(tree, dtype)  # type: ignore[arg-type]  # names of types


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_the_winner_of_one_shape_computes_another_one_of_its_class(
    pair: tuple[str, str, str, str], dtype: str
) -> None:
    one, other = program(*pair[:2], dtype=dtype), program(*pair[2:], dtype=dtype)
    generator = np.random.default_rng(1)
    arrays = [
        generator.standard_normal([SIZES[name] for name in names]).astype(dtype)
        for names in pair[2:]
    ]
    output = "".join(name for name in "ab" if name in pair[2] + pair[3])
    wanted = np.einsum(f"{pair[2]},{pair[3]}->{output}", *arrays)
    for candidate, _ in jit_ranking(spec_of(one), DEVICE):
        backend = WasmBackend(WasmtimeHost(pages=1 << 11))
        tuner = tuner_for(backend)
        key = tuner.key(spec_of(other), "wasm")
        # As an older visit would have kept it, whose classes were wider.
        tuner.database.put(key, Entry(candidate=candidate.text, gflops=1.0))
        tuner._changed()
        found = drive(backend.run(other, arrays, no_pulse))
        np.testing.assert_allclose(found.value, wanted, rtol=1e-3, atol=1e-3)
        assert not tuner.thrown_out


def test_dot_products_are_not_shared_by_shapes_without_a_common_axis() -> None:
    along, across = (spec_of(program(*names)) for names in (("aij", "bij"), ("aij", "bji")))
    dots = [one for one, _ in jit_ranking(along, DEVICE) if one.family == "dot"]
    assert dots
    assert all(can_make(along, one) and not can_make(across, one) for one in dots)
    assert shape_class(along) != shape_class(across)
