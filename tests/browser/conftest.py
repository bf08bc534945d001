"""Fixtures of the browser tier: the workbench without Python, for tests of the page's half alone."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from sitebuild import bundle, environment, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def harness_url(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the harness page; a stand-in there acknowledges what is asked of Python."""
    folder = tmp_path_factory.mktemp("harness")
    source = root / "tests" / "browser" / "harness"
    env = environment.ensure(root, quiet=True)
    bundle.bundle_one(env, source / "workbench.tsx", folder)
    shutil.copyfile(source / "index.html", folder / "index.html")
    (folder / "fonts").mkdir()
    for name, path in bundle.FONTS.items():
        shutil.copyfile(env.modules / path, folder / "fonts" / name)
    with serve.background(folder) as address:
        yield address
