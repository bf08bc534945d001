"""numpy, or scipy's BLAS, as a library under measurement: natively and in Pyodide."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
from formulations import apply

__all__ = ["Runner", "runners"]


class Runner:
    """One formulation on two arrays."""

    def __init__(self, made: dict[str, Any], a: Any, b: Any, product: Any) -> None:
        self.name = made["name"]
        self._made, self._a, self._b, self._product = made, a, b, product

    def result(self) -> Any:
        """The contraction."""
        return apply(self._made, np, self._a, self._b, self._product)

    def call(self) -> list[Any]:
        """Real and imaginary part of the contraction, flat."""
        out = np.asarray(self.result()).ravel()
        parts = [out.real, out.imag] if np.iscomplexobj(out) else [out]
        return [np.ascontiguousarray(part) for part in parts]

    def timed(self, calls: int) -> float:
        """Milliseconds per call."""
        began = time.perf_counter()
        for _ in range(int(calls)):
            self.result()
        return (time.perf_counter() - began) * 1000 / int(calls)


def runners(backend: str, told: str, left: Any, right: Any) -> list[Runner]:
    """Every formulation of a task.

    Args:
        backend: ``numpy`` or ``blas``.
        told: JSON text with ``dtype``, ``shapes``, ``formulations``.
        left: Bytes of the first operand.
        right: Bytes of the second.
    """
    task = json.loads(told)
    a, b = (
        np.frombuffer(bytes(raw), task["dtype"]).reshape(shape)
        for raw, shape in zip((left, right), task["shapes"], strict=True)
    )
    product = _blas(a.dtype) if backend == "blas" else None
    made = task["formulations"]
    if backend == "blas":
        made = [one for one in made if "einsum" not in one]
    else:
        pairwise = [{**one, "name": "einsum by tensordot", "optimize": True}
                    for one in made if "einsum" in one]  # fmt: skip
        made = [*made, *pairwise]
    return [Runner(one, a, b, product) for one in made]


def _blas(dtype: Any) -> Any:
    """A matrix product by BLAS that copies no operand: C order is the transpose of its order."""
    from scipy.linalg.blas import get_blas_funcs  # noqa: PLC0415  # only this peer needs scipy

    gemm = get_blas_funcs("gemm", dtype=dtype)

    def flat(x: Any, y: Any) -> Any:
        # gemm reads Fortran order: (x y)^T = y^T x^T, operands in C order seen as transposed.
        first, first_flip = (y.T, 0) if y.flags.c_contiguous else (y, 1)
        second, second_flip = (x.T, 0) if x.flags.c_contiguous else (x, 1)
        return gemm(1, first, second, trans_a=first_flip, trans_b=second_flip).T

    def product(x: Any, y: Any) -> Any:
        if x.ndim == 2:  # a plain matrix
            return flat(x, y)
        return np.stack([flat(one, other) for one, other in zip(x, y, strict=True)])

    return product
