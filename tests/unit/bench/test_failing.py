"""A contestant that fails ends its own part of a row, and nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pages
import peers
import peers_report
import peers_rows
import pytest
from cases import chosen
from contest import ratio
from contestant import ContestantFailed
from field import Field
from native import Native

if TYPE_CHECKING:
    from pathlib import Path

CASE, OTHER_CASE = chosen("mps64,mps16")
LOST = "the device was lost: GPU process gone | 4 GiB"


class Steady:
    """Answers at once; every call takes it so many milliseconds."""

    threads: int | None = 1

    def __init__(self, ms: float = 1.0) -> None:
        self.ms, self.restarts, self.released = ms, 0, 0

    def prepare(self, task: dict[str, Any]) -> list[dict[str, Any]]:
        assert task["equation"]
        return [{"name": "steady", "ms": self.ms, "firstMs": 1.0, "maxErr": 0.0, "error": None}]

    def window(self, ms: float) -> float:
        assert ms > 0
        return self.ms

    def check(self) -> float:
        return 0.0

    def release(self) -> None:
        self.released += 1

    def restart(self) -> None:
        self.restarts += 1

    def close(self) -> None: ...


class Losing(Steady):
    """Loses its device at one kind of question, once."""

    def __init__(self, at: str, after: int = 0, ms: float = 0.5) -> None:
        super().__init__(ms)
        self.at, self.left = at, after

    def _asked(self, what: str) -> None:
        self.left -= what == self.at
        if self.left < 0 and not self.restarts:
            raise ContestantFailed(LOST)

    def prepare(self, task: dict[str, Any]) -> list[dict[str, Any]]:
        self._asked("prepare")
        return super().prepare(task)

    def window(self, ms: float) -> float:
        self._asked("window")
        return super().window(ms)

    def check(self) -> float:
        self._asked("check")
        return super().check()

    def release(self) -> None:
        self._asked("release")
        super().release()


@pytest.fixture
def place(tmp_path: Path) -> Any:
    return SimpleNamespace(data=tmp_path, address="http://nowhere/")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_rows, "KEPT", tmp_path / "measured")
    monkeypatch.setattr(peers_rows, "FILE", tmp_path / "measured" / "peers.json")
    monkeypatch.setattr(peers_rows, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(peers_rows, "LOG", tmp_path / "cache" / "peers.jsonl")


@pytest.mark.parametrize("at", ["prepare", "window", "check", "release"])
def test_who_fails_leaves_the_row_and_is_back_in_the_next(place: Any, at: str) -> None:
    losing, steady, ours = Losing(at, after=2 if at == "window" else 0), Steady(2.0), Steady()
    entrants: dict[str, Any] = {"ours gpu": ours, "jax gpu": losing, "tf gpu": steady}
    row = peers.measure(place, entrants, CASE, rounds=5)
    assert row["failed"] == {"jax gpu": LOST}
    assert row["wrong"] == []
    assert {name: len(times) for name, times in row["times"].items()} == {
        "ours gpu": 5,
        "tf gpu": 5,
    }
    assert (losing.restarts, steady.restarts, ours.restarts) == (1, 0, 0)
    assert steady.released == ours.released == 1
    # Who failed may have been the best: half the time of ours, here.
    assert ratio(row, "ours gpu", ("jax gpu", "tf gpu")) is None
    one = ratio(row, "ours gpu", ("tf gpu",))
    assert one is not None
    assert one.median == 2.0
    later = peers.measure(place, entrants, OTHER_CASE, rounds=2)
    assert later["failed"] == {}
    whole = ratio(later, "ours gpu", ("jax gpu", "tf gpu"))
    assert whole is not None
    assert whole.median == 0.5
    assert [path.name for path in place.data.iterdir()] == []


def test_ours_may_not_fail(place: Any) -> None:
    row = peers.measure(place, {"ours gpu": Losing("window"), "tf gpu": Steady()}, CASE, rounds=2)
    assert row["wrong"] == [f"ours gpu failed: {LOST}"]
    assert set(row["times"]) == {"tf gpu"}


def test_a_peer_that_cannot_start_again_ends_no_run() -> None:
    class Gone(Losing):
        def restart(self) -> None:
            raise OSError("no browser")

    gone = Gone("window")
    field = Field({"jax gpu": gone})
    assert field.ask("jax gpu", lambda one: one.window(1.0)) is None
    assert field.failed == {"jax gpu": f"{LOST}; it does not start again: no browser"}
    assert field.names == []
    assert field.ask("jax gpu", lambda one: one.check()) is None


def test_a_wrong_peer_is_in_no_ratio(place: Any) -> None:
    class Wrong(Steady):
        def check(self) -> float:
            return float("nan")

    row = peers.measure(place, {"ours gpu": Steady(), "tf gpu": Wrong()}, CASE, rounds=2)
    assert row["failed"] == {"tf gpu": "wrong by nan after the rounds"}
    assert row["wrong"] == ["tf gpu, after the rounds: wrong by nan"]
    assert ratio(row, "ours gpu", ("tf gpu",)) is None


def test_rows_are_kept_as_they_come_and_a_campaign_goes_on(place: Any) -> None:
    losing: dict[str, Any] = {"ours gpu": Steady(), "jax gpu": Losing("window")}
    row = peers.measure(place, losing, CASE, rounds=2)
    peers_rows.keep(row)
    cpu = peers.measure(place, {"ours 1t": Steady(), "numpy 1t": Steady()}, CASE, rounds=2)
    peers_rows.keep({**cpu, "foreign": 0.3, "note": "The second of two runs."})
    kept = peers_rows.kept()[CASE.name]
    assert kept["failed"] == {"jax gpu": LOST}
    assert set(kept["gflops"]) == {"ours gpu", "ours 1t", "numpy 1t"}
    assert set(kept["foreign"]) == {"cpu", "gpu"}
    assert kept["chosen"]["ours 1t"] == {"name": "steady", "firstMs": 1.0}
    both, today = (CASE, OTHER_CASE), row["date"]
    assert peers_rows.missing(both, ["ours gpu"], today) == (OTHER_CASE,)
    assert peers_rows.missing(both, ["ours gpu", "ours 1t"], today) == (OTHER_CASE,)
    assert peers_rows.missing(both, ["ours gpu"], "9999-12-31") == both
    text = peers_report.text_of(peers_rows.kept())
    (shown,) = [line for line in text.splitlines() if line.startswith(f"| {CASE.name}")]
    assert f"failed: {LOST.replace('|', '/')} |" in shown
    # numpy is no peer on WASM, and jax failed: nothing to set ours against.
    assert shown.count("| - |") >= 1
    assert "cpu 30%" in shown
    assert f"\n\n{CASE.name}: The second of two runs." in text
    assert len(peers_rows.LOG.read_text().splitlines()) == 2


class Pages:
    """A library's page as the driver sees it: some formulations end it."""

    def __init__(self, times: dict[str, float], *, crash: str = "", lose: str = "") -> None:
        self.told = {"threads": 2, "readyMs": 1.0}
        self.times, self.crash, self.lose = times, crash, lose
        self.tried: list[str] = []
        self.kept: str | None = None
        self.restarts = 0

    def ask(self, function: str, argument: Any = None) -> Any:
        method = function.partition("it.")[2].partition("(")[0]
        return getattr(self, f"_{method}")(argument)

    def _adapt(self, task: dict[str, Any]) -> list[str]:
        assert task == {"case": 1}
        return list(self.times)

    def _attempt(self, index: int) -> dict[str, Any]:
        name = list(self.times)[index]
        self.tried.append(name)
        if name in self.crash:
            raise ContestantFailed("Target crashed")
        ended = LOST if name in self.lose else None
        outcome = {"name": name, "firstMs": 1.0, "maxErr": None if ended else 0.0, "ended": ended}
        if not ended and (self.kept is None or self.times[name] < self.times[self.kept]):
            self.kept = name
        return {**outcome, "ms": None if ended else self.times[name], "error": ended}

    def restart(self) -> None:
        self.restarts += 1
        self.kept = None


