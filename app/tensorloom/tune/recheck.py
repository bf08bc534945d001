"""One look at a kernel that an earlier visit chose: it and the next best are timed in turns.

Pure, as ``search``: it hands out requests and takes answers. In turns, whatever else the machine
does meanwhile holds up both alike; a time that does not settle changes nothing, unless it is
shorter, which no disturbance can make it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorloom.tune.search import AGREEMENT, HOPELESS, Check, Sample, Window, why_refused

if TYPE_CHECKING:
    from collections.abc import Generator

    from tensorloom.tune.search import Answer, Request

__all__ = ["Finding", "Recheck"]

LEAST_TURNS, MOST_TURNS = 3, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How a look came out.

    Args:
        best: The better one; nothing if the chosen one failed.
        ms: One run of it [ms].
        other: The one that is not, where there are two.
        lead: How many times as long the chosen one takes: 1 if it is still the better one.
        settled: Whether the times agree.
        failed: The one beside it, where it stopped or computed wrongly.
        reason: Why, in words.
    """

    best: str = ""
    ms: float = 0.0
    other: str = ""
    lead: float = 1.0
    settled: bool = False
    failed: str = ""
    reason: str = ""


class Recheck:
    """One look.

    Args:
        chosen: What is in use.
        rival: What else might be better; nothing where there is no other.

    Attributes:
        chosen: As given.
        request: What to do next; ``None`` at the end.
        spent_ms: Time spent so far [ms].
        finding: How it came out, at the end.
    """

    def __init__(self, chosen: str, rival: str = "") -> None:
        self.chosen = chosen
        self._rival = rival
        self._times: dict[str, list[float]] = {}
        self.spent_ms = 0.0
        self.finding = Finding()
        self._steps = self._walk()
        self.request: Request | None = next(self._steps)

    def take(self, answer: Answer) -> None:
        """Goes on with an answer to ``request``."""
        assert self.request is not None
        self.spent_ms += answer.spent_ms
        try:
            self.request = self._steps.send(answer)
        except StopIteration:
            self.request = None

    def _walk(self) -> Generator[Request, Answer, None]:
        times, reason = self._times, ""
        texts = [self.chosen, self._rival] if self._rival else [self.chosen]
        for turn in range(MOST_TURNS):
            for text in tuple(texts):
                answer = yield Window(text=text, first=not turn)
                if isinstance(answer, Sample):
                    times.setdefault(text, []).append(answer.ms)
                    continue
                times.pop(text, None)
                texts.remove(text)
                if text == self.chosen:
                    return
                reason = why_refused(answer)
            if turn + 1 < LEAST_TURNS:
                continue
            texts = [text for text in texts if text == self.chosen or not self._is_hopeless(text)]
            if all(_agree(times[text]) for text in texts):
                break
        settled = all(_agree(times[text]) for text in texts)
        own, rival = min(times[self.chosen]), self._rival
        if settled and rival in texts and own >= (1 + AGREEMENT) * min(times[rival]):
            reason = why_refused((yield Check(text=rival)))
            if not reason:
                ms = min(times[rival])
                self.finding = Finding(
                    best=rival, ms=ms, other=self.chosen, lead=own / ms, settled=True
                )
                return
            del times[rival]
        other = rival if rival in times else ""
        self.finding = Finding(
            best=self.chosen,
            ms=own,
            other=other,
            settled=settled,
            failed=rival if reason else "",
            reason=reason,
        )

    def _is_hopeless(self, text: str) -> bool:
        return min(self._times[text]) > HOPELESS * min(self._times[self.chosen])


def _agree(times: list[float]) -> bool:
    """Whether the two shortest ones do."""
    first, second, *_ = sorted(times)
    return second <= (1 + AGREEMENT) * first
