"""The search worker's entry: its lines, its clock, its end."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count, islice
from typing import TYPE_CHECKING, Any

from tensorloom.plan.cost import cost_of
from tensorloom.plan.find import plan_for
from tensorloom.plan.improve import improve
from tensorloom.plan.search import main

if TYPE_CHECKING:
    from collections.abc import Callable

# A 4 x 5 grid, bonds of 3.
ROWS, COLUMNS = 4, 5
INPUTS = tuple(
    tuple(
        name
        for name, there in (
            (f"h{row},{column - 1}", column > 0),
            (f"h{row},{column}", column < COLUMNS - 1),
            (f"v{row - 1},{column}", row > 0),
            (f"v{row},{column}", row < ROWS - 1),
        )
        if there
    )
    for row in range(ROWS)
    for column in range(COLUMNS)
)
DIMENSIONS = tuple((name, 3) for name in dict.fromkeys(name for names in INPUTS for name in names))


def request(**more: object) -> str:
    return json.dumps(
        {"inputs": INPUTS, "output": [], "dimensions": dict(DIMENSIONS), "seconds": 5, **more}
    )


def ticking(step: float) -> Callable[[], float]:
    """A clock that moves by ``step`` seconds each time it is read."""
    ticks = count()
    return lambda: next(ticks) * step


def lines(text: str, step: float) -> list[dict[str, Any]]:
    return [json.loads(line) for line in main(text, ticking(step))]


def test_lines_report_every_step_when_the_clock_is_slow() -> None:
    found = lines(request(), 1.0)
    assert [line["elapsedMs"] for line in found] == [1000, 2000, 3000, 4000, 5000]
    assert [line["trials"] for line in found] == [1, 2, 3, 4, 5]
    assert set(found[0]) == {"trials", "elapsedMs", "bestMulAdds", "finder", "path"}


def test_only_better_trees_break_the_silence() -> None:
    found = lines(request(seconds=1), 0.005)
    quiet = [line for line in found if line["path"] is None]
    assert len(quiet) <= 5
    best = [int(line["bestMulAdds"]) for line in found if line["path"]]
    assert best == sorted(best, reverse=True)
    assert len(set(best)) == len(best)


def test_paths_are_trees_that_cost_what_the_line_says() -> None:
    start = plan_for(INPUTS, (), DIMENSIONS)
    found = [line for line in lines(request(seconds=2), 0.01) if line["path"]]
    assert found
    for line in found:
        path = tuple((left, right) for left, right in line["path"])
        tree = type(start.tree)(inputs=INPUTS, output=(), dimensions=DIMENSIONS, path=path)
        terms = [
            {*step.left_indices, *step.right_indices} for step in tree.steps
        ]  # all bonds have dimension 3
        assert int(line["bestMulAdds"]) == sum(3 ** len(names) for names in terms)
        assert int(line["bestMulAdds"]) < start.cost.mul_adds


def test_the_best_tree_has_to_be_beaten() -> None:
    best = [line for line in lines(request(seconds=3), 0.01) if line["path"]][-1]
    again = lines(request(seconds=1, path=best["path"], seed=5), 0.01)
    assert int(again[0]["bestMulAdds"]) <= int(best["bestMulAdds"])


def test_a_proved_plan_is_not_searched() -> None:
    text = json.dumps(
        {"inputs": ["ij", "jk"], "output": "ik", "dimensions": dict.fromkeys("ijk", 2)}
    )
    assert lines(text, 0.01) == []


def test_no_search_without_tensors() -> None:
    assert lines(json.dumps({"inputs": [], "output": [], "dimensions": {}}), 0.01) == []


def test_same_seed_same_trees() -> None:
    plan = plan_for(INPUTS, (), DIMENSIONS)
    one, two = (list(islice(improve(plan, seed=3), 80)) for _ in range(2))
    assert one == two


def test_a_tree_that_fits_beats_a_cheaper_one() -> None:
    plan = plan_for(INPUTS, (), DIMENSIONS)
    limit = sum(3 ** len(names) for names in INPUTS) + 2 * 3**5
    assert plan.cost.peak_elements > limit
    found = [item for item in islice(improve(plan, most_elements=limit), 600) if item.path]
    trees = [replace(plan.tree, path=item.path or ()) for item in found]
    fits = [cost_of(tree).peak_elements <= limit for tree in trees]
    assert fits == sorted(fits)
    first = fits.index(True)
    assert found[first].mul_adds > found[first - 1].mul_adds


def test_a_search_that_finds_nothing_more_ends_by_itself() -> None:
    chain = tuple((f"i{place}", f"i{place + 1}") for place in range(9))
    dimensions = tuple((f"i{place}", 2) for place in range(10))
    plan = plan_for(chain, (), dimensions)
    steps = sum(1 for _ in improve(plan))
    assert 100 < steps < 20_000
