"""A line to a service that can be cut: a TCP proxy on loopback, at what moment the test says.

A cut ends every connection in the middle of what it carries, and refuses new ones until the line is
mended, as when a machine leaves its network and comes back. What was asked through it is noted.
"""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

__all__ = ["Asked", "LossyLine", "lossy_line"]

HEAD = re.compile(
    rb"(GET|HEAD|OPTIONS|POST|PATCH|DELETE) (/\S*) HTTP/1\.1\r\n(.*?)\r\n\r\n", re.DOTALL
)
CHUNK = 16_384
"""Small, so that a cut comes close to the byte that was asked for."""

STALL_S = 0.3
"""A line falters before it breaks: what came through has been read by then."""


@dataclass
class Asked:
    """A request that went through.

    Args:
        method: Of HTTP.
        path: With its query.
        headers: Names in lower case.
        sent: Bytes on their way to the service so far, its head included.
        answered: Bytes on their way back.
    """

    method: str
    path: str
    headers: dict[str, str]
    sent: int = 0
    answered: int = 0


@dataclass
class LossyLine:
    """The line, as a test sees it.

    Args:
        service: Address of the service.
        asked: All requests in the order in which they came.
        whole: Whether it carries anything; else it was cut.
    """

    service: str
    address: str = ""
    asked: list[Asked] = field(default_factory=list)
    whole: bool = True
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _trap: tuple[str, str, int, int] | None = None

    def cut(self) -> None:
        """End what is under way, and refuse what comes."""
        self._do(self._cut())

    def cut_during(self, method: str, path: str, *, sent: int = 0, answered: int = 0) -> None:
        """Cut it when a request has carried so many bytes.

        Args:
            method: Of the request.
            path: How its path begins.
            sent: So many bytes there.
            answered: So many bytes back; they do not arrive.
        """
        self._trap = method, path, sent, answered

    def mend(self) -> None:
        """Carry what comes from now on."""
        self.whole = True

    def requests(self, method: str, path: str) -> list[Asked]:
        """Those of a method whose path begins like this."""
        return [one for one in self.asked if one.method == method and one.path.startswith(path)]

    def _do(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _cut(self) -> None:
        self.whole = False
        self._trap = None
        for writer in list(self._open):
            writer.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        if not self.whole:
            writer.transport.abort()
            return
        place = urlsplit(self.service)
        there_reader, there_writer = await asyncio.open_connection(place.hostname, place.port)
        both = {writer, there_writer}
        self._open |= both
        last: list[Asked] = []
        try:
            await asyncio.gather(
                self._pipe(reader, there_writer, last, back=False),
                self._pipe(there_reader, writer, last, back=True),
            )
        finally:
            self._open -= both
            for one in both:
                one.close()

    async def _pipe(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        last: list[Asked],
        *,
        back: bool,
    ) -> None:
        """What comes from one side, until it ends or the line is cut."""
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                if not back:
                    self._note(data, last)
                if last and self._springs(last[-1], len(data), back=back):
                    await asyncio.sleep(STALL_S)
                    await self._cut()
                    return
                writer.write(data)
                await writer.drain()
            writer.close()

    def _note(self, data: bytes, last: list[Asked]) -> None:
        for method, path, head in HEAD.findall(data):
            lines = [line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")]
            headers = {name.lower(): value for name, value in lines}
            last.append(Asked(method.decode(), path.decode(), headers))
            self.asked.append(last[-1])

    def _springs(self, asked: Asked, size: int, *, back: bool) -> bool:
        """Whether the test wanted it cut here."""
        if back:
            asked.answered += size
        else:
            asked.sent += size
        if self._trap is None:
            return False
        method, path, sent, answered = self._trap
        if asked.method != method or not asked.path.startswith(path):
            return False
        return asked.answered >= answered > 0 if answered else asked.sent >= sent


@contextmanager
def lossy_line(service: str) -> Iterator[LossyLine]:
    """A line to the service at an address, whole at first."""
    line = LossyLine(service)
    thread = threading.Thread(target=line._loop.run_forever, daemon=True)
    thread.start()

    async def start() -> None:
        server = await asyncio.start_server(line.carry, "127.0.0.1", 0)
        line.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ends.append(server)

    async def stop() -> None:
        ends[0].close()
        await line._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    ends: list[asyncio.Server] = []
    try:
        line._do(start())
        yield line
    finally:
        line._do(stop())
        line._loop.call_soon_threadsafe(line._loop.stop)
        thread.join()
        line._loop.close()
