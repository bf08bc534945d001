"""The workbench with Python behind it: every gesture ends in the value that numpy gives.

What gestures make of the document is tested on the harness page (``test_canvas.py``); here the
whole way is: pointer, document, text, plan, kernels, value on the screen.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tensorloom.formats.templates import TEMPLATES, template
from tensorloom.model import codec
from workbench import Workbench, beside, native

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.browser

EXACT = 1e-12
"""Relative; float64 on both sides, a few dozen operations."""


def assert_value(bench: Workbench) -> None:
    """Raises unless the page shows what numpy gives, and a call gives the same."""
    wanted = native(bench.document())
    found = bench.run()
    assert found["shape"] == list(wanted.shape)
    value = np.array(found["value"]).reshape(wanted.shape)
    np.testing.assert_allclose(value, wanted, rtol=EXACT, atol=EXACT * np.abs(wanted).max())
    if wanted.ndim == 0:
        bench.shows_value(wanted.item(), relative=EXACT)
    else:
        bench.until(f"now.result?.shape.join() === '{','.join(map(str, wanted.shape))}'")


def draw_pair(bench: Workbench) -> None:
    """A and B side by side, joined by a bond."""
    bench.click(bench.paper(0.35, 0.35), times=2)
    bench.click(bench.paper(0.65, 0.35), times=2)
    bench.drag(bench.rim("A"), bench.tensor("B"))


def test_a_drawing_by_mouse_is_contracted(bench: Workbench) -> None:
    draw_pair(bench)
    assert bench.equation() == "i,i->"
    assert_value(bench)
    bench.drag(bench.rim("A", -1), beside(bench.rim("A", -1), -90))
    bench.drag(bench.rim("B"), beside(bench.rim("B"), 90))
    assert bench.equation() == "ij,ik->jk"
    assert_value(bench)


def test_a_leg_dropped_on_a_bond_is_a_hyperindex(bench: Workbench) -> None:
    draw_pair(bench)
    bench.click(bench.paper(0.5, 0.65), times=2)
    bench.drag(bench.rim("C", 0, -1), bench.middle("A", "B"))
    assert bench.equation() == "i,i,i->"
    assert_value(bench)


def test_a_loop_is_a_trace(bench: Workbench) -> None:
    bench.click(bench.paper(0.5, 0.4), times=2)
    bench.drag(bench.rim("A"), beside(bench.rim("A"), 70), bench.tensor("A"))
    assert bench.equation() == "ii->"
    assert_value(bench)


def test_parallel_bonds_and_a_lone_scalar(bench: Workbench) -> None:
    draw_pair(bench)
    bench.drag(bench.rim("A", 0.7, -0.7), bench.tensor("B"))
    bench.click(bench.paper(0.5, 0.7), times=2)
    assert bench.equation() == "ij,ij,->"
    assert_value(bench)


def test_the_value_follows_a_drag_before_it_ends(bench: Workbench) -> None:
    bench.open(format="einsum", text="ij,ij->")
    bench.press("f")
    assert_value(bench)
    at = bench.number("i")
    bench.page.mouse.move(*at)
    bench.page.mouse.down()
    bench.page.mouse.move(at[0] + 3 * 12 + 4, at[1], steps=6)
    bench.settle()
    during = bench.document()
    assert during["dimensions"]["i"] == 7
    bench.shows_value(native(during).item(), relative=EXACT)
    bench.page.mouse.up()
    bench.settle()
    assert bench.document()["dimensions"] == {"i": 7, "j": 4}
    bench.press("Control+z")
    assert bench.document()["dimensions"] == {"i": 4, "j": 4}
    assert_value(bench)


def test_escape_takes_a_drag_back(bench: Workbench) -> None:
    bench.open(format="einsum", text="ij,ij->")
    bench.press("f")
    before = native(bench.document()).item()
    at = bench.number("j")
    bench.page.mouse.move(*at)
    bench.page.mouse.down()
    bench.page.mouse.move(at[0] + 60, at[1], steps=6)
    bench.settle()
    bench.press("Escape")
    bench.page.mouse.up()
    bench.settle()
    assert bench.document()["dimensions"] == {"i": 4, "j": 4}
    bench.shows_value(before, relative=EXACT)


def test_a_dimension_is_typed(bench: Workbench) -> None:
    draw_pair(bench)
    bench.click(bench.middle("A", "B"))
    bench.press("n", "1", "2", "Enter")
    assert bench.document()["dimensions"] == {"i": 12}
    assert_value(bench)


def test_values_come_from_the_chosen_recipe(bench: Workbench) -> None:
    bench.open(format="einsum", text="ii->", sizes={"i": 5})
    bench.page.evaluate("() => tensorloomStore.select({ tensors: ['t1'] })")
    chooser = bench.page.get_by_label("Where the values come from")
    chooser.select_option("identity")
    bench.shows_value(5)
    chooser.select_option("constant")
    bench.settle()
    assert bench.document()["tensors"][0]["array"]["kind"] == "constant"
    assert_value(bench)
    chooser.select_option("random")
    assert_value(bench)


def test_undo_and_redo_go_all_the_way(bench: Workbench) -> None:
    draw_pair(bench)
    bench.drag(bench.rim("A", -1), beside(bench.rim("A", -1), -90))
    bench.press("Control+a", "Control+d")
    after = bench.document()
    assert len(after["tensors"]) == 4
    for _ in range(5):
        bench.press("Control+z")
    assert bench.document()["tensors"] == []
    for _ in range(5):
        bench.press("Control+Shift+z")
    bench.settle()
    assert bench.document() == after
    assert_value(bench)


def test_a_box_selects_and_delete_removes(bench: Workbench) -> None:
    bench.open(format="einsum", text="ab,bc,cd,da->")
    bench.press("f")
    corners = [bench.tensor(name) for name in "ABCD"]
    left, right = min(x for x, _ in corners), max(x for x, _ in corners)
    top, bottom = min(y for _, y in corners), max(y for _, y in corners)
    middle = (left + right) / 2
    bench.drag((left - 60, top - 60), (middle, bottom + 60))
    held = bench.state("now.selection.tensors.size")
    assert 0 < held < 4
    bench.press("Delete")
    assert len(bench.document()["tensors"]) == 4 - held
    assert_value(bench)


def test_copy_and_paste_double_the_drawing(bench: Workbench) -> None:
    bench.open(format="einsum", text="ab,bc,ca->")
    single = native(bench.document()).item()
    bench.page.locator(".tl-canvas").focus()
    bench.press("Control+a", "Control+c", "Control+v")
    assert len(bench.document()["tensors"]) == 6
    bench.shows_value(single**2, relative=1e-10)


def test_a_network_is_drawn_and_computed_by_keyboard_alone(bench: Workbench) -> None:
    bench.press("t", "t", "c")
    letter = bench.page.locator(".tl-letters kbd.is-tensor").first.inner_text()
    bench.press(*letter)
    assert bench.equation() == "i,i->"
    bench.press("n", "6", "Enter")
    bench.settle()
    assert bench.document()["dimensions"] == {"i": 6}
    assert_value(bench)


def test_typing_an_equation_draws_it_key_by_key(bench: Workbench) -> None:
    bench.type_equation("ab,bc")
    bench.until("now.document.tensors.length === 2")
    bench.page.keyboard.type(",ca->")
    bench.settle()
    assert bench.equation() == "ab,bc,ca->"
    assert bench.formula() == "ab,bc,ca->"
    assert bench.toasts() == []
    assert_value(bench)


def test_typing_over_the_example_leaves_no_message_behind(bench: Workbench) -> None:
    document = codec.canonical_text(template("spin-chain", {}))
    bench.open(format="document", text=document)
    bench.type_equation("ij,jk,kl->il")
    bench.until("now.result?.shape.length === 2 && now.result.indices.join('') === 'il'")
    bench.settle()
    assert bench.toasts() == []


def test_an_error_marks_its_character_and_keeps_the_drawing(bench: Workbench) -> None:
    bench.type_equation("ab,bc->ac")
    bench.page.keyboard.type("x")
    bench.settle()
    assert bench.page.locator(".tl-equation-copy .is-wrong").all_inner_texts() == ["x"]
    error = bench.page.locator(".tl-equation-error").inner_text()
    assert error.startswith("Output index 'x' is on no operand.")
    assert bench.equation() == "ab,bc->ac"
    bench.press("Backspace")
    bench.settle()
    assert bench.page.locator(".tl-equation-error").count() == 0
    assert_value(bench)


def test_the_text_follows_the_drawing(bench: Workbench) -> None:
    draw_pair(bench)
    bench.settle()
    assert bench.formula() == "i,i->"
    bench.drag(bench.rim("A", -1), beside(bench.rim("A", -1), -90))
    bench.settle()
    assert bench.formula() == "ij,i->j"


def test_what_is_selected_in_one_is_lit_in_the_other(bench: Workbench) -> None:
    bench.open(format="einsum", text="ab,bc->ac")
    bench.press("f")
    bench.click(bench.middle("A", "B"))
    lit = bench.page.locator(".tl-equation-copy .is-selected")
    assert lit.all_inner_texts() == ["b", "b"]
    bench.page.get_by_label("Equation (einsum)").focus()
    bench.press("End")
    assert bench.state("[...now.selection.indices]") == ["c"]
    assert bench.page.locator('.tl-bond.is-selected[data-index="c"]').count() == 1


def test_more_than_52_indices_are_written_as_names(bench: Workbench) -> None:
    names = [f"x{k}" for k in range(60)]
    text = ", ".join(f"{one} {other}" for one, other in pairwise(names))
    bench.open(format="einsum", text=f"{text} -> x0 x59", sizes=dict.fromkeys(names, 2))
    bench.settle()
    assert bench.formula() == f"{text} -> x0 x59"
    assert_value(bench)
    bench.page.get_by_label("Equation (einsum)").fill(f"{text} -> x59 x0")
    bench.settle()
    assert bench.document()["output"] == ["x59", "x0"]
    assert_value(bench)


@pytest.mark.parametrize("name", [entry.name for entry in TEMPLATES])
def test_a_template_is_drawn_as_python_says(bench: Workbench, name: str) -> None:
    place = [entry.name for entry in TEMPLATES].index(name)
    bench.page.locator(".tl-header").get_by_role("button", name="Templates").click()
    gallery = bench.page.get_by_role("dialog", name="Templates")
    gallery.get_by_role("radio").nth(place).check(force=True)
    gallery.get_by_role("button", name="Draw it").click()
    wanted = codec.to_json(template(name, {}))
    bench.until(f"now.document.tensors.length === {len(wanted['tensors'])}")
    found = bench.document()
    assert [tensor["name"] for tensor in found["tensors"]] == [
        tensor["name"] for tensor in wanted["tensors"]
    ]
    assert found["output"] == wanted["output"]
    bench.until("now.plan?.refused || now.result", seconds=60)


@pytest.mark.parametrize(
    ("label", "dtype", "where"),
    [("numpy", "float64", "numpy, f64"), (r"WebGPU(?!,)", "float32", "WebGPU, f32")],
)
def test_a_backend_is_chosen_by_hand(bench: Workbench, label: str, dtype: str, where: str) -> None:
    bench.open(format="einsum", text="ij,jk,ki->", dtype=dtype, sizes={"i": 30})
    pill = bench.page.locator(".tl-pill")
    pill.click()
    device = bench.page.get_by_role("dialog", name="This device")
    device.get_by_role("radio", name=re.compile(f"^{label}")).check(force=True)
    bench.press("Escape")
    try:
        row = bench.page.locator(".tl-value").get_by_text(where)
        row.wait_for(timeout=20_000)
        assert row.count() == 1
    finally:
        pill.click()
        device.get_by_role("radio", name="Automatic").check(force=True)
        bench.press("Escape")


def test_16_bit_storage_is_offered_only_where_the_gpu_has_it(bench: Workbench) -> None:
    bench.page.locator(".tl-pill").click()
    device = bench.page.get_by_role("dialog", name="This device")
    row = device.get_by_role("radio", name=re.compile("^WebGPU, 16-bit storage"))
    has_it = bench.page.evaluate(
        "async () => (await navigator.gpu.requestAdapter()).features.has('shader-f16')"
    )
    assert row.is_enabled() == has_it
    if not has_it:
        assert device.get_by_text("it lacks shader-f16").count() == 1
    bench.press("Escape")


def test_what_cannot_fit_is_refused_with_its_numbers(bench: Workbench) -> None:
    bench.open(format="einsum", text="ab,bc,cd->ad", sizes=dict.fromkeys("abcd", 60_000))
    bench.until("now.plan?.refused?.code === 'does-not-fit'")
    card = bench.page.locator(".tl-value").inner_text()
    assert "GB" in card
    assert bench.page.locator(".tl-value button").count() > 0
    bench.press("Control+z")


def test_a_result_is_looked_into(bench: Workbench, until_drawn: Callable[[], None]) -> None:
    bench.open(format="einsum", text="ij,jk->ik")
    until_drawn()
    assert bench.state("now.inspection.shape") == [4, 4]
    assert bench.state("[now.inspection.rows, now.inspection.columns]") == [["i"], ["k"]]


@pytest.fixture
def until_drawn(bench: Workbench) -> Callable[[], None]:
    """Waits for the picture of the result."""

    def wait() -> None:
        bench.page.locator(".tl-inspection-slot canvas").first.wait_for(timeout=30_000)
        bench.until("now.inspection !== null")

    return wait
