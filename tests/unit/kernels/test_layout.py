"""Layouts of intermediates, chosen for who reads them."""

from __future__ import annotations

import pytest

from tensorloom.kernels.layout import Operand, order_operands, wish_layouts
from tensorloom.plan.tree import ContractionTree

LEFT = Operand(buffer=0, strides={"i": 3, "j": 1, "b": 9})
RIGHT = Operand(buffer=1, strides={"j": 4, "k": 1, "b": 12})


@pytest.mark.parametrize(
    ("out", "swapped"),
    [
        (("i", "k"), False),
        (("k", "i"), True),
        (("k", "i", "b"), True),
        (("b",), False),
        ((), False),
    ],
)
def test_the_last_axis_of_one_operand_alone_belongs_to_the_right_one(
    out: tuple[str, ...], *, swapped: bool
) -> None:
    wanted = (RIGHT, LEFT) if swapped else (LEFT, RIGHT)
    assert order_operands(LEFT, RIGHT, out) == wanted


def chain(output: tuple[str, ...]) -> ContractionTree:
    return ContractionTree(
        inputs=(("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")),
        output=output,
        dimensions=tuple((name, 2) for name in "abcde"),
        path=((0, 1), (2, 3), (4, 5)),
    )


def test_rows_are_read_with_the_sum_last_and_columns_with_it_first() -> None:
    tree = chain(("a", "e"))
    wishes = wish_layouts(tree, tree.output, tree.size_of)
    assert wishes[6] == ("a", "e")
    assert wishes[4] == ("a", "c")
    assert wishes[5] == ("c", "e")


def test_a_transposed_result_turns_the_roles_around() -> None:
    tree = chain(("e", "a"))
    wishes = wish_layouts(tree, tree.output, tree.size_of)
    assert wishes[4] == ("c", "a")
    assert wishes[5] == ("e", "c")


def test_a_batch_that_runs_fastest_in_the_result_does_so_everywhere() -> None:
    tree = ContractionTree(
        inputs=(("a", "b"), ("b", "h"), ("h", "c"), ("c", "d")),
        output=("a", "d", "h"),
        dimensions=tuple((name, 2) for name in "abcdh"),
        path=((0, 1), (2, 3), (4, 5)),
    )
    wishes = wish_layouts(tree, tree.output, tree.size_of)
    assert wishes[4] == ("a", "h")
    assert wishes[5] == ("d", "h")


def test_what_does_not_count_is_left_out() -> None:
    tree = chain(("a", "e"))
    wishes = wish_layouts(tree, ("a",), {"a": 2, "c": 2})
    assert (wishes[4], wishes[5]) == (("c", "a"), ("c",))
