"""The canvas on the harness page, without Python, in the diagram's own terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from page_state import drawn
from workbench import EMPTY

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["SETTLE_MS", "Canvas", "Point", "row"]

SETTLE_MS = 60
TO_SCREEN = """
([x, y]) => {
  const root = document.getElementById("host").shadowRoot;
  const paper = root.querySelector(".react-flow__viewport");
  const view = new DOMMatrix(getComputedStyle(paper).transform);
  const box = root.querySelector(".tl-canvas").getBoundingClientRect();
  return [box.left + view.e + x * view.a, box.top + view.f + y * view.a];
}
"""

Point = tuple[float, float]


class Canvas:
    """A page with the workbench, in the diagram's own terms.

    Args:
        page: The open harness page.
    """

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self, document: dict[str, Any]) -> None:
        self.page.evaluate("document => harness.open(document)", document)
        drawn(self.page, SETTLE_MS)

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate("harness.document()")
        return found

    def equation(self) -> str:
        document = self.document()
        inputs = ",".join("".join(tensor["indices"]) for tensor in document["tensors"])
        return f"{inputs}->{''.join(document['output'])}"

    def steps(self) -> int:
        """How often undo can be done."""
        return int(self.page.evaluate("harness.store.history.past.length"))

    def selection(self) -> tuple[list[str], list[str]]:
        tensors, indices = self.page.evaluate(
            "(({tensors, indices}) => [[...tensors], [...indices]])(harness.store.get().selection)"
        )
        return tensors, indices

    def screen(self, x: float, y: float) -> Point:
        left, top = self.page.evaluate(TO_SCREEN, [x, y])
        return left, top

    def tensor(self, name: str) -> Point:
        """Centre of a tensor on the screen."""
        document = self.document()
        found = next(tensor["id"] for tensor in document["tensors"] if tensor["name"] == name)
        mark = document["marks"][found]
        return self.screen(mark["x"], mark["y"])

    def end(self, index: str) -> Point:
        """The anchor of an index on the screen."""
        return self.screen(*self.document()["anchors"][index])

    def drag(self, start: Point, *stops: Point, shift: bool = False) -> None:
        self.page.mouse.move(*start)
        self.page.mouse.down()
        if shift:
            self.page.keyboard.down("Shift")
        for stop in stops:
            self.page.mouse.move(*stop, steps=6)
        drawn(self.page, SETTLE_MS)
        self.page.mouse.up()
        if shift:
            self.page.keyboard.up("Shift")
        drawn(self.page, SETTLE_MS)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            drawn(self.page, SETTLE_MS)


def row(*tensors: str, output: str = "", step: int = 160) -> dict[str, Any]:
    """Circles A, B ... in a row with the given indices, all of dimension 2."""
    ids = [f"t{place + 1}" for place in range(len(tensors))]
    return {
        **EMPTY,
        "tensors": [
            {
                "id": name,
                "name": "ABCDEF"[place],
                "indices": list(indices),
                "array": {"kind": "random", "seed": place, "distribution": "normal"},
            }
            for place, (name, indices) in enumerate(zip(ids, tensors, strict=True))
        ],
        "dimensions": dict.fromkeys("".join(tensors), 2),
        "output": list(output),
        "marks": {
            name: {"x": 300 + step * place, "y": 180, "shape": "circle", "colour": "blue"}
            for place, name in enumerate(ids)
        },
    }
