"""``build.py bench`` knows every script that measures."""

from __future__ import annotations

from pathlib import Path

from sitebuild.bench import KINDS

SCRIPTS = Path(__file__).parents[2] / "bench"


def test_each_kind_is_a_script_with_a_short_form() -> None:
    short = {path.stem for path in SCRIPTS.glob("*.py") if '"--quick"' in path.read_text()}
    assert set(KINDS) <= short
