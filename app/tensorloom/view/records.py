"""Plans, results, devices and errors as the records of ``protocol.ts``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorloom.errors import TensorloomError
    from tensorloom.execute.backend import BackendName, Result
    from tensorloom.model.network import Network
    from tensorloom.model.recipe import DType
    from tensorloom.plan.plan import Plan

__all__ = ["error_json", "finite", "plan_json", "result_json"]

ITEM_BYTES: dict[str, int] = {"float32": 4, "float64": 8, "complex64": 8, "complex128": 16}

LARGEST = 1.7e308

Notice = dict[str, object]


def finite(value: float) -> float:
    """A prediction or a bound that plain JSON can carry: unknown and infinite become the largest."""
    return LARGEST if math.isnan(value) else min(max(value, -LARGEST), LARGEST)


def error_json(error: TensorloomError) -> Notice:
    """The record of an error."""
    return error.to_json()


def plan_json(
    plan: Plan,
    network: Network,
    dtype: DType,
    *,
    backend: BackendName | None = None,
    predicted_ms: float | None = None,
    refused: TensorloomError | None = None,
) -> Notice:
    """``PlanJson``: exact integers as decimal text, step by step."""
    cost, tree = plan.cost, plan.tree
    steps = [
        {
            "left": step.left,
            "right": step.right,
            "out": step.out,
            "indices": list(step.out_indices),
            "mulAdds": str(own.mul_adds),
            "elements": str(own.elements),
            "liveElements": str(own.live_elements),
        }
        for step, own in zip(tree.steps, cost.steps, strict=True)
    ]
    return {
        "finder": plan.finder,
        "proved": plan.proved,
        "mulAdds": str(cost.mul_adds),
        "largestElements": str(cost.largest_elements),
        "peakElements": str(cost.peak_elements),
        "peakBytes": str(cost.peak_elements * ITEM_BYTES[dtype]),
        "width": math.log2(max(1, cost.largest_elements)),
        "nSlices": str(tree.n_slices),
        "sliced": list(tree.sliced),
        "inputs": [tensor.id for tensor in network.tensors],
        "steps": steps,
        "predictedMs": None if predicted_ms is None else finite(predicted_ms),
        "backend": backend,
        "refused": None if refused is None else error_json(refused),
    }


def result_json(result: Result, indices: Sequence[str]) -> Notice:
    """``ResultJson``: everything about the number, and the number itself where it is one."""
    value: np.ndarray[Any, Any] = result.value
    scalar: list[float] | None = None
    if value.ndim == 0:
        number = complex(value)
        # Bokeh carries NaN and infinities as they are.
        scalar = [number.real, number.imag]
    with np.errstate(over="ignore", invalid="ignore"):
        norm = float(np.linalg.norm(value.astype(np.complex128).ravel()))
    return {
        "scalar": scalar,
        "shape": list(value.shape),
        "indices": list(indices),
        "norm": norm,
        "dtype": result.dtype,
        "backend": result.backend,
        "ms": result.ms,
        "predictedMs": finite(result.predicted_ms),
        "peakBytes": str(result.peak_bytes),
        "mulAdds": str(result.mul_adds),
        "errorBound": finite(result.error_bound),
        "log10Scale": result.log10_scale,
        "notes": list(result.notes),
    }
