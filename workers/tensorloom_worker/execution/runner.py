"""Contracts slices with numpy (or what ``autoray`` finds) and adds them up.

A runner belongs to one thread and keeps what the next slice can use again. What every slice shares
(inputs in order, tables) is made once per process: ``Shared``. The same slices give the same bits,
whatever ran before: what is kept is what would be made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, product
from math import frexp, isfinite, log2, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.execute.blocks import blocks
from tensorloom.execute.scaling import SAFE_LOG2, absmax, scaled, shift_for
from tensorloom_worker.execution.strategy import Strategy
from tensorloom_worker.execution.sums import Sum
from tensorloom_worker.execution.wanted import no_look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from tensorloom.model.recipe import DType
    from tensorloom_worker.execution.schedule import Call, Leaf, Schedule

__all__ = ["NUMPY", "Library", "Runner", "Shared", "assembled", "library"]

_LEFT_ALONE = 8
"""A magnitude that is looked at and lies between 2**-8 and 2**8 is not changed."""

_LONG = 1 << 22
_OFTEN = 256
"""Somebody may wait no longer: that is looked at before each call of so many multiply-adds, some
milliseconds, and before each of so many calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """The few functions that a runner needs of an array library.

    Args:
        name: As asked for.
        give: From numpy.
        take: To numpy.
        matmul: Of matrices and batches of them.
        multiply: Element by element.
        einsum: With its equation first.
        move: ``(array, order)`` -> the axes in another order.
        swap: Exchanges the last two axes.
        largest: The largest magnitude of a part, as a Python number.
    """

    name: str
    give: Callable[[Any], Any]
    take: Callable[[Any], Any]
    matmul: Callable[[Any, Any], Any]
    multiply: Callable[[Any, Any], Any]
    einsum: Callable[..., Any]
    move: Callable[[Any, tuple[int, ...]], Any]
    swap: Callable[[Any], Any]
    largest: Callable[[Any], float]


def _same(array: Any) -> Any:  # noqa: ANN401  # of any library
    return array


NUMPY = Library(
    name="numpy",
    give=_same,
    take=_same,
    matmul=np.matmul,
    multiply=np.multiply,
    einsum=np.einsum,
    move=np.transpose,
    swap=lambda array: array.swapaxes(-1, -2),
    largest=absmax,
)


def library(name: str) -> Library:
    """The library with this name; ``torch`` runs on a GPU if it sees one.

    Raises:
        ImportError: It is not installed.
    """
    if name == "numpy":
        return NUMPY
    import autoray  # noqa: PLC0415  # for libraries that are seldom there

    if name == "torch":
        import torch  # noqa: PLC0415  # optional and large

        device = "cuda" if torch.cuda.is_available() else "cpu"

        def give(array: NDArray[Any]) -> Any:  # noqa: ANN401  # a tensor
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)
    else:
        import cupy  # noqa: PLC0415  # optional and large

        give = cupy.asarray
    return Library(
        name=name,
        give=give,
        take=autoray.to_numpy,
        matmul=autoray.get_lib_fn(name, "matmul"),
        multiply=autoray.get_lib_fn(name, "multiply"),
        einsum=autoray.get_lib_fn(name, "einsum"),
        move=autoray.get_lib_fn(name, "transpose"),
        swap=lambda array: array.swapaxes(-1, -2),
        largest=lambda array: float(abs(array).max()),
    )


