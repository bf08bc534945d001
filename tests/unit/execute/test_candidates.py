"""How much room there is on the backends that may be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tensorloom.execute.candidates import most_elements
from tensorloom.execute.numpy_backend import NumpyBackend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tensorloom.execute.backend import Backend, BackendName
    from tensorloom.execute.run import BackendChoice
    from tensorloom.model.recipe import DType


class Narrow(NumpyBackend):
    """As a GPU: 32-bit numbers only."""

    name = "webgpu"
    dtypes = frozenset({"float32", "complex64"})


BACKENDS: Mapping[BackendName, Backend] = {
    "webgpu": Narrow(limit_bytes=4000),
    "numpy": NumpyBackend(limit_bytes=1600),
}


@pytest.mark.parametrize(
    ("backend", "dtype", "most"),
    [
        ("auto", "float32", 1000),
        ("auto", "float64", 200),
        ("webgpu", "float64", 1000),
        ("webgpu", "complex128", 500),
        ("numpy", "complex128", 100),
        ("wasm", "complex64", 500),
    ],
)
def test_the_named_backend_or_the_one_with_most_room(
    backend: BackendChoice, dtype: DType, most: int
) -> None:
    assert most_elements(BACKENDS, backend, dtype) == most
