"""Cutting trees while they are looked for: some indices are sliced, others whole again.

A cheap tree and a tree that is cheap to slice are not the same. Where one anneals trees that are
cut already, and lets the cuts change on the way, all slices together may take a tenth of the work
that those of the cheapest tree take (``docs/benchmarks.md``). ``plan.slicing`` cuts one given tree.

Source:
    G. Kalachev, P. Panteleev, M.-H. Yung, "Multi-tensor contraction for XEB verification of quantum
    circuits", arXiv:2108.05665; the steps are those of cotengra's ``simulated_anneal``.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from tensorloom.plan.cost import input_elements
from tensorloom.plan.find import ordered_plan
from tensorloom.plan.sharing import work_of
from tensorloom.plan.slicing import MOST_SLICES

if TYPE_CHECKING:
    from cotengra import ContractionTree as CotengraTree

    from tensorloom.plan.cotengra_form import CotengraForm
    from tensorloom.plan.plan import Finder, Plan
    from tensorloom.plan.tree import ContractionTree

__all__ = ["Knife"]

REPEATS = 4
"""Slicings that are compared at each step of an annealing, and each time that a tree is too big."""


class Knife:
    """Cuts trees of one network until they fit.

    Args:
        network: Any tree over it.
        form: The same in cotengra's form.
        most_elements: Memory, more than inputs and result take [elements].
        seed: Of all choices of indices.

    Attributes:
        room: What they leave of it [elements].
    """

    def __init__(
        self, network: ContractionTree, form: CotengraForm, most_elements: int, seed: int
    ) -> None:
        self._network = replace(network, sliced=())
        self._form = form
        self._most = most_elements
        self._held = input_elements(network) + self._network.elements(network.output)
        self.room = most_elements - self._held
        self._random = Random(seed)  # noqa: S311  # no secret

    def turn(self, tree: CotengraTree, target: float) -> None:
        """Make one sliced index whole again, then slice until no intermediate exceeds ``target``.

        Args:
            tree: Is changed.
            target: Size of the largest intermediate [elements].
        """
        if tree.sliced_inds:
            tree.unslice_rand_(seed=self._random)
        tree.slice_(target_size=target, minimize="flops", max_repeats=REPEATS, seed=self._random)

    def fitted(self, tree: CotengraTree, finder: Finder) -> Plan | None:
        """The plan of a tree, cut further until it fits; ``None`` if that takes too many slices.

        Args:
            tree: Stays as it is.
            finder: Who found it.
        """
        path = self._form.path(tree)
        while True:
            sliced = self._form.sliced(tree)
            plan = ordered_plan(replace(self._network, path=path, sliced=sliced), finder)
            if plan.tree.n_slices > MOST_SLICES:
                return None
            peak = work_of(plan).peak_elements
            if peak <= self._most:
                return plan
            # What lives at once shrinks about as the largest intermediate does.
            target = tree.max_size() * self.room // (peak - self._held)
            if target < 1:
                return None
            tree = tree.slice(
                target_size=target, minimize="flops", max_repeats=REPEATS, seed=self._random
            )
