"""The panels around the canvas, driven by mouse and keyboard on the harness page, without Python.

Python's side is a stand-in that acknowledges everything; what the page asked of it is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

SETTLE_MS = 80


@pytest.fixture
def page(browser: Browser, harness_url: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.goto(harness_url)
    opened.wait_for_selector(".tl-header")
    chain = _chain()
    opened.evaluate("chain => harness.open(chain)", chain)
    opened.evaluate("plan => harness.receive({ kind: 'plan', plan })", _plan(chain))
    yield opened
    context.close()
    assert problems == []


def _chain() -> dict[str, Any]:
    """A(ij) B(jk) C(kl) with i and l open."""
    names = {"A": ["i", "j"], "B": ["j", "k"], "C": ["k", "l"]}
    array = {"kind": "random", "seed": 1, "distribution": "normal"}
    return {
        "tensorloom": 1,
        "title": "Chain",
        "dtype": "float64",
        "tensors": [
            {"id": name, "name": name, "indices": indices, "array": array}
            for name, indices in names.items()
        ],
        "dimensions": {"i": 2, "j": 4, "k": 4, "l": 2},
        "output": ["i", "l"],
        "marks": {
            name: {"x": 160 * place, "y": 0, "shape": "circle", "colour": "blue"}
            for place, name in enumerate(names)
        },
        "anchors": {},
    }


def _plan(document: dict[str, Any]) -> dict[str, Any]:
    step = {"mulAdds": "32", "elements": "8", "liveElements": "24"}
    return {
        "finder": "greedy",
        "proved": False,
        "mulAdds": "48",
        "largestElements": "8",
        "peakElements": "24",
        "peakBytes": "192",
        "width": 3,
        "nSlices": "1",
        "sliced": [],
        "inputs": [tensor["id"] for tensor in document["tensors"]],
        "steps": [
            {**step, "left": 0, "right": 1, "out": 3, "indices": ["i", "k"]},
            {**step, "left": 3, "right": 2, "out": 4, "indices": ["i", "l"]},
        ],
        "predictedMs": 0.1,
        "backend": "wasm",
        "refused": None,
    }


def _shown(page: Page) -> dict[str, Any]:
    page.wait_for_timeout(SETTLE_MS)
    return page.evaluate("harness.document()")


def _asked(page: Page, kind: str) -> dict[str, Any]:
    """The last request of a kind."""
    page.wait_for_timeout(SETTLE_MS)
    found = page.evaluate("kind => harness.requests.filter(one => one.kind === kind).at(-1)", kind)
    assert found is not None, f"no {kind} request"
    return found


def _state(page: Page, expression: str) -> Any:
    page.wait_for_timeout(SETTLE_MS)
    return page.evaluate(f"(() => {{ const now = harness.store.get(); return {expression}; }})()")


def _select(
    page: Page, *, tensors: list[str] | None = None, indices: list[str] | None = None
) -> None:
    page.evaluate(
        "([tensors, indices]) => harness.store.select({ tensors, indices })",
        [tensors or [], indices or []],
    )


def test_the_title_is_kept_by_enter_and_given_back_by_escape(page: Page) -> None:
    title = page.get_by_label("Title of this drawing")
    title.click()
    page.keyboard.type("<b>Loom</b>")
    page.keyboard.press("Enter")
    assert _shown(page)["title"] == "<b>Loom</b>"
    title.click()
    page.keyboard.type("something else")
    page.keyboard.press("Escape")
    assert _shown(page)["title"] == "<b>Loom</b>"
    assert page.locator(".tl-title b").count() == 0


def test_the_device_popover_changes_precision_and_appearance(page: Page) -> None:
    page.locator(".tl-pill").click()
    popover = page.get_by_role("dialog", name="This device")
    popover.get_by_label("Dark").check(force=True)
    popover.get_by_label("Complex numbers, two parts of 32 bits").check(force=True)
    assert _state(page, "now.theme") == "dark"
    assert page.locator(".tl-app").get_attribute("data-theme") == "dark"
    assert _shown(page)["dtype"] == "complex64"
    page.keyboard.press("Escape")
    assert popover.count() == 0


def test_commands_are_found_by_letters_and_open_the_templates(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Find a command").wait_for()
    page.keyboard.type("templ")
    page.keyboard.press("Enter")
    gallery = page.get_by_role("dialog", name="Templates")
    gallery.wait_for()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    gallery.get_by_label("Rows").fill("0")
    assert "Rows: a whole number from 1 to 40." in gallery.inner_text()
    gallery.get_by_label("Rows").fill("2")
    page.keyboard.press("Enter")
    asked = _asked(page, "template")
    assert (asked["name"], asked["parameters"]["rows"]) == ("peps", 2)
    assert gallery.count() == 0


def test_a_pasted_circuit_is_asked_for_its_bit_string(page: Page) -> None:
    page.get_by_role("button", name="Open", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Or paste text").fill("OPENQASM 2.0;\nqreg q[3];\nh q[0];")
    dialog.get_by_role("button", name="Open the text").click()
    bits = dialog.get_by_label("Bit string of 3 characters")
    bits.fill("01")
    assert "3 characters 0 or 1 are needed, 2 are here." in dialog.inner_text()
    bits.fill("011")
    page.keyboard.press("Enter")
    assert _asked(page, "open")["options"] == {"output": "011"}


def test_files_are_read_and_arrays_need_a_tensor(page: Page, tmp_path: Path) -> None:
    array = tmp_path / "a.npy"
    array.write_bytes(b"\x93NUMPY")
    for selected in ([], ["B"]):
        _select(page, tensors=selected)
        page.get_by_role("button", name="Open", exact=True).click()
        page.locator(".tl-open input[type=file]").set_input_files(array)
        page.wait_for_timeout(SETTLE_MS)
        if not selected:
            toast = page.locator(".tl-toast").inner_text()
            assert "“a.npy” holds an array; it needs a tensor to sit on." in toast
    asked = _asked(page, "open")
    assert (asked["onto"], asked["base64"], asked["text"]) == ("B", "k05VTVBZ", None)


def test_a_share_link_holds_the_drawing(page: Page) -> None:
    page.get_by_role("button", name="Share").click()
    link = page.get_by_role("dialog").get_by_label("Link").input_value()
    assert link.startswith(page.url)
    assert "short enough for mail and chat" in page.get_by_role("dialog").inner_text()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0


def test_numbers_are_typed_into_a_tensor(page: Page) -> None:
    page.evaluate(
        "harness.store.dispatch('t', [{ kind: 'set-dimension', name: 'j', dimension: 2 }])"
    )
    _select(page, tensors=["A"])
    page.get_by_label("Where the values come from").select_option("inline")
    field = page.get_by_label("Numbers in C order")
    field.fill("1 2 3")
    assert "4 numbers are needed, 3 are here." in page.locator(".tl-typed-numbers").inner_text()
    field.fill("1 2\n3 4i")
    field.blur()
    assert _shown(page)["tensors"][0]["array"] == {
        "kind": "inline",
        "values": [1, 0, 2, 0, 3, 0, 0, 4],
        "shape": [2, 2],
        "complex": True,
    }


def test_an_index_is_renamed_summed_and_followed_to_its_tensor(page: Page) -> None:
    _select(page, indices=["i"])
    page.get_by_role("switch", name="Open: the index stays in the result").uncheck()
    assert _shown(page)["output"] == ["l"]
    page.get_by_label("Name of the index").fill("alpha")
    page.keyboard.press("Enter")
    assert "alpha" in _shown(page)["dimensions"]
    assert _state(page, "[...now.selection.indices]") == ["alpha"]
    page.locator(".tl-legs button").click()
    assert _state(page, "[...now.selection.tensors]") == ["A"]


def test_a_drag_on_an_axis_is_one_step_of_undo(page: Page) -> None:
    _select(page, tensors=["B"])
    box = page.locator(".tl-axis").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 8, box["y"] + 8)
    page.mouse.down()
    page.mouse.move(box["x"] + 8 + 38, box["y"] + 8, steps=5)
    page.mouse.up()
    assert _shown(page)["dimensions"]["j"] == 7
    page.get_by_role("button", name="Undo").click()
    assert _shown(page)["dimensions"]["j"] == 4


def test_the_slider_selects_what_a_step_brings_together(page: Page) -> None:
    drawing = page.locator(".tl-plan-drawing svg")
    box = drawing.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 40)
    assert _state(page, "[now.planStep, [...now.selection.tensors]]") == [1, ["A", "B"]]
    page.keyboard.press("ArrowRight")
    assert _state(page, "[now.planStep, [...now.selection.tensors]]") == [2, ["A", "B", "C"]]
    page.keyboard.press("Home")
    assert _state(page, "[now.planStep, [...now.selection.tensors]]") == [0, []]


def test_an_error_shows_its_place_and_goes_when_closed(page: Page) -> None:
    page.evaluate(
        "error => harness.receive({ kind: 'error', seq: null, error })",
        {
            "kind": "NetworkError",
            "code": "odd",
            "message": "Index j is odd.",
            "hint": "Make it even.",
            "where": {"indices": ["j"]},
            "values": {},
        },
    )
    page.get_by_role("button", name="Show", exact=True).click()
    assert _state(page, "[...now.selection.indices, ...now.blamed.indices]") == ["j", "j"]
    page.get_by_role("button", name="Close this message").click()
    assert page.locator(".tl-toast").count() == 0


def test_a_long_run_can_be_cancelled_and_a_late_one_asked_for(page: Page) -> None:
    page.evaluate(
        "harness.receive({ kind: 'progress', done: 0.37, etaMs: 4200, message: 'Contracting' })"
    )
    card = page.locator(".tl-value")
    assert "about 4.2\u2009s left" in card.inner_text()
    card.get_by_role("button", name="Cancel").click()
    assert _asked(page, "cancel")["kind"] == "cancel"
    page.evaluate("harness.receive({ kind: 'stale', message: 'Waiting for you', behind: false })")
    card.get_by_role("button", name="Compute now").click()
    assert _asked(page, "run")["backend"] == "auto"


def test_ways_out_of_a_refusal_change_the_drawing(page: Page) -> None:
    refused = {
        "kind": "DeviceMemoryError",
        "code": "does-not-fit",
        "message": "Too big.",
        "hint": "",
        "where": {},
        "values": {"neededBytes": "14000000000", "limitBytes": "2000000000"},
    }
    plan = {**_plan(_chain()), "refused": refused}
    page.evaluate("plan => harness.receive({ kind: 'plan', plan })", plan)
    card = page.locator(".tl-value")
    assert "14.0\u2009GB" in card.inner_text()
    assert "2.0\u2009GB" in card.inner_text()
    card.get_by_role("button", name="Halve 2 indices of 4").click()
    assert _shown(page)["dimensions"] == {"i": 2, "j": 2, "k": 2, "l": 2}
    card.get_by_role("button", name="Use 32-bit numbers").click()
    assert _shown(page)["dtype"] == "float32"
    card.get_by_role("button", name="Look for a better order").click()
    assert _asked(page, "search")["action"] == "start"


def test_every_control_of_the_chrome_has_a_name(page: Page) -> None:
    _select(page, tensors=["A"])
    nameless = page.locator(".tl-app").evaluate(
        """app => [...app.querySelectorAll('button, input, select, textarea')]
        .filter(one => !one.getAttribute('aria-label') && !one.textContent.trim())
        .filter(one => !one.labels?.length)
        .map(one => one.outerHTML.slice(0, 120))"""
    )
    assert nameless == []


def test_on_a_phone_the_value_stays_in_sight_and_sheets_open(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    strip = page.locator(".tl-strip")
    assert strip.is_visible()
    assert not page.locator(".tl-side-cards").is_visible()
    strip.locator(".tl-strip-value").click()
    assert page.locator(".tl-side-cards").is_visible()
    strip.get_by_role("button", name="Steps").click()
    assert page.locator(".tl-plan-drawing").is_visible()
    page.get_by_role("button", name="Close", exact=True).click()
    assert not page.locator(".tl-plan-drawing").is_visible()
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0


def _say_equation(page: Page, text: str, *, error: str | None = None) -> None:
    spans = [
        {"start": place, "end": place + 1, "index": letter, "tensor": None}
        for place, letter in enumerate(text)
        if letter.isalpha()
    ]
    record = error and {
        "kind": "EquationError",
        "code": "odd",
        "message": error,
        "hint": "",
        "where": {"span": [0, 1]},
        "values": {},
    }
    notice = {"kind": "equation", "seq": None, "text": text, "spans": spans, "named": False}
    page.evaluate("notice => harness.receive(notice)", {**notice, "error": record})


def test_late_answers_never_take_back_typed_letters(page: Page) -> None:
    field = page.locator(".tl-equation-input")
    field.click()
    page.keyboard.type("ij,jk")
    _say_equation(page, "ij,")
    assert field.input_value() == "ij,jk"
    _say_equation(page, "ij,", error="An operand is missing.")
    assert page.locator(".tl-equation-error").count() == 0
    _say_equation(page, "ij,jk")
    page.keyboard.press("Enter")
    _say_equation(page, "ab,bc->ac")
    assert field.input_value() == "ab,bc->ac"


def test_escape_goes_back_to_the_last_good_text(page: Page) -> None:
    _say_equation(page, "ab,bc->ac")
    field = page.locator(".tl-equation-input")
    field.fill("ab,bc->x")
    _say_equation(page, "ab,bc->x", error="x is on no tensor.")
    assert page.locator(".tl-equation-error").inner_text().strip() == "x is on no tensor."
    field.press("Escape")
    assert _asked(page, "equation")["text"] == "ab,bc->ac"


def test_the_selected_index_is_tinted_in_the_text_and_found_from_it(page: Page) -> None:
    _say_equation(page, "ij,jk,kl->il")
    _select(page, indices=["k"])
    page.wait_for_timeout(SETTLE_MS)
    assert page.locator(".tl-equation-copy .is-selected").all_inner_texts() == ["k", "k"]
    assert page.locator(".tl-equation-copy").inner_text() == "ij,jk,kl->il"
    page.locator(".tl-equation-input").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert _state(page, "[...now.selection.indices]") == ["j"]
