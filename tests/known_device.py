"""The storage of a browser that measured this machine on an earlier visit, and nothing else.

A page without it spends about seven seconds of processor time on that, while the next test runs
beside it. What a first visit does is tested where contexts are made without this.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from watch import origin_of
from workbench import ready

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, StorageState

__all__ = ["KnownDevice"]

DATABASE = "tensorloom-kernels"
BACKENDS = ("wasm", "webgpu", "numpy")
PRODUCT: dict[str, Any] = {"format": "einsum", "text": "ij,jk->ik"}
AFTER_RUN_MS = 3000
"""Enough for the page to measure the backend that ran."""


class KnownDevice:
    """What a first visit left behind, for contexts of any address.

    Args:
        browser: Makes the first visit.
        address: Of the site.
        kept: Where it stands for other sessions; made if it is not there.
    """

    def __init__(self, browser: Browser, address: str, kept: Path) -> None:
        if kept.is_file():
            self._databases = json.loads(kept.read_text())
            return
        self._databases = _first_visit(browser, address)
        kept.parent.mkdir(parents=True, exist_ok=True)
        for old in kept.parent.glob(f"{kept.stem.partition('-')[0]}-*{kept.suffix}"):
            old.unlink(missing_ok=True)
        # Another lane may be writing the same.
        part = kept.with_suffix(f".{id(self)}")
        part.write_text(json.dumps(self._databases))
        part.replace(kept)

    def at(self, address: str) -> StorageState:
        """The ``storage_state`` of a context whose pages are below an address."""
        origin = origin_of(address).rstrip("/")
        kept = {"origin": origin, "localStorage": [], "indexedDB": self._databases}
        # Playwright's own type leaves the databases out.
        return cast("StorageState", {"cookies": [], "origins": [kept]})


def _first_visit(browser: Browser, address: str) -> list[Any]:
    with browser.new_context() as context:
        bench = ready(context.new_page(), address)
        bench.open(**PRODUCT, sizes=dict.fromkeys("ijk", 8))
        for backend in BACKENDS:
            bench.run(backend=backend, dtype="float32")
            bench.page.wait_for_timeout(AFTER_RUN_MS)
        state: Any = context.storage_state(indexed_db=True)
    found = [
        database
        for origin in state["origins"]
        for database in origin["indexedDB"]
        if database["name"] == DATABASE
    ]
    # Without it every test would pass, and take longer.
    assert found, "the first visit left no record of the device"
    return found
