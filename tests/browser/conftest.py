"""Fixtures of the browser tier: a started workbench, and the page's half alone without Python."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from canvas import Canvas
from isolation import choose_threads, own_page
from lanes import pytest_runtestloop
from page_state import python_answered
from sitebuild import bundle, environment, serve
from watch import Watch, origin_of
from workbench import Workbench, ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from known_device import KnownDevice

__all__ = ["pytest_runtestloop"]


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


@pytest.fixture(scope="session")
def pictures(root: Path) -> Path:
    """Where pictures are left to be looked at; another lane may leave its own there."""
    made = root / ".cache" / "pictures"
    made.mkdir(parents=True, exist_ok=True)
    return made


@pytest.fixture(scope="session")
def shared_page(
    browser: Browser, site_url: str, known_device: KnownDevice
) -> Iterator[tuple[Workbench, Watch]]:
    """One started workbench for all tests that do not need one of their own."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 720},
        color_scheme="light",
        storage_state=known_device.at(site_url),
    )
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    seen = Watch(origin=origin_of(site_url))
    seen.follow(context)
    yield ready(context.new_page(), site_url), seen
    context.close()


@pytest.fixture
def bench(shared_page: tuple[Workbench, Watch]) -> Iterator[Workbench]:
    """The shared workbench with an empty drawing; a problem in the page fails the test."""
    workbench, seen = shared_page
    seen.problems.clear()
    workbench.clear()
    yield workbench
    assert seen.unexpected() == []


@pytest.fixture
def new_canvas(browser: Browser, harness_url: str) -> Iterator[Callable[..., Canvas]]:
    """Opens the canvas in a page of its own; a problem in one of them fails the test."""
    contexts = []
    problems: list[str] = []

    def make(**options: Any) -> Canvas:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 720}, **options})
        contexts.append(context)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(harness_url)
        page.wait_for_selector(".tl-canvas .react-flow__pane")
        return Canvas(page)

    yield make
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def canvas(new_canvas: Callable[..., Canvas]) -> Canvas:
    """The canvas in a page of its own."""
    return new_canvas()


@pytest.fixture
def isolated(browser: Browser, site_url: str) -> Iterator[Page]:
    """A page with threads, where the machine has two cores."""
    with own_page(browser, site_url) as page:
        choose_threads(page, "All cores")
        python_answered(page)
        yield page
