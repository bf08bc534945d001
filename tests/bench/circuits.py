"""Circuits: small steps by the hundred, against numpy through opt_einsum and cotengra.

Everybody contracts the same tree in complex128. In the page, one Pyodide runs all three, window
after window in turn; numpy natively runs on the same machine. Medians; every case is shown and
every value compared.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import circuits_peer
from arena import ARGUMENTS, PYODIDE
from playwright.sync_api import sync_playwright
from report import MACHINE, keep, table, write_section

from sitebuild import browsers, environment, runtime, serve
from tensorloom.formats.qasm import read
from tensorloom.plan.find import plan_for, quick

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from tensorloom.plan.tree import ContractionTree

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
DATA = ROOT.parent / "shared" / "data"
HEADING = "Circuits"
WHEELS = ("numpy-", "opt_einsum-", "cotengra-", "autoray-", "tqdm-", "jinja2-", "markupsafe-")
LARGEST = 20_000_000
"""Multiply-adds of a network that fits: numpy in Pyodide takes a second for it."""

WARM_MS, WINDOW_MS = 150, 20
"""Each way's first window, and those that count [ms]."""


def cases() -> Iterator[tuple[str, ContractionTree]]:
    """Name and tree of each case."""
    for file in sorted((DATA / "circuits").glob("*.qasm")):
        text = file.read_text()
        whole = quick(read(text).network)
        if whole.cost.mul_adds <= LARGEST:
            yield f"{file.stem}, state", whole.tree
        yield f"{file.stem}, amplitude", quick(read(text, output=_zeros(text)).network).tree
    for name in ("qucirc_rrzz_n56_d13", "sycamore_n53_m20_s0_e0_pABCDCDAB"):
        file = DATA / "networks" / f"{name}.json"
        if file.exists():
            yield _part_of(json.loads(file.read_text()), name)
    for qubits in (12, 16, 20):
        text = random_circuit(qubits, 20)
        yield (
            f"random {qubits} x 20, amplitude",
            quick(read(text, output="0" * qubits).network).tree,
        )


def _zeros(text: str) -> str:
    return "0" * len(read(text).network.output)


def random_circuit(qubits: int, depth: int) -> str:
    """OpenQASM of layers of random rotations and controlled gates on neighbours."""
    draw = random.Random(qubits)
    lines = ["OPENQASM 2.0;", 'include "qelib1.inc";', f"qreg q[{qubits}];"]
    for layer in range(depth):
        for qubit in range(qubits):
            angles = ",".join(f"{draw.uniform(0, 3):.4f}" for _ in range(3))
            lines.append(f"u3({angles}) q[{qubit}];")
        lines += [f"cx q[{n}],q[{n + 1}];" for n in range(layer % 2, qubits - 1, 4)]
    return "\n".join(lines)


def _part_of(told: dict[str, Any], name: str) -> tuple[str, ContractionTree]:
    """The largest run of neighbouring tensors whose contraction fits, its outer legs closed."""
    inputs = [tuple(indices) for indices in told["inputs"]]
    reached = [0]
    seen = {0}
    for number in reached:
        for other, indices in enumerate(inputs):
            if other not in seen and set(indices) & set(inputs[number]):
                seen.add(other)
                reached.append(other)
    best = None
    for count in range(20, len(reached), 20):
        part = [inputs[number] for number in reached[:count]]
        used = {index for indices in part for index in indices}
        sizes = tuple((index, told["size_dict"][index]) for index in sorted(used))
        plan = plan_for(tuple(part), (), sizes)
        if plan.cost.mul_adds > LARGEST:
            break
        best = (f"{name.partition('_s0')[0]}, {count} tensors", plan.tree)
    assert best is not None
    return best


