"""Whole jobs of seconds and minutes: what was said before against what they took."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
from report import table
from worker_cases import DATA, document_of, executor, ran, told

from tensorloom.formats import qsim
from tensorloom.model import codec
from tensorloom_worker.records import ContractRequest
from tensorloom_worker.sampling import with_ends

if TYPE_CHECKING:
    from tensorloom.model.recipe import DType


def estimates_part(*, quick: bool) -> tuple[str, dict[str, float]]:
    """Predicted and measured times over the benchmark set, at sizes that take seconds."""
    chosen: list[tuple[str, tuple[int, ...], DType, int | None]] = [
        ("rand_50_5_a", (2,), "float64", 2**23),
        ("rand_50_5_a", (2,), "complex64", 2**26),
        ("rtree_100_a", (), "float64", None),
        ("mps_mpo_L100_chi64_D5", (), "float32", None),
        ("mps_mpo_L100_chi64_D5", (), "complex128", None),
        ("peps_cluster_r2_D10_a", (4,), "float64", None),
        ("peps_cluster_r2_D10_a", (5,), "float32", 2**27),
        ("randreg_200_3_a", (2,), "float64", 2**30),
        ("randreg_200_3_a", (3, 2), "complex64", 2**28),
        ("cubic_6x6x10", (2, 2, 1), "float32", 2**30),
    ]
    rows, ratios = [], []

    def request_for(
        name: str, sizes: tuple[int, ...], dtype: DType, memory: int | None
    ) -> ContractRequest:
        return ContractRequest(
            kind="contract",
            document=codec.to_json(document_of(name, sizes or None)),
            dtype=dtype,
            memory_bytes=memory,
        )

    async def measure() -> None:
        async with executor(2) as found:
            # The workers' processes have imported everything before.
            _ = await ran(found, request_for("rtree_100_a", (2,), "float64", None))
            for name, sizes, dtype, memory in chosen[:2] if quick else chosen:
                # Once: what does not depend on a slice would still be there the second time.
                _, said, outcome = await told(found, request_for(name, sizes, dtype, memory))
                ratio = said.predicted_ms / outcome.ms
                ratios.append(ratio)
                label = f", dimensions {', '.join(map(str, sizes))}" if sizes else ""
                rows.append(
                    [
                        f"{name}{label}, {dtype}",
                        str(said.slices),
                        f"{said.mul_adds:.2g}",
                        f"{said.predicted_ms:.0f}",
                        f"{outcome.ms:.0f}",
                        f"{ratio:.2f}",
                    ]
                )
                print(rows[-1], flush=True)

    asyncio.run(measure())
    within = sum(0.5 <= ratio <= 2 for ratio in ratios)
    figures = {"estimates within 2x": within / max(1, len(ratios))}
    heads = ["network", "slices", "multiply-adds", "predicted [ms]", "measured [ms]", "ratio"]
    text = (
        f"**Estimates.** Rates are measured when the service starts; {within} of {len(ratios)} "
        "predictions are within a factor of 2. Two workers, each job run once, after the search "
        "that it gets unasked.\n\n" + table(heads, rows)
    )
    return text, figures


def sycamore_part(*, quick: bool) -> tuple[str, dict[str, float]]:
    """Amplitudes of a 53-qubit circuit, against another tree that is not sliced."""
    del quick
    text = (DATA / "circuits" / "sycamore_n53_m10.qsim").read_text()
    document = qsim.read(text)
    n_open = 6
    ends = {qubit: "0" for qubit in range(53) if qubit >= n_open}
    ended = with_ends(document, ends)

    async def both() -> list[str]:
        async with executor(2) as found:
            small = ContractRequest(
                kind="contract",
                document=codec.to_json(ended),
                dtype="complex64",
                memory_bytes=64 << 20,
                search_seconds=60.0,
            )
            large = small.model_copy(update={"memory_bytes": None, "dtype": "complex128"})
            wall, said, cut = await told(found, small)
        # One process has all the memory.
        async with executor(1) as found:
            _, other, whole = await told(found, large)
        scale = 10 ** (cut.log10_scale - whole.log10_scale)
        error = np.abs(cut.array * scale - whole.array).max() / np.abs(whole.array).max()
        return [
            f"{2**n_open}", str(said.slices), f"{cut.mul_adds:.3g}", f"{wall:.1f}",
            f"{said.predicted_ms / 1000:.1f}", f"{cut.ms / 1000:.1f}", str(other.slices),
            f"{whole.ms / 1000:.1f}", f"{error:.1e}", f"{cut.error_bound:.1e}",
        ]  # fmt: skip

    row = asyncio.run(both())
    heads = [
        "amplitudes", "slices", "multiply-adds", "with search [s]", "predicted [s]",
        "contraction [s]", "slices of the other", "the other, complex128 [s]", "difference",
        "its bound",
    ]  # fmt: skip
    return (
        "**Sycamore.** Amplitudes of `sycamore_n53_m10` with six qubits open, cut to 64 MiB per "
        "worker in complex64, against a contraction with a tree of its own, searched for with all "
        "the memory there is, in complex128 on one process.\n\n" + table(heads, [row]),
        {},
    )


def minutes_part(*, quick: bool) -> tuple[str, dict[str, float]]:
    """Runs of minutes: searched, cut, contracted, and compared with what was said before."""
    rows = []

    async def measure() -> None:
        async with executor(2) as found:
            chosen: list[tuple[str, tuple[int, ...], DType, int]] = [
                ("randreg_200_3_a", (3, 2), "float64", 1 << 30),
                ("cubic_6x6x10", (2, 2, 2, 2, 2, 1, 1), "float64", 1 << 30),
            ]
            for name, sizes, dtype, memory in chosen[: 1 if quick else 2]:
                request = ContractRequest(
                    kind="contract",
                    document=codec.to_json(document_of(name, sizes)),
                    dtype=dtype,
                    memory_bytes=memory,
                    search_seconds=60.0,
                )
                wall, said, outcome = await told(found, request)
                predicted, took = f"{said.predicted_ms / 1000:.0f}", f"{outcome.ms / 1000:.0f}"
                work = str(said.slices), f"{outcome.mul_adds:.3g}"
                label = f"{name}, dimensions {', '.join(map(str, sizes))} in turn"
                rows.append([label, *work, f"{wall:.0f}", predicted, took])
                print(rows[-1], flush=True)

    asyncio.run(measure())
    heads = [
        "network", "slices", "multiply-adds", "with search [s]", "predicted [s]", "contraction [s]",
    ]  # fmt: skip
    return "**Minutes.** A search of 60 s, then the contraction.\n\n" + table(heads, rows), {}
