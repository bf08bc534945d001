"""5,000 texts for each reader, from valid to noise: each is a document or one explained refusal."""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refusals import assert_explained, assert_reads_or_refuses
from strategies import HOSTILE_CHARACTERS, damaged
from tensorloom.errors import EquationError
from tensorloom.formats.opening import open_text
from tensorloom.model import codec
from tensorloom.model.equation import parse

if TYPE_CHECKING:
    from tensorloom.formats.opened import Opened

FUZZED = settings(
    max_examples=5000,
    derandomize=True,
    database=None,
    deadline=None,  # assert_reads_or_refuses bounds each reading itself
    suppress_health_check=list(HealthCheck),
)

EQUATIONS = (
    "ab,bc->ac",
    "ab, bc, cd",
    "left row, row right -> left right",
    "a(row)b,(row)->(a)",
    "(x-1) (y((0)))), (y((0)))) ->",
    ",->",
    "aab,b->a",
)
EQUATION_PIECES = [
    "->",
    ",",
    "(",
    ")",
    "((",
    "))",
    " ",
    "...",
    "-",
    ">",
    "a",
    "left ",
    "=",
    "\u0301",
]


def assert_opens_or_refuses(text: str, kind: str | None) -> None:
    def read() -> object:
        opened: Opened = open_text(text, format=kind)
        return opened.document

    assert_reads_or_refuses(read)


def assert_inside(span: tuple[int, int] | None, text: str) -> None:
    if span is None or not 0 <= span[0] <= span[1] <= len(text):
        pytest.fail(f"{span} is not within {len(text)} characters")


@FUZZED
@given(damaged(EQUATIONS, EQUATION_PIECES) | st.text(max_size=60))
def test_equations(text: str) -> None:
    try:
        parsed = parse(text)
    except EquationError as error:
        assert_explained(error)
        assert_inside(error.where.span, text)
    else:
        assert set(parsed.output) <= {name for names in parsed.operands for name in names}
        for span in parsed.spans:
            assert 0 <= span.start < span.end <= len(text)


SIZED = ("ij,jk->ik i=4 j=8", "left row,row right->left right left=2; row=3", "a,b a=1, b = 2")


@FUZZED
@given(damaged((*EQUATIONS, *SIZED), [*EQUATION_PIECES, "=4", " i=3", "j=", "99999999999", ";"]))
def test_einsum_text(text: str) -> None:
    assert_opens_or_refuses(text, "einsum")


NETWORKS = tuple(
    json.dumps(network)
    for network in (
        {
            "inputs": [["a", "b"], ["b", "c"]],
            "output": ["a", "c"],
            "size_dict": {"a": 2, "b": 3, "c": 4},
        },
        {"inputs": [[0, 1], [1, 2], [2, 0]], "output": [], "size_dict": {"0": 2, "1": 3, "2": 4}},
        {
            "inputs": [["a, b", "a>b"], ["a b"], []],
            "output": [],
            "size_dict": {"a, b": 2, "a>b": 2, "a b": 5},
        },
    )
)
JSON_PIECES = [
    *'[]{},"',
    *("[]", "{}", "null", "true", "1e400", "-1", '"a"', "NaN", "0.5", '"inputs"', '"output"'),
    *("99999999999999999999", '"\\ud800"', "[[[[[[[[[[[[["),
]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)
LIKELY_NETWORKS = st.fixed_dictionaries(
    {
        "inputs": st.lists(st.lists(st.sampled_from(["a", "b", 1, "x y"]), max_size=4), max_size=5)
        | JSON_VALUES,
        "output": st.lists(st.sampled_from(["a", "b", 1, "c"]), max_size=3) | JSON_VALUES,
        "size_dict": st.dictionaries(st.sampled_from(["a", "b", "1", "x y"]), st.integers(-1, 9))
        | JSON_VALUES,
    }
).map(json.dumps)


@FUZZED
@given(damaged(NETWORKS, JSON_PIECES) | LIKELY_NETWORKS | JSON_VALUES.map(json.dumps))
def test_network_json(text: str) -> None:
    assert_opens_or_refuses(text, "network-json")


MARKOV = (
    "MARKOV\n2\n2 3\n2\n1 0\n2 0 1\n\n2\n 0.4 0.6\n\n6\n 1 2 3\n 4 5 6\n",
    "BAYES\n1\n2\n1\n1 0\n2\n0.25 0.75\n",
    "MARKOV 3 2 2 2 3 2 0 1 2 1 2 0 4 1 2 3 4 4 1 1 1 1 1 7",
)


@FUZZED
@given(
    damaged(MARKOV, ["\n", " ", "-1", "0", "1e999", "nan", "99999999", "2 ", "1_0", "٣", "MARKOV"])
)
def test_uai(text: str) -> None:
    assert_opens_or_refuses(text, "uai")


DOCUMENTS = tuple(
    codec.canonical_text(open_text(text, format=kind).document)
    for text, kind in ((EQUATIONS[0], "einsum"), (EQUATIONS[3], "einsum"), (MARKOV[0], "uai"))
)
DOCUMENT_PIECES = [
    *JSON_PIECES,
    '"kind":"copy"',
    '"tensorloom":2',
    '"id":"t1"',
    '"indices":',
    '"x":',
]


@FUZZED
@given(damaged(DOCUMENTS, DOCUMENT_PIECES) | JSON_VALUES.map(json.dumps))
def test_documents(text: str) -> None:
    assert_opens_or_refuses(text, "document")


@FUZZED
@given(
    damaged(DOCUMENTS, ["{", "}", HOSTILE_CHARACTERS]), st.integers(0, 10**6), st.text(max_size=3)
)
def test_links(plain: str, where: int, piece: str) -> None:
    packed = zipped(plain)
    at = where % (len(packed) + 1)
    # Odd numbers damage the link, even ones leave it whole around a damaged document.
    text = packed[:at] + piece + packed[at + len(piece) :] if where % 2 else packed
    assert_opens_or_refuses(text, "link")


@FUZZED
@given(
    damaged((*EQUATIONS, *SIZED, *NETWORKS, *MARKOV, *DOCUMENTS), ["qreg ", "{", "MARKOV ", "#"])
    | st.text(max_size=80)
)
def test_texts_of_unknown_format(text: str) -> None:
    assert_opens_or_refuses(text, None)


def zipped(plain: str) -> str:
    """A link that holds any text, not only that of a document."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = squeeze.compress(plain.encode("utf-8", "replace")) + squeeze.flush()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")
