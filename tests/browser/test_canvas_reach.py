"""The canvas for everybody: by keyboard, by touch, heard, wrong, and with a thousand tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from canvas import SETTLE_MS, row
from workbench import EMPTY, beside

if TYPE_CHECKING:
    from collections.abc import Callable

    from canvas import Canvas, Point


def test_everything_by_keyboard(canvas: Canvas) -> None:
    canvas.open(EMPTY)
    canvas.page.locator(".tl-canvas").focus()
    canvas.press("t", "t", "l")
    assert canvas.equation() == ",i->i"
    canvas.press("c", "a")
    assert canvas.equation() == "i,i->"
    canvas.press("Escape", "Tab")
    assert canvas.selection() == (["t1"], [])
    canvas.press("Tab")
    assert canvas.selection()[0] != ["t1"]
    canvas.press("Shift+Tab")
    assert canvas.selection() == (["t1"], [])
    before = canvas.document()["marks"]["t1"]
    canvas.press("ArrowRight", "Shift+ArrowDown")
    after = canvas.document()["marks"]["t1"]
    assert (after["x"] - before["x"], after["y"] - before["y"]) == (10, 1)
    canvas.press("Control+a", "Delete")
    assert canvas.equation() == "->"


def test_letters_connect_two_tensors(canvas: Canvas) -> None:
    canvas.open(row("", ""))
    canvas.page.mouse.click(*canvas.tensor("A"))
    canvas.press("c")
    assert canvas.page.locator(".tl-letters kbd").all_inner_texts() == ["a", "s"]
    canvas.press("a")
    assert canvas.equation() == "i,i->"


def test_zoom_and_fit(canvas: Canvas) -> None:
    canvas.open(row("i", "ij", "jk", "k", step=500))
    percent = canvas.page.locator(".tl-zoom-percent")
    canvas.press("1")
    expect(percent).to_have_text("100 %")
    canvas.press("f")
    expect(percent).not_to_have_text("100 %")
    canvas.page.wait_for_timeout(400)
    width = canvas.page.locator(".tl-canvas").bounding_box()
    assert width is not None
    assert canvas.tensor("A")[0] > width["x"]
    assert canvas.tensor("D")[0] < width["x"] + width["width"]


def test_touch_pulls_legs_and_one_finger_on_paper_pans(new_canvas: Callable[..., Canvas]) -> None:
    canvas = new_canvas(viewport={"width": 390, "height": 844}, has_touch=True)
    canvas.open(row("i", output="i", step=100))
    session = canvas.page.context.new_cdp_session(canvas.page)

    def swipe(start: Point, end: Point) -> None:
        def touch(kind: str, *points: Point) -> None:
            session.send(
                "Input.dispatchTouchEvent",
                {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]},
            )

        touch("touchStart", start)
        for step in range(1, 7):
            part = step / 6
            touch(
                "touchMove",
                (start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part),
            )
        touch("touchEnd")
        canvas.page.wait_for_timeout(SETTLE_MS)

    a = canvas.tensor("A")
    swipe(beside(a, y=-29), beside(a, y=-150))
    assert canvas.equation() == "ij->ij"
    a = canvas.tensor("A")
    swipe(beside(a, x=-120, y=60), beside(a, x=-60, y=160))
    assert canvas.tensor("A") == pytest.approx(beside(a, x=60, y=100), abs=4)


def test_a_screen_reader_hears_what_is_held_and_done(canvas: Canvas) -> None:
    canvas.open(row("ij", "jk", output="ik"))
    canvas.page.mouse.click(*canvas.tensor("A"))
    status = canvas.page.locator(".tl-canvas [role=status]")
    assert status.inner_text() == "Tensor A, 2 legs: i of dimension 2, j of dimension 2."
    canvas.press("l")
    assert status.inner_text() == "Pull a leg. Index l, dimension 2, open leg of A."


def test_an_error_is_shown_where_it_is(canvas: Canvas) -> None:
    canvas.open(row("i", "i"))
    error = {
        "kind": "NetworkError",
        "code": "some-code",
        "message": "A is wrong.",
        "hint": "",
        "where": {"tensors": ["t1"], "indices": ["i"]},
        "values": {},
    }
    canvas.page.evaluate("error => harness.receive({ kind: 'error', seq: null, error })", error)
    canvas.page.wait_for_timeout(SETTLE_MS)
    assert canvas.page.locator(".tl-mark-drawn.is-wrong").count() == 1
    assert canvas.page.locator(".tl-bond.is-wrong").count() == 1


@pytest.mark.alone
def test_a_thousand_tensors_open_at_once_as_one_picture(canvas: Canvas) -> None:
    size = 32
    names = [f"t{place}" for place in range(size * size)]
    document = {
        **EMPTY,
        "tensors": [
            {
                "id": name,
                "name": f"T_{place}",
                "indices": [
                    index
                    for index, there in (
                        (f"h{place}", place % size < size - 1),
                        (f"h{place - 1}", place % size > 0),
                        (f"v{place}", place < size * (size - 1)),
                        (f"v{place - size}", place >= size),
                    )
                    if there
                ],
                "array": {"kind": "constant", "value": 1},
            }
            for place, name in enumerate(names)
        ],
        "marks": {
            name: {
                "x": place % size * 100,
                "y": place // size * 100,
                "shape": "circle",
                "colour": "blue",
            }
            for place, name in enumerate(names)
        },
    }
    indices = [index for tensor in document["tensors"] for index in tensor["indices"]]
    document["dimensions"] = dict.fromkeys(indices, 2)
    took = canvas.page.evaluate(
        """async document => {
          const start = performance.now();
          harness.open(document);
          const frame = () => new Promise(done => requestAnimationFrame(done));
          await frame(); await frame();
          return performance.now() - start;
        }""",
        document,
    )
    assert took < 2000  # 0.2 s where nothing else runs; mounting a node each took 3 s
    canvas.page.wait_for_timeout(300)
    assert canvas.page.locator(".react-flow__node").count() <= 1
    canvas.page.mouse.click(*canvas.screen(1500, 1500))
    assert canvas.selection() == (["t495"], [])
    canvas.drag(canvas.screen(1500, 1500), canvas.screen(1640, 1500))
    assert canvas.document()["marks"]["t495"]["x"] == pytest.approx(1640, abs=60)
