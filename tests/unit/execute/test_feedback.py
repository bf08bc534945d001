"""Corrections of predictions by measured runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.execute.feedback import MOST, Feedback
from tensorloom.kernels.lower import lower
from tensorloom.plan.find import plan_for

if TYPE_CHECKING:
    from tensorloom.execute.backend import BackendName
    from tensorloom.kernels.program import Program


def product(side: int) -> Program:
    sizes = (("i", side), ("j", side), ("k", side))
    return lower(plan_for((("i", "j"), ("j", "k")), ("i", "k"), sizes), "float32")


def noted(program: Program, *times: float) -> Feedback:
    feedback = Feedback()
    for ms in times:
        feedback.note("wasm", program, ms=ms, predicted_ms=10.0)
    return feedback


def test_the_first_run_compiles_and_one_more_is_too_few() -> None:
    feedback = noted(product(64), 40.0, 40.0)
    assert feedback.factor("wasm", product(64), 10.0) == 1.0


def test_the_revision_grows_with_what_is_known() -> None:
    feedback, one = noted(product(64), 40.0, 40.0, 40.0), product(64)
    for _ in range(2):
        feedback.note("wasm", one, ms=50.0, predicted_ms=10.0)
    known = feedback.revision
    assert known > 0
    feedback.note("wasm", one, ms=60.0, predicted_ms=10.0)
    assert feedback.revision == known
    feedback.note("wasm", one, ms=30.0, predicted_ms=10.0)
    assert feedback.revision == known + 1


def test_the_least_of_the_last_runs_counts() -> None:
    """Others on the machine make runs longer, nothing makes them shorter."""
    assert noted(product(64), 99.0, 40.0, 25.0, 90.0).factor("wasm", product(64), 10.0) == 2.5
    later = noted(product(64), 99.0, 25.0, 40.0, 41.0, 42.0, 43.0)
    assert later.factor("wasm", product(64), 10.0) == 4.0


def test_backends_and_kinds_of_work_are_apart() -> None:
    feedback = noted(product(64), 40.0, 40.0, 40.0)
    assert feedback.factor("wasm", product(64), 10.0) == 4.0
    assert feedback.factor("numpy", product(64), 10.0) == 1.0
    assert feedback.factor("wasm", product(32), 10.0) == 1.0


def test_a_new_prediction_knows_nothing_of_runs_of_the_old_one() -> None:
    """A tuned kernel is another one: both its time and its prediction are new."""
    feedback = noted(product(64), 40.0, 40.0, 40.0)
    assert feedback.factor("wasm", product(64), 5.0) == 1.0
    one = product(64)
    for _ in range(4):
        feedback.note("wasm", one, ms=6.0, predicted_ms=5.0)
    assert feedback.factor("wasm", one, 5.0) == 1.2
    assert feedback.factor("wasm", one, 10.0) == 1.0


def test_what_a_coarse_clock_measures_and_what_cannot_be_is_ignored() -> None:
    feedback, one = Feedback(), product(64)
    for ms in (2.0, 1.0, 90.0, 2.0):
        feedback.note("wasm", one, ms=ms, predicted_ms=2.5)
    assert feedback.factor("wasm", one, 2.5) == 1.0
    assert noted(product(64), *[1e9] * 4).factor("wasm", product(64), 10.0) == MOST


def test_another_program_or_backend_between_says_nothing() -> None:
    one, other = product(64), product(65)
    feedback = Feedback()
    turns: tuple[tuple[BackendName, Program], ...] = (
        ("wasm", one),
        ("wasm", other),
        ("numpy", other),
    )
    for backend, program in turns * 4:
        feedback.note(backend, program, ms=40.0, predicted_ms=10.0)
    assert feedback.revision == 0
