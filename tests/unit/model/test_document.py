"""Documents and networks that check themselves, and their way through JSON and links."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest

from tensorloom.errors import DocumentError, NetworkError, TensorloomError
from tensorloom.model import codec
from tensorloom.model.diagram import Diagram, Mark
from tensorloom.model.document import Document
from tensorloom.model.index import Index
from tensorloom.model.network import Network
from tensorloom.model.tensor import Tensor


def tensor(name: str, indices: str) -> Tensor:
    return Tensor(id=name, name="A", indices=tuple(indices))


def indices(**sizes: int) -> tuple[Index, ...]:
    return tuple(Index(name=name, dimension=size) for name, size in sizes.items())


LOOM = Document(
    title="A ⊗ B",
    dtype="complex64",
    network=Network(
        tensors=(tensor("t1", "iij"), tensor("t2", "jk"), tensor("t3", "")),
        indices=indices(i=2, j=3, k=1),
        output=("k", "j"),
    ),
    diagram=Diagram(
        marks={
            "t1": Mark(x=-3, y=4, shape="diamond", colour="rose"),
            "t2": Mark(x=60, y=0),
            "t3": Mark(x=9, y=9, shape="none"),
        },
        anchors={"k": (120, -7)},
    ),
)


def json_of(document: Document = LOOM, **changed: Any) -> dict[str, Any]:
    return {**codec.to_json(document), **changed}


def test_derived_looks() -> None:
    network = LOOM.network
    assert network.legs_of == {
        "i": (("t1", 0), ("t1", 1)),
        "j": (("t1", 2), ("t2", 0)),
        "k": (("t2", 1),),
    }
    assert network.shape(network.tensors[0]) == (2, 2, 3)
    assert network.output_shape == (1, 3)


@pytest.mark.parametrize("document", [LOOM, Document()])
def test_json_and_links_bring_the_same_document(document: Document) -> None:
    assert codec.from_json(json.loads(json.dumps(codec.to_json(document)))) == document
    assert codec.from_text(codec.canonical_text(document)) == document
    assert codec.decode_link(codec.encode_link(document)) == document


def test_canonical_text_has_sorted_keys_and_no_blanks() -> None:
    assert codec.canonical_text(Document()) == (
        '{"anchors":{},"dimensions":{},"dtype":"float64","marks":{},"output":[],"tensorloom":1,'
        '"tensors":[],"title":"Untitled"}'
    )


def test_dimensions_are_read_in_any_order() -> None:
    found = codec.from_json(json_of(dimensions={"k": 1, "j": 3, "i": 2}))
    assert [index.name for index in found.network.indices] == ["i", "j", "k"]


@pytest.mark.parametrize(
    ("changed", "code", "message"),
    [
        (
            {"tensorloom": 2},
            "newer-version",
            "This document has version 2; this Tensorloom reads up to 1.",
        ),
        ({"tensorloom": None}, "not-a-document", "This JSON is not a Tensorloom document."),
        ({"colour": 1}, "unknown-field", "The field 'colour' of the document is not known."),
        ({"title": "x" * 201}, "bad-title", f"{repr('x' * 201)[:40]} cannot be a title."),
        ({"dtype": "int8"}, "bad-dtype", "'int8' is not a number type."),
        ({"output": ["k", "k"]}, "duplicate-output", "Index 'k' appears twice in the output."),
        ({"output": ["z"]}, "loose-output", "Output index 'z' is on no tensor."),
        ({"dimensions": {"i": 2, "j": 3}}, "unknown-index", "Index 'k' on A has no dimension."),
        (
            {"dimensions": {"i": 2, "j": 3, "k": 0}},
            "bad-dimension",
            "Index 'k' cannot have dimension 0.",
        ),
        (
            {"dimensions": {"i": 2, "j": 3, "k": 1, "z": 5}},
            "unused-index",
            "Index 'z' is on no tensor.",
        ),
        (
            {"anchors": {"z": [0, 0]}},
            "bad-diagram",
            "There is an anchor for index 'z', which no tensor has.",
        ),
        (
            {"marks": {}},
            "bad-diagram",
            "Tensor 't1' is in the network or in the drawing, but not in both.",
        ),
    ],
)
def test_documents_that_contradict_themselves(
    changed: dict[str, Any], code: str, message: str
) -> None:
    with pytest.raises(TensorloomError) as caught:
        codec.from_json(json_of(**changed))
    assert (caught.value.code, caught.value.message) == (code, message)


def test_two_tensors_of_one_id() -> None:
    with pytest.raises(NetworkError) as caught:
        Network(tensors=(tensor("t1", ""), tensor("t2", ""), tensor("t2", "")))
    assert caught.value.code == "duplicate-tensor"
    assert caught.value.message == "Two tensors have the id 't2'."


def test_an_index_declared_twice() -> None:
    twice = (*indices(i=2, j=3), *indices(j=4))
    with pytest.raises(NetworkError) as caught:
        Network(tensors=(tensor("t1", "ij"),), indices=twice)
    assert (caught.value.code, caught.value.message) == (
        "duplicate-index",
        "Index 'j' is declared twice.",
    )


def test_too_many_axes() -> None:
    network = Network(tensors=(tensor("t1", "i" * 65),), indices=indices(i=1))
    with pytest.raises(DocumentError) as caught:
        Document(network=network, diagram=Diagram(marks={"t1": Mark(x=0, y=0)}))
    assert caught.value.code == "too-big"
    assert caught.value.message == "The network has 65 axes on one tensor; the most is 64."


def packed(text: bytes) -> str:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.urlsafe_b64encode(squeeze.compress(text) + squeeze.flush()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("link", "code"),
    [
        ("", "bad-link"),
        ("*", "bad-link"),
        ("é", "bad-link"),
        (codec.encode_link(LOOM)[:-8], "bad-link"),
        (codec.encode_link(LOOM) + "AAAA", "bad-link"),
        (packed(b"[1,"), "not-json"),
        (packed(b'{"tensorloom":1,"tensorloom":1}'), "not-json"),
        (packed(b"[" * 100 + b"]" * 100), "not-json"),
        (packed(b'{"tensorloom":NaN}'), "not-json"),
        (packed(b" " * (5 * 1024 * 1024)), "too-big"),
    ],
)
def test_damaged_links(link: str, code: str) -> None:
    with pytest.raises(DocumentError) as caught:
        codec.decode_link(link)
    assert caught.value.code == code
    assert caught.value.hint
