"""A page from https, as from any static host, and workers with and without encryption.

Chromium is told that the site's server is on the internet: it takes what is on this machine, or in
its network, for more private, and asks the user. It trusts the site's certificate, and no other.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from worker_harness import Process

from certificates import Certificate, certificate
from sitebuild import serve
from watch import Watch
from workbench import Workbench, native, ready
from worker_double import TOKEN, WorkerDouble
from worker_page import RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Locator

NAME = "tensorloom.example"
"""Of the page's host; Chromium is told where that is."""

Start = "Callable[..., tuple[Workbench, BrowserContext]]"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The site's certificate."""
    return certificate(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def secure_url(site_folder: Path, shown: Certificate) -> Iterator[str]:
    """Address of the site, over https."""
    with serve.background(site_folder, tls=shown.context) as address:
        yield address.replace("localhost", NAME)


@pytest.fixture(scope="module")
def outside(
    browser: Browser, chromium_path: Path, secure_url: str, shown: Certificate
) -> Iterator[Browser]:
    """A browser for which the site is on the internet."""
    port = urlsplit(secure_url).port
    sandbox = [] if not hasattr(os, "geteuid") or os.geteuid() else ["--no-sandbox"]
    started = browser.browser_type.launch(
        executable_path=chromium_path,
        args=[
            *sandbox,
            f"--host-resolver-rules=MAP {NAME} 127.0.0.1",
            f"--ip-address-space-overrides=127.0.0.1:{port}=public",
            f"--ignore-certificate-errors-spki-list={shown.pin}",
        ],
    )
    yield started
    started.close()


@pytest.fixture
def start(outside: Browser, secure_url: str) -> Iterator[Start]:
    """Opens the site; what goes wrong in it fails the test, but for what it expects."""
    made: list[tuple[BrowserContext, Watch]] = []

    def open_site(*expected: str) -> tuple[Workbench, BrowserContext]:
        context = outside.new_context(viewport={"width": 1280, "height": 800})
        watch = Watch(origin=secure_url)
        for pattern in expected:
            watch.allow(pattern)
        watch.follow(context)
        made.append((context, watch))
        return ready(context.new_page(), secure_url), context

    yield open_site
    for context, watch in made:
        context.close()
        assert watch.unexpected() == []


def ask_for(bench: Workbench, address: str, token: str = TOKEN) -> Locator:
    """The connection panel after an address was typed there."""
    bench.page.locator(".tl-canvas").focus()
    bench.press("w")
    panel = bench.page.get_by_role("dialog", name="Worker")
    panel.get_by_label("Address").fill(address)
    panel.get_by_label("Token").fill(token)
    bench.page.keyboard.press("Enter")
    return panel


def computed(bench: Workbench, address: str, token: str) -> None:
    """Runs a product there, and compares it with numpy's."""
    bench.open(format="einsum", text="ij,jk->ik i=2 j=3 k=2", seed=4)
    found: dict[str, Any] = bench.page.evaluate(RUN, {"address": address, "token": token})
    assert "code" not in found, found
    np.testing.assert_allclose(
        np.reshape(found["value"], found["shape"]), native(bench.document()), rtol=1e-12
    )


def test_a_page_from_the_internet_reaches_this_machine_once_the_user_allows_it(
    start: Start, double: WorkerDouble
) -> None:
    double.held = False
    bench, context = start(re.escape(double.address))
    panel = ask_for(bench, double.address)
    alert = panel.get_by_role("alert")
    alert.get_by_text("The browser does not let this page reach").wait_for()
    assert "Allow it in the settings of this site" in alert.inner_text()
    assert double.requests == []
    context.grant_permissions(["local-network-access"])
    # It tries again by itself.
    panel.get_by_text(f"Connected to {double.address[7:]}").wait_for()
    computed(bench, double.address, TOKEN)


def test_an_unencrypted_worker_on_another_machine_is_refused_before_it_is_asked(
    outside: Browser, secure_url: str, site_folder: Path
) -> None:
    """As in a site that was built to reach it; the browser would only say that it failed."""
    address = "http://worker.example:8765"
    context = outside.new_context()
    try:
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        text = (site_folder / "index.html").read_text(encoding="utf-8")
        built = text.replace("connect-src", f"connect-src {address}")
        page.route(secure_url, lambda route: route.fulfill(body=built, content_type="text/html"))
        bench = ready(page, secure_url)
        panel = ask_for(bench, address)
        assert panel.get_by_role("alert").inner_text() == (
            f"A page from https cannot reach {address}, which is not encrypted. Give the worker a "
            f"certificate (--tls-cert), or open the page that it serves, {address}/."
        )
        assert bench.state("now.remote?.connection.kind") == "off"
        assert [url for url in asked if url.startswith(address)] == []
        # It is true: the browser says so where it is asked.
        with page.expect_console_message(lambda said: "Mixed Content" in said.text):
            page.evaluate("(url) => fetch(url).catch(() => null)", f"{address}/v1/health")
    finally:
        context.close()


@pytest.fixture(scope="module")
def encrypted(
    tmp_path_factory: pytest.TempPathFactory, secure_url: str, shown: Certificate
) -> Iterator[Callable[[Certificate | None], Process]]:
    """Starts services over https, with the site's certificate or another."""
    started: list[Process] = []

    def start_it(own: Certificate | None = None) -> Process:
        folder = tmp_path_factory.mktemp("worker")
        used = own or shown
        process = Process(
            folder=folder / "data",
            flags=(
                *("--tls-cert", str(used.file), "--tls-key", str(used.key)),
                *("--allow-origin", secure_url.rstrip("/")),
            ),
        )
        started.append(process.start())
        return process

    yield start_it
    for process in started:
        process.stop()


def test_a_certificate_that_the_browser_does_not_trust_is_named_as_a_reason(
    start: Start, encrypted: Callable[[Certificate | None], Process], tmp_path: Path
) -> None:
    worker = encrypted(certificate(tmp_path))
    bench, context = start(re.escape(worker.address), "net::ERR_CERT")
    context.grant_permissions(["local-network-access"])
    panel = ask_for(bench, worker.address, worker.token)
    panel.get_by_role("alert").wait_for()
    assert (
        f"If its certificate is one of your own making, open {worker.address}/v1/health in a tab "
        "and accept it there." in panel.get_by_role("alert").inner_text()
    )


def test_a_worker_over_https_computes_for_a_page_from_https(
    start: Start, encrypted: Callable[[Certificate | None], Process]
) -> None:
    worker = encrypted(None)
    bench, context = start(re.escape(worker.address))
    context.grant_permissions(["local-network-access"])
    panel = ask_for(bench, worker.address, worker.token)
    panel.get_by_text(f"Connected to {worker.address[8:]}").wait_for()
    computed(bench, worker.address, worker.token)
