"""The workbench in some engine, in a user's terms, and how its start went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from workbench import EMPTY

if TYPE_CHECKING:
    from engines.engine import Engine, Point

__all__ = ["EMPTY", "Said", "Story"]

LISTEN = """
() => {
  globalThis.tensorloomSaid = [];
  tensorloomBoot.subscribe(({ message, fraction, failed }) => {
    const drawn = globalThis.tensorloomStore?.get().document.tensors.length ?? 0;
    tensorloomSaid.push([message, fraction, failed, drawn]);
  });
}
"""
"""Whatever the progress line says from now on, and how many tensors are on the page by then."""

START = """
() => new Promise((resolve, reject) => {
  tensorloom.ready.then(() => resolve(tensorloomSaid));
  tensorloomBoot.subscribe(({ failed, message }) => failed && reject(new Error(message)));
})
"""

SETTLED = """
async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  await frame();
  await tensorloomStore.settled();
  await frame();
}
"""

LIVE = """
() => new Promise((resolve, reject) => {
  const started = performance.now();
  const look = () => {
    const { result, stale, behind, progress, toasts } = tensorloomStore.get();
    if (toasts.length > 0) reject(new Error(toasts[0].error.message));
    else if (result && !stale && !behind && !progress) resolve(result);
    else if (performance.now() - started > 100000) reject(new Error("no value within 100 s"));
    else setTimeout(look, 20);
  };
  look();
})
"""

EVERYWHERE = """
  const trees = (root) => [
    root,
    ...[...root.querySelectorAll("*")].flatMap(({ shadowRoot: t }) => (t ? trees(t) : [])),
  ];
  const all = (selector) => trees(document).flatMap((root) => [...root.querySelectorAll(selector)]);
"""
"""``all``: what a selector finds in the page and in the shadow trees of its components."""

STILL = """
  const still = async (measure) => {
    for (let before = measure(); ; ) {
      await new Promise((done) => setTimeout(done, 100));
      const now = measure();
      if (String(now) === String(before)) return now;
      before = now;
    }
  };
"""
"""``still``: what a function measures, once it has stopped changing: drawings glide into place."""

VIEW = f"""
() => {{
  {EVERYWHERE}
  {STILL}
  return still(() => {{
    const view = new DOMMatrix(getComputedStyle(all(".react-flow__viewport")[0]).transform);
    const box = all(".tl-canvas")[0].getBoundingClientRect();
    return [box.left + view.e, box.top + view.f, view.a];
  }});
}}
"""

BOX = f"""
(selector) => {{
  {EVERYWHERE}
  {STILL}
  return still(() => {{
    const {{ left, top, right, bottom }} = all(selector)[0].getBoundingClientRect();
    return [left, top, right, bottom];
  }});
}}
"""

WORDED = f"""
(selector, words) => new Promise((resolve, reject) => {{
  {EVERYWHERE}
  const started = performance.now();
  const look = () => {{
    const found = all(selector).find((one) => one.innerText.trim().startsWith(words));
    if (found) {{
      const {{ left, top, right, bottom }} = found.getBoundingClientRect();
      resolve([(left + right) / 2, (top + bottom) / 2]);
    }} else if (performance.now() - started > 100000)
      reject(new Error(`no ${{selector}} ${{words}}`));
    else setTimeout(look, 20);
  }};
  look();
}})
"""

TEXTS = f"(selector) => {{ {EVERYWHERE} return all(selector).map((one) => one.innerText); }}"


class Said(NamedTuple):
    """One message of the start.

    Attributes:
        message: In words; empty once Python has answered.
        fraction: How much of the start is done.
        failed: Whether it went wrong for good.
        drawn: Tensors on the page at that time.
    """

    message: str
    fraction: float
    failed: bool
    drawn: int


class Story:
    """The workbench on the built site, started.

    Args:
        engine: A fresh page.
        address: Of the site.
    """

    def __init__(self, engine: Engine, address: str) -> None:
        self.engine = engine
        self.address = address
        self.said: list[Said] = []
        self.start()

    def start(self) -> None:
        """Load the page, and wait until Python has answered."""
        self.engine.open(self.address)
        self.engine.evaluate(LISTEN)
        self.said = [Said(*said) for said in self.engine.evaluate(START)]

    def open(self, **options: object) -> dict[str, Any]:
        """The document that ``tensorloom.open`` shows."""
        found: dict[str, Any] = self.engine.evaluate("(o) => tensorloom.open(o)", options)
        return found

    def run(self, **options: object) -> dict[str, Any]:
        """What ``tensorloom.run`` gives, its value as a list."""
        found: dict[str, Any] = self.engine.evaluate(
            """async (options) => {
              const { value, ...rest } = await tensorloom.run(options);
              return { ...rest, value: [...value] };
            }""",
            options,
        )
        return found

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = self.engine.evaluate("() => tensorloom.document()")
        return found

    def equation(self) -> str:
        """The document as letters."""
        document = self.document()
        inputs = ",".join("".join(tensor["indices"]) for tensor in document["tensors"])
        return f"{inputs}->{''.join(document['output'])}"

    def live(self) -> dict[str, Any]:
        """The value on the page, once it belongs to what is drawn."""
        self.settle()
        found: dict[str, Any] = self.engine.evaluate(LIVE)
        return found

    def settle(self) -> None:
        """Until Python has answered everything sent so far, and the page has drawn it."""
        self.engine.evaluate(SETTLED)

    def screen(self, x: float, y: float) -> Point:
        """Where a point of the paper is on the screen."""
        left, top, zoom = self.engine.evaluate(VIEW)
        return left + x * zoom, top + y * zoom

    def tensor(self, name: str) -> Point:
        """Centre of a tensor on the screen."""
        document = self.document()
        found = next(tensor["id"] for tensor in document["tensors"] if tensor["name"] == name)
        mark = document["marks"][found]
        return self.screen(mark["x"], mark["y"])

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the first element that a selector finds."""
        left, top, right, bottom = self.engine.evaluate(BOX, selector)
        return left, top, right, bottom

    def centre(self, selector: str) -> Point:
        """Centre of the first element that a selector finds."""
        left, top, right, bottom = self.box(selector)
        return (left + right) / 2, (top + bottom) / 2

    def press(self, words: str) -> None:
        """Click the first button, or label of a choice, that begins with these words."""
        self.settle()
        x, y = self.engine.evaluate(WORDED, "button, label", words)
        self.engine.click((x, y))

    def wait_for(self, selector: str, words: str = "") -> None:
        """Until a selector finds something that begins with these words."""
        self.engine.evaluate(WORDED, selector, words)

    def texts(self, selector: str) -> list[str]:
        """What the elements that a selector finds say."""
        found: list[str] = self.engine.evaluate(TEXTS, selector)
        return found
