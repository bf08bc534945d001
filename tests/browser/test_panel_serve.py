"""``panel serve app/main.py``: the same workbench with Python on a server."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from page_state import until
from sitebuild import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def served(root: Path, site_folder: Path) -> Iterator[str]:
    """The application's address; the site's build left the editor's bundle where it is served."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = environment.ensure(root, quiet=True)
    command = [str(env.python), "-m", "panel", "serve", "app/main.py", "--port", str(port)]
    # Without our path: the application must find its package by itself.
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    server = subprocess.Popen(
        command, cwd=root, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    address = f"http://localhost:{port}/main"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(address, timeout=30).close()
                break
            except OSError:
                assert server.poll() is None, server.communicate()[0].decode()
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.communicate(timeout=20)


def test_the_workbench_loads_and_python_answers(browser: Browser, served: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    exceptions: list[str] = []
    page.on("pageerror", lambda error: exceptions.append(str(error)))
    page.goto(served)
    device = until(page, "() => globalThis.tensorloomStore?.get().device", seconds=90)
    assert device["sentence"]
    # A change that only Python can answer.
    field = page.get_by_label("Equation (einsum)")
    field.click()
    page.keyboard.press("Control+a")
    page.keyboard.type("ab,bc->ac", delay=5)
    shape = until(
        page,
        """() => {
          const now = tensorloomStore.get();
          // "ab,b" and "ab,bc" are documents too, on the way.
          return now.document.output.length === 2 && now.equation.text === "ab,bc->ac"
            && !now.equation.error && !now.stale && !now.behind && now.result?.shape;
        }""",
    )
    sizes = page.evaluate("() => tensorloomStore.get().document.dimensions")
    assert shape == [sizes["a"], sizes["c"]]
    assert page.locator(".tl-canvas").is_visible()
    assert exceptions == []
    context.close()
