"""Hypothesis strategies shared by the property tests: names, networks, documents, damaged text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from tensorloom.model.diagram import COLOURS, SHAPES, Diagram, Mark
from tensorloom.model.document import DTYPES, Document
from tensorloom.model.index import MAX_NAME_LENGTH, Index
from tensorloom.model.network import Network
from tensorloom.model.recipe import (
    ConstantArray,
    CopyArray,
    GateArray,
    IdentityArray,
    InlineArray,
    RandomArray,
)
from tensorloom.model.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LETTERS = st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")

HOSTILE_CHARACTERS = "()-.'\"<&;=\\/äλ⟩字\U0001d538e\u0301"


def is_name(text: str) -> bool:
    """Whether a network accepts the text as a name."""
    return (
        0 < len(text) <= MAX_NAME_LENGTH
        and text.isprintable()
        and not any(letter.isspace() or letter in ",>" for letter in text)
    )


NAMES = st.one_of(
    LETTERS,
    st.sampled_from(
        ["left", "row", "q0_1", "(", ")", "((", "x)", "(y", "-", ".", "a-b", "...", "é"]
    ),
    st.text(st.sampled_from("ab_" + HOSTILE_CHARACTERS), min_size=1, max_size=6),
    st.text(min_size=1, max_size=8),
).filter(is_name)

RECIPES = st.one_of(
    st.builds(
        RandomArray,
        seed=st.integers(0, 2**53 - 1),
        distribution=st.sampled_from(["normal", "uniform", "complex-normal"]),
    ),
    st.builds(ConstantArray, value=st.floats(allow_nan=False, allow_infinity=False)),
    st.just(IdentityArray()),
    st.just(CopyArray()),
    st.builds(
        GateArray,
        name=st.sampled_from(["h", "cx", "u3"]),
        conjugate=st.booleans(),
        controls=st.integers(0, 3),
    ),
    st.builds(InlineArray, values=st.just((1.0, -2.5)), shape=st.just((2,))),
)

PIXELS = st.integers(-2000, 2000)


@st.composite
def networks(draw: st.DrawFn, names: st.SearchStrategy[str] = NAMES) -> Network:
    """Networks with hyperindices, traces, lone and open indices, scalars and separate parts."""
    pool = draw(st.lists(names, max_size=8, unique=True))
    axes = st.lists(st.sampled_from(pool), max_size=5) if pool else st.just([])
    operands = draw(st.lists(axes, max_size=6))
    used = list(dict.fromkeys(name for names in operands for name in names))
    tensors = tuple(
        Tensor(id=f"t{place}", name=draw(NAMES), indices=tuple(indices), array=draw(RECIPES))
        for place, indices in enumerate(operands, 1)
    )
    output = draw(st.lists(st.sampled_from(used), unique=True, max_size=4)) if used else []
    return Network(
        tensors=tensors,
        indices=tuple(Index(name=name, dimension=draw(st.integers(1, 9))) for name in used),
        output=tuple(output),
    )


@st.composite
def documents(draw: st.DrawFn, names: st.SearchStrategy[str] = NAMES) -> Document:
    """Documents of such networks, drawn anywhere."""
    network = draw(networks(names))
    marks = st.builds(
        Mark, x=PIXELS, y=PIXELS, shape=st.sampled_from(SHAPES), colour=st.sampled_from(COLOURS)
    )
    anchored = [index.name for index in network.indices if draw(st.booleans())]
    return Document(
        title=draw(st.text(max_size=12).filter(str.isprintable)),
        dtype=draw(st.sampled_from(DTYPES)),
        network=network,
        diagram=Diagram(
            marks={tensor.id: draw(marks) for tensor in network.tensors},
            anchors={name: (draw(PIXELS), draw(PIXELS)) for name in anchored},
        ),
    )


def damaged(sources: Sequence[str], pieces: Sequence[str]) -> st.SearchStrategy[str]:
    """Valid texts with a few cuts, repeats and strange pieces in them."""
    change = st.tuples(
        st.sampled_from(["cut", "put", "swap", "repeat"]),
        st.integers(0, 10**6),
        st.integers(1, 12),
        st.sampled_from(pieces) | st.text(max_size=3),
    )

    def apply(source: str, changes: list[tuple[str, int, int, str]]) -> str:
        for kind, where, length, piece in changes:
            at = where % (len(source) + 1)
            after = {
                "cut": source[at + length :],
                "put": piece + source[at:],
                "swap": piece + source[at + len(piece) :],
                "repeat": source[at : at + length] * 3 + source[at + length :],
            }[kind]
            source = source[:at] + after
        return source

    return st.builds(apply, st.sampled_from(sources), st.lists(change, min_size=1, max_size=4))


def damaged_bytes(sources: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Valid files with a few bytes changed, cut out or put in."""
    change = st.tuples(
        st.sampled_from(["cut", "put", "flip"]), st.integers(0, 10**6), st.binary(max_size=4)
    )

    def apply(source: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
        steps: dict[str, Callable[[bytes, int, bytes], bytes]] = {
            "cut": lambda data, at, piece: data[:at] + data[at + 1 + len(piece) :],
            "put": lambda data, at, piece: data[:at] + piece + data[at:],
            "flip": lambda data, at, piece: data[:at] + piece + data[at + len(piece) :],
        }
        for kind, where, piece in changes:
            source = steps[kind](source, where % (len(source) + 1), piece)
        return source

    return st.builds(apply, st.sampled_from(sources), st.lists(change, min_size=1, max_size=4))
