"""Groups of small steps in the Kernels view: which steps ran as one call, and what they are.

A group is one module with a function for each distinct step; ``kernels.wasm.fused`` writes it. Who
asks which kernel ran such a step is shown the step's own function.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from tensorloom.execute.sharing import SharedBackend
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.kernels.arena import small_runs
from tensorloom.kernels.wasm.disassembly import lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tensorloom.execute.backend import Backend
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm.fused import FusedKernel

__all__ = ["FUSED", "Groups", "RanGroup", "group_json", "groups_of", "module_text"]

FUSED = "fused"
"""What the view calls the way in which a step of a group runs."""

MOST_LINES = 3000
"""Lines of a text that are sent before all of it is asked for."""

Notice = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class RanGroup:
    """Steps that ran as one call.

    Args:
        kernel: What they became.
        steps: Their numbers in the whole program.
    """

    kernel: FusedKernel
    steps: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Groups:
    """The groups of a run.

    Args:
        ran: Each of them.
        waiting: Whether there will be some when the program runs again.
    """

    ran: tuple[RanGroup, ...] = ()
    waiting: bool = False

    @cached_property
    def specs(self) -> frozenset[str]:
        """Names of the specs of their steps."""
        return frozenset(spec.name for group in self.ran for spec in group.kernel.specs)


def groups_of(backend: Backend, program: Program) -> Groups:
    """The groups of a program that ran.

    Args:
        backend: Where.
        program: What.
    """
    if isinstance(backend, SharedBackend):
        number = {dispatch.out: place for place, dispatch in enumerate(program.dispatches)}
        ran: list[RanGroup] = []
        waiting = False
        for part in backend.parts:
            own = groups_of(backend.backends[part.device], part.program)
            waiting = waiting or own.waiting
            ran += [
                replace(group, steps=tuple(number[part.outs[step]] for step in group.steps))
                for group in own.ran
            ]
        return Groups(ran=tuple(ran), waiting=waiting)
    if not isinstance(backend, WasmBackend):
        return Groups()
    groups = backend.groups(program)
    if groups is None:
        return Groups(waiting=bool(small_runs(program)))
    return Groups(
        ran=tuple(
            RanGroup(kernel=group.kernel, steps=tuple(range(group.first, group.last)))
            for group in groups
        )
    )


def group_json(group: RanGroup, known: Mapping[str, int]) -> Notice:
    """``KernelGroupJson``.

    Args:
        group: The group.
        known: Number of each kernel that the view lists, by its name.
    """
    kernel = group.kernel
    return {
        "name": kernel.name,
        "dtype": kernel.dtype,
        "first": min(group.steps),
        "last": max(group.steps),
        "steps": len(group.steps),
        "functions": [
            {"number": kernel.function(place), "kernel": known.get(spec.name)}
            for place, spec in enumerate(kernel.specs)
        ],
    }


def module_text(module: bytes, *, whole: bool, function: int | None = None) -> tuple[str, bool]:
    """The text of a module, and whether that is all of it.

    Args:
        module: Its bytes.
        whole: Whether all of it is wanted, however long it is.
        function: Number of the only function that is wanted.
    """
    found = list(islice(lines(module, function), None if whole else MOST_LINES + 1))
    if whole or len(found) <= MOST_LINES:
        return "\n".join(found), True
    return "\n".join(found[:MOST_LINES]), False
