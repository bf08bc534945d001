"""The canvas by mouse on the harness page, without Python.

Each gesture is checked by what it made of the document, as an einsum, and by its one undo step.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from canvas import SETTLE_MS, row
from workbench import EMPTY, beside

if TYPE_CHECKING:
    from canvas import Canvas

RIM = 24
"""From a circle's centre to where its rim is pulled, at zoom 1 [px]."""


def test_a_network_is_drawn_from_nothing_by_mouse(canvas: Canvas) -> None:
    canvas.open(EMPTY)
    canvas.page.mouse.dblclick(400, 300)
    canvas.page.mouse.dblclick(600, 300)
    canvas.page.wait_for_timeout(SETTLE_MS)
    assert [tensor["name"] for tensor in canvas.document()["tensors"]] == ["A", "B"]
    a, b = canvas.tensor("A"), canvas.tensor("B")
    assert a == pytest.approx((400, 300), abs=1)
    canvas.drag(beside(a, x=RIM), beside(b, x=-RIM))
    assert canvas.equation() == "i,i->"
    canvas.drag(beside(a, y=RIM), beside(a, y=110))
    assert canvas.equation() == "ij,i->j"
    assert canvas.end("j") == pytest.approx(beside(a, y=110), abs=1)
    assert canvas.steps() == 4


def test_shift_puts_a_tensor_at_the_end_of_a_pulled_leg(canvas: Canvas) -> None:
    canvas.open(row("i", output="i"))
    a = canvas.tensor("A")
    canvas.drag(beside(a, x=RIM), beside(a, x=150), shift=True)
    assert canvas.equation() == "ij,j->i"
    assert canvas.steps() == 1
    assert canvas.selection() == (["t2"], [])


def test_ends_of_legs_join_and_an_end_joins_a_tensor(canvas: Canvas) -> None:
    document = row("i", "j", "k", output="ijk")
    document["anchors"] = {"i": [300, 260], "j": [460, 260], "k": [620, 260]}
    canvas.open(document)
    canvas.drag(canvas.end("i"), canvas.end("j"))
    assert canvas.equation() == "j,j,k->k"
    assert canvas.document()["anchors"] == {"k": [620, 260]}
    canvas.drag(canvas.end("k"), canvas.tensor("A"))
    assert canvas.equation() == "jk,j,k->"
    assert canvas.steps() == 2


def test_a_leg_dropped_on_a_bond_makes_a_hyperindex(canvas: Canvas) -> None:
    document = row("i", "i", "", output="")
    document["marks"]["t3"] = {"x": 380, "y": 40, "shape": "circle", "colour": "blue"}
    canvas.open(document)
    c = canvas.tensor("C")
    canvas.drag(beside(c, y=RIM), canvas.screen(380, 180))
    assert canvas.equation() == "i,i,i->"
    assert canvas.document()["anchors"] == {"i": [380, 180]}


def test_out_and_back_to_the_same_tensor_is_a_loop(canvas: Canvas) -> None:
    canvas.open(row(""))
    a = canvas.tensor("A")
    canvas.drag(beside(a, x=RIM), beside(a, x=100, y=-40), a)
    assert canvas.equation() == "ii->"


def test_escape_cancels_a_pull_a_move_and_a_scrub(canvas: Canvas) -> None:
    canvas.open(row("i", "i"))
    before = canvas.document()
    a = canvas.tensor("A")
    middle = canvas.screen(380, 180)
    number = canvas.page.locator("[data-dimension-of=i]").bounding_box()
    assert number is not None
    label = (number["x"] + number["width"] / 2, number["y"] + number["height"] / 2)
    for start in (beside(a, y=RIM), a, label):
        canvas.page.mouse.move(*start)
        canvas.page.mouse.down()
        canvas.page.mouse.move(*beside(start, x=70, y=60), steps=5)
        canvas.page.keyboard.press("Escape")
        canvas.page.mouse.move(*beside(middle, y=90), steps=3)
        canvas.page.mouse.up()
        canvas.page.wait_for_timeout(SETTLE_MS)
        assert canvas.document() == before
    assert canvas.steps() == 0


def test_a_number_on_a_bond_scrubs_in_one_step_and_reaches_python(canvas: Canvas) -> None:
    canvas.open(row("i", "i"))
    number = canvas.page.locator("[data-dimension-of=i]").bounding_box()
    assert number is not None
    start = (number["x"] + number["width"] / 2, number["y"] + number["height"] / 2)
    canvas.drag(start, beside(start, x=62))
    assert canvas.document()["dimensions"] == {"i": 7}
    assert canvas.steps() == 1
    last = canvas.page.evaluate("harness.requests.filter(r => r.kind === 'commands').at(-1)")
    assert last["phase"] == "commit"
    assert last["commands"] == [{"kind": "set-dimension", "name": "i", "dimension": 7}]


