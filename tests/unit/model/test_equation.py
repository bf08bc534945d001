"""Equation text: what each form says, and the exact place and words of every refusal."""

from __future__ import annotations

import time

import pytest

from tensorloom.errors import EquationError
from tensorloom.model.equation import (
    MAX_EQUATION_LENGTH,
    EquationSpan,
    parse,
    spans_of,
    write,
)
from tensorloom.model.index import Index
from tensorloom.model.network import Network
from tensorloom.model.tensor import Tensor


@pytest.mark.parametrize(
    ("text", "operands", "output"),
    [
        ("ab,bc->ac", (("a", "b"), ("b", "c")), ("a", "c")),
        (" a b , bc -> ca ", (("a", "b"), ("b", "c")), ("c", "a")),
        # numpy's rule: names that appear once, in alphabetical order
        ("cb,ba", (("c", "b"), ("b", "a")), ("a", "c")),
        ("ii", (("i", "i"),), ()),
        ("", (), ()),
        ("->", ((),), ()),
        (",a->a", ((), ("a",)), ("a",)),
        ("a,a,a->a", (("a",), ("a",), ("a",)), ("a",)),
        (
            "left row, row right -> left right",
            (("left", "row"), ("row", "right")),
            ("left", "right"),
        ),
        ("(row) -> ", (("row",),), ()),
        ("a(row)b->b", (("a", "row", "b"),), ("b",)),
        ("ab c", (("ab", "c"),), ("ab", "c")),
        ("(x-1) ( y )->", (("x-1", "y"),), ()),
        ("((()()))->", (("(", ")"),), ()),
        ("λμ,μ字->字", (("λ", "μ"), ("μ", "字")), ("字",)),
    ],
)
def test_reading(text: str, operands: tuple[tuple[str, ...], ...], output: tuple[str, ...]) -> None:
    parsed = parse(text)
    assert parsed.operands == operands
    assert parsed.output == output


@pytest.mark.parametrize(
    ("text", "code", "span", "message"),
    [
        ("ab>c", "broken-arrow", (2, 3), "The '>' at character 3 does not follow a '-'."),
        (
            "a->b->c",
            "two-arrows",
            (4, 6),
            "There is a second arrow at character 5; the first is at 2.",
        ),
        ("a,b->a,b", "comma-in-output", (6, 7), "There is a comma in the output, at character 7."),
        ("ab...->a", "ellipsis", (2, 5), "The '...' at character 3 is not supported."),
        ("a-b->", "bad-name", (1, 2), "The '-' at character 2 cannot name an index."),
        ("ab)", "bad-name", (2, 3), "The ')' at character 3 cannot name an index."),
        ("ab,(cd->a", "open-parenthesis", (3, 6), "The parenthesis at character 4 is not closed."),
        ("ab,()->", "bad-name", (3, 5), "'' at character 4 cannot name an index."),
        ("ab->abz", "loose-output", (6, 7), "Output index 'z' is on no operand."),
        (
            "ab->aba",
            "duplicate-output",
            (6, 7),
            "Index 'a' is in the output twice, at characters 5 and 7.",
        ),
        ("a\x00->", "bad-name", (1, 2), "'\\x00' at character 2 cannot name an index."),
    ],
)
def test_refusals_mark_the_characters(
    text: str, code: str, span: tuple[int, int], message: str
) -> None:
    with pytest.raises(EquationError) as caught:
        parse(text)
    error = caught.value
    assert (error.code, error.where.span, error.message) == (code, span, message)
    assert error.hint


def test_an_arrow_half_typed_is_explained_as_such() -> None:
    with pytest.raises(EquationError) as caught:
        parse("ab,bc-")
    assert caught.value.where.span == (5, 6)
    assert caught.value.hint == "Write the arrow before the output as '->'."


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ab," * 19_999, None),
        ("," * MAX_EQUATION_LENGTH, "too-many-operands"),
        ("(" * MAX_EQUATION_LENGTH, "open-parenthesis"),
        (" " * MAX_EQUATION_LENGTH, None),
        ("a" * (MAX_EQUATION_LENGTH - 2) + "->", None),
    ],
    ids=lambda value: str(value)[:6],
)
def test_the_longest_text_is_read_in_linear_time(text: str, code: str | None) -> None:
    started = time.process_time()
    if code is None:
        assert len(parse(text).spans) in {2 * 19_999, 0, MAX_EQUATION_LENGTH - 2}
    else:
        with pytest.raises(EquationError) as caught:
            parse(text)
        assert caught.value.code == code
    assert time.process_time() - started < 2


def test_longer_text_is_refused() -> None:
    with pytest.raises(EquationError) as caught:
        parse("a" * (MAX_EQUATION_LENGTH + 7))
    assert caught.value.message == "The equation has 200007 characters; the most is 200000."


def network(*operands: tuple[str, ...], output: tuple[str, ...] = ()) -> Network:
    names = dict.fromkeys(name for operand in operands for name in operand)
    return Network(
        tensors=tuple(
            Tensor(id=f"t{place}", name="T", indices=operand)
            for place, operand in enumerate(operands, 1)
        ),
        indices=tuple(Index(name=name, dimension=2) for name in names),
        output=output,
    )


@pytest.mark.parametrize(
    ("value", "text", "named"),
    [
        (network(), "", False),
        (network(()), "->", False),
        (network(("a", "b"), ("b", "c"), output=("a", "c")), "ab,bc->ac", False),
        (network(("left", "r"), ("r",), output=("left",)), "left r, r -> (left)", True),
        (network(("row",)), "(row) ->", True),
        (network(("-", "a")), "(-)a->", False),
        (network(("f(x)", "b")), "(f((x))) b ->", True),
    ],
)
def test_writing(value: Network, text: str, named: bool) -> None:  # noqa: FBT001  # a table
    found = write(value)
    assert (found.text, found.named) == (text, named)


def test_spans_link_letters_operands_and_output() -> None:
    found = write(network(("a", "b"), ("b",), output=("a",)))
    assert found.text == "ab,b->a"
    assert found.spans == (
        EquationSpan(start=0, end=2, index=None, tensor="t1"),
        EquationSpan(start=3, end=4, index=None, tensor="t2"),
        EquationSpan(start=0, end=1, index="a", tensor="t1"),
        EquationSpan(start=1, end=2, index="b", tensor="t1"),
        EquationSpan(start=3, end=4, index="b", tensor="t2"),
        EquationSpan(start=6, end=7, index="a", tensor=None),
    )


def test_spans_of_typed_text_leave_blanks_out() -> None:
    spans = spans_of(parse(" row b , (row)"), ("t4", "t9"))
    assert [(span.start, span.end, span.index, span.tensor) for span in spans] == [
        (1, 6, None, "t4"),
        (9, 14, None, "t9"),
        (1, 4, "row", "t4"),
        (5, 6, "b", "t4"),
        (9, 14, "row", "t9"),
    ]