class Shared:
    """What all slices of a job share in one process: inputs in order, and tables.

    Args:
        strategy: What is made once and what is not.
        arrays: One per input of the whole tree, of type ``dtype``; each is let go of as soon as it
            was laid out or is in a table.
        dtype: Type to compute in.
        lib: What contracts.
        look: Raises what ends this, now and then.
    """

    def __init__(
        self,
        strategy: Strategy,
        arrays: Iterable[NDArray[Any]],
        dtype: DType,
        lib: Library = NUMPY,
        look: Callable[[], None] = no_look,
    ) -> None:
        self.dtype: DType = dtype
        self.lib = lib
        self.schedule = strategy.schedule
        # Taken out where they are read: each input is in one table at most, or in the main tree.
        given = {number: (array, 0) for number, array in enumerate(arrays)}
        first = len(given)
        for number, table in enumerate(strategy.tables, first):
            inputs = (given.pop(source)[0] for source in table.inputs)
            made = Shared(Strategy.of(table.tree), inputs, dtype, lib, look)
            value, exponent = Runner(made).slice_value(0, look)
            whole = np.asarray(lib.take(value)).reshape(made.schedule.block_shape)
            given[number] = whole.transpose(made.schedule.output), exponent
        self.exponent = 0
        self.log2: list[float] = []
        self.spread: list[float] = []
        self.leaves: list[Any] = []
        for leaf, number in zip(self.schedule.leaves, strategy.inputs, strict=True):
            look()
            self._hold(leaf, *given.pop(number))

    def _hold(self, leaf: Leaf, array: NDArray[Any], exponent: int) -> None:
        plain = _laid_out(leaf, array, self.schedule.radix)
        largest = absmax(plain)
        shift = shift_for(largest, self.dtype)
        plain = scaled(plain, -shift)
        self.exponent += exponent + shift
        if largest > 0 and isfinite(largest):
            parts = plain.reshape(-1).view(plain.real.dtype)
            sums = (np.abs(block).sum(dtype=np.float64) for (block,) in blocks(parts))
            kept = float(sum(sums)) / parts.size
            own = log2(largest) - shift
            self.log2.append(own)
            self.spread.append(own - log2(kept) if kept > 0 else 0.0)
        else:
            self.log2.append(0.0)
            self.spread.append(0.0)
        self.leaves.append(self.lib.give(plain))

    @property
    def bytes(self) -> int:
        """What is held [bytes]."""
        return sum(int(np.prod(leaf.shape)) for leaf in self.leaves) * np.dtype(self.dtype).itemsize


