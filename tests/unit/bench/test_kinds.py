"""``build.py bench`` knows every script that measures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sitebuild import bench
from sitebuild.bench import KINDS

if TYPE_CHECKING:
    import pytest

SCRIPTS = Path(__file__).parents[2] / "bench"


def test_each_kind_is_a_script_with_a_short_form() -> None:
    texts = {path.stem: path.read_text() for path in SCRIPTS.glob("*.py")}
    words = ('"--quick"', "from searches import ")
    short = {name for name, text in texts.items() if any(word in text for word in words)}
    assert set(KINDS) <= short


def test_the_goals_are_written_anew_after_every_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        commands.append([Path(command[1]).name, *command[2:]])
        return SimpleNamespace(returncode=3 if "gradient.py" in command[1] else 0)

    monkeypatch.setattr(subprocess, "run", run)
    env: Any = SimpleNamespace(root=SCRIPTS.parents[1], python=sys.executable, variables=dict)
    assert bench.run(env, "gradient", quick=False) == 3
    assert bench.run(env, "gradient", quick=True) == 3
    assert commands == [["gradient.py"], ["peers.py", "--report"], ["gradient.py", "--quick"]]
