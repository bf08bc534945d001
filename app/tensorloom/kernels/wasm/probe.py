"""Small contractions that prove a compiled kernel, one for each form, written as einsum. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.schedule import schedules
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm.schedule import Kernel, Schedule

__all__ = ["PROBE_SIZES", "probe"]

PROBE_SIZES = {"b": 13, "m": 7, "n": 11, "k": 15}
"""Sizes that leave a rest everywhere: half a tile, a few numbers beyond the last vector."""

_EQUATIONS = {
    ("gemm", "unit"): "bmk,bkn->bmn",
    ("line", "unit"): "bmn,mnb->bmn",
    ("points", "unit"): "bmk,bkn->bmn",
    ("run", "splat"): "bmk,bkn->bmn",
    ("run", "unit"): "mkb,knb->mnb",
    ("sum", "splat"): "nk->n",
    ("sum", "unit"): "bmk,bnk->bmn",
}


def probe(kernel: Kernel, *, relaxed: bool) -> tuple[str, Program, Schedule]:
    """An equation, its program of one step, and the way to run that step with the kernel."""
    equation = _EQUATIONS[kernel.form, kernel.mode]
    inputs, output = equation.split("->")
    tree = ContractionTree(
        inputs=tuple(tuple(names) for names in inputs.split(",")),
        output=tuple(output),
        dimensions=tuple((name, PROBE_SIZES[name]) for name in sorted(set(equation) - set(",->"))),
        path=((0, 1),) if "," in inputs else (),
    )
    program = lower(tree, kernel.dtype)
    (spec,) = program.kernels
    way = next(way for way in schedules(spec, relaxed=relaxed) if way.kernel == kernel)
    return equation, program, way
