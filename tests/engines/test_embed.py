"""An embedded network on Firefox and WebKitGTK: there at once, its numbers follow a change."""

from __future__ import annotations

import json
import zlib
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tensorloom.execute.arrays import ArrayStore, stored_array
from tensorloom.formats import opening
from tensorloom.view.embed import embeddable, embedded

if TYPE_CHECKING:
    from engines.engine import Engine

pytestmark = pytest.mark.engines

MOST_MS = 250 * 8
"""The goal is 250 ms on a quiet machine, for an engine that was not started a moment ago."""
LOADS = 3

SHOWN = """
() => new Promise((resolve) => {
  const look = () => {
    const value = document.getElementById("value").textContent;
    if (value === "") setTimeout(look, 5);
    else {
      const ms = performance.getEntriesByName("shown")[0]?.startTime ?? null;
      resolve([value, document.querySelectorAll("circle").length, ms]);
    }
  };
  look();
})
"""

CHANGE = """
() => {
  document.querySelector("circle").dispatchEvent(new MouseEvent("click", { bubbles: true }));
  const field = document.querySelector("input[type=number]");
  field.value = "7";
  field.dispatchEvent(new Event("input"));
  return document.getElementById("value").textContent;
}
"""


def fragment(equation: str, arrays: list[list[float]]) -> str:
    """The file that the page would give, as the page would write it into an address."""
    given = [stored_array(np.array(data, "float64").reshape(2, 2)) for data in arrays]
    opened = opening.open_text(equation, format="einsum", name="", options={"arrays": given})
    store = ArrayStore()
    for array in opened.arrays:
        store.add(array)
    deflated = zlib.compress(embedded(embeddable(opened.document), store, None), wbits=-15)
    return urlsafe_b64encode(deflated).decode().rstrip("=")


def test_an_embedded_network_is_there_at_once_and_live(engine: Engine, site_url: str) -> None:
    network = fragment("ij,jk->ik", [[1, 2, 3, 4], [0, 1, 1, 0]])
    all_ms = []
    # Other tests run beside this one: of a few loads the best counts.
    for number in range(LOADS):
        engine.open(f"{site_url}embed.html?{number}#{network}")
        value, circles, ms = engine.evaluate(SHOWN)
        all_ms.append(ms)
        assert value.split()[3:] == ["2", "1", "4", "3"]
        assert circles == 2
    print(f"{engine.version}: first number after {all_ms} ms")
    assert min(all_ms) < MOST_MS
    assert engine.evaluate(CHANGE).split()[3:] == ["2", "7", "4", "3"]
    assert engine.problems() == [], json.dumps(engine.problems())
