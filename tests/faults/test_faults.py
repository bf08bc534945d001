"""Kills at random moments, full disks, other numbers of workers: the same bits at the end.

Real processes: a service, its Dask workers, a client. Each round submits a job, of another kind
each time, breaks something at a moment drawn from a seed, and compares the result with that of the
same job when nobody disturbed it: equal to the last bit, so nothing was lost and nothing added
twice. Three rounds of each fault here; ``python3 build.py faults`` does 25, or ``--rounds N``.
"""

from __future__ import annotations

import json
import os
import random
import resource
import time
import uuid
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from disturbed_jobs import JOBS
from worker_harness import Process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import httpx

ROUNDS = int(os.environ.get("TENSORLOOM_FAULT_ROUNDS", "3"))
SEED = int(os.environ.get("TENSORLOOM_FAULT_SEED", "20261130"))
STATES = ("queued", "searching", "running")
KINDS = tuple(JOBS)

PAGE = 5
"""Jobs in a page of the list: few, so that a short campaign has several pages too."""

LARGEST_FLOAT32 = 38.5
"""log10 of it."""

LATEST = 0.8
"""Share of an undisturbed job's time after which nothing is broken: it would have ended."""


class Campaign:
    """A service that is broken and started again on the same folder."""

    def __init__(self, process: Process, seed: int) -> None:
        self.process = process
        self.chance = random.Random(seed)
        self.references: dict[str, dict[str, Any]] = {}
        self.submitted: set[str] = set()
        self.workers = 2

    def start(self, workers: int) -> None:
        self.workers = workers
        token = self.process.token
        self.process.flags = ("--workers", str(workers))
        self.process.start()
        self.process.token = self.process.token or token

    def submit(self, client: httpx.Client, kind: str) -> str:
        key = {"Idempotency-Key": uuid.UUID(int=self.chance.getrandbits(128)).hex}
        answer = client.post("/v1/jobs", json=JOBS[kind]().request, headers=key)
        assert answer.status_code == 201, answer.text
        job = str(answer.json()["id"])
        self.submitted.add(job)
        return job

    def undisturbed(self, client: httpx.Client, kind: str) -> None:
        """Runs a job whose result is that of all others of its kind."""
        for name, data in JOBS[kind]().uploads.items():
            where = f"/v1/arrays/{name}?length={len(data)}"
            sent = client.patch(where, content=data, headers={"Upload-Offset": "0"})
            assert sent.status_code == 204, sent.text
        ended = self.wait(client, self.submit(client, kind), STATES)
        assert ended["state"] == "done", ended
        assert int(ended["progress"]["slices"]) == JOBS[kind]().slices
        self.references[kind] = ended["result"]

    def reach(self, client: httpx.Client, job: str, kind: str, *, at_once: bool) -> dict[str, Any]:
        """The job at a moment to break something: at once, as soon as it runs, or later."""
        if at_once and self.chance.random() < 1 / 4:
            return dict(client.get(f"/v1/jobs/{job}").json())
        self.wait(client, job, ("queued", "searching"))
        if self.chance.random() < 2 / 3:
            most = LATEST * self.references[kind]["ms"] / 1000
            time.sleep(self.chance.random() * most)
        return dict(client.get(f"/v1/jobs/{job}").json())

    def wait(self, client: httpx.Client, job: str, states: Sequence[str]) -> dict[str, Any]:
        """The job as soon as it is in none of these states."""
        with client.stream("GET", f"/v1/jobs/{job}/events") as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    found = json.loads(line[6:])
                    if found["state"] not in states:
                        return dict(found)
        raise AssertionError("The stream ended before the job.")

    def check(self, client: httpx.Client, job: str, kind: str) -> dict[str, Any]:
        """The job at its end, which must be that of the undisturbed one, bit by bit."""
        found = self.wait(client, job, STATES)
        assert found["state"] == "done", found.get("error")
        assert found["progress"]["slicesDone"] == found["progress"]["slices"]
        assert {**found["result"], "ms": 0} == {**self.references[kind], "ms": 0}
        return found

    def dask_workers(self) -> list[psutil.Process]:
        """The processes that compute: grandchildren aside, those with a worker's command line."""
        return [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if "spawn_main" in " ".join(child.cmdline())
        ]


def kind_of(number: int, fault: int) -> str:
    """Another kind of job in each round, and in the same round of another fault."""
    return KINDS[(ROUNDS * fault + number) % len(KINDS)]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    process = Process(folder=tmp_path_factory.mktemp("faults") / "data", dask=True)
    found = Campaign(process, SEED)
    found.start(2)
    with process.client() as client:
        for kind in KINDS:
            found.undisturbed(client, kind)
            print(f"\n{kind}: {found.references[kind]['ms']:.0f} ms", end="")
    yield found
    process.kill()


