"""Contestants in pages: a library, or Tensorloom's built site through its public call.

Each has a browser of its own: what ends one, or its GPU process, leaves the others alone. One that
does not answer is ended, and that is an error of its contestant.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from contestant import LIMIT_S, ContestantFailed, limited
from playwright.sync_api import Error

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser

__all__ = ["Library", "Ours", "Window"]

SAYING = """async (given) => {{
  try {{
    return await ({function})(given);
  }} catch (thrown) {{
    throw thrown instanceof Error ? thrown : new Error(thrown?.message ?? JSON.stringify(thrown));
  }}
}}"""
"""What is thrown need not be an error, and its words would be lost."""

LIVES = 4
"""How often a page may end in one case."""


class Window:
    """A page in a browser of its own.

    Args:
        launch: Starts the browser.
        url: Of the page.
        ready: JavaScript that resolves when the page is.
        limit_s: The most that one answer may take.
    """

    def __init__(
        self, launch: Callable[[], Browser], url: str, ready: str, limit_s: float = LIMIT_S
    ) -> None:
        self._launch, self._url, self._ready, self._limit_s = launch, url, ready, limit_s
        self.restart()

    def restart(self) -> None:
        """Open it anew."""
        self.close()
        self._browser = self._launch()
        session = self._browser.new_browser_cdp_session()
        processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
        self._process = next(int(one["id"]) for one in processes if one["type"] == "browser")
        self._page = self._browser.new_context().new_page()
        self._page.goto(self._url)
        self.told: Any = self.ask(f"() => {self._ready}")

    def ask(self, function: str, argument: Any = None) -> Any:
        """What a JavaScript function gives.

        Raises:
            ContestantFailed: It threw, its page ended, or it took too long.
        """
        with limited(self._limit_s, lambda: os.kill(self._process, signal.SIGKILL)) as late:
            try:
                return self._page.evaluate(SAYING.format(function=function), argument)
            except Error as error:
                said = str(error).removeprefix("Page.evaluate: ").strip() or "no message"
                why = f"no answer in {self._limit_s:g} s" if late.is_set() else said
                raise ContestantFailed(why.splitlines()[0][:300]) from error

    def close(self) -> None:
        """End its browser."""
        browser: Browser | None = getattr(self, "_browser", None)
        if browser is not None:
            with suppress(Error):  # it may have ended by itself
                browser.close()


class Library:
    """A library in its page.

    Args:
        window: Its page, which tells ``threads`` and ``readyMs``.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self.threads: int | None = window.told["threads"]
        self.ready_ms: float = window.told["readyMs"]

    def _ask(self, method: str, argument: Any = None) -> Any:
        return self._window.ask(f"(given) => peer.then((it) => it.{method}(given))", argument)

    def prepare(self, task: dict[str, Any]) -> list[dict[str, Any]]:
        """What became of each formulation; one that ends the page is not tried again.

        Raises:
            ContestantFailed: Too many ended it.
        """
        tried: dict[int, dict[str, Any]] = {}
        for _ in range(LIVES):
            if self._attempted(task, tried):
                return [tried[at] for at in sorted(tried)]
            self.restart()
        raise ContestantFailed(next(one["error"] for one in tried.values() if one["ended"]))

    def _attempted(self, task: dict[str, Any], tried: dict[int, dict[str, Any]]) -> bool:
        """Whether all that was not tried yet was; the best so far once more, for a new page."""
        names: list[str] = self._ask("adapt", task)
        right = [at for at, one in tried.items() if one["ms"] is not None]
        best = sorted(right, key=lambda at: float(tried[at]["ms"]))[:1]
        for at in [*best, *(at for at in range(len(names)) if at not in tried)]:
            try:
                outcome: dict[str, Any] = self._ask("attempt", at)
            except ContestantFailed as failure:
                why = str(failure)
                outcome = {"name": names[at], "ms": None, "firstMs": None, "maxErr": None}
                outcome |= {"error": why, "ended": why}
            tried[at] = outcome
            if outcome["ended"]:
                return False
        return True

    def window(self, ms: float) -> float:
        """Milliseconds per call in a window of about so many."""
        return float(self._ask("window", ms))

    def check(self) -> float:
        """Error of one more result."""
        return float(self._ask("check"))

    def release(self) -> None:
        """Let go of the case."""
        self._ask("release")

    def restart(self) -> None:
        """A new browser."""
        self._window.restart()

    def close(self) -> None:
        """End its browser."""
        self._window.close()


class Ours:
    """Tensorloom's built site through its public benchmark call.

    Args:
        window: With the site; backends may share it.
        backend: ``wasm`` or ``webgpu``.
        threads: How many.
    """

    def __init__(self, window: Window, backend: str, threads: int) -> None:
        self.at = window
        self._options = {"backend": backend, "threads": threads}
        self._task: dict[str, Any] = {}
        self.threads: int | None = threads if backend == "wasm" else None

    def _bench(self, ms: float) -> dict[str, Any]:
        task = self._task
        left, right, expect = task["urls"]
        options = {**self._options, "minMs": ms, "inputs": [left, right], "expect": expect}
        found: dict[str, Any] = self.at.ask(
            "([text, shapes, dtype, options]) => tensorloom.bench(text, shapes, dtype, options)",
            [task["equation"], task["shapes"], task["dtype"], options],
        )
        return found

    def prepare(self, task: dict[str, Any]) -> list[dict[str, Any]]:
        """One formulation: the engine finds its own."""
        self._task = task
        found = self._bench(12)
        right = found["maxErr"] is not None and found["maxErr"] <= task["tolerance"]
        return [{
            "name": str(found.get("kernel", "engine")), "ms": found["ms"],
            "firstMs": found.get("tuneMs"), "maxErr": found["maxErr"],
            "error": None if right else f"wrong by {found['maxErr']}",
        }]  # fmt: skip

    def window(self, ms: float) -> float:
        """Milliseconds per call in a window of about so many."""
        return float(self._bench(ms)["ms"])

    def check(self) -> float:
        """Error of one more result."""
        return float(self._bench(1)["maxErr"])

    def release(self) -> None:
        """The engine lets go by itself."""

    def restart(self) -> None:
        """The site anew, in a new browser."""
        self.at.restart()

    def close(self) -> None:
        """End its browser."""
        self.at.close()
