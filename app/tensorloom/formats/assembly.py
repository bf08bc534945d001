"""From tensors and sizes to a drawn document: the last step of every importer.

Also the names that importers give: tensors by letter or number, indices cleaned to what a network
accepts, titles from file names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tensorloom.formats.layout import laid_out
from tensorloom.model.diagram import Diagram, Mark
from tensorloom.model.document import MAX_TITLE_LENGTH, Document
from tensorloom.model.index import MAX_NAME_LENGTH, Index
from tensorloom.model.network import Network

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tensorloom.model.recipe import DType
    from tensorloom.model.tensor import Tensor

__all__ = ["assemble", "clean_names", "tensor_names", "title_from"]

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def assemble(
    tensors: Sequence[Tensor],
    dimensions: Mapping[str, int],
    output: Sequence[str],
    *,
    title: str = "",
    dtype: DType = "float64",
) -> Document:
    """The document of these tensors, laid out; dimensions of other indices are left out.

    Raises:
        NetworkError: The network contradicts itself.
        DocumentError: It is too big.
    """
    order = dict.fromkeys(name for tensor in tensors for name in tensor.indices)
    network = Network(
        tensors=tuple(tensors),
        indices=tuple(
            Index(name=name, dimension=dimensions[name]) for name in order if name in dimensions
        ),
        output=tuple(output),
    )
    # Sizes are checked before the layout spends time on them.
    blank = Diagram(marks={tensor.id: Mark(x=0, y=0) for tensor in tensors})
    document = Document(title=title or "Untitled", dtype=dtype, network=network, diagram=blank)
    found = laid_out(network)
    marks = {name: Mark(x=x, y=y) for name, (x, y) in found.positions.items()}
    return replace(document, diagram=Diagram(marks=marks, anchors=found.anchors))


def tensor_names(count: int, letter: str = "T") -> tuple[str, ...]:
    """``A`` to ``Z`` while they last, ``T_1, T_2, ...`` for more tensors."""
    if count <= len(ALPHABET):
        return tuple(ALPHABET[:count])
    return tuple(f"{letter}_{number}" for number in range(1, count + 1))


def clean_names(names: Iterable[str]) -> dict[str, str]:
    """A valid index name for each name, different for different names, itself if it is valid."""
    wanted = dict.fromkeys(names)
    cleaned = {name: _cleaned(name) for name in wanted}
    taken = {name for name in wanted if cleaned[name] == name}
    found: dict[str, str] = {}
    last: dict[str, int] = {}
    for name, new in cleaned.items():
        choice = new
        if new != name:
            while choice in taken:
                last[new] = last.get(new, 1) + 1
                suffix = f"_{last[new]}"
                choice = new[: MAX_NAME_LENGTH - len(suffix)] + suffix
            taken.add(choice)
        found[name] = choice
    return found


def _cleaned(name: str) -> str:
    letters = (
        letter if letter.isprintable() and not letter.isspace() and letter not in ",>" else "_"
        for letter in name[:MAX_NAME_LENGTH]
    )
    return "".join(letters) or "_"


def title_from(name: str) -> str:
    """A title from a file name: without folders, ending and what a title cannot hold."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    stem = last.rsplit(".", 1)[0] if "." in last.strip(".") else last
    return "".join(letter for letter in stem if letter.isprintable())[:MAX_TITLE_LENGTH]
