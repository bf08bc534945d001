"""Kernels generated for one spec: which candidates are worth a try, cheapest first.

The model counts cycles of one core: what tiles multiply, load and store, what packing moves, and
what memory can deliver. It only ranks; a tuner measures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.element import Element
from tensorloom.kernels.wasm.jit_candidate import Candidate, WasmDevice
from tensorloom.kernels.wasm.jit_cost import cost
from tensorloom.kernels.wasm.jit_module import tables
from tensorloom.kernels.wasm.jit_shape import shape_of
from tensorloom.kernels.wasm.schedule import Kernel, Schedule, exchanged

if TYPE_CHECKING:
    from tensorloom.kernels.program import KernelSpec

__all__ = ["MOST_CANDIDATES", "Candidate", "WasmDevice", "jit_candidates", "jit_schedule"]

MOST_CANDIDATES = 6
_ALIKE = 3
"""Most candidates of one family: the model errs alike for all of them."""

_DEPTH = 256
_STREAM_DEPTH = 8
_MOST_TILES = 1 << 17
"""Tables beyond this are no longer small beside the work."""


def jit_candidates(spec: KernelSpec, device: WasmDevice) -> tuple[Schedule, ...]:
    """The ways worth a try, at most ``MOST_CANDIDATES``, the cheapest by the model first.

    Empty for unary specs, and where tables would be huge: the ready kernels serve those.
    """
    if spec.unary or max(spec.extents[0], spec.extents[1] // 4, spec.extents[2] // 8) > _MOST_TILES:
        return ()
    made = [
        (cost(shape_of(turned(spec, candidate), candidate), spec, candidate, device), candidate)
        for candidate in _space(spec, device)
    ]
    made.sort(key=lambda pair: pair[0])
    kept: list[tuple[float, Candidate]] = []
    for cycles, candidate in made:
        alike = sum(other.family == candidate.family for _, other in kept)
        if alike < _ALIKE and len(kept) < MOST_CANDIDATES:
            kept.append((cycles, candidate))
    return tuple(_schedule(spec, candidate, cycles) for cycles, candidate in kept)


def jit_schedule(spec: KernelSpec, candidate: Candidate, device: WasmDevice) -> Schedule:
    """The schedule of a candidate that is already chosen."""
    shape = shape_of(turned(spec, candidate), candidate)
    return _schedule(spec, candidate, cost(shape, spec, candidate, device))


def turned(spec: KernelSpec, candidate: Candidate) -> KernelSpec:
    """The spec as the candidate sees it."""
    return exchanged(spec) if candidate.turned else spec


def _schedule(spec: KernelSpec, candidate: Candidate, cycles: float) -> Schedule:
    shape = shape_of(turned(spec, candidate), candidate)
    words, _ = tables(shape)
    return Schedule(
        kernel=Kernel(form="jit", dtype=spec.dtype, spec=spec, candidate=candidate),
        descriptor=tuple(words),
        extents=(len(shape.batch), shape.rows.starts[-1], shape.columns.starts[-1]),
        swapped=candidate.turned,
        cycles=cycles,
        grain=1,
    )


def _space(spec: KernelSpec, device: WasmDevice) -> list[Candidate]:
    lanes = 16 // Element(spec.dtype, relaxed=device.relaxed_simd).bytes
    made = []
    for is_turned in (False, True):
        _, m, n, k = (exchanged(spec) if is_turned else spec).extents
        tiles = dict.fromkeys(
            (min(rows, m), lanes * min(vectors, -(-n // lanes)))
            for rows, vectors in device.tiles_for(spec.dtype)
        )
        for rows, columns in tiles:
            for family in ("unpacked", "right", "packed"):
                depth = _DEPTH if family == "packed" or k > 2 * _DEPTH else 0
                made.append(
                    Candidate(
                        family=family, rows=rows, columns=columns, depth=depth, turned=is_turned
                    )
                )
            if m <= _FEW_ROWS and k > _DEPTH // 2:
                made.append(
                    Candidate(
                        family="stream",
                        rows=rows,
                        columns=columns,
                        depth=_STREAM_DEPTH,
                        turned=is_turned,
                    )
                )
    return made


_FEW_ROWS = 8
