"""The tutorial, followed word by word: every comment in its source is done or expected on the site.

The comments are a small language: ``do:`` and ``expect:``, each a sentence that one function below
understands. Prose and page cannot part without this test failing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from workbench import Workbench, beside, ready

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import BrowserContext

pytestmark = pytest.mark.browser

COMMENT = re.compile(r"<!-- (do|expect): (.+?) -->")
FENCE = re.compile(r"```\w*\n(.*?)```", re.DOTALL)
EQUAL = 1e-7
"""Relative; the tutorial prints numbers with about eight digits."""


@dataclass(frozen=True)
class Step:
    """One comment: what to do or expect, and the fenced block that stands before it."""

    line: int
    verb: str
    words: str
    block: str


def steps_of(text: str) -> list[Step]:
    blocks = [(found.end(), found[1]) for found in FENCE.finditer(text)]
    return [
        Step(
            line=text.count("\n", 0, found.start()) + 1,
            verb=found[1],
            words=found[2],
            block=next((block for end, block in reversed(blocks) if end < found.start()), ""),
        )
        for found in COMMENT.finditer(text)
    ]


class Reader:
    """Someone who follows the tutorial.

    Args:
        new_context: A maker of browsers of their own.
        address: Of the site.
    """

    def __init__(self, new_context: Callable[..., BrowserContext], address: str) -> None:
        self.new_context = new_context
        self.address = address
        self.bench: Workbench
        self.norm = 0.0
        self.value = 0.0

    def follow(self, step: Step) -> None:
        """Does or expects what a step says.

        Raises:
            AssertionError: Nobody understands it, or it is not so.
        """
        for pattern, method in SENTENCES[step.verb]:
            found = re.fullmatch(pattern, step.words)
            if found:
                given = (step.block if word == "the block" else word for word in found.groups())
                method(self, *given)
                return
        raise AssertionError(f"Nobody understands {step.words!r}")

    # --- do -------------------------------------------------------------------------------------

    def open_site(self) -> None:
        self.bench = ready(self.new_context(color_scheme="light").new_page(), self.address)

    def open_link(self) -> None:
        link = self.bench.page.get_by_label("Link", exact=True).input_value()
        self.bench = ready(self.new_context().new_page(), link)

    def press(self, keys: str) -> None:
        self.bench.press(*keys.split())

    def click(self, name: str) -> None:
        self.bench.page.get_by_role("button", name=name, exact=True).click()

    def choose(self, name: str) -> None:
        label = re.compile(rf"^{re.escape(name)}\b")
        self.bench.page.get_by_role("radio", name=label).check(force=True)

    def fill(self, label: str, text: str) -> None:
        self.bench.page.get_by_label(label).fill(text)

    def focus(self, name: str) -> None:
        self.bench.page.get_by_label(name).focus()

    def type_formula(self, text: str) -> None:
        self.bench.type_equation(text.strip())

    def drag_number(self, index: str, by: str) -> None:
        at = self.bench.number(index)
        self.bench.drag(at, beside(at, 12.5 * int(by)))

    def click_paper(self, x: str, y: str) -> None:
        self.bench.click(self.bench.paper(float(x), float(y)))

    def double_click_paper(self, x: str, y: str) -> None:
        self.bench.click(self.bench.paper(float(x), float(y)), times=2)

    def click_between(self, one: str, other: str) -> None:
        self.bench.click(self.bench.middle(one, other))

    def drag_to_tensor(self, one: str, other: str) -> None:
        self.bench.drag(self.bench.rim(one), self.bench.tensor(other))

    def drag_away(self, one: str, x: str, y: str) -> None:
        side = -1 if float(x) < 0 else 1
        start = self.bench.rim(one, side)
        self.bench.drag(start, beside(start, float(x), float(y)))

    def move_selection(self, x: str, y: str) -> None:
        chosen = self.bench.state("[...now.selection.tensors]")
        mark = self.bench.document()["marks"][chosen[0]]
        start = self.bench.screen(mark["x"], mark["y"])
        self.bench.drag(start, beside(start, float(x), float(y)))

    def join_ends(self) -> None:
        output = self.bench.document()["output"]
        half = len(output) // 2
        for one, other in zip(output[:half], output[half:], strict=True):
            self.bench.drag(self.bench.end(other), self.bench.end(one))

    def remember_norm(self) -> None:
        self.norm = self.bench.until("now.result.shape.length === 3 && now.result.norm")

    # --- expect ---------------------------------------------------------------------------------

    def has_tensors(self, count: str) -> None:
        self.bench.settle()
        assert len(self.bench.document()["tensors"]) == int(count)

    def has_open(self, count: str) -> None:
        self.bench.settle()
        assert len(self.bench.document()["output"]) == int(count)

    def has_dimension(self, index: str, size: str) -> None:
        self.bench.settle()
        assert self.bench.document()["dimensions"][index] == int(size)

    def has_equation(self, text: str) -> None:
        assert self.bench.equation() == text

    def has_formula(self, text: str) -> None:
        self.bench.settle()
        assert self.bench.formula() == text

    def has_value(self, text: str) -> None:
        self.value = float(text)
        self.bench.shows_value(self.value, relative=EQUAL)

    def has_another_value(self) -> None:
        far = EQUAL * abs(self.value)
        self.bench.until(f"Math.abs(now.result.scalar[0] - ({self.value})) > {far}")

    def has_norm_squared(self) -> None:
        self.bench.shows_value(self.norm**2, relative=EQUAL)

    def sees(self, text: str) -> None:
        shown = self.bench.page.get_by_text(text).locator("visible=true")
        shown.first.wait_for(timeout=20_000)

    def has_step(self, step: str) -> None:
        assert self.bench.state("now.planStep") == int(step)

    def has_selected(self, count: str) -> None:
        assert self.bench.state("now.selection.tensors.size") == int(count)


SENTENCES: dict[str, list[tuple[str, Callable[..., None]]]] = {
    "do": [
        (r"open the site", Reader.open_site),
        (r"open the link in a new browser", Reader.open_link),
        (r"drag the number of (\w+) by (-?\d+)", Reader.drag_number),
        (r"drag from the rim of (\w+) to (\w+)", Reader.drag_to_tensor),
        (r"drag from the rim of (\w+) by (\S+) (\S+)", Reader.drag_away),
        (r"move the selection by (\S+) (\S+)", Reader.move_selection),
        (r"join the ends", Reader.join_ends),
        (r"remember the norm", Reader.remember_norm),
        (r"click the paper at (\S+) (\S+)", Reader.click_paper),
        (r"double-click the paper at (\S+) (\S+)", Reader.double_click_paper),
        (r"click between (\w+) and (\w+)", Reader.click_between),
        (r"type (the block) into the formula", Reader.type_formula),
        (r"fill (.+?) with (.+)", Reader.fill),
        (r"choose (.+)", Reader.choose),
        (r"focus (.+)", Reader.focus),
        (r"press (.+)", Reader.press),
        (r"click (.+)", Reader.click),
    ],
    "expect": [
        (r"(\d+) tensors", Reader.has_tensors),
        (r"(\d+) open", Reader.has_open),
        (r"(\d+) selected", Reader.has_selected),
        (r"step (\d+)", Reader.has_step),
        (r"dimension (\w+) (\d+)", Reader.has_dimension),
        (r"equation (\S+)", Reader.has_equation),
        (r"formula (.+)", Reader.has_formula),
        (r"another value", Reader.has_another_value),
        (r"the norm squared", Reader.has_norm_squared),
        (r"value (\S+)", Reader.has_value),
        (r"sees (.+)", Reader.sees),
    ],
}


def test_every_step_of_the_tutorial_can_be_followed(
    root: Path, new_context: Callable[..., BrowserContext], site_url: str
) -> None:
    steps = steps_of((root / "docs" / "tutorial.md").read_text(encoding="utf-8"))
    assert len(steps) > 50
    reader = Reader(new_context, site_url)
    for step in steps:
        try:
            reader.follow(step)
        except Exception as error:
            raise AssertionError(
                f"docs/tutorial.md, line {step.line}, {step.verb}: {step.words}"
            ) from error


def test_a_sentence_that_nobody_understands_is_an_error(
    new_context: Callable[..., BrowserContext],
) -> None:
    [step] = steps_of("one\n\n```\nab->\n```\n\n<!-- do: juggle A and B -->\n")
    assert step == Step(line=7, verb="do", words="juggle A and B", block="ab->\n")
    with pytest.raises(AssertionError, match="Nobody understands 'juggle A and B'"):
        Reader(new_context, "").follow(step)
