"""Why a plan does not run where it was asked for, in words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.errors import DeviceMemoryError, PlanError
from tensorloom.execute.quantities import bytes_text
from tensorloom.model.document import MAX_AXES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tensorloom.errors import DeviceLost, UnsupportedKernel
    from tensorloom.execute.backend import Backend, BackendName
    from tensorloom.plan.plan import Plan

__all__ = ["LABELS", "check_axes", "could_not", "does_not_fit"]

LABELS: Mapping[str, str] = {
    "webgpu": "WebGPU",
    "webgpu-f16": "WebGPU with 16-bit storage",
    "wasm": "WebAssembly",
    "numpy": "numpy",
}


def check_axes(plan: Plan) -> None:
    """Nothing, where an array can have the axes of the result.

    Raises:
        PlanError: ``result-axes``.
    """
    axes = len(plan.tree.output)
    if axes > MAX_AXES:
        raise PlanError(
            "result-axes",
            f"The result has {axes} open indices; an array has at most {MAX_AXES} axes.",
            "Sum over some, or make one of several.",
            values={"axes": axes, "limit": MAX_AXES},
        )


def does_not_fit(backend: Backend, needed: int) -> DeviceMemoryError:
    """The refusal of a plan that needs so much [bytes]."""
    return DeviceMemoryError(
        "does-not-fit",
        f"This contraction holds {bytes_text(needed)} at once; "
        f"{LABELS[backend.name]} has room for {bytes_text(backend.limit_bytes)} here.",
        "Find a better order, slice an index, lower a dimension, or send it to a heavy worker.",
        values={
            "neededBytes": str(needed),
            "limitBytes": str(backend.limit_bytes),
            "backend": backend.name,
        },
    )


def could_not(name: BackendName, error: UnsupportedKernel | DeviceLost | DeviceMemoryError) -> str:
    """Why another backend runs it, in words."""
    return f"{LABELS[name]} could not run it: {error.message}"
