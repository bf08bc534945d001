"""Seeded random sequences of commands as JSON, from sensible to refused, for both reducers.

A sequence starts at a document and follows the Python reducer: most commands speak of what is there
at that moment, the others name what is not, contradict sizes, or break a rule.
"""

from __future__ import annotations

import random
from typing import Any

from tensorloom.errors import TensorloomError
from tensorloom.model import codec
from tensorloom.model.command_codec import command_from_json
from tensorloom.model.commands import apply
from tensorloom.model.document import Document

Json = dict[str, Any]

NAMES = [*"ijkl", "χ", "i'", "a_1", "7", "__proto__", "constructor", "toString"]
BAD_NAMES = ["", " ", "a b", "x,y", "a>b", "n" * 65, "\u200b", "a\n"]
IDS = ["t1", "t2", "t3", "t4", "t5", "__proto__", "constructor"]
SHAPES = ["circle", "square", "triangle-right", "triangle-left", "dot", "diamond", "none"]
COLOURS = ["blue", "amber", "rose", "green"]
DTYPES = ["float32", "float64", "complex64", "complex128"]
BAD_SIZES = [0, -1, 2**31]
RARELY = 0.06
"""How often each thing is wrong."""


def sequence(seed: int) -> tuple[Json, list[Json]]:
    """A document and up to 14 commands."""
    draw = _Draw(random.Random(seed))
    start = Document()
    for _ in range(draw.random.randint(0, 8)):
        start = _stepped(start, draw.add_tensor(start))
    commands: list[Json] = []
    now = start
    for _ in range(draw.random.randint(1, 14)):
        commands.append(draw.command(now))
        now = _stepped(now, commands[-1])
    return codec.to_json(start), commands


def _stepped(document: Document, command: Json) -> Document:
    try:
        return apply(document, command_from_json(command))
    except TensorloomError:
        return document


