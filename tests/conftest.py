"""Fixtures shared by all tiers: the built site on a local server, and Chromium on it.

A page from here fails its test by itself if anything went wrong in it that no assertion looked at:
an error on the console, an exception, a request to another origin.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from sitebuild import browsers, commands, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

ROOT = Path(__file__).resolve().parents[1]

CHROMIUM_ARGUMENTS = [
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A software adapter: correct, slow, and the same on every machine.
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def site_folder() -> Path:
    """The built site; built first where something changed since. ``TENSORLOOM_SITE`` overrides."""
    given = os.environ.get("TENSORLOOM_SITE")
    return Path(given) if given else commands.build_site(ROOT)


@pytest.fixture(scope="session")
def site_url(site_folder: Path) -> Iterator[str]:
    """Address of the site at the root of a server, with a final slash."""
    with serve.background(site_folder) as address:
        yield address


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    found = browsers.find(ROOT)
    if found.chromium is None:
        pytest.skip(f"Chromium: {found.missing['chromium']}")
    return found.chromium


@pytest.fixture(scope="session")
def browser(chromium_path: Path) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # most tiers never need it

    with sync_playwright() as playwright:
        # Chromium's sandbox needs a user other than root.
        sandbox = [] if not hasattr(os, "geteuid") or os.geteuid() else ["--no-sandbox"]
        started = playwright.chromium.launch(
            executable_path=chromium_path, args=[*CHROMIUM_ARGUMENTS, *sandbox]
        )
        yield started
        started.close()


@dataclass
class Watch:
    """What went wrong in the pages of a context; anything not allowed fails the test.

    Args:
        origin: The only origin that may be asked.
        problems: What was seen.
        allowed: Patterns of problems that the test provokes on purpose.
    """

    origin: str
    problems: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def allow(self, pattern: str) -> None:
        """Expect problems that match; a test that provokes an error says so here."""
        self.allowed.append(pattern)

    def follow(self, context: BrowserContext) -> None:
        """Watch every page of a context, its workers' requests included."""
        context.on("console", self._console)
        context.on("weberror", lambda error: self.problems.append(f"exception: {error.error}"))
        context.on("request", self._request)

    def unexpected(self) -> list[str]:
        """The problems that no pattern allows."""
        return [
            problem
            for problem in self.problems
            if not any(re.search(pattern, problem) for pattern in self.allowed)
        ]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob"} and request.url.find(self.origin) != 0:
            self.problems.append(f"other origin: {request.url}")


def origin_of(address: str) -> str:
    """Scheme, host and port with a final slash."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}/"


@pytest.fixture
def watch(site_url: str) -> Iterator[Watch]:
    """The watch over every page that this test opens; checked when the test ends."""
    seen = Watch(origin=origin_of(site_url))
    yield seen
    assert seen.unexpected() == []


@pytest.fixture
def new_context(browser: Browser, watch: Watch) -> Iterator[Callable[..., BrowserContext]]:
    """A maker of fresh, watched contexts: own storage, caches and service worker."""
    made: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 720}, **options})
        watch.follow(context)
        made.append(context)
        return context

    yield make
    for context in made:
        context.close()


@pytest.fixture
def page(new_context: Callable[..., BrowserContext]) -> Page:
    """A fresh page, 1280x720, light, still blank."""
    return new_context(color_scheme="light").new_page()
