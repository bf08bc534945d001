"""Where slices start, for strides worked out by hand."""

from __future__ import annotations

from tensorloom.kernels.lower import lower
from tensorloom.kernels.slices import Slice, result_axes, slices_of
from tensorloom.plan.tree import ContractionTree


def sliced(*names: str) -> ContractionTree:
    return ContractionTree(
        inputs=(("i", "j"), ("j", "k")),
        output=("k", "i"),
        dimensions=(("i", 2), ("j", 3), ("k", 5)),
        path=((0, 1),),
        sliced=names,
    )


def test_unsliced_is_one_slice_from_the_start() -> None:
    program = lower(sliced(), "float64")
    assert list(slices_of(program)) == [Slice(starts=(0, 0, 0), out=0)]
    assert result_axes(program) == ((5, 2), (2, 1))


def test_every_value_of_every_sliced_index_once() -> None:
    program = lower(sliced("j", "i"), "float64")
    found = list(slices_of(program))
    assert len(found) == 6
    assert found[0] == Slice(starts=(0, 0, 0), out=0)
    assert found[1] == Slice(starts=(3, 0, 0), out=1)
    assert found[-1] == Slice(starts=(3 + 2, 10, 0), out=1)
    assert result_axes(program) == ((5, 2),)


def test_axes_of_size_one_are_left_out() -> None:
    tree = ContractionTree(
        inputs=(("a", "i"), ("i",)),
        output=("a", "i"),
        dimensions=(("a", 1), ("i", 4)),
        path=((0, 1),),
    )
    assert result_axes(lower(tree, "float32")) == ((4, 1),)


def test_slices_can_begin_anywhere() -> None:
    program = lower(sliced("j", "i"), "float64")
    every = list(slices_of(program))
    assert list(slices_of(program, 2, 5)) == every[2:5]
    assert list(slices_of(program, 4)) == every[4:]
