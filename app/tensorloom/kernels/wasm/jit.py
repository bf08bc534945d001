"""Kernels generated for one spec: which candidates are worth a try, cheapest first.

The model counts cycles of one core: what tiles multiply, load and store, what packing moves, and
what memory can deliver. It only ranks; a tuner measures.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.jit_candidate import Candidate, Family, WasmDevice
from tensorloom.kernels.wasm.jit_cost import cost
from tensorloom.kernels.wasm.jit_module import tables
from tensorloom.kernels.wasm.jit_shape import shape_of
from tensorloom.kernels.wasm.schedule import Kernel, Schedule, exchanged
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tensorloom.kernels.program import KernelSpec
    from tensorloom.kernels.wasm.jit_shape import Shape
    from tensorloom.model.recipe import DType

__all__ = [
    "MOST_CANDIDATES",
    "Candidate",
    "WasmDevice",
    "can_make",
    "every_candidate",
    "jit_candidates",
    "jit_kernel",
    "jit_ranking",
    "jit_schedule",
]

MOST_CANDIDATES = 6
_ALIKE = 3
"""Most candidates of one family: the model errs alike for all of them."""

_DEPTH = 256
_STREAM_DEPTH = 8
_WORSE = 0.02
"""What a tile is expected to lose to the device's next better one, beyond the model."""

_MOST_TILES = 1 << 17
"""Tables beyond this are no longer small beside the work."""


def jit_ranking(spec: KernelSpec, device: WasmDevice) -> tuple[tuple[Candidate, float], ...]:
    """The ways worth a try with their cycles, at most ``MOST_CANDIDATES``, the cheapest first.

    Empty for unary specs, and where tables would be huge: the ready kernels serve those. Numbers
    only; ``jit_schedule`` makes the tables of those that are tried.
    """
    if spec.unary or max(spec.extents[0], spec.extents[1] // 4, spec.extents[2] // 8) > _MOST_TILES:
        return ()
    seen = spec, exchanged(spec)
    made: list[tuple[float, Candidate]] = []
    for candidate, place in _space(seen, device):
        shape = shape_of(seen[candidate.turned], candidate)
        cycles = (1 + _WORSE * place) * cost(shape, spec, candidate, device)
        made.append((cycles, candidate))
    made.sort(key=lambda one: one[0])
    alike: Counter[str] = Counter()
    kept: list[tuple[Candidate, float]] = []
    for cycles, candidate in made:
        if alike[candidate.family] < _ALIKE and len(kept) < MOST_CANDIDATES:
            alike[candidate.family] += 1
            kept.append((candidate, cycles))
    return tuple(kept)


def every_candidate(spec: KernelSpec, device: WasmDevice) -> tuple[Candidate, ...]:
    """All ways that ``jit_ranking`` chooses from, for the device's tiles."""
    return tuple(candidate for candidate, _ in _space((spec, exchanged(spec)), device))


def jit_candidates(spec: KernelSpec, device: WasmDevice) -> tuple[Schedule, ...]:
    """The schedules of ``jit_ranking``, in its order."""
    return tuple(
        _schedule(spec, candidate, _shape(spec, candidate), cycles)
        for candidate, cycles in jit_ranking(spec, device)
    )


def jit_schedule(spec: KernelSpec, candidate: Candidate, device: WasmDevice) -> Schedule:
    """The schedule of a candidate that is already chosen."""
    shape = _shape(spec, candidate)
    return _schedule(spec, candidate, shape, cost(shape, spec, candidate, device))


def _shape(spec: KernelSpec, candidate: Candidate) -> Shape:
    return shape_of(exchanged(spec) if candidate.turned else spec, candidate)


def can_make(spec: KernelSpec, candidate: Candidate) -> bool:
    """Whether there is such a kernel for this spec; a candidate of another one may ask too much.

    Dot products read both operands along one axis, which has to be contiguous in both.
    """
    return candidate.family != "dot" or _along_both(spec, 1)


def jit_kernel(spec: KernelSpec, candidate: Candidate) -> Kernel:
    """The kernel of a candidate."""
    return Kernel(form="jit", dtype=spec.dtype, spec=spec, candidate=candidate)


def _schedule(spec: KernelSpec, candidate: Candidate, shape: Shape, cycles: float) -> Schedule:
    return Schedule(
        kernel=jit_kernel(spec, candidate),
        descriptor=tables(shape),
        extents=(shape.items, shape.rows.starts[-1], shape.columns.starts[-1]),
        swapped=candidate.turned,
        cycles=cycles,
        grain=1,
        keeps=shape.blocks.count == 1,
    )


def _space(seen: tuple[KernelSpec, KernelSpec], device: WasmDevice) -> list[tuple[Candidate, int]]:
    """All candidates, of a spec as it is and turned, with the place of their tile."""
    dtype = seen[0].dtype
    lanes = 16 // ITEM_BYTES[dtype]
    made = []
    for is_turned in (False, True):
        _, m, n, k = seen[is_turned].extents
        tiles = dict.fromkeys(
            (min(rows, m), lanes * min(vectors, -(-n // lanes)))
            for rows, vectors in device.tiles_for(dtype)
        )
        families: list[tuple[Family, int]] = [
            ("unpacked", _DEPTH if k > 2 * _DEPTH else 0),
            ("right", _DEPTH if k > 2 * _DEPTH else 0),
            ("packed", _DEPTH),
        ]
        if m <= _FEW_ROWS and k > _DEPTH // 2:
            families.append(("stream", _STREAM_DEPTH))
        if min(m, n) <= _FEW_ROWS and _along_both(seen[is_turned], 2 * lanes):
            dots = dict.fromkeys((min(rows, m), min(columns, n)) for rows, columns in _DOTS[dtype])
            for place, (rows, columns) in enumerate(dots):
                dot = Candidate(family="dot", rows=rows, columns=columns, turned=is_turned)
                made.append((dot, place))
        for place, (rows, columns) in enumerate(tiles):
            for family, depth in families:
                candidate = Candidate(
                    family=family, rows=rows, columns=columns, depth=depth, turned=is_turned
                )
                made.append((candidate, place))
    return made


_FEW_ROWS = 8

_REAL_DOTS, _COMPLEX_DOTS = ((3, 3), (2, 4), (4, 2)), ((2, 2), (1, 1))
_DOTS: Mapping[DType, tuple[tuple[int, int], ...]] = {
    "float32": _REAL_DOTS,
    "float64": _REAL_DOTS,
    "complex64": _COMPLEX_DOTS,
    "complex128": _COMPLEX_DOTS,
}
"""Tiles of dot products whose sums and columns fit 15 registers."""


def _along_both(spec: KernelSpec, least: int) -> bool:
    """Whether a summed axis is contiguous in both operands."""
    return any(axis.left == axis.right == 1 and axis.size >= least for axis in spec.contracted)
