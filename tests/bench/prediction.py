"""Predicted against measured times of every case of the benchmarks, natively, numpy on one device.

Usage: python3 build.py bench prediction [--quick]. Calibrates once, then runs each case; a second
column is what the predictor says after the first repeated run. The goal: 90 % within a factor 1.5.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from time import perf_counter

import numpy as np
from cases import CASES, Case
from report import MACHINE, keep, table, write_section

from tensorloom.execute.backend import drive
from tensorloom.execute.feedback import Feedback
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.run import Choice, prepare, run
from tensorloom.plan.find import plan_for

HEADING = "Predicted times"
WITHIN = 1.5
ROUNDS = 5


def main() -> int:
    """The exit status; predictions that are off are reported, not failures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="four cases, no writing")
    is_quick: bool = options.parse_args().quick
    backend = NumpyBackend()
    start = perf_counter()
    drive(backend.measure())
    calibrated_ms = 1e3 * (perf_counter() - start)
    feedback = Feedback()
    rows, ratios = [], []
    for case in CASES[:4] if is_quick else CASES:
        predicted, measured, ratio = _timed(case, backend, feedback)
        ratios.append(ratio)
        rows.append([case.name, case.dtype, f"{predicted:.3g}", f"{measured:.3g}", f"{ratio:.2f}"])
        print(*rows[-1], sep=" | ", flush=True)
    share = statistics.mean(1 / WITHIN <= ratio <= WITHIN for ratio in ratios)
    said = (
        f"{share:.0%} of {len(ratios)} cases within a factor {WITHIN}, after a calibration of "
        f"{calibrated_ms:.0f} ms; numpy, one process, on {MACHINE}."
    )
    print(said)
    if not is_quick:
        keep("prediction", {"share": share})
        heads = ["case", "type", "predicted ms", "measured ms", "measured / predicted"]
        write_section(HEADING, f"{said}\n\n{table(heads, rows)}")
    return 0


def _choice(case: Case, backend: NumpyBackend, feedback: Feedback) -> Choice:
    plan = plan_for(tuple(map(tuple, case.operands)), tuple(case.output), case.dimensions)
    return prepare(plan, backends={"numpy": backend}, dtype=case.dtype, feedback=feedback)  # type: ignore[arg-type]  # a str


def _timed(case: Case, backend: NumpyBackend, feedback: Feedback) -> tuple[float, float, float]:
    """``(predicted, median measured, their ratio)`` [ms]."""
    draw = np.random.default_rng(0)
    arrays = [
        np.asarray(draw.normal(size=case.shape(names)), case.dtype) for names in case.operands
    ]
    choice = _choice(case, backend, feedback)
    predicted = choice.attempts[0].predicted_ms
    times = [drive(run(choice, arrays)).ms for _ in range(ROUNDS + 1)][1:]
    measured = statistics.median(times)
    return predicted, measured, measured / predicted


if __name__ == "__main__":
    sys.exit(main())
