"""The workbench in Firefox and in WebKitGTK, started once each for all tests of this tier."""

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
    from pathlib import Path

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


@pytest.fixture(scope="module")
def line(site_folder: Path) -> Iterator[str]:
    """Address of the site at the other end of such a connection."""
    with serve.background(site_folder, handler=Line) as address:
        yield address


@pytest.fixture(scope="module", params=ENGINES)
def story(request: pytest.FixtureRequest, root: Path, line: str) -> Iterator[Story]:
    """The page after its start, with a record of how that went."""
    found = browsers.find(root)
    program = getattr(found, request.param)
    if program is None:
        pytest.skip(f"{request.param}: {found.missing[request.param]}")
    with ENGINES[request.param](environment.ensure(root, quiet=True), program) as engine:
        yield Story(engine, line)
