"""The heavy worker against cotengra with numpy, and against plain Dask; what it costs, and scales.

Everybody contracts the same tree in the same type, window after window in turn, with one BLAS
thread per process. ``--only`` runs some of the parts: ``slices``, ``scaling``, ``dask``, ``jobs``,
``many``, ``estimates``, ``sycamore``, ``minutes``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from report import KEPT, MACHINE, keep, write_section
from worker_jobs import jobs_part, many_part
from worker_runs import estimates_part, minutes_part, sycamore_part
from worker_slices import dask_part, scaling_part, slices_part

from tensorloom_worker.execution.pool import WORKER_VARIABLES

HEADING = "Heavy worker"
PARTS = {
    "slices": slices_part,
    "scaling": scaling_part,
    "dask": dask_part,
    "jobs": jobs_part,
    "many": many_part,
    "estimates": estimates_part,
    "sycamore": sycamore_part,
    "minutes": minutes_part,
}
"""Each gives a paragraph and its figures."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small, nothing written")
    parser.add_argument("--only", help="some of the parts, comma-separated")
    options = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        # BLAS and malloc read their variables when they are loaded.
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | WORKER_VARIABLES)
    wanted = options.only.split(",") if options.only else PARTS
    store = KEPT / "worker.json"
    known: dict[str, Any] = json.loads(store.read_text()) if store.is_file() else {}
    for part, measured in PARTS.items():
        if part not in wanted:
            continue
        text, figures = measured(quick=options.quick)
        print(f"\n{text}\n{figures}", flush=True)
        known[part] = {"text": text, "figures": figures}
        if not options.quick:
            store.write_text(json.dumps(known, indent=1) + "\n")
            _write(known)
    return 0


def _write(known: dict[str, Any]) -> None:
    parts = [known[part] for part in PARTS if part in known]
    head = f"`tests/bench/worker.py` on {MACHINE}, one BLAS thread per process."
    write_section(HEADING, "\n\n".join([head, *(part["text"] for part in parts)]))
    keep("worker", {name: value for part in parts for name, value in part["figures"].items()})


if __name__ == "__main__":
    sys.exit(main())