def main() -> int:
    """The exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="few cases, no writing")
    options.add_argument("--only", default="", help="cases whose names contain this")
    asked = options.parse_args()
    chosen = [case for case in cases() if asked.only in case[0]]
    if asked.quick:
        chosen = chosen[:2]
    is_whole = not asked.quick and not asked.only and DATA.exists()
    if not DATA.exists():
        print("QASMBench and the networks are not in ../shared/data: nothing is written.")
    rounds = 3 if asked.quick else 7
    with pyodide_page() as page:
        rows = [_row(page, name, tree, rounds) for name, tree in chosen]
    heads = [
        "case", "steps", "multiply-adds", "ours", "opt_einsum", "cotengra", "native opt_einsum",
        "native cotengra", "best in Pyodide / ours", "best native / ours",
    ]  # fmt: skip
    text = table(heads, [cells for cells, _ in rows])
    means = [statistics.geometric_mean(ratios[n] for _, ratios in rows) for n in range(2)]
    text += f"\n\nGeometric means: {means[0]:.1f}x numpy in Pyodide, {means[1]:.2f}x native numpy."
    print(text)
    if is_whole:
        least = [min(ratios[n] for _, ratios in rows) for n in range(2)]
        keep("circuits", {"pyodide": means[0], "native": means[1],
                          "least pyodide": least[0], "least native": least[1]})  # fmt: skip
        write_section(HEADING, f"{_words(rounds)}\n\n{text}")
    return 0


def _words(rounds: int) -> str:
    return (
        f"Microseconds per contraction in complex128, medians of {rounds} rounds in turn, made by "
        f"`python3 build.py bench circuits` in headless Chromium on {MACHINE}. The same tree for "
        "everybody, values compared, all warm, our heavy kernels tuned as the page tunes them "
        "meanwhile; ours is timed from Python, as everybody is."
    )


def _row(
    page: Page, name: str, tree: ContractionTree, rounds: int
) -> tuple[list[str], tuple[float, float]]:
    told = json.dumps(
        {
            "inputs": tree.inputs,
            "output": tree.output,
            "dimensions": tree.dimensions,
            "path": tree.path,
        }
    )
    error = page.evaluate("(told) => circuits.open(told)", told)
    assert error < 1e-9, (name, error)
    native = circuits_peer.contests(told)
    times: dict[str, list[float]] = {}
    # The first round warms everybody up and is not counted: engines compile what runs often.
    for turn in range(rounds + 1):
        for way in ("ours", "opt_einsum", "cotengra"):
            long = WINDOW_MS if turn else WARM_MS
            ms = page.evaluate("([way, ms]) => circuits.window(way, ms)", [way, long])
            found = {way: ms}
            if way != "ours":
                found[f"native {way}"] = native.window(way, long)
            for column, each in found.items():
                times.setdefault(column, []).extend([each] * bool(turn))
    median = {way: statistics.median(found) for way, found in times.items()}
    steps, work = len(native.program.dispatches), f"{native.program.mul_adds:,}".replace(",", " ")
    columns = ("ours", "opt_einsum", "cotengra", "native opt_einsum", "native cotengra")
    in_page = _best(median, "opt_einsum", "cotengra") / median["ours"]
    natively = _best(median, "native opt_einsum", "native cotengra") / median["ours"]
    cells = [f"{1e3 * median[way]:.4g}" for way in columns]
    row = [name, str(steps), work, *cells, f"{in_page:.1f}x", f"{natively:.2f}x"]
    print(" | ".join(row), flush=True)
    return row, (in_page, natively)


def _best(median: dict[str, float], *ways: str) -> float:
    """The fastest of some."""
    return min(median[way] for way in ways)


@contextmanager
def pyodide_page() -> Iterator[Page]:
    """A page with Pyodide and all three libraries."""
    with tempfile.TemporaryDirectory() as name:
        _fill(Path(name))
        with serve.background(Path(name)) as address, sync_playwright() as playwright:
            chromium = playwright.chromium.launch(
                executable_path=browsers.find(ROOT).chromium, args=ARGUMENTS
            )
            page = chromium.new_page()
            page.on("pageerror", lambda error: print(error, file=sys.stderr))
            page.goto(f"{address}peers/circuits.html")
            page.wait_for_function("globalThis.ready")
            yield page
            chromium.close()


def _fill(folder: Path) -> None:
    """Puts everything that the page fetches into a folder."""
    (folder / "peers").symlink_to(HERE / "peers")
    (folder / "python").symlink_to(HERE)
    home = folder / "pyodide"
    home.mkdir()
    files = runtime.ensure(environment.ensure(ROOT, quiet=True))
    wheels = [file for file in files if file.startswith(WHEELS)]
    for file in (*PYODIDE, *wheels):
        (home / file).symlink_to(files[file])
    lock = json.loads(files["pyodide-lock.json"].read_text())
    (home / "pyodide-lock.json").write_text(json.dumps({"info": lock["info"], "packages": {}}))
    (home / "files.json").write_text(json.dumps({"wheels": wheels}))
    with zipfile.ZipFile(folder / "ours.zip", "w") as archive:
        for file in (ROOT / "app" / "tensorloom").rglob("*.py"):
            archive.write(file, file.relative_to(ROOT / "app"))


if __name__ == "__main__":
    sys.exit(main())
