"""Looking inside: which numbers a picture shows, and in which colours."""

from __future__ import annotations

import numpy as np

from tensorloom.view.colours import DARK, LIGHT, rgba
from tensorloom.view.inspection import Inspection, look_at


def test_a_matrix_shows_its_last_axis_along_the_columns() -> None:
    look = look_at(np.arange(6.0).reshape(2, 3), ("i", "j"))
    assert (look.rows, look.columns, dict(look.fixed)) == (("i",), ("j",), {})
    np.testing.assert_array_equal(look.cells, [[0, 1, 2], [3, 4, 5]])


def test_a_slice_of_three_axes_fixes_the_smallest_one() -> None:
    array = np.arange(24.0).reshape(2, 3, 4)
    look = look_at(array, ("i", "j", "k"), fixed={"i": 1})
    assert (look.rows, look.columns, dict(look.fixed)) == (("j",), ("k",), {"i": 1})
    np.testing.assert_array_equal(look.cells, array[1])


def test_axes_fuse_in_the_order_asked_for() -> None:
    array = np.arange(24.0).reshape(2, 3, 4)
    look = look_at(array, ("i", "j", "k"), rows=("k", "i"), columns=("j",))
    np.testing.assert_array_equal(look.cells, array.transpose(2, 0, 1).reshape(8, 3))


def test_a_repeated_name_shows_the_diagonal() -> None:
    look = look_at(np.arange(9.0).reshape(3, 3), ("i", "i"))
    np.testing.assert_array_equal(look.cells, [[0, 4, 8]])


def test_a_scalar_is_one_cell() -> None:
    look = look_at(np.array(2.5), ())
    assert look.cells.shape == (1, 1)
    assert look.cells[0, 0] == 2.5


def test_a_fixed_value_out_of_range_is_the_nearest_one() -> None:
    look = look_at(np.zeros((2, 3, 4)), ("i", "j", "k"), fixed={"i": 9})
    assert dict(look.fixed) == {"i": 1}


def test_a_long_vector_keeps_the_largest_of_each_block_and_says_so() -> None:
    values = np.zeros(1024)
    values[701] = -3.0
    look = look_at(values, ("i",))
    assert look.cells.shape == (1, 512)
    assert look.cells[0, 350] == -3.0
    assert look.note == "Each cell shows the largest of 2 numbers."


def test_signs_are_blue_and_orange_and_zero_is_the_panel() -> None:
    colours = rgba(np.array([2.0, 0.0, -2.0]), LIGHT)
    assert [tuple(int(part) for part in colour[:3]) for colour in colours] == [
        (0x3B, 0x5B, 0xDB),
        (0xFF, 0xFF, 0xFF),
        (0xD9, 0x48, 0x0F),
    ]


def test_phases_have_equal_lightness_and_different_hues() -> None:
    phases = np.exp(2j * np.pi * np.arange(8) / 8)
    colours = rgba(phases, DARK)[:, :3].astype(float)
    luma = colours @ [0.2126, 0.7152, 0.0722]
    assert np.ptp(luma) < 60
    distance = np.abs(colours[:, None] - colours[None]).sum(-1) + 1e3 * np.eye(8)
    assert distance.min() > 40


def test_the_figure_swaps_bars_for_an_image() -> None:
    inspection = Inspection()
    inspection.show(look_at(np.array([1.0, -2.0]), ("i",)), dark=False)
    assert list(inspection.bars.data["top"]) == [1.0, -2.0]
    assert inspection.image.data["image"] == []
    inspection.show(look_at(np.eye(3), ("i", "j")), dark=False)
    assert inspection.image.data["image"][0].shape == (3, 3)
    assert list(inspection.bars.data["x"]) == []


def test_nan_and_infinity_do_not_break_the_picture() -> None:
    inspection = Inspection()
    inspection.show(look_at(np.array([np.nan, np.inf, 1.0]), ("i",)), dark=True)
    assert list(inspection.bars.data["top"])[2] == 1.0
    assert rgba(np.array([[np.nan, 1.0]]), LIGHT).shape == (1, 2, 4)
