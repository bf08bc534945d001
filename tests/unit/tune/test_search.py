"""The search on a device that exists only here: its clock, its noise and its faults are given."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tensorloom.tune.search import (
    Answer,
    Check,
    Failure,
    Option,
    Request,
    Sample,
    Search,
    Verdict,
    Window,
)


@dataclass
class Device:
    """Answers requests.

    Args:
        ms: True time of each candidate.
        errors: What its check finds.
        broken: What does not compile.
        slow_windows: Windows before the browser's better translation, three times slower.
    """

    ms: dict[str, float]
    errors: dict[str, float] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    slow_windows: int = 0
    asked: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        self.asked.append(request)
        if request.text in self.broken:
            return Failure(reason=self.broken[request.text], spent_ms=5)
        if isinstance(request, Check):
            return Verdict(error=self.errors.get(request.text, 0.1), bound=1.0, spent_ms=1)
        seen = sum(isinstance(old, Window) and old.text == request.text for old in self.asked)
        # Within 3 % of each other once warm; further apart before.
        factor = 3.0 - 0.3 * seen if seen <= self.slow_windows else 1 + 0.01 * (seen % 3)
        return Sample(ms=factor * self.ms[request.text], spent_ms=10)

    def tried(self) -> list[str]:
        return list(dict.fromkeys(request.text for request in self.asked))


def run(search: Search, device: Device) -> Search:
    while search.request is not None:
        search.take(device.answer(search.request))
    return search


def options(*texts: str) -> list[Option]:
    return [Option(text=text) for text in texts]


def best(search: Search) -> str:
    assert search.best is not None
    return search.best.option.text


def state_of(search: Search, text: str) -> str:
    return next(trial.state for trial in search.trials if trial.option.text == text)


def reason_of(search: Search, text: str) -> str:
    return next(trial.reason for trial in search.trials if trial.option.text == text)


def test_the_fastest_wins() -> None:
    search = run(Search(options("a", "b", "c"), budget_ms=1e3), Device({"a": 3, "b": 1, "c": 2}))
    assert best(search) == "b"
    assert [round(ms, 1) for _, ms in search.history] == [3.0, 1.0]
    assert [trial.state for trial in search.trials] == ["measured", "best", "measured"]
    assert search.message == "All candidates were tried."


def test_windows_are_repeated_until_three_agree() -> None:
    device = Device({"a": 1.0}, slow_windows=4)
    search = run(Search(options("a"), budget_ms=1e3), device)
    assert sum(isinstance(request, Window) for request in device.asked) == 7
    assert search.best is not None
    assert search.best.ms == pytest.approx(1.01)


def test_only_the_first_window_warms_up() -> None:
    device = Device({"a": 1.0})
    run(Search(options("a"), budget_ms=1e3), device)
    assert [r.first for r in device.asked if isinstance(r, Window)] == [True, False, False]


def test_a_busy_machine_ends_in_the_fastest_window_and_says_so() -> None:
    search = Search(options("a"), budget_ms=1e9)
    noise = iter([5.0, 4.0, 3.0, 9.0, 2.0, 7.0, 6.0, 8.0, 4.0, 5.0, 3.0, 9.0])
    while isinstance(search.request, Window):
        search.take(Sample(ms=next(noise), spent_ms=1))
    search.take(Verdict(error=0, bound=1, spent_ms=1))
    assert search.best is not None
    assert search.best.ms == 2.0
    assert "busy" in search.best.reason


def test_a_fast_kernel_with_wrong_numbers_is_thrown_out() -> None:
    device = Device({"a": 2, "b": 1}, errors={"b": 3.0})
    search = run(Search(options("a", "b"), budget_ms=1e3), device)
    assert best(search) == "a"
    assert state_of(search, "b") == "failed"
    assert reason_of(search, "b") == "differs from the reference by 3; rounding explains 1"


def test_an_error_that_is_no_number_is_thrown_out() -> None:
    device = Device({"a": 2, "b": 1}, errors={"b": float("nan")})
    assert best(run(Search(options("a", "b"), budget_ms=1e3), device)) == "a"


def test_nothing_wins_unchecked() -> None:
    device = Device({"a": 3, "b": 2, "c": 1})
    run(Search(options("a", "b", "c"), budget_ms=1e3), device)
    assert [r.text for r in device.asked if isinstance(r, Check)] == ["a", "b", "c"]


def test_failures_are_scored_and_the_walk_goes_on() -> None:
    device = Device({"c": 1}, broken={"a": "does not compile", "b": "the device went away"})
    search = run(Search(options("a", "b", "c"), budget_ms=1e3), device)
    assert best(search) == "c"
    assert reason_of(search, "a") == "does not compile"
    assert reason_of(search, "b") == "the device went away"


def test_when_all_fail_nothing_is_best() -> None:
    search = run(Search(options("a"), budget_ms=1e3), Device({}, broken={"a": "no"}))
    assert search.best is None
    assert search.history == []


def test_four_without_a_gain_end_it() -> None:
    names = "abcdefgh"
    times = {name: 1.0 + number for number, name in enumerate(names)}
    device = Device(times)
    search = run(Search(options(*names), budget_ms=1e9), device)
    assert device.tried() == list("abcde")
    assert search.message == "The last 4 candidates brought nothing."
    assert state_of(search, "h") == "waiting"


def test_gains_below_three_percent_do_not_keep_it_going() -> None:
    times = {name: 1.0 - 0.01 * number for number, name in enumerate("abcdefgh")}
    device = Device(times)
    run(Search(options(*times), budget_ms=1e9), device)
    assert device.tried() == list("abcde")


def test_the_budget_ends_it_between_candidates() -> None:
    device = Device(dict.fromkeys("abcdefgh", 1.0))
    search = run(Search(options(*"abcdefgh"), budget_ms=50), device)
    assert device.tried() == ["a", "b"]
    assert search.message == "The time for this shape is used up."
    assert best(search) == "a"


def costing(**costs: float) -> list[Option]:
    return [Option(text=text, cost_ms=cost) for text, cost in costs.items()]


def test_what_takes_too_long_to_try_is_passed_over() -> None:
    device = Device(dict.fromkeys("abc", 1.0))
    search = run(Search(costing(a=10, b=900, c=10), budget_ms=200), device)
    assert device.tried() == ["a", "c"]
    assert state_of(search, "b") == "waiting"
    assert search.message == "The time for this shape is used up."


def test_the_cheapest_is_tried_where_nothing_fits() -> None:
    device = Device(dict.fromkeys("abc", 1.0))
    search = run(Search(costing(a=300, b=200, c=500), budget_ms=60), device)
    assert device.tried() == ["b"]
    assert best(search) == "b"


def test_costs_are_taken_at_the_pace_of_this_machine() -> None:
    device = Device(dict.fromkeys("ab", 1.0))
    search = Search(costing(a=10, b=60), budget_ms=200)
    assert search.pace == 1
    run(search, device)
    # The first took three times what it should; the second would no longer fit.
    assert search.pace > 2
    assert device.tried() == ["a"]
    slow = Device(dict.fromkeys("ab", 1.0))
    run(Search(costing(a=100, b=60), budget_ms=200, pace=3.0), slow)
    assert slow.tried()[0] == "b"


def test_some_are_tried_however_busy_the_machine_is() -> None:
    device = Device(dict.fromkeys("abcdefgh", 1.0))
    search = run(Search(options(*"abcdefgh"), budget_ms=1, least=3), device)
    assert device.tried() == ["a", "b", "c"]
    assert search.message == "The time for this shape is used up."


def test_hopeless_candidates_are_left_early() -> None:
    device = Device({"a": 1.0, "b": 9.0}, slow_windows=20)
    search = Search(options("a", "b"), budget_ms=1e9)
    run(search, device)
    windows = [r for r in device.asked if isinstance(r, Window) and r.text == "b"]
    assert len(windows) == 3


def test_what_the_database_knows_comes_first_but_must_prove_itself() -> None:
    device = Device({"a": 1, "b": 2, "slow": 9})
    search = run(Search(options("a", "b", "slow"), known="slow", budget_ms=1e3), device)
    assert device.tried()[0] == "slow"
    assert best(search) == "a"


def test_unknown_words_from_a_database_are_ignored() -> None:
    device = Device({"a": 1})
    assert best(run(Search(options("a"), known="rm -rf", budget_ms=1e3), device)) == "a"


def test_what_was_cut_is_never_tried() -> None:
    device = Device({"a": 1})
    cut = Option(text="b", cut="512 threads exceed the limit of 256")
    search = run(Search([*options("a"), cut], budget_ms=1e3), device)
    assert device.tried() == ["a"]
    assert state_of(search, "b") == "cut"
    assert reason_of(search, "b") == "512 threads exceed the limit of 256"


def test_after_the_seeds_come_neighbours_of_the_best() -> None:
    space = [
        Option(text="R 4x4", place=(2, 2), family="R"),
        Option(text="S 8x8", place=(3, 3), family="S"),
        Option(text="R 16x16", place=(4, 4), family="R"),
        Option(text="R 8x4", place=(3, 2), family="R"),
        Option(text="S 8x4", place=(3, 2), family="S"),
    ]
    device = Device({option.text: 5.0 for option in space} | {"S 8x8": 1.0})
    run(Search(space, seeds=2, budget_ms=1e9), device)
    assert device.tried() == ["R 4x4", "S 8x8", "S 8x4", "R 8x4", "R 16x16"]


def test_it_can_be_stopped() -> None:
    search = Search(options("a", "b"), budget_ms=1e3)
    search.take(Sample(ms=1, spent_ms=1))
    search.stop("The device went away.")
    assert search.request is None
    assert search.message == "The device went away."