def test_the_popover_renames_and_resizes_and_never_covers_its_bond(canvas: Canvas) -> None:
    canvas.open(row("i", "i"))
    canvas.page.mouse.click(*canvas.screen(380, 183))
    popover = canvas.page.locator(".tl-popover")
    box = popover.bounding_box()
    assert box is not None
    bond_y = canvas.screen(380, 180)[1]
    assert box["y"] > bond_y + 8 or box["y"] + box["height"] < bond_y - 8
    field = canvas.page.locator(".tl-popover-name")
    field.fill("bond")
    field.press("Enter")
    canvas.page.wait_for_timeout(SETTLE_MS)
    assert canvas.document()["dimensions"] == {"bond": 2}
    canvas.page.locator(".tl-popover-scrub").click()
    canvas.page.keyboard.type("12")
    canvas.page.keyboard.press("Enter")
    assert canvas.document()["dimensions"] == {"bond": 12}


def test_moving_takes_the_selection_and_its_ends_along(canvas: Canvas) -> None:
    document = row("ij", "jk", output="ik")
    document["anchors"] = {"i": [220, 250]}
    canvas.open(document)
    start = canvas.screen(230, 90)
    canvas.drag(start, canvas.screen(560, 260))
    assert canvas.selection() == (["t1", "t2"], [])
    a = canvas.tensor("A")
    canvas.drag(a, beside(a, x=40, y=-30))
    moved = canvas.document()
    # React Flow begins where its threshold was passed, some pixels after the press.
    assert canvas.tensor("A") == pytest.approx(beside(a, x=40, y=-30), abs=10)
    assert moved["marks"]["t2"]["x"] - moved["marks"]["t1"]["x"] == 160
    assert moved["anchors"]["i"][0] - moved["marks"]["t1"]["x"] == 220 - 300
    assert canvas.steps() == 1
    canvas.press("Control+z")
    assert canvas.document()["marks"] == document["marks"]


def test_deleting_opens_what_was_shared_and_cuts_a_bond(canvas: Canvas) -> None:
    canvas.open(row("i", "ij", "j"))
    canvas.page.mouse.click(*canvas.tensor("C"))
    canvas.press("Delete")
    assert canvas.equation() == "i,ij->j"
    canvas.page.mouse.click(*canvas.screen(380, 180))
    canvas.press("Backspace")
    assert canvas.equation() == "i,kj->jik"
    canvas.press("Control+z", "Control+z")
    assert canvas.equation() == "i,ij,j->"
    canvas.press("Control+Shift+z")
    assert canvas.equation() == "i,ij->j"


def test_a_name_is_edited_where_it_stands(canvas: Canvas) -> None:
    canvas.open(row("i", "i"))
    canvas.page.mouse.dblclick(*canvas.tensor("B"))
    canvas.page.keyboard.type("W_2")
    canvas.press("Enter")
    assert [tensor["name"] for tensor in canvas.document()["tensors"]] == ["A", "W_2"]
    canvas.press("F2")
    canvas.page.keyboard.type("nothing")
    canvas.press("Escape")
    assert [tensor["name"] for tensor in canvas.document()["tensors"]] == ["A", "W_2"]


def test_a_hostile_name_stays_text(canvas: Canvas) -> None:
    document = row("i", "i")
    document["tensors"][0]["name"] = "<img/src=x/onerror=alert(1)>"[:64]
    canvas.open(document)
    canvas.page.mouse.click(*canvas.screen(300, 180))
    assert canvas.page.locator(".tl-canvas img").count() == 0


def test_copy_paste_and_duplicate(canvas: Canvas) -> None:
    canvas.open(row("ij", "jk", output="ik"))
    canvas.page.mouse.click(*canvas.tensor("A"))
    canvas.press("Control+c")
    copied = json.loads(canvas.page.evaluate("navigator.clipboard.readText()"))
    assert copied["output"] == ["i", "j"]
    canvas.page.mouse.move(*canvas.screen(300, 320))
    canvas.press("Control+v")
    document = canvas.document()
    assert [tensor["indices"] for tensor in document["tensors"]][2] == ["i_1", "j_1"]
    assert document["marks"]["t3"]["x"] == pytest.approx(300, abs=1)
    canvas.press("Control+a", "Control+d")
    assert len(canvas.document()["tensors"]) == 6
    assert canvas.steps() == 2


def test_pasted_einsum_is_opened_by_python(canvas: Canvas) -> None:
    canvas.open(EMPTY)
    canvas.page.evaluate("navigator.clipboard.writeText('ij,jk->ik')")
    canvas.page.mouse.click(600, 300)
    canvas.press("Control+v")
    request = canvas.page.evaluate("harness.requests.at(-1)")
    assert (request["kind"], request["text"]) == ("open", "ij,jk->ik")


def test_the_rail_places_by_drag_and_by_click(canvas: Canvas) -> None:
    canvas.open(row("i", "i"))
    operator = canvas.page.locator(".tl-tool").nth(1)
    x, y = canvas.screen(300, 320)
    box = canvas.page.locator(".tl-canvas").bounding_box()
    assert box is not None
    operator.drag_to(
        canvas.page.locator(".tl-canvas"), target_position={"x": x - box["x"], "y": y - box["y"]}
    )
    mark = list(canvas.document()["marks"].values())[2]
    assert (mark["shape"], mark["colour"]) == ("square", "green")
    assert mark["x"] == pytest.approx(300, abs=2)
    canvas.page.locator(".tl-tool").nth(4).click()
    canvas.page.mouse.click(*canvas.screen(380, 180))
    canvas.page.wait_for_timeout(SETTLE_MS)
    assert canvas.equation() == "i,j,,ij->"
