"""Equation text: written and read back, for every network; the spans point at what they say."""

from __future__ import annotations

import string

from hypothesis import example, given, settings

from strategies import networks
from tensorloom.model.equation import parse, write
from tensorloom.model.index import Index
from tensorloom.model.network import Network
from tensorloom.model.tensor import Tensor


def network_of(*operands: tuple[str, ...], output: tuple[str, ...] = ()) -> Network:
    names = dict.fromkeys(name for operand in operands for name in operand)
    return Network(
        tensors=tuple(
            Tensor(id=f"t{place}", name="T", indices=operand)
            for place, operand in enumerate(operands, 1)
        ),
        indices=tuple(Index(name=name, dimension=2) for name in names),
        output=output,
    )


MANY = tuple(string.ascii_letters + "αβγδ")


@settings(max_examples=600, derandomize=True, database=None, deadline=2000)
@given(networks())
@example(network_of())
@example(network_of(()))
@example(network_of((), ()))
@example(network_of(("row",)))
@example(network_of(("-", "."), ("((", ")"), output=("-", ")")))
@example(network_of(MANY[:30], MANY[26:], output=MANY[:3]))
def test_reading_what_was_written_gives_the_same_network(network: Network) -> None:
    found = write(network)
    parsed = parse(found.text)
    assert parsed.operands == tuple(tensor.indices for tensor in network.tensors)
    assert parsed.output == network.output
    assert parsed.named == found.named


@settings(max_examples=200, derandomize=True, database=None, deadline=2000)
@given(networks())
def test_each_span_holds_the_name_it_speaks_of(network: Network) -> None:
    found = write(network)
    names = [span for span in found.spans if span.index is not None]
    legs = sum(len(tensor.indices) for tensor in network.tensors)
    assert len(names) == legs + len(network.output)
    for span in names:
        piece = found.text[span.start : span.end]
        assert piece == span.index or (
            piece[0] + piece[-1] == "()"
            and piece[1:-1].replace("((", "(").replace("))", ")") == span.index
        )
    wholes = [span for span in found.spans if span.index is None]
    assert [span.tensor for span in wholes] == [tensor.id for tensor in network.tensors]
    for span, tensor in zip(wholes, network.tensors, strict=True):
        inside = [
            name.index
            for name in names
            if name.tensor == tensor.id and span.start <= name.start and name.end <= span.end
        ]
        assert tuple(inside) == tensor.indices
