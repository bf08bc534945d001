"""Fixtures shared by all tiers: the built site on a local server, and Chromium on it.

A page from here fails its test by itself if anything went wrong in it that no assertion looked at:
an error on the console, an exception, a request to another origin.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sitebuild import browsers, commands, serve
from watch import Watch, origin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

    from known_device import KnownDevice

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


@pytest.fixture(scope="session")
def known_device(browser: Browser, site_url: str, site_folder: Path) -> KnownDevice:
    """Storage of an earlier visit, for pages whose first visit is not what is tested."""
    from known_device import KnownDevice  # noqa: PLC0415  # it needs Playwright, as below

    build = sha256((site_folder / "service-worker.js").read_bytes()).hexdigest()[:16]
    return KnownDevice(browser, site_url, ROOT / ".cache" / "tests" / f"device-{build}.json")


@pytest.fixture
def watch(site_url: str) -> Iterator[Watch]:
    """The watch over every page that this test opens; checked when the test ends."""
    seen = Watch(origin=origin_of(site_url))
    yield seen
    assert seen.unexpected() == []


@pytest.fixture
def new_context(
    browser: Browser, watch: Watch, site_url: str, known_device: KnownDevice
) -> Iterator[Callable[..., BrowserContext]]:
    """A maker of watched contexts: own storage, in which the device is known, and caches."""
    made: list[BrowserContext] = []
    usual = {
        "viewport": {"width": 1280, "height": 720},
        "storage_state": known_device.at(site_url),
    }

    def make(**options: object) -> BrowserContext:
        context = browser.new_context(**{**usual, **options})
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
