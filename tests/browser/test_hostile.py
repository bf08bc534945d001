"""Names from strangers: in titles, tensors, indices, files and links, none is ever executed.

A name here is markup that would run a script, or a word that JavaScript objects know. It must be
shown as text, survive every panel of the page, and change nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tensorloom.model import codec
from workbench import EMPTY, Workbench, native, ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import BrowserContext

pytestmark = pytest.mark.browser

IMAGE = "<img/src=x/onerror=hacked=1>"
SCRIPT = "<script>hacked=1</script>"
FRAME = '"><svg/onload=hacked=1>'
MARKUP = [IMAGE, SCRIPT, FRAME]
WORDS = ["constructor", "toString", "hasOwnProperty"]
TURNED = "a\u0301\u0302"

FOREIGN = """
(app) => [...app.querySelectorAll("img, script, iframe, object, embed, [onload], [onerror]")]
  .map((one) => one.outerHTML.slice(0, 100))
"""


def chain(tensor: str, index: str, title: str) -> dict[str, Any]:
    """Two tensors of this name, a bond and an open leg of this name and another."""
    names = [index, f"{index[:60]}2"]
    tensors = [
        {"id": "t1", "name": tensor, "indices": names},
        {"id": "t2", "name": f"{tensor[:60]}2", "indices": [names[1]]},
    ]
    return {
        **EMPTY,
        "title": title,
        "tensors": [
            {**one, "array": {"kind": "random", "seed": 1, "distribution": "normal"}}
            for one in tensors
        ],
        "dimensions": dict.fromkeys(names, 3),
        "output": names[:1],
        "marks": {
            "t1": {"x": 0, "y": 0, "shape": "circle", "colour": "blue"},
            "t2": {"x": 160, "y": 0, "shape": "square", "colour": "green"},
        },
    }


def assert_harmless(bench: Workbench) -> None:
    """Raises if a script of a name has run, or an element was made of one."""
    bench.page.wait_for_timeout(150)
    assert bench.page.evaluate("() => typeof hacked") == "undefined"
    assert bench.page.locator(".tl-app").evaluate(FOREIGN) == []


def visit_every_panel(bench: Workbench) -> None:
    """Select, hover, look inside, open every dialog."""
    page = bench.page
    page.locator(".tl-canvas").focus()
    bench.press("f", "Tab", "Tab", "Escape", "Control+a")
    page.evaluate("() => tensorloomStore.select({ tensors: ['t1'] })")
    page.locator(".tl-inspection-slot canvas").first.wait_for(timeout=20_000)
    picture = page.locator(".tl-inspection-slot").bounding_box()
    assert picture is not None
    for part in (0.3, 0.5, 0.7):
        page.mouse.move(picture["x"] + part * picture["width"], picture["y"] + 90)
        page.wait_for_timeout(60)
    page.evaluate("() => tensorloomStore.select({ indices: [tensorloom.document().output[0]] })")
    assert page.locator(".tl-popover-name").count() == 1
    page.evaluate("() => tensorloomStore.set({ planStep: 1 })")
    for name in ("export", "share", "commands", "open", "templates", "gestures"):
        page.evaluate("(dialog) => tensorloomStore.set({ dialog })", name)
        page.wait_for_timeout(40)
    page.evaluate("() => tensorloomStore.set({ dialog: null, planStep: null })")


@pytest.mark.parametrize("name", MARKUP)
def test_markup_in_names_is_shown_as_text(bench: Workbench, name: str) -> None:
    # Names of tensors and indices cannot contain '>'; what follows in the page may bring one.
    unclosed = name.replace(">", "")
    document = chain(unclosed, unclosed, f"{name} of {name}")
    bench.open(format="document", text=json.dumps(document))
    assert bench.document()["title"] == document["title"]
    assert bench.toasts() == []
    visit_every_panel(bench)
    assert_harmless(bench)
    assert bench.page.title() == f"{document['title']} · Tensorloom"
    assert bench.run()["shape"] == [3]


@pytest.mark.parametrize("name", [*WORDS, TURNED])
def test_words_that_objects_know_are_names_like_any_other(bench: Workbench, name: str) -> None:
    document = chain(name, name, name)
    bench.open(format="document", text=json.dumps(document))
    found = bench.document()
    assert [list(found["dimensions"]), found["output"]] == [[name, f"{name}2"], [name]]
    visit_every_panel(bench)
    assert bench.run()["value"] == pytest.approx(native(document).tolist(), rel=1e-12)
    bench.page.evaluate("() => tensorloomStore.select({ tensors: ['t2'] })")
    bench.page.locator(".tl-canvas").focus()
    bench.press("Delete")
    assert len(bench.document()["tensors"]) == 1
    bench.press("Control+z")
    assert bench.document() == found
    assert bench.page.evaluate("() => ({}).polluted === undefined && [].at === Array.prototype.at")


def test_a_name_typed_by_the_user_is_text(bench: Workbench) -> None:
    bench.click(bench.paper(0.5, 0.4), times=2)
    bench.press("F2")
    bench.page.keyboard.insert_text(IMAGE)
    bench.press("Enter")
    assert bench.toasts() == [f"'{IMAGE}' cannot be a name."]
    assert_harmless(bench)
    unclosed = IMAGE.rstrip(">")
    bench.page.keyboard.press("F2")
    bench.page.keyboard.insert_text(unclosed)
    bench.press("Enter")
    assert bench.document()["tensors"][0]["name"] == unclosed
    assert_harmless(bench)


def test_an_equation_of_markup_is_only_wrong(bench: Workbench) -> None:
    bench.page.get_by_label("Equation (einsum)").fill("<b>x</b>,<img onerror=hacked=1>->")
    bench.settle()
    assert bench.page.locator(".tl-equation-error").inner_text() != ""
    assert_harmless(bench)


@pytest.mark.parametrize("name", MARKUP)
def test_a_message_that_quotes_a_stranger_is_text(bench: Workbench, name: str) -> None:
    request = {
        "kind": "open",
        "format": "qasm",
        "text": "nonsense",
        "name": f"{name}.qasm",
        "base64": None,
        "onto": None,
        "options": {},
    }
    bench.page.evaluate("(request) => { tensorloomStore.request(request); }", request)
    bench.settle()
    assert len(bench.toasts()) == 1
    assert_harmless(bench)


def test_gates_and_registers_of_markup_are_refused(bench: Workbench) -> None:
    bench.page.evaluate(
        """(text) => tensorloom.open({ format: "qasm", text }).then(
          () => { throw new Error("it opened"); }, () => null)""",
        f"qreg {IMAGE}[1];",
    )
    assert_harmless(bench)


@pytest.mark.parametrize("name", [IMAGE, SCRIPT])
def test_a_link_from_a_stranger_runs_nothing(
    new_context: Callable[..., BrowserContext], site_url: str, name: str
) -> None:
    document = chain(name.replace(">", ""), "constructor", name)
    link = codec.encode_link(codec.from_json(document))
    bench = ready(new_context().new_page(), f"{site_url}#{link}")
    assert bench.document()["title"] == name
    visit_every_panel(bench)
    assert_harmless(bench)


def test_an_address_that_is_no_link_runs_nothing(
    new_context: Callable[..., BrowserContext], site_url: str
) -> None:
    bench = ready(new_context().new_page(), f"{site_url}?start=pyc#{'A' * 80}")
    assert "This link cannot be read" in bench.toasts()[0]
    assert_harmless(bench)
