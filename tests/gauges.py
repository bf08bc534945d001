"""What a page holds, counted: heaps after garbage collection, WASM memory, kernels, GPU buffers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from page_state import until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from playwright.sync_api import Page, Worker

__all__ = ["Gauges", "at_rest", "growth", "long_at_rest", "python", "python_worker"]

REST_MS = 300
"""Longer than the page waits after a result until it uses its idle time."""

COUNT = """
import gc, json
gc.collect()
import tensorloom_page
from tensorloom.execute.backends import opened

def counted():
    here = opened().backends
    found = {"python objects": len(gc.get_objects())}
    for name, numbers in (
        ("wasm", here["wasm"].counts if "wasm" in here else {}),
        ("gpu", here["webgpu"].device.counts() if "webgpu" in here else {}),
    ):
        found |= {f"{name} {key}": value for key, value in numbers.items()}
    engine = json.loads(tensorloom_page.engine.counters())
    found["engine programs"] = engine["programs"]
    found["engine bytes"] = (engine["engine"] or {}).get("memoryBytes", 0)
    return json.dumps(found)

counted()
"""


def python_worker(page: Page) -> Worker:
    """The worker that Python runs in."""
    return next(worker for worker in page.workers if "python.worker" in worker.url)


def python(page: Page, source: str) -> Any:  # any JSON
    """The JSON text that a piece of Python in the page's worker ends with; it may await."""
    return json.loads(
        python_worker(page).evaluate("(source) => pyodide.runPythonAsync(source)", source)
    )


AT_REST = """
import asyncio
from tensorloom.execute.backends import opened

tuner = opened().backends["wasm"].chooser
while tuner.running or tuner.record is None:
    await asyncio.sleep(0.05)
"0"
"""


def at_rest(page: Page) -> None:
    """Until nothing is tuned or measured any more, which holds buffers and kernels of its own."""
    python(page, AT_REST)


def long_at_rest(page: Page) -> None:
    """Until nothing was tuned or measured for a while: the page may begin a little after a run."""
    for _ in range(2):
        page.wait_for_timeout(REST_MS)
        at_rest(page)


@dataclass  # without slots: Playwright leaves a mark on whose methods it calls
class Gauges:
    """Readings of one page.

    Args:
        page: A started workbench.
    """

    page: Page
    _answers: dict[int, Any] = field(default_factory=dict)
    _sent: int = 0
    _session: Any = None
    _worker: str = ""

    def __post_init__(self) -> None:
        self._session = self.page.context.new_cdp_session(self.page)
        self._session.on("Target.attachedToTarget", self._attached)
        self._session.on("Target.receivedMessageFromTarget", self._received)
        # Not flattened: Playwright keeps flattened sessions to itself.
        self._session.send("Performance.enable")
        options = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": False}
        self._session.send("Target.setAutoAttach", options)

    def _attached(self, event: Mapping[str, Any]) -> None:
        if "python.worker" in event["targetInfo"]["url"]:
            self._worker = event["sessionId"]

    def _received(self, event: Mapping[str, Any]) -> None:
        message = json.loads(event["message"])
        if event["sessionId"] == self._worker and "id" in message:
            self._answers[message["id"]] = message.get("result")

    def _ask_worker(self, method: str) -> Any:  # any JSON
        while not self._worker:
            self.page.wait_for_timeout(20)
        self._sent += 1
        text = json.dumps({"id": self._sent, "method": method})
        given = {"sessionId": self._worker, "message": text}
        self._session.send("Target.sendMessageToTarget", given)
        while self._sent not in self._answers:
            self.page.wait_for_timeout(20)
        return self._answers.pop(self._sent)

    def read(self) -> dict[str, int]:
        """All numbers, nothing of it garbage."""
        until(self.page, "() => tensorloomStore.settled().then(() => true)")
        found: dict[str, int] = python(self.page, COUNT)
        self._session.send("HeapProfiler.collectGarbage")
        self._ask_worker("HeapProfiler.collectGarbage")
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        found |= {
            _NODES[one["name"]]: int(one["value"]) for one in metrics if one["name"] in _NODES
        }
        found["page heap"] = _used(self._session.send("Runtime.getHeapUsage"))
        found["worker heap"] = _used(self._ask_worker("Runtime.getHeapUsage"))
        memory = "() => pyodide._module.HEAPU8.length"
        found["wasm memory"] = python_worker(self.page).evaluate(memory)
        return found


_NODES = {"Nodes": "page nodes", "JSEventListeners": "page listeners"}
"""Chromium's counts of what scripts or the page still hold, shown or not."""


def _used(heap: Mapping[str, int]) -> int:
    return heap["usedSize"] + heap["embedderHeapUsedSize"]


def growth(readings: Sequence[Mapping[str, int]], name: str) -> tuple[float, float]:
    """Medians of the middle and of the last third: what is filled once is full by then."""
    third = len(readings) // 3
    middle, last = readings[third : 2 * third], readings[2 * third :]
    return tuple(median(one[name] for one in part) for part in (middle, last))  # type: ignore[return-value]  # two
