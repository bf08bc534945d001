"""The page and a heavy worker: a double at the pace of the test, and the real service.

The double keeps the contract and does what it is told; so each state of a job can be looked at. The
real service runs as a process of its own, on another loopback port than the page.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from worker_harness import Process

from watch import Watch, origin_of
from workbench import Workbench, ready
from worker_double import WorkerDouble, worker_double

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from known_device import KnownDevice


@pytest.fixture(scope="session")
def visited(
    browser: Browser, site_url: str, known_device: KnownDevice
) -> Iterator[tuple[Workbench, Watch]]:
    """One started workbench for all tests that do not need one of their own."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 800},
        color_scheme="light",
        storage_state=known_device.at(site_url),
    )
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    watch = Watch(origin=origin_of(site_url))
    watch.follow(context)
    yield ready(context.new_page(), site_url), watch
    context.close()


@pytest.fixture
def double() -> Iterator[WorkerDouble]:
    """A worker that holds what it gets until the test lets it go on."""
    with worker_double() as found:
        found.held = True
        yield found


@pytest.fixture
def bench(visited: tuple[Workbench, Watch], double: WorkerDouble) -> Iterator[Workbench]:
    """A page with an empty drawing that is connected to nothing."""
    workbench, watch = visited
    watch.problems.clear()
    watch.allowed.clear()
    # Asked for, and on purpose not always answered.
    watch.allow(re.escape(double.address))
    workbench.clear()
    yield workbench
    workbench.page.evaluate("() => globalThis.tensorloomDesk?.disconnect()")
    workbench.page.evaluate("() => tensorloomStore.set({ dialog: null, backend: 'auto' })")
    assert watch.unexpected() == []


@pytest.fixture(scope="session")
def real(site_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One real service, which also serves the built site."""
    folder = tmp_path_factory.mktemp("worker") / "data"
    process = Process(
        folder=folder, flags=("--workers", "1", "--site", str(site_folder)), dask=True
    )
    process.start()
    yield process
    process.stop()
