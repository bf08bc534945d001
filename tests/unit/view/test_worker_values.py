"""Values that a heavy worker computed: shown as the drawing's own, and no longer than they are."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from talk import Talk, conversation
from tensorloom.errors import DocumentError
from tensorloom.formats.opening import open_text
from tensorloom.view import bridge

if TYPE_CHECKING:
    from tensorloom.model.document import Document

FACTS = {
    "log10Scale": 0.0,
    "errorBound": 1e-12,
    "ms": 61_000.0,
    "predictedMs": 300_000.0,
    "mulAdds": "123",
    "peakBytes": "456",
    "note": "Computed by numpy on the worker at 127.0.0.1:8765.",
}


def document_of(text: str) -> Document:
    return open_text(text, format="einsum", name="", options={"seed": 1}).document


BIG = document_of("ab,bc,ca-> a=100 b=100 c=100")
"""Refused by a device of 100 kB."""

SMALL = document_of("a,a-> a=3")


def npy(value: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(value), allow_pickle=False)
    return file.getvalue()


async def taken(talk: Talk, value: Any) -> None:
    await bridge._take(talk.session, dict(FACTS), [npy(value)])


def test_a_value_of_a_worker_is_shown_where_the_tab_refuses() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(BIG)
        await talk.quiet()
        assert talk.last("plan")["plan"]["refused"]["code"] == "does-not-fit"
        assert talk.last("stale")["behind"] is False
        talk.clear()
        await taken(talk, 1.5)
        await talk.quiet()
        assert talk.all("stale") == []
        assert talk.last("result") == {
            "kind": "result",
            "behind": False,
            "result": {
                "scalar": [1.5, 0.0],
                "shape": [],
                "norm": 1.5,
                "indices": [],
                "dtype": "float64",
                "backend": "worker",
                "ms": 61_000.0,
                "predictedMs": 300_000.0,
                "peakBytes": "456",
                "mulAdds": "123",
                "errorBound": 1e-12,
                "log10Scale": 0.0,
                "notes": [FACTS["note"]],
            },
        }

    conversation(part, limit_bytes=100_000)


def test_it_stays_while_only_the_order_gets_better() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(BIG)
        await talk.quiet()
        await taken(talk, 1.5)
        talk.clear()
        live = talk.session.live
        assert live.plan is not None
        live._say_prepared(BIG, live.plan)
        assert talk.last("plan")["plan"]["refused"] is not None
        assert talk.all("stale") == []

    conversation(part, limit_bytes=100_000)


def test_another_drawing_takes_it_away_for_good() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(BIG)
        await talk.quiet()
        await taken(talk, 1.5)
        for between in (SMALL, document_of("ab,bc,ca-> a=101 b=100 c=100")):
            talk.hello(between)
            await talk.quiet()
            talk.clear()
            talk.hello(BIG)
            await talk.quiet()
            assert talk.last("stale")["message"].startswith("This contraction holds")
            await taken(talk, 1.5)

    conversation(part, limit_bytes=100_000)


def test_a_value_of_another_shape_is_refused() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(BIG)
        await talk.quiet()
        with pytest.raises(DocumentError) as caught:
            await taken(talk, [1.0, 2.0])
        assert caught.value.code == "wrong-result"
        assert "(2,)" in caught.value.message

    conversation(part, limit_bytes=100_000)


def test_the_call_of_the_page_comes_here(monkeypatch: pytest.MonkeyPatch) -> None:
    async def part(talk: Talk) -> None:
        talk.hello(SMALL)
        await talk.quiet()
        monkeypatch.setattr(bridge, "sessions", [talk.session])
        assert await bridge.call("take", json.dumps(FACTS), [npy(2.5)]) == (True, "{}", [])
        assert talk.last("result")["result"]["scalar"] == [2.5, 0.0]

    conversation(part)


def test_with_a_worker_chosen_the_tab_plans_and_waits() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(SMALL)
        await talk.quiet()
        talk.clear()
        talk.ask("run", backend="worker", dtype=None)
        await talk.quiet()
        assert talk.last("stale")["message"] == "Waiting for you: the worker computes this one"
        assert talk.last("plan")["plan"]["refused"] is None
        assert talk.all("result") == []
        talk.ask("run", backend="auto", dtype=None)
        await talk.quiet()
        assert talk.last("result")["result"]["backend"] == "numpy"

    conversation(part)


def test_a_run_in_progress_gives_way_to_the_worker() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(document_of("ab,bc,cd,de,ea-> a=90 b=90 c=90 d=90 e=90"))
        await asyncio.sleep(0)
        await taken(talk, 3.5)
        await talk.quiet()
        assert talk.last("result")["result"]["scalar"] == [3.5, 0.0]

    conversation(part)
