"""The service: what the routes call, what the queue calls, and what happens at start and end.

Nothing here knows of HTTP. Blocking work on the disk runs in threads; everything that changes the
queue runs in the event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from tensorloom.errors import ExecutionError, WorkerRejected
from tensorloom.model.document import DTYPES
from tensorloom_worker import API, VERSION, entries, security
from tensorloom_worker.array_files import npy_parts
from tensorloom_worker.checking import check_job, check_request, read_request, uses_of
from tensorloom_worker.event_ids import begin_ids, end_ids
from tensorloom_worker.events import SLACK, Hub
from tensorloom_worker.files import Files, hash_of
from tensorloom_worker.job_rows import now_text
from tensorloom_worker.live import Live
from tensorloom_worker.queue import Queue
from tensorloom_worker.quotas import Quotas
from tensorloom_worker.records import (
    FINAL,
    About,
    ContractRequest,
    EntryRequest,
    Estimate,
    Job,
    JobList,
    JobResult,
    as_pair,
)
from tensorloom_worker.refusals import rejected, writing
from tensorloom_worker.resumes import begin_resume, forget_resumes
from tensorloom_worker.store import FIRST_CLIENT, Store, canonical
from tensorloom_worker.sums import StoredLedger
from tensorloom_worker.sweeping import sweep
from tensorloom_worker.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tensorloom_worker.ledger import Executor, Outcome
    from tensorloom_worker.settings import Settings
    from tensorloom_worker.store import Client

__all__ = ["Backlog", "Service"]

HOUSEKEEPING_S = 3600.0
STREAM_BACKLOG = 200
"""Most jobs that a new stream begins with."""

_LOG = logging.getLogger("tensorloom_worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What a stream begins with.

    Args:
        changes: (event, job), oldest change first.
        is_whole: Whether they are all that changed since the last event that was heard.
    """

    changes: tuple[tuple[int, Job], ...]
    is_whole: bool = True


