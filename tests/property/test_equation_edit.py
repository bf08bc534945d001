"""Typed equations: the commands lead exactly to the typed network and keep what they can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import LETTERS, documents, networks
from tensorloom.formats.equation_edit import MANY_GONE, edits
from tensorloom.model.commands import ReplaceDocument, apply_all
from tensorloom.model.equation import parse, write

if TYPE_CHECKING:
    from tensorloom.model.document import Document
    from tensorloom.model.network import Network


@settings(max_examples=400, derandomize=True, database=None, deadline=2000)
@given(documents(LETTERS), networks(LETTERS))
def test_any_equation_can_be_typed_over_any_document(document: Document, typed: Network) -> None:
    text = write(typed).text
    commands = edits(document, text)
    reached = apply_all(document, commands)
    assert tuple(tensor.indices for tensor in reached.network.tensors) == parse(text).operands
    assert reached.network.output == typed.output
    gone = len(document.network.tensors) - len(typed.tensors)
    if gone >= MANY_GONE and any(isinstance(command, ReplaceDocument) for command in commands):
        return  # another network: nothing of the old one is kept
    kept = document.network.tensor_by_id
    for tensor in reached.network.tensors:
        if tensor.id in kept:
            old = kept[tensor.id]
            # Values made for another number of axes are drawn anew; all others stay.
            if len(tensor.indices) == len(old.indices) or old.array.kind in {"random", "constant"}:
                assert tensor.array == old.array
            elif old.array.kind in {"inline", "blob", "gate", "identity"}:
                assert tensor.array.kind == "random"
            assert tensor.name == kept[tensor.id].name
            assert reached.diagram.marks[tensor.id] == document.diagram.marks[tensor.id]
    for name, size in document.network.dimension_of.items():
        assert reached.network.dimension_of.get(name, size) == size


@settings(max_examples=100, derandomize=True, database=None, deadline=2000)
@given(documents())
def test_the_equation_of_a_document_changes_nothing(document: Document) -> None:
    assert edits(document, write(document.network).text) == ()


@settings(max_examples=100, derandomize=True, database=None, deadline=2000)
@given(documents(LETTERS), st.data())
def test_an_operand_put_in_leaves_all_tensors_alone(
    document: Document, data: st.DataObject
) -> None:
    operands = [tensor.indices for tensor in document.network.tensors]
    place = data.draw(st.integers(0, len(operands)))
    # Indices that no other operand has, so that it cannot be taken for one that was edited.
    operands.insert(place, ("λ", "μ"))
    text = ",".join("".join(names) for names in operands) + "->" + "".join(document.network.output)
    reached = apply_all(document, edits(document, text))
    old = document.network.tensors
    assert tuple(t for t in reached.network.tensors if t.id in document.network.tensor_by_id) == old
    assert len(reached.network.tensors) == len(old) + 1
