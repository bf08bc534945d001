"""Costs worked out by hand."""

from __future__ import annotations

import pytest

from tensorloom.plan.cost import cost_of, input_elements
from tensorloom.plan.plan import StepCost
from tensorloom.plan.tree import ContractionTree

SIZES = {"i": 2, "j": 3, "k": 5, "l": 7, "x": 11, "o": 1}


def tree(
    text: str, *path: tuple[int, int], sliced: str = "", sizes: dict[str, int] = SIZES
) -> ContractionTree:
    operands, output = text.split("->")
    inputs = tuple(tuple(names) for names in operands.split(",")) if operands != "nothing" else ()
    used = dict.fromkeys(name for names in inputs for name in names)
    return ContractionTree(
        inputs=inputs,
        output=tuple(output),
        dimensions=tuple((name, sizes[name]) for name in used),
        path=path,
        sliced=tuple(sliced),
    )


def test_chain_of_three() -> None:
    # ij,jk,kl->il = 6, 15, 35 elements; first jk,kl->jl (3*5*7), then ij,jl->il (2*3*7).
    found = cost_of(tree("ij,jk,kl->il", (1, 2), (0, 3)))
    assert found.steps == (
        StepCost(mul_adds=105, elements=21, live_elements=56 + 21),
        StepCost(mul_adds=42, elements=14, live_elements=56 + 21 + 14),
    )
    assert (found.mul_adds, found.largest_elements) == (147, 21)
    assert (found.peak_elements, found.write_elements) == (91, 35)


@pytest.mark.parametrize(
    ("text", "mul_adds", "elements"),
    [
        ("iij,jk->ik", 2 * 3 * 5, 10),  # a diagonal is read where it is used
        ("iij,jk->k", 2 * 3 * 5, 5),  # so is a trace
        ("xi,ij->j", 11 * 2 * 3, 3),  # a lone sum belongs to the step that reads it
        ("ij,ij->ij", 6, 6),  # entry by entry
        ("ij,kl->ijkl", 210, 210),  # an outer product
        ("oi,oj->oij", 6, 6),  # dimension 1
        ("->", 0, 1),  # one scalar: no step
        (",->", 1, 1),  # two scalars
        ("ij,ij->", 6, 1),
    ],
)
def test_single_steps(text: str, mul_adds: int, elements: int) -> None:
    path = ((0, 1),) if "," in text else ()
    found = cost_of(tree(text, *path))
    assert (found.mul_adds, found.largest_elements) == (mul_adds, elements)


def test_hyperindex_stays_until_its_last_tensor() -> None:
    # i on three tensors: ij,ik keep it, the step with il sums it.
    found = cost_of(tree("ij,ik,il->jkl", (0, 1), (3, 2)))
    assert [step.elements for step in found.steps] == [30, 105]
    assert [step.mul_adds for step in found.steps] == [30, 210]


def test_output_hyperindex_is_never_summed() -> None:
    found = cost_of(tree("ij,ik,il->i", (0, 1), (3, 2)))
    assert [step.elements for step in found.steps] == [2, 2]


def test_single_tensor_holds_input_and_result() -> None:
    found = cost_of(tree("iij->j"))
    assert (found.mul_adds, found.write_elements, found.steps) == (0, 0, ())
    assert (found.largest_elements, found.peak_elements) == (3, 12 + 3)


def test_empty_network_holds_one_number() -> None:
    found = cost_of(tree("nothing->"))
    assert (found.mul_adds, found.largest_elements, found.peak_elements) == (0, 1, 1)


def test_slices_multiply_work_and_keep_the_full_result() -> None:
    sliced = tree("ij,jk->ik", (0, 1), sliced="j")
    found = cost_of(sliced)
    assert sliced.n_slices == 3
    assert found.mul_adds == 3 * (2 * 5)
    # 6 + 15 of the inputs, 10 of the sum over slices, 10 of one slice.
    assert found.peak_elements == 41
    assert input_elements(sliced) == 21


def test_sliced_output_index_makes_smaller_slices() -> None:
    found = cost_of(tree("ij,jk->ik", (0, 1), sliced="k"))
    assert (found.mul_adds, found.largest_elements) == (5 * 6, 2)
    assert found.peak_elements == 21 + 10 + 2


def test_numbers_stay_exact_beyond_floats() -> None:
    sizes = dict.fromkeys("ijkl", 2**31 - 1)
    found = cost_of(tree("ij,jk,kl->il", (0, 1), (3, 2), sizes=sizes))
    assert found.mul_adds == 2 * (2**31 - 1) ** 3
