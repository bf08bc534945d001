"""The value that follows the drawing, where what the page stands on does not answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tensorloom.execute.backends import Available
from tensorloom.execute.kernel_store import NoStore
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.view import kernels as view_kernels
from tensorloom.view import live as view_live
from tensorloom.view.live import LiveValue
from wasmtime_host import WasmtimeHost


class Silent(NoStore):
    """As a browser's storage that another page holds up."""

    async def load(self) -> str | None:
        await asyncio.Event().wait()
        return None

    async def save(self, text: str) -> None:
        raise AssertionError(text)


class Quick(NoStore):
    """What was kept is there before anything else."""

    def __init__(self) -> None:
        self.loads = 0

    async def load(self) -> str | None:
        self.loads += 1
        return "{}"


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> LiveValue:
    backends: Any = {"wasm": WasmBackend(WasmtimeHost(pages=1 << 11)), "numpy": NumpyBackend()}

    async def available() -> Available:
        await asyncio.sleep(0)
        return Available(backends=backends, missing={})

    monkeypatch.setattr(view_live, "available", available)
    return LiveValue(lambda _notice: None, {})


async def found(live: LiveValue) -> None:
    """Devices, and the first step of tuning; neither may wait for ever."""
    async with asyncio.timeout(10):
        await live.find_devices()
        tuner = live.kernels.tuner
        assert tuner is not None
        assert await tuner.step(lambda: asyncio.sleep(0))
        await tuner.cleared()


def test_a_store_that_never_answers_holds_nothing_up(
    live: LiveValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_kernels, "kernel_store", Silent)
    monkeypatch.setattr(view_live, "KEPT_S", 0.01)
    asyncio.run(found(live))


def test_what_was_kept_is_read_once(live: LiveValue, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Quick()
    monkeypatch.setattr(view_kernels, "kernel_store", lambda: store)
    monkeypatch.setattr(view_live, "KEPT_S", 0.0)
    asyncio.run(found(live))
    assert store.loads == 1
