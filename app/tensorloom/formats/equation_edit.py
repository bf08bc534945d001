"""Typed equation text -> the commands that turn a document's network into the typed one.

Whatever still matches keeps its id, name, place, values and dimension: operands are paired with
tensors in order, by most overlap, so that an edit in the middle leaves the others alone; an index
that was renamed everywhere is renamed, not made anew. Nothing that is placed is moved.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from zlib import crc32

from tensorloom.formats.assembly import ALPHABET
from tensorloom.formats.layout import laid_out
from tensorloom.formats.operand_match import match
from tensorloom.model.commands import (
    AddTensor,
    Move,
    RemoveTensor,
    RenameIndex,
    ReplaceDocument,
    SetArray,
    SetIndices,
    SetOutput,
    apply_all,
)
from tensorloom.model.diagram import Diagram, Mark
from tensorloom.model.document import Document
from tensorloom.model.equation import parse
from tensorloom.model.index import Index
from tensorloom.model.network import Network
from tensorloom.model.recipe import (
    BlobArray,
    GateArray,
    IdentityArray,
    InlineArray,
    RandomArray,
)
from tensorloom.model.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tensorloom.model.commands import Command

__all__ = ["NEW_DIMENSION", "edits"]

NEW_DIMENSION = 4
"""Dimension of an index that is typed for the first time [elements]."""

MANY_GONE = 3
"""Tensors that must go before what is typed counts as another network."""

MOST_COMMANDS = 64
"""Longer edits, such as pasting another equation, replace the document in one command."""


def edits(document: Document, text: str) -> tuple[Command, ...]:
    """Commands that make the document's equation the typed one; none if it is already.

    Raises:
        EquationError: The text cannot be read.
        DocumentError: The network would be too big.
    """
    parsed = parse(text)
    network = document.network
    old = [tensor.indices for tensor in network.tensors]
    if old == list(parsed.operands) and network.output == parsed.output:
        return ()
    paired = match(old, parsed.operands)
    renames = _renames(old, parsed.operands, paired)
    if _is_another(old, parsed.operands, paired, renames):
        blank = Document(dtype=document.dtype)
        nothing = [None] * len(parsed.operands)
        fresh = _target(blank, parsed.operands, parsed.output, nothing, {})
        return (ReplaceDocument(document=fresh),)
    target = _target(document, parsed.operands, parsed.output, paired, renames)
    commands = _commands(document, target, renames)
    if commands is None:
        return (ReplaceDocument(document=target),)
    reached = apply_all(document, commands)
    return (*commands, *_finish(reached, target))


def _is_another(
    old: Sequence[tuple[str, ...]],
    new: Sequence[tuple[str, ...]],
    paired: Sequence[int | None],
    renames: Mapping[str, str],
) -> bool:
    """Whether the text is another network, not an edit: tensors go and none of the rest stays.

    Then values, names and places of the old one would only mislead.
    """
    stays = any(
        place is not None and tuple(renames.get(name, name) for name in old[place]) == names
        for names, place in zip(new, paired, strict=True)
    )
    return not stays and len(old) - len(new) >= MANY_GONE


def _renames(
    old: Sequence[tuple[str, ...]],
    new: Sequence[tuple[str, ...]],
    paired: Sequence[int | None],
) -> dict[str, str]:
    """Old name -> new name, for indices that are gone and became one new index on every leg."""
    gone = {name for names in old for name in names}
    fresh = {name for names in new for name in names}
    gone, fresh = gone - fresh, fresh - gone
    becomes: dict[str, set[str]] = {}
    comes_from: dict[str, set[str]] = {}
    for names, place in zip(new, paired, strict=True):
        if place is None or len(names) != len(old[place]):
            continue
        for before, after in zip(old[place], names, strict=True):
            if before in gone:
                becomes.setdefault(before, set()).add(after)
            if after in fresh:
                comes_from.setdefault(after, set()).add(before)
    return {
        before: after
        for before, ends in becomes.items()
        for after in ends
        if ends == {after} and comes_from.get(after) == {before}
    }


def _target(
    document: Document,
    operands: Sequence[tuple[str, ...]],
    output: tuple[str, ...],
    paired: Sequence[int | None],
    renames: Mapping[str, str],
) -> Document:
    """The document that the text describes."""
    old = document.network
    sizes = {renames.get(name, name): size for name, size in old.dimension_of.items()}
    kept = [None if place is None else old.tensors[place] for place in paired]
    fresh = _fresh(document, {tensor.name for tensor in kept if tensor is not None})
    tensors: list[Tensor] = []
    for names, tensor in zip(operands, kept, strict=True):
        if tensor is None:
            tensors.append(replace(next(fresh), indices=names))
            continue
        tensors.append(_carrying(tensor, names))
        if len(names) == len(tensor.indices):
            # A leg that got a new name keeps its dimension, so that the tensor's values still fit.
            for before, after in zip(tensor.indices, names, strict=True):
                sizes.setdefault(after, old.dimension_of[before])
    order = dict.fromkeys(name for names in operands for name in names)
    network = Network(
        tensors=tuple(tensors),
        indices=tuple(Index(name=name, dimension=sizes.get(name, NEW_DIMENSION)) for name in order),
        output=output,
    )
    return _drawn(document, network, renames)


def _carrying(tensor: Tensor, names: tuple[str, ...]) -> Tensor:
    """The tensor on other indices; values made for another number of axes are drawn anew."""
    recipe = tensor.array
    made_for = isinstance(recipe, GateArray | InlineArray | BlobArray | IdentityArray)
    if len(names) != len(tensor.indices) and made_for:
        recipe = RandomArray(seed=crc32(tensor.id.encode()) % 1000)
    return replace(tensor, indices=names, array=recipe)


def _fresh(document: Document, taken: set[str]) -> Iterator[Tensor]:
    """New scalars with the next free letters as names, and seeds of their own."""
    ids = (tensor.id[1:] for tensor in document.network.tensors if tensor.id[0] == "t")
    longest = 9
    numbers = (int(digits) for digits in ids if digits.isdecimal() and len(digits) <= longest)
    number = max(numbers, default=0)
    letters = iter([letter for letter in ALPHABET if letter not in taken])
    known = document.network.tensor_by_id
    while True:
        number += 1
        if f"t{number}" not in known:
            name = next(letters, f"T_{number}")
            array = RandomArray(seed=number)
            yield Tensor(id=f"t{number}", name=name, indices=(), array=array)


def _drawn(document: Document, network: Network, renames: Mapping[str, str]) -> Document:
    """The network with old tensors where they were, and new ones beside them."""
    old = document.diagram
    marks = {
        tensor.id: old.marks[tensor.id] for tensor in network.tensors if tensor.id in old.marks
    }
    # The size is checked before the layout spends time on it.
    blank = {tensor.id: marks.get(tensor.id, Mark(x=0, y=0)) for tensor in network.tensors}
    checked = replace(document, network=network, diagram=Diagram(marks=blank))
    if len(marks) < len(network.tensors):
        placed = {name: (mark.x, mark.y) for name, mark in marks.items()}
        found = laid_out(network, placed).positions
        marks = {name: marks.get(name) or Mark(x=x, y=y) for name, (x, y) in found.items()}
    anchors = {}
    for name, place in old.anchors.items():
        after = renames.get(name, name)
        before, now = _carriers(document.network, name), _carriers(network, after)
        # A free end belongs to its tensor; a dot stays while it joins any two.
        if before == now or min(len(before), len(now)) > 1:
            anchors[after] = place
    return replace(checked, diagram=Diagram(marks=marks, anchors=anchors))


def _carriers(network: Network, index: str) -> set[str]:
    return {tensor for tensor, _ in network.legs_of.get(index, ())}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Which tensors stay in the list, and what they are now."""

    staying: frozenset[str]
    before: Mapping[str, tuple[str, ...]]
    steady: frozenset[str]


