"""The proof of fused groups: what a group makes of a probe, against kernels that are proven.

It runs when a program gets its groups, once per group. Both take as long as the program itself;
to make and to compile a group takes many times that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tensorloom.errors import UnsupportedKernel
from tensorloom.kernels.wasm.fused import STATUS_BYTES, FusedKernel
from tensorloom.kernels.wasm.fused_probe import group_probe
from tensorloom.kernels.wasm.layout import RECORD_FIELDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorloom.execute.wasm.kernels import WasmKernels
    from tensorloom.execute.wasm.replay import Prepared
    from tensorloom.kernels.wasm.fused_probe import GroupProbe

__all__ = ["prove_groups"]

_COLUMN = {name: offset // 4 for name, offset in RECORD_FIELDS.items()}
_OPERANDS = slice(_COLUMN["left"], _COLUMN["out"] + 1)


def prove_groups(known: Prepared, records: NDArray[np.uint32], kernels: WasmKernels) -> None:
    """Runs the probe of each group that has not been proven yet.

    Args:
        known: The program.
        records: Its settled records; they stay as they are.
        kernels: The engine; it has the program's kernels.

    Raises:
        UnsupportedKernel: A group computes wrongly or stops half way; it is thrown out.
    """
    for (record, first, last), group, sizes in zip(
        known.sheet.fused, known.groups, known.sizes, strict=True
    ):
        kernel = group.kernel
        if kernels.is_proven(kernel):
            continue
        dispatches = known.sheet.dispatches
        probe = group_probe(known.program, dispatches[first], dispatches[last - 1] + 1, sizes)
        operands = known.sheet.operands[first:last]
        rows = records[[record, *range(first, last)]]
        try:
            right = _is_right(kernel, probe, rows, operands, kernels)
        except UnsupportedKernel as error:
            raise kernels.thrown_out(kernel, error) from error
        if not right:
            raise kernels.thrown_out(kernel)
        kernels.proven(kernel)


def _is_right(
    kernel: FusedKernel,
    probe: GroupProbe,
    rows: NDArray[np.uint32],
    operands: NDArray[np.intp],
    kernels: WasmKernels,
) -> bool:
    """Whether a group computes its probe as its steps do.

    Args:
        kernel: The group's.
        probe: What it is tried on.
        rows: The group's record and those of its steps.
        operands: Buffers of the steps.
        kernels: The engine.
    """
    host = kernels.host
    block = host.empty(probe.n_bytes).view(kernel.dtype)
    made, again = block[probe.inputs.size :].reshape(2, -1)
    block[: probe.inputs.size] = probe.inputs
    made[...] = again[...] = np.nan
    # Addresses may be beyond what 32 bits with a sign hold.
    places = (probe.places.astype(np.int64) + host.address(block)).astype(np.uint32)
    table = host.placed(np.zeros(STATUS_BYTES // 4 + len(places), np.uint32))
    table[STATUS_BYTES // 4 :] = places
    records = host.placed(rows)
    records[0, _COLUMN["descriptor"]] = records[0, _COLUMN["out"]] = host.address(table)
    records[1:, _OPERANDS] = np.append(places, np.uint32(kernels.one_address[kernel.dtype]))[
        operands
    ]
    # Each step reads what the group has made, and makes its result anew elsewhere.
    records[1:, _COLUMN["out"]] += np.uint32(probe.again)
    kernels.run(host.address(records), 0, len(records), 0.0, float("inf"))
    left_range = table[: STATUS_BYTES // 4].view(np.float64)[0] != 0
    return not left_range and probe.wrong(made, again) is None
