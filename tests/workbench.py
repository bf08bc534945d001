"""The workbench on the built site, in the diagram's own terms: what a user does, what is shown.

Gestures are real ones: mouse and keyboard on the screen. State is read from the page's store.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Error

from page_state import drawn, python_answered, until
from tensorloom.engine import contract_network
from tensorloom.model import codec

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from playwright.sync_api import Page

__all__ = ["EMPTY", "Point", "Workbench", "beside", "native", "ready"]

Point = tuple[float, float]

RIM = 24
"""From a circle's centre to where its rim is pulled, at zoom 1 [px]."""

GLIDE_MS = 250
"""For the view to come to rest: what is opened is shown whole, by a glide of 160 ms."""

FRAMES_MS = 40
"""Two frames: a view that is the same after them does not glide."""

SETTLE_MS = 60
"""For React to draw and for a gesture to be told from the next one."""

EMPTY: dict[str, Any] = {
    "tensorloom": 1,
    "title": "Untitled",
    "dtype": "float64",
    "tensors": [],
    "dimensions": {},
    "output": [],
    "marks": {},
    "anchors": {},
}

VIEW = """
(paper) => {
  const view = new DOMMatrix(getComputedStyle(paper).transform);
  const box = paper.closest(".tl-canvas").getBoundingClientRect();
  return [box.left + view.e, box.top + view.f, view.a];
}
"""

END = """
(path) => {
  const end = path.getPointAtLength(path.getTotalLength()).matrixTransform(path.getScreenCTM());
  return [end.x, end.y];
}
"""


