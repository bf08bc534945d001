"""What a terminal is told of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorloom.execute.remote.client import WorkerClient
from tensorloom.execute.remote.terminal import Terminal

if TYPE_CHECKING:
    import pytest


def record(state: str, **more: Any) -> dict[str, Any]:
    return {"id": "j1", "state": state, "progress": {}, **more}


def test_what_is_new_is_said_at_once_and_what_gets_on_every_three_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [0.0]
    client = WorkerClient(address="127.0.0.1:1", token="t")
    terminal = Terminal(client, clock=lambda: now[0])
    told = terminal.watcher
    progress = {"slicesDone": "1234", "slices": "4000", "fraction": 0.3085, "etaMs": 12_000.0}
    told.uploading(1, 10)
    now[0] += 3
    told.uploading(5_000_000, 10_000_000)
    told.sent("j1")
    told.stands(record("queued", queuePosition=3))
    told.stands(record("queued", queuePosition=2))
    told.stands(record("searching"))
    told.stands(record("running", progress=progress))
    told.stands(record("running", progress=progress))
    now[0] += 3
    told.stands(record("running", progress={**progress, "fraction": 0.5}))
    told.stands(record("done"))
    assert capsys.readouterr().err.splitlines() == [
        "5 MB of 10 MB sent",
        "Sent to 127.0.0.1:1 as job j1; Ctrl+C leaves it running",
        "Queued, 2 before it",
        "Looking for an order",
        "30.9% done, 1,234 of 4,000 slices, about 12 s to go",
        "50.0% done, 1,234 of 4,000 slices, about 12 s to go",
    ]


def test_the_farewell_knows_whether_anything_runs() -> None:
    client = WorkerClient(address="127.0.0.1:1", token="t")
    terminal = Terminal(client)
    assert terminal.farewell() == "Stopped before the job was sent; nothing runs."
    terminal.watcher.sent("j7")
    assert terminal.farewell() == (
        "Job j7 goes on. Come back to it: python -m tensorloom contract "
        "--worker http://127.0.0.1:1 --job j7"
    )
