"""The progressive search for one shape: what to measure next, when to stop, what is best so far.

Pure: it hands out requests and takes answers, whoever has a clock and an engine serves it.

    search = Search(options, budget_ms=300)
    while (request := search.request) is not None:
        search.take(answer to the request)
        search.best       # at any time: the fastest candidate that passed its check

A candidate is timed in windows until three in a row agree within 3 %, so that nothing is judged
before the browser has replaced its first, slow translation; then its numbers are checked; only
then may it win. Failures of any kind are scored as failed, and the search goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = [
    "OUT_OF_TIME",
    "Answer",
    "Check",
    "Failure",
    "Option",
    "Request",
    "Sample",
    "Search",
    "Trial",
    "Verdict",
    "Window",
    "why_refused",
]

State = Literal["cut", "waiting", "failed", "measured", "best"]

AGREEMENT = 0.03
"""Windows that differ by less agree; gains that are smaller are none."""

AGREEING = 3
MOST_WINDOWS = 8
"""Where others work on the machine, windows may never agree; the fastest then counts."""

PATIENCE = 4
"""Candidates without a gain after which the search ends."""

OUT_OF_TIME = "The time for this shape is used up."

HOPELESS = 1.5
"""A candidate that is this many times slower after warming up is not timed to the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A candidate of the search.

    Args:
        text: Names it, as in the database.
        predicted_ms: What a model expects of the whole shape [ms].
        place: Where it stands among its like, such as logarithms of its tile's sides; close ones
            are tried after a good one.
        family: Its kind; distances count within one.
        cut: Why it need not be measured, or nothing.
        cost_ms: What trying it should take, compiling included [ms].
    """

    text: str
    predicted_ms: float | None = None
    place: tuple[float, ...] = ()
    family: str = ""
    cut: str = ""
    cost_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Time some runs of a candidate in a row.

    Args:
        text: Which.
        first: Whether it may still have to be compiled and warmed up.
    """

    text: str
    first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Compare a candidate's numbers with the oracle's.

    Args:
        text: Which.
    """

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A window's answer.

    Args:
        ms: One run of the whole shape [ms].
        spent_ms: What finding it out took, all included [ms].
    """

    ms: float
    spent_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A candidate that did not compile, hung, or lost the device.

    Args:
        reason: In words.
        spent_ms: What finding it out took [ms].
    """

    reason: str
    spent_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A check's answer.

    Args:
        error: Largest difference from the oracle.
        bound: Largest one that rounding explains.
        spent_ms: What finding it out took [ms].
    """

    error: float
    bound: float
    spent_ms: float


