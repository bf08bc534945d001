"""The order of steps that holds least at once."""

from __future__ import annotations

from dataclasses import replace

from tensorloom.plan.cost import cost_of
from tensorloom.plan.memory import ordered_path
from tensorloom.plan.tree import ContractionTree

# Two independent pairs: aij,bij->ab leaves 4 elements, but (cdx,dey)->.. makes 800 on its way to 8.
TREE = ContractionTree(
    inputs=(("a", "i"), ("i", "b"), ("c", "d"), ("d", "e"), ("e", "f")),
    output=("a", "b", "c", "f"),
    dimensions=(("a", 2), ("i", 3), ("b", 2), ("c", 10), ("d", 2), ("e", 20), ("f", 1)),
    path=((0, 1), (2, 3), (6, 4), (5, 7)),
)


def test_the_branch_that_peaks_goes_first() -> None:
    # c,d,e -> ce holds 200, then cf 10; ab holds 4 and must not wait meanwhile.
    assert ordered_path(TREE) == ((2, 3), (5, 4), (0, 1), (7, 6))


def test_order_saves_what_would_wait() -> None:
    ordered = replace(TREE, path=ordered_path(TREE))
    held = 6 + 6 + 20 + 40 + 20
    assert cost_of(TREE).peak_elements == held + 4 + 200 + 10
    assert cost_of(ordered).peak_elements == held + 200 + 10
    assert cost_of(ordered).mul_adds == cost_of(TREE).mul_adds


def test_ordering_twice_changes_nothing() -> None:
    once = replace(TREE, path=ordered_path(TREE))
    assert ordered_path(once) == once.path


def test_no_steps() -> None:
    assert ordered_path(ContractionTree(inputs=((),), output=(), dimensions=(), path=())) == ()


def test_deep_trees_need_no_recursion() -> None:
    n = 5000
    chain = ContractionTree(
        inputs=tuple((f"i{place}", f"i{place + 1}") for place in range(n)),
        output=("i0", f"i{n}"),
        dimensions=tuple((f"i{place}", 2) for place in range(n + 1)),
        path=tuple((0 if step == 0 else n + step - 1, step + 1) for step in range(n - 1)),
    )
    assert len(ordered_path(chain)) == n - 1
