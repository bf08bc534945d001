"""Where WASM kernels find things in memory: records, descriptors and the workspace.

A *record* is one call of a kernel: which one, on which addresses, for which range of batch, rows
and columns. A *descriptor* is what a kernel must know of a ``KernelSpec``: sizes and strides of its
axes. Both are rows of 32-bit words, so a whole program is one array, and the driver replays it in
one call. Big kernels become several records with smaller ranges; that is how they are paused,
cancelled and shared among threads.
"""

from __future__ import annotations

__all__ = [
    "AXIS_BYTES",
    "BATCH_CHUNK",
    "CHECK_DOUBLE",
    "CHECK_KEPT",
    "CHECK_SINGLE",
    "DESCRIPTOR_BYTES",
    "DESCRIPTOR_FIELDS",
    "DESCRIPTOR_GROUPS",
    "GROUPS",
    "LARGEST_BYTES",
    "MAX_AXES",
    "PANEL_COLUMNS_BYTES",
    "PANEL_DEPTH",
    "PANEL_ROWS",
    "RECORD_BYTES",
    "RECORD_FIELDS",
    "WORKSPACE",
    "WORKSPACE_BYTES",
]

RECORD_FIELDS = {
    name: 4 * position
    for position, name in enumerate(
        (
            "slot",
            "left",
            "right",
            "out",
            "descriptor",
            "workspace",
            "batch_start",
            "batch_stop",
            "row_start",
            "row_stop",
            "column_start",
            "column_stop",
            "check",
            "check_bytes",
        )
    )
}
"""Offset of each word of a record [bytes]. ``check`` is 0, or the type of the scalars to look
through afterwards."""

CHECK_SINGLE = 1
CHECK_DOUBLE = 2
CHECK_KEPT = 4
"""Added where the kernel has kept the largest magnitudes itself, in its workspace: only those are
looked at, ``LARGEST_BYTES`` of them."""

LARGEST_BYTES = 16

RECORD_BYTES = 64

GROUPS = ("batch", "rows", "columns", "contracted")
"""Order of the axis groups in a descriptor."""

DESCRIPTOR_FIELDS = {
    "depth": 0,
    "tile_rows": 4,
    "block_rows": 8,
    "depth_runs": 12,
    "run": 16,
    "left_step": 52,
    "right_step": 56,
    "out_step": 60,
}
"""Offset of the header's words [bytes]: total summed size; rows of a tile and of a block; whether
summed positions are neighbours in the right operand; length of a run [bytes]; and, after the
groups, how far apart the numbers of a line are [bytes]."""

DESCRIPTOR_GROUPS = 20
"""After five of them, for each group, its number of axes and the offset of its first [bytes]."""

DESCRIPTOR_BYTES = 64
"""The whole header. Axes follow, innermost first."""

AXIS_BYTES = 16
"""Size, then strides in left, right and result [bytes]."""

MAX_AXES = 64

PANEL_DEPTH = 256
PANEL_ROWS = 96
PANEL_COLUMNS_BYTES = 4096
"""Blocks packed at a time: 256 deep, 96 rows (a multiple of no tile height needs to divide it),
1024 columns of 4 bytes. Measured: other depths and heights are within 2 %."""

BATCH_CHUNK = 64


def _workspace() -> tuple[dict[str, int], int]:
    widest = 16
    columns = PANEL_COLUMNS_BYTES // 4 + 16
    sizes = {
        "counters": 4 * MAX_AXES,
        "batch_left": 4 * BATCH_CHUNK,
        "batch_right": 4 * BATCH_CHUNK,
        "batch_out": 4 * BATCH_CHUNK,
        "row_left": 4 * PANEL_ROWS,
        "row_out": 4 * PANEL_ROWS,
        "column_right": 4 * columns,
        "column_out": 4 * columns,
        "column_direct": 4 * columns,
        "depth_left": 4 * PANEL_DEPTH,
        "depth_right": 4 * PANEL_DEPTH,
        "tile": 8 * 32,
        "largest": LARGEST_BYTES,
        "panel_left": PANEL_ROWS * PANEL_DEPTH * widest,
        "panel_right": PANEL_COLUMNS_BYTES * PANEL_DEPTH + 32 * PANEL_DEPTH,
    }
    offsets: dict[str, int] = {}
    at = 0
    for name, size in sizes.items():
        offsets[name] = at
        at += (size + 63) // 64 * 64
    return offsets, at


WORKSPACE, WORKSPACE_BYTES = _workspace()
"""Offset of each table and panel in the scratch memory of a kernel, and its size [bytes]."""
