"""Cycles a generated kernel should take: a small model, fitted to one core (Zen 4, Chromium)."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from tensorloom.kernels.wasm.jit_module import columns_inner, packs
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from tensorloom.kernels.program import KernelSpec
    from tensorloom.kernels.wasm.jit_candidate import Candidate, WasmDevice
    from tensorloom.kernels.wasm.jit_shape import Cut, Shape

__all__ = ["cost"]

_VECTOR_BYTES = 16
_LINE_BYTES = 64
_CACHED_BYTES_PER_CYCLE, _FAR_BYTES_PER_CYCLE, _MEMORY_BYTES_PER_CYCLE = 48, 24, 8
"""What the second cache delivers, what lies beyond it, and memory itself."""

_FAR_BYTES = 8 << 20
"""Arrays beyond this come from memory: the last cache is shared with others."""


class _Numbers(NamedTuple):
    """What counts about the numbers that are multiplied.

    Args:
        size: Of an element [bytes].
        lanes: Elements in a vector.
        parts: Sums for each vector: two if complex.
        fused: Whether products and sums are one instruction.
    """

    size: int
    lanes: int
    parts: int
    fused: bool


class _Kind(NamedTuple):
    """What counts about the tiles of a kind.

    Args:
        tiles: How many there are.
        size: Positions of each.
        vectors: Vectors of columns.
        apart: Those whose elements do not lie side by side in the operand.
        writes: Cycles to store a row of the result.
        packing: Cycles to pack one summed position.
        fought: Those more where the next position is on other cache lines.
    """

    tiles: int
    size: int
    vectors: int
    apart: int
    writes: float
    packing: float
    fought: float


def cost(shape: Shape, spec: KernelSpec, candidate: Candidate, device: WasmDevice) -> float:
    """Expected cycles."""
    size = ITEM_BYTES[spec.dtype]
    parts = 2 if spec.dtype.startswith("complex") else 1
    numbers = _Numbers(size, _VECTOR_BYTES // size, parts, device.relaxed_simd)
    packed = packs(candidate)
    k = shape.inner * shape.blocks.steps
    blocks = shape.blocks.count
    # Sums of several blocks are read and written again; a stream's stay in the nearest cache.
    rewritten = 1 if blocks == 1 else blocks if candidate.family == "stream" else 2 * blocks
    sides = [_kinds(cut, size) for cut in (shape.rows, shape.columns)]

    def tile(row: _Kind, column: _Kind) -> float:
        if candidate.family == "dot":
            return _dots(numbers, row.size, column.size, shape)
        return _tile(numbers, row.size, column, (k, rewritten), packed=packed[1])

    total = sum(
        row.tiles * column.tiles * tile(row, column) for row in sides[0] for column in sides[1]
    )
    total += _overhead(shape, blocks)
    for side in (0, 1):
        if packed[side]:
            apart = shape.levels[0][1 + side] >= _LINE_BYTES
            total += sum(
                kind.tiles * (8 + k * (1 + kind.packing + apart * kind.fought))
                for kind in sides[side]
            )
    return 150 + shape.items * (total + _traffic(shape, size, candidate, device, k))


@lru_cache(maxsize=512)
def _kinds(cut: Cut, size: int) -> tuple[_Kind, ...]:
    """The kinds of tiles of a side; candidates share its cuts."""
    lanes = _VECTOR_BYTES // size
    made = []
    for number, kind in enumerate(cut.kinds):
        read, written = _groups(kind.operand, lanes), _groups(kind.out, lanes)
        apart = [len(group) for group in read if not _whole(size, group)]
        stored = [1.0 if _whole(size, group) else 2.5 * len(group) for group in written]
        made.append(
            _Kind(
                tiles=cut.starts[number + 1] - cut.starts[number],
                size=len(kind.out),
                vectors=len(read),
                apart=len(apart),
                writes=sum(stored),
                packing=2 * (len(read) - len(apart)) + sum(apart),
                fought=_fought(kind.operand),
            )
        )
    return tuple(made)


def _fought(offsets: tuple[int, ...]) -> float:
    """Cycles lost by elements that all want the same few places of the nearest cache."""
    alike = sum((offset - offsets[0]) % _PAGE_BYTES == 0 for offset in offsets)
    return _FOUGHT * alike if alike >= _WAYS else 0.0


def _groups(offsets: tuple[int, ...], lanes: int) -> list[tuple[int, ...]]:
    return [offsets[at : at + lanes] for at in range(0, len(offsets), lanes)]


def _whole(size: int, offsets: tuple[int, ...]) -> bool:
    return offsets == tuple(range(offsets[0], offsets[0] + _VECTOR_BYTES, size))


def _overhead(shape: Shape, blocks: int) -> float:
    """Calls and loops around the tiles."""
    outer = min(shape.rows.starts[-1], shape.columns.starts[-1])
    return 30 + blocks * (20 + 12 * outer * len(shape.rows.kinds))


def _tile(
    numbers: _Numbers, height: int, column: _Kind, depth: tuple[int, int], *, packed: bool
) -> float:
    """Cycles of a tile.

    Without relaxed SIMD an engine is taken for WebKit, where seven tiles are met within a tenth.
    """
    k, rewritten = depth
    products = height * column.vectors * numbers.parts
    gathered = 0 if packed else column.apart * (3 * numbers.lanes - 1)
    splats = height * numbers.parts
    if numbers.fused:
        work = max(products, splats + column.vectors + gathered) / 2
    else:
        work = products / 2 + splats + gathered / 2
    # Sums wait for themselves, but the next tile starts meanwhile.
    waited = max(k * work, k * _LATENCY - _OVERLAP)
    return 5 + 0.15 * k + waited + rewritten * height * column.writes


def _dots(numbers: _Numbers, rows: int, columns: int, shape: Shape) -> float:
    """Cycles of a tile of dot products: vectors, what is left of them, sums across them."""
    (count, *_), *outer = shape.levels
    vectors, rest = divmod(count, numbers.lanes)
    products = rows * columns * numbers.parts
    step = max(products if numbers.fused else 2 * products, rows + columns * numbers.parts) / 2
    turns = prod(level[0] for level in outer)
    return 10 + turns * (vectors * (step + 0.2) + 1.5 * rest * step) + 5 * products


_LATENCY, _OVERLAP = 4.15, 40
"""Cycles until a sum can be added to again, and how far an engine looks ahead."""


def _traffic(
    shape: Shape, item_bytes: int, candidate: Candidate, device: WasmDevice, k: int
) -> float:
    """Cycles lost to caches by an item: operands that come from too far away, again and again."""
    packed = packs(candidate)
    total = 0.0
    inner = 1 if columns_inner(candidate, shape) else 0
    cuts = (shape.rows, shape.columns)
    for side in (0, 1):
        if candidate.family == "stream":
            continue
        tiles, others = cuts[side].starts[-1], cuts[1 - side].starts[-1]
        # What is packed is read once, and then once more as panels.
        times = 1 if packed[side] else others if side == inner else 1
        size = tiles * cuts[side].lanes * min(k, shape.depth) * item_bytes
        moved = shape.blocks.count * size * times
        if size > device.level2_bytes:
            total += moved / _beyond(size)
        elif size > device.level1_bytes and not packed[side]:
            total += moved / _CACHED_BYTES_PER_CYCLE
        if packed[side]:
            total += moved / _CACHED_BYTES_PER_CYCLE
        total += _far(shape, side, k) * tiles * (1 if packed[side] else others) * k
    written = prod(cut.starts[-1] * cut.lanes for cut in cuts) * item_bytes
    if written > device.level2_bytes:
        total += written / _beyond(written)
    return total


def _beyond(size: int) -> float:
    """Bytes per cycle of an array that the second cache does not hold."""
    return _FAR_BYTES_PER_CYCLE if size <= _FAR_BYTES else _MEMORY_BYTES_PER_CYCLE


def _far(shape: Shape, side: int, k: int) -> float:
    """Cycles a summed position costs more where the next one is far away.

    Powers of two are worst: few places in the nearest cache are all there is for them.
    """
    stride = shape.levels[0][1 + side]
    if stride % _PAGE_BYTES == 0 and stride and k > _WAYS:
        return 5.0
    if stride % 1024 == 0 and stride and k > _WAYS:
        return 0.8
    return 0.3 if stride > _LINE_BYTES else 0.0


_WAYS = 8
"""Lines of the nearest cache for addresses that differ by a power of two."""

_PAGE_BYTES = 4096
_FOUGHT = 2.5
"""Cycles until the second cache has delivered a line, beside others under way."""
