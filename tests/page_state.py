"""Waiting for the page. Playwright's own polling evaluates text, which the page's CSP forbids."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["call_python", "drawn", "python_answered", "until"]

POLL = """(limit) => new Promise((resolve, reject) => {
  const condition = CONDITION;
  const started = performance.now();
  const look = () => {
    let value;
    try { value = condition(); } catch (error) { reject(error); return; }
    if (value) resolve(value);
    else if (performance.now() - started > limit) reject(new Error("not within " + limit + " ms"));
    else setTimeout(look, 20);
  };
  look();
})"""


FRAMES = """() => Promise.race([
  new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
  new Promise((done) => setTimeout(done, 2000)),
])"""


def drawn(page: Page, ms: float) -> None:
    """Waits, then for two frames: on a busy machine one takes longer than gestures are apart.

    Args:
        page: What draws; one that is not seen draws nothing, and is not waited for long.
        ms: At least so long [ms].
    """
    page.wait_for_timeout(ms)
    page.evaluate(FRAMES)


def until(page: Page, condition: str, *, seconds: float = 60) -> Any:  # any JSON
    """The first true value of a JavaScript function of no arguments, such as ``() => window.x``."""
    return page.evaluate(POLL.replace("CONDITION", condition), seconds * 1000)


def python_answered(page: Page, *, seconds: float = 60) -> dict[str, Any]:
    """The engine's features, once Python is linked to the page.

    Raises:
        AssertionError: Python could not start; the progress line says why.
    """
    status = until(
        page,
        """() => {
          const status = globalThis.tensorloomBoot?.status;
          return status && (status.ready || status.failed) ? status : null;
        }""",
        seconds=seconds,
    )
    assert not status["failed"], status["message"]
    features: dict[str, Any] = page.evaluate("() => tensorloomBoot.features")
    return features


def call_python(page: Page, method: str, args: object) -> Any:  # any JSON
    """The JSON answer of one call to the bridge, without its arrays."""
    text = page.evaluate(
        """([method, args]) => tensorloomBoot.call(method, args).then(
          (reply) => reply.text,
          (error) => { throw new Error(JSON.stringify(error)) },
        )""",
        [method, args],
    )
    return json.loads(text)
