"""The search worker's entry: its lines, its clock, its end."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count, islice
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tensorloom.plan import improve as improve_module
from tensorloom.plan.cost import cost_of
from tensorloom.plan.cutting import Knife
from tensorloom.plan.find import plan_for
from tensorloom.plan.improve import FAVOUR, _Turns, improve
from tensorloom.plan.search import main
from tensorloom.plan.sharing import work_of
from tensorloom.plan.slicing import sliced_to_fit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tensorloom.plan.plan import Plan

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

HELD = sum(3 ** len(names) for names in INPUTS)
"""What inputs take [elements]."""

LIMIT = HELD + 3**5
"""The same with one intermediate of five indices [elements]."""


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
    assert set(found[0]) == {"trials", "elapsedMs", "bestMulAdds", "finder", "path", "sliced"}


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


def found_in(steps: int, limit: int | None, plan: Plan) -> list[Plan]:
    """Plans that so many steps of a search bring, each better than the one before."""
    found = (item for item in islice(improve(plan, most_elements=limit), steps) if item.path)
    made = []
    for item in found:
        tree = replace(plan.tree, path=item.path or (), sliced=item.sliced)
        made.append(replace(plan, tree=tree, cost=cost_of(tree), finder=item.finder))
        assert item.mul_adds == work_of(made[-1]).mul_adds
    return made


def test_a_plan_that_fits_beats_a_cheaper_one() -> None:
    plan = plan_for(INPUTS, (), DIMENSIONS)
    limit = HELD + 150
    assert plan.cost.peak_elements > limit
    found = found_in(500, limit, plan)
    fits = [work_of(one).peak_elements <= limit for one in found]
    assert fits == sorted(fits)
    first = fits.index(True)
    assert found[first].tree.sliced
    work = [work_of(one).mul_adds for one in found]
    assert work[first] > work[first - 1]
    assert work[first:] == sorted(work[first:], reverse=True)
    assert len(work[first:]) > 1


def test_trees_that_are_cut_while_they_are_looked_for_take_less_work() -> None:
    # A random 3-regular network of 60 tensors in a four-hundredth of what its tree takes.
    draw = Random(11)
    legs = [number for number in range(60) for _ in range(3)]
    draw.shuffle(legs)
    inputs: list[tuple[str, ...]] = [()] * 60
    for bond, (one, other) in enumerate(zip(legs[::2], legs[1::2], strict=True)):
        inputs[one] += (f"b{bond}",)
        inputs[other] += (f"b{bond}",)
    plan = plan_for(tuple(inputs), (), tuple((f"b{bond}", 4) for bond in range(90)))
    limit = 60 * 4**3 + 4**7
    assert plan.cost.peak_elements > 400 * limit
    found = found_in(180, limit, plan)[-1]
    assert work_of(found).peak_elements <= limit
    # 6,000 times less.
    assert 100 * work_of(found).mul_adds < work_of(sliced_to_fit(plan, limit)).mul_adds


def test_the_cheapest_tree_sliced_afterwards_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where cutting while looking brings nothing, there is still what slicing afterwards brings.
    monkeypatch.setattr(Knife, "fitted", lambda *_: None)
    plan = plan_for(INPUTS, (), DIMENSIONS)
    found = found_in(300, LIMIT, plan)[-1]
    assert work_of(found).peak_elements <= LIMIT
    assert work_of(found).mul_adds <= work_of(sliced_to_fit(plan, LIMIT)).mul_adds


def cut_sweeps(turns: _Turns, *, whole_helps: bool, cut_helps: bool) -> float:
    """The part of 10,000 sweeps that goes to trees that are cut."""
    spent = {True: 0, False: 0}
    turns.took(100, cutting=False, helped=True)
    while sum(spent.values()) < 10_000:
        cutting = turns.cut_next
        turns.took(100, cutting=cutting, helped=cut_helps if cutting else whole_helps)
        spent[cutting] += 100
    return spent[True] / sum(spent.values())


def test_trees_are_annealed_longer_in_the_way_that_helps() -> None:
    most = FAVOUR / (FAVOUR + 1)
    assert cut_sweeps(_Turns(), whole_helps=False, cut_helps=True) == pytest.approx(most, abs=0.02)
    assert cut_sweeps(_Turns(), whole_helps=True, cut_helps=False) == pytest.approx(
        1 - most, abs=0.02
    )


def test_what_starts_to_help_goes_on_at_once() -> None:
    turns = _Turns()
    turns.took(100, cutting=False, helped=True)
    turns.took(1000, cutting=True, helped=True)
    assert turns.cut_next
    turns.took(1000, cutting=True, helped=False)
    turns.took(400, cutting=False, helped=True)
    assert not turns.cut_next


def test_a_limit_that_does_not_matter_changes_nothing() -> None:
    plan = plan_for(INPUTS, (), DIMENSIONS)
    wide = list(islice(improve(plan, seed=3, most_elements=10**9), 400))
    assert wide == list(islice(improve(plan, seed=3), 400))


def test_a_limit_below_inputs_and_result_is_no_limit() -> None:
    plan = plan_for(INPUTS, (), DIMENSIONS)
    narrow = list(islice(improve(plan, most_elements=HELD + 1), 100))
    assert narrow == list(islice(improve(plan), 100))
    assert any(item.sliced for item in islice(improve(plan, most_elements=HELD + 30), 300))


def test_same_seed_same_slices() -> None:
    plan = plan_for(INPUTS, (), DIMENSIONS)
    one, two, other = (
        list(islice(improve(plan, seed=seed, most_elements=LIMIT), 200)) for seed in (3, 3, 4)
    )
    assert one == two
    assert any(item.sliced for item in one)
    assert one != other


def test_a_sliced_plan_has_to_be_beaten() -> None:
    best = [line for line in lines(request(mostElements=str(LIMIT)), 0.02) if line["path"]][-1]
    assert best["sliced"]
    given = {"path": best["path"], "sliced": best["sliced"], "mostElements": LIMIT}
    again = lines(request(seconds=1, seed=5, **given), 0.01)
    assert int(again[0]["bestMulAdds"]) <= int(best["bestMulAdds"])


def test_a_proved_plan_is_searched_where_it_does_not_fit() -> None:
    # Two ways round a ring of matrices, at most 3 of whose indices may be whole.
    ring = tuple((f"i{n}", f"i{(n + 1) % 6}") for n in range(6))
    plan = plan_for(ring, (), tuple((f"i{n}", 8) for n in range(6)))
    assert plan.proved
    limit = 6 * 64 + 1 + 40
    assert plan.cost.peak_elements > limit
    found = found_in(100, limit, plan)[-1]
    assert found.tree.sliced
    assert work_of(found).peak_elements <= limit


def test_what_is_beyond_slicing_is_searched_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(*_: object) -> None:
        raise OverflowError

    monkeypatch.setattr(Knife, "turn", overflow)
    monkeypatch.setattr(Knife, "fitted", overflow)
    monkeypatch.setattr(improve_module, "sliced_to_fit", overflow)
    plan = plan_for(INPUTS, (), DIMENSIONS)
    found = found_in(300, LIMIT, plan)
    assert found[-1].cost.mul_adds < plan.cost.mul_adds
    assert not any(one.tree.sliced for one in found)


def test_a_search_that_finds_nothing_more_ends_by_itself() -> None:
    chain = tuple((f"i{place}", f"i{place + 1}") for place in range(9))
    dimensions = tuple((f"i{place}", 2) for place in range(10))
    plan = plan_for(chain, (), dimensions)
    steps = sum(1 for _ in improve(plan))
    assert 100 < steps < 20_000
