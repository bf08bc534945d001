"""The value that follows the drawing, where what the page stands on does not answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tensorloom.execute.arrays import ArrayStore
from tensorloom.execute.backends import Available
from tensorloom.execute.kernel_store import NoStore
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.run import run
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.formats.opening import open_text
from tensorloom.view import kernels as view_kernels
from tensorloom.view import live as view_live
from tensorloom.view.idle_time import MEASUREMENTS
from tensorloom.view.live import LiveValue
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from tensorloom.execute.backend import Result
    from tensorloom.model.document import Document


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
    return LiveValue(lambda _notice: None, ArrayStore())


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


def test_who_asks_for_devices_while_they_are_looked_for_gets_the_tuner_too(
    live: LiveValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that takes its time: whoever came meanwhile was told that there is no WASM."""
    monkeypatch.setattr(view_kernels, "kernel_store", Silent)
    monkeypatch.setattr(view_live, "KEPT_S", 0.1)

    async def story() -> list[object]:
        async def asked() -> object:
            await live.find_devices()
            return live.kernels.tuner

        first = asyncio.ensure_future(asked())
        await asyncio.sleep(0.02)
        return [await asked(), await first]

    tuners = asyncio.run(story())
    assert tuners == [live.kernels.tuner] * 2
    assert live.kernels.tuner is not None


def test_what_was_kept_is_read_once(live: LiveValue, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Quick()
    monkeypatch.setattr(view_kernels, "kernel_store", lambda: store)
    monkeypatch.setattr(view_live, "KEPT_S", 0.0)
    asyncio.run(found(live))
    assert store.loads == 1


def opened(text: str) -> Document:
    return open_text(text, format="einsum", name="", options={}).document


@pytest.mark.parametrize("method", ["tune", "ran"])
def test_what_goes_wrong_between_results_reaches_the_page(
    live: LiveValue, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    told: list[dict[str, Any]] = []
    failed = asyncio.Event()

    def notify(notice: dict[str, Any]) -> None:
        told.append(notice)
        if notice["kind"] == "error":
            failed.set()

    monkeypatch.setattr(live, "_notify", notify)
    monkeypatch.setattr(live.idle_time, "_notify", notify)
    monkeypatch.setattr(view_kernels, "kernel_store", NoStore)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("by the tuner")

    monkeypatch.setattr(live.kernels, method, broken)
    document = opened("ij,jk->ik i=2 j=3 k=4")

    async def story() -> None:
        live.show(document, dragging=False)
        await asyncio.wait_for(failed.wait(), 10)

    live.idle_time.measured.update({"wasm": MEASUREMENTS, "numpy": MEASUREMENTS})
    asyncio.run(story())
    # A first run may be timed once more in between.
    kinds = [notice["kind"] for notice in told]
    assert (kinds[:2], set(kinds[2:-1]) <= {"result"}) == (["plan", "result"], True)
    assert told[-1]["error"]["values"]["detail"] == "by the tuner"


def test_where_the_first_call_ran_is_measured_after_it(
    live: LiveValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work of idle time begins with the call's own result, not with that before it."""
    monkeypatch.setattr(view_kernels, "kernel_store", NoStore)
    tuned = asyncio.Event()

    async def tune(*_: object) -> None:
        tuned.set()

    async def measure(**_: object) -> None:
        pass

    monkeypatch.setattr(live.kernels, "tune", tune)

    async def story() -> None:
        for backend in (await live.find_devices()).backends.values():
            monkeypatch.setattr(backend, "measure", measure)
        live.idle_time.tick_ms = 0.001
        live._document = opened("ij,jk->ik i=2 j=3 k=4")
        await live.run_now("numpy", None)
        await asyncio.wait_for(tuned.wait(), 10)

    asyncio.run(story())
    assert live.idle_time.measured == {"wasm": 1, "numpy": 1}


def test_a_first_run_that_compiled_is_timed_once_more(
    live: LiveValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer does not wait for it, and a drag will feel what the second one takes."""
    monkeypatch.setattr(view_kernels, "kernel_store", NoStore)
    shown: list[float] = []
    tuned = asyncio.Event()

    async def tune(*_: object) -> None:
        tuned.set()

    async def slow_at_first(choice: Any, arrays: Any, **more: Any) -> Result:
        found = await run(choice, arrays, **more)
        return replace(found, ms=50.0 if not shown else 0.5, predicted_ms=1.0)

    def notify(notice: dict[str, Any]) -> None:
        if notice["kind"] == "result":
            shown.append(notice["result"]["ms"])

    monkeypatch.setattr(live, "_notify", notify)
    monkeypatch.setattr(live.kernels, "tune", tune)
    monkeypatch.setattr(view_live, "run", slow_at_first)

    async def story() -> None:
        for sizes in ("i=2 j=3 k=4", "i=2 j=3 k=5"):
            tuned.clear()
            live.show(opened(f"ij,jk->ik {sizes}"), dragging=False)
            await asyncio.wait_for(tuned.wait(), 10)

    live.idle_time.measured.update({"wasm": MEASUREMENTS, "numpy": MEASUREMENTS})
    asyncio.run(story())
    assert shown == [50.0, 0.5, 0.5], "once more after the first, but not after the second"


def test_after_a_result_the_next_run_is_made_ready(
    live: LiveValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its small steps become one call while nobody waits, before and after tuning."""
    monkeypatch.setattr(view_kernels, "kernel_store", NoStore)
    asked: list[str] = []
    told = asyncio.Event()

    async def tune(*_: object) -> None:
        asked.append("tune")

    def make_ready() -> None:
        asked.append("ready")
        if len(asked) > 1:
            told.set()

    monkeypatch.setattr(live.kernels, "tune", tune)

    async def story() -> None:
        wasm = (await live.find_devices()).backends["wasm"]
        monkeypatch.setattr(wasm, "make_ready", make_ready)
        live.show(opened("ij,jk->ik i=2 j=3 k=4"), dragging=False)
        await asyncio.wait_for(told.wait(), 10)

    live.idle_time.measured.update({"wasm": MEASUREMENTS, "numpy": MEASUREMENTS})
    asyncio.run(story())
    assert asked == ["ready", "tune", "ready"]


def test_a_script_runs_the_program_that_the_page_has_ready(
    live: LiveValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever name it asks by; a thousand steps take half a second to make ready in a page."""
    monkeypatch.setattr(view_kernels, "kernel_store", NoStore)
    shown = asyncio.Event()

    def notify(notice: dict[str, Any]) -> None:
        if notice["kind"] == "result":
            shown.set()

    monkeypatch.setattr(live, "_notify", notify)

    async def story() -> None:
        live.show(opened("ij,jk,kl->il i=2 j=3 k=4 l=5"), dragging=False)
        await asyncio.wait_for(shown.wait(), 10)
        for backend in ("auto", "wasm", "numpy"):
            await live.run_now(backend, None)

    live.idle_time.measured.update({"wasm": MEASUREMENTS, "numpy": MEASUREMENTS})
    asyncio.run(story())
    choices = [choice for *_, choice in live._choices._kept.values()]
    assert len(choices) == 4
    programs = {id(attempt.program) for choice in choices for attempt in choice.attempts}
    assert len(programs) == 1
