"""A page of its own that a service worker is in charge of, and the threads that one may choose."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from page_state import python_answered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

__all__ = ["choose_threads", "own_page"]


@contextmanager
def own_page(browser: Browser, address: str) -> Iterator[Page]:
    """The page, with Python started, in a context that ends with it."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    python_answered(page)
    page.evaluate("navigator.serviceWorker.ready")
    page.wait_for_function("navigator.serviceWorker.controller !== null")
    yield page
    context.close()


def choose_threads(page: Page, words: str) -> None:
    """Chooses threads in the device's popover and follows its button, until the page is there."""
    page.get_by_role("button", name="Show this device").click()
    page.get_by_role("radio", name=words).click(force=True)
    with page.expect_navigation():
        page.get_by_role("button", name="Reload").click()
