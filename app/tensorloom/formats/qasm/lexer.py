"""OpenQASM 2 text -> tokens with their places. One regular expression, linear time.

Registers may start with a capital letter and keywords are told apart by the parser, as in the
programs that circulate, and a byte-order mark is blank; otherwise the words are those of
arXiv:1707.03429, appendix A.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple, NoReturn

from tensorloom.errors import FileFormatError, Where

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FORMAT", "MAX_TEXT_LENGTH", "Reader", "Token", "TokenKind", "refuse", "tokens"]

MAX_TEXT_LENGTH = 1_500_000
"""Longest program [characters]; enough for 20,000 gates with three long angles each."""

FORMAT = "OpenQASM 2"
"""What an error names as the file."""

TokenKind = Literal["name", "real", "whole", "string", "mark", "end"]

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\f\v\n\ufeff]+|//[^\n]*)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<real>(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
    |(?P<whole>[0-9]+)
    |(?P<string>"[^"\n]*"|'[^'\n]*')
    |(?P<mark>->|==|[;,()\[\]{}+\-*/^])""",
    re.VERBOSE,
)


class Token(NamedTuple):
    """A word of the program.

    Args:
        kind: What sort of word.
        text: Its characters; empty at the end of the program.
        start: Where it starts [characters].
        line: Its line, counted from 1.
    """

    kind: TokenKind
    text: str
    start: int
    line: int

    @property
    def shown(self) -> str:
        """The token as an error message quotes it."""
        return f"'{self.text[:40]}'" if self.text else "the end of the program"

    @property
    def where(self) -> Where:
        """Its place, for an error."""
        span = (self.start, self.start + len(self.text))
        return Where(span=span, line=self.line, file=FORMAT)


def refuse(
    token: Token, code: str, message: str, hint: str, values: dict[str, object] | None = None
) -> NoReturn:
    """Raise the ``FileFormatError`` that speaks of this token.

    Raises:
        FileFormatError: Always; the message gets the line in front.
    """
    raise FileFormatError(
        code, f"Line {token.line}: {message}", hint, token.where, {} if values is None else values
    )


def tokens(text: str) -> Iterator[Token]:
    """The program's tokens without blanks and comments; the last one has the kind ``end``.

    Raises:
        FileFormatError: ``too-big`` or ``bad-character``.
    """
    if len(text) > MAX_TEXT_LENGTH:
        raise FileFormatError(
            "too-big",
            f"The program has {len(text)} characters; the most is {MAX_TEXT_LENGTH}.",
            "Split it into parts.",
            Where(file=FORMAT),
        )
    place, line = 0, 1
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            _refuse_character(Token("mark", text[place], place, line))
        kind, found = match.lastgroup, match.group()
        if kind == "blank":
            line += found.count("\n")
        else:
            yield Token(kind, found, place, line)  # type: ignore[arg-type]  # a group's name
        place = match.end()
    yield Token("end", "", place, line)


def _refuse_character(token: Token) -> NoReturn:
    if token.text in "\"'":
        refuse(token, "bad-character", "The text in quotes has no end.", "Close it on its line.")
    refuse(
        token,
        "bad-character",
        f"The character {token.text!r} means nothing in OpenQASM 2.",
        "Take it out.",
    )


class Reader:
    """The tokens in order, with one token of foresight."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self.next = next(self._tokens)

    def take(self) -> Token:
        """The next token, which is then behind us; the end is never left behind."""
        token = self.next
        if token.kind != "end":
            self.next = next(self._tokens)
        return token

    def skips(self, text: str) -> bool:
        """Whether the next token is this mark or word; if so it is taken."""
        found = self.next.text == text and self.next.kind in ("mark", "name")
        if found:
            self.take()
        return found

    def expect(self, text: str) -> Token:
        """The next token, taken, which has to be this mark.

        Raises:
            FileFormatError: ``bad-syntax``.
        """
        if self.next.text != text or self.next.kind != "mark":
            self.wants(f"'{text}'")
        return self.take()

    def expect_kind(self, kind: TokenKind, what: str) -> Token:
        """The next token, taken, which has to be of this kind.

        Raises:
            FileFormatError: ``bad-syntax``.
        """
        if self.next.kind != kind:
            self.wants(what)
        return self.take()

    def wants(self, what: str) -> NoReturn:
        """Refuse the next token where something else is needed."""
        refuse(
            self.next,
            "bad-syntax",
            f"{what} is needed, but here is {self.next.shown}.",
            "Check the statement for a missing or misplaced sign.",
        )
