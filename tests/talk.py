"""A conversation with a session, natively and without a page, for tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tensorloom.execute.backends import Available
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.model import codec
from tensorloom.view.inspection import Inspection
from tensorloom.view.session import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tensorloom.model.document import Document

__all__ = ["Notice", "Talk", "conversation"]

Notice = dict[str, Any]


class Talk:
    """A session with a page that only listens; numpy is its one device."""

    def __init__(self, limit_bytes: int = 2 << 30) -> None:
        self.heard: list[Notice] = []
        self.session = Session(inspection=Inspection())
        self.session.send = self.heard.append
        backend = NumpyBackend(limit_bytes=limit_bytes)
        self.session.live._found = Available(backends={"numpy": backend}, missing={})
        self.seq = 0

    def ask(self, kind: str, **fields: Any) -> None:
        self.seq += 1
        self.session.receive({"kind": kind, "seq": self.seq, **fields})

    def hello(self, document: Document) -> None:
        self.ask("hello", document=codec.to_json(document))

    def commands(self, *commands: Notice, phase: str = "commit") -> None:
        self.ask("commands", gesture="Edit", phase=phase, commands=list(commands))

    async def quiet(self) -> None:
        """Wait until nothing is computed any more."""
        while True:
            live = self.session.live._task
            going = [task for task in (*self.session._tasks, live) if task and not task.done()]
            if not going:
                return
            await asyncio.wait(going)

    def all(self, kind: str) -> list[Notice]:
        return [notice for notice in self.heard if notice["kind"] == kind]

    def last(self, kind: str) -> Notice:
        return self.all(kind)[-1]

    def clear(self) -> None:
        self.heard.clear()


def conversation(part: Callable[[Talk], Awaitable[None]], **options: Any) -> None:
    """Runs one conversation to its end."""

    async def run() -> None:
        talk = Talk(**options)
        await part(talk)
        await talk.quiet()

    asyncio.run(run())
