"""The search worker's entry: one JSON request in, JSON lines of progress out, until time is up.

Request: ``{"inputs": [["i", "j"], ...], "output": ["i"], "dimensions": {"i": 3, ...}}`` and
optionally ``path`` (the tree to beat, SSA pairs), ``sliced`` (its sliced indices), ``proved``,
``seed``, ``seconds`` and ``mostElements`` (a number or a decimal string). A line: ``{"trials",
"elapsedMs", "bestMulAdds" (decimal string), "finder", "path" (SSA pairs when better than in the
line before, else null), "sliced" (the indices that this path slices)}``.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tensorloom.plan.cost import cost_of
from tensorloom.plan.find import plan_for
from tensorloom.plan.improve import improve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tensorloom.plan.improve import SearchProgress
    from tensorloom.plan.inputs import Dimensions, Inputs, Output
    from tensorloom.plan.plan import Plan

__all__ = ["main"]

SECONDS = 30.0
"""How long a search takes unless the request says otherwise [s]."""

SILENCE = 0.2
"""A line at least this often while nothing better turns up, and no more often [s]."""


def main(request: str, clock: Callable[[], float] = time.monotonic) -> Iterator[str]:
    """Lines of progress for a request; ends when its time is up or nothing is left to try."""
    begin = clock()
    asked: dict[str, Any] = json.loads(request)
    start = _start(asked)
    most = asked.get("mostElements")
    search = improve(
        start, seed=asked.get("seed", 0), most_elements=None if most is None else int(most)
    )
    seconds = asked.get("seconds", SECONDS)
    said = begin
    for progress in search:
        now = clock()
        if progress.path or now - said >= SILENCE:
            said = now
            yield _line(progress, now - begin)
        if now - begin >= seconds:
            return


def _start(asked: dict[str, Any]) -> Plan:
    """The plan to beat: the path of the request, or what is found at once."""
    inputs: Inputs = tuple(tuple(names) for names in asked["inputs"])
    output: Output = tuple(asked["output"])
    dimensions: Dimensions = tuple(asked["dimensions"].items())
    found = plan_for(inputs, output, dimensions)
    if asked.get("path") is None:
        return found
    path = tuple((left, right) for left, right in asked["path"])
    tree = replace(found.tree, path=path, sliced=tuple(asked.get("sliced", ())))
    return replace(found, tree=tree, cost=cost_of(tree), proved=bool(asked.get("proved")))


def _line(progress: SearchProgress, seconds: float) -> str:
    return json.dumps(
        {
            "trials": progress.trials,
            "elapsedMs": round(seconds * 1000),
            "bestMulAdds": str(progress.mul_adds),
            "finder": progress.finder,
            "path": progress.path,
            "sliced": progress.sliced,
        }
    )
