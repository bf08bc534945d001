"""The drawing of a network: a mark per tensor, anchors for free ends and copy dots.

Nothing here changes a number. Coordinates are whole pixels, x right, y down, centre of the mark.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, get_args

from tensorloom.errors import DocumentError, Where

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COLOURS", "MAX_COORDINATE", "SHAPES", "Diagram", "Mark", "MarkColour", "MarkShape"]

MarkShape = Literal["circle", "square", "triangle-right", "triangle-left", "dot", "diamond", "none"]
MarkColour = Literal["blue", "amber", "rose", "green"]
SHAPES: tuple[str, ...] = get_args(MarkShape)
COLOURS: tuple[str, ...] = get_args(MarkColour)

MAX_COORDINATE = 1_000_000
"""Largest distance of a mark from the origin [pixels]."""

Position = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How one tensor is drawn, and where its centre is [pixels]."""

    x: int
    y: int
    shape: MarkShape = "circle"
    colour: MarkColour = "blue"

    def __post_init__(self) -> None:
        check_position((self.x, self.y), "a mark")
        if self.shape not in SHAPES or self.colour not in COLOURS:
            raise DocumentError(
                "bad-mark",
                f"A mark cannot look like {self.shape!r:.20} in {self.colour!r:.20}.",
                f"Shapes: {', '.join(SHAPES)}. Colours: {', '.join(COLOURS)}.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagram:
    """Marks by tensor id, anchors by index name; both are read-only."""

    marks: Mapping[str, Mark] = field(default_factory=dict)
    anchors: Mapping[str, Position] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "marks", MappingProxyType(dict(self.marks)))
        object.__setattr__(self, "anchors", MappingProxyType(dict(self.anchors)))


def check_position(position: tuple[object, object], what: str) -> Position:
    """The position itself, when it is two whole numbers within bounds [pixels].

    Raises:
        DocumentError: ``bad-position`` otherwise.
    """
    x, y = position
    if type(x) is not int or type(y) is not int or max(abs(x), abs(y)) > MAX_COORDINATE:
        shown = f"({x!r:.20}, {y!r:.20})"
        raise DocumentError(
            "bad-position",
            f"The position {shown} of {what} is not two whole numbers.",
            f"Use whole pixels between -{MAX_COORDINATE} and {MAX_COORDINATE}.",
            Where(),
        )
    return x, y
