"""Program -> where its tensors lie on a GPU: physical buffers, shared by lifetimes. Pure.

Kernels cannot take a part of a buffer as two operands, so there is no arena as on the CPU: each
intermediate is a buffer of its own, taken again once it is free.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tensorloom.kernels.program import Program

__all__ = ["CALL_BYTES", "GpuPlaces", "places"]

CALL_BYTES = 512
"""Room for one call's constants; a multiple of WebGPU's offset alignment, 256."""

_MIN_BUFFER_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuPlaces:
    """Physical buffers, inputs first, then pooled ones.

    Args:
        buffer_bytes: Their sizes.
        n_inputs: Number of inputs.
        of: Buffer of the program -> physical one; several may have had the same.
        between: Dispatch -> the one that holds the parts of its sum, where that is cut.
        result: Of a slice, or of the whole where the device adds slices up.
        excess: What adding slices up has rounded away; ``None`` without such sums.
        reads: ``(buffer, bytes)`` of what the host reads: the result, the excess, what is kept.
        n_calls: Shaders dispatched for a slice.
        n_slots: Magnitudes.
    """

    buffer_bytes: tuple[int, ...]
    n_inputs: int
    of: Mapping[int, int]
    between: Mapping[int, int]
    result: int
    excess: int | None
    reads: tuple[tuple[int, int], ...]
    n_calls: int
    n_slots: int

    @property
    def total_bytes(self) -> int:
        """All that is taken on the device, with the buffer through which results come back."""
        read = sum(-(-size // 4) * 4 for _, size in self.reads)
        slots = 4 * self.n_slots
        return sum(self.buffer_bytes) + 2 * slots + CALL_BYTES * max(1, self.n_calls) + read


def places(
    program: Program,
    items: tuple[int, int],
    partial_elements: Callable[[int], int],
    *,
    after_slice: int,
) -> GpuPlaces:
    """Where everything lies.

    Args:
        program: Whose tensors.
        items: Size of an element on the way, and in the result [bytes].
        partial_elements: Kernel -> size of what it leaves for a second one, or 0 [elements].
        after_slice: Calls after those of each slice, where the device adds slices up; else 0.
    """
    item, result_item = items
    # Buffers are made, filled and copied by four bytes.
    sizes = [-(-buffer.elements * item // 4) * 4 for buffer in program.buffers]
    sizes[program.result] = program.buffers[program.result].elements * result_item
    n_inputs = sum(buffer.source is not None for buffer in program.buffers)
    pool = _Pool(sizes[:n_inputs])
    of = {number: number for number in range(n_inputs)}
    between: dict[int, int] = {}
    for number, dispatch in enumerate(program.dispatches):
        of[dispatch.out] = pool.take(sizes[dispatch.out])
        partial = partial_elements(dispatch.kernel)
        if partial:
            between[number] = pool.take(partial * item)
            pool.give(between[number])
        for buffer in dispatch.frees:
            pool.give(of[buffer])
    result, excess = of[program.result], None
    reads = [(result, sizes[program.result])]
    if after_slice:
        pool.close()
        whole_bytes = prod(program.shape) * result_item
        result, excess = pool.take(whole_bytes), pool.take(whole_bytes)
        reads = [(result, whole_bytes), (excess, whole_bytes)]
    return GpuPlaces(
        buffer_bytes=tuple(pool.sizes),
        n_inputs=n_inputs,
        of=of,
        between=between,
        result=result,
        excess=excess,
        reads=(*reads, *((of[number], sizes[number]) for number in program.kept)),
        n_calls=len(program.dispatches) + len(between) + after_slice,
        n_slots=len(program.dispatches) + 2,
    )


class _Pool:
    """Physical buffers: a freed one is taken again by what it fits closest, grown if it must."""

    def __init__(self, inputs: Sequence[int]) -> None:
        self.n_inputs = len(inputs)
        self.sizes = [max(_MIN_BUFFER_BYTES, size) for size in inputs]
        self._free: list[int] = []

    def take(self, size: int) -> int:
        """A buffer of at least this size."""
        size = max(_MIN_BUFFER_BYTES, size)
        if not self._free:
            self.sizes.append(size)
            return len(self.sizes) - 1
        fitting = [number for number in self._free if self.sizes[number] >= size]
        if fitting:
            best = min(fitting, key=self.sizes.__getitem__)
        else:
            best = max(self._free, key=self.sizes.__getitem__)
            self.sizes[best] = size
        self._free.remove(best)
        return best

    def give(self, number: int) -> None:
        """It is free again; inputs stay."""
        if number >= self.n_inputs:
            self._free.append(number)

    def close(self) -> None:
        """What is taken from here on is nobody else's."""
        self._free.clear()
