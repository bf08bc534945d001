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

    from playwright.sync_api import BrowserContext, Page

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
    for number in range(6):
        tab = ready(context.new_page(), site_url)
        tab.open(format="einsum", text=",".join(("ab", "bc", "cd", "de", "ef", "fg")[: number + 1]))
        tab.page.wait_for_timeout(300)
        drawn.append(tab.document())
        tab.page.close()
    # By a link nothing was drawn here yet, so nothing was kept.
    link = codec.encode_link(template("mps", {"n": 4}))
    bench = ready(context.new_page(), f"{site_url}#{link}")
    linked = bench.document()
    bench.page.get_by_role("button", name="Open", exact=True).click()
    listed = bench.page.get_by_role("region", name="Earlier drawings")
    earlier = listed.get_by_role("listitem")
    expect(earlier).to_have_count(4)
    assert "6 tensors: A, B, C, D, …" in earlier.nth(0).inner_text()
    listed.get_by_role("button", name="Show all 6").click()
    expect(earlier).to_have_count(6)
    earlier.nth(4).get_by_role("button").click()
    bench.until("now.document.tensors.length === 2")
    assert bench.document() == drawn[1]
    assert bench.run()["shape"] == [4, 4]
    bench.page.wait_for_timeout(300)
    bench.page.reload()
    bench = ready(bench.page, site_url)
    assert bench.document() == drawn[1]
    # It is a copy, and what was shown before is kept as well.
    bench.page.locator(".tl-canvas").focus()
    bench.press("t")
    bench.page.wait_for_timeout(300)
    assert len(bench.document()["tensors"]) == 3
    kept = bench.page.evaluate(KEPT)
    assert all(one in kept for one in (*drawn, linked, bench.document()))


TRY_AGAIN_MS = 3200
"""An array that found no room is tried again after 3 s (drafts.ts)."""

FULL = """(full) => {
  const store = IDBObjectStore.prototype;
  const roomy = globalThis.roomyPut ??= store.put;
  store.put = function (...values) {
    const asked = roomy.apply(this, values);
    // As a browser does that finds no room when it writes: the request itself was right.
    if (full.includes(this.name)) asked.onsuccess = () => this.transaction.abort();
    return asked;
  };
}"""


def test_what_the_browser_does_not_keep_is_told_of_once(page: Page, site_url: str) -> None:
    bench = ready(page, site_url)
    bench.open(format="einsum", text="ab,bc->ac")
    page.evaluate(FULL, ["drafts"])
    page.locator(".tl-canvas").focus()
    bench.press("t")
    expect(page.locator(".tl-toast")).to_have_count(1)
    assert "could not keep the drawing, so closing the page would lose it" in bench.toasts()[0]
    page.get_by_role("button", name="Close this message").click()
    bench.press("t")
    assert bench.toasts() == []
    page.evaluate(FULL, [])
    bench.press("t")
    bench.page.wait_for_timeout(300)
    assert len(bench.document()["tensors"]) == 5
    assert bench.document() in page.evaluate(KEPT)
    # From then on it is told of again.
    page.evaluate(FULL, ["drafts"])
    bench.press("t")
    expect(page.locator(".tl-toast")).to_have_count(1)


def test_an_array_that_found_no_room_is_kept_when_there_is_some(
    new_context: Callable[..., BrowserContext], site_url: str
) -> None:
    context = new_context()
    bench = ready(context.new_page(), site_url)
    bench.page.evaluate(FULL, ["blobs"])
    given = [{"shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]}]
    bench.open(format="einsum", text="ij->ji", arrays=given)
    expect(bench.page.locator(".tl-toast")).to_have_count(1)
    bench.page.evaluate(FULL, [])
    bench.page.wait_for_timeout(TRY_AGAIN_MS)
    bench.page.locator(".tl-canvas").focus()
    bench.press("t", "Control+z")
    bench.page.wait_for_timeout(500)
    bench.page.close()
    again = ready(context.new_page(), site_url)
    assert again.run()["value"] == [1, 4, 2, 5, 3, 6]
