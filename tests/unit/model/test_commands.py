"""Edits worked out by hand; shared vectors with the page's reducer are in ``tests/golden``."""

from __future__ import annotations

import pytest

from tensorloom.errors import DocumentError, NetworkError, TensorloomError, Where
from tensorloom.model.commands import (
    AddTensor,
    Command,
    JoinIndices,
    Move,
    RemoveTensor,
    RenameIndex,
    RenameTensor,
    SetDimension,
    SetIndices,
    SetOutput,
    SetTitle,
    apply,
    apply_all,
)
from tensorloom.model.diagram import Mark
from tensorloom.model.document import Document
from tensorloom.model.inverse import invert
from tensorloom.model.tensor import Tensor

MARK = Mark(x=0, y=0)


def add(name: str, indices: str, **more: int) -> AddTensor:
    tensor = Tensor(id=name, name=name.upper(), indices=tuple(indices))
    return AddTensor(tensor=tensor, mark=MARK, dimensions=tuple(more.items()))


# ij,jk->ik with dimensions 3, 4, 5; an anchor on i.
CHAIN = apply_all(
    Document(),
    [
        add("t1", "ij", i=3, j=4),
        add("t2", "jk", k=5),
        SetOutput(output=("i", "k")),
        Move(anchors=(("i", (-60, 0)),)),
    ],
)


def shape(document: Document) -> tuple[list[str], dict[str, int], str]:
    """The indices of the tensors, the dimensions in their order, the output."""
    network = document.network
    return (
        ["".join(tensor.indices) for tensor in network.tensors],
        dict(network.dimension_of),
        "".join(network.output),
    )


def test_a_pulled_leg_is_new_and_open() -> None:
    pull = SetIndices(
        id="t1", indices=("i", "x", "j"), dimensions=(("x", 7),), output=("i", "k", "x")
    )
    found = apply(CHAIN, pull)
    assert shape(found) == (["ixj", "jk"], {"i": 3, "x": 7, "j": 4, "k": 5}, "ikx")
    assert list(found.network.dimension_of) == ["i", "x", "j", "k"]


def test_removing_leaves_the_other_end_to_be_summed() -> None:
    found = apply(CHAIN, RemoveTensor(id="t2"))
    assert shape(found) == (["ij"], {"i": 3, "j": 4}, "i")
    assert dict(found.diagram.anchors) == {"i": (-60, 0)}


def test_what_no_tensor_carries_is_gone_everywhere() -> None:
    found = apply(CHAIN, RemoveTensor(id="t1"))
    assert shape(found) == (["jk"], {"j": 4, "k": 5}, "k")
    assert dict(found.diagram.anchors) == {}
    assert list(found.diagram.marks) == ["t2"]


def test_undoing_a_removal_brings_everything_back_in_its_place() -> None:
    command = RemoveTensor(id="t1")
    back = apply_all(apply(CHAIN, command), invert(CHAIN, command))
    assert back == CHAIN
    assert list(back.network.dimension_of) == ["i", "j", "k"]


def test_joining_open_legs_makes_a_bond() -> None:
    start = apply_all(
        Document(),
        [add("t1", "ia", i=2, a=3), add("t2", "bj", b=3, j=4), SetOutput(output=tuple("iabj"))],
    )
    join = JoinIndices(keep="a", drop="b")
    found = apply(start, join)
    assert shape(found) == (["ia", "aj"], {"i": 2, "a": 3, "j": 4}, "ij")
    assert apply_all(found, invert(start, join)) == start


def test_joining_onto_a_bond_makes_a_hyperindex() -> None:
    start = apply(CHAIN, add("t3", "l", l=4))
    found = apply(start, JoinIndices(keep="j", drop="l"))
    assert found.network.legs_of["j"] == (("t1", 1), ("t2", 0), ("t3", 0))


def test_a_renamed_index_keeps_its_anchor_and_its_place_in_the_output() -> None:
    found = apply(CHAIN, RenameIndex(name="i", to="row"))
    assert found.network.output == ("row", "k")
    assert dict(found.diagram.anchors) == {"row": (-60, 0)}


