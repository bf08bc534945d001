"""The session: every request of the page ends in the right notices, natively, without a page."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from talk import Talk, conversation
from tensorloom.formats.templates import example, template
from tensorloom.view import live as view_live
from tensorloom.view.inspection import Inspection
from tensorloom.view.session import Session

if TYPE_CHECKING:
    from tensorloom.model.document import Document


def matrices(i: int = 2, j: int = 3, k: int = 4) -> Document:
    from tensorloom.formats.opening import open_text  # noqa: PLC0415  # one maker of documents

    return open_text("ij,jk->ik", options={"sizes": {"i": i, "j": j, "k": k}}).document


def test_the_first_notices_hold_text_plan_and_value() -> None:
    session = Session(inspection=Inspection())
    notices = session.first_notices(example())
    assert [notice["kind"] for notice in notices] == ["equation", "plan", "result"]
    # Ground-state energy of the open Heisenberg chain of 6 spins 1/2.
    assert notices[2]["result"]["scalar"][0] == pytest.approx(-2.4935771338879, abs=1e-10)  # type: ignore[index]  # a record


def test_hello_is_answered_with_plan_value_and_device() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(matrices())
        await talk.quiet()
        assert talk.last("ready")["device"]["sentence"] == "Runs in numpy, 64-bit"
        assert talk.last("plan")["plan"]["mulAdds"] == "24"
        assert talk.last("result")["result"]["shape"] == [2, 4]
        assert talk.last("ack")["seq"] == 1

    conversation(part)


def test_a_broken_document_is_rejected_with_the_last_good_one() -> None:
    async def part(talk: Talk) -> None:
        talk.ask("hello", document={"tensorloom": 99})
        rejected = talk.last("rejected")
        assert rejected["error"]["code"] == "newer-version"
        assert rejected["document"]["tensors"] == []

    conversation(part)


def test_live_steps_do_not_accumulate() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(matrices())
        for dimension in (5, 6, 7):
            step = {"kind": "set-dimension", "name": "i", "dimension": dimension}
            talk.commands(step, phase="live")
        assert talk.session.desk.dragging
        talk.ask("commands", gesture="cancel", phase="commit", commands=[])
        assert talk.session.desk.committed.network.dimension_of["i"] == 2
        assert not talk.session.desk.dragging

    conversation(part)


def test_a_dimension_in_the_air_changes_the_value() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(matrices())
        await talk.quiet()
        talk.commands({"kind": "set-dimension", "name": "i", "dimension": 9}, phase="live")
        await talk.quiet()
        assert talk.last("result")["result"]["shape"] == [9, 4]

    conversation(part)


def test_the_tree_is_kept_in_a_drag_and_proved_again_on_release() -> None:
    async def part(talk: Talk) -> None:
        talk.ask("open", format=None, name="", text="ij,jk,kl->il", base64=None, onto=None,
                 options={"sizes": {"i": 2, "j": 9, "k": 9, "l": 9}})  # fmt: skip
        await talk.quiet()
        first = talk.last("plan")["plan"]
        assert (first["proved"], first["steps"][0]["left"], first["steps"][0]["right"]) == (
            True, 0, 1,
        )  # fmt: skip
        wide = {"kind": "set-dimension", "name": "i", "dimension": 99}
        talk.commands(wide, phase="live")
        await talk.quiet()
        held = talk.last("plan")["plan"]
        assert (held["proved"], held["steps"][0]["left"]) == (False, 0)
        talk.commands(wide)
        await talk.quiet()
        settled = talk.last("plan")["plan"]
        assert settled["proved"]
        assert int(settled["mulAdds"]) <= int(held["mulAdds"])

    conversation(part)


def test_what_is_slow_waits_for_release() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(matrices())
        await talk.quiet()
        talk.clear()
        grow = [{"kind": "set-dimension", "name": n, "dimension": 1500} for n in "ijk"]
        talk.commands(*grow, phase="live")
        await talk.quiet()
        assert talk.all("result") == []
        assert talk.last("stale")["message"] == "Release to compute"
        shrink = [{"kind": "set-dimension", "name": n, "dimension": 8} for n in "ijk"]
        talk.commands(*shrink)
        await talk.quiet()
        assert talk.last("result")["result"]["shape"] == [8, 8]

    conversation(part)


def test_moving_a_tensor_plans_and_computes_nothing() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(matrices())
        await talk.quiet()
        talk.clear()
        talk.commands({"kind": "move", "positions": {"t1": [5, 6]}, "anchors": {}})
        await talk.quiet()
        assert [notice["kind"] for notice in talk.heard] == ["ack"]

    conversation(part)


def test_an_answered_request_says_whether_the_value_still_follows() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(matrices())
        await talk.quiet()
        assert not talk.last("result")["behind"]
        talk.clear()
        talk.commands({"kind": "set-dimension", "name": "i", "dimension": 9})
        assert talk.last("ack")["behind"]
        await talk.quiet()
        assert not talk.last("result")["behind"]
        talk.commands({"kind": "move", "positions": {"t1": [5, 6]}, "anchors": {}})
        assert not talk.last("ack")["behind"]
        talk.commands({"kind": "set-dimension", "name": "i", "dimension": 10**6},
                      {"kind": "set-dimension", "name": "k", "dimension": 10**6})  # fmt: skip
        await talk.quiet()
        assert not talk.last("stale")["behind"]

    conversation(part)


def test_a_refused_command_gives_the_document_back() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(matrices())
        talk.commands({"kind": "remove-tensor", "id": "nobody"})
        rejected = talk.last("rejected")
        assert rejected["error"]["code"] == "unknown-tensor"
        assert [tensor["id"] for tensor in rejected["document"]["tensors"]] == ["t1", "t2"]

    conversation(part)


def test_typed_text_becomes_commands_and_keeps_its_spelling() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(matrices())
        await talk.quiet()
        talk.ask("equation", text="ij, jl -> il")
        applied = talk.last("apply")
        assert applied["gesture"] == "Type the equation"
        assert talk.last("equation")["text"] == "ij, jl -> il"
        spans = [s for s in talk.last("equation")["spans"] if s["index"] == "l"]
        assert [(s["start"], s["end"]) for s in spans] == [(5, 6), (11, 12)]

    conversation(part)


def test_wrong_text_marks_its_characters_and_keeps_the_drawing() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(matrices())
        talk.ask("equation", text="ij,jk->iq")
        said = talk.last("equation")
        assert said["error"]["code"] == "loose-output"
        assert said["error"]["where"]["span"] == [8, 9]
        assert talk.all("apply") == []

    conversation(part)


def test_spans_count_as_javascript_does() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(matrices())
        # The first index is one character for Python and two units for JavaScript.
        talk.ask("equation", text="\U0001d6fcj,jk->k")
        last = [s for s in talk.last("equation")["spans"] if s["index"] == "k"]
        assert [(s["start"], s["end"]) for s in last] == [(5, 6), (8, 9)]

    conversation(part)


def test_files_and_templates_replace_the_document_in_one_step() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(matrices())
        talk.ask("template", name="mps", parameters={"n": 3})
        assert len(talk.last("apply")["commands"]) == 1
        assert len(talk.session.desk.committed.network.tensors) == 3
        talk.ask("open", format=None, name="", text="ab,bc", base64=None, onto=None, options={})
        assert talk.session.desk.committed.network.output == ("a", "c")

    conversation(part)


def test_a_file_that_cannot_be_read_says_so_and_changes_nothing() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(matrices())
        talk.ask("open", format="uai", name="x.uai", text="???", base64=None, onto=None, options={})
        assert talk.last("error")["error"]["where"]["file"] == "x.uai"
        assert len(talk.session.desk.committed.network.tensors) == 2

    conversation(part)


def _npy(array: np.ndarray[Any, Any]) -> str:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return base64.b64encode(buffer.getvalue()).decode()


def test_an_array_file_lands_on_the_chosen_tensor_and_sizes_it() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(matrices())
        data = _npy(np.arange(15.0).reshape(5, 3))
        talk.ask("open", format=None, name="a.npy", text=None, base64=data, onto="t1", options={})
        await talk.quiet()
        assert talk.session.desk.committed.network.dimension_of["i"] == 5
        assert talk.last("result")["result"]["shape"] == [5, 4]
        kept = talk.last("keep-blob")
        assert np.frombuffer(base64.b64decode(kept["base64"]), "<f8").tolist() == list(range(15))

    conversation(part)


@pytest.mark.parametrize(
    ("onto", "shape", "code"), [(None, (5, 3), "no-tensor-chosen"), ("t1", (5,), "wrong-axes")]
)
def test_an_array_without_a_place_is_refused(
    onto: str | None, shape: tuple[int, ...], code: str
) -> None:
    async def part(talk: Talk) -> None:
        talk.hello(matrices())
        data = _npy(np.zeros(shape))
        talk.ask("open", format=None, name="a.npy", text=None, base64=data, onto=onto, options={})
        assert talk.last("error")["error"]["code"] == code

    conversation(part)


def test_stored_arrays_are_asked_for_and_then_computed_with() -> None:
    async def part(first: Talk) -> None:
        first.hello(matrices())
        data = _npy(np.ones((2, 3)))
        first.ask("open", format=None, name="a.npy", text=None, base64=data, onto="t1", options={})
        kept = first.last("keep-blob")
        await first.quiet()

        later = Talk()
        later.hello(first.session.desk.committed)
        await later.quiet()
        assert later.last("need-blobs")["hashes"] == [kept["hash"]]
        assert later.last("error")["error"]["code"] == "array-missing"
        later.ask("blobs", blobs=[{"hash": kept["hash"], "base64": kept["base64"]}])
        await later.quiet()
        assert later.last("result")["result"]["shape"] == [2, 4]

    conversation(part)


RING_BYTES = 51_200 + 8_000
"""Four inputs are 51,200 bytes and two intermediates 25,600; a slice has smaller ones."""


async def open_ring(talk: Talk) -> None:
    """A ring of four matrices that does not fit."""
    options = {"sizes": dict.fromkeys("abcd", 40)}
    talk.ask(
        "open",
        format="einsum",
        name="",
        text="ab,bc,cd,da->",
        base64=None,
        onto=None,
        options=options,
    )
    await talk.quiet()
    assert talk.last("plan")["plan"]["refused"]["code"] == "does-not-fit"
    assert talk.all("result") == []


def test_what_does_not_fit_is_refused_before_it_starts_and_can_be_sliced() -> None:
    async def part(talk: Talk) -> None:
        await open_ring(talk)
        talk.ask("run", backend="auto", dtype=None, slice=True)
        await talk.quiet()
        assert int(talk.last("plan")["plan"]["nSlices"]) > 1
        assert talk.last("result")["result"]["shape"] == []
        # What a search finds has to beat what is shown.
        shown = talk.last("plan")["plan"]
        path = [[step["left"], step["right"]] for step in shown["steps"]]
        assert not talk.session.live._adopt(path, ["a", "b", "c"], "annealed")
        assert not talk.session.live._adopt(path, [], "annealed")

    conversation(part, limit_bytes=RING_BYTES)


def test_a_search_slices_what_does_not_fit() -> None:
    async def part(talk: Talk) -> None:
        await open_ring(talk)
        came = asyncio.Event()

        def hear(notice: dict[str, Any]) -> None:
            talk.heard.append(notice)
            if notice["kind"] == "result":
                came.set()

        talk.session.send = hear
        talk.ask("search", action="start")
        await asyncio.wait_for(came.wait(), 20)
        talk.ask("search", action="stop")
        await talk.quiet()
        plan = talk.last("plan")["plan"]
        assert plan["refused"] is None
        assert plan["sliced"]
        assert int(plan["peakBytes"]) <= RING_BYTES
        wanted = float(talk.last("result")["result"]["scalar"][0])
        # Where it comes to fit without, nothing is sliced any more.
        for name in "abcd":
            talk.commands({"kind": "set-dimension", "name": name, "dimension": 5})
        await talk.quiet()
        assert talk.last("plan")["plan"]["sliced"] == []
        assert talk.last("result")["result"]["scalar"][0] != wanted

    conversation(part, limit_bytes=RING_BYTES)


def test_what_a_search_finds_is_not_taken_for_a_drawing_whose_edit_is_not_planned_yet() -> None:
    async def part(talk: Talk) -> None:
        await open_ring(talk)
        live = talk.session.live
        path = [[0, 1], [2, 3], [4, 5]]
        talk.ask("search", action="start")
        # Renamed at once, planned later: a line of the search may come between.
        talk.commands({"kind": "rename-index", "name": "a", "to": "z"})
        assert not live._adopt(path, ["a", "b"], "annealed")
        await talk.quiet()
        # Smaller at once: what costs less only because of that is no better tree.
        assert live._shown is not None
        same = [list(pair) for pair in live._shown.tree.path]
        talk.commands({"kind": "set-dimension", "name": "b", "dimension": 2})
        assert not live._adopt(same, [], "annealed")
        talk.ask("search", action="stop")
        await talk.quiet()

    conversation(part, limit_bytes=RING_BYTES)


def test_arranging_keeps_what_the_user_placed() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(template("mps", {"n": 4}))
        talk.commands({"kind": "move", "positions": {"t2": [777, 555]}, "anchors": {}})
        talk.ask("layout")
        await talk.quiet()
        marks = talk.session.desk.committed.diagram.marks
        assert (marks["t2"].x, marks["t2"].y) == (777, 555)
        assert talk.last("apply")["gesture"] == "Arrange"

    conversation(part)


def test_looking_inside_follows_the_value() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(matrices())
        await talk.quiet()
        talk.ask("inspect", tensor=None, fixed={}, rows=[], columns=[], dark=False)
        assert talk.last("inspection")["rows"] == ["i"]
        shown = talk.session.inspection.image.data["image"][0].copy()
        seed = {"kind": "random", "seed": 99, "distribution": "normal"}
        talk.commands({"kind": "set-array", "id": "t1", "array": seed})
        await talk.quiet()
        assert (talk.session.inspection.image.data["image"][0] != shown).any()

    conversation(part)


def test_a_run_can_be_stopped() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(matrices(700, 700, 700))
        for _ in range(50):
            await asyncio.sleep(0)
        talk.ask("cancel")
        await talk.quiet()
        said = [notice["message"] for notice in talk.all("stale")]
        assert said[-1:] == ["Stopped. The value is that of an earlier drawing."] or talk.all(
            "result"
        )

    conversation(part)


def test_our_own_bugs_reach_the_user_and_do_not_end_the_session() -> None:
    async def part(talk: Talk) -> None:
        talk.hello(matrices())
        talk.ask("commands")  # no phase, no commands: a malformed request
        assert talk.last("error")["error"]["code"] == "internal"
        talk.commands({"kind": "set-title", "title": "still here"})
        assert talk.session.desk.committed.title == "still here"

    conversation(part)


@pytest.mark.parametrize(
    ("failure", "code", "message", "hint"),
    [
        (
            MemoryError("Unable to allocate 2.00 GiB"),
            "out-of-memory",
            "This page ran out of memory.",
            "Make a dimension smaller, slice an index, or send it to a heavy worker.",
        ),
        (
            ZeroDivisionError("division by zero"),
            "internal",
            "Something here is broken: ZeroDivisionError.",
            "Your drawing is kept. Please report what you did just before.",
        ),
    ],
)
def test_a_value_that_fails_says_so_and_the_next_edit_is_computed(
    failure: Exception, code: str, message: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise failure

    async def part(talk: Talk) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(view_live, "arrays_of", failing)
            talk.hello(matrices())
            await talk.quiet()
        error = talk.last("error")["error"]
        assert (error["code"], error["message"], error["hint"]) == (code, message, hint)
        assert error["values"] == {"detail": str(failure)}
        stale = talk.last("stale")
        assert (stale["message"], stale["behind"]) == (message, False)
        assert not talk.session.live.behind
        talk.commands({"kind": "set-dimension", "name": "i", "dimension": 9})
        await talk.quiet()
        assert talk.last("result")["result"]["shape"] == [9, 4]

    conversation(part)
