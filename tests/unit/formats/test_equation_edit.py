"""Typing over an equation: one edit changes one thing and leaves the rest as it is."""

from __future__ import annotations

import pytest

from tensorloom.errors import EquationError
from tensorloom.formats.equation_edit import MOST_COMMANDS, edits
from tensorloom.formats.opening import open_text
from tensorloom.formats.templates import template
from tensorloom.model.commands import (
    AddTensor,
    RemoveTensor,
    RenameIndex,
    ReplaceDocument,
    SetArray,
    SetIndices,
    SetOutput,
    apply_all,
)
from tensorloom.model.document import Document
from tensorloom.model.recipe import InlineArray


def opened(text: str) -> Document:
    return open_text(text, format="einsum").document


CHAIN = opened("ab,bc,cd->ad a=2 b=3 c=5 d=7")


def test_the_same_equation_gives_no_commands() -> None:
    assert edits(CHAIN, " ab, bc ,cd -> ad") == ()


def test_one_letter_changes_one_tensor() -> None:
    assert edits(CHAIN, "ab,bx,cd->ad") == (
        # The new leg keeps the dimension of the one it was, so that the values still fit.
        SetIndices(id="t2", indices=("b", "x"), dimensions=(("x", 5),)),
    )


def test_a_letter_changed_everywhere_is_a_new_name() -> None:
    assert edits(CHAIN, "ab,bx,xd->ad") == (RenameIndex(name="c", to="x"),)


def test_an_operand_in_the_middle_is_put_in_there() -> None:
    commands = edits(CHAIN, "ab,bc,ce,cd->ad")
    assert [type(command) for command in commands] == [AddTensor]
    added = commands[0]
    assert isinstance(added, AddTensor)
    assert (added.at, added.tensor.id, added.tensor.name) == (2, "t4", "D")
    assert added.dimensions == (("e", 4),)
    reached = apply_all(CHAIN, commands)
    assert reached.network.tensors[0] is CHAIN.network.tensors[0]
    assert reached.diagram.marks["t3"] == CHAIN.diagram.marks["t3"]


def test_swapped_operands_keep_their_values() -> None:
    reached = apply_all(CHAIN, edits(CHAIN, "ab,cd,bc->ad"))
    assert [(tensor.id, tensor.array) for tensor in reached.network.tensors] == [
        (name, CHAIN.network.tensor_by_id[name].array) for name in ("t1", "t3", "t2")
    ]
    assert reached.network.dimension_of == CHAIN.network.dimension_of
    assert reached.diagram.anchors == CHAIN.diagram.anchors


def test_an_operand_taken_out_takes_nothing_else_along() -> None:
    assert edits(CHAIN, "ab,cd->ad") == (RemoveTensor(id="t2"),)


def test_only_the_output_changes() -> None:
    assert edits(CHAIN, "ab,bc,cd->da") == (SetOutput(output=("d", "a")),)


def test_a_free_end_goes_when_its_leg_moves_to_another_tensor() -> None:
    reached = apply_all(CHAIN, edits(CHAIN, "b,abc,cd->ad"))
    assert set(CHAIN.diagram.anchors) == {"a", "d"}
    assert dict(reached.diagram.anchors) == {"d": CHAIN.diagram.anchors["d"]}


def test_a_dot_stays_when_it_joins_one_more() -> None:
    star = opened("a,a,a->")
    reached = apply_all(star, edits(star, "a,a,a,ab->"))
    assert reached.diagram.anchors["a"] == star.diagram.anchors["a"]


def test_an_empty_page_is_drawn_as_a_whole() -> None:
    reached = apply_all(Document(), edits(Document(), "ab,bc,cd,da->"))
    places = {(mark.x, mark.y) for mark in reached.diagram.marks.values()}
    assert places == {(0, 0), (130, 0), (130, 130), (0, 130)}
    assert [tensor.name for tensor in reached.network.tensors] == ["A", "B", "C", "D"]
    seeds = {getattr(tensor.array, "seed", None) for tensor in reached.network.tensors}
    assert len(seeds) == 4


def test_a_pasted_equation_is_one_command() -> None:
    text = ",".join(f"(i{k}) (i{k + 1})" for k in range(MOST_COMMANDS + 10)) + "->"
    commands = edits(CHAIN, text)
    assert [type(command) for command in commands] == [ReplaceDocument]
    assert len(apply_all(CHAIN, commands).network.tensors) == MOST_COMMANDS + 10


def test_text_that_cannot_be_read_changes_nothing() -> None:
    with pytest.raises(EquationError):
        edits(CHAIN, "ab,bc->z")


def test_values_for_another_number_of_axes_are_drawn_anew() -> None:
    chain = template("mps", {"n": 3})
    given = InlineArray(values=(1.0, 0.0), shape=(1, 2))
    chain = apply_all(chain, (SetArray(id="t1", array=given),))
    first, second, third = (tensor.indices for tensor in chain.network.tensors)
    longer = ",".join(("".join((*first, "x")), "".join(second), "".join(third)))
    reached = apply_all(chain, edits(chain, f"{longer}->{''.join(chain.network.output)}"))
    assert reached.network.tensors[0].array.kind == "random"
    assert reached.network.tensors[1].array == chain.network.tensors[1].array


def test_another_equation_over_a_big_drawing_starts_from_a_clean_sheet() -> None:
    chain = template("spin-chain", {})
    (command,) = edits(chain, "ij,jk->ik")
    assert isinstance(command, ReplaceDocument)
    fresh = command.document
    assert fresh.title == "Untitled"
    assert [tensor.name for tensor in fresh.network.tensors] == ["A", "B"]
    assert {tensor.array.kind for tensor in fresh.network.tensors} == {"random"}
    assert {mark.shape for mark in fresh.diagram.marks.values()} == {"circle"}


def test_taking_tensors_out_keeps_what_stays() -> None:
    chain = template("mps", {"n": 6})
    kept = ["".join(tensor.indices) for tensor in chain.network.tensors[:2]]
    reached = apply_all(chain, edits(chain, ",".join(kept)))
    assert reached.network.tensors[0].id == "t1"
    assert reached.title == chain.title
