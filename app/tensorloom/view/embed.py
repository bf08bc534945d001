"""A document as a file that runs without Python: its drawing, its numbers, its compiled program.

``embed.html`` (``workers/browser/embed``) reads it. It holds the program twice, with and without
fused multiply-add, so that every browser engine with SIMD finds kernels it can run. The ready
kernels in it are those of every program; groups of small steps are this one's own, and only go
along where they were proven when it was made: the page that shows it has nothing to prove them by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorloom.errors import DocumentError
from tensorloom.execute.arrays import arrays_of
from tensorloom.execute.casting import cast_array
from tensorloom.execute.error_bound import SAFETY, length_bound, log_summed
from tensorloom.execute.quantities import bytes_text
from tensorloom.execute.wasm.replay import proven_groups
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.compiled import compiled, encode
from tensorloom.kernels.wasm.element import WasmFeatures
from tensorloom.plan.find import quick

if TYPE_CHECKING:
    from tensorloom.execute.arrays import ArrayStore
    from tensorloom.execute.backend import BackendName
    from tensorloom.execute.wasm.kernels import WasmKernels
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm.fused import Group
    from tensorloom.model.document import Document
    from tensorloom.plan.plan import Plan

__all__ = ["Embeddable", "embeddable", "embedded"]

_PLACES: tuple[BackendName, ...] = ("wasm",)
"""Where an embedded program runs."""

_MOST_BYTES = 16 << 20
"""Larger inputs do not belong into a page that is there at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddable:
    """A document that may be embedded, planned.

    Args:
        document: What is shown.
        plan: Its tree, never sliced.
        program: The same compiled, for no engine yet.
    """

    document: Document
    plan: Plan
    program: Program


def embeddable(document: Document) -> Embeddable:
    """The document with its program; nothing is made or compiled.

    Raises:
        DocumentError: ``embed-no-work`` or ``embed-too-big``.
    """
    plan = quick(document.network)
    program = lower(plan, document.dtype)
    if not program.dispatches:
        raise DocumentError(
            "embed-no-work",
            "This drawing has nothing to contract.",
            "Draw at least two tensors.",
        )
    if program.peak_bytes > _MOST_BYTES:
        raise DocumentError(
            "embed-too-big",
            f"This contraction holds {bytes_text(program.peak_bytes)} at once; "
            f"an embedded one may hold {bytes_text(_MOST_BYTES)}.",
            "Embed a smaller part, or share the link to the workbench.",
        )
    return Embeddable(document=document, plan=plan, program=program)


def embedded(work: Embeddable, store: ArrayStore, kernels: WasmKernels | None) -> bytes:
    """The file.

    Args:
        work: What is shown.
        store: Arrays that its recipes name.
        kernels: What proves groups of small steps, which no run may use meanwhile; without it, all
            steps run one by one.
    """
    document, plan, program = work.document, work.plan, work.program
    network = document.network
    given = arrays_of(network, document.dtype, store)
    cast = [cast_array(array, document.dtype) for array in given]
    programs = [
        compiled(
            program,
            WasmFeatures(simd=True, relaxed_simd=relaxed),
            groups=_groups(program, kernels, relaxed=relaxed),
        )
        for relaxed in (True, False)
    ]
    marks = document.diagram.marks
    about = {
        "title": document.title,
        "tensors": [
            {
                "name": tensor.name,
                "indices": list(tensor.indices),
                "shape": list(network.shape(tensor)),
                "at": [mark.x, mark.y],
                "colour": mark.colour,
                "exponent": exponent,
            }
            for tensor, (_, exponent) in zip(network.tensors, cast, strict=True)
            for mark in [marks[tensor.id]]
        ],
        "output": list(network.output),
        "rounding": {
            "plain": SAFETY * length_bound(program, _PLACES),
            "logSummed": log_summed(plan.tree),
        },
        "anchors": {name: list(place) for name, place in document.diagram.anchors.items()},
    }
    parts = {f"input {number}": array.tobytes() for number, (array, _) in enumerate(cast)}
    return encode(programs, about, parts)


def _groups(program: Program, kernels: WasmKernels | None, *, relaxed: bool) -> tuple[Group, ...]:
    """The groups that this engine has proven, as it would run them in either kind of engine."""
    if kernels is None or relaxed > kernels.relaxed:
        return ()
    return proven_groups(program, kernels if relaxed else kernels.plain())
