"""Nothing is lost: a killed tab, arrays from files, links beside drafts; on the built site."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from playwright.sync_api import Error, expect

from page_state import until
from tensorloom.formats.templates import template
from tensorloom.model import codec
from workbench import Workbench, beside, native, ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import BrowserContext

pytestmark = [pytest.mark.browser, pytest.mark.alone]

WITHOUT_WORKER = {"service_workers": "block"}
"""A crash takes the service worker's process along, and its debugger never lets the next one go."""

KEPT = """
() => new Promise((done) => {
  const opened = indexedDB.open("tensorloom");
  opened.onsuccess = () => {
    const drafts = opened.result.transaction("drafts").objectStore("drafts").getAll();
    drafts.onsuccess = () => {
      opened.result.close();
      done(drafts.result.map(({ document }) => document));
    };
  };
})
"""


def crash(bench: Workbench) -> None:
    """Kill the renderer; it has no moment to save anything."""
    with pytest.raises(Error, match="crash"):
        bench.page.goto("chrome://crash", timeout=5000)


def test_a_crash_loses_the_gesture_in_the_air_and_nothing_else(
    new_context: Callable[..., BrowserContext], site_url: str
) -> None:
    context = new_context(**WITHOUT_WORKER)
    bench = ready(context.new_page(), site_url)
    bench.open(format="einsum", text="ab,bc->ac")
    bench.press("Escape", "f")
    bench.page.locator(".tl-canvas").focus()
    bench.press("t")
    bench.click(bench.tensor("A"))
    start = bench.tensor("A")
    bench.drag(start, beside(start, 20, 40))
    committed = bench.document()
    assert len(committed["tensors"]) == 3
    at = bench.number("b")
    bench.page.mouse.move(*at)
    bench.page.mouse.down()
    bench.page.mouse.move(at[0] + 60, at[1], steps=5)
    assert bench.document()["dimensions"]["b"] > 4
    crash(bench)
    again = ready(context.new_page(), site_url)
    assert again.document() == committed
    value = np.array(again.run()["value"]).reshape(4, 4)
    np.testing.assert_allclose(value, native(committed), rtol=1e-12)


def test_arrays_from_files_come_back(
    new_context: Callable[..., BrowserContext], site_url: str
) -> None:
    context = new_context(**WITHOUT_WORKER)
    bench = ready(context.new_page(), site_url)
    bench.open(format="einsum", text="ij->ij")
    file = io.BytesIO()
    given = np.arange(300.0 * 200).reshape(300, 200)
    np.save(file, given)
    request = {
        "kind": "open",
        "format": None,
        "name": "big.npy",
        "text": None,
        "base64": base64.b64encode(file.getvalue()).decode(),
        "onto": "t1",
        "options": {},
    }
    bench.page.evaluate("(request) => { tensorloomStore.request(request); }", request)
    bench.until("now.document.dimensions.i === 300")
    bench.settle()
    bench.page.wait_for_timeout(500)
    crash(bench)
    again = ready(context.new_page(), site_url)
    assert again.document()["dimensions"] == {"i": 300, "j": 200}
    again.until("now.result?.shape.join() === '300,200'", seconds=20)
    np.testing.assert_array_equal(again.run()["value"], given.reshape(-1))


def test_a_link_never_overwrites_a_draft(
    new_context: Callable[..., BrowserContext], site_url: str
) -> None:
    context = new_context()
    mine = ready(context.new_page(), site_url)
    mine.open(format="einsum", text="ab,bc->ac")
    drawn = mine.document()
    mine.page.wait_for_timeout(300)
    mine.page.close()
    link = codec.encode_link(template("mps", {"n": 4}))
    theirs = ready(context.new_page(), f"{site_url}#{link}")
    assert len(theirs.document()["tensors"]) == 4
    assert "Your own drawing is kept." in theirs.page.locator(".tl-draft-line").inner_text()
    theirs.page.locator(".tl-canvas").focus()
    theirs.press("t")
    until(theirs.page, "() => location.hash === ''")
    theirs.page.wait_for_timeout(300)
    kept = theirs.page.evaluate(KEPT)
    assert drawn in kept
    assert theirs.document() in kept
    theirs.page.get_by_role("button", name="Go back").click()
    assert theirs.document() == drawn


def test_the_drawing_of_a_closed_tab_is_opened_again(
    new_context: Callable[..., BrowserContext], site_url: str
) -> None:
    context = new_context()
    drawn = []
    for text in ("ab,bc->ac", "abc,cd,de->abe"):
        tab = ready(context.new_page(), site_url)
        tab.open(format="einsum", text=text)
        tab.page.wait_for_timeout(300)
        drawn.append(tab.document())
        tab.page.close()
    bench = ready(context.new_page(), site_url)
    assert bench.document() == drawn[1]
    bench.page.get_by_role("button", name="Open", exact=True).click()
    earlier = bench.page.get_by_role("region", name="Earlier drawings").get_by_role("button")
    expect(earlier).to_have_count(1)
    assert "2 tensors: A, B" in earlier.inner_text()
    earlier.click()
    assert bench.document() == drawn[0]
    assert bench.run()["shape"] == [4, 4]
    # It is a copy: a tab that has it open keeps its own.
    bench.page.locator(".tl-canvas").focus()
    bench.press("t")
    bench.page.wait_for_timeout(300)
    kept = bench.page.evaluate(KEPT)
    assert len(bench.document()["tensors"]) == 3
    assert all(one in kept for one in (*drawn, bench.document()))


def test_a_drawing_that_the_browser_does_not_keep_is_told_of_once(bench: Workbench) -> None:
    full = """(full) => {
      const store = IDBObjectStore.prototype;
      globalThis.roomyPut ??= store.put;
      store.put = full
        ? () => { throw new DOMException("full", "QuotaExceededError"); }
        : globalThis.roomyPut;
    }"""
    bench.open(format="einsum", text="ab,bc->ac")
    bench.page.evaluate(full, True)
    bench.page.locator(".tl-canvas").focus()
    bench.press("t")
    expect(bench.page.locator(".tl-toast")).to_have_count(1)
    assert "could not keep the drawing, so closing the page would lose it" in bench.toasts()[0]
    bench.press("t")
    assert len(bench.toasts()) == 1
    bench.page.evaluate(full, False)
    bench.press("t")
    assert len(bench.document()["tensors"]) == 5
    bench.page.wait_for_timeout(300)
    assert bench.document() in bench.page.evaluate(KEPT)
