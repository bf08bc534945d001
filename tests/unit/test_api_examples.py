"""The Python examples of docs/api.md run, one after the other, and end as they say."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def test_what_is_said_to_be_true_is_true() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("## In Python")[2]
    known: dict[str, object] = {}
    found = []
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(block, known)  # our own page
        found += [
            eval(line.split("#")[0], known)  # the same
            for line in block.splitlines()
            if line.endswith("# True")
        ]
    assert found == [True, True, True]
