"""Error bounds against measured errors on 10,000 random networks, deep ones and circuits.

``python3 build.py bench accuracy`` fails if a single bound is not true, or if the median of bound
over error passes 1,000 in any row. Natively, with numpy: bounds do not know the backend.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from report import MACHINE, keep, table, write_section  # noqa: E402  # likewise

from accuracy_networks import Case, accuracy_case, deep_case  # noqa: E402  # likewise
from judged import judged  # noqa: E402  # after the path is set
from tensorloom.execute.arrays import ArrayStore, arrays_of  # noqa: E402  # likewise
from tensorloom.execute.numpy_backend import NumpyBackend  # noqa: E402  # likewise
from tensorloom.formats.qasm import read  # noqa: E402  # likewise
from tensorloom.plan.find import quick  # noqa: E402  # likewise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HEADING = "Error bounds"
MOST_MEDIAN = 1000
MOST_QUBITS = 10
CIRCUITS = ROOT / ".." / "shared" / "data" / "circuits"


def main() -> int:
    """The exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="300 networks, no writing")
    is_quick: bool = options.parse_args().quick
    n = 300 if is_quick else 10_000
    sets: list[tuple[str, Iterable[Case], int]] = [
        ("random networks", map(accuracy_case, range(n)), 32),
        ("random networks", map(accuracy_case, range(n, n + n // 5)), 64),
        ("about 500 steps", map(deep_case, range(n // 50)), 32),
        ("about 500 steps", map(deep_case, range(n, n + n // 100)), 64),
    ]
    if CIRCUITS.exists():
        sets += [("QASMBench circuits", _circuits(), bits) for bits in (32, 64)]
    else:
        print("Circuits of QASMBench are not in ../shared/data/circuits: not run.")
    rows, failed = [], False
    for name, cases, bits in sets:
        row, bad = _row(name, cases, bits)
        rows.append(row)
        print(*row, sep=" | ", flush=True)
        failed |= bad
    if not is_quick:
        untrue, medians = ([float(row[at]) for row in rows] for at in (3, 5))
        keep("accuracy", {"untrue": sum(untrue), "median": max(medians)})
        heads = [
            "networks",
            "bits",
            "how many",
            "untrue",
            "says 1",
            "median bound / error",
            "worst",
        ]
        write_section(HEADING, f"{_words()}\n\n{table(heads, rows)}")
    return int(failed)


def _words() -> str:
    return (
        "Bound over measured error, against numbers of twice the length (80 bits for 64); errors "
        "below a quarter of a rounding count as that. Networks: tests/accuracy_networks.py. Made "
        f"by `python3 build.py bench accuracy` on {MACHINE}."
    )


def _row(name: str, cases: Iterable[Case], bits: int) -> tuple[list[str], bool]:
    backend = NumpyBackend()
    found = [judged(case, backend, bits) for case in cases]
    untrue = [one for one in found if not one.holds]
    for one in untrue:
        print(f"Not true: {one.case.structure}, {one.case.filling}: {one.error} > {one.bound}")
    median = statistics.median(one.ratio for one in found if not one.vanishes)
    useless = sum(one.bound >= 1 for one in found)
    row = [
        name,
        str(bits),
        f"{len(found):,}",
        str(len(untrue)),
        str(useless),
        f"{median:.0f}",
        f"{max(one.error / one.bound for one in found if 0 < one.bound < 1):.2f} of its bound",
    ]
    return row, bool(untrue) or median > MOST_MEDIAN


def _circuits() -> Iterator[Case]:
    """Of each circuit two amplitudes, and the whole state of few qubits."""
    for path in sorted(CIRCUITS.glob("*.qasm")):
        text = path.read_text()
        n = len(read(text).network.output)
        for output in ("0" * n, "1" * n, *(["state"] if n <= MOST_QUBITS else [])):
            network = read(text, output=output).network
            arrays = arrays_of(network, "complex128", ArrayStore())
            yield Case(
                structure=path.stem, filling="gates", tree=quick(network).tree, arrays=list(arrays)
            )


if __name__ == "__main__":
    sys.exit(main())
