"""Calls of window.tensorloom into the session, natively."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tensorloom.execute import numpy_backend
from tensorloom.execute.backends import Available
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.kernels.wasm.compiled import decode
from tensorloom.view import bridge, progress, workbench
from tensorloom.view.inspection import Inspection
from tensorloom.view.session import Session
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorloom.view.live import LiveValue


@pytest.fixture(autouse=True)
def session() -> Iterator[Session]:
    made = Session(inspection=Inspection())
    made.live._found = Available(backends={"numpy": NumpyBackend()}, missing={})
    workbench.sessions.append(made)
    yield made
    workbench.sessions.remove(made)


def calls(*requests: tuple[str, dict[str, Any], list[bytes]]) -> list[tuple[bool, Any, list[Any]]]:
    """The answers to calls made one after the other."""

    async def run() -> list[tuple[bool, Any, list[Any]]]:
        found = []
        for method, arguments, buffers in requests:
            succeeded, text, arrays = await bridge.call(method, json.dumps(arguments), buffers)
            found.append((succeeded, json.loads(text), arrays))
        return found

    return asyncio.run(run())


def opening(text: str, *arrays: np.ndarray[Any, Any], **options: Any) -> tuple[Any, ...]:
    described = [{"shape": list(array.shape), "dtype": array.dtype.name} for array in arrays]
    given = {"text": text, "format": "einsum", "name": "", "options": options, "arrays": described}
    return "open", given, [array.tobytes() for array in arrays]


RUN = ("run", {"backend": "auto", "dtype": None}, [])


def test_given_arrays_are_contracted_in_their_widest_type() -> None:
    a = np.array([[1, 2], [3, 4]], np.float32)
    b = np.array([[0, 1j], [1, 0]], np.complex128)
    _, (succeeded, record, arrays) = calls(opening("ij,jk->ik", a, b), RUN)
    assert succeeded
    assert (record["dtype"], record["shape"], record["backend"]) == ("complex128", [2, 2], "numpy")
    assert (record["mulAdds"], record["log10Scale"], record["notes"]) == (8, 0, [])
    value = np.frombuffer(bytes(arrays[0]), np.complex128).reshape(2, 2)
    np.testing.assert_array_equal(value, a @ b)


def test_sizes_and_seed_make_random_values() -> None:
    first = opening("ij->", sizes={"i": 3, "j": 4}, seed=5)
    _, (_, one, value), _, (_, _, again) = calls(first, RUN, first, RUN)
    assert one["mulAdds"] == 12
    assert bytes(value[0]) == bytes(again[0])


def test_infinite_and_missing_numbers_come_back_as_they_are() -> None:
    given = np.array([1.0, np.inf, np.nan])
    _, (succeeded, record, arrays) = calls(opening("i->i", given), RUN)
    assert succeeded
    assert record["norm"] is None
    np.testing.assert_array_equal(np.frombuffer(bytes(arrays[0]), np.float64), given)


@pytest.mark.parametrize(
    ("call", "code", "sentence"),
    [
        (
            opening("ij,jk", np.zeros((2, 2))),
            "wrong-arrays",
            "There are 1 arrays for 2 tensors.",
        ),
        (
            opening("ij", np.zeros((2, 2, 3))),
            "wrong-axes",
            "The array of A has 3 axes; it has 2 indices.",
        ),
        (
            opening("ij,jk", np.zeros((2, 4)), np.zeros((5, 2))),
            "dimension-mismatch",
            "Index 'j' has dimension 4 on one array and 5 on that of B.",
        ),
        (opening("ij->q"), "loose-output", "Output index 'q' is on no operand."),
        (
            ("run", {"backend": "auto", "dtype": "float16"}, []),
            "bad-dtype",
            "'float16' is not a number type.",
        ),
    ],
)
def test_bad_calls_reject_with_code_place_and_way_out(
    call: tuple[Any, ...], code: str, sentence: str
) -> None:
    ((succeeded, record, _),) = calls(call)
    assert not succeeded
    assert (record["code"], record["message"]) == (code, sentence)
    assert record["hint"]
    assert "where" in record


class Caller:
    """Collects news, and stops listening after so many."""

    def __init__(self, most: int | None = None) -> None:
        self.news: list[dict[str, Any]] = []
        self.most = most

    @property
    def stopped(self) -> bool:
        return self.most is not None and len(self.news) >= self.most

    def tell(self, text: str) -> None:
        self.news.append(json.loads(text))


def watched(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> tuple[bool, Any]:
    """The answer to a run of some pieces of work, with news as often as there can be any."""
    monkeypatch.setattr(progress, "QUIET_MS", 0)
    monkeypatch.setattr(progress, "PROGRESS_INTERVAL_MS", 0)
    monkeypatch.setattr(numpy_backend, "CHUNK_MS", 0)
    ones = np.ones((30, 40, 40))

    async def run() -> tuple[bool, Any]:
        await bridge.call(*as_call(opening("bij,bjk->bik", ones, ones)))
        given = json.dumps({"backend": "auto", "dtype": None, "watched": True})
        succeeded, text, _ = await bridge.call("run", given, [], caller)
        return succeeded, json.loads(text)

    return asyncio.run(run())


def as_call(request: tuple[Any, ...]) -> tuple[str, str, list[bytes]]:
    method, arguments, buffers = request
    return method, json.dumps(arguments), buffers


def test_a_caller_hears_how_far_its_run_is(monkeypatch: pytest.MonkeyPatch) -> None:
    caller = Caller()
    succeeded, record = watched(caller, monkeypatch)
    assert succeeded
    assert record["mulAdds"] == 30 * 40**3
    fractions = [one["fraction"] for one in caller.news]
    assert len(fractions) > 3
    assert fractions == sorted(fractions)
    assert fractions[-1] <= 1
    assert {one["state"] for one in caller.news} == {"running"}


def test_a_caller_stops_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    caller = Caller(most=2)
    succeeded, record = watched(caller, monkeypatch)
    assert not succeeded
    assert (record["code"], record["message"]) == ("cancelled", "This run was cancelled.")
    assert len(caller.news) == 2
    # Before the first piece of work: nobody wants it.
    idle = Caller(most=0)
    assert watched(idle, monkeypatch)[1]["code"] == "cancelled"
    assert [one["fraction"] for one in idle.news] == [0]


def test_a_run_after_a_stopped_one_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not watched(Caller(most=1), monkeypatch)[0]
    assert watched(Caller(), monkeypatch)[0]


@pytest.mark.parametrize("has_engine", [True, False])
def test_an_embedded_network_has_its_groups_proven_by_the_engine_of_the_page(
    session: Session, *, has_engine: bool
) -> None:
    backends: Any = {"numpy": NumpyBackend()}
    if has_engine:
        backends["wasm"] = WasmBackend(WasmtimeHost())
    session.live._found = Available(backends=backends, missing={})
    _, (_, _, (data,)) = calls(opening("ij,jk,kl->il i=2 j=3 k=4 l=2"), ("embed", {}, []))
    fused = [bool(program.fused) for program in decode(data.tobytes()).programs]
    assert fused == [has_engine, has_engine]


def embedded_during_a_run(live: LiveValue, text: str) -> tuple[bool, Any, list[Any]]:
    """The answer to embedding a network while a run goes on that does not end."""

    async def embedded() -> tuple[bool, Any, list[Any]]:
        await bridge.call(*as_call(opening(text)))
        async with live._lock:
            answer = await asyncio.wait_for(bridge.call("embed", "{}", []), timeout=20)
        return answer[0], json.loads(answer[1]), answer[2]

    return asyncio.run(embedded())


def test_a_network_embedded_during_a_run_does_not_wait_for_its_end(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    backends: Any = {"numpy": NumpyBackend(), "wasm": WasmBackend(WasmtimeHost())}
    session.live._found = Available(backends=backends, missing={})
    monkeypatch.setattr(bridge, "EMBED_WAIT_S", 0.01)
    _, _, (data,) = embedded_during_a_run(session.live, "ij,jk,kl->il i=2 j=3 k=4 l=2")
    # Its groups could not be proven on an engine in use.
    assert [bool(program.fused) for program in decode(data.tobytes()).programs] == [False, False]
    assert session.live._calls == 0


def test_what_is_too_big_to_embed_is_said_during_a_run(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "EMBED_WAIT_S", 100.0)
    text = "ij,jk->ik i=2000 j=2000 k=2000"
    succeeded, record, _ = embedded_during_a_run(session.live, text)
    assert (succeeded, record["code"]) == (False, "embed-too-big")