class Service:
    """One data folder, one queue, one executor.

    Args:
        settings: What it was started with.
        executor: Makes what computes, when the service starts.
    """

    def __init__(self, settings: Settings, executor: Callable[[Settings], Executor]) -> None:
        self.settings = settings
        self._make_executor = executor
        self.first_token: str | None = None
        self._housekeeping: asyncio.Task[None] | None = None
        self._sound: dict[tuple[str, int, int], bool] = {}

    async def start(self) -> None:
        """Open the data folder, start what computes, go on with unfinished jobs."""
        await asyncio.to_thread(self._open)
        self.executor = self._make_executor(self.settings)
        await self.executor.start()
        unfinished = self.store.unfinished()
        self._resumed = {one.stored.job.id for one in unfinished if one.begun}
        for waiting in unfinished:
            live = Live.of(waiting, goes_on=self._goes_on(waiting.stored.job))
            self.queue.add(live)
            if waiting.unwanted:
                self.queue.drop(live)
        self.queue.start()
        self._housekeeping = asyncio.create_task(self._keep_house(), name="housekeeping")

    def _open(self) -> None:
        self.files = Files(self.settings.data_folder)
        self.files.lock()
        self.store = Store(self.settings.data_folder, Quotas(self.settings))
        self.hub = Hub(begin_ids(self.store, time.time()), self.settings.max_streams_per_token)
        self.ledger = StoredLedger(self.store, self.files)
        self.uploads = Uploads(self.store, self.files)
        self.queue = Queue(self.settings, self)
        if not self.store.clients():
            self.first_token = security.new_token()
        sweep(self.store, self.files, self.ledger)

    def keep_first_token(self) -> None:
        """Let the first client in, now that its token was told.

        Only a hash is kept: a token that counted before it was told, and never was, would shut its
        owner out. Until then every start makes a new one.

        Raises:
            ExecutionError: ``disk-full``.
        """
        if self.first_token is not None:
            self.store.put_token(FIRST_CLIENT, security.hash_token(self.first_token))

    async def close(self) -> None:
        """Stop everything; unfinished jobs go on at the next start."""
        self.hub.hang_up()
        if self._housekeeping is not None:
            self._housekeeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._housekeeping
        await self.queue.close()
        await self.executor.close()
        with suppress(ExecutionError, sqlite3.Error):  # who listens then lists the jobs anew
            await asyncio.to_thread(forget_resumes, self.store)
            await asyncio.to_thread(end_ids, self.store, self.hub.last)
        await asyncio.to_thread(self.store.close)
        self.files.unlock()

    # What the routes call.

    def about(self) -> About:
        """What the service has and allows."""
        limits = {
            "maxBodyBytes": self.settings.max_body_bytes,
            "maxTensors": self.settings.max_tensors,
            "maxUploadBytes": self.settings.max_upload_bytes,
            "maxStoredBytes": self.settings.max_stored_bytes,
            "maxResultBytes": self.settings.max_result_bytes,
            "maxJobSeconds": self.settings.max_job_seconds,
            "maxQueue": self.settings.max_queue,
            "maxJobsPerToken": self.settings.max_jobs_per_token,
            "maxStreamsPerToken": self.settings.max_streams_per_token,
        }
        return About(
            **self.executor.about().model_dump(),
            version=VERSION,
            api=API,
            limits=limits,
            dtypes=DTYPES,
            entries=entries.facts(),
        )

    async def estimate(self, client: Client, value: object) -> Estimate:
        """What a job would take; its arrays need not be here.

        A batch is as long as its arrays say; without them it counts as one contraction.

        Raises:
            TensorloomError: The request makes no sense.
        """
        request = read_request(value)
        await asyncio.to_thread(check_request, request, self.settings)
        # Of the arrays only the length of a batch matters.
        batch = {name: use for name, use in uses_of(request).items() if name.startswith("batch:")}
        refs = await asyncio.to_thread(self.uploads.refs_here, client, batch)
        return await self.executor.estimate(request, refs)

    async def submit(self, client: Client, value: object, key: str | None) -> tuple[Job, bool]:
        """The job, and whether it is new; it is on the disk when this returns.

        What was taken once is not judged again: the machine and the arrays may have changed since.

        Raises:
            TensorloomError: It is refused.
        """
        request = read_request(value)
        uses = uses_of(request)
        text = canonical(request.model_dump(mode="json", by_alias=True, exclude_none=True))
        if key is not None:
            known = await asyncio.to_thread(self.store.job_of_key, client, key, text)
            if known is not None:
                return self.newest(known.job), False
        await asyncio.to_thread(check_job, request, uses, self.settings, self.uploads, client)
        await self.executor.check(request)
        self.files.check_room(0)
        job = Job(
            id=secrets.token_hex(16),
            kind=request.kind,
            title=request.title or _default_title(request),
            state="queued",
            created_at=now_text(),
        )
        changed = self.hub.next_id()
        stored, is_new = await asyncio.to_thread(
            self.store.add_job, client, job, request=text, key=key, arrays=uses, changed=changed
        )
        if is_new:
            live = Live(
                seq=stored.seq,
                token=client.id,
                job=stored.job,
                changed=changed,
                goes_on=entries.goes_on(request),
            )
            self.queue.add(live)
            self.tell(live)
            return self.queue.seen(live), True
        return self.newest(stored.job), False

    def _goes_on(self, job: Job) -> bool:
        """Whether a job of the store can be stopped; one that is damaged ends at once anyhow."""
        if job.kind == "contract":
            return True
        try:
            return entries.goes_on(self.store.request(job.id))
        except WorkerRejected:
            return False

    def newest(self, job: Job) -> Job:
        """The newest state of a job of the store."""
        live = self.queue.find(job.id)
        return job if live is None else self.queue.seen(live)

    def job(self, client: Client, identity: str) -> Job:
        """A job of this client.

        Raises:
            WorkerRejected: ``job-unknown``.
        """
        live = self.queue.find(identity)
        if live is not None and live.token == client.id:
            return self.queue.seen(live)
        return self.store.job(client, identity).job

    def jobs(self, client: Client, *, limit: int, before: str | None) -> JobList:
        """Jobs of this client in brief, newest first; see ``JobList``."""
        last = None if before is None else int(before)
        found = self.store.jobs(client, limit=limit + 1, before=last)
        shown = tuple(self.newest(stored.job).in_brief() for stored in found[:limit])
        # Not the id of a job: it may be deleted before the next page is asked for.
        return JobList(jobs=shown, next=str(found[limit - 1].seq) if len(found) > limit else None)

    async def cancel(self, client: Client, identity: str) -> Job:
        """The job, which stops or has stopped, and is not run again by another start.

        Raises:
            WorkerRejected: ``job-unknown``.
            ExecutionError: ``disk-full``; it stops, but another start may run it again.
        """
        self.job(client, identity)
        await self.queue.cancel(identity)
        return self.job(client, identity)

    async def delete(self, client: Client, identity: str) -> None:
        """Stop a job and forget it with its result.

        Raises:
            WorkerRejected: ``job-unknown``.
            ExecutionError: ``disk-full``.
        """
        self.job(client, identity)
        await self.queue.cancel(identity)
        await self.queue.ended(identity)
        await asyncio.to_thread(self._remove, identity)
        self.hub.gone(client.id, identity)

    def _remove(self, identity: str) -> None:
        names = self.store.remove_job(identity)
        self._drop_sums(names)
        self.files.result(identity).unlink(missing_ok=True)

    def _drop_sums(self, names: Iterable[str]) -> None:
        for name in names:
            (self.files.sums / name).unlink(missing_ok=True)

    async def result(self, client: Client, identity: str) -> tuple[Path, Job]:
        """The file of a result, checked by its hash, and its job.

        Raises:
            WorkerRejected: ``job-unknown``, ``result-not-ready`` or ``result-damaged``.
        """
        job = self.job(client, identity)
        if job.result is None:
            raise rejected(
                "result-not-ready",
                f"The job is {job.state}; it has no result.",
                "Wait until its state is 'done'.",
                {"state": job.state},
            )
        path = self.files.result(identity)
        if not await asyncio.to_thread(self._is_sound, path, job.result.sha256):
            await asyncio.to_thread(self.files.set_aside, path)
            raise rejected(
                "result-damaged",
                "The result was damaged on the disk of the worker.",
                "Submit the job again.",
            )
        return path, job

    def _is_sound(self, path: Path, digest: str) -> bool:
        try:
            facts = path.stat()
            stamp = (digest, facts.st_mtime_ns, facts.st_size)
            if stamp not in self._sound:
                self._sound[stamp] = hash_of(path) == digest
        except OSError:
            return False
        return self._sound[stamp]

    async def partial(self, client: Client, identity: str) -> tuple[bytes, float]:
        """The sum so far as a ``.npy`` file, and the log10 of what it is to be multiplied with.

        Raises:
            WorkerRejected: ``job-unknown`` or ``result-not-ready``.
        """
        job = self.job(client, identity)
        found = None
        if job.state not in FINAL:
            request = await asyncio.to_thread(self.store.request, identity)
            found = await self.executor.partial(identity, request, self.ledger)
        if found is None:
            raise rejected(
                "result-not-ready",
                f"The job is {job.state}; it has no sum of slices.",
                "Take result.npy when it is done.",
                {"state": job.state},
            )
        array, log10_scale = found
        return b"".join(npy_parts(array)), log10_scale

    def backlog(self, client: Client, job: str | None, last: int) -> Backlog:
        """What a new stream begins with.

        Args:
            client: Who listens.
            job: Only this one; ``None`` for all.
            last: The last event that was heard; 0 for none.

        Raises:
            WorkerRejected: ``job-unknown``.
        """
        if job is not None:
            live = self.queue.find(job)
            if live is not None and live.token == client.id:
                return Backlog(changes=((live.changed, self.queue.seen(live)),))
            stored = self.store.job(client, job)
            return Backlog(changes=((stored.changed, stored.job),))
        since = max(0, last - SLACK) if self.hub.knows(last) else 0
        found = self.store.jobs_changed(client, since, limit=STREAM_BACKLOG + 1)
        lives = [(self.queue.find(stored.job.id), stored) for stored in found[-STREAM_BACKLOG:]]
        changes = sorted(
            (
                (live.changed, self.queue.seen(live))
                if live is not None
                else (stored.changed, stored.job)
                for live, stored in lives
            ),
            key=lambda pair: pair[0],
        )
        is_whole = last == 0 or (self.hub.knows(last) and len(found) <= STREAM_BACKLOG)
        return Backlog(changes=tuple(changes), is_whole=is_whole)

    def has_client(self, client: Client) -> bool:
        """Whether the token that the client came with still counts."""
        return client in self.store.clients()

    def rotate(self, client: Client) -> str:
        """A new token; the old one counts no longer, and its streams end."""
        token = security.new_token()
        self.store.put_token(client.name, security.hash_token(token))
        self.hub.hang_up(client.id)
        return token

    # What the queue calls.

    async def run(self, live: Live) -> Outcome:
        """Run a job from where the ledger says that it stopped."""
        identity = live.job.id
        request, refs = await asyncio.to_thread(self._prepared, identity)
        with writing():  # the execution has files of its own
            return await self.executor.run(
                identity,
                request,
                refs,
                self.ledger,
                progress=lambda heard: self.queue.hear(live, heard),
                cancelled=live.cancelled,
            )

    def _prepared(self, identity: str) -> tuple[ContractRequest | EntryRequest, Any]:
        begin_resume(self.store, identity, self._resumed)
        request = self.store.request(identity)
        return request, self.uploads.refs_of(uses_of(request))

    async def finish(self, live: Live, outcome: Outcome) -> JobResult:
        """Write a result down."""
        return await asyncio.to_thread(self._write, live, outcome)

    def _write(self, live: Live, outcome: Outcome) -> JobResult:
        array = outcome.array
        parts = npy_parts(array)
        size = sum(map(len, parts))
        self.store.check_result(live.token, size)
        path = self.files.result(live.job.id)
        self.files.write(path, parts)
        digest = sha256()
        for part in parts:
            digest.update(part)
        return JobResult(
            shape=array.shape,
            dtype=array.dtype.name,
            log10_scale=outcome.log10_scale,
            error_bound=outcome.error_bound if math.isfinite(outcome.error_bound) else 1.0,
            bytes=size,
            sha256=digest.hexdigest(),
            ms=outcome.ms,
            mul_adds=outcome.mul_adds,
            backend=outcome.backend,
            value=as_pair(complex(array[()])) if array.ndim == 0 else None,
            details=outcome.details,
        )

    async def keep(self, live: Live, job: Job) -> None:
        """Write a new state of a job down."""
        live.changed = self.hub.next_id()
        try:
            names = await asyncio.to_thread(self.store.update_job, job, live.changed)
        except WorkerRejected:
            # Another result of the client has taken the room since this one was written.
            self.files.result(job.id).unlink(missing_ok=True)
            raise
        self._drop_sums(names)

    async def keep_unwanted(self, live: Live) -> None:
        """Write down that a job was cancelled."""
        await asyncio.to_thread(self.store.keep_unwanted, live.job.id)

    async def keep_ran(self, live: Live, seconds: float) -> None:
        """Write down how long a job has run [s]; on a full disk another time."""
        with suppress(ExecutionError):
            await asyncio.to_thread(self.store.keep_ran, live.job.id, seconds)

    def tell(self, live: Live) -> None:
        """Tell subscribers of a job's state."""
        live.changed = self.hub.next_id()
        self.hub.tell(live.token, self.queue.seen(live), live.changed)

    # Housekeeping.

    async def _keep_house(self) -> None:
        while True:
            try:
                for token, identity in self.store.expired(self.settings.keep_days):
                    await asyncio.to_thread(self._remove, identity)
                    self.hub.gone(token, identity)
                if await asyncio.to_thread(self.store.expire_arrays, self.settings.keep_days):
                    await asyncio.to_thread(self._sweep_arrays)
            except Exception:  # noqa: BLE001  # tried again; the service goes on
                _LOG.exception("Removing old jobs and arrays failed; it is tried again later.")
            await asyncio.sleep(HOUSEKEEPING_S)

    def _sweep_arrays(self) -> None:
        # Listed first: what comes meanwhile has its row before its file.
        there = {*self.files.arrays.iterdir(), *self.files.uploads.iterdir()}
        known = {self.files.array(sha) for sha in self.store.known_arrays()}
        known |= {self.files.upload(token, sha) for token, sha in self.store.known_uploads()}
        for path in there - known:
            path.unlink(missing_ok=True)


def _default_title(request: ContractRequest | EntryRequest) -> str:
    """What a job is called when nobody said."""
    if isinstance(request, EntryRequest):
        return entries.ENTRIES[request.entry].title
    title = request.document.get("title")
    return title if isinstance(title, str) and title else "Untitled"
