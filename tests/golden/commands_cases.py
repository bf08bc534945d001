"""Vectors that both reducers pass: a document, commands, and what comes of them.

A vector is ``{"name", "document", "commands", "after", "refused", "back"}``: ``after`` is the
document then, ``back`` the commands that undo them all; a refused sequence has ``after`` and
``back`` null and ``refused`` ``{"at": number of the command, "code"}``.
"""

from __future__ import annotations

import json
from typing import Any

from tensorloom.errors import TensorloomError
from tensorloom.model import codec
from tensorloom.model.command_codec import command_from_json, command_to_json
from tensorloom.model.commands import apply
from tensorloom.model.inverse import invert

FOLDER = "commands"

Json = dict[str, Any]
Case = tuple[str, Json, list[Json]]

RANDOM = {"kind": "random", "seed": 0, "distribution": "normal"}
INLINE = {"kind": "inline", "values": [1.5, -2.0], "shape": [2], "complex": False}
PLACE = {"x": 0, "y": 0, "shape": "circle", "colour": "blue"}


def document(text: str, *, sizes: Json | None = None, anchors: Json | None = None) -> Json:
    """A document for einsum text, tensors ``t1``, ``t2``, ..., all dimensions 2 unless given."""
    operands, output = text.split("->")
    groups = operands.split(",") if operands != "nothing" else []
    ids = [f"t{place + 1}" for place in range(len(groups))]
    return {
        "tensorloom": 1,
        "title": "Untitled",
        "dtype": "float64",
        "tensors": [tensor(name, *group) for name, group in zip(ids, groups, strict=True)],
        "dimensions": {name: (sizes or {}).get(name, 2) for name in dict.fromkeys("".join(groups))},
        "output": list(output),
        "marks": {name: {**PLACE, "x": 60 * place} for place, name in enumerate(ids)},
        "anchors": anchors or {},
    }


def tensor(name: str, *indices: str, array: Json | None = None) -> Json:
    return {"id": name, "name": name.upper(), "indices": list(indices), "array": array or RANDOM}


def add(made: Json, *, mark: Json | None = None, **more: Any) -> Json:
    shared = {"dimensions": {}, "at": None, "output": None, **more}
    return {"kind": "add-tensor", "tensor": made, "mark": mark or PLACE, **shared}


def legs(name: str, indices: str, **more: Any) -> Json:
    shared = {"dimensions": {}, "output": None, **more}
    return {"kind": "set-indices", "id": name, "indices": list(indices), **shared}


def join(keep: str, drop: str, output: list[str] | None = None) -> Json:
    return {"kind": "join-indices", "keep": keep, "drop": drop, "output": output}


def move(positions: Json | None = None, anchors: Json | None = None) -> Json:
    return {"kind": "move", "positions": positions or {}, "anchors": anchors or {}}


def remove(name: str) -> Json:
    return {"kind": "remove-tensor", "id": name}


def dimension(name: str, size: int) -> Json:
    return {"kind": "set-dimension", "name": name, "dimension": size}


def output(*names: str) -> Json:
    return {"kind": "set-output", "output": list(names)}


def look(name: str, shape: str, colour: str) -> Json:
    return {"kind": "set-mark", "id": name, "shape": shape, "colour": colour}


def array(name: str, recipe: Json) -> Json:
    return {"kind": "set-array", "id": name, "array": recipe}


def title(text: str) -> Json:
    return {"kind": "set-title", "title": text}


def rename(name: str, to: str) -> Json:
    return {"kind": "rename-index", "name": name, "to": to}


EMPTY = document("nothing->")
CHAIN = document("ij,jk->ik", sizes={"i": 3, "j": 4, "k": 5}, anchors={"i": [-60, 0]})
HYPER = document("ia,ib,ic->ai", anchors={"i": [60, 40]})
LOOP = document("iij,jk->k")
SCALARS = document(",,ij->ij")

