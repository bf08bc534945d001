"""Cycles a generated kernel should take: a small model, fitted to one core (Zen 4, Chromium)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.element import Element
from tensorloom.kernels.wasm.jit_module import columns_inner, packs

if TYPE_CHECKING:
    from tensorloom.kernels.program import KernelSpec
    from tensorloom.kernels.wasm.jit_candidate import Candidate, WasmDevice
    from tensorloom.kernels.wasm.jit_shape import Cut, Shape, Tile

__all__ = ["cost"]


def cost(shape: Shape, spec: KernelSpec, candidate: Candidate, device: WasmDevice) -> float:
    """Expected cycles."""
    element = Element(spec.dtype, relaxed=device.relaxed_simd)
    packed = packs(candidate)
    k = shape.inner * int(shape.blocks[:, 2].sum())
    blocks = len(shape.blocks)
    total = 0.0
    for i, row in enumerate(shape.rows.kinds):
        for j, column in enumerate(shape.columns.kinds):
            count = _count(shape.rows, i) * _count(shape.columns, j)
            total += count * _tile(element, row, column, (k, blocks), packed)
    total += _overhead(shape, blocks)
    for side, cut in ((0, shape.rows), (1, shape.columns)):
        if packed[side]:
            total += k * sum(
                _count(cut, i) * (3 + _pack(element, kind)) for i, kind in enumerate(cut.kinds)
            )
    return 150 + len(shape.batch) * total + _traffic(shape, element, packed, candidate, device, k)


def _count(cut: Cut, kind: int) -> int:
    return cut.starts[kind + 1] - cut.starts[kind]


def _overhead(shape: Shape, blocks: int) -> float:
    """Calls and loops around the tiles."""
    outer = min(shape.rows.starts[-1], shape.columns.starts[-1])
    return 30 + blocks * (20 + 12 * outer * len(shape.rows.kinds))


def _tile(
    element: Element,
    row: Tile,
    column: Tile,
    depth: tuple[int, int],
    packed: tuple[bool, bool],
) -> float:
    k, blocks = depth
    height = len(row.out)
    lanes = 16 // element.bytes
    groups = [column.out[at : at + lanes] for at in range(0, len(column.out), lanes)]
    parts = 2 if element.complex else 1
    products = height * len(groups) * parts * (1 if element.relaxed else 1.6)
    reads = height * parts
    for at in range(0, len(column.out), lanes):
        whole = packed[1] or _whole(element, column.operand[at : at + lanes])
        reads += 1 if whole else 3 * lanes
    # Short sums wait for each other: an engine has two multipliers with four stages.
    each = 0.4 + max(products / 2, reads / 2, 4.0 * (1 if element.relaxed else 2))
    writes = height * sum(1.5 if _whole(element, group) else 1.5 * len(group) for group in groups)
    return 10 + k * each + blocks * writes * (1 if blocks == 1 else 2)


def _whole(element: Element, offsets: tuple[int, ...]) -> bool:
    size = element.bytes
    return len(offsets) * size == 16 and all(  # noqa: PLR2004 - bytes of v128
        offset == offsets[0] + lane * size for lane, offset in enumerate(offsets)
    )


def _pack(element: Element, kind: Tile) -> float:
    """Cycles to pack one summed position of a tile."""
    lanes = 16 // element.bytes
    groups = [kind.operand[at : at + lanes] for at in range(0, len(kind.operand), lanes)]
    return sum(1.0 if _whole(element, group) else 1.0 * len(group) for group in groups)


def _traffic(
    shape: Shape,
    element: Element,
    packed: tuple[bool, bool],
    candidate: Candidate,
    device: WasmDevice,
    k: int,
) -> float:
    """Cycles lost to caches: operands that are read again and again from too far away."""
    total = 0.0
    inner = 1 if columns_inner(candidate, shape) else 0
    cuts = (shape.rows, shape.columns)
    for side in (0, 1):
        if packed[side] or candidate.family == "stream":
            continue
        depth = min(k, shape.depth)
        size = cuts[side].starts[-1] * cuts[side].lanes * depth * element.bytes
        times = cuts[1 - side].starts[-1] if side == inner else 1
        if size > device.level2_bytes:
            total += len(shape.batch) * len(shape.blocks) * size * times / 8
        elif size > device.level1_bytes:
            total += len(shape.batch) * len(shape.blocks) * size * times / 48
        tiles = shape.rows.starts[-1] * shape.columns.starts[-1]
        total += _far(shape, side) * len(shape.batch) * tiles * k
    return total


def _far(shape: Shape, side: int) -> float:
    """Cycles a summed position costs more where the next one is far away.

    Powers of two are worst: few places in the nearest cache are all there is for them.
    """
    stride = shape.levels[0][1 + side]
    if stride % 4096 == 0 and stride:
        return 5.0
    if stride % 1024 == 0 and stride:
        return 0.8
    return 0.3 if stride > 64 else 0.0  # noqa: PLR2004 - bytes of a cache line
