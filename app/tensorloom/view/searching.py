"""Long path searches off this thread: a second Pyodide in the page, a thread under ``panel serve``.

Both run ``plan.search.main`` on the same JSON request and hand back its JSON lines; stopping means
that nothing more is heard.
"""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

from tensorloom.platform import IN_BROWSER

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PathSearch"]

Line = dict[str, Any]


class PathSearch:
    """At most one search at a time.

    Args:
        heard: Gets each line of the search that runs now.
    """

    def __init__(self, heard: Callable[[Line], None]) -> None:
        self._heard = heard
        self._number = 0
        self.running = False

    def start(self, request: Line) -> None:
        """Search anew; a search that runs is stopped first."""
        self.stop()
        self._number += 1
        number = self._number
        self.running = True

        def take(text: str) -> None:
            if number != self._number:
                return
            line = json.loads(text)
            self.running = not ("finished" in line or "error" in line)
            self._heard(line)

        if IN_BROWSER:
            import tensorloom_page  # noqa: PLC0415  # a module that only the page has

            tensorloom_page.search.start(json.dumps(request), take)
        else:
            self._start_thread(json.dumps(request), number, take)

    def stop(self) -> None:
        """Stop the search that runs, if any."""
        self._number += 1
        self.running = False
        if IN_BROWSER:
            import tensorloom_page  # noqa: PLC0415  # a module that only the page has

            tensorloom_page.search.stop()

    def _start_thread(self, request: str, number: int, take: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()

        def work() -> None:
            from tensorloom.plan import search  # noqa: PLC0415  # imports cotengra, a slow start

            try:
                for line in search.main(request):
                    if number != self._number:
                        return
                    loop.call_soon_threadsafe(take, line)
            except Exception as error:  # noqa: BLE001  # must be heard, not die in a thread
                loop.call_soon_threadsafe(take, json.dumps({"error": str(error)[:300]}))
                return
            loop.call_soon_threadsafe(take, json.dumps({"finished": True}))

        threading.Thread(target=work, daemon=True, name="path-search").start()