TENSORS: list[Case] = [
    ("a scalar into nothing", EMPTY, [add(tensor("t1"))]),
    (
        "a matrix with open legs",
        EMPTY,
        [add(tensor("t1", "i", "j"), dimensions={"i": 2, "j": 3}, output=["j", "i"])],
    ),
    ("a trace", EMPTY, [add(tensor("t1", "i", "i"), dimensions={"i": 7})]),
    ("a dimension of 1", EMPTY, [add(tensor("t1", "i"), dimensions={"i": 1}, output=["i"])]),
    (
        "in front, onto a known index",
        CHAIN,
        [add(tensor("t0", "k", "l"), dimensions={"l": 9}, at=0)],
    ),
    (
        "sizes of known indices may be repeated",
        CHAIN,
        [add(tensor("t3", "j"), dimensions={"j": 4})],
    ),
    ("sizes that nothing uses are dropped", CHAIN, [add(tensor("t3", "j"), dimensions={"z": 4})]),
    ("a third tensor on a bond", CHAIN, [add(tensor("t3", "j"))]),
    ("the last of a network", document("i->i"), [remove("t1")]),
    ("a bond's end goes, the other is summed", CHAIN, [remove("t2")]),
    ("open legs go with their tensor", CHAIN, [remove("t1")]),
    ("one of three on a hyperindex", HYPER, [remove("t1")]),
    ("a scalar among others", SCALARS, [remove("t1")]),
    ("a self-loop", LOOP, [remove("t1")]),
    (
        "names of objects' own parts",
        EMPTY,
        [
            add(
                tensor("__proto__", "constructor", "toString"),
                dimensions={"constructor": 2, "toString": 3},
            ),
            move(anchors={"constructor": [1, 2]}),
            legs("__proto__", ["constructor", "__proto__"], dimensions={"__proto__": 5}),
        ],
    ),
    ("an unknown tensor", CHAIN, [remove("t9")]),
    ("an id in use", CHAIN, [add(tensor("t1", "i"))]),
    ("a place beyond the end", CHAIN, [add(tensor("t3", "i"), at=3)]),
    ("a place before the start", CHAIN, [add(tensor("t3", "i"), at=-1)]),
    ("an index without a dimension", CHAIN, [add(tensor("t3", "z"))]),
    ("another size for a known index", CHAIN, [add(tensor("t3", "j"), dimensions={"j": 5})]),
    ("a dimension of 0", CHAIN, [add(tensor("t3", "z"), dimensions={"z": 0})]),
    ("a dimension of 0 for a known index", CHAIN, [add(tensor("t3", "j"), dimensions={"j": 0})]),
    ("an id with a blank", CHAIN, [add(tensor("t 3", "j"))]),
    ("an index with a comma", CHAIN, [add(tensor("t3", "j,k"), dimensions={"j,k": 2})]),
    ("an output on no tensor", CHAIN, [add(tensor("t3", "j"), output=["z"])]),
    ("an output twice, then one on no tensor", CHAIN, [add(tensor("t3"), output=["i", "i", "z"])]),
    ("a mark of no shape", CHAIN, [add(tensor("t3"), mark={**PLACE, "shape": "star"})]),
    ("a mark too far away", CHAIN, [add(tensor("t3"), mark={**PLACE, "x": 1_000_001})]),
    ("65 axes", EMPTY, [add(tensor("t1", *["i"] * 65), dimensions={"i": 1})]),
]

LEGS: list[Case] = [
    ("pull a leg", CHAIN, [legs("t1", "ijx", dimensions={"x": 6}, output=["i", "k", "x"])]),
    ("cut a leg: the other end is summed", CHAIN, [legs("t2", "k")]),
    ("cut an open leg", CHAIN, [legs("t1", "j")]),
    (
        "cut a leg with an anchor, and it comes back",
        CHAIN,
        [legs("t1", "j"), legs("t1", "ji", dimensions={"i": 3})],
    ),
    ("permute", CHAIN, [legs("t1", "ji")]),
    ("connect into a parallel bond", CHAIN, [legs("t2", "jik", output=["k"])]),
    ("connect into a self-loop", CHAIN, [legs("t1", "jj", output=["k"])]),
    ("onto a hyperindex", HYPER, [legs("t2", "ia")]),
    ("off a hyperindex", HYPER, [legs("t3", "c")]),
    ("a scalar grows a leg", SCALARS, [legs("t1", "x", dimensions={"x": 1})]),
    ("all legs off", LOOP, [legs("t1", "")]),
    ("a leg to a scalar-making bond", document("i,i->"), [legs("t1", "")]),
    ("join two open legs", document("ia,bj->iabj"), [join("a", "b")]),
    ("join into the output", document("ia,bj->iabj"), [join("a", "b", ["i", "a", "j"])]),
    ("join legs of one tensor", document("iaj->iaj"), [join("i", "j")]),
    ("join two bonds into a hyperindex", document("aij,bi,cj->abc"), [join("i", "j")]),
    ("join onto a hyperindex with an anchor", HYPER, [join("i", "c")]),
    ("rename an open index with an anchor", CHAIN, [rename("i", "λ")]),
    ("rename a hyperindex", HYPER, [rename("i", "h")]),
    ("rename to itself", CHAIN, [rename("j", "j")]),
    ("an index nobody knows", CHAIN, [legs("t1", "iz")]),
    ("legs of an unknown tensor", CHAIN, [legs("t9", "i")]),
    ("a leg with a blank name", CHAIN, [legs("t1", [" "])]),
    ("a leg of another size", CHAIN, [legs("t1", "ij", dimensions={"j": 9})]),
    ("an output that was cut off", CHAIN, [legs("t1", "j", output=["i"])]),
    ("join with itself", CHAIN, [join("i", "i")]),
    ("join sizes 3 and 5", CHAIN, [join("i", "k")]),
    ("join an unknown index", CHAIN, [join("i", "z")]),
    ("join and keep the dropped one open", document("ia,bj->iabj"), [join("a", "b", ["b"])]),
    ("rename to a name in use", CHAIN, [rename("i", "k")]),
    ("rename an unknown index", CHAIN, [rename("z", "y")]),
    ("rename to nothing", CHAIN, [rename("i", "")]),
    ("rename to 65 characters", CHAIN, [rename("i", "i" * 65)]),
]

