"""Look inside: a scalar, a vector, a matrix or a slice of a higher order, as one Bokeh figure.

One figure with two sets of marks, bars and an image; showing another array only changes their data,
so the page never builds the figure twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure

from tensorloom.view.colours import DARK, LIGHT, rgba

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.view.colours import Theme

__all__ = ["Inspection", "Look", "look_at"]

MOST_CELLS = 256
"""Longest side of a picture [cells]; longer ones show the largest number of each block."""

MOST_BARS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A two-dimensional view of an array.

    Args:
        cells: Shape ``(rows, columns)``; a vector is one row.
        rows: Index names along the rows, fused in C order.
        columns: Index names along the columns.
        fixed: Values of the indices that are neither.
        note: What was left out, in words; empty when nothing was.
    """

    cells: NDArray[Any]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    fixed: Mapping[str, int]
    note: str = ""


def look_at(
    array: NDArray[Any],
    names: Sequence[str],
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    fixed: Mapping[str, int] | None = None,
) -> Look:
    """A slice of an array as rows and columns.

    Args:
        array: Any shape.
        names: One index name per axis; repeated names show their diagonal.
        rows: Names along the rows; with ``columns`` empty too, a choice is made.
        columns: Names along the columns.
        fixed: Values of other names; 0 where not given.
    """
    diagonal, axes = _diagonal(array, names)
    given = [name for name in (*rows, *columns) if name in axes]
    if not given:
        rows, columns = _chosen(axes, diagonal.shape)
    rows = tuple(name for name in dict.fromkeys(rows) if name in axes)
    columns = tuple(name for name in dict.fromkeys(columns) if name in axes and name not in rows)
    held: dict[str, int] = {}
    for name, size in zip(axes, diagonal.shape, strict=True):
        if name not in rows and name not in columns:
            held[name] = min(max(0, (fixed or {}).get(name, 0)), size - 1)
    selected = diagonal[tuple(held.get(name, slice(None)) for name in axes)]
    left = [name for name in axes if name not in held]
    moved = np.transpose(selected, [left.index(name) for name in (*rows, *columns)])
    n_rows = int(np.prod(moved.shape[: len(rows)], dtype=np.int64))
    cells, note = _reduced(moved.reshape(n_rows, -1))
    return Look(cells=cells, rows=rows, columns=columns, fixed=held, note=note)


def _diagonal(array: NDArray[Any], names: Sequence[str]) -> tuple[NDArray[Any], tuple[str, ...]]:
    axes = tuple(dict.fromkeys(names))
    numbers = [axes.index(name) for name in names]
    if len(axes) == len(names):
        return array, axes
    return np.einsum(array, numbers, list(range(len(axes)))), axes


def _chosen(
    axes: tuple[str, ...], shape: tuple[int, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The last axis along the columns, the largest other one along the rows."""
    if not axes:
        return (), ()
    others = sorted(zip(axes[:-1], shape, strict=False), key=lambda pair: -pair[1])
    return tuple(name for name, _ in others[:1]), axes[-1:]


def _reduced(cells: NDArray[Any]) -> tuple[NDArray[Any], str]:
    one_row = cells.shape[0] == 1
    most = (1, MOST_BARS) if one_row else (MOST_CELLS, MOST_CELLS)
    blocks = [-(-size // limit) for size, limit in zip(cells.shape, most, strict=True)]
    if blocks == [1, 1]:
        return cells, ""
    padded = np.zeros(
        [-(-size // block) * block for size, block in zip(cells.shape, blocks, strict=True)],
        cells.dtype,
    )
    padded[: cells.shape[0], : cells.shape[1]] = cells
    tall, wide = padded.shape[0] // blocks[0], padded.shape[1] // blocks[1]
    grouped = (
        padded.reshape(tall, blocks[0], wide, blocks[1]).swapaxes(1, 2).reshape(tall, wide, -1)
    )
    largest = np.abs(grouped).argmax(-1)[..., None]
    note = f"Each cell shows the largest of {blocks[0] * blocks[1]} numbers."
    return np.take_along_axis(grouped, largest, -1)[..., 0], note


class Inspection:
    """The figure and what it shows."""

    def __init__(self) -> None:
        self.image = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
        self.bars = ColumnDataSource({"x": [], "top": [], "width": [], "colour": []})
        self.x_range, self.y_range = Range1d(0, 1), Range1d(0, 1)
        self.figure = figure(
            height=176,
            sizing_mode="stretch_width",
            toolbar_location=None,
            tools="",
            x_range=self.x_range,
            y_range=self.y_range,
            background_fill_alpha=0,
            border_fill_alpha=0,
            outline_line_color=None,
            min_border=2,
        )
        self.figure.grid.visible = False
        self.figure.image_rgba("image", x="x", y="y", dw="dw", dh="dh", source=self.image)
        self.figure.vbar(
            x="x", top="top", width="width", color="colour", line_color=None, source=self.bars
        )
        for axis in self.figure.axis:
            axis.update(
                axis_line_color=None,
                major_tick_line_color=None,
                minor_tick_line_color=None,
                major_label_text_font_size="11px",
                major_label_text_font="Inter Variable, Inter, sans-serif",
            )

    def show(self, look: Look, *, dark: bool) -> None:
        """Show a slice."""
        theme = DARK if dark else LIGHT
        for axis in self.figure.axis:
            axis.major_label_text_color = theme.text
        if look.cells.shape[0] == 1:
            self._show_bars(look.cells[0], theme)
        else:
            self._show_image(look.cells, theme)

    def _show_image(self, cells: NDArray[Any], theme: Theme) -> None:
        tall, wide = cells.shape
        colours = rgba(cells, theme)[::-1]
        packed = np.ascontiguousarray(colours).view(np.uint32).reshape(tall, wide)
        self.bars.data = {"x": [], "top": [], "width": [], "colour": []}
        self.image.data = {"image": [packed], "x": [0], "y": [0], "dw": [wide], "dh": [tall]}
        self.x_range.update(start=0, end=wide)
        self.y_range.update(start=0, end=tall)
        self.figure.yaxis.visible = False
        self.figure.xaxis.visible = False

    def _show_bars(self, values: NDArray[Any], theme: Theme) -> None:
        is_complex = np.iscomplexobj(values)
        tops = np.abs(values) if is_complex else values.astype(np.float64)
        tops = np.nan_to_num(tops, posinf=0.0, neginf=0.0)
        unit = np.exp(1j * np.angle(values)) if is_complex else np.where(values < 0, -1.0, 1.0)
        colours = rgba(unit, theme)
        self.image.data = {"image": [], "x": [], "y": [], "dw": [], "dh": []}
        self.bars.data = {
            "x": np.arange(len(values)) + 0.5,
            "top": tops,
            "width": np.full(len(values), 0.8 if len(values) <= MOST_BARS // 4 else 1.0),
            "colour": [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue, _ in colours],
        }
        low, high = float(min(tops.min(initial=0.0), 0.0)), float(max(tops.max(initial=0.0), 0.0))
        room = 0.05 * (high - low) or 1.0
        self.x_range.update(start=0, end=len(values))
        self.y_range.update(start=low - (room if low < 0 else 0), end=high + room)
        self.figure.yaxis.visible = True
        self.figure.xaxis.visible = True