# In the short form the rounds below run each kind once more.
@pytest.mark.parametrize("kind", KINDS if len(KINDS) < ROUNDS else KINDS[:1])
def test_another_undisturbed_job_has_the_same_bits(campaign: Campaign, kind: str) -> None:
    with campaign.process.client() as client:
        campaign.check(client, campaign.submit(client, kind), kind)


def test_some_results_carry_an_exponent_and_some_are_many_numbers(campaign: Campaign) -> None:
    results = campaign.references.values()
    assert {found["dtype"] for found in results} == {"float32", "float64", "complex64"}
    assert any(found["log10Scale"] > LARGEST_FLOAT32 for found in results)
    assert {len(found["shape"]) for found in results} == {0, 1, 2}


@pytest.mark.parametrize("number", range(ROUNDS))
def test_the_service_is_killed(campaign: Campaign, number: int) -> None:
    kind = kind_of(number, 0)
    with campaign.process.client() as client:
        job = campaign.submit(client, kind)
        before = campaign.reach(client, job, kind, at_once=True)
        campaign.process.kill()
    campaign.start(campaign.chance.choice((1, 2, 3)))
    with campaign.process.client() as client:
        found = campaign.check(client, job, kind)
        jobs = all_jobs(client)
    assert [listed["id"] for listed in jobs].count(job) == 1
    assert found["resumed"] >= (before["state"] in {"searching", "running"})
    print(f"round {number}, {kind}: killed {told(before)}; went on with {campaign.workers} workers")


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_worker_process_is_killed(campaign: Campaign, number: int) -> None:
    kind = kind_of(number, 1)
    with campaign.process.client() as client:
        job = campaign.submit(client, kind)
        before = campaign.reach(client, job, kind, at_once=False)
        victims = campaign.dask_workers()
        assert victims
        campaign.chance.choice(victims).kill()
        found = campaign.check(client, job, kind)
    assert found["resumed"] == 0
    print(f"round {number}, {kind}: a worker killed {told(before)}")


@pytest.mark.parametrize("number", range(ROUNDS))
def test_the_disk_is_full_for_a_while(campaign: Campaign, number: int) -> None:
    """Files may not grow for the service, which the system tells as it tells of a full disk."""
    kind = kind_of(number, 2)
    service = psutil.Process(campaign.process.pid)
    usual = service.rlimit(resource.RLIMIT_FSIZE)
    with campaign.process.client() as client:
        job = campaign.submit(client, kind)
        before = campaign.reach(client, job, kind, at_once=False)
        service.rlimit(resource.RLIMIT_FSIZE, (0, usual[1]))
        try:
            refused = client.post("/v1/jobs", json=JOBS[kind]().request)
            assert refused.status_code == 507, refused.text
            assert refused.json()["code"] == "disk-full"
            waiting = noted(client, job)
        finally:
            service.rlimit(resource.RLIMIT_FSIZE, usual)
        assert waiting["state"] != "failed"
        campaign.check(client, job, kind)
        assert client.get("/v1/jobs?limit=1").json()["jobs"][0]["id"] == job
    print(f"round {number}, {kind}: full {told(before)}; {waiting.get('note')}")


def all_jobs(client: httpx.Client) -> list[dict[str, Any]]:
    """The whole list, however many rounds there were."""
    found: list[dict[str, Any]] = []
    before = ""
    while True:
        page = client.get(f"/v1/jobs?limit={PAGE}{before}").json()
        found += page["jobs"]
        if "next" not in page:
            return found
        before = f"&before={page['next']}"


def told(job: dict[str, Any]) -> str:
    """When something was broken."""
    return f"when {job['state']}, {job['progress']['slicesDone']} slices done"


def noted(client: httpx.Client, job: str) -> dict[str, Any]:
    """The job as soon as it says that it waits, or has come to its end before."""
    with client.stream("GET", f"/v1/jobs/{job}/events") as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                found = json.loads(line[6:])
                if "note" in found or found["state"] not in STATES:
                    return dict(found)
    raise AssertionError("The stream ended before the job.")


def test_nothing_is_left_of_finished_jobs_but_their_results(campaign: Campaign) -> None:
    folder = campaign.process.folder
    with campaign.process.client() as client:
        jobs = all_jobs(client)
    assert {job["id"] for job in jobs} == campaign.submitted
    assert {job["state"] for job in jobs} == {"done"}
    assert {path.stem for path in (folder / "results").iterdir()} == {job["id"] for job in jobs}
    assert list((folder / "sums").iterdir()) == []
    assert list((folder / "damaged").iterdir()) == []
    assert "INFO distributed" not in campaign.process.log
    assert campaign.process.token not in campaign.process.log
