"""Corrections of predictions by measured runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tensorloom.execute.feedback import MOST, READY, Feedback
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


def test_the_first_run_compiles_and_two_more_are_too_few() -> None:
    feedback = noted(product(64), 40.0, 40.0, 40.0)
    assert feedback.factor("wasm", product(64), 10.0) == 1.0


def test_the_revision_grows_with_what_is_known() -> None:
    feedback, one = noted(product(64), *[40.0] * 4), product(64)
    known = feedback.revision
    assert known == 1
    for _ in range(8):
        feedback.note("wasm", one, ms=43.0, predicted_ms=10.0)
    assert (feedback.revision, feedback.factor("wasm", one, 10.0)) == (known, 4.0)
    for _ in range(8):
        feedback.note("wasm", one, ms=60.0, predicted_ms=10.0)
    assert feedback.revision > known
    assert feedback.factor("wasm", one, 10.0) == pytest.approx(6.0, rel=0.1)


def test_the_middle_of_the_last_runs_counts() -> None:
    """Neither what disturbs one of them nor a tick that one of them just missed."""
    assert noted(product(64), 99.0, 40.0, 1.0, 90.0).factor("wasm", product(64), 10.0) == 4.0
    later = noted(product(64), 99.0, *[1.0] * 9, *[40.0] * 8)
    assert later.factor("wasm", product(64), 10.0) == 4.0


def test_backends_and_kinds_of_work_are_apart() -> None:
    feedback = noted(product(64), *[40.0] * 4)
    assert feedback.factor("wasm", product(64), 10.0) == 4.0
    assert feedback.factor("numpy", product(64), 10.0) == 1.0
    assert feedback.factor("wasm", product(32), 10.0) == 1.0


def test_a_new_prediction_knows_nothing_of_runs_of_the_old_one() -> None:
    """A tuned kernel is another one: both its time and its prediction are new."""
    feedback = noted(product(64), *[40.0] * 4)
    assert feedback.factor("wasm", product(64), 5.0) == 1.0
    one = product(64)
    for _ in range(4):
        feedback.note("wasm", one, ms=6.0, predicted_ms=5.0)
    assert feedback.factor("wasm", one, 5.0) == 1.2
    assert feedback.factor("wasm", one, 10.0) == 1.0


def test_what_a_coarse_clock_measures_and_what_cannot_be_is_ignored() -> None:
    feedback, one = Feedback(), product(64)
    for ms in (1.0, 0.0, 90.0, 1.0, 1.0):
        feedback.note("wasm", one, ms=ms, predicted_ms=0.3)
    assert feedback.factor("wasm", one, 0.3) == 1.0
    finer = Feedback(tick_ms=0.1)
    for ms in (0.6, 0.6, 9.0, 0.6, 0.5):
        finer.note("wasm", one, ms=ms, predicted_ms=0.3)
    assert finer.factor("wasm", one, 0.3) == 2.0
    assert noted(product(64), *[1e9] * 4).factor("wasm", product(64), 10.0) == MOST


def test_others_between_say_nothing_of_it() -> None:
    one, other = product(64), product(65)
    feedback = Feedback()
    turns: tuple[tuple[BackendName, Program, float], ...] = (
        ("wasm", one, 20.0),
        ("wasm", other, 30.0),
        ("numpy", other, 40.0),
    )
    for backend, program, ms in turns * 4:
        feedback.note(backend, program, ms=ms, predicted_ms=10.0)
    assert [feedback.factor(*turn[:2], 10.0) for turn in turns] == [2.0, 3.0, 4.0]


def test_a_program_that_has_to_be_made_ready_again_says_nothing() -> None:
    programs = [product(side) for side in range(60, 61 + READY)]
    feedback = Feedback()
    for program in programs * 5:
        feedback.note("wasm", program, ms=40.0, predicted_ms=10.0)
    assert feedback.revision == 0


def test_several_ticks_tell_more_than_one() -> None:
    """Runs of 0.25 ms by a clock of 0.1 ms: some show 0.2 ms, the others 0.3 ms."""
    feedback, one = Feedback(tick_ms=0.1), product(64)
    for ms in (0.9, *[0.2, 0.3] * 4):
        feedback.note("wasm", one, ms=ms, predicted_ms=0.1)
    assert feedback.factor("wasm", one, 0.1) == pytest.approx(2.5)
