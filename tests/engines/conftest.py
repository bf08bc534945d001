"""The workbench in Firefox and in WebKitGTK, started twice each for all tests of this tier."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from engines.firefox import firefox
from engines.story import Story
from engines.webkit import webkit
from sitebuild import browsers, environment, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from engines.engine import Engine

ENGINES = {"firefox": firefox, "webkit": webkit}
LINE_SECONDS = 2
"""How long each file of Python is on its way, so that what is there before Python can be seen."""


class Line(serve.Handler):
    """A connection as people have: not from this machine to itself."""

    def copyfile(self, source: Any, outputfile: Any) -> None:  # base class's own
        """Send a file."""
        if self.path.endswith(".bin.gz"):
            time.sleep(LINE_SECONDS)
        super().copyfile(source, outputfile)


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest, root: Path) -> Iterator[Engine]:
    """A page of its own, for what needs no workbench."""
    with _started(request.param, root) as engine:
        yield engine


@pytest.fixture(scope="session")
def line(site_folder: Path) -> Iterator[str]:
    """Address of the site at the other end of such a connection."""
    with serve.background(site_folder, handler=Line) as address:
        yield address


@pytest.fixture(scope="session", params=ENGINES)
def story(request: pytest.FixtureRequest, root: Path, line: str) -> Iterator[Story]:
    """The page after its start, with a record of how that went."""
    with _started(request.param, root) as engine:
        yield Story(engine, line)


def _started(name: str, root: Path) -> AbstractContextManager[Engine]:
    found = browsers.find(root)
    program = getattr(found, name)
    if program is None:
        pytest.skip(f"{name}: {found.missing[name]}")
    return ENGINES[name](environment.ensure(root, quiet=True), program)
