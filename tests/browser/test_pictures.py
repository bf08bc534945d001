"""Pictures of the built site, and what can be said of them without looking.

They lie in ``.cache/pictures`` after each run, to be looked at. ``docs/screenshot.png``, which the
README shows, is one of them; it is written anew where ``TENSORLOOM_PICTURES`` is set.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from typing import TYPE_CHECKING

import pytest

from workbench import ready

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.browser

SIZES = [(1280, 720), (1600, 1000)]
SCHEMES = ["light", "dark"]
README_PICTURE = "start-1280-light"

OPEN = "async (options) => { await tensorloom.open(options); }"
RUN = "async () => { await tensorloom.run(); }"

CIRCUIT = """OPENQASM 2.0;
include "qelib1.inc";
qreg q[4];
h q[0]; cx q[0],q[1]; cx q[1],q[2]; cx q[2],q[3];
rz(pi/4) q[3]; cx q[2],q[3]; h q[2]; cz q[0],q[1]; h q[1];
"""


def network(n_tensors: int) -> str:
    """A random 3-regular network of dimension 2, as network JSON."""
    draw = random.Random(3)
    legs = [number for number in range(n_tensors) for _ in range(3)]
    draw.shuffle(legs)
    inputs: list[list[str]] = [[] for _ in range(n_tensors)]
    for bond, (one, other) in enumerate(zip(legs[::2], legs[1::2], strict=True)):
        inputs[one].append(f"b{bond}")
        inputs[other].append(f"b{bond}")
    sizes = {name: 2 for names in inputs for name in names}
    return json.dumps({"inputs": inputs, "output": [], "size_dict": sizes})


SCENES: dict[str, tuple[dict[str, object], ...]] = {
    "start": (),
    "mps": (
        {
            "format": "einsum",
            "text": "ai,abj,bck,cdl,dem,en->ijklmn",
            "sizes": {"a": 2, "b": 4, "c": 8, "d": 4, "e": 2} | dict.fromkeys("ijklmn", 2),
            "seed": 1,
        },
    ),
    "circuit": ({"format": "qasm", "text": CIRCUIT, "output": "0000"},),
    "huge": ({"format": "network-json", "text": network(924)},),
}


def _shares_of_width(page: Page) -> dict[str, float]:
    """Widths of the regions, as shares of the page's."""
    found: dict[str, float] = page.evaluate(
        """() => {
          const root = document.querySelector(".tl-root").firstElementChild.shadowRoot;
          const width = (name) => root.querySelector(name).getBoundingClientRect().width;
          return { canvas: width(".tl-canvas") / innerWidth, scroll: document.body.scrollWidth };
        }"""
    )
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES, ids=["1280", "1600"])
def test_scenes_at_two_sizes_light_and_dark(
    new_context: Callable[..., BrowserContext],
    site_url: str,
    pictures: Path,
    root: Path,
    size: tuple[int, int],
    scheme: str,
) -> None:
    width, height = size
    context = new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    ready(page, site_url)
    for scene, opened in SCENES.items():
        for options in opened:
            page.evaluate(OPEN, options)
            if scene != "huge":
                page.evaluate(RUN)
        page.wait_for_timeout(700)
        name = f"{scene}-{width}-{scheme}"
        page.screenshot(path=pictures / f"{name}.png")
        shares = _shares_of_width(page)
        # look.md: the diagram has at least 60 % of the page; nothing scrolls sideways.
        assert shares["canvas"] >= 0.6, name
        assert shares["scroll"] <= width, name
        if name == README_PICTURE and os.environ.get("TENSORLOOM_PICTURES"):
            shutil.copyfile(pictures / f"{name}.png", root / "docs" / "screenshot.png")