class _Draw:
    """Draws commands for a document."""

    def __init__(self, source: random.Random) -> None:
        self.random = source

    def command(self, document: Document) -> Json:
        if len(document.network.dimension_of) < 2 and self.random.random() > RARELY:
            return self.add_tensor(document)
        makers = (
            *(self.add_tensor, self.set_indices, self.set_indices, self.join_indices),
            *(self.rename_index, self.set_dimension, self.set_output, self.move),
            *(self.remove_tensor, self.small, self.small),
        )
        return self.random.choice(makers)(document)

    def add_tensor(self, document: Document) -> Json:
        indices = self.indices()
        return {
            "kind": "add-tensor",
            "tensor": {
                "id": self.one_of(self.free_ids(document), [*IDS, *BAD_NAMES]),
                "name": self.name(NAMES),
                "indices": indices,
                "array": self.array(),
            },
            "mark": {**self.position_json(), **self.look()},
            "dimensions": self.dimensions(document, indices),
            "at": self.one_of([None, None, 0], [-1, 9]),
            "output": self.output(document, indices),
        }

    def set_indices(self, document: Document) -> Json:
        indices = self.indices()
        return {
            "kind": "set-indices",
            "id": self.tensor(document),
            "indices": indices,
            "dimensions": self.dimensions(document, indices),
            "output": self.output(document, indices),
        }

    def join_indices(self, document: Document) -> Json:
        output = self.random.choice([None, None, list(document.network.output)])
        keep, drop = self.index(document), self.index(document)
        return {"kind": "join-indices", "keep": keep, "drop": drop, "output": output}

    def rename_index(self, document: Document) -> Json:
        return {"kind": "rename-index", "name": self.index(document), "to": self.name(NAMES)}

    def set_dimension(self, document: Document) -> Json:
        return {"kind": "set-dimension", "name": self.index(document), "dimension": self.size()}

    def set_output(self, document: Document) -> Json:
        return {"kind": "set-output", "output": self.output(document, []) or []}

    def remove_tensor(self, document: Document) -> Json:
        return {"kind": "remove-tensor", "id": self.tensor(document)}

    def move(self, document: Document) -> Json:
        ids = {self.tensor(document) for _ in range(self.random.randint(0, 2))}
        names = {self.index(document) for _ in range(self.random.randint(0, 2))}
        return {
            "kind": "move",
            "positions": {name: self.position() for name in sorted(ids)},
            "anchors": {
                name: self.random.choice([None, self.position()]) for name in sorted(names)
            },
        }

    def small(self, document: Document) -> Json:
        name = self.tensor(document)
        return self.random.choice(
            [
                {"kind": "rename-tensor", "id": name, "name": self.name(NAMES)},
                {"kind": "set-array", "id": name, "array": self.array()},
                {"kind": "set-mark", "id": name, **self.look()},
                {
                    "kind": "set-title",
                    "title": self.random.choice(["", "A ⊗ B", "A\nB", "x" * 201]),
                },
                {"kind": "set-dtype", "dtype": self.one_of(DTYPES, ["int8"])},
                {"kind": "replace-document", "document": codec.to_json(document)},
                {"kind": self.random.choice(["explode", "constructor"])},
            ]
        )

    def one_of(self, good: list[Any], bad: list[Any]) -> Any:
        return self.random.choice(bad if self.random.random() < RARELY else good)

    def name(self, good: list[str]) -> str:
        return str(self.one_of(good, BAD_NAMES))

    def size(self) -> int:
        return int(self.one_of([1, 1, 2, 2, 2, 3, 4, 2**31 - 1], BAD_SIZES))

    def indices(self) -> list[str]:
        return [self.name(NAMES) for _ in range(self.random.choice([0, 1, 1, 2, 2, 3, 4]))]

    def tensor(self, document: Document) -> str:
        return self.name(list(document.network.tensor_by_id) or IDS)

    def index(self, document: Document) -> str:
        return self.name(list(document.network.dimension_of) or NAMES)

    def free_ids(self, document: Document) -> list[str]:
        return [name for name in IDS if name not in document.network.tensor_by_id] or IDS

    def dimensions(self, document: Document, indices: list[str]) -> dict[str, int]:
        """Sizes for the new indices, now and then one too few, or a wrong or needless one."""
        known = document.network.dimension_of
        sizes = {
            name: known.get(name) or self.random.choice([1, 2, 2, 3])
            for name in indices
            if name in NAMES
            if name not in known or self.random.random() < RARELY
        }
        if sizes and self.random.random() < RARELY:
            del sizes[self.random.choice(list(sizes))]
        if self.random.random() < RARELY:
            sizes = {self.random.choice(NAMES): self.size()}
        return sizes

    def output(self, document: Document, indices: list[str]) -> list[str] | None:
        if self.random.random() < 0.4:
            return None
        names = list(dict.fromkeys([*document.network.dimension_of, *indices]))
        found = self.random.sample(names, self.random.randint(0, len(names)))
        if self.random.random() < RARELY:
            found += [self.random.choice([*found, "nowhere"])]
        return found

    def position(self) -> list[int]:
        return [self.one_of([0, 60, -999_999], [1_000_001]), self.random.randint(-500, 500)]

    def position_json(self) -> Json:
        x, y = self.position()
        return {"x": x, "y": y}

    def look(self) -> Json:
        return {"shape": self.one_of(SHAPES, ["star"]), "colour": self.one_of(COLOURS, ["red"])}

    def array(self) -> Json:
        return self.random.choice(
            [
                {"kind": "random", "seed": self.random.randint(0, 99), "distribution": "normal"},
                {"kind": "constant", "value": 0.5},
                {"kind": "identity"},
                {"kind": "copy"},
                {"kind": "gate", "name": "rz", "parameters": [0.25], "conjugate": True},
                {"kind": "inline", "values": [1.0, 2.0], "shape": [1], "complex": True},
            ]
        )
