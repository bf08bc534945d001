"""Opening text: which format it is, what each reader makes of it, and what it says otherwise."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tensorloom.errors import FileFormatError, NetworkError, TensorloomError
from tensorloom.formats.assembly import clean_names, title_from
from tensorloom.formats.einsum_text import split_sizes
from tensorloom.formats.opening import FORMATS, open_text, sniff
from tensorloom.formats.templates import example
from tensorloom.formats.uai import MAX_INLINE_TABLE
from tensorloom.model import codec
from tensorloom.model.recipe import BlobArray, ConstantArray, InlineArray, RandomArray
from tensorloom.model.stored_array import StoredArray

NETWORK = '{"inputs": [["a", "b"], ["b", 7]], "output": [7], "size_dict": {"a": 2, "b": 3, "7": 5}}'
MARKOV = "MARKOV\n2\n2 3\n2\n1 0\n2 0 1\n\n2\n 0.5 1.5\n\n6\n 1 2 3\n 4 5 6\n"


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ("ij,jk->ik", "", "einsum"),
        ("ab,bc", "", "einsum"),
        ("abc", "x.einsum", "einsum"),
        (NETWORK, "", "network-json"),
        ("\ufeff " + MARKOV, "", "uai"),
        ("BAYES 0 0", "x.txt", "uai"),
        ("OPENQASM 2.0;", "", "qasm"),
        ("// a comment\nqreg q[2];", "", "qasm"),
        (codec.canonical_text(example()), "", "document"),
        (codec.encode_link(example()), "", "link"),
        ("https://example.org/#" + codec.encode_link(example()), "", "link"),
    ],
)
def test_the_format_is_found(text: str, name: str, kind: str) -> None:
    assert sniff(text, name) == kind


@pytest.mark.parametrize("text", ["", "  \n", "hello", "\x1f", "<html>"])
def test_what_no_reader_knows_is_refused_with_what_was_tried(text: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        open_text(text, name="notes.txt")
    error = caught.value
    assert (error.code, error.where.file) == ("unknown-format", "notes.txt")
    assert all(kind in error.message for kind in FORMATS)


def test_a_refusal_names_the_file_and_keeps_its_place() -> None:
    with pytest.raises(TensorloomError) as caught:
        open_text("ab->z", format="einsum", name="mine.txt")
    assert (caught.value.where.file, caught.value.where.span) == ("mine.txt", (4, 5))


def test_a_document_and_its_link_open_as_themselves() -> None:
    document = example()
    assert open_text(codec.canonical_text(document)).document == document
    assert open_text("#" + codec.encode_link(document)).document == document


def test_unknown_formats_and_options_are_refused() -> None:
    with pytest.raises(FileFormatError, match=r"There is no format 'xml'\."):
        open_text("", format="xml")
    with pytest.raises(FileFormatError, match=r"The format uai has no option 'seed'\."):
        open_text(MARKOV, format="uai", options={"seed": 1})
    with pytest.raises(FileFormatError, match=r"The option 'seed' is 'x'\."):
        open_text("ab", format="einsum", options={"seed": "x"})


def test_einsum_with_sizes_and_seed() -> None:
    network = open_text(
        "ij,jk->ik i=3, j = 5", format="einsum", options={"seed": 7, "sizes": {"k": 2}}
    ).document.network
    assert network.dimension_of == {"i": 3, "j": 5, "k": 2}
    assert [tensor.array for tensor in network.tensors] == [
        RandomArray(seed=7),
        RandomArray(seed=8),
    ]
    assert [tensor.name for tensor in network.tensors] == ["A", "B"]
    assert network.output == ("i", "k")


@pytest.mark.parametrize(
    ("text", "equation", "sizes"),
    [
        ("ab,bc", "ab,bc", {}),
        ("ab a=2", "ab", {"a": 2}),
        ("ab,bc->ac;a=2;b=3", "ab,bc->ac", {"a": 2, "b": 3}),
        ("left row -> left left = 4 (row)=5", "left row -> left", {"left": 4, "row": 5}),
    ],
)
def test_sizes_after_an_equation(text: str, equation: str, sizes: dict[str, int]) -> None:
    assert split_sizes(text) == (equation, sizes)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("ab a=2 b", "bad-size", "'b' is not a size."),
        ("ab a=2.5", "bad-size", "'a = 2.5' is not a size."),
        ("ab a=2 a=3", "bad-size", "Index 'a' has size 2 and size 3."),
        ("ab z=2", "unknown-size", "There is a size for index 'z', which is on no operand."),
        ("ab a=0", "bad-dimension", "Index 'a' cannot have dimension 0."),
    ],
)
def test_sizes_that_are_refused(text: str, code: str, message: str) -> None:
    with pytest.raises(TensorloomError) as caught:
        open_text(text, format="einsum")
    assert (caught.value.code, caught.value.message) == (code, message)


def stored(*shape: int, dtype: str = "float64") -> StoredArray:
    array = np.zeros(shape, dtype)
    return StoredArray.of(dtype=dtype, shape=shape, data=array.tobytes())  # type: ignore[arg-type]  # a test's types


def test_arrays_give_the_sizes_and_the_type() -> None:
    arrays = [stored(2, 3, dtype="complex64"), stored(3, 5)]
    opened = open_text("ij,jk->ik", options={"arrays": arrays})
    assert opened.document.network.dimension_of == {"i": 2, "j": 3, "k": 5}
    assert opened.document.dtype == "complex128"
    assert opened.arrays == tuple(arrays)
    assert [tensor.array for tensor in opened.document.network.tensors] == [
        BlobArray(hash=array.hash, shape=array.shape, dtype=array.dtype) for array in arrays
    ]


def test_arrays_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(NetworkError) as caught:
        open_text("ij,jk->ik", options={"arrays": [stored(2, 3), stored(4, 5)]})
    assert caught.value.message == "Index 'j' has dimension 3, but 4 on operand 2 (axis 0)."
    with pytest.raises(NetworkError) as caught:
        open_text("ij->", options={"arrays": [stored(2, 3, 4)]})
    assert caught.value.message == "Operand 1 has 2 indices, but its array has 3 axes."


def test_network_json() -> None:
    document = open_text(NETWORK, name="folder/small net.json").document
    assert document.title == "small net"
    assert [tensor.indices for tensor in document.network.tensors] == [("a", "b"), ("b", "7")]
    assert document.network.dimension_of == {"a": 2, "b": 3, "7": 5}
    assert document.network.output == ("7",)


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"inputs": 3}, "bad-field", "inputs is 3, not a list."),
        ({"inputs": [["a"], "b"]}, "bad-field", "inputs[1] is 'b', not a list."),
        ({"inputs": [["a", 0.5]]}, "bad-field", "inputs[0][1] is 0.5, not an index name."),
        ({"size_dict": {"a": "2"}}, "bad-field", "size_dict['a'] is '2', not a whole number."),
        (
            {"size_dict": {"a": 2, "b": 3}},
            "unknown-index",
            "Index '7' of inputs[1] is not in size_dict.",
        ),
        ({"output": ["q"]}, "loose-output", "Output index 'q' is on no input."),
        ({"output": [7, "7"]}, "duplicate-output", "Index '7' appears twice in the output."),
    ],
)
def test_network_json_refusals(change: dict[str, object], code: str, message: str) -> None:
    with pytest.raises(TensorloomError) as caught:
        open_text(json.dumps({**json.loads(NETWORK), **change}), format="network-json")
    assert (caught.value.code, caught.value.message) == (code, message)


def test_names_that_a_network_cannot_use_are_cleaned_and_stay_different() -> None:
    found = clean_names(["a b", "a_b", "a,b", "ok", "", "x" * 80, "x" * 70])
    assert found == {
        "a b": "a_b_2",
        "a_b": "a_b",
        "a,b": "a_b_3",
        "ok": "ok",
        "": "_",
        "x" * 80: "x" * 64,
        "x" * 70: "x" * 62 + "_2",
    }


def test_titles_from_file_names() -> None:
    assert title_from("C:\\data\\grid.v2.json") == "grid.v2"
    assert title_from("net\nwork") == "network"
    assert len(title_from("x" * 500)) == 200


def test_a_markov_network_has_variables_as_indices_and_tables_as_tensors() -> None:
    opened = open_text(MARKOV)
    network = opened.document.network
    assert opened.document.dtype == "float64"
    assert [(t.name, t.indices) for t in network.tensors] == [
        ("f_0", ("x_0",)),
        ("f_1", ("x_0", "x_1")),
    ]
    assert network.dimension_of == {"x_0": 2, "x_1": 3}
    assert network.output == ()
    assert network.tensors[1].array == InlineArray(values=(1, 2, 3, 4, 5, 6), shape=(2, 3))


def test_a_variable_without_a_table_is_summed_over_ones() -> None:
    network = open_text("MARKOV 2 2 3 1 1 0 2 1 1").document.network
    assert [(t.indices, t.array) for t in network.tensors][1] == (
        ("x_1",),
        ConstantArray(value=1.0),
    )


def test_a_large_table_becomes_a_stored_array() -> None:
    size = MAX_INLINE_TABLE + 1
    opened = open_text(f"MARKOV 1 {size} 1 1 0 {size} " + "0.25 " * size)
    (tensor,) = opened.document.network.tensors
    (array,) = opened.arrays
    assert tensor.array == array.recipe
    assert array.data == np.full(size, 0.25).tobytes()


SMALL = "MARKOV\n1\n2\n1\n"


@pytest.mark.parametrize(
    ("text", "code", "line", "message"),
    [
        (SMALL + "2 0 0", "bad-variable", 5, "Table 0 names variable 0 twice."),
        (SMALL + "1 3", "bad-number", 5, "In line 5, a variable of table 0 is '3'."),
        (
            SMALL + "1 0\n3 1 1 1",
            "bad-table",
            6,
            "Table 0 has 3 values, but its variables have 2 combinations.",
        ),
        (SMALL + "1 0\n2 1 nan", "bad-number", 6, "In line 6, a value of table 0 is 'nan'."),
        (
            SMALL + "1 0\n2 1",
            "cut-short",
            6,
            "The file ends in line 6, before a value of table 0.",
        ),
        (
            "MARKOV\n0\n0\n\nextra",
            "left-over",
            5,
            "After the last table, line 5 goes on with 'extra'.",
        ),
    ],
)
def test_markov_refusals_name_the_line(text: str, code: str, line: int, message: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        open_text(text, format="uai")
    error = caught.value
    assert (error.code, error.where.line, error.message) == (code, line, message)
