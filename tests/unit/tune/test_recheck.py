"""One look at a known kernel: how it comes out, by times made up."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

import pytest

from tensorloom.tune.recheck import MOST_TURNS, Finding, Recheck
from tensorloom.tune.search import Check, Failure, Sample, Verdict, Window

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tensorloom.tune.search import Answer, Request


def looked(
    own: Iterable[float | None], rival: Iterable[float | None] = (), *, error: float = 0.0
) -> tuple[Finding, list[Request]]:
    """How a look comes out, and what it asked for; a time of ``None`` is a failure."""
    times = {"own": iter(own), "rival": iter(rival)}
    look = Recheck("own", "rival" if rival else "")
    asked = []
    while look.request is not None:
        request = look.request
        asked.append(request)
        answer: Answer = Verdict(error=error, bound=1.0, spent_ms=1.0)
        if isinstance(request, Window):
            ms = next(times[request.text])
            answer = (
                Failure(reason="it stopped", spent_ms=1.0)
                if ms is None
                else Sample(ms=ms, spent_ms=1.0)
            )
        look.take(answer)
    assert look.spent_ms == len(asked)
    return look.finding, asked


def test_both_take_turns_until_their_times_agree() -> None:
    finding, asked = looked([5.0, 2.0, 2.05, 2.1], [4.0, 3.0, 2.2, 2.21])
    # The rival's two shortest, 3.0 and 2.2, do not agree after three turns.
    assert finding == Finding(best="own", ms=2.0, other="rival", settled=True)
    assert [request.text for request in asked] == ["own", "rival"] * 4
    firsts = [request.first for request in asked if isinstance(request, Window)]
    assert firsts == [True, True, *[False] * 6]


def test_a_rival_wins_by_more_than_noise_and_with_right_numbers() -> None:
    finding, asked = looked(repeat(2.0), repeat(1.6))
    assert finding == Finding(best="rival", ms=1.6, other="own", lead=1.25, settled=True)
    assert asked[-1] == Check(text="rival")
    finding, asked = looked(repeat(2.0), repeat(1.96))
    assert finding == Finding(best="own", ms=2.0, other="rival", settled=True)
    assert Check(text="rival") not in asked
    # Wrong, it is not even the next best.
    finding, _ = looked(repeat(2.0), repeat(1.6), error=1.5)
    reason = "differs from the reference by 1.5; rounding explains 1"
    assert finding == Finding(best="own", ms=2.0, settled=True, failed="rival", reason=reason)
    finding, _ = looked(repeat(2.0), repeat(1.6), error=float("nan"))
    assert (finding.best, finding.other, finding.failed) == ("own", "", "rival")


def test_a_hopeless_rival_is_not_timed_to_the_end() -> None:
    finding, asked = looked([9.0, 4.0, 2.0, 2.0], [3.5, 3.4, 3.3])
    assert finding == Finding(best="own", ms=2.0, other="rival", settled=True)
    assert [request.text for request in asked] == [*["own", "rival"] * 3, "own"]


def test_on_a_busy_machine_it_ends_and_says_so() -> None:
    rising = [1.2**turn for turn in range(MOST_TURNS)]
    finding, asked = looked(rising, repeat(0.7))
    assert finding == Finding(best="own", ms=1.0, other="rival", settled=False)
    assert len(asked) == 2 * MOST_TURNS


@pytest.mark.parametrize("place", [0, 2])
def test_failures_leave_the_other_one(place: int) -> None:
    failing: list[float | None] = [2.0] * 4
    failing[place] = None
    assert looked(failing, repeat(3.0))[0] == Finding()
    finding, _ = looked(repeat(2.0), failing)
    reason = "it stopped"
    assert finding == Finding(best="own", ms=2.0, settled=True, failed="rival", reason=reason)


def test_alone_it_is_only_timed() -> None:
    finding, asked = looked(repeat(2.0))
    assert finding == Finding(best="own", ms=2.0, settled=True)
    assert len(asked) == 3
