"""Code of generated kernels as bytes: the few instructions of inner loops, and nests of loops.

The typed assembler checks every operand, which is too slow where hundreds of multiply-adds are
unrolled: kernels are generated while somebody waits. Here the encodings are put together from
cached pieces; tests read all of it back with the instruction table and run it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from tensorloom.kernels.wasm.assembler import signed_leb
from tensorloom.kernels.wasm.instructions import INSTRUCTIONS, unsigned_leb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorloom.kernels.wasm.assembler import Local
    from tensorloom.kernels.wasm.element import Element
    from tensorloom.kernels.wasm.jit_shape import Level

__all__ = [
    "Nest",
    "Step",
    "advance",
    "get",
    "memory",
    "op",
    "put",
    "read_vector",
    "shuffled",
    "write_vector",
]

_LOOP, _END = b"\x03\x40", b"\x0b"
_AGAIN = b"\x0d\x00"
_SHUFFLE = b"\xfd\x0d"


class Step(Protocol):
    """Code of one summed position at static offsets from two pointers."""

    def __call__(self, left: int, right: int, /) -> bytes:
        """The bytes."""


def get(variable: Local) -> bytes:
    """Pushes a variable."""
    return variable.code


@lru_cache(maxsize=512)
def _put(number: int) -> bytes:
    return b"\x21" + unsigned_leb(number)


def put(variable: Local) -> bytes:
    """Pops into a variable."""
    return _put(variable.number)


def op(name: str) -> bytes:
    """An instruction without immediates."""
    return INSTRUCTIONS[name].code


@lru_cache(maxsize=8192)
def memory(name: str, offset: int) -> bytes:
    """A load or store at a static offset from the address on the stack."""
    row = INSTRUCTIONS[name]
    assert row.alignment is not None
    return row.code + unsigned_leb(row.alignment) + unsigned_leb(offset)


@lru_cache(maxsize=4096)
def _constant(value: int) -> bytes:
    return b"\x41" + signed_leb((value + 2**31) % 2**32 - 2**31)


def advance(pointer: Local, by: int) -> bytes:
    """Moves a pointer."""
    if not by:
        return b""
    return get(pointer) + _constant(by) + op("i32.add") + put(pointer)


def _lane(name: str, offset: int, lane: int) -> bytes:
    return memory(name, offset) + bytes([lane])


def read_vector(element: Element, pointer: Local, target: Local, offsets: Sequence[int]) -> bytes:
    """Loads the elements at static offsets side by side; lanes beyond are anything."""
    if _side_by_side(element, offsets):
        return get(pointer) + memory("v128.load", offsets[0]) + put(target)
    bits = 8 * element.bytes
    code = get(pointer) + memory(f"v128.load{bits}_splat", offsets[0]) + put(target)
    for lane, offset in enumerate(offsets[1:], start=1):
        code += get(pointer) + get(target) + _lane(f"v128.load{bits}_lane", offset, lane)
        code += put(target)
    return code


def write_vector(element: Element, pointer: Local, value: Local, offsets: Sequence[int]) -> bytes:
    """Stores the first elements of a vector at static offsets."""
    if _side_by_side(element, offsets):
        return get(pointer) + get(value) + memory("v128.store", offsets[0])
    code = b""
    lane = 0
    while lane < len(offsets):
        size = element.bytes
        pair = offsets[lane : lane + 2]
        if 2 * size == 8 and lane % 2 == 0 and len(pair) == 2 and pair[1] - pair[0] == size:  # noqa: PLR2004 - two singles
            size *= 2
        where = lane * element.bytes // size
        code += (
            get(pointer) + get(value) + _lane(f"v128.store{8 * size}_lane", offsets[lane], where)
        )
        lane += size // element.bytes
    return code


def _side_by_side(element: Element, offsets: Sequence[int]) -> bool:
    size = element.bytes
    return len(offsets) * size == 16 and all(  # noqa: PLR2004 - bytes of v128
        offset == offsets[0] + size * lane for lane, offset in enumerate(offsets)
    )


class Nest:
    """Loops over summed positions that move two pointers.

    Args:
        levels: Innermost first.
        steps: Variable with the number of steps of the last level, or ``None`` where it is known.
        pointers: The two pointers.
        counters: Variables to count with, one for each level.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        steps: Local | None,
        pointers: tuple[Local, Local],
        counters: Sequence[Local],
    ) -> None:
        self.levels = levels
        self.steps = steps
        self.pointers = pointers
        self.counters = counters

    def code(self, step: Step, unroll: int, whole: int) -> bytes:
        """The loops; afterwards the pointers have moved by all steps of the last level.

        Args:
            step: Code of one position.
            unroll: Positions per turn of the innermost loop.
            whole: Positions up to which inner loops are written out.
        """
        flat = [(0, 0)]
        at = 0
        known = len(self.levels) - (self.steps is not None)
        while at < known and len(flat) * self.levels[at][0] <= whole:
            count, left, right = self.levels[at]
            flat = [(a + i * left, b + i * right) for i in range(count) for a, b in flat]
            at += 1
        if at == len(self.levels):
            count, left, right = self.levels[-1]
            first, second = self.pointers
            made = b"".join(step(a, b) for a, b in flat)
            return made + advance(first, count * left) + advance(second, count * right)
        body, moved = self._innermost(at, flat, step, max(1, unroll // len(flat)))
        for level in range(at + 1, len(self.levels)):
            body, moved = self._around(level, body, moved)
        return body

    def _innermost(
        self, at: int, flat: list[tuple[int, int]], step: Step, unroll: int
    ) -> tuple[bytes, tuple[int, int]]:
        """The first level that is a loop, and how far the pointers have moved after it."""
        count, left, right = self.levels[at]

        def run(times: int) -> bytes:
            made = [step(i * left + a, i * right + b) for i in range(times) for a, b in flat]
            return b"".join(made)

        def moving(times: int) -> bytes:
            first, second = self.pointers
            return advance(first, times * left) + advance(second, times * right)

        if at == len(self.levels) - 1 and self.steps is not None:
            return self._counted(run, moving, unroll), (0, 0)
        unroll = next(
            (n for n in (unroll, unroll + 1, unroll - 1) if n > 1 and count % n == 0), unroll
        )
        turns, rest = divmod(count, unroll)
        code = _constant(turns) + put(self.counters[at]) + _LOOP + run(unroll) + moving(unroll)
        code += self._again(at)
        if rest:
            code += run(rest) + moving(rest)
        return code, (count * left, count * right)

    def _counted(self, run: object, moving: object, unroll: int) -> bytes:
        """A loop whose number of steps is a variable: by whole turns, then one by one."""
        assert self.steps is not None
        assert callable(run)
        assert callable(moving)
        counter = self.counters[len(self.levels) - 1]
        code: bytes = get(self.steps) + put(counter)
        for times in dict.fromkeys((unroll, 1)):
            limit = _constant(times)
            code += get(counter) + limit + op("i32.ge_u") + b"\x04\x40" + _LOOP
            code += run(times) + moving(times)
            code += get(counter) + limit + op("i32.sub") + put(counter)
            code += get(counter) + limit + op("i32.ge_u") + _AGAIN + _END + _END
        return code

    def _around(
        self, level: int, body: bytes, moved: tuple[int, int]
    ) -> tuple[bytes, tuple[int, int]]:
        """A level around code that moves the pointers."""
        count, left, right = self.levels[level]
        first, second = self.pointers
        start = _constant(count)
        if level == len(self.levels) - 1 and self.steps is not None:
            start = get(self.steps)
        code = start + put(self.counters[level]) + _LOOP + body
        code += advance(first, left - moved[0]) + advance(second, right - moved[1])
        return code + self._again(level), (count * left, count * right)

    def _again(self, level: int) -> bytes:
        counter = self.counters[level]
        code = get(counter) + _constant(1) + op("i32.sub") + put(counter)
        return code + get(counter) + _AGAIN + _END


def shuffled(picked: Sequence[int]) -> bytes:
    """Picks bytes from the two vectors on the stack."""
    return _SHUFFLE + bytes(picked)
