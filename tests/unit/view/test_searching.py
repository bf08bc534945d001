"""Path searches on the side: heard while they run, silent once stopped."""

from __future__ import annotations

import asyncio
from typing import Any

from tensorloom.plan.find import plan_for
from tensorloom.view.searching import PathSearch

RING = tuple((f"i{n}", f"i{(n + 1) % 14}", f"o{n}") for n in range(14))
SIZES = tuple((name, 3) for name in sorted({name for names in RING for name in names}))


def request(seconds: float) -> dict[str, Any]:
    tree = plan_for(RING, (), SIZES).tree
    return {
        "inputs": [list(names) for names in tree.inputs],
        "output": [],
        "dimensions": dict(tree.dimensions),
        "seconds": seconds,
        "seed": 0,
    }


def test_a_search_is_heard_to_its_end() -> None:
    async def part() -> list[dict[str, Any]]:
        heard: list[dict[str, Any]] = []
        ended = asyncio.Event()

        def hear(line: dict[str, Any]) -> None:
            heard.append(line)
            if not search.running:
                ended.set()

        search = PathSearch(hear)
        search.start(request(0.3))
        assert search.running
        await ended.wait()
        return heard

    heard = asyncio.run(part())
    assert heard[-1] == {"finished": True}
    assert any(line.get("trials", 0) > 0 for line in heard)


def test_a_stopped_search_says_nothing_more() -> None:
    async def part() -> tuple[int, int]:
        heard: list[dict[str, Any]] = []
        search = PathSearch(heard.append)
        search.start(request(5))
        await asyncio.sleep(0.2)
        search.stop()
        before = len(heard)
        await asyncio.sleep(0.3)
        return before, len(heard)

    before, after = asyncio.run(part())
    assert before == after
