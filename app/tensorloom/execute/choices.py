"""Where plans run, remembered: who contracts in a loop plans, lowers and chooses once.

What was measured or tuned meanwhile changes predictions, and with them the order of backends; the
programs stay.

Programs are compared by identity in every backend, so the same program also finds its kernels, its
records and its place in memory again. Who asks for a plan by another name, such as a script for the
backend that the page has chosen anyway, gets that very program too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.execute.run import predicted_anew
from tensorloom.kernels.lower import lower

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from tensorloom.execute.backend import Backend, BackendName
    from tensorloom.execute.run import Choice
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType
    from tensorloom.plan.plan import Plan

__all__ = ["Choices"]


class Choices:
    """The choices asked for last.

    Args:
        most: How many are kept.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: dict[Hashable, tuple[Plan, tuple[Backend, ...], object, Choice]] = {}
        self._programs: dict[tuple[int, DType], tuple[Plan, Program]] = {}

    def get(
        self,
        plan: Plan,
        asked: Hashable,
        backends: Mapping[BackendName, Backend],
        make: Callable[[], Choice],
    ) -> Choice:
        """The choice for this very plan, made anew if it is new or the backends are.

        Args:
            plan: It is kept alive, so that an equal ``id`` is the same plan.
            asked: What else decides.
            backends: Those that are open.
            make: Makes it.
        """
        key = (id(plan), asked)
        here = tuple(backends.values())
        known = self._kept.pop(key, None)
        if known is None or known[1] != here:
            choice = make()
        elif known[2] != known[3].revision:
            choice = predicted_anew(known[3])
        else:
            choice = known[3]
        self._kept[key] = (plan, here, choice.revision, choice)
        if len(self._kept) > self.most:
            del self._kept[next(iter(self._kept))]
        return choice

    def lowered(self, plan: Plan, dtype: DType) -> Program:
        """The program of this very plan: the same one for every choice."""
        key = (id(plan), dtype)
        known = self._programs.pop(key, None) or (plan, lower(plan, dtype))
        self._programs[key] = known
        if len(self._programs) > self.most:
            del self._programs[next(iter(self._programs))]
        return known[1]
