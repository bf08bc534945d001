"""Small kernels: one function for one spec, everything baked in, a handful of nanoseconds a call.

Tiles of results stay in registers. Their loads are written out with static offsets, what several
results need is loaded once, and loops are left only where writing them out would be long. A vector
holds neighbouring results; an operand that is not contiguous along them is gathered by lanes.

The function adds up the squares of what it makes. Where the sum says that magnitudes may have left
the safe range, it looks closely (``outside``) and returns 1 if they have: carried exponents cost
one more multiply-add per vector, and only ever too much care.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from tensorloom.kernels.ranges import SAFE_LOG2
from tensorloom.kernels.wasm.assembler import (
    Function,
    Local,
    apply,
    f32,
    f64,
    i32,
    lane,
)
from tensorloom.kernels.wasm.element import Element
from tensorloom.kernels.wasm.jit_code import advance, get, memory, op, put, shuffled
from tensorloom.kernels.wasm.layout import CHECK_DOUBLE, CHECK_SINGLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tensorloom.kernels.program import KernelSpec, LoopAxis

__all__ = ["OUTSIDE", "small_function"]

OUTSIDE = 2
"""Number of the function ``(address, bytes, check, low, high) -> i32`` in every module of these."""

_WRITTEN_OUT = 64
"""Products of vectors up to which a kernel is written out without loops."""

_DEEP = 8
"""Summed positions up to which they are written out within a loop."""

_VECTOR_BYTES = 16


class _Axis(NamedTuple):
    """A loop: size, and strides in left, right and result [bytes]."""

    size: int
    left: int
    right: int
    out: int


_Place = tuple[int, int, int]
"""Offsets in left, right and result [bytes]."""


@lru_cache(maxsize=2048)
def small_function(spec: KernelSpec, relaxed: bool) -> bytes:  # noqa: FBT001 - a key of the cache
    """The code of a function ``(left, right, out) -> i32``: 1 if magnitudes left the safe range.

    Args:
        spec: What to compute; the right operand of a unary one is not read.
        relaxed: Whether fused multiply-add may be used.
    """
    return _Writer(spec, Element(spec.dtype, relaxed=relaxed)).encoded()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tile:
    """How a spec is cut.

    Args:
        lanes: Places of the elements of a vector, the first at the origin.
        places: Places of the vectors of a tile.
        around: Axes of the result outside the tile, innermost first.
        depth: Summed places written out together.
        summed: Axes around them, innermost first.
    """

    lanes: tuple[_Place, ...]
    places: tuple[_Place, ...]
    around: tuple[_Axis, ...]
    depth: tuple[_Place, ...]
    summed: tuple[_Axis, ...]


class _Writer:
    """Writes the function of one spec."""

    def __init__(self, spec: KernelSpec, element: Element) -> None:
        self.spec = spec
        self.element = element
        self.function = function = Function(0, ("i32",) * 3, "i32")
        self.left, self.right, self.out = function.parameters
        self.tile = _cut(spec, element)
        self.parts = 2 if element.complex and not spec.unary else 1
        self.made = function.variable(self.out) if self.tile.around else self.out
        summing = bool(self.tile.summed)
        self.at_left = function.local("i32") if summing else self.left
        self.at_right = function.local("i32") if summing else self.right
        self.squares = function.local("v128")
        vectors = len(self.tile.places) * self.parts
        self.sums = [function.local("v128") for _ in range(vectors)]
        self.loaded: dict[tuple[int, int], Local] = {}
        self.spare: list[Local] = []

    def encoded(self) -> bytes:
        """All of it."""
        function = self.function
        around = self.tile.around
        if (
            prod(axis.size for axis in around) * len(self.tile.depth) * len(self.sums)
            > _WRITTEN_OUT
        ):
            pointers = [(self.left, 1), (self.right, 2), (self.out, 3)]
            if self.spec.unary:
                pointers = [pointers[0], pointers[2]]
            function.write(self._nest(around, pointers, lambda: self._tile_at((0, 0, 0))))
        else:
            for place in _places(around):
                function.write(self._tile_at(place))
        self._judge()
        return function.encode()

    def _nest(
        self,
        axes: Sequence[_Axis],
        pointers: Sequence[tuple[Local, int]],
        body: Callable[[], bytes],
    ) -> bytes:
        """Loops over axes, innermost first; each pointer moves by a column of the axis."""
        code = body()
        moved = [0] * len(pointers)
        for axis in axes:
            counter = self.function.local("i32")
            steps = b"".join(
                advance(pointer, axis[column] - gone)
                for (pointer, column), gone in zip(pointers, moved, strict=True)
            )
            code = (
                i32(axis.size).code + put(counter) + b"\x03\x40" + code + steps
                + get(counter) + i32(1).code + op("i32.sub") + put(counter)
                + get(counter) + b"\x0d\x00\x0b"
            )  # fmt: skip
            moved = [axis.size * axis[column] for _, column in pointers]
        return code

    def _tile_at(self, place: _Place) -> bytes:
        """The results of one tile at static offsets from the pointers."""
        if not self.tile.summed:
            code = self._products(place, fresh=True)
        else:
            code = get(self.left) + put(self.at_left)
            pointers = [(self.at_left, 1)]
            if not self.spec.unary:
                code += get(self.right) + put(self.at_right)
                pointers.append((self.at_right, 2))
            code += b"".join(_ZERO + put(total) for total in self.sums)
            code += self._nest(
                self.tile.summed, pointers, lambda: self._products(place, fresh=False)
            )
        return code + b"".join(
            self._store(number, place[2] + there[2])
            for number, there in enumerate(self.tile.places)
        )

    def _products(self, place: _Place, *, fresh: bool) -> bytes:
        """Adds the products of the summed places that are written out."""
        chunks: list[bytes] = []
        for deep in self.tile.depth:
            self.spare = [*dict.fromkeys((*self.spare, *self.loaded.values()))]
            self.loaded = {}
            for number, there in enumerate(self.tile.places):
                left = place[0] + deep[0] + there[0]
                right = place[1] + deep[1] + there[1]
                self._product(chunks, number, left, right, fresh)
            fresh = False
        return b"".join(chunks)

    def _product(
        self,
        chunks: list[bytes],
        number: int,
        left: int,
        right: int,
        fresh: bool,  # noqa: FBT001
    ) -> None:
        if self.spec.unary:
            chunks.append(self._one(self.sums[number], left, fresh=fresh))
            return
        for part in range(self.parts):
            first = self._left(chunks, left, part)
            second = self._right(chunks, right, part)
            total = self.sums[number * self.parts + part]
            chunks.append(_accumulated(self.element, first, second, total, fresh))

    def _one(self, total: Local, left: int, *, fresh: bool) -> bytes:
        """Adds the left operand alone."""
        if fresh:
            return self._read(self.at_left, total, left, 0)
        value = self._spare()
        self.spare.append(value)
        code = self._read(self.at_left, value, left, 0)
        return code + get(total) + get(value) + _vector_op(self.element, "add") + put(total)

    def _left(self, chunks: list[bytes], offset: int, part: int) -> Local:
        """The left factor; of complex numbers one part in both lanes of each."""
        known = self.loaded.get((part, offset))
        if known is not None:
            return known
        element = self.element
        value = self._spare()
        if not element.complex:
            chunks.append(self._read(self.at_left, value, offset, 0))
        elif len({lane[0] for lane in self.tile.lanes}) == 1:
            size = element.scalar_bytes
            chunks.append(
                get(self.at_left)
                + memory(f"v128.load{8 * size}_splat", offset + part * size)
                + put(value)
            )
        else:
            whole = self.loaded.get((4, offset))
            if whole is None:
                whole = self.loaded[4, offset] = self._spare()
                chunks.append(self._read(self.at_left, whole, offset, 0))
            chunks.append(get(whole) + get(whole) + _twice(element, part) + put(value))
        self.loaded[part, offset] = value
        return value

    def _right(self, chunks: list[bytes], offset: int, part: int) -> Local:
        """The right factor; for the imaginary part of the left one with its parts exchanged."""
        known = self.loaded.get((2 + part, offset))
        if known is not None:
            return known
        if part:
            plain = self._right(chunks, offset, 0)
            value = self._spare()
            chunks.append(get(plain) + get(plain) + _exchange(self.element) + put(value))
        else:
            value = self._spare()
            chunks.append(self._read(self.at_right, value, offset, 1))
        self.loaded[2 + part, offset] = value
        return value

    def _spare(self) -> Local:
        return self.spare.pop() if self.spare else self.function.local("v128")

    def _read(self, pointer: Local, value: Local, offset: int, side: int) -> bytes:
        """Loads a vector of elements from an operand."""
        offsets = [lane[side] for lane in self.tile.lanes]
        size = self.element.bytes
        if size == _VECTOR_BYTES or offsets == [size * n for n in range(_VECTOR_BYTES // size)]:
            return get(pointer) + memory("v128.load", offset) + put(value)
        bits = 8 * size
        code = get(pointer) + memory(f"v128.load{bits}_splat", offset) + put(value)
        if any(offsets):
            for number, there in enumerate(offsets[1:], start=1):
                code += get(pointer) + get(value)
                code += memory(f"v128.load{bits}_lane", offset + there) + bytes([number])
                code += put(value)
        return code

    def _store(self, number: int, offset: int) -> bytes:
        """Writes a vector of results and adds their squares."""
        element = self.element
        total = self.sums[number * self.parts]
        code = b""
        if self.parts == 2:  # noqa: PLR2004 - real and imaginary
            cross = self.sums[number * self.parts + 1]
            code = _madd(element, get(cross), _signs(element), get(total)) + put(total)
        code += _madd(element, get(total), get(total), get(self.squares)) + put(self.squares)
        code += get(self.out) + get(total)
        if len(self.tile.lanes) * element.bytes == _VECTOR_BYTES:
            return code + memory("v128.store", offset)
        return code + memory(f"v128.store{8 * element.bytes}_lane", offset) + b"\x00"

    def _judge(self) -> None:
        """Looks closely where the sum of squares leaves the range, else says that all is well."""
        element, function = self.element, self.function
        shape = "f32x4" if element.scalar == "f32" else "f64x2"
        lanes = [lane(f"{shape}.extract_lane", self.squares, n) for n in range(element.lanes)]
        while len(lanes) > 1:
            lanes = [apply(f"{element.scalar}.add", *lanes[:2]), *lanes[2:]]
        total = function.variable(lanes[0])
        safe = 2.0 ** SAFE_LOG2[self.spec.dtype]
        number = f32 if element.scalar == "f32" else f64
        fits = apply(f"{element.scalar}.gt", total, number(1 / safe**2)) & apply(
            f"{element.scalar}.lt", total, number(safe**2)
        )
        with function.when(fits):
            function.give(i32(0))
        size = prod(self.spec.extents[:3]) * element.bytes
        check = CHECK_SINGLE if element.scalar == "f32" else CHECK_DOUBLE
        function.write(
            self.made.code + i32(size).code + i32(check).code + f64(1 / safe).code
            + f64(safe).code + b"\x10" + bytes([OUTSIDE]) + b"\x0f"
        )  # fmt: skip


_ZERO = b"\xfd\x0c" + bytes(16)


@lru_cache(maxsize=64)
def _vector_op(element: Element, name: str) -> bytes:
    return op(f"{'f32x4' if element.scalar == 'f32' else 'f64x2'}.{name}")


@lru_cache(maxsize=4096)
def _madd(element: Element, a: bytes, b: bytes, c: bytes) -> bytes:
    """``a * b + c`` of what the three pieces of code push."""
    if element.relaxed:
        return a + b + c + _vector_op(element, "relaxed_madd")
    return c + a + b + _vector_op(element, "mul") + _vector_op(element, "add")


@lru_cache(maxsize=8192)
def _accumulated(element: Element, left: Local, right: Local, total: Local, fresh: bool) -> bytes:  # noqa: FBT001 - keys of the cache
    """Adds a product to a sum, or starts it."""
    if fresh:
        return left.code + right.code + _vector_op(element, "mul") + put(total)
    return _madd(element, left.code, right.code, total.code) + put(total)


@lru_cache(maxsize=16)
def _picked(element: Element, lanes: tuple[int, ...]) -> bytes:
    """The shuffle that picks scalars of the two vectors on the stack."""
    size = element.scalar_bytes
    return shuffled([n * size + byte for n in lanes for byte in range(size)])


def _twice(element: Element, part: int) -> bytes:
    """One part of each interleaved number in both its lanes."""
    return _picked(element, tuple(n // 2 * 2 + part for n in range(element.lanes)))


def _exchange(element: Element) -> bytes:
    """The parts of each interleaved number exchanged."""
    return _picked(element, tuple(n ^ 1 for n in range(element.lanes)))


@lru_cache(maxsize=4)
def _signs(element: Element) -> bytes:
    """Minus for real, plus for imaginary lanes."""
    pair = struct.pack("<ff" if element.scalar == "f32" else "<dd", -1.0, 1.0)
    return b"\xfd\x0c" + pair * (_VECTOR_BYTES // len(pair))


def _places(axes: Iterable[_Axis]) -> list[_Place]:
    """All positions of axes, innermost first."""
    places = [(0, 0, 0)]
    for size, left, right, out in axes:
        places = [
            (a + n * left, b + n * right, c + n * out) for n in range(size) for a, b, c in places
        ]
    return places


def _cut(spec: KernelSpec, element: Element) -> _Tile:
    """Vectors along the result's memory, tiles that share what they load, loops around."""
    size = element.bytes

    def scaled(axes: Iterable[LoopAxis]) -> list[_Axis]:
        return [_Axis(a.size, a.left * size, a.right * size, a.out * size) for a in axes]

    result = sorted(scaled((*spec.batch, *spec.rows, *spec.columns)), key=lambda axis: axis.out)
    lanes, result = _lanes(result, _VECTOR_BYTES // size)
    most = _MOST_SUMS // (2 if element.complex and not spec.unary else 1)
    tile, around = _tiled(result, lanes, most)
    summed = sorted(scaled(spec.contracted), key=lambda axis: (max(axis[1:3]), axis.left))
    depth, rest = _deep(summed)
    return _Tile(
        lanes=tuple(_places(lanes)),
        places=tuple(_places(tile)),
        around=tuple(around),
        depth=tuple(_places(depth)),
        summed=tuple(rest),
    )


_MOST_SUMS = 8
"""Vectors of sums in a tile: with factors, what 16 registers hold."""


def _lanes(axes: list[_Axis], wanted: int) -> tuple[list[_Axis], list[_Axis]]:
    """Innermost axes of the result that make one vector, and the others; single numbers else."""
    lanes: list[_Axis] = []
    rest = list(axes)
    while wanted > 1 and rest:
        axis = rest[0]
        if axis.size % wanted == 0:
            lanes.append(axis._replace(size=wanted))
            rest[:1] = [_outer(axis, wanted)] if axis.size > wanted else []
            return lanes, rest
        if wanted % axis.size:
            break
        lanes.append(rest.pop(0))
        wanted //= axis.size
    return ([], list(axes)) if wanted > 1 else (lanes, rest)


def _outer(axis: _Axis, step: int) -> _Axis:
    """What is left of an axis whose positions are taken ``step`` at a time."""
    return _Axis(axis.size // step, *(step * stride for stride in axis[1:]))


def _deep(axes: list[_Axis]) -> tuple[list[_Axis], list[_Axis]]:
    """Summed axes that are written out, and those around them."""
    deep: list[_Axis] = []
    room = _DEEP
    for number, axis in enumerate(axes):
        if axis.size <= room:
            deep.append(axis)
            room //= axis.size
            continue
        step = next(n for n in range(room, 0, -1) if axis.size % n == 0)
        if step > 1:
            deep.append(axis._replace(size=step))
        return deep, [_outer(axis, step), *axes[number + 1 :]]
    return deep, []


def _tiled(axes: list[_Axis], lanes: list[_Axis], most: int) -> tuple[list[_Axis], list[_Axis]]:
    """Axes that make a tile of at most ``most`` vectors with few loads each, and the others."""
    costs = [
        1 if all(lane[side] == 0 for lane in lanes) else _load_cost(lanes, side) for side in (1, 2)
    ]
    rows = _prefixes([axis for axis in axes if not axis.right], most)
    columns = _prefixes([axis for axis in axes if not axis.left], most)
    best: tuple[_Axis, ...] = ()
    best_cost = float("inf")
    for own in rows:
        for other in columns:
            m, n = prod(a.size for a in own), prod(a.size for a in other)
            if m * n > most:
                continue
            cost = (m * costs[0] + n * costs[1] + 1) / (m * n)
            if cost < best_cost:
                best, best_cost = (*own, *other), cost
    if not best:
        shared = [axis for axis in axes if axis.left and axis.right]
        best = max(_prefixes(shared, most), key=lambda tile: prod(axis.size for axis in tile))
    return list(best), _without(axes, best)


def _load_cost(lanes: list[_Axis], side: int) -> int:
    """Loads for one vector of an operand."""
    step = 1
    for axis in lanes:
        if axis[side] != axis.out:
            return prod(a.size for a in lanes)
        step *= axis.size
    return 1


def _prefixes(axes: list[_Axis], most: int) -> list[tuple[_Axis, ...]]:
    """Ways to take innermost axes into a tile, the last one whole or in part."""
    found: list[tuple[_Axis, ...]] = [()]
    taken: tuple[_Axis, ...] = ()
    room = most
    for axis in axes:
        found += [(*taken, axis._replace(size=n)) for n in range(2, room + 1) if axis.size % n == 0]
        if axis.size > room:
            break
        taken = (*taken, axis)
        room //= axis.size
    return found


def _without(axes: list[_Axis], tile: Iterable[_Axis]) -> list[_Axis]:
    """What is left of the axes around a tile; innermost first."""
    taken = {axis[1:]: axis.size for axis in tile}
    rest = []
    for axis in axes:
        step = taken.get(axis[1:], 1)
        if axis.size > step:
            rest.append(_outer(axis, step))
    return rest
