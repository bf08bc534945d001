"""Equation text such as ``ab,bc->ac``: the only reader and writer of it.

Operands are separated by commas, the output follows ``->``. Every operand, and the output, is read
by itself in one of two forms:

- letters, when no blank stands between its characters: each character names one index (``ab``);
- names, when blanks do: each word names one index (``left row``).

A name in parentheses is one name in either form: ``(row)`` is one long name standing alone,
``a(row)b`` three indices. Within parentheses ``-``, ``.`` and, doubled, ``((`` and ``))`` may be
part of the name. Without ``->`` the output holds the names that appear once, in alphabetical order.
Empty text is the network without tensors, ``->`` is one scalar. Spans count characters (code
points) of the text that was read or written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorloom.errors import EquationError, Where
from tensorloom.model.document import MAX_TENSORS
from tensorloom.model.index import MAX_NAME_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tensorloom.model.network import Network

__all__ = [
    "MAX_EQUATION_LENGTH",
    "EquationSpan",
    "EquationText",
    "NameSpan",
    "ParsedEquation",
    "parse",
    "spans_of",
    "write",
]

MAX_EQUATION_LENGTH = 200_000
"""Longest equation that is read [characters]."""

SPECIAL = frozenset(",>-().")
"""Characters that stand for themselves only within parentheses, or never."""

_ARROW = "->"


@dataclass(frozen=True, slots=True, kw_only=True)
class NameSpan:
    """One index name as read: characters ``start`` to ``end``, on an operand or in the output.

    Args:
        operand: Position of the operand, ``None`` in the output.
    """

    start: int
    end: int
    index: str
    operand: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedEquation:
    """What equation text says.

    Args:
        operands: Index names of each operand.
        output: Names of the open indices; each once, each on an operand.
        named: Whether some name is longer than one character.
        spans: Every name that was read, in text order.
        borders: Half-open range of each operand in the text, blanks around it left out.
    """

    operands: tuple[tuple[str, ...], ...]
    output: tuple[str, ...]
    named: bool
    spans: tuple[NameSpan, ...]
    borders: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EquationSpan:
    """A piece of equation text and what it stands for in the diagram.

    Args:
        index: Index name, ``None`` for a whole operand.
        tensor: Tensor id, ``None`` in the output.
    """

    start: int
    end: int
    index: str | None
    tensor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EquationText:
    """A network as equation text, with the place of every operand and index name in it."""

    text: str
    spans: tuple[EquationSpan, ...]
    named: bool


def parse(text: str) -> ParsedEquation:
    """What the text says; time is linear in its length.

    Raises:
        EquationError: ``equation-too-long``, ``too-many-operands``, ``two-arrows``,
            ``broken-arrow``, ``ellipsis``, ``comma-in-output``, ``bad-name``,
            ``open-parenthesis``, ``loose-output`` or ``duplicate-output``; ``where.span`` marks
            the characters.

    Example:
        >>> parse("ab, bc -> ac").operands
        (('a', 'b'), ('b', 'c'))
        >>> parse("left row, row right").output
        ('left', 'right')
    """
    if len(text) > MAX_EQUATION_LENGTH:
        raise _error(
            "equation-too-long",
            f"The equation has {len(text)} characters; the most is {MAX_EQUATION_LENGTH}.",
            "Open it as network JSON instead.",
            (MAX_EQUATION_LENGTH, len(text)),
        )
    if text.count(",") >= MAX_TENSORS:
        raise _error(
            "too-many-operands",
            f"The equation has {text.count(',') + 1} operands; the most is {MAX_TENSORS}.",
            "Split it into parts.",
            (0, len(text)),
        )
    left_end, right_start = _arrow(text)
    borders = tuple(_borders(text, left_end)) if text.strip() else ()
    spans = [
        span
        for operand, (start, end) in enumerate(borders)
        for span in _names(text, start, end, operand)
    ]
    operands: list[list[str]] = [[] for _ in borders]
    for span in spans:
        assert span.operand is not None
        operands[span.operand].append(span.index)
    if right_start is None:
        output = _implied_output(spans)
    else:
        written = _output(text, right_start, {span.index for span in spans})
        output = tuple(span.index for span in written)
        spans.extend(written)
    return ParsedEquation(
        operands=tuple(tuple(names) for names in operands),
        output=output,
        named=any(len(span.index) > 1 for span in spans),
        spans=tuple(spans),
        borders=borders,
    )


def spans_of(parsed: ParsedEquation, tensors: Sequence[str]) -> tuple[EquationSpan, ...]:
    """The spans of typed text, given the tensor id of each operand."""
    whole = [
        EquationSpan(start=start, end=end, index=None, tensor=tensor)
        for (start, end), tensor in zip(parsed.borders, tensors, strict=True)
    ]
    names = [
        EquationSpan(
            start=span.start,
            end=span.end,
            index=span.index,
            tensor=None if span.operand is None else tensors[span.operand],
        )
        for span in parsed.spans
    ]
    return (*whole, *names)


def write(network: Network) -> EquationText:
    """The network's equation: letters when all names are single characters, else names.

    Reading the text again gives the same operands and output.

    Example:
        >>> from tensorloom.model.index import Index
        >>> from tensorloom.model.network import Network
        >>> from tensorloom.model.tensor import Tensor
        >>> vector = Tensor(id="t1", name="v", indices=("row",))
        >>> write(Network(tensors=(vector,), indices=(Index(name="row", dimension=3),))).text
        '(row) ->'
    """
    named = any(len(index.name) > 1 for index in network.indices)
    if not network.tensors:
        return EquationText(text="", spans=(), named=False)
    pieces: list[str] = []
    wholes: list[EquationSpan] = []
    names: list[EquationSpan] = []
    at = 0
    comma, blank = (", ", " ") if named else (",", "")

    def put(piece: str) -> int:
        nonlocal at
        pieces.append(piece)
        at += len(piece)
        return at

    def term(indices: tuple[str, ...], tensor: str | None) -> None:
        for position, name in enumerate(indices):
            start = put(blank) if position else at
            end = put(_written(name, alone=len(indices) == 1))
            names.append(EquationSpan(start=start, end=end, index=name, tensor=tensor))

    for position, tensor in enumerate(network.tensors):
        start = put(comma) if position else at
        term(tensor.indices, tensor.id)
        wholes.append(EquationSpan(start=start, end=at, index=None, tensor=tensor.id))
    put(f"{blank}{_ARROW}{blank if network.output else ''}")
    term(network.output, None)
    return EquationText(text="".join(pieces), spans=(*wholes, *names), named=named)


def _written(name: str, *, alone: bool) -> str:
    """A name as it must stand: in parentheses if it would be read differently without."""
    if (alone and len(name) > 1) or not SPECIAL.isdisjoint(name):
        return f"({name.replace('(', '((').replace(')', '))')})"
    return name


def _arrow(text: str) -> tuple[int, int | None]:
    """Where the operands end and where the output starts, ``None`` without an arrow."""
    arrow = text.find(_ARROW)
    broken = text.find(">")
    if 0 <= broken != arrow + 1:
        raise _error(
            "broken-arrow",
            f"The '>' at character {broken + 1} does not follow a '-'.",
            "Write the arrow before the output as '->'.",
            (broken, broken + 1),
        )
    if arrow < 0:
        return len(text), None
    second = text.find(">", arrow + 2)
    if second >= 0:
        start = second - 1 if text[second - 1] == "-" else second
        raise _error(
            "two-arrows",
            f"There is a second arrow at character {start + 1}; the first is at {arrow + 1}.",
            "Keep one '->'.",
            (start, second + 1),
        )
    comma = text.find(",", arrow)
    if comma >= 0:
        raise _error(
            "comma-in-output",
            f"There is a comma in the output, at character {comma + 1}.",
            "The output is one list of indices; put operands before '->'.",
            (comma, comma + 1),
        )
    return arrow, arrow + 2


def _borders(text: str, end: int) -> Iterator[tuple[int, int]]:
    """Start and end of each operand, without the blanks around it."""
    start = 0
    for operand in text[:end].split(","):
        after = start + len(operand)
        inner = operand.strip()
        skipped = len(operand) - len(operand.lstrip()) if inner else 0
        yield start + skipped, start + skipped + len(inner)
        start = after + 1


def _names(text: str, start: int, end: int, operand: int | None) -> Iterator[NameSpan]:
    """The names of one operand or of the output, in order."""
    tokens = tuple(_tokens(text, start, end))
    words = any(blank_before for _, _, blank_before in tokens)
    for first, last, _ in tokens:
        if text[first] == "(":
            yield NameSpan(start=first, end=last, index=_inner(text, first, last), operand=operand)
        elif words:
            yield _bare(text, first, last, operand)
        else:
            for at in range(first, last):
                yield _bare(text, at, at + 1, operand)


def _tokens(text: str, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """Runs of characters and parentheses: (start, end, whether a blank stands before it)."""
    at, previous = start, None
    while at < end:
        if text[at].isspace():
            at += 1
            continue
        first = at
        if text[at] == "(":
            at = _closing(text, at, end)
        else:
            while at < end and text[at] != "(" and not text[at].isspace():
                at += 1
        yield first, at, previous is not None and first > previous
        previous = at


def _closing(text: str, start: int, end: int) -> int:
    """The place just after the parenthesis that closes the one at ``start``."""
    at = start + 1
    while at < end:
        letter = text[at]
        if letter in "()" and text[at : at + 2] == letter * 2 and at + 1 < end:
            at += 2
        elif letter == ")":
            return at + 1
        elif letter == "(":
            break
        else:
            at += 1
    raise _error(
        "open-parenthesis",
        f"The parenthesis at character {start + 1} is not closed.",
        "Close it with ')'; a parenthesis that is part of a name is doubled.",
        (start, min(at + 1, end)),
    )


def _inner(text: str, start: int, end: int) -> str:
    """The name within the parentheses from ``start`` to ``end``."""
    name = text[start + 1 : end - 1].strip().replace("((", "(").replace("))", ")")
    _check(name, (start, end))
    return name


def _bare(text: str, start: int, end: int, operand: int | None) -> NameSpan:
    """A name that stands without parentheses."""
    name = text[start:end]
    for at, letter in enumerate(name, start):
        if letter not in SPECIAL:
            continue
        if letter == "." and text[at : at + 3] == "...":
            raise _error(
                "ellipsis",
                f"The '...' at character {at + 1} is not supported.",
                "Name every index.",
                (at, at + 3),
            )
        if letter == "-" and not text[at + 1 : at + 2].strip():
            hint = "Write the arrow before the output as '->'."
        else:
            hint = "Put a name that contains it in parentheses, such as (x-1)."
        raise _error(
            "bad-name",
            f"The '{letter}' at character {at + 1} cannot name an index.",
            hint,
            (at, at + 1),
        )
    _check(name, (start, end))
    return NameSpan(start=start, end=end, index=name, operand=operand)


def _check(name: str, span: tuple[int, int]) -> None:
    """Nothing, when a network accepts the name."""
    if 0 < len(name) <= MAX_NAME_LENGTH and name.isprintable() and " " not in name:
        return
    raise _error(
        "bad-name",
        f"{name[:40]!r} at character {span[0] + 1} cannot name an index.",
        f"Use 1 to {MAX_NAME_LENGTH} printable characters without blanks.",
        span,
    )


def _implied_output(spans: Sequence[NameSpan]) -> tuple[str, ...]:
    counts: dict[str, int] = {}
    for span in spans:
        counts[span.index] = counts.get(span.index, 0) + 1
    return tuple(sorted(name for name, count in counts.items() if count == 1))


def _output(text: str, start: int, known: set[str]) -> list[NameSpan]:
    """The names after the arrow; each must be on an operand and stand once."""
    found: list[NameSpan] = []
    first: dict[str, int] = {}
    for span in _names(text, start, len(text), None):
        place = (span.start, span.end)
        values = {"index": span.index}
        if span.index not in known:
            raise _error(
                "loose-output",
                f"Output index '{span.index}' is on no operand.",
                "Put it on an operand, or take it out of the output; a long name that stands "
                "alone is written in parentheses.",
                place,
                values,
            )
        if span.index in first:
            raise _error(
                "duplicate-output",
                f"Index '{span.index}' is in the output twice, at characters "
                f"{first[span.index] + 1} and {span.start + 1}.",
                "Name each output index once.",
                place,
                values,
            )
        first[span.index] = span.start
        found.append(span)
    return found


def _error(
    code: str,
    message: str,
    hint: str,
    span: tuple[int, int],
    values: Mapping[str, object] | None = None,
) -> EquationError:
    indices = tuple(str(value) for value in (values or {}).values())
    return EquationError(code, message, hint, Where(span=span, indices=indices), values or {})
