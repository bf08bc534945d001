"""UAI Markov and Bayes networks: variables become indices, tables tensors, Z the scalar value.

The file: ``MARKOV`` or ``BAYES``; the number of variables; their sizes; the number of tables; the
variables of each table; then for each table the number of its values and the values, the last
variable changing fastest (C order).

Source: the UAI file format, uaicompetition.github.io/uci-2022/file-formats/model-format.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from tensorloom.errors import FileFormatError, Where
from tensorloom.formats.assembly import assemble, title_from
from tensorloom.formats.opened import Opened
from tensorloom.model.document import MAX_AXES, MAX_LEGS, MAX_TENSORS
from tensorloom.model.index import MAX_DIMENSION
from tensorloom.model.recipe import ArrayRecipe, ConstantArray, InlineArray
from tensorloom.model.stored_array import StoredArray
from tensorloom.model.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["MAX_VALUES", "read"]

MAX_VALUES = 4_000_000
"""Most numbers in all tables together."""

MAX_INLINE_TABLE, MAX_INLINE_TOTAL = 256, 32_768
"""Tables up to this size, and so many numbers in all, stay in the document itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """One factor: its variables, and its values in C order."""

    scope: tuple[int, ...]
    values: tuple[float, ...]


def read(text: str, *, name: str = "") -> Opened:
    """The network whose value is the partition function (1 for a Bayes network), in ``float64``.

    A variable that is in no table is summed as well, over a tensor of ones.

    Raises:
        FileFormatError: ``not-uai``, ``cut-short``, ``bad-number``, ``bad-variable``,
            ``bad-table``, ``too-big`` or ``left-over``; ``where.line`` marks the line.
    """
    words = _Words(text)
    kind = words.next("MARKOV or BAYES")
    if kind not in {"MARKOV", "BAYES"}:
        words.refuse("not-uai", f"The file starts with {kind[:20]!r}.", "Start it with MARKOV.")
    count = words.whole("the number of variables", 0, MAX_LEGS)
    sizes = [words.whole(f"the size of variable {k}", 1, MAX_DIMENSION) for k in range(count)]
    n_tables = words.whole("the number of tables", 0, MAX_TENSORS)
    scopes = [_scope(words, table, count) for table in range(n_tables)]
    left = MAX_VALUES
    tables: list[_Table] = []
    for place, scope in enumerate(scopes):
        values = _values(words, place, [sizes[variable] for variable in scope], left)
        left -= len(values)
        tables.append(_Table(scope=scope, values=values))
    words.end()
    return _network(sizes, tables, title_from(name))


def _scope(words: _Words, table: int, n_variables: int) -> tuple[int, ...]:
    """The variables of one table."""
    axes = words.whole(f"the number of variables of table {table}", 0, MAX_AXES)
    scope: list[int] = []
    for _ in range(axes):
        variable = words.whole(f"a variable of table {table}", 0, max(n_variables - 1, 0))
        if variable in scope or not n_variables:
            words.refuse(
                "bad-variable",
                f"Table {table} names variable {variable} "
                f"{'twice' if n_variables else 'but there are none'}.",
                "Name each of its variables once.",
            )
        scope.append(variable)
    return tuple(scope)


def _values(words: _Words, place: int, shape: Sequence[int], left: int) -> tuple[float, ...]:
    """The values of one table."""
    needed = math.prod(shape)
    count = words.whole(f"the number of values of table {place}", 0, MAX_DIMENSION)
    if count != needed:
        words.refuse(
            "bad-table",
            f"Table {place} has {count} values, but its variables have {needed} combinations.",
            "Give one value for each combination.",
        )
    if count > left:
        words.refuse(
            "too-big",
            f"Table {place} has {count} values; {left} of {MAX_VALUES} are left for it.",
            "Leave out the large tables.",
        )
    return tuple(words.number(f"a value of table {place}") for _ in range(count))


def _network(sizes: Sequence[int], tables: Sequence[_Table], title: str) -> Opened:
    """Indices ``x_0, x_1, ...`` and tensors ``f_0, f_1, ...``, numbered as in the file."""
    tensors: list[Tensor] = []
    arrays: dict[str, StoredArray] = {}
    inline = 0
    used: set[int] = set()
    for place, table in enumerate(tables):
        used.update(table.scope)
        shape = tuple(sizes[variable] for variable in table.scope)
        recipe: ArrayRecipe
        if len(table.values) <= MAX_INLINE_TABLE and inline <= MAX_INLINE_TOTAL:
            inline += len(table.values)
            recipe = InlineArray(values=table.values, shape=shape)
        else:
            data = struct.pack(f"<{len(table.values)}d", *table.values)
            stored = StoredArray.of(dtype="float64", shape=shape, data=data)
            arrays[stored.hash] = stored
            recipe = stored.recipe
        indices = tuple(f"x_{variable}" for variable in table.scope)
        tensors.append(Tensor(id=f"t{place + 1}", name=f"f_{place}", indices=indices, array=recipe))
    for variable in range(len(sizes)):
        if variable not in used:
            tensors.append(
                Tensor(
                    id=f"t{len(tensors) + 1}",
                    name="1",
                    indices=(f"x_{variable}",),
                    array=ConstantArray(value=1.0),
                )
            )
    dimensions = {f"x_{variable}": size for variable, size in enumerate(sizes)}
    document = assemble(tensors, dimensions, (), title=title)
    return Opened(document=document, arrays=tuple(arrays.values()))


class _Words:
    """The words of a text one by one, each with its line."""

    def __init__(self, text: str) -> None:
        self._words = self._split(text)
        self._line = 1

    @staticmethod
    def _split(text: str) -> Iterator[tuple[int, str]]:
        for line, content in enumerate(text.split("\n"), 1):
            for word in content.split():
                yield line, word

    def refuse(self, code: str, message: str, hint: str) -> NoReturn:
        """Raise an error at the line of the last word."""
        raise FileFormatError(code, message, hint, Where(file="UAI", line=self._line))

    def next(self, what: str) -> str:
        """The next word, which is to be ``what``."""
        found = next(self._words, None)
        if found is None:
            self.refuse(
                "cut-short",
                f"The file ends in line {self._line}, before {what}.",
                "Check that the file is complete.",
            )
        self._line, word = found
        return word

    def whole(self, what: str, least: int, most: int) -> int:
        """A whole number within bounds."""
        word = self.next(what)
        longest = 12
        good = word.isascii() and word.isdigit() and len(word) <= longest
        if not good or not least <= int(word) <= most:
            self.refuse(
                "bad-number",
                f"In line {self._line}, {what} is {word[:20]!r}.",
                f"Give a whole number from {least} to {most}.",
            )
        return int(word)

    def number(self, what: str) -> float:
        """A finite number."""
        word = self.next(what)
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or "_" in word:
            self.refuse(
                "bad-number",
                f"In line {self._line}, {what} is {word[:20]!r}.",
                "Give a finite number.",
            )
        return value

    def end(self) -> None:
        """Nothing, when every word was read."""
        found = next(self._words, None)
        if found is not None:
            self._line = found[0]
            self.refuse(
                "left-over",
                f"After the last table, line {found[0]} goes on with {found[1][:20]!r}.",
                "Remove what follows the tables, such as evidence.",
            )
