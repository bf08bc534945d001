"""A tier in several processes at once, its lanes: each takes the next file that no other has taken.

    TENSORLOOM_LANES=<an empty folder> pytest tests/browser

in each of them. A lane takes a file of tests by making a file of its name in the folder, which
fails for all but the first. So each test runs once, and the lanes end within a file of each other.
A tier's ``conftest.py`` imports the loop from here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest

__all__ = ["pytest_runtestloop"]


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Runs this lane's tests as pytest runs all; left to pytest where there are no lanes."""
    folder = os.environ.get("TENSORLOOM_LANES")
    if not folder or session.testsfailed or session.config.option.collectonly:
        return None
    items = _taken(session.items, Path(folder))
    item = next(items, None)
    while item is not None:
        # Fixtures that the next one shares are kept for it.
        following = next(items, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True


def _taken(items: Sequence[pytest.Item], folder: Path) -> Iterator[pytest.Item]:
    """The tests of the files that this lane takes; each is taken when its turn comes."""
    mine: dict[Path, bool] = {}
    for item in items:
        if item.path not in mine:
            name = "-".join(item.path.relative_to(item.config.rootpath).parts)
            mine[item.path] = _takes(folder / name)
        if mine[item.path]:
            yield item


def _takes(file: Path) -> bool:
    try:
        file.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
