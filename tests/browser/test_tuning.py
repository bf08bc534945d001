"""Tuning in the page: after a result kernels are tried, kept, and there again at the next visit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from workbench import ready

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

PRODUCT = {
    "format": "einsum",
    "text": "ik,kj->ij",
    "sizes": {"i": 256, "k": 256, "j": 256},
    "seed": 1,
    "dtype": "float32",
}
TUNED = "All shapes are tuned"


@pytest.fixture
def page(browser: Browser, site_url: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    opened = context.new_page()
    ready(opened, site_url)
    yield opened
    context.close()


def _run(page: Page) -> None:
    page.evaluate("document => tensorloom.open(document)", PRODUCT)
    page.evaluate("() => tensorloom.run({backend: 'wasm', dtype: 'float32'})")


def test_a_result_is_followed_by_better_kernels_that_stay(page: Page, pictures: Path) -> None:
    _run(page)
    page.locator("body").press("k")
    view = page.get_by_role("dialog", name="Kernels")
    expect(view.get_by_text(TUNED)).to_be_visible(timeout=15_000)
    shapes = page.get_by_label("Kernels of the last run").get_by_role("button")
    expect(shapes.first).to_contain_text("256")
    expect(page.get_by_label("Text of the kernel")).to_contain_text("v128")
    page.get_by_role("radio", name="How the chosen kernel was found").check()
    rows = page.locator(".tl-candidates tbody tr")
    expect(rows.first).to_contain_text("the fastest")
    best = rows.first.locator("th").inner_text()
    page.screenshot(path=pictures / "kernels-real.png")
    page.get_by_role("radio", name="What was measured of this device").check()
    expect(page.get_by_text("Vector registers", exact=True)).to_be_visible()
    page.screenshot(path=pictures / "kernels-real-device.png")
    page.reload()
    page.evaluate("tensorloom.ready")
    _run(page)
    page.locator("body").press("k")
    expect(view.get_by_text(TUNED)).to_be_visible(timeout=15_000)
    # Nothing was tried again: the stored kernel is in use.
    expect(page.get_by_label("Text of the kernel")).to_contain_text("v128")
    stored = re.compile(best.replace("\N{MULTIPLICATION SIGN}", "."))
    expect(page.get_by_label(stored).first).to_be_visible()
    page.get_by_role("radio", name="How the chosen kernel was found").check()
    expect(page.locator(".tl-candidates tbody tr")).to_have_count(0)
