"""What the page shows first, and that nothing is lost: links, drafts, the example.

On the harness page with ``?start``, which begins as the real page does, without Python.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Error, expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

RENAME = """harness.store.dispatch("Rename", [{ kind: "rename-tensor", id: "t1", name: "Mine" }])"""


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 720})
    yield made
    made.close()


def _open(context: BrowserContext, url: str) -> Page:
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(".tl-canvas .react-flow__pane")
    return page


def _names(page: Page) -> list[str]:
    found: list[str] = page.evaluate("harness.document().tensors.map(({ name }) => name)")
    return found


def _saved(page: Page) -> None:
    """Wait until the browser has the draft on disk."""
    page.wait_for_function(
        """() => new Promise(done => {
          const opened = indexedDB.open("tensorloom");
          opened.onsuccess = () => {
            const all = opened.result.transaction("drafts").objectStore("drafts").getAll();
            all.onsuccess = () => done(JSON.stringify(all.result).includes("Mine"));
          };
        })"""
    )


def _link(name: str) -> str:
    document: dict[str, Any] = {
        "tensorloom": 1,
        "title": "Sent",
        "dtype": "float64",
        "tensors": [
            {
                "id": "t1",
                "name": name,
                "indices": ["x"],
                "array": {"kind": "constant", "value": 1},
            }
        ],
        "dimensions": {"x": 3},
        "output": ["x"],
        "marks": {"t1": {"x": 0, "y": 0, "shape": "circle", "colour": "blue"}},
        "anchors": {},
    }
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(json.dumps(document).encode()) + packer.flush()
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def test_the_first_visit_shows_the_example(context: BrowserContext, harness_url: str) -> None:
    assert _names(_open(context, f"{harness_url}?start")) == ["E"]


def test_a_committed_gesture_survives_a_killed_tab(
    context: BrowserContext, harness_url: str
) -> None:
    page = _open(context, f"{harness_url}?start")
    page.evaluate(RENAME)
    _saved(page)
    with pytest.raises(Error, match=r"crash"):
        page.goto("chrome://crash", timeout=5000)
    assert _names(_open(context, f"{harness_url}?start")) == ["Mine"]


def test_a_link_never_overwrites_a_draft(context: BrowserContext, harness_url: str) -> None:
    page = _open(context, f"{harness_url}?start")
    page.evaluate(RENAME)
    _saved(page)
    sent = _open(context, f"{harness_url}?start#{_link('Theirs')}")
    assert _names(sent) == ["Theirs"]
    expect(sent.locator(".tl-draft-line")).to_contain_text("Your own drawing is kept.")
    sent.get_by_role("button", name="Go back").click()
    assert _names(sent) == ["Mine"]
    assert sent.evaluate("location.hash") == ""
    assert _names(_open(context, f"{harness_url}?start")) == ["Mine"]


def test_an_edited_link_is_found_again_after_a_reload(
    context: BrowserContext, harness_url: str
) -> None:
    page = _open(context, f"{harness_url}?start#{_link('Theirs')}")
    assert page.locator(".tl-draft-line").count() == 0
    page.evaluate(RENAME)
    _saved(page)
    assert page.evaluate("location.hash") == ""
    page.reload()
    page.wait_for_selector(".tl-canvas .react-flow__pane")
    assert _names(page) == ["Mine"]


@pytest.mark.parametrize("fragment", ["notalinkatall", "q1YqyczLVrJSMFHSUVJKLMksyUgtVlKyUjBU"])
def test_a_broken_link_says_so_and_leaves_the_draft(
    context: BrowserContext, harness_url: str, fragment: str
) -> None:
    page = _open(context, f"{harness_url}?start")
    page.evaluate(RENAME)
    _saved(page)
    broken = _open(context, f"{harness_url}?start#{fragment}")
    expect(broken.locator(".tl-toast")).to_contain_text("This link cannot be read")
    assert _names(broken) == ["Mine"]
