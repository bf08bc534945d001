"""Every golden file holds what is made today, and nothing lies there that nothing makes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

spec = importlib.util.spec_from_file_location(
    "golden_regenerate", Path(__file__).with_name("regenerate.py")
)
assert spec is not None
assert spec.loader is not None
regenerate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(regenerate)


def test_golden_files_are_what_is_made_today() -> None:
    files = regenerate.wanted()
    assert files
    changed = [
        path.name
        for path, text in files.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    assert changed == [], "run `python3 build.py golden` and read the diff"


def test_no_golden_file_is_left_over() -> None:
    left = [path.name for path in regenerate.present() if path not in regenerate.wanted()]
    assert left == []
