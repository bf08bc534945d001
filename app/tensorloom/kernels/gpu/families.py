"""What each family's template is filled with: a frozen ``Layout`` and one function per family."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING

from tensorloom.kernels.gpu.addresses import SIDES, loop_offset, offset

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tensorloom.kernels.gpu.candidate import GpuCandidate
    from tensorloom.kernels.gpu.limits import GpuLimits
    from tensorloom.kernels.program import KernelSpec, LoopAxis

__all__ = ["FAMILIES", "THREADS", "FamilyTemplate", "Layout", "hands_along_sum", "in_line"]

THREADS = 64
UNROLL = 4
"""Products per turn of the innermost loop where they fit; the compiler of a simulated GPU takes
longer for it and the code runs no faster (SwiftShader, Chromium 156)."""

Values = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A kernel cut into blocks of outputs, one per workgroup.

    Args:
        spec: What to compute.
        candidate: How.
        limits: Of the device.
        splits: Parts of the sum; then the first batch axis of ``spec`` counts them.
    """

    spec: KernelSpec
    candidate: GpuCandidate
    limits: GpuLimits
    splits: int = 1

    @property
    def parts(self) -> int:
        """Numbers per element where lanes hold numbers: 2 for complex."""
        return 2 if self.spec.dtype == "complex64" else 1

    @cached_property
    def block(self) -> tuple[int, int]:
        """``(rows, columns)`` of outputs per workgroup."""
        rows, columns = self.candidate.block(self.limits.subgroup)
        lanes = self.candidate.family == "lanes"
        return rows, max(1, columns // self.parts) if lanes else columns

    @cached_property
    def grid(self) -> tuple[int, int]:
        """Blocks along rows and columns."""
        _, rows, columns, _ = self.spec.extents
        return ceil(rows / self.block[0]), ceil(columns / self.block[1])

    @property
    def blocks(self) -> int:
        """Workgroups that do something."""
        return self.spec.extents[0] * self.grid[0] * self.grid[1]

    @cached_property
    def order(self) -> tuple[LoopAxis, ...]:
        """Contracted axes from the outermost loop to the innermost.

        A cut sum is cut along its longest axis, which is then outermost.
        """
        axes = self.spec.contracted
        if self.splits == 1 or not axes:
            return axes
        longest = max(axes, key=lambda axis: axis.size)
        return (longest, *(axis for axis in axes if axis is not longest))

    def loops(self, step: int = 1) -> tuple[list[dict[str, object]], list[tuple[str, LoopAxis]]]:
        """The loops over the sum, outermost first, and the variable of each axis.

        Args:
            step: Products per turn of the innermost loop.
        """
        named = [(f"k{number}", axis) for number, axis in enumerate(self.order)]
        loops: list[dict[str, object]] = [
            {"name": name, "start": "0u", "end": f"{axis.size}u", "step": 1} for name, axis in named
        ]
        if self.splits > 1:
            chunk = ceil(self.order[0].size / self.splits)
            part = f"(batch / {self.spec.extents[0] // self.splits}u)"
            loops[0]["start"] = f"{part} * {chunk}u"
            loops[0]["end"] = f"min({part} * {chunk}u + {chunk}u, {self.order[0].size}u)"
        if loops:
            loops[-1]["step"] = step
        return loops, named

    def values(self) -> Values:
        """What all tiled templates ask for."""
        spec, candidate = self.spec, self.candidate
        _, rows, columns, contracted = spec.extents
        return {
            **{f"batch_{side}": offset("batch", spec.batch, side) for side in SIDES},
            "across": candidate.across,
            "down": candidate.down,
            "threads": candidate.threads,
            "blocks": self.blocks,
            "row_blocks": self.grid[0],
            "column_blocks": self.grid[1],
            "block_rows": self.block[0],
            "block_columns": self.block[1],
            "tile_rows": candidate.rows,
            "tile_columns": candidate.columns,
            "whole_rows": rows % self.block[0] == 0,
            "whole_columns": columns % self.block[1] == 0,
            "rows": rows,
            "columns": columns,
            "contracted": contracted,
            "row_left": self._each("row", candidate.rows, spec.rows, "left"),
            "row_out": self._each("row", candidate.rows, spec.rows, "out"),
            "column_right": self._each("column", candidate.columns, spec.columns, "right"),
            "column_out": self._each("column", candidate.columns, spec.columns, "out"),
        }

    def _each(self, name: str, n: int, axes: tuple[LoopAxis, ...], side: str) -> list[str]:
        return [offset(f"{name}_{number}", axes, side) for number in range(n)]


def _registers(layout: Layout) -> Values:
    """Loops over the sum, a few products per turn."""
    order = layout.order
    chunk = ceil(order[0].size / layout.splits) if len(order) == 1 else UNROLL
    fits = bool(order) and order[-1].size % UNROLL == 0 and chunk % UNROLL == 0
    unroll = UNROLL if fits and not layout.limits.software else 1
    loops, named = layout.loops(unroll)
    steps = [
        {
            side: loop_offset(named, side, number * getattr(order[-1], side) if order else 0)
            for side in ("left", "right")
        }
        for number in range(unroll)
    ]
    return {"loops": loops, "steps": steps, "row_apart": _row_apart(layout)}


def _outer(layout: Layout) -> Values:
    """The short sum written out."""
    offsets: list[tuple[int, int]] = [(0, 0)]
    for axis in layout.spec.contracted:
        offsets = [
            (left + digit * axis.left, right + digit * axis.right)
            for left, right in offsets
            for digit in range(axis.size)
        ]
    steps = [{"left": f"{left}u", "right": f"{right}u"} for left, right in offsets]
    return {"loops": [], "steps": steps, "row_apart": _row_apart(layout)}


def in_line(spec: KernelSpec) -> KernelSpec:
    """The same with every kept axis among the columns, so that neighbours write neighbours.

    Columns move the left operand too then, as in no other kernel.
    """
    kept = sorted((*spec.batch, *spec.rows, *spec.columns), key=lambda axis: -axis.out)
    return replace(spec, batch=(), rows=(), columns=tuple(kept))


def _line(layout: Layout) -> Values:
    """Loops as for a tile in registers, and where each output's left numbers lie."""
    left = [
        offset(f"column_{number}", layout.spec.columns, "left")
        for number in range(layout.candidate.columns)
    ]
    return {**_registers(layout), "column_left": left}


def _row_apart(layout: Layout) -> int:
    """Rows of one invocation lie together, unless rows are all that neighbours differ in."""
    return layout.candidate.down if layout.candidate.across == 1 else 1


def _dot(layout: Layout) -> Values:
    contracted = layout.spec.contracted
    return {f"{side}_step": offset("k", contracted, side) for side in ("left", "right")}


def hands_along_sum(spec: KernelSpec, subgroup: int) -> bool:
    """Whether lanes of ``lanes`` load a row's next products, rather than the next rows' product."""
    if not spec.contracted:
        return False
    parts = 2 if spec.dtype == "complex64" else 1
    inner = spec.contracted[-1]
    return inner.left == 1 and inner.size >= subgroup // parts


def _lanes(layout: Layout) -> Values:
    """Loads and products, with which lane holds what."""
    size = layout.limits.subgroup
    parts = layout.parts
    along = hands_along_sum(layout.spec, size) and layout.splits == 1
    groups, tails, rows, loops, inner = _along_sum(layout) if along else _along_rows(layout)
    scale, base = ("2u * ", " + part") if parts == 2 else ("", "")  # noqa: PLR2004  # complex
    spec, candidate = layout.spec, layout.candidate
    return {
        "size": size,
        "parts": parts,
        "groups": groups,
        "tails": tails,
        "lane_rows": rows,
        "loops": loops,
        "inner": inner,
        "column_right": [
            f"{scale}(right_base + {offset(f'column_{c}', spec.columns, 'right')}){base}"
            for c in range(candidate.columns)
        ],
        "column_out": [
            offset(f"column_{c}", spec.columns, "out") for c in range(candidate.columns)
        ],
    }


_Body = tuple[
    list[dict[str, object]],
    list[dict[str, object]],
    list[dict[str, object]],
    list[dict[str, object]],
    "dict[str, object] | None",
]


def _along_rows(layout: Layout) -> _Body:
    """Each load brings one product's numbers of as many rows as there are lanes."""
    size, parts = layout.limits.subgroup, layout.parts
    per_load = size // parts
    n_loads = ceil(layout.candidate.rows / per_load)
    loops, named = layout.loops()
    step = {side: loop_offset(named, side) for side in ("left", "right")}
    lane_row = "lane" if parts == 1 else f"lane / {parts}u"
    rows: list[dict[str, object]] = []
    for number in range(n_loads):
        name = f"left_{number}"
        at = offset(f"{name}_row", layout.spec.rows, "left")
        left = f"left_base + {at}" if parts == 1 else f"2u * (left_base + {at}) + part"
        rows.append({"name": name, "row": f"{number * per_load}u + {lane_row}", "left": left})
    times = "" if parts == 1 else "2u * "
    loads = [
        {"name": f"loaded_{number}", "index": f"left_{number} + {times}({step['left']})"}
        for number in range(n_loads)
    ]
    hands = [
        {"name": f"loaded_{row // per_load}", "lane": row % per_load * parts}
        for row in range(layout.candidate.rows)
    ]
    product: dict[str, object] = {"right": f"{times}({step['right']})", "hands": hands}
    return [{"loads": loads, "products": [product]}], [], rows, loops, None


def _along_sum(layout: Layout) -> _Body:
    """Each load brings one row's next products, as many as there are lanes."""
    size, parts = layout.limits.subgroup, layout.parts
    per_load = size // parts
    n_rows = layout.candidate.rows
    inner_axis = layout.order[-1]
    loops, named = layout.loops(per_load)
    whole = inner_axis.size - inner_axis.size % per_load
    inner: dict[str, object] = {**loops[-1], "end": f"{whole}u"}
    times = "" if parts == 1 else "2u * "
    rows: list[dict[str, object]] = []
    for row in range(n_rows):
        at = offset(f"left_{row}_row", layout.spec.rows, "left")
        left = f"{times}(left_base + {at}) + lane"
        rows.append({"name": f"left_{row}", "row": f"{row}u", "left": left})
    step = loop_offset(named, "left")
    loads = [
        {"name": f"loaded_{row}", "index": f"left_{row} + {times}({step})"} for row in range(n_rows)
    ]

    def group(n_products: int) -> dict[str, object]:
        products = [
            {
                "right": f"{times}({loop_offset(named, 'right', number * inner_axis.right)})",
                "hands": [
                    {"name": f"loaded_{row}", "lane": number * parts} for row in range(n_rows)
                ],
            }
            for number in range(n_products)
        ]
        return {"loads": loads, "products": products}

    tail = inner_axis.size - whole
    return [group(per_load)], [group(tail)] if tail else [], rows, loops[:-1], inner


def _shared(layout: Layout) -> Values:
    """Which invocation stages what, and the range of the sum."""
    spec, candidate = layout.spec, layout.candidate
    contracted = spec.extents[3]
    k_first, k_last = "0u", f"{contracted}u"
    if layout.splits > 1:
        chunk = ceil(contracted / layout.splits)
        part = f"(batch / {spec.extents[0] // layout.splits}u)"
        k_first = f"{part} * {chunk}u"
        k_last = f"min({part} * {chunk}u + {chunk}u, {contracted}u)"
    return {
        "depth": candidate.depth,
        "k_first": k_first,
        "k_last": k_last,
        "left_lines": layout.block[0],
        "right_lines": layout.block[1],
        "left_loads": _staged(layout, "left"),
        "right_loads": _staged(layout, "right"),
    }


def _staged(layout: Layout, side: str) -> list[dict[str, object]]:
    """The loads of one invocation for one block of an operand.

    Neighbours load neighbours: along the sum where that is the operand's unit stride, else along
    rows or columns.
    """
    spec, candidate = layout.spec, layout.candidate
    lines = layout.block[0] if side == "left" else layout.block[1]
    axes = spec.rows if side == "left" else spec.columns
    depth, threads = candidate.depth, candidate.threads
    along_sum = bool(spec.contracted) and getattr(spec.contracted[-1], side) == 1
    staged: list[dict[str, object]] = []
    for number in range(ceil(lines * depth / threads)):
        place = "index" if number == 0 else f"(index + {number * threads}u)"
        if along_sum:
            line, deep = f"{place} / {depth}u", f"{place} % {depth}u"
        else:
            line, deep = f"{place} % {lines}u", f"{place} / {lines}u"
        beyond = (number + 1) * threads > lines * depth
        staged.append(
            {
                "place": f"({deep}) * {lines}u + {line}",
                "line": line,
                "deep": deep,
                "start": offset(f"{side}_line_{number}", axes, side),
                "step": offset("k", spec.contracted, side),
                "guard": f"{place} < {lines * depth}u" if beyond else "",
            }
        )
    return staged


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyTemplate:
    """A template and what fills it.

    Args:
        template: File below ``shaders/``.
        values: Those that only this family asks for.
        as_numbers: Whether complex arrays are read as twice as many numbers.
    """

    template: str
    values: Callable[[Layout], Values]
    as_numbers: bool = False


FAMILIES: Mapping[str, FamilyTemplate] = {
    "registers": FamilyTemplate(template="contract.wgsl.j2", values=_registers),
    "outer": FamilyTemplate(template="contract.wgsl.j2", values=_outer),
    "lanes": FamilyTemplate(template="contract_lanes.wgsl.j2", values=_lanes, as_numbers=True),
    "line": FamilyTemplate(template="contract_line.wgsl.j2", values=_line),
    "dot": FamilyTemplate(template="contract_split.wgsl.j2", values=_dot),
    "shared": FamilyTemplate(template="contract_shared.wgsl.j2", values=_shared),
}
