"""Which indices are left after each step."""

from __future__ import annotations

import pytest

from tensorloom.errors import PlanError
from tensorloom.plan.tree import ContractionTree, Step


def tree(text: str, *path: tuple[int, int], sliced: str = "", size: int = 2) -> ContractionTree:
    operands, output = text.split("->")
    inputs = tuple(tuple(names) for names in operands.split(","))
    return ContractionTree(
        inputs=inputs,
        output=tuple(output),
        dimensions=tuple((name, size) for name in dict.fromkeys(operands.replace(",", ""))),
        path=path,
        sliced=tuple(sliced),
    )


@pytest.mark.parametrize(
    ("text", "path", "left"),
    [
        ("ij,jk,kl->il", ((0, 1), (3, 2)), ["ik", "il"]),
        (
            "ij,jk,kl->li",
            ((1, 2), (0, 3)),
            ["jl", "li"],
        ),  # left-only, then right-only; the last as the output says
        ("ia,ib,ic->", ((0, 1), (3, 2)), ["i", ""]),  # i waits for its third tensor
        ("ia,ib->abi", ((0, 1),), ["abi"]),  # shared last, or as the output says
        ("iij,jk->k", ((0, 1),), ["k"]),
        ("xij,jk,k->i", ((1, 2), (0, 3)), ["j", "i"]),
        (",,->", ((0, 1), (3, 2)), ["", ""]),
        ("ij,kl,jm->iklm", ((0, 1), (3, 2)), ["ijkl", "iklm"]),
    ],
)
def test_what_is_left_after_each_step(
    text: str, path: tuple[tuple[int, int], ...], left: list[str]
) -> None:
    assert ["".join(step.out_indices) for step in tree(text, *path).steps] == left


def test_a_step_names_all_three_tensors() -> None:
    (step,) = tree("iij,jk->k", (0, 1)).steps
    assert step == Step(
        left=0,
        right=1,
        out=2,
        left_indices=("i", "i", "j"),
        right_indices=("j", "k"),
        out_indices=("k",),
    )


def test_slices_count_values_and_shrink_sizes() -> None:
    found = tree("ij,jk->ik", (0, 1), sliced="jk", size=3)
    assert found.n_slices == 9
    assert found.elements("ijk") == 3


def test_other_dimensions_keep_the_steps() -> None:
    start = tree("ij,jk,kl->il", (0, 1), (3, 2), sliced="j")
    sizes = (("i", 5), ("j", 6), ("k", 7), ("l", 8))
    found = start.with_dimensions(sizes)
    assert (found.steps, found.n_slices, found.elements("kl")) == (start.steps, 6, 56)
    assert found == ContractionTree(
        inputs=start.inputs, output=start.output, dimensions=sizes, path=start.path, sliced=("j",)
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ((), "The path leaves 3 tensors apart."),
        (((0, 1), (0, 2)), "Step 4 joins 0 and 2, not both free."),
        (((1, 1), (0, 2)), "Step 3 joins 1 and 1, not both free."),
        (((0, 4), (1, 2)), "Step 3 joins 0 and 4, not both free."),
    ],
)
def test_paths_that_are_no_trees(path: tuple[tuple[int, int], ...], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        tree("i,j,k->", *path)
    assert (caught.value.code, caught.value.message) == ("bad-path", message)