Request = Window | Check
Answer = Sample | Failure | Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is known of a candidate.

    Args:
        option: Which.
        state: How far it has come.
        ms: One run of the whole shape [ms].
        reason: Why it was cut or failed, or what to know of its time.
    """

    option: Option
    state: State = "waiting"
    ms: float | None = None
    reason: str = ""


class Search:
    """One search.

    Args:
        options: Candidates, the most promising first.
        budget_ms: No candidate is begun that would exceed it, save the cheapest one where none has
            been tried [ms].
        known: A candidate that was best before; it is tried first.
        seeds: How many are taken in the given order before neighbours of the best come first.
        patience: Candidates without a gain after which it ends.
        pace: What trying took here so far, as a multiple of what it should.
        least: Candidates that are tried whatever time they take: choosing the better of two by
            noise is worse than being late on a busy machine.

    Attributes:
        request: What to do next; ``None`` when the search has ended.
        spent_ms: Time spent so far [ms].
        history: ``(spent_ms, ms)`` at each gain.
        message: Why it ended.
    """

    def __init__(  # noqa: PLR0913  # all by keyword, most with defaults
        self,
        options: Sequence[Option],
        *,
        budget_ms: float,
        known: str | None = None,
        seeds: int = 1 << 30,
        patience: int = PATIENCE,
        pace: float = 1.0,
        least: int = 0,
    ) -> None:
        self._trials = {
            option.text: Trial(
                option=option, state="cut" if option.cut else "waiting", reason=option.cut
            )
            for option in options
        }
        self._budget_ms = budget_ms
        self._known = known
        self._seeds = seeds
        self._patience = patience
        self._pace = pace
        self._least = least
        self._expected_ms = 0.0
        self._best: str | None = None
        self.spent_ms = 0.0
        self.history: list[tuple[float, float]] = []
        self.message = ""
        self._steps = self._walk()
        self.request: Request | None = next(self._steps, None)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All candidates in the given order."""
        return tuple(self._trials.values())

    @property
    def best(self) -> Trial | None:
        """The fastest one that passed its check."""
        return None if self._best is None else self._trials[self._best]

    @property
    def pace(self) -> float:
        """What trying takes here, as a multiple of what it should."""
        if not self.spent_ms or not self._expected_ms:
            return self._pace
        return self.spent_ms / self._expected_ms

    def take(self, answer: Answer) -> None:
        """Goes on with an answer to ``request``."""
        assert self.request is not None
        self.spent_ms += answer.spent_ms
        try:
            self.request = self._steps.send(answer)
        except StopIteration:
            self.request = None

    def stop(self, reason: str) -> None:
        """Ends the search, such as when the device went away."""
        self._steps.close()
        self.request, self.message = None, reason

    # --- the walk -----------------------------------------------------------------------------

    def _walk(self) -> Generator[Request, Answer, None]:
        idle = 0
        while True:
            text = self._next()
            if text is None:
                self.message = "All candidates were tried."
                if self._is_waiting:
                    self.message = OUT_OF_TIME
                return
            before = self.best
            yield from self._try(text)
            after = self.best
            gained = after is not before and (before is None or _gain(after, before) >= AGREEMENT)
            idle = 0 if gained else idle + 1
            if idle >= self._patience:
                self.message = f"The last {idle} candidates brought nothing."
                return

    def _next(self) -> str | None:
        """The next candidate: the known one, then seeds in order, then neighbours of the best."""
        open_ = [text for text, trial in self._trials.items() if trial.state == "waiting"]
        waiting = [text for text in open_ if self._fits(text)]
        if open_ and not waiting and not self.spent_ms:
            # Something must be tried, or the shape never would be.
            return min(open_, key=lambda text: self._trials[text].option.cost_ms)
        if not waiting:
            return None
        if self._known in waiting:
            return self._known
        if self._begun < self._seeds or self._best is None:
            return waiting[0]
        best = self._trials[self._best].option
        return min(waiting, key=lambda text: _distance(self._trials[text].option, best))

    def _fits(self, text: str) -> bool:
        """Whether the time that is left should do for a candidate."""
        if self._begun < self._least:
            return True
        cost = self.pace * self._trials[text].option.cost_ms
        return self.spent_ms < self._budget_ms and self.spent_ms + cost <= self._budget_ms

    @property
    def _begun(self) -> int:
        return sum(trial.state not in ("waiting", "cut") for trial in self._trials.values())

    @property
    def _is_waiting(self) -> bool:
        return any(trial.state == "waiting" for trial in self._trials.values())

    def _try(self, text: str) -> Generator[Request, Answer, None]:
        times: list[float] = []
        note = ""
        self._expected_ms += self._trials[text].option.cost_ms
        while not _agree(times):
            answer = yield Window(text=text, first=not times)
            if not isinstance(answer, Sample):
                self._set(text, "failed", reason=why_refused(answer))
                return
            times.append(answer.ms)
            if self._is_hopeless(times):
                break
            if len(times) == MOST_WINDOWS:
                note = "its times did not settle; the machine was busy"
                break
        ms = median(times[-AGREEING:]) if _agree(times) else min(times)
        best = self.best
        if best is not None and best.ms is not None and ms >= best.ms:
            self._set(text, "measured", ms=ms, reason=note)
            return
        refused = why_refused((yield Check(text=text)))
        if refused:
            self._set(text, "failed", reason=refused)
        else:
            self._crown(text, ms, note)

    def _is_hopeless(self, times: list[float]) -> bool:
        best = self.best
        if best is None or best.ms is None or len(times) < AGREEING:
            return False
        return min(times) > HOPELESS * best.ms

    def _crown(self, text: str, ms: float, note: str) -> None:
        if self._best is not None:
            self._trials[self._best] = replace(self._trials[self._best], state="measured")
        self._best = text
        self._set(text, "best", ms=ms, reason=note)
        self.history.append((self.spent_ms, ms))

    def _set(self, text: str, state: State, *, ms: float | None = None, reason: str = "") -> None:
        self._trials[text] = replace(self._trials[text], state=state, ms=ms, reason=reason)


def _agree(times: Sequence[float]) -> bool:
    last = times[-AGREEING:]
    return len(last) == AGREEING and max(last) <= (1 + AGREEMENT) * min(last)


def _gain(after: Trial | None, before: Trial) -> float:
    assert after is not None
    assert after.ms is not None
    assert before.ms is not None
    return before.ms / after.ms - 1


def _distance(option: Option, best: Option) -> tuple[bool, float]:
    pairs = zip(option.place, best.place, strict=False)
    return option.family != best.family, sum(abs(one - other) for one, other in pairs)


def why_refused(answer: Answer) -> str:
    """Why a candidate is out by an answer that is no time, in words; nothing if it is right."""
    if isinstance(answer, Failure):
        return answer.reason
    if not isinstance(answer, Verdict):
        return "it gave no answer"
    # An error that is no number is not within the bound either.
    if answer.error <= answer.bound:
        return ""
    return f"differs from the reference by {answer.error:.2g}; rounding explains {answer.bound:.2g}"