def test_the_given_document_is_untouched() -> None:
    before = shape(CHAIN)
    apply_all(CHAIN, [SetDimension(name="j", dimension=9), RemoveTensor(id="t1")])
    assert shape(CHAIN) == before


@pytest.mark.parametrize(
    ("command", "error", "message"),
    [
        (
            RemoveTensor(id="t9"),
            DocumentError("unknown-tensor", "", where=Where(tensors=("t9",))),
            "There is no tensor with the id 't9'.",
        ),
        (
            SetDimension(name="z", dimension=2),
            NetworkError("unknown-index", "", where=Where(indices=("z",))),
            "There is no index 'z'.",
        ),
        (
            add("t3", "j", j=6),
            NetworkError("dimension-mismatch", "", where=Where(indices=("j",))),
            "Index 'j' has dimension 4, not 6.",
        ),
        (
            add("t1", "j"),
            NetworkError("duplicate-tensor", "", where=Where(tensors=("t1",))),
            "Two tensors have the id 't1'.",
        ),
        (
            AddTensor(tensor=Tensor(id="t3", name="A", indices=()), mark=MARK, at=7),
            DocumentError("bad-place", ""),
            "Operand position 7 is not between 0 and 2.",
        ),
        (
            SetIndices(id="t1", indices=("i", "q")),
            NetworkError("unknown-index", "", where=Where(indices=("q",))),
            "Index 'q' has no dimension.",
        ),
        (
            RenameIndex(name="i", to="k"),
            NetworkError("index-in-use", "", where=Where(indices=("i", "k"))),
            "Index 'k' exists already.",
        ),
        (
            JoinIndices(keep="i", drop="i"),
            DocumentError("same-index", "", where=Where(indices=("i", "i"))),
            "Index 'i' cannot be joined with itself.",
        ),
        (
            JoinIndices(keep="i", drop="k"),
            NetworkError("dimension-mismatch", "", where=Where(indices=("i", "k"))),
            "Index 'i' has dimension 3, but 'k' has 5.",
        ),
        (
            SetOutput(output=("i", "k", "i")),
            NetworkError("duplicate-output", "", where=Where(indices=("i",))),
            "Index 'i' appears twice in the output.",
        ),
        (
            SetOutput(output=("i", "q")),
            NetworkError("loose-output", "", where=Where(indices=("q",))),
            "Output index 'q' is on no tensor.",
        ),
        (
            SetDimension(name="j", dimension=0),
            NetworkError("bad-dimension", "", where=Where(indices=("j",))),
            "Index 'j' cannot have dimension 0.",
        ),
        (
            RenameTensor(id="t1", name="A B"),
            NetworkError("bad-name", ""),
            "'A B' cannot name a tensor.",
        ),
        (
            SetTitle(title="two\nlines"),
            DocumentError("bad-title", ""),
            "'two\\nlines' cannot be a title.",
        ),
        (
            Move(positions=(("t9", (0, 0)),)),
            DocumentError("unknown-tensor", "", where=Where(tensors=("t9",))),
            "There is no tensor with the id 't9'.",
        ),
        (
            Move(positions=(("t1", (0, 1_000_001)),)),
            DocumentError("bad-position", ""),
            "The position (0, 1000001) of a mark is not two whole numbers.",
        ),
    ],
)
def test_refusals_say_what_and_where(
    command: Command, error: TensorloomError, message: str
) -> None:
    with pytest.raises(type(error)) as caught:
        apply(CHAIN, command)
    found = caught.value
    assert (found.code, found.message, found.where) == (error.code, message, error.where)
    assert found.hint


def test_several_commands_are_all_or_nothing() -> None:
    with pytest.raises(NetworkError):
        apply_all(CHAIN, [SetDimension(name="j", dimension=9), SetOutput(output=("q",))])
    assert CHAIN.network.dimension_of["j"] == 4


def test_inverting_what_would_be_refused_is_refused() -> None:
    with pytest.raises(DocumentError) as caught:
        invert(CHAIN, Move(positions=(("t9", (0, 0)),)))
    assert caught.value.code == "unknown-tensor"
