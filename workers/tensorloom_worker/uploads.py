"""Array files on their way in: appended where they stopped, taken when the hash holds.

A file belongs to the client that sent it, under the hash of its bytes; the same file sent by two
clients is stored once. What a client sends is looked into before it counts as an array.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tensorloom.errors import FileFormatError
from tensorloom_worker.array_files import find, read_facts
from tensorloom_worker.files import hash_of
from tensorloom_worker.ledger import ArrayRef
from tensorloom_worker.records import ArraysQuery, ArrayState, ArrayStates
from tensorloom_worker.refusals import rejected, writing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from tensorloom.errors import TensorloomError
    from tensorloom_worker.array_files import ArrayFacts
    from tensorloom_worker.files import Files
    from tensorloom_worker.records import ArrayUse
    from tensorloom_worker.store import Client, Store

__all__ = ["Uploads"]

FLUSH_BYTES = 1 << 20


class Uploads:
    """The arrays of all clients.

    Args:
        store: Knows which files belong to whom.
        files: Holds them.
    """

    def __init__(self, store: Store, files: Files) -> None:
        self._store = store
        self._files = files
        self._busy: set[tuple[int, str]] = set()
        self._sound: dict[tuple[str, int, int], bool] = {}

    def state(self, client: Client, sha: str) -> tuple[int, int]:
        """(bytes that are here, bytes of the whole file).

        Raises:
            WorkerRejected: ``array-unknown``.
        """
        found = self.states(client, ArraysQuery(arrays=(sha,))).arrays[0]
        if found.length is None:
            raise array_unknown(sha)
        return found.offset, found.length

    def states(self, client: Client, query: ArraysQuery) -> ArrayStates:
        """How far each file came; one that nobody sent is no error here."""
        found = []
        for sha in query.arrays:
            known = self._store.array(client, sha)
            if known is None:
                found.append(ArrayState(sha256=sha, offset=0))
                continue
            length, complete = known
            here = length if complete else self._received(client, sha)
            found.append(ArrayState(sha256=sha, offset=here, length=length))
        return ArrayStates(arrays=tuple(found))

    async def append(
        self,
        client: Client,
        sha: str,
        body: AsyncIterator[bytes],
        *,
        offset: int,
        length: int,
    ) -> int:
        """How many bytes are here after the body was added.

        Raises:
            TensorloomError: ``upload-offset``, ``upload-busy``, ``upload-too-big``,
                ``quota-bytes``, ``disk-full``, ``array-hash``, or what is wrong with the file.
        """
        with self._alone(client, sha):
            return await self._append(client, sha, body, offset=offset, length=length)

    @contextmanager
    def _alone(self, client: Client, sha: str) -> Iterator[None]:
        """Keep other requests off a file of a client; entered in the event loop's thread.

        Raises:
            WorkerRejected: ``upload-busy``.
        """
        if (client.id, sha) in self._busy:
            raise rejected(
                "upload-busy",
                "Another request uploads or removes this array.",
                "Wait for it, ask how far it came, and go on there.",
            )
        self._busy.add((client.id, sha))
        try:
            yield
        finally:
            self._busy.discard((client.id, sha))

    async def _append(
        self, client: Client, sha: str, body: AsyncIterator[bytes], *, offset: int, length: int
    ) -> int:
        known = self._store.array(client, sha)
        done = known is not None and known[1]
        here = known[0] if known is not None and done else self._received(client, sha)
        if here != offset or (known is not None and known[0] != length):
            raise rejected(
                "upload-offset",
                f"{here} bytes of this array are here, of {known[0] if known else length}.",
                "Go on there: ask with HEAD how far it came.",
                {"offset": here, "length": known[0] if known else length},
            )
        if done:
            return here
        # One that goes on is not old: it is kept however long it takes.
        await asyncio.to_thread(self._store.put_array, client, sha, length, complete=False)
        self._files.check_room(length - offset)
        path = self._files.upload(client.id, sha)
        here = await _written(path, body, here, length)
        if here == length:
            await asyncio.to_thread(self._complete, client, sha, length)
        return here

    def _received(self, client: Client, sha: str) -> int:
        try:
            return self._files.upload(client.id, sha).stat().st_size
        except OSError:
            return 0

    def _complete(self, client: Client, sha: str, length: int) -> None:
        """Take the file, or drop it."""
        path = self._files.upload(client.id, sha)
        try:
            _check_hash(path, sha)
            read_facts(path)
        except Exception:
            self._forget(client, sha, path)
            raise
        self._files.adopt(path, sha)
        self._store.put_array(client, sha, length, complete=True)

    def _forget(self, client: Client, sha: str, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._store.remove_array(sha, client)

    async def remove(self, client: Client, sha: str) -> None:
        """Forget a file of a client.

        Raises:
            WorkerRejected: ``array-unknown``, ``array-in-use`` or ``upload-busy``.
        """
        with self._alone(client, sha):
            await asyncio.to_thread(self._remove, client, sha)

    def _remove(self, client: Client, sha: str) -> None:
        if self._store.array(client, sha) is None:
            raise array_unknown(sha)
        if self._store.is_used(client, sha):
            raise rejected(
                "array-in-use",
                f"A job that is not finished uses the array {sha[:12]}.",
                "Cancel the job first.",
            )
        self._forget(client, sha, self._files.upload(client.id, sha))
        if sha not in self._store.known_arrays():
            self._files.array(sha).unlink(missing_ok=True)

    def facts_of(self, client: Client, uses: Mapping[str, ArrayUse]) -> dict[str, ArrayFacts]:
        """What the named arrays are.

        Raises:
            TensorloomError: ``array-not-uploaded``, ``array-damaged`` or ``array-key``.
        """
        files: dict[str, Mapping[str | None, ArrayFacts]] = {}
        found = {}
        for name, use in uses.items():
            known = self._store.array(client, use.sha256)
            if known is None or not known[1]:
                raise rejected(
                    "array-not-uploaded",
                    f"Tensor {name.removeprefix('batch:')!r:.80} names the array "
                    f"{use.sha256[:12]}, which is not here in full.",
                    "Upload it to its end, then submit.",
                    {"sha256": use.sha256},
                )
            if use.sha256 not in files:
                try:
                    files[use.sha256] = read_facts(self._files.array(use.sha256))
                except (OSError, FileFormatError) as error:
                    raise self._damaged(use.sha256) from error
            found[name] = find(files[use.sha256], use.key)
        return found

    def refs_here(self, client: Client, uses: Mapping[str, ArrayUse]) -> dict[str, ArrayRef]:
        """The files of those arrays that are here in full; for what looks at shapes only.

        Raises:
            TensorloomError: ``array-damaged`` or ``array-key``.
        """
        here = {}
        for name, use in uses.items():
            known = self._store.array(client, use.sha256)
            if known is not None and known[1]:
                here[name] = use
        _ = self.facts_of(client, here)
        return {
            name: ArrayRef(path=self._files.array(use.sha256), key=use.key, sha256=use.sha256)
            for name, use in here.items()
        }

    def refs_of(self, uses: Mapping[str, ArrayUse]) -> dict[str, ArrayRef]:
        """The files of a job's arrays, each checked by its hash once while it is unchanged.

        Raises:
            WorkerRejected: ``array-damaged``.
        """
        found = {}
        for name, use in uses.items():
            sha = use.sha256
            path = self._files.array(sha)
            try:
                facts = path.stat()
                stamp = (sha, facts.st_mtime_ns, facts.st_size)
                if stamp not in self._sound:
                    self._sound[stamp] = hash_of(path) == sha
            except OSError as error:
                raise self._damaged(sha) from error
            if not self._sound[stamp]:
                raise self._damaged(sha)
            found[name] = ArrayRef(path=path, key=use.key, sha256=sha)
        return found

    def _damaged(self, sha: str) -> TensorloomError:
        """Set a damaged file aside, so that it can be uploaded again."""
        self._files.set_aside(self._files.array(sha))
        self._store.remove_array(sha)
        return rejected(
            "array-damaged",
            f"The array {sha[:12]} was damaged on the disk of the worker.",
            "Upload it again and submit the job anew.",
            {"sha256": sha},
        )


def array_unknown(sha: str) -> TensorloomError:
    """No file of this hash belongs to the client."""
    return rejected(
        "array-unknown",
        f"There is no array {sha[:12]}.",
        "Upload it with PATCH, from offset 0.",
        {"sha256": sha},
    )


def _check_hash(path: Path, sha: str) -> None:
    if hash_of(path) != sha:
        raise rejected(
            "array-hash",
            f"The bytes that came do not have the hash {sha[:12]}.",
            "Upload the file again from its beginning.",
        )


async def _written(path: Path, body: AsyncIterator[bytes], here: int, length: int) -> int:
    """How many bytes the file has after the body; they are on the disk, whatever happens."""
    with path.open("ab") as file:
        waiting = bytearray()
        try:
            async for chunk in body:
                if here + len(waiting) + len(chunk) > length:
                    raise rejected(
                        "upload-too-big",
                        f"More than the announced {length} bytes came.",
                        "Announce the length of the whole file.",
                        {"most": length},
                    )
                waiting += chunk
                if len(waiting) >= FLUSH_BYTES:
                    here += await asyncio.to_thread(_append, file.fileno(), bytes(waiting))
                    waiting.clear()
        finally:
            here += await asyncio.to_thread(_append, file.fileno(), bytes(waiting))
            with writing():
                await asyncio.to_thread(os.fsync, file.fileno())
    return here


def _append(handle: int, data: bytes) -> int:
    """How many bytes were written: all of them.

    Raises:
        ExecutionError: ``disk-full``; what was written stays and can be gone on from.
    """
    view = memoryview(data)
    with writing():
        while view:
            view = view[os.write(handle, view) :]
    return len(data)
