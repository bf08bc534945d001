"""Plans, results, devices and errors as the records of ``protocol.ts``."""

from __future__ import annotations

import logging
import math
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from tensorloom.errors import DeviceMemoryError, TensorloomError
from tensorloom.execute.blocks import square_sum
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom.plan.sharing import work_of
from tensorloom.view.engine import replaced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy as np

    from tensorloom.execute.backend import BackendName, RawResult, Result, SlicesDone
    from tensorloom.execute.backends import Available
    from tensorloom.model.equation import EquationSpan
    from tensorloom.model.network import Network
    from tensorloom.model.recipe import DType
    from tensorloom.plan.plan import Plan

__all__ = [
    "device_json",
    "error_json",
    "error_notice",
    "finite",
    "partial_json",
    "plan_json",
    "result_json",
    "spans_json",
]

LARGEST = 1.7e308
LAST_SINGLE_UNIT = 0xFFFF

Notice = dict[str, object]

log = logging.getLogger(__name__)


def finite(value: float) -> float:
    """A prediction or bound that JSON can carry: unknown and infinite become the largest."""
    return LARGEST if math.isnan(value) else min(max(value, -LARGEST), LARGEST)


def error_json(error: TensorloomError, text: str = "") -> Notice:
    """The record of an error; its span counts as JavaScript does if the text is given."""
    record = error.to_json()
    span = error.where.span
    if span is not None and text:
        units = _units_before(text)
        where = {**error.where.to_json(), "span": [units(place) for place in span]}
        record = {**record, "where": where}
    return record


def _failure_json(error: Exception) -> Notice:
    """The record of anything that went wrong: an error, memory that ran out, or our bug."""
    if isinstance(error, TensorloomError):
        return error_json(error)
    if isinstance(error, MemoryError):
        full = DeviceMemoryError(
            "out-of-memory",
            "This page ran out of memory.",
            "Make a dimension smaller, slice an index, or send it to a heavy worker.",
            values={"detail": str(error)[:300]},
        )
        return error_json(full)
    log.error("Something here is broken", exc_info=error)
    return {
        "kind": "InternalError",
        "code": "internal",
        "message": f"Something here is broken: {type(error).__name__}.",
        "hint": "Your drawing is kept. Please report what you did just before.",
        "where": {},
        "values": {"detail": str(error)[:300]},
    }


def error_notice(error: Exception, seq: int | None = None) -> dict[str, Any]:
    """What the page is told of an error.

    Args:
        error: Anything that went wrong.
        seq: The request it answers, if it answers one.
    """
    return {"kind": "error", "seq": seq, "error": _failure_json(error)}


def spans_json(text: str, spans: Iterable[EquationSpan]) -> list[Notice]:
    """``EquationSpan`` records, counted as JavaScript counts characters: in UTF-16 units."""
    units = _units_before(text)
    return [
        {
            "start": units(span.start),
            "end": units(span.end),
            "index": span.index,
            "tensor": span.tensor,
        }
        for span in spans
    ]


def _units_before(text: str) -> Callable[[int], int]:
    wide = [place for place, letter in enumerate(text) if ord(letter) > LAST_SINGLE_UNIT]
    if not wide:
        return lambda place: place
    return lambda place: place + bisect_left(wide, place)


def device_json(found: Available) -> Notice:
    """``DeviceJson``: where this page computes and what stands in for what is missing."""
    backends: list[Notice] = [
        {"name": name, "available": True, "detail": backend.detail}
        for name, backend in found.backends.items()
    ]
    backends += [
        {"name": name, "available": False, "detail": why} for name, why in found.missing.items()
    ]
    cpu = "Runs on this CPU, 64-bit" if "wasm" in found.backends else "Runs in numpy, 64-bit"
    gpu = found.backends.get("webgpu")
    sentence = cpu if gpu is None or gpu.is_software else f"{cpu}, and on this GPU"
    return {"sentence": sentence, "backends": backends, "replaced": list(replaced())}


def plan_json(
    plan: Plan,
    network: Network,
    dtype: DType,
    *,
    backend: BackendName | None = None,
    predicted_ms: float | None = None,
    refused: TensorloomError | None = None,
) -> Notice:
    """``PlanJson``: exact integers as decimal text, step by step; bytes as the backend stores.

    Totals are those of a run, which does once what slices share; steps are those of one slice.
    """
    cost, work, tree = plan.cost, work_of(plan), plan.tree
    item = ITEM_BYTES[dtype] // (2 if backend == "webgpu-f16" else 1)
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
        "mulAdds": str(work.mul_adds),
        "largestElements": str(cost.largest_elements),
        "peakElements": str(work.peak_elements),
        "peakBytes": str(work.peak_elements * item),
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
    return {
        **_numbers(result.value),
        "indices": list(indices),
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


def partial_json(slices: SlicesDone, sum_so_far: RawResult) -> Notice:
    """``PartialJson``: the sum of some slices, which is not the value."""
    return {
        "done": str(slices.done),
        "of": str(slices.of),
        **_numbers(sum_so_far.value),
        "dtype": sum_so_far.value.dtype.name,
        "log10Scale": sum_so_far.log10_scale,
    }


def _numbers(value: np.ndarray[Any, Any]) -> Notice:
    """The number itself where it is one, and shape and norm where it is not."""
    scalar: list[float] | None = None
    if value.ndim == 0:
        number = complex(value)
        # Bokeh carries NaN and infinities as they are.
        scalar = [number.real, number.imag]
    return {"scalar": scalar, "shape": list(value.shape), "norm": math.sqrt(square_sum(value))}
