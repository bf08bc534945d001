"""What real GPUs could make of the cases at best, and what kernels ask of them: counted, not timed.

No GPU is at hand. Bytes and multiply-adds of a workgroup follow from a candidate; the roofline
follows from public peak rates. What a GPU really does is for its owner to measure.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from cases import REFERENCE, Case
from report import table, write_section

from tensorloom.kernels.gpu.limits import GpuLimits
from tensorloom.kernels.gpu.roofline import GPUS, group_counts, roofline_ms
from tensorloom.kernels.gpu.space import gpu_candidates
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorloom.kernels.program import KernelSpec

HEADING = "Real GPUs, modelled"

SQUARES = tuple(
    Case(
        name=f"mm{side}",
        group="square",
        equation="ik,kj->ij",
        dimensions=(("i", side), ("k", side), ("j", side)),
    )
    for side in (2048, 4096)
)
CASES = (*SQUARES, *REFERENCE)

COUNTED = ("mm4096", "tall", "tinyK", "tc5", "mpo64", "peps8", "bertMLP", "cmm256")
"""One of each class: their first candidates are counted."""

CANDIDATES = 3


def main() -> int:
    """The exit status."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--quick", action="store_true", help="nothing written")
    asked = options.parse_args()
    specs = {case.name: spec_of(case) for case in CASES}
    text = f"{_words()}\n\n{_roofs(specs)}\n\n{_counts(specs)}"
    print(text)
    if not asked.quick:
        write_section(HEADING, text)
    return 0


def spec_of(case: Case) -> KernelSpec:
    """The kernel of a case."""
    tree = ContractionTree(
        inputs=tuple(tuple(names) for names in case.operands),
        output=tuple(case.output),
        dimensions=case.dimensions,
        path=((0, 1),),
    )
    *_, spec = lower(tree, case.dtype).kernels  # type: ignore[arg-type]  # names of types
    return spec


def _words() -> str:
    rates = "; ".join(
        f"{gpu.name}: {gpu.float32_tflops:g} TFLOP/s, {gpu.memory_gbytes_per_s:g} GB/s"
        for gpu in GPUS
    )
    return (
        "Nothing here is measured: no GPU is at hand. The roofline is the most that public peak "
        f"rates allow ({rates}), every tensor moved once. Made by `python3 build.py bench "
        "roofline`."
    )


def _roofs(specs: dict[str, KernelSpec]) -> str:
    rows = []
    for case in CASES:
        times = [roofline_ms(specs[case.name], gpu) for gpu in GPUS]
        cells = [f"{ms:.3g} ms, {case.flop / ms / 1e6:.0f}" for ms in times]
        rows.append([case.name, f"`{case.equation}`", case.dtype, *cells])
    heads = ["case", "einsum", "type", *(f"{gpu.name} [GFLOP/s]" for gpu in GPUS)]
    return table(heads, rows)


def _counts(specs: dict[str, KernelSpec]) -> str:
    limits = GpuLimits()
    rows: list[Sequence[str]] = []
    for name in COUNTED:
        for candidate in gpu_candidates(specs[name], limits)[:CANDIDATES]:
            found = group_counts(specs[name], candidate, limits)
            rows.append(
                [
                    name,
                    f"`{candidate.text}`",
                    str(found.workgroups),
                    str(found.mul_adds),
                    str(found.loaded_bytes),
                    str(found.stored_bytes),
                    f"{found.intensity:.1f}",
                ]
            )
    heads = [
        "case", "candidate", "workgroups", "multiply-adds of one", "bytes it asks for",
        "bytes it stores", "FLOP per byte",
    ]  # fmt: skip
    words = (
        "What the first candidates for a GPU with default limits ask of it. Bytes are those that "
        "invocations ask for: caches serve part of them."
    )
    return f"{words}\n\n{table(heads, rows)}"


if __name__ == "__main__":
    sys.exit(main())
