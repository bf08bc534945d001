from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import lanes

CONFTEST = """
import pytest
from lanes import pytest_runtestloop

@pytest.fixture(scope="module", autouse=True)
def module(request):
    yield
    print("left", request.path.stem)
"""

TESTS = """
import pytest

@pytest.mark.parametrize("number", range(3))
def test_one(request, number):
    print("ran", request.path.stem, number)
    assert request.path.stem != "test_wrong"
"""

FILES = ("test_a.py", "below/test_b.py", "below/test_c.py", "test_d.py")


@pytest.fixture
def tier(tmp_path: Path) -> Path:
    """Four files of three tests each."""
    folder = tmp_path / "tier"
    (folder / "below").mkdir(parents=True)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name in FILES:
        (folder / name).write_text(TESTS)
    return folder


def started(tier: Path, taken: Path | None) -> subprocess.Popen[str]:
    path = str(Path(lanes.__file__).parent)
    variables = {**os.environ, "PYTHONPATH": path, "TENSORLOOM_LANES": str(taken or "")}
    variables["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "."]
    return subprocess.Popen(command, cwd=tier, env=variables, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str], *, status: int = 0) -> list[str]:
    """The files in the order in which their tests ran, each followed by the end of its fixture."""
    output, _ = process.communicate(timeout=60)
    assert process.returncode == status, output
    words = [line.lstrip(".F").split() for line in output.splitlines()]
    return [
        line[1]
        for line in words
        if line[:1] == ["left"] or (line[:1] == ["ran"] and line[2] == "0")
    ]


def test_two_lanes_run_each_test_once(tier: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    both = [started(tier, taken) for _ in range(2)]
    output = "".join(lane.communicate(timeout=60)[0] for lane in both)
    assert [lane.returncode for lane in both] == [0, 0], output
    ran = sorted(line[line.index("ran") :] for line in output.splitlines() if "ran test" in line)
    stems = sorted(Path(name).stem for name in FILES)
    assert ran == [f"ran {stem} {number}" for stem in stems for number in range(3)]


def test_a_lane_leaves_out_what_others_took_and_ends_its_fixtures(
    tier: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    # Between two files of one folder, and at the end of all.
    for name in ("below-test_c.py", "test_d.py"):
        (taken / name).touch()
    assert said(started(tier, taken)) == ["test_b", "test_b", "test_a", "test_a"]
    assert said(started(tier, taken)) == []


def test_a_failure_in_a_lane_is_its_exit_status(tier: Path, tmp_path: Path) -> None:
    (tier / "test_wrong.py").write_text(TESTS)
    taken = tmp_path / "taken"
    taken.mkdir()
    assert said(started(tier, taken), status=1)[-1] == "test_wrong"


def test_a_file_that_cannot_be_read_fails_every_lane(tier: Path, tmp_path: Path) -> None:
    (tier / "test_broken.py").write_text("import nothing_of_this_name\n")
    assert said(started(tier, tmp_path), status=2) == []


def test_without_lanes_everything_runs(tier: Path) -> None:
    assert set(said(started(tier, None))) == {Path(name).stem for name in FILES}