def test_a_formulation_that_ends_the_page_is_left_out() -> None:
    page: Any = Pages({"a": 3.0, "b": 1.0, "c": 2.0, "d": 4.0, "e": 9.0}, crash="c", lose="d")
    tried = pages.Library(page).prepare({"case": 1})
    assert [one["name"] for one in tried] == ["a", "b", "c", "d", "e"]
    assert [one["ms"] for one in tried] == [3.0, 1.0, None, None, 9.0]
    assert [one["error"] for one in tried] == [None, None, "Target crashed", LOST, None]
    # After each end the best so far is tried again, for the new page knows nothing of it.
    assert page.tried == ["a", "b", "c", "b", "d", "b", "e"]
    assert (page.restarts, page.kept) == (2, "b")


def test_a_library_that_ends_its_page_again_and_again_fails() -> None:
    page: Any = Pages({"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0, "e": 1.0}, crash="abcde")
    with pytest.raises(ContestantFailed, match="Target crashed"):
        pages.Library(page).prepare({"case": 1})
    assert page.restarts == pages.LIVES


def test_a_process_that_does_not_answer_is_ended() -> None:
    # It needs longer to start than it is given.
    slow = Native(1, limit_s=0.0)
    with pytest.raises(ContestantFailed, match="no answer in 0 s"):
        slow.check()
    slow.close()


def test_a_process_that_ended_is_told_and_started_again(place: Any) -> None:
    class Killed(Native):
        def window(self, ms: float) -> float:
            self._process.kill()
            self._process.wait()
            return super().window(ms)

    entrants: dict[str, Any] = {"ours 1t": Steady(), "numpy 1t": Killed(1)}
    row = peers.measure(place, entrants, OTHER_CASE, rounds=1)
    assert row["failed"] == {"numpy 1t": "numpy's process ended"}
    peer = entrants["numpy 1t"]
    task = peers._task(place, OTHER_CASE, None)
    assert any(one["ms"] for one in peer.prepare(task))
    peer.close()
