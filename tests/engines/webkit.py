"""WebKitGTK by its own WebDriver, in MiniBrowser on a virtual display."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from engines.engine import HEIGHT, LONGEST_SECONDS, WIDTH, Point, as_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engines.engine import Engine
    from sitebuild.environment import Environment

__all__ = ["webkit"]

DISPLAY = ("xvfb-run", "--auto-servernum", "--server-args=-screen 0 1600x1200x24")
STEPS = 6
"""Between two points of a drag."""

WATCH = """
() => {
  globalThis.seenProblems = [];
  const see = (problem) => seenProblems.push(problem);
  addEventListener("error", ({ message, filename }) => see(`exception: ${message} (${filename})`));
  addEventListener("unhandledrejection", ({ reason }) => see(`exception: ${reason}`));
  addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
    see(`policy: ${violatedDirective} ${blockedURI}`));
  const { error } = console;
  console.error = (...words) => {
    see(`console: ${words.join(" ")}`);
    error.apply(console, words);
  };
}
"""
"""This driver has no log of the console, so the page keeps one as soon as it is loaded."""


@contextmanager
def webkit(_env: Environment, program: Path) -> Iterator[Engine]:
    """A page in a MiniBrowser of its own, which keeps nothing."""
    from selenium.webdriver import Remote  # noqa: PLC0415  # slow to import, not always needed
    from selenium.webdriver.remote.client_config import ClientConfig  # noqa: PLC0415  # as above
    from selenium.webdriver.remote.remote_connection import (  # noqa: PLC0415  # as above
        RemoteConnection,
    )
    from selenium.webdriver.webkitgtk.options import Options  # noqa: PLC0415  # as above

    options = Options()
    options.binary_location = str(program)
    options.add_argument("--automation")
    # Not "eager": this driver then often misses the event that it waits for (2.50.6, 2026-11).
    options.page_load_strategy = "normal"
    with _service() as address:
        connection = RemoteConnection(client_config=ClientConfig(remote_server_addr=address))
        driver = Remote(connection, options=options)
        try:
            yield _WebKit(driver)
        finally:
            driver.quit()


@contextmanager
def _service() -> Iterator[str]:
    """The address of a WebKitWebDriver on a display of its own."""
    port = _free_port()
    variables = dict(os.environ)
    if os.geteuid() == 0:
        # WebKit's sandbox needs a user other than root.
        variables["WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS"] = "1"
    with subprocess.Popen(
        [*DISPLAY, "WebKitWebDriver", f"--port={port}"], env=variables, start_new_session=True
    ) as process:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            # The whole group: the display's server is a child of the script that started both.
            os.killpg(process.pid, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("WebKitWebDriver does not answer.")


class _WebKit:
    def __init__(self, driver: Any) -> None:  # selenium's own, untyped
        found = driver.capabilities
        self.version = f"{found['browserName']}/{found['browserVersion']}"
        self.driver = driver
        driver.set_script_timeout(LONGEST_SECONDS)
        driver.set_window_size(WIDTH, HEIGHT)
        # What the browser's own bars take is known only now.
        width, height = driver.execute_script("return [innerWidth, innerHeight]")
        driver.set_window_size(2 * WIDTH - width, 2 * HEIGHT - height)

    def open(self, address: str) -> None:
        self.driver.get(address)
        self.evaluate(WATCH)

    def evaluate(self, function: str, *given: object) -> Any:  # any JSON
        answer = self.driver.execute_async_script(
            f"""
            const done = arguments[arguments.length - 1];
            {as_json(function, given)}.then(
              (text) => done({{ text }}),
              (error) => done({{ error: `${{error}}\\n${{error.stack}}` }}));
            """
        )
        assert "error" not in answer, answer["error"]
        return json.loads(answer["text"])

    def drag(self, *points: Point) -> None:
        with self._pointer(points[0]) as pointer:
            pointer.pointer_down()
            for (x, y), (to_x, to_y) in pairwise(points):
                for step in range(1, STEPS + 1):
                    part = step / STEPS
                    pointer.move_to_location(
                        round(x + (to_x - x) * part), round(y + (to_y - y) * part)
                    )
            pointer.pointer_up()

    def click(self, point: Point) -> None:
        with self._pointer(point) as pointer:
            pointer.click()

    def type(self, text: str) -> None:
        from selenium.webdriver.common.action_chains import (  # noqa: PLC0415  # as above
            ActionChains,
        )
        from selenium.webdriver.common.keys import Keys  # noqa: PLC0415  # as above

        ActionChains(self.driver).send_keys(text.replace("\n", Keys.ENTER)).perform()

    def screenshot(self, path: Path) -> None:
        assert self.driver.save_screenshot(str(path))

    def problems(self) -> list[str]:
        found: list[str] = self.evaluate("() => seenProblems")
        return found

    @contextmanager
    def _pointer(self, start: Point) -> Iterator[Any]:
        """The mouse at a place; what is asked of it is done when the block ends."""
        from selenium.webdriver.common.actions.action_builder import (  # noqa: PLC0415  # as above
            ActionBuilder,
        )

        actions = ActionBuilder(self.driver, duration=0)
        actions.pointer_action.move_to_location(*map(round, start))
        yield actions.pointer_action
        actions.perform()
