"""The search for a better tree as the page sees it: what is asked for, what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorloom.plan.sharing import work_of
from tensorloom.view.searching import PathSearch

if TYPE_CHECKING:
    from collections.abc import Callable

    from tensorloom.plan.plan import Plan

__all__ = ["SearchDesk"]

SEARCH_SECONDS = 30.0


class SearchDesk:
    """At most one search at a time, and the line that tells of it.

    Args:
        notify: Takes notices for the page.
        shown: The plan to beat.
        adopt: Whether what was found takes the place of that plan: path, sliced indices, finder.
    """

    def __init__(
        self,
        notify: Callable[[dict[str, object]], None],
        shown: Callable[[], Plan | None],
        adopt: Callable[[list[list[int]], list[str], Any], bool],
    ) -> None:
        self._notify, self._shown, self._adopt = notify, shown, adopt
        self._search = PathSearch(self._heard)
        self._line: dict[str, object] = {}
        self._seed = 0

    @property
    def running(self) -> bool:
        """Whether one is under way."""
        return self._search.running

    def start(self, plan: Plan, most_elements: int | None) -> None:
        """Look for a better tree in a worker of its own; a search that runs is stopped.

        Args:
            plan: Where to start from.
            most_elements: What it may hold; ``None`` for any number [elements].
        """
        tree = plan.tree
        self._search.start(
            {
                "inputs": [list(names) for names in tree.inputs],
                "output": list(tree.output),
                "dimensions": dict(tree.dimensions),
                "path": [list(pair) for pair in tree.path],
                "sliced": list(tree.sliced),
                "proved": plan.proved,
                "mostElements": None if most_elements is None else str(most_elements),
                "seconds": SEARCH_SECONDS,
                "seed": self._seed,
            }
        )
        # Asked again, it looks elsewhere.
        self._seed += 1
        self._say(trials=0, elapsedMs=0, message="Starting the search")

    def stop(self) -> None:
        """Stop looking."""
        if self.running:
            self._search.stop()
            self._say(message="Search stopped")

    def _heard(self, line: dict[str, Any]) -> None:
        if "error" in line:
            self._say(message=f"The search stopped: {line['error']}")
            return
        if "finished" in line:
            self._say(message="Search finished")
            return
        message = "Looking for a better order"
        if line.get("path") and self._adopt(line["path"], line["sliced"], line["finder"]):
            message = "Found a better order"
        self._say(trials=line["trials"], elapsedMs=line["elapsedMs"], message=message)

    def _say(self, **news: object) -> None:
        shown = self._shown()
        best = str(work_of(shown).mul_adds) if shown else "0"
        start: dict[str, object] = {"trials": 0, "elapsedMs": 0, "message": ""}
        self._line = {**start, **self._line, **news}
        self._notify({"kind": "search", "running": self.running, "bestMulAdds": best, **self._line})
