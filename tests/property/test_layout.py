"""Layouts: everything has a place of its own, and nothing placed is moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import LETTERS, networks
from tensorloom.formats.layout import laid_out, layout

if TYPE_CHECKING:
    from tensorloom.model.network import Network


@settings(max_examples=200, derandomize=True, database=None, deadline=3000)
@given(networks(LETTERS), st.integers(0, 3))
def test_every_tensor_has_a_place_of_its_own(network: Network, seed: int) -> None:
    steps = list(layout(network, seed=seed))
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    found = steps[-1]
    assert found.done == 1
    assert set(found.positions) == set(network.tensor_by_id)
    assert len(set(found.positions.values())) == len(network.tensors)
    assert set(found.anchors) <= set(network.dimension_of)
    # Every open leg has a free end, unless it is a dot between tensors.
    assert set(network.output) <= set(found.anchors)


@settings(max_examples=200, derandomize=True, database=None, deadline=3000)
@given(networks(LETTERS), st.data())
def test_placed_tensors_stay(network: Network, data: st.DataObject) -> None:
    pixels = st.tuples(st.integers(-500, 500), st.integers(-500, 500))
    placed = {
        tensor.id: data.draw(pixels) for tensor in network.tensors if data.draw(st.booleans())
    }
    found = laid_out(network, placed)
    assert {name: found.positions[name] for name in placed} == placed
    fresh = [place for name, place in found.positions.items() if name not in placed]
    assert len(set(fresh)) == len(fresh)
    assert not set(fresh) & set(placed.values())


@settings(max_examples=50, derandomize=True, database=None, deadline=3000)
@given(networks(LETTERS), st.integers(0, 3))
def test_the_same_seed_gives_the_same_drawing(network: Network, seed: int) -> None:
    assert laid_out(network, seed=seed) == laid_out(network, seed=seed)