class Workbench:
    """A page with the workbench.

    Args:
        page: The open page of the site.
    """

    def __init__(self, page: Page) -> None:
        self.page = page

    # --- what is shown --------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate("() => tensorloom.document()")
        return found

    def state(self, expression: str) -> Any:  # any JSON
        """A JavaScript expression of the store's state, called ``now``."""
        return self.page.evaluate(
            f"() => {{ const now = tensorloomStore.get(); return {expression}; }}"
        )

    def equation(self) -> str:
        """The document as letters, whatever the formula shows."""
        document = self.document()
        inputs = ",".join("".join(tensor["indices"]) for tensor in document["tensors"])
        return f"{inputs}->{''.join(document['output'])}"

    def formula(self) -> str:
        """The text in the formula field."""
        return self.page.get_by_label("Equation (einsum)").input_value()

    def headline(self) -> str:
        """The number in the value card, as it is printed."""
        return self.page.locator(".tl-value .tl-number b").inner_text()

    def toasts(self) -> list[str]:
        return self.page.locator(".tl-toast p").all_inner_texts()

    # --- waiting --------------------------------------------------------------------------------

    def settle(self) -> None:
        """Until Python has answered everything sent so far, and the page has drawn it."""
        drawn(self.page, SETTLE_MS)
        self.page.evaluate("() => tensorloomStore.settled()")
        drawn(self.page, SETTLE_MS)

    def until(self, condition: str, *, seconds: float = 30) -> Any:  # any JSON
        """The first true value of an expression of the store's state, called ``now``."""
        function = f"() => {{ const now = tensorloomStore.get(); return {condition}; }}"
        return until(self.page, function, seconds=seconds)

    def run(self, **options: object) -> dict[str, Any]:
        """The result of ``tensorloom.run``, its value as a list."""
        found: dict[str, Any] = self.page.evaluate(
            """async (options) => {
              const result = await tensorloom.run(options);
              return { ...result, kind: result.value.constructor.name, value: [...result.value] };
            }""",
            options,
        )
        return found

    def shows_value(self, value: complex, *, relative: float = 1e-7, seconds: float = 20) -> None:
        """Waits for the page to show a scalar by itself.

        Raises:
            AssertionError: It shows another one.
        """
        close = f"Math.hypot(re - ({value.real}), im - ({value.imag})) <= {relative * abs(value)}"
        try:
            self.until(
                f"(([re, im]) => {close})(now.result?.scalar ?? [NaN, NaN])", seconds=seconds
            )
        except Error:
            shown = self.state("now.result?.scalar")
            raise AssertionError(f"The page shows {shown}, not {value}") from None

    # --- doing ----------------------------------------------------------------------------------

    def open(self, **options: object) -> dict[str, Any]:
        found = self._opened(options)
        self.page.wait_for_timeout(GLIDE_MS)
        return found

    def _opened(self, options: dict[str, object]) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate("(options) => tensorloom.open(options)", options)
        return found

    def clear(self) -> None:
        """An empty drawing at zoom 1, nothing held, no messages."""
        self._opened({"format": "document", "text": json.dumps(EMPTY)})
        self.page.keyboard.press("Escape")
        self.page.evaluate(
            """() => {
              for (const { id } of tensorloomStore.get().toasts) tensorloomStore.dismiss(id);
              tensorloomStore.select({});
            }"""
        )
        self.page.locator(".tl-canvas").focus()
        self.press("1")
        self._view()

    def click(self, at: Point, *, times: int = 1) -> None:
        self.page.mouse.click(*at, click_count=times)
        drawn(self.page, SETTLE_MS)

    def drag(self, start: Point, *stops: Point, keys: str = "") -> None:
        """Press at ``start``, move over the stops, let go at the last."""
        self.page.mouse.move(*start)
        self.page.mouse.down()
        if keys:
            self.page.keyboard.down(keys)
        for stop in stops:
            self.page.mouse.move(*stop, steps=6)
        drawn(self.page, SETTLE_MS)
        self.page.mouse.up()
        if keys:
            self.page.keyboard.up(keys)
        drawn(self.page, SETTLE_MS)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.page.wait_for_timeout(GLIDE_MS if key == "f" else SETTLE_MS)

    def type_equation(self, text: str) -> None:
        """Into the formula, key by key, in place of what is there."""
        field = self.page.get_by_label("Equation (einsum)")
        field.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text, delay=5)
        self.settle()

    def command(self, words: str) -> None:
        """An action of the command palette."""
        self.page.keyboard.press("Control+k")
        self.page.get_by_role("combobox", name="Find a command").fill(words)
        self.page.keyboard.press("Enter")
        drawn(self.page, SETTLE_MS)

    # --- places on the screen -------------------------------------------------------------------

    def screen(self, x: float, y: float) -> Point:
        """Where a point of the diagram is on the screen."""
        left, top, zoom = self._view()
        return left + zoom * x, top + zoom * y

    def tensor(self, name: str) -> Point:
        """Centre of a tensor on the screen."""
        mark = self.document()["marks"][self.id_of(name)]
        return self.screen(mark["x"], mark["y"])

    def rim(self, name: str, x: float = 1, y: float = 0) -> Point:
        """The rim of a circle in the direction ``(x, y)``, on the screen."""
        zoom = self._view()[2]
        return beside(self.tensor(name), RIM * zoom * x, RIM * zoom * y)

    def middle(self, one: str, other: str) -> Point:
        """Halfway between two tensors: on their bond, if it is straight."""
        (x, y), (u, v) = self.tensor(one), self.tensor(other)
        return (x + u) / 2, (y + v) / 2

    def paper(self, x: float, y: float) -> Point:
        """A point of the canvas, in parts of its width and height."""
        box = self._box(".tl-canvas")
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def number(self, index: str) -> Point:
        """The dimension that stands beside an index."""
        box = self._box(f'.tl-dimension[data-dimension-of="{index}"]')
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def end(self, index: str) -> Point:
        """The free end of an open leg."""
        x, y = self.page.locator(f'.tl-bond[data-index="{index}"] path').first.evaluate(END)
        return x, y

    def _box(self, selector: str) -> Any:  # Playwright's box
        box = self.page.locator(selector).first.bounding_box()
        assert box is not None, selector
        return box

    def id_of(self, name: str) -> str:
        tensors = self.document()["tensors"]
        return next(tensor["id"] for tensor in tensors if tensor["name"] == name)

    def _view(self) -> tuple[float, float, float]:
        """The view at rest: gestures aim at what stands still, as a user does."""
        paper = self.page.locator(".react-flow__viewport")
        found = paper.evaluate(VIEW)
        while True:
            self.page.wait_for_timeout(FRAMES_MS)
            before, found = found, paper.evaluate(VIEW)
            if before == found:
                left, top, zoom = found
                return left, top, zoom


def beside(point: Point, x: float = 0, y: float = 0) -> Point:
    return point[0] + x, point[1] + y


def ready(page: Page, address: str) -> Workbench:
    """The workbench at an address, once Python has answered."""
    page.goto(address)
    python_answered(page)
    page.evaluate("() => tensorloom.ready")
    return Workbench(page)


def native(document: dict[str, Any]) -> NDArray[Any]:
    """The value of a document by numpy, outside the browser."""
    return contract_network(codec.from_json(document), backend="numpy").value
