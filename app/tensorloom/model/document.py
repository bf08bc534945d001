"""A document: a network, its drawing, a title and a number type. Immutable, like all of the model.

Invariants: the diagram has exactly one mark per tensor, and anchors only for indices that exist.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import get_args

from tensorloom.errors import DocumentError, Where
from tensorloom.model.diagram import Diagram, Mark
from tensorloom.model.network import Network
from tensorloom.model.recipe import DType

__all__ = ["DTYPES", "MAX_LEGS", "MAX_TENSORS", "MAX_TITLE_LENGTH", "Document"]

DTYPES: tuple[str, ...] = get_args(DType)
MAX_TENSORS = 20_000
MAX_LEGS = 100_000
MAX_AXES = 64
MAX_TITLE_LENGTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Everything a link, a file or a draft holds.

    Args:
        title: One line, shown in the header; may be empty.
        dtype: Type in which the network is contracted.
        network: The tensors and their indices.
        diagram: Where they are drawn.

    Raises:
        DocumentError: ``bad-title``, ``bad-dtype``, ``too-big`` or ``bad-diagram``.
    """

    title: str = "Untitled"
    dtype: DType = "float64"
    network: Network = field(default_factory=Network)
    diagram: Diagram = field(default_factory=Diagram)

    def __post_init__(self) -> None:
        check_title(self.title)
        check_dtype(self.dtype)
        _check_size(self.network)
        ids = set(self.network.tensor_by_id)
        if ids != set(self.diagram.marks):
            odd = min(ids ^ set(self.diagram.marks))
            raise DocumentError(
                "bad-diagram",
                f"Tensor {odd!r:.80} is in the network or in the drawing, but not in both.",
                "Give every tensor exactly one mark.",
                Where(tensors=(odd,)),
            )
        loose = [name for name in self.diagram.anchors if name not in self.network.dimension_of]
        if loose:
            raise DocumentError(
                "bad-diagram",
                f"There is an anchor for index {loose[0]!r:.80}, which no tensor has.",
                "Take the anchor out.",
                Where(indices=(loose[0],)),
            )


def check_title(title: object) -> None:
    """Nothing, when the title is one line of at most 200 characters.

    Raises:
        DocumentError: ``bad-title`` otherwise.
    """
    if (
        not isinstance(title, str)
        or len(title) > MAX_TITLE_LENGTH
        or (title and not title.isprintable())
    ):
        raise DocumentError(
            "bad-title",
            f"{title!r:.40} cannot be a title.",
            f"Use one line of at most {MAX_TITLE_LENGTH} characters.",
        )


def check_dtype(dtype: object) -> None:
    """Nothing, when the type is one that the engine computes in.

    Raises:
        DocumentError: ``bad-dtype`` otherwise.
    """
    if dtype not in DTYPES:
        raise DocumentError(
            "bad-dtype", f"{dtype!r:.40} is not a number type.", f"Choose {', '.join(DTYPES)}."
        )


def _check_size(network: Network) -> None:
    n_legs = sum(len(tensor.indices) for tensor in network.tensors)
    most_axes = max((len(tensor.indices) for tensor in network.tensors), default=0)
    found = ((len(network.tensors), MAX_TENSORS, "tensors"), (n_legs, MAX_LEGS, "legs"))
    for count, most, what in (*found, (most_axes, MAX_AXES, "axes on one tensor")):
        if count > most:
            raise DocumentError(
                "too-big",
                f"The network has {count} {what}; the most is {most}.",
                "Split it into parts.",
                values={"count": count, "most": most},
            )


def default_mark(x: int = 0, y: int = 0) -> Mark:
    """The mark of a tensor nobody has styled: a blue circle."""
    return Mark(x=x, y=y)
