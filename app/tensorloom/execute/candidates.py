"""Which backends may be asked, and what there is room for on them. Nothing is lowered here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tensorloom.execute.backend import Backend, BackendName
    from tensorloom.execute.run import BackendChoice
    from tensorloom.model.recipe import DType

__all__ = ["NARROW", "candidates", "most_elements", "own_dtype"]

NARROW: Mapping[DType, DType] = {
    "float32": "float32",
    "float64": "float32",
    "complex64": "complex64",
    "complex128": "complex64",
}


def own_dtype(backend: Backend, dtype: DType) -> DType:
    """The type that a backend computes in where this one is asked for."""
    return dtype if dtype in backend.dtypes else NARROW[dtype]


def candidates(
    backends: Mapping[BackendName, Backend], wanted: BackendChoice, dtype: DType
) -> list[Backend]:
    """Backends to consider: the named one first, then all that compute in this type."""
    # Nobody is given three digits who has not asked for them.
    able = [
        backend
        for backend in backends.values()
        if dtype in backend.dtypes and backend.name != "webgpu-f16"
    ]
    if wanted == "auto" or wanted not in backends:
        return able
    named = backends[wanted]
    return [named, *(backend for backend in able if backend is not named)]


def most_elements(
    backends: Mapping[BackendName, Backend], backend: BackendChoice, dtype: DType
) -> int:
    """What a plan may hold to be run, by the named backend or by the one with most room [elements].

    Args:
        backends: Those that are here; at least one.
        backend: One of them, or any.
        dtype: Type to compute in.
    """
    order = candidates(backends, backend, dtype)
    asked = order[:1] if order[0].name == backend else order
    return max(one.limit_bytes // _item_bytes(one, dtype) for one in asked)


def _item_bytes(backend: Backend, dtype: DType) -> int:
    """What a backend takes for each element of an intermediate [bytes]."""
    item = ITEM_BYTES[own_dtype(backend, dtype)]
    return item // 2 if backend.name == "webgpu-f16" else item