def _commands(
    document: Document, target: Document, renames: Mapping[str, str]
) -> list[Command] | None:
    """Commands for tensors and their indices; ``None`` when there would be too many."""
    plan = _plan(document, target, renames)
    commands: list[Command] = [RenameIndex(name=a, to=b) for a, b in renames.items()]
    commands.extend(
        RemoveTensor(id=tensor.id)
        for tensor in document.network.tensors
        if tensor.id not in plan.staying
    )
    sizes = target.network.dimension_of
    for place, tensor in enumerate(target.network.tensors):
        stays = tensor.id in plan.staying
        if stays and plan.before[tensor.id] == tensor.indices:
            continue
        dimensions = tuple(
            (name, sizes[name]) for name in dict.fromkeys(tensor.indices) if name not in plan.steady
        )
        commands.append(
            SetIndices(id=tensor.id, indices=tensor.indices, dimensions=dimensions)
            if stays
            else AddTensor(
                tensor=tensor, mark=target.diagram.marks[tensor.id], dimensions=dimensions, at=place
            )
        )
        if len(commands) > MOST_COMMANDS:
            return None
    return commands


def _plan(document: Document, target: Document, renames: Mapping[str, str]) -> _Plan:
    """What can stay: the longest run of old tensors whose order the text keeps."""
    position = {tensor.id: place for place, tensor in enumerate(document.network.tensors)}
    kept = [tensor.id for tensor in target.network.tensors if tensor.id in position]
    staying = frozenset(kept[place] for place in _increasing([position[name] for name in kept]))
    before = {
        tensor.id: tuple(renames.get(name, name) for name in tensor.indices)
        for tensor in document.network.tensors
    }
    steady = frozenset(
        name
        for tensor in target.network.tensors
        if tensor.id in staying and before[tensor.id] == tensor.indices
        for name in tensor.indices
    )
    return _Plan(staying=staying, before=before, steady=steady)


def _increasing(values: Sequence[int]) -> list[int]:
    """Places of a longest increasing subsequence (patience sorting)."""
    tops: list[int] = []
    at: list[int] = []
    before: list[int | None] = []
    for place, value in enumerate(values):
        pile = bisect_left(tops, value)
        before.append(at[pile - 1] if pile else None)
        if pile == len(tops):
            tops.append(value)
            at.append(place)
        else:
            tops[pile], at[pile] = value, place
    chosen: list[int] = []
    link = at[-1] if at else None
    while link is not None:
        chosen.append(link)
        link = before[link]
    return chosen[::-1]


def _finish(reached: Document, target: Document) -> list[Command]:
    """What is left once the tensors are right: the output and the anchors."""
    commands: list[Command] = [
        SetArray(id=now.id, array=wanted.array)
        for now, wanted in zip(reached.network.tensors, target.network.tensors, strict=True)
        if now.array != wanted.array
    ]
    if reached.network.output != target.network.output:
        commands.append(SetOutput(output=target.network.output))
    found, anchors = reached.diagram.anchors, target.diagram.anchors
    changed = tuple(
        (name, anchors.get(name))
        for name in {**found, **anchors}
        if found.get(name) != anchors.get(name)
    )
    if changed:
        commands.append(Move(anchors=changed))
    return commands
