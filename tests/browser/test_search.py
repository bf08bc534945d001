"""Looking for a better order on the built site: a worker of its own, progress, adoption, stop."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from workbench import Workbench

pytestmark = pytest.mark.browser


SHRINK = """
(name) => tensorloomStore.dispatch(
  "Set dimension", [{ kind: "set-dimension", name, dimension: 2 }],
)
"""


def regular(n_tensors: int, dimension: int) -> str:
    """A random 3-regular network as network JSON: greedy's first tree for it is far from best."""
    draw = random.Random(11)
    legs = [number for number in range(n_tensors) for _ in range(3)]
    draw.shuffle(legs)
    inputs: list[list[str]] = [[] for _ in range(n_tensors)]
    for bond, (one, other) in enumerate(zip(legs[::2], legs[1::2], strict=True)):
        inputs[one].append(f"b{bond}")
        inputs[other].append(f"b{bond}")
    sizes = {name: dimension for names in inputs for name in names}
    return json.dumps({"inputs": inputs, "output": [], "size_dict": sizes})


def test_a_better_order_is_found_adopted_and_kept_in_a_drag(bench: Workbench) -> None:
    bench.open(format="network-json", text=regular(120, 3))
    first = int(bench.until("now.plan?.inputs.length === 120 && now.plan.mulAdds", seconds=20))
    # So dear a plan is searched further without being asked.
    bench.until("now.search?.running", seconds=20)
    bench.until(f"now.plan.finder !== 'greedy' && BigInt(now.plan.mulAdds) < {first}n", seconds=60)
    assert bench.state("now.search.trials") > 0
    bench.page.evaluate("() => tensorloomStore.request({ kind: 'search', action: 'stop' })")
    bench.until("now.search.running === false", seconds=10)
    found = bench.state("now.plan")
    better = int(found["mulAdds"])
    assert better < first
    # While only sizes change the tree is kept: its steps are the same, re-costed.
    name = found["steps"][0]["indices"][0]
    bench.page.evaluate(SHRINK, name)
    bench.until(f"now.plan.mulAdds !== '{better}'", seconds=10)
    after = bench.state("now.plan")
    assert [(s["left"], s["right"]) for s in after["steps"]] == [
        (s["left"], s["right"]) for s in found["steps"]
    ]
    assert int(after["mulAdds"]) < better


def test_what_does_not_fit_is_sliced_by_a_search(bench: Workbench) -> None:
    # The tree that greedy finds holds terabytes at once.
    bench.open(format="network-json", text=regular(60, 12))
    bench.until("now.plan?.refused?.code === 'does-not-fit'", seconds=20)
    # So dear a plan is searched further without being asked.
    bench.until("now.plan.sliced.length > 0 && now.plan.refused === null", seconds=90)
    bench.page.evaluate("() => tensorloomStore.request({ kind: 'search', action: 'stop' })")
    assert "indices sliced" in bench.page.locator(".tl-order").inner_text()
