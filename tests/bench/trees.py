"""How good the trees are: what is found at once, in the tab, and by native cotengra.

Usage: python3 build.py bench trees [--quick], or with PYTHONPATH=app
python tests/bench/trees.py [--quick] [--seconds 30] [--networks FOLDER] [--only NAME]

For every network JSON file in the folder: the plan found at once; the search of the page, run for
``--seconds`` in the site's own Pyodide under Node; and cotengra's ``auto-hq`` preset, run natively
for the same time. Writes the section "Contraction trees" of ``docs/benchmarks.md``. The goal: in
the tab at most 10 times the multiply-adds of native ``auto-hq``, which ``--quick`` leaves out.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

from report import MACHINE, table, write_section
from searches import log10_text, options

from sitebuild import environment, runtime
from tensorloom.plan.cost import cost_of
from tensorloom.plan.find import plan_for

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = ROOT / ".." / "shared" / "data" / "networks"
CORE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
WHEELS = ("numpy-", "cotengra-", "opt_einsum-", "autoray-")
PLANNER = ("__init__.py", "errors.py", "model/", "plan/")
GOAL = 10
HEADING = "Contraction trees"

Json = dict[str, Any]


def main() -> int:
    asked = options(__doc__, seconds=30, quick_seconds=3, folder=NETWORKS)
    names = [path for path in sorted(asked.networks.glob("*.json")) if asked.only in path.stem]
    if not names:
        print(f"No networks in {asked.networks}: nothing measured.")
        return 0
    requests = {path.stem: _request(path, asked.seconds) for path in names}
    with tempfile.TemporaryDirectory() as folder:
        tab = _in_pyodide(list(requests.values()), Path(folder))
    rows = []
    for (name, request), answer in zip(requests.items(), tab, strict=True):
        native = None if asked.quick else _auto_hq(request, asked.seconds)
        rows.append(_row(name, request, answer, native))
        print(*rows[-1], sep=" | ", flush=True)
    if not asked.quick:
        _write(rows, asked.seconds)
    return 0


def _request(path: Path, seconds: float) -> Json:
    network = json.loads(path.read_text())
    return {
        "inputs": network["inputs"],
        "output": network["output"],
        "dimensions": network["size_dict"],
        "seconds": seconds,
    }


def _in_pyodide(requests: list[Json], folder: Path) -> list[Json]:
    """What the search says, network by network, in the Pyodide of the lock under Node."""
    env = environment.ensure(ROOT, quiet=True)
    files = runtime.ensure(env)
    for name in CORE:
        shutil.copyfile(files[name], folder / name)
    lock = json.loads(files["pyodide-lock.json"].read_text())
    (folder / "pyodide-lock.json").write_text(json.dumps({"info": lock["info"], "packages": {}}))
    wheels = [path for name, path in files.items() if name.startswith(WHEELS)]
    ours = folder / "planner.zip"
    package = ROOT / "app" / "tensorloom"
    with zipfile.ZipFile(ours, "w") as archive:
        for path in sorted(package.rglob("*.py")):
            name = path.relative_to(package).as_posix()
            if name.startswith(PLANNER):
                archive.write(path, f"tensorloom/{name}")
    script = ROOT / "tests" / "bench" / "trees.mjs"
    asked = folder / "requests.json"
    asked.write_text(json.dumps(requests))
    said = environment.run(
        [env.node, script, asked, folder, *wheels, ours], what="Searching in Pyodide"
    )
    return [json.loads(line) for line in said.splitlines()]


def _auto_hq(request: Json, seconds: float) -> int:
    """Multiply-adds of the tree that native cotengra finds, all processors at work."""
    import cotengra  # noqa: PLC0415  # slow to import, not needed with --quick

    warnings.simplefilter("ignore")  # it recommends kahypar, which many machines lack
    finder = cotengra.AutoHQOptimizer(
        max_time=seconds, max_repeats=10**6, cache=False, minimize="flops"
    )
    tree = finder.search(request["inputs"], request["output"], request["dimensions"])
    return int(tree.total_flops())


def _row(name: str, request: Json, answer: Json, native: int | None) -> list[str]:
    inputs = tuple(map(tuple, request["inputs"]))
    dimensions = tuple(request["dimensions"].items())
    begin = time.perf_counter()
    plan = plan_for(inputs, tuple(request["output"]), dimensions)
    ms = (time.perf_counter() - begin) * 1000
    begin = time.perf_counter()
    # The same tree anew: a plan keeps its steps.
    assert cost_of(type(plan.tree)(**_fields(plan.tree))) == plan.cost
    cost_ms = (time.perf_counter() - begin) * 1000
    lines = answer["lines"]
    found = int(lines[-1]["bestMulAdds"]) if lines else plan.cost.mul_adds
    last = max((line["elapsedMs"] for line in lines if line["path"]), default=0)
    row = [
        name,
        str(len(inputs)),
        f"{ms:.0f} / {answer['quickMs']:.0f} ms",
        f"{cost_ms:.1f} ms",
        log10_text(plan.cost.mul_adds),
        log10_text(found),
        f"{last / 1000:.0f} s",
    ]
    return row if native is None else [*row, log10_text(native), _ratio(found, native)]


def _fields(tree: Any) -> Json:
    return {name: getattr(tree, name) for name in tree.__dataclass_fields__}


def _ratio(found: int, native: int) -> str:
    ratio = found / native
    return f"{ratio:.2g}" + ("" if ratio <= GOAL else " (missed)")


def _write(rows: list[list[str]], seconds: float) -> None:
    """Put the table into the page, in place of the one before."""
    heads = [
        "network",
        "tensors",
        "at once, native / tab",
        "costing",
        "at once",
        f"tab, {seconds:.0f} s",
        "last gain at",
        f"auto-hq, {seconds:.0f} s",
        "ratio",
    ]
    write_section(
        HEADING,
        f"log10 of the multiply-adds; one trial each, made by `python3 build.py bench trees` on "
        f'{MACHINE}, shared with other work. "Tab" is the search of the page in the site\'s '
        f"Pyodide under Node, one thread; auto-hq is cotengra's preset, native, all processors, "
        "without kahypar. Ratio: multiply-adds of tab over auto-hq; "
        f"the goal is at most {GOAL}.\n\n{table(heads, rows)}",
    )


if __name__ == "__main__":
    raise SystemExit(main())
