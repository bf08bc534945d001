"""How good plans are that must fit: trees cut while they are looked for, or afterwards.

Usage: python3 build.py bench limits [--quick], or with PYTHONPATH=app
python tests/bench/limits.py [--quick] [--seconds 10] [--only NAME]

For every network: the page's search without a limit, whose best tree is then cut until it fits, and
the same search for the same time with the limit. Both run natively, and what counts is the time of
their one processor. Writes the section "Contraction trees that must fit" of ``docs/benchmarks.md``.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from report import MACHINE, table, write_section
from searches import log10_text, options

from tensorloom.errors import PlanError
from tensorloom.formats import qsim
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom.plan import search
from tensorloom.plan.find import ordered_plan, plan_for
from tensorloom.plan.inputs import inputs_of
from tensorloom.plan.sharing import work_of
from tensorloom.plan.slicing import sliced_to_fit

if TYPE_CHECKING:
    from tensorloom.model.recipe import DType
    from tensorloom.plan.inputs import Dimensions, Inputs, Output
    from tensorloom.plan.plan import Plan

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
HEADING = "Contraction trees that must fit"

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A network in a memory.

    Args:
        name: Of its file.
        sizes: Its dimensions in turn; its own where there are none.
        dtype: Element type.
        memory: What there is [bytes].
    """

    name: str
    sizes: tuple[int, ...] = ()
    dtype: DType
    memory: int

    @property
    def label(self) -> str:
        """Name and dimensions."""
        return f"{self.name}, dimensions {self.sizes}" if self.sizes else self.name

    @property
    def most_elements(self) -> int:
        """The memory [elements]."""
        return self.memory // ITEM_BYTES[self.dtype]

    def network(self) -> tuple[Inputs, Output, Dimensions]:
        """Its indices and their dimensions."""
        circuit = DATA / "circuits" / f"{self.name}.qsim"
        if circuit.is_file():
            text = circuit.read_text()
            zeros = "0" * qsim.read_circuit(text)[0]
            return inputs_of(qsim.read(text, output=zeros).network)
        told = json.loads((DATA / "networks" / f"{self.name}.json").read_text())
        sizes = told["size_dict"]
        if self.sizes:
            sizes = dict(zip(sizes, cycle(self.sizes), strict=False))
        return tuple(map(tuple, told["inputs"])), tuple(told["output"]), tuple(sizes.items())


CASES = (
    Case(name="sycamore_n53_m10", dtype="complex64", memory=64 * MIB),
    Case(name="randreg_200_3_a", sizes=(2,), dtype="float64", memory=1024 * MIB),
    Case(name="randreg_200_3_a", sizes=(3, 2, 2), dtype="float64", memory=1024 * MIB),
    Case(name="cubic_6x6x10", sizes=(2, 2, 1), dtype="float32", memory=1024 * MIB),
    Case(name="rand_50_5_a", sizes=(2,), dtype="float64", memory=8 * MIB),
)


def main() -> int:
    asked = options(__doc__, seconds=10, quick_seconds=2)
    cases = [case for case in CASES if asked.only in case.name]
    if not DATA.is_dir() or not cases:
        print(f"No such networks in {DATA}: nothing measured.")
        return 0
    rows = []
    for case in cases:
        rows.append(_row(case, asked.seconds))
        print(*rows[-1], sep=" | ", flush=True)
    if not asked.quick:
        _write(rows, asked.seconds)
    return 0


def _row(case: Case, seconds: float) -> list[str]:
    start = plan_for(*case.network())
    cheapest = _found(start, seconds, None)
    meanwhile = _found(start, seconds, case.most_elements)
    row = [case.label, str(len(start.tree.inputs)), f"{case.memory // MIB} MiB, {case.dtype}"]
    row.append(log10_text(cheapest.cost.mul_adds))
    try:
        afterwards = sliced_to_fit(cheapest, case.most_elements)
    except PlanError:
        return [*row, "does not fit", _cell(meanwhile, case), ""]
    ratio = work_of(afterwards).mul_adds / work_of(meanwhile).mul_adds
    return [*row, _cell(afterwards, case), _cell(meanwhile, case), f"{ratio:.2g}"]


def _found(start: Plan, seconds: float, most_elements: int | None) -> Plan:
    """The best plan of a search of so many seconds of a processor."""
    request = {
        "inputs": start.tree.inputs,
        "output": start.tree.output,
        "dimensions": dict(start.tree.dimensions),
        "seconds": seconds,
        "mostElements": most_elements,
    }
    lines = [json.loads(line) for line in search.main(json.dumps(request), time.process_time)]
    found = [line for line in lines if line["path"]]
    if not found:
        return start
    path = tuple((left, right) for left, right in found[-1]["path"])
    tree = replace(start.tree, path=path, sliced=tuple(found[-1]["sliced"]))
    return ordered_plan(tree, found[-1]["finder"])


def _cell(plan: Plan, case: Case) -> str:
    work = work_of(plan)
    if work.peak_elements > case.most_elements:
        return "does not fit"
    return f"{log10_text(work.mul_adds)} in {plan.tree.n_slices}"


def _write(rows: list[list[str]], seconds: float) -> None:
    heads = [
        "network",
        "tensors",
        "memory",
        f"cheapest tree, {seconds:.0f} s",
        "the same, cut to fit",
        f"cut while looked for, {seconds:.0f} s",
        "times less work",
    ]
    write_section(
        HEADING,
        "log10 of the multiply-adds of all slices, what they share counted once, and how many "
        "slices; one trial each, seconds of one processor, made by `python3 build.py bench limits` "
        f"on {MACHINE}. The search of the page, run natively: without a limit, its best tree then "
        f"cut until it fits; and told of the limit.\n\n{table(heads, rows)}",
    )


if __name__ == "__main__":
    raise SystemExit(main())
