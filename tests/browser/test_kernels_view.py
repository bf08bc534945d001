"""The Kernels view on the harness page: what it shows of records that Python would send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

SOURCE = '(func $0 (export "kernel") (param i32)\n  f32x4.relaxed_madd\n)'

WIDER = """
(dialog) => {
  const edge = dialog.getBoundingClientRect().right;
  return [...dialog.querySelectorAll("*")]
    .filter((one) => one.closest(".tl-wide, .tl-source") === null)
    .filter((one) => one.getBoundingClientRect().right > edge)
    .map((one) => one.className || one.tagName);
}
"""
"""What sticks out of the dialog, but for tables and texts, which scroll by themselves."""


@pytest.fixture
def page(browser: Browser, harness_url: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.goto(harness_url)
    opened.wait_for_selector(".tl-header")
    opened.keyboard.press("k")
    _tell(opened, {"kind": "kernels", "kernels": _kernels()})
    yield opened
    context.close()
    assert problems == []


def _tell(page: Page, notice: dict[str, Any]) -> None:
    page.evaluate("notice => harness.receive(notice)", notice)


def _asked(page: Page, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(
        "kind => harness.requests.filter((request) => request.kind === kind)", kind
    )
    return found


def _texts_asked(page: Page) -> list[tuple[str, int, bool]]:
    asked = _asked(page, "kernel-source")
    return [(request["of"], request["number"], request["whole"]) for request in asked]


def _source(of: str, number: int, candidate: str, **change: object) -> dict[str, Any]:
    return {
        "kind": "kernel-source",
        "of": of,
        "number": number,
        "candidate": candidate,
        "language": "wasm",
        "text": SOURCE,
        "isWhole": True,
        "bytes": None,
        **change,
    }


def _candidate(text: str, state: str, ms: float | None, reason: str = "") -> dict[str, Any]:
    gflops = None if ms is None else 2 * 256**3 / ms / 1e6
    return {
        "text": text,
        "predictedMs": 0.7,
        "ms": ms,
        "gflops": gflops,
        "state": state,
        "reason": reason,
    }


def _shape(name: str, sizes: tuple[int, int, int, int], **change: object) -> dict[str, Any]:
    batch, rows, columns, contracted = sizes
    loop = {"left": 256, "right": 0, "out": 256}
    return {
        "name": name,
        "dtype": "float32",
        "backend": "wasm",
        "batch": batch,
        "rows": rows,
        "columns": columns,
        "contracted": contracted,
        "groups": [
            {"role": "rows", "size": rows, **loop},
            {"role": "columns", "size": columns, "left": 0, "right": 1, "out": 1},
            {"role": "contracted", "size": contracted, "left": 1, "right": 256, "out": 0},
        ],
        "mulAdds": str(batch * rows * columns * contracted),
        "bytes": 4 * (rows * contracted + columns * contracted + rows * columns),
        "calls": 1,
        "isTimed": True,
        "inUse": "packed 6x8",
        "candidates": [
            _candidate("packed 5x8", "measured", 0.72),
            _candidate("packed 6x8", "best", 0.61),
            _candidate("packed 8x8", "cut", None, "needs 19 of 16 registers"),
            _candidate("unpacked 4x8", "failed", None, "differs from the reference"),
        ],
        "history": [[12.0, 30.1], [31.0, 46.5], [55.0, 55.0]],
        "note": "",
        **change,
    }


def _kernels() -> dict[str, Any]:
    return {
        "device": {
            "name": "measured here",
            "facts": [
                {"label": "vector registers", "value": "16", "how": "Speed falls from tile 6x8."}
            ],
            "curves": [
                {
                    "title": "Reading arrays of growing size",
                    "x": "bytes",
                    "y": "GB/s",
                    "log": True,
                    "points": [[4096, 90], [32768, 88], [65536, 52], [1048576, 50], [8388608, 18]],
                    "knee": 32768,
                    "note": "Beyond 32 KiB an array no longer fits the first cache.",
                }
            ],
            "peakGflops": 58.7,
            "bytesPerMs": 2e7,
        },
        "shapes": [
            _shape("a1", (1, 256, 256, 256)),
            _shape("b2", (64, 16, 16, 16), candidates=[], history=[], inUse="generic gemm"),
        ],
        "calls": [
            {"step": 0, "kernel": 0, "backend": "wasm", "ms": 0.61, "group": None},
            {"step": 1, "kernel": 1, "backend": "wasm", "ms": 0.02, "group": None},
        ],
        "groups": [],
        "groupsNote": "",
        "tuning": {
            "running": False,
            "budgetMs": 300,
            "spentMs": 55,
            "message": "All shapes are tuned",
            "thrownOut": [],
        },
    }


def test_watches_while_it_is_open_and_asks_for_the_text_of_the_heaviest_kernel(page: Page) -> None:
    assert [request["watch"] for request in _asked(page, "kernels")] == [True]
    assert _texts_asked(page) == [("kernel", 0, False)]
    _tell(page, _source("kernel", 0, "packed 6x8"))
    expect(page.get_by_label("Text of the kernel packed 6x8")).to_have_text(SOURCE)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Kernels")).to_have_count(0)
    assert [request["watch"] for request in _asked(page, "kernels")] == [True, False]


def test_lists_kernels_with_work_place_and_speed(page: Page, pictures: Path) -> None:
    buttons = page.get_by_label("Kernels of the last run").get_by_role("button")
    assert "256\u2009\u00d7\u2009256\u2009\u00d7\u2009256" in buttons.nth(0).inner_text()
    assert "55.0 GFLOP/s" in buttons.nth(0).inner_text()
    # The second was never tuned: its speed is that of its call, 64 * 16^3 * 2 / 0.02 ms.
    assert "26.2 GFLOP/s" in buttons.nth(1).inner_text()
    buttons.nth(1).click()
    assert _texts_asked(page) == [("kernel", 0, False), ("kernel", 1, False)]
    page.screenshot(path=pictures / "kernels-text.png")


def _grouped() -> dict[str, Any]:
    """A product of 256 by 256 by 256, then twelve small ones of two kinds as one call."""
    kernels = _kernels()
    note = "Its steps ran within a group of small steps."
    small = {"candidates": [], "history": [], "inUse": "fused", "note": note, "isTimed": False}
    kernels["shapes"][1:] = [
        _shape("b2", (1, 8, 8, 8), **small),
        _shape("c3", (1, 2, 4, 3), **small),
    ]
    kernels["calls"][1:] = [
        {"step": step, "kernel": 1 + step % 2, "backend": "wasm", "ms": 0.01, "group": 0}
        for step in range(1, 13)
    ]
    functions = [{"number": 3, "kernel": 2}, {"number": 4, "kernel": 1}]
    kernels["groups"] = [
        {
            "name": "fused-12",
            "dtype": "float32",
            "first": 1,
            "last": 12,
            "steps": 12,
            "functions": functions,
        }
    ]
    return kernels


def test_shows_groups_of_small_steps_with_their_functions_and_text(
    page: Page, pictures: Path
) -> None:
    _tell(page, {"kind": "kernels", "kernels": _grouped()})
    listed = page.get_by_label("Kernels of the last run").get_by_role("button")
    expect(listed).to_have_count(4)
    group = listed.nth(0)
    assert "Steps 2 to 13" in group.inner_text()
    # Twelve times 0.01 ms.
    assert "0.12" in group.inner_text()
    assert "in a group" in listed.nth(2).inner_text()
    group.click()
    assert _texts_asked(page)[-1] == ("group", 0, False)
    rows = page.locator(".tl-loops tbody tr")
    assert [" ".join(row.split()) for row in rows.all_inner_texts()] == [
        "$3 2 \u00d7 4 \u00d7 3 2, 4, 6, 8, 10 and 12",
        "$4 8 \u00d7 8 \u00d7 8 3, 5, 7, 9, 11 and 13",
    ]
    _tell(page, _source("group", 0, "fused", isWhole=False, bytes=2623))
    expect(page.get_by_text("2.6\u2009kB of code.")).to_be_visible()
    expect(page.get_by_text("These are the first 3 lines.")).to_be_visible()
    page.screenshot(path=pictures / "kernels-group.png")
    page.get_by_role("button", name="Show all of it").click()
    assert _texts_asked(page)[-1] == ("group", 0, True)
    _tell(page, _source("group", 0, "fused", text="all of it", bytes=2623))
    expect(page.get_by_label("Text of the group fused")).to_have_text("all of it")
    expect(page.get_by_role("button", name="Show all of it")).to_have_count(0)
    page.get_by_role("radio", name="How the chosen kernel was found").check()
    expect(page.get_by_text("there was nothing to choose", exact=False)).to_be_visible()


def test_a_step_of_a_group_leads_to_it_and_back(page: Page) -> None:
    _tell(page, {"kind": "kernels", "kernels": _grouped()})
    listed = page.get_by_label("Kernels of the last run").get_by_role("button")
    listed.nth(3).click()
    _tell(page, _source("kernel", 2, "fused"))
    expect(page.get_by_text("one function in a module of small steps")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Steps 2 to 13", exact=True).click()
    expect(listed.nth(0)).to_have_attribute("aria-pressed", "true")
    page.locator(".tl-loops").get_by_role("button").nth(1).click()
    expect(listed.nth(2)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("radio", name="How the chosen kernel was found").check()
    expect(page.get_by_text("Its steps ran within a group of small steps.")).to_be_visible()


def test_says_when_groups_are_made(page: Page) -> None:
    kernels = {**_kernels(), "groupsNote": "When it runs again, they run in groups."}
    _tell(page, {"kind": "kernels", "kernels": kernels})
    expect(page.get_by_text("When it runs again, they run in groups.")).to_be_visible()


def test_shows_how_the_kernel_was_found(page: Page, pictures: Path) -> None:
    page.get_by_role("radio", name="How the chosen kernel was found").check()
    rows = page.locator(".tl-candidates tbody tr")
    assert rows.nth(0).locator("th").inner_text() == "packed 6x8"
    assert "the fastest" in rows.nth(0).inner_text()
    assert "needs 19 of 16 registers" in rows.nth(3).inner_text()
    expect(
        page.get_by_role("img", name="2 candidates by predicted and measured time")
    ).to_be_visible()
    expect(page.get_by_role("img", name="Best speed so far against tuning time")).to_be_visible()
    page.screenshot(path=pictures / "kernels-tuning.png")


def test_gpu_kernels_have_no_predictions_and_no_roofline_before_it_is_measured(page: Page) -> None:
    kernels = _kernels()
    tried = [("registers 4x4/8x8", "best", 2.0), ("dot 1x4/64", "measured", 3.0)]
    candidates = [{**_candidate(text, state, ms), "predictedMs": None} for text, state, ms in tried]
    shape = _shape("a1", (1, 256, 256, 256), backend="webgpu", candidates=candidates)
    device = {**kernels["device"], "peakGflops": None, "bytesPerMs": None}
    _tell(page, {"kind": "kernels", "kernels": {**kernels, "shapes": [shape], "device": device}})
    page.get_by_role("radio", name="How the chosen kernel was found").check()
    expect(page.get_by_role("img", name="2 candidates by measured time")).to_be_visible()
    expect(page.get_by_text("the threads of a workgroup share each sum")).to_be_visible()
    page.get_by_role("radio", name="What was measured of this device").check()
    expect(page.get_by_text("There is no roofline for what ran last")).to_be_visible()
    assert page.get_by_role("img", name="Roofline", exact=False).count() == 0
    tuning = {**kernels["tuning"], "running": True, "message": "Measuring the GPU"}
    waiting = {**kernels, "shapes": [shape], "device": device, "tuning": tuning}
    _tell(page, {"kind": "kernels", "kernels": waiting})
    expect(page.get_by_text("The GPU's roofline comes when its speed is measured")).to_be_visible()
    device |= {"peakGflops": 11.5, "bytesPerMs": 4e6}
    _tell(page, {"kind": "kernels", "kernels": {**kernels, "shapes": [shape], "device": device}})
    expect(page.get_by_role("heading", name="Roofline of the GPU")).to_be_visible()
    # 42.7 FLOP per byte and 4 GB/s would give more than the arithmetic does.
    expect(page.get_by_text("The chosen kernel could reach 11.5 GFLOP/s here.")).to_be_visible()


def test_says_what_was_thrown_out_and_why_nothing_is_tuned(page: Page) -> None:
    kernels = _kernels()
    kernels["tuning"] |= {"running": True, "message": "Trying kernels for 16x16x16"}
    kernels["tuning"]["thrownOut"] = ["unpacked 4x8: differs from the reference."]
    kernels["shapes"][0] |= {"candidates": [], "history": [], "note": "It is too small."}
    _tell(page, {"kind": "kernels", "kernels": kernels})
    status = page.get_by_role("status").filter(has_text="Trying kernels for 16x16x16.")
    assert "So far 55\u2009ms on this visit, at most 300\u2009ms per kernel" in status.inner_text()
    page.get_by_text("Thrown out: 1").click()
    expect(page.get_by_text("unpacked 4x8: differs from the reference.")).to_be_visible()
    page.get_by_role("radio", name="How the chosen kernel was found").check()
    expect(page.get_by_text("It is too small.")).to_be_visible()


def test_before_the_first_run_it_shows_the_device(page: Page) -> None:
    nothing = {**_kernels(), "shapes": [], "calls": []}
    _tell(page, {"kind": "kernels", "kernels": nothing})
    expect(page.get_by_text("Nothing has been contracted yet", exact=False)).to_be_visible()
    expect(page.get_by_text("Speed falls from tile 6x8.")).to_be_visible()


def test_fits_every_screen(page: Page, pictures: Path) -> None:
    _tell(page, {"kind": "kernels", "kernels": _grouped()})
    page.get_by_label("Kernels of the last run").get_by_role("button").first.click()
    _tell(page, _source("group", 0, "fused", bytes=2623))
    for width, height in ((390, 844), (860, 700), (1280, 720)):
        page.set_viewport_size({"width": width, "height": height})
        for pane in ("Loops and text", "How the chosen", "What was measured"):
            page.get_by_role("radio", name=pane, exact=False).check()
            assert page.locator(".tl-dialog").evaluate(WIDER) == [], (width, pane)
            page.screenshot(path=pictures / f"kernels-{width}-{pane.split()[0]}.png".lower())


def test_puts_kernels_under_the_roof(page: Page, pictures: Path) -> None:
    page.get_by_role("radio", name="What was measured of this device").check()
    # 256^3 in float32 moves three matrices once: 42.7 FLOP per byte, so arithmetic is the limit.
    expect(page.get_by_text("The chosen kernel could reach 58.7 GFLOP/s here.")).to_be_visible()
    expect(page.get_by_text("Speed falls from tile 6x8.")).to_be_visible()
    page.screenshot(path=pictures / "kernels-device.png")


def test_brings_a_database_in_as_text(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "kernels.json"
    path.write_text('{"kind": "x"}')
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Bring some in").click()
    chooser.value.set_files(path)
    page.wait_for_timeout(100)
    (request,) = _asked(page, "kernel-database")
    assert (request["action"], request["text"]) == ("import", '{"kind": "x"}')
    message = "The field `kind` is 'x', not 'kernel-database'."
    _tell(page, {"kind": "kernel-database", "text": "", "message": message})
    expect(page.get_by_role("status").filter(has_text=message)).to_be_visible()
