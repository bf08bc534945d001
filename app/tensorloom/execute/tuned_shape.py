"""What is known of one shape's candidates, and how later findings change it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tensorloom.tune.search import OUT_OF_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorloom.kernels.program import KernelSpec
    from tensorloom.tune.database import Entry
    from tensorloom.tune.search import Option, Trial

__all__ = [
    "Place",
    "Shape",
    "is_done",
    "joined",
    "left_behind",
    "runner_up",
    "second_best",
    "unseen_first",
    "without_best",
    "without_tried",
]

Place = Literal["wasm", "webgpu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A shape that was tuned, or is being tuned.

    Args:
        spec: The kernel.
        backend: Where it runs.
        trials: What is known of its candidates.
        history: ``(ms since its tuning began, ms of a run)`` at each gain.
        spent_ms: Time spent on it [ms].
        message: Why its tuning ended, or nothing yet.
    """

    spec: KernelSpec
    backend: Place
    trials: tuple[Trial, ...]
    history: tuple[tuple[float, float], ...] = ()
    spent_ms: float = 0.0
    message: str = ""

    @property
    def best(self) -> Trial | None:
        """The fastest candidate that passed its check."""
        return next((trial for trial in self.trials if trial.state == "best"), None)


def is_done(shape: Shape) -> bool:
    """Whether every candidate was reached, and the best one's times agree."""
    waiting = any(trial.state == "waiting" for trial in shape.trials)
    settled = shape.best is None or not shape.best.reason
    return settled and not (waiting and shape.message == OUT_OF_TIME)


def left_behind(shape: Shape, earlier: Sequence[str]) -> tuple[str, ...]:
    """Candidates that were tried to the end and are neither the best nor the next best.

    Not those whose times did not settle: one of them may be the best.

    Args:
        shape: How a search has ended.
        earlier: What earlier ones have left behind.
    """
    ahead = {trial.option.text for trial in (shape.best, runner_up(shape)) if trial}
    tried = [
        trial.option.text
        for trial in shape.trials
        if trial.state == "failed" or (trial.state == "measured" and not trial.reason)
    ]
    return tuple(text for text in dict.fromkeys([*earlier, *tried]) if text not in ahead)


def without_tried(options: Sequence[Option], tried: Sequence[str]) -> tuple[Option, ...]:
    """Candidates with those cut that an earlier visit has tried."""
    return tuple(
        replace(option, cut=option.cut or "tried on an earlier visit")
        if option.text in tried
        else option
        for option in options
    )


def unseen_first(options: Sequence[Option], seen: Shape) -> tuple[Option, ...]:
    """Candidates that an earlier search did not reach before the others."""
    reached = {trial.option.text for trial in seen.trials if trial.state != "waiting"}
    return tuple(sorted(options, key=lambda option: option.text in reached))


def joined(earlier: Shape, later: Shape) -> Shape:
    """A second search, with what only the first one reached."""
    known = {trial.option.text: trial for trial in earlier.trials}

    def seen(trial: Trial) -> Trial:
        old = known.get(trial.option.text, trial)
        if trial.state != "waiting" or old.state == "waiting":
            return trial
        return replace(old, state="measured") if old.state == "best" else old

    return replace(later, trials=tuple(seen(trial) for trial in later.trials))


def runner_up(shape: Shape) -> Trial | None:
    """The fastest of the others."""
    others = [one for one in shape.trials if one.state == "measured" and one.ms is not None]
    return min(others, key=lambda one: one.ms or 0.0, default=None)


def second_best(shape: Shape | None, entry: Entry | None, *, candidate: str) -> str:
    """The next best candidate: of a search, or else what was kept beside the best one."""
    if shape is not None:
        second = runner_up(shape)
        return second.option.text if second else ""
    return entry.second if entry is not None and entry.candidate == candidate else ""


def without_best(shape: Shape) -> Shape:
    """The shape with its best candidate failed, and the fastest of the others in its place."""
    second = runner_up(shape)

    def seen(trial: Trial) -> Trial:
        if trial is second:
            return replace(trial, state="best")
        if trial.state == "best":
            return replace(trial, state="failed", reason="thrown out in a run")
        return trial

    return replace(shape, trials=tuple(seen(trial) for trial in shape.trials))
