"""The panel that connects the page to a worker, and links that do so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from workbench import ready
from worker_double import TOKEN
from worker_page import connect, link_to, show_big

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from workbench import Workbench
    from worker_double import WorkerDouble


def test_nothing_is_asked_of_a_worker_before_it_is_connected(page: Page, site_url: str) -> None:
    # The page is watched: a request to another origin fails the test.
    bench = ready(page, site_url)
    show_big(bench)
    assert bench.state("now.remote") is None
    loaded = page.evaluate(
        "() => performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert any(name.endswith("/editor.js") for name in loaded)
    assert [name for name in loaded if name.endswith("/remote.js")] == []
    page.get_by_role("button", name="Show this device").click()
    page.get_by_role("button", name="Connect a worker").click()
    panel = page.get_by_role("dialog", name="Worker")
    assert panel.get_by_label("Address").input_value() == "http://127.0.0.1:8765"


def test_the_panel_connects_by_keyboard_and_says_what_is_there(
    bench: Workbench, double: WorkerDouble
) -> None:
    page = bench.page
    page.get_by_role("button", name="Show this device").click()
    page.get_by_role("button", name="Connect a worker").click()
    panel = page.get_by_role("dialog", name="Worker")
    # Its fields are loaded when they are first wanted, and have the focus from then on.
    expect(panel.get_by_label("Token")).to_be_focused()
    page.keyboard.press("Enter")
    assert "There is no token." in panel.get_by_role("alert").inner_text()
    page.keyboard.type("wrong")
    panel.get_by_label("Address").fill(f" {double.address}/ ")
    page.keyboard.press("Enter")
    alert = panel.get_by_role("alert")
    alert.wait_for()
    assert "does not know this token. Copy the token" in alert.inner_text()
    assert "None yet" not in panel.inner_text()
    panel.get_by_role("button", name="Disconnect").click()
    assert panel.get_by_label("Address").input_value() == double.address
    panel.get_by_label("Token").fill(f"“{TOKEN}”")
    page.keyboard.press("Enter")
    assert "characters beyond ASCII" in panel.get_by_role("alert").inner_text()
    panel.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    panel.get_by_text(f"Connected to {double.address[7:]}").wait_for()
    text = panel.inner_text().replace("\u2009", " ")
    assert "2 processes, 4.0 GB each; numpy; version 9.9." in text
    assert "None yet." in text
    page.keyboard.press("Escape")
    assert page.get_by_role("button", name="Show this device").inner_text() == (
        "Runs on this CPU, 64-bit, or on the worker"
    )


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("ftp://worker", "is not the address of a worker"),
        ("https://worker.example", "This page may reach workers on this machine"),
    ],
)
def test_an_address_out_of_reach_is_refused_with_a_way_out(
    bench: Workbench, typed: str, said: str
) -> None:
    bench.page.locator(".tl-canvas").focus()
    bench.press("w")
    panel = bench.page.get_by_role("dialog", name="Worker")
    panel.get_by_label("Address").fill(typed)
    panel.get_by_label("Token").fill("t")
    bench.page.keyboard.press("Enter")
    assert said in panel.get_by_role("alert").inner_text()
    assert bench.state("now.remote.connection.kind") == "off"


def test_a_link_connects_and_leaves_no_token_behind(bench: Workbench, double: WorkerDouble) -> None:
    connect(bench, double)
    show_big(bench)
    assert TOKEN not in bench.page.url
    assert "worker=" not in bench.page.url
    assert TOKEN not in bench.page.evaluate("() => JSON.stringify(tensorloomStore.get().remote)")
    assert TOKEN not in bench.page.evaluate("() => tensorloom.link()")
    assert TOKEN not in bench.page.evaluate("() => JSON.stringify(history.state)")
    kept = bench.page.evaluate(
        """async () => {
          const open = (name) => new Promise((resolve, reject) => {
            const request = indexedDB.open(name);
            request.onsuccess = () => resolve(request.result);
            request.onerror = () => reject(request.error);
          });
          const all = [];
          for (const { name } of await indexedDB.databases()) {
            const database = await open(name);
            for (const store of database.objectStoreNames) {
              const request = database.transaction(store).objectStore(store).getAll();
              await new Promise((resolve) => { request.onsuccess = resolve; });
              all.push(request.result);
            }
            database.close();
          }
          return JSON.stringify(all);
        }"""
    )
    assert TOKEN not in kept
    assert all(TOKEN not in path for _, path, _ in double.requests)


def test_a_link_to_another_machine_asks_and_sends_nothing(bench: Workbench) -> None:
    before = bench.document()
    bench.page.evaluate("(hash) => { location.hash = hash; }", link_to("https://evil.example"))
    panel = bench.page.get_by_role("dialog", name="Worker")
    question = panel.get_by_role("group", name="A link asks to connect")
    question.wait_for()
    assert "the worker at evil.example" in question.inner_text()
    assert bench.state("now.remote.connection.kind") == "off"
    assert "evil" not in bench.page.url
    bench.page.get_by_role("button", name="Do not connect").click()
    assert bench.state("now.remote.asked") is None
    assert bench.document() == before


def test_a_link_never_replaces_a_connection_unasked(bench: Workbench, double: WorkerDouble) -> None:
    connect(bench, double)
    bench.page.evaluate("(hash) => { location.hash = hash; }", link_to("http://127.0.0.1:9"))
    bench.page.get_by_role("group", name="A link asks to connect").wait_for()
    assert bench.state("now.remote.connection.address") == double.address
    bench.page.get_by_role("button", name="Do not connect").click()
