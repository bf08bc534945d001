"""A contest with real numpy processes, one of which is made wrong or slow on purpose."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import goals
import peers
import pytest
from cases import REFERENCE, chosen
from contest import (
    Ratio,
    best_of,
    failed_of,
    geomean,
    gflops,
    orders,
    paired,
    ratio,
    ratios_of,
    tolerance,
    wrong_of,
)
from native import Native

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CASE = chosen("mps64")[0]


class Slow(Native):
    """Three times as slow as it is."""

    def window(self, ms: float) -> float:
        return 3 * super().window(ms)


class Wrong(Native):
    """Right at first, wrong later: what a cache or a race may do."""

    def check(self) -> float:
        return super().check() + 0.01


class Zeros(Native):
    """Never computes what it was asked."""

    def prepare(self, task: dict[str, Any]) -> list[dict[str, Any]]:
        return [{**one, "ms": None, "error": "wrong by 1"} for one in super().prepare(task)]


@pytest.fixture
def place(tmp_path: Path) -> Any:
    return SimpleNamespace(data=tmp_path, address="http://nowhere/")


@pytest.fixture
def entrants(request: pytest.FixtureRequest) -> Iterator[dict[str, Native]]:
    kinds: dict[str, type[Native]] = request.param
    found = {name: kind(1) for name, kind in kinds.items()}
    yield found
    for one in found.values():
        one.close()


@pytest.mark.parametrize("entrants", [{"ours 1t": Native, "jax wasm": Slow}], indirect=True)
def test_a_slow_contestant_is_seen(place: Any, entrants: dict[str, Any]) -> None:
    row = peers.measure(place, entrants, CASE, rounds=5)
    assert row["wrong"] == []
    assert {len(times) for times in row["times"].values()} == {5}
    faster = ratio(row, "ours 1t", ("jax wasm",))
    assert faster is not None
    # A third of the machine may be lost to others meanwhile.
    assert faster.median > 1.5
    assert paired(row["times"]["jax wasm"], row["times"]["ours 1t"]).median < 0.7
    assert list(place.data.iterdir()) == []


@pytest.mark.parametrize("entrants", [{"ours 1t": Wrong, "jax wasm": Native}], indirect=True)
def test_numbers_that_go_wrong_later_are_seen(place: Any, entrants: dict[str, Any]) -> None:
    row = peers.measure(place, entrants, CASE, rounds=1)
    assert [line.rpartition("0.01")[0] for line in row["wrong"]] == [
        "ours 1t, after the rounds: wrong by "
    ]


@pytest.mark.parametrize("entrants", [{"ours 1t": Native, "tf wasm": Zeros}], indirect=True)
def test_a_peer_that_gives_zeros_is_no_peer(place: Any, entrants: dict[str, Any]) -> None:
    row = peers.measure(place, entrants, CASE, rounds=1)
    assert set(row["times"]) == {"ours 1t"}
    assert all("tf wasm" in line for line in row["wrong"])
    assert row["wrong"]
    assert ratio(row, "ours 1t", ("tf wasm",)) is None


def test_a_wrong_result_of_ours_never_passes() -> None:
    right = {"name": "engine", "ms": 1.0, "maxErr": 0.0, "error": None}
    wrong = {"name": "other", "ms": None, "maxErr": 1.0, "error": "wrong by 1"}
    assert wrong_of({"ours 2t": [right, wrong]}) == ["ours 2t, other: wrong by 1"]
    assert wrong_of({"jax wasm": [right, wrong], "tf wasm": []}) == []
    assert wrong_of({"jax wasm": [wrong]}) == ["jax wasm, other: wrong by 1"]
    torn = {"name": "other", "ms": None, "maxErr": None, "error": "out of memory"}
    assert wrong_of({"jax wasm": [torn, torn], "tf wasm": [torn, right]}) == []
    assert wrong_of({"ours 1t": [torn]}) == ["ours 1t, other: out of memory"]
    tried = {"jax wasm": [torn], "tf wasm": [torn, right], "ort wasm": [torn, wrong], "ours 1t": []}
    assert failed_of(tried) == {"jax wasm": "out of memory"}


def test_ratios_are_paired_within_a_round() -> None:
    # Both were slowed twofold in the second round: the ratio does not see it.
    assert paired([1.0, 2.0], [3.0, 6.0]) == Ratio(median=3.0, low=3.0, high=3.0)
    assert paired([1.0, 1.0, 1.0], [0.9, 2.0, 3.0]).text == "2.00x [0.90..3.00]"
    assert not paired([1.0, 1.0], [0.9, 2.0]).sure
    assert best_of({"a": [2.0], "b": [3.0], "c": [9.0]}, ("a", "b", "d")) == "b"
    assert geomean([1.0, 4.0]) == pytest.approx(2)
    assert geomean([]) is None


def test_every_round_has_everyone_in_an_order_of_its_own() -> None:
    rounds = orders(["a", "b", "c", "d"], 20, seed=1)
    assert all(sorted(one) == ["a", "b", "c", "d"] for one in rounds)
    assert len({tuple(one) for one in rounds}) > 5


def test_the_tolerance_lets_no_wrong_bit_of_a_mantissa_pass() -> None:
    assert tolerance("float32", 64) < 1e-5
    assert tolerance("float32", 60_000) < 5e-5
    assert tolerance("complex128", 64) < 2e-14


def _row(ours: float, peer: float) -> dict[str, Any]:
    times = {"ours 1t": [ours] * 3, "jax wasm": [peer] * 3}
    flop = 1_000_000
    return {
        "case": "x", "flop": flop, "chosen": {}, "failed": {}, "ratios": ratios_of(times),
        "gflops": {name: gflops(flop, some) for name, some in times.items()},
    }  # fmt: skip


def test_goals_say_met_missed_and_not_measured() -> None:
    rows = {case.name: {**_row(1, 3), "case": case.name} for case in REFERENCE}
    found = {(goal.what, goal.over): goal for goal in goals.goals_of(rows)}
    mean = found["one thread / jax-js, mean", "first survey, 31 of 31"]
    assert (mean.found, mean.state) == (pytest.approx(3), "met")
    states = {goal.state for goal in found.values() if goal.what.startswith("WebGPU")}
    assert states == {"not measured"}
    rows["tall"] = {**_row(1, 0.9), "case": "tall"}
    least = next(goal for goal in goals.goals_of(rows) if "least case" in goal.what)
    assert (least.over, least.state) == ("first survey, 31 of 31: tall", "missed")
    assert "| first survey, 31 of 31: tall | >= 1x | 0.9x | missed |" in goals.text_of(rows, {})
    rows["tall"]["failed"] = {"jax wasm": "out of memory"}
    states = {goal.what: (goal.over, goal.state) for goal in goals.goals_of(rows)[:4]}
    told_where = "first survey, 30 of 31 (a peer failed at tall)"
    assert states["one thread / jax-js, mean"] == (told_where, "met")
    assert states["one thread / best WASM peer, least case"] == (f"{told_where}: mm256", "met")
    told = goals.text_of(rows, {"circuits": {"native": 0.5}, "overhead": {"engine": 0.02}})
    assert "| circuits / native numpy, mean | `bench circuits` | >= 1x | 0.5x | missed |" in told
    assert "| `bench overhead` | <= 50 us | 20 us | met |" in told
    assert "| `bench gradient` | <= 3.5x | - | not measured |" in told


def test_the_slowest_small_case_on_webgpu_counts() -> None:
    rows = {
        name: {**_row(1, 1), "case": name, "flop": flop, "gflops": {"ours gpu": (speed, speed)}}
        for name, flop, speed in (
            ("mps16", 20_000, 0.4),
            ("mps24", 80_000, 0.2),
            ("tall", 10**8, 1),
        )
    }
    (goal,) = [goal for goal in goals.goals_of(rows) if "MFLOP" in goal.what]
    assert (goal.found, goal.over) == (pytest.approx(0.4), "worst of 2: mps24")
    assert goal.state == "missed"


def test_a_layer_counts_its_three_projections() -> None:
    names = ("project", "scores", "weighted", "joined", "up", "down")
    rows = {f"{name}128": _row(1, 2) for name in names}
    rows["project128"] = _row(1, 4)
    # (3 x 4 + 5 x 2) / (3 x 1 + 5 x 1)
    assert goals.encoder_ratio(rows, 128, "ours 1t") == pytest.approx(22 / 8)
    assert goals.encoder_ratio(rows, 128, "ours 2t") is None
    assert goals.encoder_ratio(rows, 384, "ours 1t") is None