class Runner:
    """Contracts slices one after the other, and keeps what does not change between them.

    Args:
        shared: What all runners of the job share.
    """

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        schedule = shared.schedule
        self._radix = schedule.radix
        self._live: list[Any] = [None] * (len(schedule.leaves) + len(schedule.calls))
        self._shifts: dict[int, int] = {}
        self._digits: list[int] | None = None
        looked_at = _looked_at(schedule, shared)
        steps = [
            (call.level, _step(call, measured=call.out in looked_at, pauses=number % _OFTEN == 0))
            for number, call in enumerate(schedule.calls)
        ]
        places = range(len(schedule.radix) + 1)
        self._steps = [[step for level, step in steps if level >= place] for place in places]
        leaves = list(enumerate(schedule.leaves))
        self._leaves = [
            [(number, leaf.digits, leaf.form.swapped) for number, leaf in leaves if leaf.level >= p]
            for p in places
        ]

    @property
    def bytes(self) -> int:
        """What it keeps for the next slice, beside what is shared [bytes]."""
        made = self._live[len(self.shared.schedule.leaves) :]
        return sum(int(array.nbytes) for array in made if array is not None)

    def run(self, start: int, end: int, look: Callable[[], None] = no_look) -> Sum:
        """The sums over slices ``start`` to ``end - 1``, one for each block that they touch.

        Args:
            start: First slice.
            end: One behind the last.
            look: Raises what ends this, now and then.

        Returns:
            A sum of shape ``(blocks, *block_shape)``.
        """
        schedule = self.shared.schedule
        per_block = schedule.n_slices // schedule.n_blocks
        first, last = start // per_block, (end - 1) // per_block
        total = Sum((last - first + 1, *schedule.block_shape), self.shared.dtype)
        take = self.shared.lib.take
        with np.errstate(all="ignore"):
            for number in range(start, end):
                value, exponent = self.slice_value(number, look)
                total.add(take(value), exponent, number // per_block - first)
        return total

    def slice_value(self, number: int, look: Callable[[], None] = no_look) -> tuple[Any, int]:
        """``(value, exponent)`` of one slice; the value in ``block_shape``.

        Args:
            number: Which.
            look: Raises what ends this, now and then; the next slice is then made from the start.
        """
        look()
        changed = self._move_to(number)
        shared, live = self.shared, self._live
        swap = shared.lib.swap
        if changed <= len(self._radix):
            digits = self._digits or ()
            for leaf, places, swapped in self._leaves[changed]:
                held = shared.leaves[leaf]
                if places:
                    held = held[tuple([digits[place] for place in places])]
                live[leaf] = swap(held) if swapped else held
            try:
                self._replay(self._steps[changed], look)
            except BaseException:
                # What was kept is of this slice in part, and of the one before.
                self._digits = None
                self._live[len(shared.leaves) :] = [None] * len(shared.schedule.calls)
                raise
        exponent = shared.exponent + sum(self._shifts.values())
        return live[shared.schedule.result], exponent

    def _move_to(self, number: int) -> int:
        """The outermost place, from 1, whose digit changes; 0 at first, beyond all for none."""
        before = self._digits
        digits = []
        for size in reversed(self._radix):
            number, digit = divmod(number, size)
            digits.append(digit)
        digits.reverse()
        self._digits = digits
        if before is None:
            return 0
        for place, (old, new) in enumerate(zip(before, digits, strict=True), 1):
            if old != new:
                return place
        return len(digits) + 1

    def _replay(self, steps: Sequence[_Step], look: Callable[[], None]) -> None:
        live, lib = self._live, self.shared.lib
        matmul, swap = lib.matmul, lib.swap
        for (
            x,
            y,
            out,
            kind,
            natural,
            order,
            parts,
            shape,
            swapped,
            frees,
            measured,
            pauses,
        ) in steps:
            if pauses:
                look()
            if parts and lib is NUMPY:
                made = _in_parts(live[x], live[y], kind, order, parts, look)
            else:
                if kind == "matmul":
                    made = matmul(live[x], live[y])
                else:
                    made = _product(lib, kind, live[x], live[y])
                if natural:
                    made = lib.move(made.reshape(natural), order)
            made = made.reshape(shape)
            if measured:
                made = self._scaled(out, made)
            live[out] = swap(made) if swapped else made
            for number in frees:
                live[number] = None

    def _scaled(self, number: int, made: Any) -> Any:  # noqa: ANN401  # of any library
        """What was made with its exponent taken out, if that has grown."""
        largest = self.shared.lib.largest(made)
        shift = frexp(largest)[1] if largest > 0 and isfinite(largest) else 0
        if abs(shift) <= _LEFT_ALONE:
            shift = 0
        self._shifts[number] = shift
        if shift == 0:
            return made
        if self.shared.lib is NUMPY:
            return scaled(made, -shift)
        half = -shift // 2
        return made * 2.0**half * 2.0 ** (-shift - half)


_Step = tuple[
    int,
    int,
    int,
    str,
    tuple[int, ...],
    tuple[int, ...],
    tuple[tuple[tuple[int, ...], tuple[int, ...]], ...],
    tuple[int, ...],
    bool,
    tuple[int, ...],
    bool,
    bool,
]
"""A call as a plain tuple, which Python unpacks fastest."""


def _step(call: Call, *, measured: bool, pauses: bool) -> _Step:
    form = call.form
    return (
        call.x,
        call.y,
        call.out,
        call.kind,
        call.natural,
        call.order,
        call.parts,
        form.shape,
        form.swapped,
        call.frees,
        measured,
        pauses or call.mul_adds >= _LONG,
    )


def _in_parts(
    x: NDArray[Any],
    y: NDArray[Any],
    kind: str,
    order: tuple[int, ...],
    parts: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...],
    look: Callable[[], None],
) -> NDArray[Any]:
    """The product with its axes moved, part by part."""
    natural = tuple(chain(*(shape for shape, _ in parts)))
    made = np.empty([natural[axis] for axis in order], x.dtype)
    unmoved = made.transpose(np.argsort(order))
    batch, rows, columns = (_ranges(*part) for part in parts)
    room: NDArray[Any] | None = None
    for (deep, among), (wide, right), (high, left) in product(batch, columns, rows):
        look()
        which = (among,) if x.ndim > 2 else ()  # noqa: PLR2004  # a batch
        a, b = x[(*which, left)], y[(*which, slice(None), right)]
        shape = (*a.shape[:-1], b.shape[-1])
        # The first one is the largest.
        room = np.empty(prod(shape), x.dtype) if room is None else room
        _multiply(kind, a, b, room[: prod(shape)].reshape(shape))
        place = unmoved[(*deep, *high, *wide)]
        place[...] = room[: prod(shape)].reshape(place.shape)
    return made