SMALL: list[Case] = [
    ("a dimension", CHAIN, [dimension("j", 64)]),
    ("the largest dimension", CHAIN, [dimension("j", 2**31 - 1)]),
    ("a dimension of 1 on a hyperindex", HYPER, [dimension("i", 1)]),
    ("an empty output", CHAIN, [output()]),
    ("a bond in the output", CHAIN, [output("j", "i")]),
    ("a hyperindex in the output", HYPER, [output("i")]),
    ("another name", CHAIN, [{"kind": "rename-tensor", "id": "t1", "name": "A_1"}]),
    ("another array", CHAIN, [array("t1", INLINE)]),
    ("another look", CHAIN, [look("t2", "diamond", "rose")]),
    ("another title", CHAIN, [title("A ⊗ B")]),
    ("no title", CHAIN, [title("")]),
    ("another type", CHAIN, [{"kind": "set-dtype", "dtype": "complex64"}]),
    ("tensors and anchors move", CHAIN, [move({"t1": [5, 6], "t2": [-7, 8]}, {"k": [1, 2]})]),
    ("an anchor goes", CHAIN, [move(anchors={"i": None})]),
    ("an anchor that was not there goes", CHAIN, [move(anchors={"k": None})]),
    ("everything else", CHAIN, [{"kind": "replace-document", "document": HYPER}]),
    (
        "a gesture of many commands",
        CHAIN,
        [
            add(tensor("t3", "k", "l"), dimensions={"l": 2}, output=["i", "l"]),
            move({"t3": [200, 0]}, {"l": [260, 0]}),
            dimension("l", 8),
            rename("l", "out"),
            remove("t1"),
            output("j", "out"),
        ],
    ),
    ("the second of two is refused", CHAIN, [dimension("j", 7), dimension("z", 7)]),
    ("a dimension of 0", CHAIN, [dimension("j", 0)]),
    ("a dimension of 2^31", CHAIN, [dimension("j", 2**31)]),
    ("a dimension of nobody", CHAIN, [dimension("z", 0)]),
    ("an output twice", CHAIN, [output("i", "i")]),
    ("an output of nobody", CHAIN, [output("i", "z")]),
    ("a name with a line break", CHAIN, [{"kind": "rename-tensor", "id": "t1", "name": "A\n"}]),
    ("a name for nobody", CHAIN, [{"kind": "rename-tensor", "id": "t9", "name": "A"}]),
    ("an array for nobody", CHAIN, [array("t9", RANDOM)]),
    ("an unknown shape", CHAIN, [look("t1", "star", "blue")]),
    ("an unknown colour, for nobody", CHAIN, [look("t9", "dot", "red")]),
    ("a look for nobody", CHAIN, [look("t9", "dot", "rose")]),
    ("a title of two lines", CHAIN, [title("A\nB")]),
    ("a title of 201 characters", CHAIN, [title("A" * 201)]),
    ("an unknown type", CHAIN, [{"kind": "set-dtype", "dtype": "int8"}]),
    ("nobody moves", CHAIN, [move({"t9": [0, 0]})]),
    ("nobody's anchor moves", CHAIN, [move(anchors={"z": [0, 0]})]),
    ("too far", CHAIN, [move({"t9": [0, -1_000_001]})]),
    ("an unknown command", CHAIN, [{"kind": "explode"}]),
]


def texts() -> dict[str, str]:
    """File names and what they must hold."""
    files = {"tensors.json": TENSORS, "legs.json": LEGS, "small.json": SMALL}
    return {name: _written([vector(*case) for case in cases]) for name, cases in files.items()}


def vector(name: str, before: Json, commands: list[Json]) -> Json:
    """What the Python reducer makes of a case."""
    now = codec.from_json(before)
    back: list[Json] = []
    start = {"name": name, "document": before, "commands": commands}
    for number, item in enumerate(commands):
        try:
            command = command_from_json(item)
            after = apply(now, command)
        except TensorloomError as error:
            refused = {"at": number, "code": error.code}
            return {**start, "after": None, "refused": refused, "back": None}
        back = [*map(command_to_json, invert(now, command)), *back]
        now = after
    return {**start, "after": codec.to_json(now), "refused": None, "back": back}


def _written(vectors: list[Json]) -> str:
    """One line per field of a vector: a diff shows what changed."""
    rows = [
        ",\n".join(
            f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in found.items()
        )
        for found in vectors
    ]
    return "[\n" + ",\n".join(f"{{\n{row}\n}}" for row in rows) + "\n]\n"
