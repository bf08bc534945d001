from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sitebuild import checks
from sitebuild.environment import Environment


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    return Environment(
        root=tmp_path, python=Path(sys.executable), node=tmp_path / "node", npm=("npm",)
    )


def regenerate(env: Environment, script: str) -> Path:
    """A project whose golden file holds "old" and whose generator is ``script``."""
    folder = env.root / "tests" / "golden"
    folder.mkdir(parents=True)
    (folder / "regenerate.py").write_text(script)
    golden = folder / "plan.txt"
    golden.write_text("old")
    return golden


def test_all_tools_of_the_house_are_asked(env: Environment) -> None:
    names = [check.name for check in checks.checks_of(env)]
    assert names == [
        "mypy",
        "tsc",
        "pyright over tests",
        "ruff check",
        "ruff format",
        "import layers",
    ]


def test_only_folders_with_python_are_typed(env: Environment) -> None:
    (env.root / "app" / "sitebuild").mkdir(parents=True)
    (env.root / "app" / "sitebuild" / "one.py").write_text("")
    (env.root / "workers").mkdir()
    (env.root / "workers" / "one.ts").write_text("")
    command = checks.checks_of(env)[0].command
    assert "app/sitebuild" in command
    assert "workers" not in command


def test_golden_files_that_stay_the_same_pass(env: Environment) -> None:
    regenerate(env, "")
    assert checks._generated_unchanged(env).passed


def test_golden_files_that_change_are_named_and_put_back(env: Environment) -> None:
    script = (
        "from pathlib import Path\n"
        "here = Path(__file__).parent\n"
        "(here / 'plan.txt').write_text('new')\n"
        "(here / 'more.txt').write_text('more')\n"
    )
    golden = regenerate(env, script)
    outcome = checks._generated_unchanged(env)
    assert not outcome.passed
    assert "tests/golden/plan.txt" in outcome.output
    assert "tests/golden/more.txt" in outcome.output
    assert golden.read_text() == "old"
    assert not (golden.parent / "more.txt").exists()


def test_a_generator_that_fails_fails_the_check(env: Environment) -> None:
    regenerate(env, "raise SystemExit('broken')")
    outcome = checks._generated_unchanged(env)
    assert not outcome.passed
    assert "broken" in outcome.output


def test_a_check_that_fails_shows_what_it_printed(
    env: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "print('line 3 is too long'); raise SystemExit(1)"
    outcome = checks._run(env, checks.Check(name="lint", command=(sys.executable, "-c", script)))
    assert not outcome.passed
    checks._report(outcome)
    shown = capsys.readouterr().out
    assert "FAILED lint" in shown
    assert "line 3 is too long" in shown
