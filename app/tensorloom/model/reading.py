"""Reading untrusted JSON values: each function returns the value in its type or says what is wrong.

The one place where a field's path is put into words, so that every refusal reads alike.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NoReturn

from tensorloom.errors import DocumentError
from tensorloom.model.diagram import check_position

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["boolean", "fields", "list_of", "number", "object_of", "position", "text", "whole"]


def fields(
    value: dict[str, object],
    what: str,
    *,
    required: Iterable[str] = (),
    optional: Iterable[str] = (),
) -> dict[str, object]:
    """The object itself, when it has all required fields and no unknown one.

    Raises:
        DocumentError: ``missing-field`` or ``unknown-field``.
    """
    needed = tuple(required)
    for name in needed:
        if name not in value:
            raise DocumentError(
                "missing-field",
                f"The field '{name}' of {what} is missing.",
                "Add it.",
                values={"field": name},
            )
    known = {*needed, *optional}
    for name in value:
        if name not in known:
            raise DocumentError(
                "unknown-field",
                f"The field {name!r:.60} of {what} is not known.",
                f"Known fields: {', '.join(sorted(known))}.",
                values={"field": name[:60]},
            )
    return value


def object_of(value: object, what: str) -> dict[str, object]:
    """The value, when it is a JSON object."""
    if not isinstance(value, dict):
        _refuse(value, what, "an object")
    return value


def list_of(value: object, what: str) -> list[object]:
    """The value, when it is a JSON array."""
    if not isinstance(value, list):
        _refuse(value, what, "a list")
    return value


def text(value: object, what: str) -> str:
    """The value, when it is a string without lone surrogates."""
    if not isinstance(value, str) or any("\ud800" <= letter <= "\udfff" for letter in value):
        _refuse(value, what, "text")
    return value


def whole(value: object, what: str) -> int:
    """The value, when it is a whole number; ``2.0`` counts as 2."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not int:
        _refuse(value, what, "a whole number")
    return value


def number(value: object, what: str) -> float:
    """The value, when it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _refuse(value, what, "a number")
    try:
        found = float(value)
    except OverflowError:
        _refuse(value, what, "a number")
    if not math.isfinite(found):
        _refuse(value, what, "a finite number")
    return found


def boolean(value: object, what: str) -> bool:
    """The value, when it is true or false."""
    if not isinstance(value, bool):
        _refuse(value, what, "true or false")
    return value


def position(value: object, what: str) -> tuple[int, int]:
    """Two whole numbers [pixels], from a JSON array of two."""
    pair = list_of(value, what)
    if len(pair) != 2:  # noqa: PLR2004  # x and y
        _refuse(value, what, "two numbers")
    return check_position((whole(pair[0], what), whole(pair[1], what)), what)


def _refuse(value: object, what: str, wanted: str) -> NoReturn:
    shown = f"{value!r:.40}"
    raise DocumentError(
        "bad-field",
        f"The field '{what[:80]}' is {shown}, not {wanted}.",
        f"Give {wanted}.",
        values={"field": what[:80], "found": shown},
    )
