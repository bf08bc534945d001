from __future__ import annotations

import re
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from sitebuild import SiteError, tests
from sitebuild.environment import Environment

if TYPE_CHECKING:
    from pathlib import Path

REPORT = """<testsuites><testsuite>
<testcase name="a"/><testcase name="b"/><testcase name="c"/>
<testcase classname="here" name="d"><failure message="no"/></testcase>
<testcase classname="here" name="e"><error message="nothing&#10;at all"/></testcase>
<testcase name="f"><skipped message="no browser"/></testcase>
</testsuite></testsuites>"""


def test_failures_errors_and_skips_are_counted_apart(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    tally = tests.tally_of("unit", report, status=1, seconds=2.5)
    assert (tally.passed, tally.failed, tally.skipped) == (3, 2, 1)
    assert tally.failures == ("unit: here d: no", "unit: here e: nothing")


def test_a_tier_that_never_reported_is_one_failure(tmp_path: Path) -> None:
    tally = tests.tally_of("unit", tmp_path / "absent.xml", status=-9, seconds=1)
    assert (tally.passed, tally.failed, tally.skipped) == (0, 1, 0)
    assert tally.failures == ("unit: ended with status -9 and no failed test",)


def test_a_bad_exit_after_good_tests_is_a_failure(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text('<testsuites><testcase name="a"/></testsuites>')
    assert tests.tally_of("unit", report, status=3, seconds=1).failed == 1


def test_an_unknown_tier_is_refused_by_name(tmp_path: Path) -> None:
    env = Environment(root=tmp_path, python=tmp_path, node=tmp_path, npm=("npm",))
    sentence = re.escape("No tier called unti. Tiers: check, property,")
    with pytest.raises(SiteError, match=sentence):
        tests.run_all(env, ["unti"])


def test_the_sum_is_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    tallies = [
        tests.Tally(tier="unit", passed=40, skipped=0, seconds=3, failures=("unit: a",)),
        tests.Tally(tier="browser", passed=2, skipped=5, seconds=30),
    ]
    tests._summary(tallies, {"webkit": "no driver"}, 33)
    lines = capsys.readouterr().out.rstrip("\n").split("\n")
    assert lines[-1] == "42 passed, 1 failed, 5 skipped"
    assert lines.index("unit: a") == lines.index("FAILED") + 1
    assert "LEFT OUT: everything that needs webkit. no driver." in lines


def test_no_skips_are_not_spoken_of(capsys: pytest.CaptureFixture[str]) -> None:
    tests._summary([tests.Tally(tier="ts", passed=7, skipped=0, seconds=1)], {}, 1)
    assert capsys.readouterr().out.rstrip("\n").split("\n")[-1] == "7 passed, 0 failed"


class Stage:
    """In place of processes: notes what runs while something else does."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now: list[str] = []
        self.beside: dict[str, set[str]] = {}
        self.ended: list[str] = []

    def run(
        self, _env: Environment, tier: str, command: list[str], *_: object, **__: object
    ) -> Any:
        name = f"{tier}, alone" if command[-1] == "alone" else tier
        with self.lock:
            self.beside.setdefault(name, set()).update(self.now)
            for other in self.now:
                self.beside[other].add(name)
            self.now.append(name)
        time.sleep(0.05)
        with self.lock:
            self.now.remove(name)
            self.ended.append(name)
        return tests.Tally(tier=tier, passed=1, skipped=0, seconds=1)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, root: Path, tmp_path: Path) -> Stage:
    found = Stage()

    def plain(name: str) -> Any:
        return lambda env, *_: found.run(env, name, [""])

    monkeypatch.setattr(tests, "_run", found.run)
    monkeypatch.setattr(tests, "_check", plain("check"))
    monkeypatch.setattr(tests, "_site", plain("site"))
    monkeypatch.setattr(tests, "_typescript", plain("ts"))
    monkeypatch.setattr(tests, "_report_file", lambda _, name: tmp_path / name)
    monkeypatch.setattr(tests.browsers, "ensure", lambda _: SimpleNamespace(missing={}))
    (tmp_path / "tests").symlink_to(root / "tests")
    env = Environment(root=tmp_path, python=tmp_path, node=tmp_path, npm=("npm",))
    assert tests.run_all(env, []) == 0
    return found


def test_every_tier_runs(stage: Stage) -> None:
    assert {*tests.TIERS, "site"} <= set(stage.ended)
    assert sorted(stage.ended) == sorted([*tests.TIERS, "site", "browser", "browser, alone"])


def test_what_wants_the_machine_has_it_alone(stage: Stage) -> None:
    for name in ("check", "faults", "build", "browser, alone"):
        assert stage.beside[name] == set(), name


def test_what_computes_takes_one_core_each(stage: Stage) -> None:
    for name in tests.COMPUTING:
        assert stage.beside[name] <= {*tests.COMPUTING, "site"}


def test_what_waits_runs_beside_what_waits(stage: Stage) -> None:
    assert stage.beside["browser"] == {"browser"}
    for name in tests.WAITING:
        assert stage.beside[name] == set(tests.WAITING) - {name}


def test_what_is_tested_on_the_site_waits_for_it(stage: Stage) -> None:
    for name in tests.ON_SITE:
        assert stage.ended.index(name) > stage.ended.index("site")
