"""Which numbers prove a fused group: made-up ones for what it reads, room for all it makes. Pure.

In a run, intermediates of a group give way to others, and the numbers may be zeros that hide any
mistake. Here every buffer has a place of its own between guards, and inputs hold numbers near a
size that keeps whatever is made from them near 1. Each step can then be made again by kernels that
are proven, from the very operands that the group made: differences are one step's rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import log2
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.kernels.ranges import SAFE_LOG2
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.kernels.program import Dispatch, Program
    from tensorloom.model.recipe import DType

__all__ = ["MOST_PROBE_BYTES", "GroupProbe", "Sizes", "group_probe", "probe_sizes"]

Sizes = Mapping[int, float]
"""Logarithms to base 2 of the size of a group's inputs, by number of buffer."""

MOST_PROBE_BYTES = 32 << 20
"""Larger probes are not made; such a group's steps run one by one [bytes]."""

_LINE = 64
"""Places start at its multiples, as in the arena; each ends with at least one as a guard."""

_SPREAD = 1 / 32
"""Numbers are within this share of their size: sums do not cancel, products do not drift."""

_PHASE = (0.9, 0.436)
"""About which complex numbers lie; its magnitude is 1."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class GroupProbe:
    """A block of memory with a place for each buffer.

    Args:
        places: Where each of the program's buffers starts in the block [bytes]; 0 for those that
            the group has nothing to do with.
        again: Size of the part that the group makes, and how far behind its first place a buffer
            in it has its second [bytes].
        inputs: The first part of the block, with NaN as guards.
        tolerance: Largest share of a buffer's magnitude by which its elements may differ when they
            are made twice, for each element of that part; NaN for guards.
        starts: Where the buffers begin in that part, ascending [elements].
    """

    places: NDArray[np.intp]
    again: int
    inputs: NDArray[Any]
    tolerance: NDArray[np.float64]
    starts: NDArray[np.intp]

    @property
    def n_bytes(self) -> int:
        """Size of the block [bytes]."""
        return self.inputs.nbytes + 2 * self.again

    def wrong(self, made: NDArray[Any], again: NDArray[Any]) -> int | None:
        """The first buffer made, counted in its order, that has a wrong number; ``None`` is well.

        Args:
            made: That part of the block as the group left it, NaN before.
            again: The same from kernels that are proven.
        """
        guards = np.isnan(self.tolerance)
        # NaN is within nothing.
        with np.errstate(invalid="ignore", over="ignore"):
            size = np.abs(again)
            largest = np.maximum.reduceat(np.where(guards, 0.0, size), self.starts)
            spans = np.diff(np.append(self.starts, len(made)))
            bound = self.tolerance * np.repeat(largest, spans)
            bad = ~(np.abs(made - again) <= bound)
        bad[guards] = ~np.isnan(made[guards])
        if not bad.any():
            return None
        return int(np.searchsorted(self.starts, np.argmax(bad), side="right")) - 1


def probe_sizes(program: Program, first: int, last: int, *, looked: bool) -> Sizes | None:
    """Sizes of a group's inputs that keep all it makes in range; ``None`` where there are none.

    Args:
        program: Where it is.
        first: Number of its first dispatch.
        last: Number of its last one, plus one.
        looked: Whether it looks at the magnitudes of all of the program's inputs.

    Returns:
        Logarithms to base 2, by number of buffer.
    """
    steps = program.dispatches[first:last]
    made = [step.out for step in steps]
    logs = _logs(program, steps, {*made})
    if any(abs(log) > SAFE_LOG2[program.dtype] / 2 for log in logs.values()):
        return None
    every = [n for n, one in enumerate(program.buffers) if looked and one.source is not None]
    sizes = dict.fromkeys(every, 0.0) | {n: log for n, log in logs.items() if n not in {*made}}
    n_bytes = _held(program, [*sizes]) + 2 * _held(program, made)
    return sizes if n_bytes <= MOST_PROBE_BYTES else None


def group_probe(program: Program, first: int, last: int, sizes: Sizes) -> GroupProbe:
    """The probe of a group.

    Args:
        program: Where it is.
        first: Number of its first dispatch.
        last: Number of its last one, plus one.
        sizes: From ``probe_sizes``.
    """
    steps = program.dispatches[first:last]
    read, made = [*sizes], [step.out for step in steps]
    item = ITEM_BYTES[program.dtype]
    before, inputs_bytes = _placed(program, read)
    after, made_bytes = _placed(program, made)
    places = np.zeros(len(program.buffers), np.intp)
    places[read] = before
    places[made] = after + inputs_bytes
    inputs = _numbers(program.dtype, inputs_bytes // item)
    factors = _repeated(program, read, before, [2.0**log for log in sizes.values()])
    inputs *= factors.astype(inputs.real.dtype)
    terms = np.array([program.kernels[step.kernel].extents[3] for step in steps])
    # What rounding explains, seldom more than a tenth of it; a product too few is more.
    shares = 2 * float(np.finfo(program.dtype).eps) * (4 + np.sqrt(terms))
    return GroupProbe(
        places=places,
        again=made_bytes,
        inputs=inputs,
        tolerance=_repeated(program, made, after, shares),
        starts=after // item,
    )


def _logs(program: Program, steps: Sequence[Dispatch], made: set[int]) -> dict[int, float]:
    """Logarithm to base 2 of the size of what the steps read and make.

    From the last step back, each operand gets what its result should have, so that the results are
    near 1; where an operand is read twice, the first claim holds. Then forward again, as it is.
    """
    wanted: dict[int, float] = {}
    for step in reversed(steps):
        both = wanted.get(step.out, 0.0) - log2(program.kernels[step.kernel].extents[3])
        left, right = wanted.get(step.left), wanted.get(step.right or 0)
        if step.right is None:
            wanted.setdefault(step.left, both)
        elif step.left == step.right or (left is None and right is None):
            wanted.setdefault(step.left, both / 2)
            wanted.setdefault(step.right, both / 2)
        elif left is None:
            wanted[step.left] = both - wanted[step.right]
        elif right is None:
            wanted[step.right] = both - left
    logs = {number: log for number, log in wanted.items() if number not in made}
    for step in steps:
        right = 0.0 if step.right is None else logs[step.right]
        terms = log2(program.kernels[step.kernel].extents[3])
        logs[step.out] = logs[step.left] + right + terms
    return logs


def _held(program: Program, numbers: Sequence[int]) -> int:
    """Where the last one's guard ends [bytes]: Python's own number, for it may be too large."""
    item = ITEM_BYTES[program.dtype]
    sizes = (program.buffers[number].elements * item for number in numbers)
    return sum(-(-size // _LINE) * _LINE + _LINE for size in sizes)


def _placed(program: Program, numbers: Sequence[int]) -> tuple[NDArray[np.intp], int]:
    """Where buffers start, one after the other, and where the last one's guard ends [bytes]."""
    item = ITEM_BYTES[program.dtype]
    sizes = np.array([program.buffers[number].elements * item for number in numbers], np.intp)
    ends = np.cumsum(-(-sizes // _LINE) * _LINE + _LINE)
    return np.append(0, ends)[:-1].astype(np.intp), int(ends[-1]) if numbers else 0


def _repeated(
    program: Program,
    numbers: Sequence[int],
    places: NDArray[np.intp],
    values: Sequence[float] | NDArray[np.float64],
) -> NDArray[np.float64]:
    """A buffer's value at each of its elements, NaN in the guards."""
    item = ITEM_BYTES[program.dtype]
    _, total = _placed(program, numbers)
    spans = np.diff(np.append(places, total)) // item
    sizes = np.array([program.buffers[number].elements for number in numbers], np.intp)
    lengths = np.stack([sizes, spans - sizes], axis=1).reshape(-1)
    pairs = np.stack([np.array(values, np.float64), np.full(len(values), np.nan)], axis=1)
    return np.repeat(pairs.reshape(-1), lengths)


def _numbers(dtype: DType, count: int) -> NDArray[Any]:
    """Numbers near 1, no two legs alike."""
    block = _block(dtype)
    return np.tile(block, count // len(block) + 1)[:count]


@lru_cache(maxsize=4)
def _block(dtype: DType) -> NDArray[Any]:
    """Their period is a prime: no stride of a tensor repeats with it."""
    parts = np.random.default_rng(11).uniform(-_SPREAD, _SPREAD, (2, 4093))
    block: NDArray[Any] = 1 + parts[0]
    if dtype.startswith("complex"):
        block = _PHASE[0] + parts[0] + 1j * (_PHASE[1] + parts[1])
    return block.astype(dtype)
