"""Which device computes which step of a program: the cheapest way to colour the tree.

    cost of a way = times of all steps where they run + transfers of what changes sides

Pure: times and transfers are numbers that come in. A subtree that a device is fast at pays for its
way there and back, or stays. Exact for trees, by dynamic programming from the inputs to the result:
the cheapest cost of having each tensor on each device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tensorloom.kernels.program import Program

__all__ = ["Placement", "placed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where each step runs.

    Args:
        devices: Number of the device of each dispatch.
        ms: What the whole should take, transfers included [ms].
    """

    devices: tuple[int, ...]
    ms: float

    @property
    def is_mixed(self) -> bool:
        """Whether more than one device takes part."""
        return len(set(self.devices)) > 1


def placed(
    program: Program,
    step_ms: Sequence[Sequence[float]],
    transfer_ms: Callable[[int], float],
    *,
    home: int = 0,
) -> Placement:
    """The cheapest placement of a program whose buffers are each read once.

    Inputs lie at home and the result is wanted there.

    Args:
        program: What runs, one slice of it.
        step_ms: Duration of each dispatch on each device: ``step_ms[device][dispatch]`` [ms];
            infinite where a device cannot.
        transfer_ms: Duration of moving so many elements between two devices [ms].
        home: The device of inputs and result, such as the CPU.
    """
    devices = range(len(step_ms))
    moving = [transfer_ms(buffer.elements) for buffer in program.buffers]
    # Cheapest way to have a buffer on a device, and the device that then makes it.
    cost: dict[int, list[tuple[float, int]]] = {}
    for number, buffer in enumerate(program.buffers):
        if buffer.source is not None:
            cost[number] = [(0.0 if at == home else moving[number], home) for at in devices]
    for place, dispatch in enumerate(program.dispatches):
        operands = [dispatch.left] if dispatch.right is None else [dispatch.left, dispatch.right]
        made = [
            step_ms[at][place] + sum(cost[operand][at][0] for operand in operands) for at in devices
        ]
        moved = moving[dispatch.out]
        cost[dispatch.out] = [
            min(
                (made[maker] + (moved if maker != at else 0.0), maker != at, maker)
                for maker in devices
            )[::2]
            for at in devices
        ]
    if not program.dispatches:
        return Placement(devices=(), ms=0.0)
    wanted = {program.result: home}
    chosen = []
    for dispatch in reversed(program.dispatches):
        maker = cost[dispatch.out][wanted[dispatch.out]][1]
        chosen.append(maker)
        operands = [dispatch.left] if dispatch.right is None else [dispatch.left, dispatch.right]
        wanted.update(dict.fromkeys(operands, maker))
    return Placement(devices=tuple(reversed(chosen)), ms=cost[program.result][home][0])
