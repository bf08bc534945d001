from __future__ import annotations

from typing import TYPE_CHECKING

import limits
import pytest
import searches
import trees

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("words", "seconds"),
    [((), 30), (("--quick",), 3), (("--quick", "--seconds", "0.5"), 0.5), (("--seconds", "0"), 0)],
)
def test_the_time_of_a_search_is_the_asked_the_quick_or_the_usual_one(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], seconds: float
) -> None:
    monkeypatch.setattr("sys.argv", ["trees.py", *words])
    asked = searches.options("Trees.\n\nMore.", seconds=30, quick_seconds=3)
    assert (asked.seconds, asked.quick, asked.only) == (seconds, "--quick" in words, "")
    assert not hasattr(asked, "networks")


def test_both_measurements_of_searches_take_the_same_options(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cubic.json").touch()
    monkeypatch.setattr(trees, "NETWORKS", tmp_path)
    for script in (trees, limits):
        monkeypatch.setattr("sys.argv", ["it", "--quick", "--seconds", "1", "--only", "no such"])
        assert script.main() == 0
        assert "nothing measured" in capsys.readouterr().out


def test_counts_are_shown_as_logarithms() -> None:
    assert [searches.log10_text(count) for count in (0, 1, 1000, 2**64)] == [
        "0.00",
        "0.00",
        "3.00",
        "19.27",
    ]
