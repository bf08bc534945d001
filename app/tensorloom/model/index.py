"""An index: a name with a dimension. Which tensors carry it is the network's business."""

from __future__ import annotations

from dataclasses import dataclass

from tensorloom.errors import NetworkError, Where

__all__ = ["MAX_DIMENSION", "MAX_NAME_LENGTH", "Index", "check_name"]

MAX_DIMENSION = 2**31 - 1
"""Largest dimension of one index [elements]; strides still fit 64-bit products of a few of them."""

MAX_NAME_LENGTH = 64
"""Longest index, tensor id or tensor name [characters]."""


def check_name(name: object, what: str) -> str:
    """The name itself, when it has 1 to 64 printable characters and no blank, comma or ``>``.

    Raises:
        NetworkError: ``bad-name`` otherwise.
    """
    good = (
        isinstance(name, str)
        and 0 < len(name) <= MAX_NAME_LENGTH
        and name.isprintable()
        and not any(character.isspace() or character in ",>" for character in name)
    )
    if not good:
        shown = repr(name)[:80]
        raise NetworkError(
            "bad-name",
            f"{shown} cannot name {what}.",
            "Use 1 to 64 printable characters without blanks, commas or '>'.",
            values={"name": shown},
        )
    assert isinstance(name, str)
    return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A named dimension.

    Args:
        name: Its identity within a network.
        dimension: Number of values it takes, at least 1 [elements].

    Raises:
        NetworkError: ``bad-name`` or ``bad-dimension``.

    Example:
        >>> Index(name="i", dimension=3).dimension
        3
    """

    name: str
    dimension: int

    def __post_init__(self) -> None:
        check_name(self.name, "an index")
        value = self.dimension
        if type(value) is not int or not 1 <= value <= MAX_DIMENSION:
            raise NetworkError(
                "bad-dimension",
                f"Index '{self.name}' cannot have dimension {repr(value)[:40]}.",
                f"Give a whole number from 1 to {MAX_DIMENSION}.",
                Where(indices=(self.name,)),
                {"dimension": repr(value)[:40]},
            )
