"""Corrections of predictions by measured runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tensorloom.execute.feedback import MOST, Feedback
from tensorloom.kernels.lower import lower
from tensorloom.plan.find import plan_for

if TYPE_CHECKING:
    from tensorloom.kernels.program import Program


def product(side: int) -> Program:
    sizes = (("i", side), ("j", side), ("k", side))
    return lower(plan_for((("i", "j"), ("j", "k")), ("i", "k"), sizes), "float32")


def noted(program: Program, *times: float, predicted_ms: float = 10.0) -> Feedback:
    feedback = Feedback()
    for ms in times:
        feedback.note("wasm", program, ms=ms, predicted_ms=predicted_ms)
    return feedback


def test_the_first_run_compiles_and_says_nothing() -> None:
    assert noted(product(64), 40.0).factor("wasm", product(64)) == 1.0


def test_a_repeated_run_moves_the_factor_half_of_the_way() -> None:
    assert noted(product(64), 99.0, 40.0).factor("wasm", product(32)) == pytest.approx(2.0)


def test_factors_settle_where_predictions_are_right() -> None:
    program, feedback = product(64), Feedback()
    for _ in range(20):
        feedback.note("wasm", program, ms=25.0, predicted_ms=10.0)
    assert feedback.factor("wasm", program) == pytest.approx(2.5, rel=1e-3)


def test_backends_and_kinds_of_work_are_apart() -> None:
    feedback = noted(product(64), 40.0, 40.0)
    assert feedback.factor("numpy", product(64)) == 1.0
    assert feedback.factor("wasm", product(4)) == 1.0


def test_what_a_coarse_clock_measures_and_what_cannot_be_is_ignored() -> None:
    assert noted(product(64), 2.0, 2.0).factor("wasm", product(64)) == 1.0
    wild = noted(product(64), *[1e9] * 40).factor("wasm", product(64))
    assert wild == pytest.approx(MOST)


def test_another_program_between_says_nothing() -> None:
    one, other = product(64), product(65)
    feedback = Feedback()
    for program in (one, other, one, other):
        feedback.note("wasm", program, ms=40.0, predicted_ms=10.0)
    assert feedback.factor("wasm", one) == 1.0