def _ranges(
    shape: tuple[int, ...], steps: tuple[int, ...]
) -> list[tuple[tuple[slice, ...], slice]]:
    """The parts of some axes: along each of them, and where they are one.

    Example:
        >>> [(place, fused.stop) for place, fused in _ranges((3,), (2,))]
        [((slice(0, 2, None),), 2), ((slice(2, 3, None),), 3)]
    """
    found, begin = [], 0
    for first in product(*(range(0, n, step) for n, step in zip(shape, steps, strict=True))):
        ends = [min(n, at + step) for n, at, step in zip(shape, first, steps, strict=True)]
        end = begin + prod(end - at for at, end in zip(first, ends, strict=True))
        found.append((tuple(map(slice, first, ends)), slice(begin, end)))
        begin = end
    return found


def _multiply(kind: str, x: NDArray[Any], y: NDArray[Any], out: NDArray[Any]) -> None:
    """A product of any kind, into ``out``, which has rows and columns even if it is of dots."""
    if kind == "matmul":
        np.matmul(x, y, out=out)
    elif kind == "outer":
        np.multiply(x, y, out=out)
    else:
        np.einsum("bik,bkj->bij", x, y, out=out)


def _product(lib: Library, kind: str, x: Any, y: Any) -> Any:  # noqa: ANN401  # of any library
    if kind == "outer":
        return lib.multiply(x, y)
    if kind == "dots":
        return lib.einsum("bik,bki->b", x, y)
    return lib.einsum("bik,bkj->bij", x, y)


def _looked_at(schedule: Schedule, shared: Shared) -> frozenset[int]:
    """Results whose magnitude may have left the safe range: there exponents are taken out.

    A bound of the largest magnitude grows by the number of terms; typical ones stay behind it by
    half of that, and by how uneven the inputs are. Where either passes the range, numbers are
    looked at; all others need no second pass over memory.
    """
    safe = SAFE_LOG2[shared.dtype]
    bound = dict(enumerate(shared.log2))
    behind = dict(enumerate(shared.spread))
    found = set()
    for call in schedule.calls:
        terms = log2(call.terms)
        bound[call.out] = bound.pop(call.x) + bound.pop(call.y) + terms
        behind[call.out] = behind.pop(call.x) + behind.pop(call.y) + terms / 2 + 1
        if abs(bound[call.out]) > safe or behind[call.out] > safe:
            found.add(call.out)
            bound[call.out], behind[call.out] = float(_LEFT_ALONE), 0.0
    return frozenset(found)


def _laid_out(leaf: Leaf, array: NDArray[Any], radix: tuple[int, ...]) -> NDArray[Any]:
    """An input as ``[digits...][form]``: diagonals taken, lone indices summed, in C order."""
    names = list(leaf.names)
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        while names.count(name) > 1:
            one = names.index(name)
            other = names.index(name, one + 1)
            array = np.diagonal(array, axis1=one, axis2=other)
            del names[other], names[one]
            names.append(name)
    wanted = (*leaf.digit_names, *leaf.form.names)
    lone = tuple(axis for axis, name in enumerate(names) if name not in wanted)
    if lone:
        array = np.asarray(array.sum(axis=lone))
        names = [name for name in names if name in wanted]
    moved = np.asarray(array.transpose([names.index(name) for name in wanted]), order="C")
    return moved.reshape((*(radix[place] for place in leaf.digits), *leaf.form.shape))


def assembled(schedule: Schedule, blocks: NDArray[Any]) -> NDArray[Any]:
    """The whole result from ``(blocks, *block_shape)``, its axes in the output's order."""
    shape = (*schedule.radix[: schedule.block_axes], *schedule.block_shape)
    return np.asarray(blocks.reshape(shape).transpose(schedule.output), order="C")
