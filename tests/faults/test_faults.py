"""Kills at random moments, full disks, other numbers of workers: the same bits at the end.

Real processes: a service, its Dask workers, a client. Each round submits the same job, breaks
something when the job has come to a moment drawn from a seed, and compares the result with that of
a job which nobody disturbed: equal to the last bit, so nothing was lost and nothing added twice.
Three rounds of each kind here; ``python3 build.py faults`` does 25, or ``--rounds N``.
"""

from __future__ import annotations

import json
import os
import random
import resource
import uuid
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from worker_harness import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

ROUNDS = int(os.environ.get("TENSORLOOM_FAULT_ROUNDS", "3"))
SEED = int(os.environ.get("TENSORLOOM_FAULT_SEED", "20261130"))
RAILS, RUNGS, DIMENSION = 3, 6, 10
STATES = ("queued", "searching", "running")


def ring() -> dict[str, Any]:
    """A closed chain of six tensors, neighbours joined by three bonds: a trace of a product."""
    bonds = [[f"{rail}{rung}" for rail in "abc"[:RAILS]] for rung in range(RUNGS)]
    tensors = [
        {
            "id": f"t{rung}",
            "name": f"T{rung}",
            "indices": [*bonds[rung], *bonds[(rung + 1) % RUNGS]],
            "array": {"kind": "random", "seed": rung, "distribution": "normal"},
        }
        for rung in range(RUNGS)
    ]
    names = dict.fromkeys(name for tensor in tensors for name in tensor["indices"])
    return {
        "tensorloom": 1,
        "title": "Ring",
        "dtype": "float64",
        "tensors": tensors,
        "dimensions": dict.fromkeys(names, DIMENSION),
        "output": [],
        "marks": {f"t{rung}": {"x": 90 * rung, "y": 0} for rung in range(RUNGS)},
    }


REQUEST = {
    "kind": "contract",
    "document": ring(),
    "plan": {
        "path": [[0, 1], [6, 2], [7, 3], [8, 4], [9, 5]],
        "sliced": ["a0", "b0"],
    },
    "searchSeconds": 0,
    "memoryBytes": 2**29,
}


class Campaign:
    """A service that is broken and started again on the same folder."""

    def __init__(self, process: Process, seed: int) -> None:
        self.process = process
        self.chance = random.Random(seed)
        self.reference = ""
        self.workers = 2

    def start(self, workers: int) -> None:
        self.workers = workers
        token = self.process.token
        self.process.flags = ("--workers", str(workers))
        self.process.start()
        self.process.token = self.process.token or token

    def submit(self, client: httpx.Client) -> str:
        key = {"Idempotency-Key": uuid.UUID(int=self.chance.getrandbits(128)).hex}
        answer = client.post("/v1/jobs", json=REQUEST, headers=key)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def moment(self) -> float:
        """When to break something: at once, or at a part of the slices."""
        return self.chance.choice((-1.0, 0.0, self.chance.random(), self.chance.random()))

    def wait(self, client: httpx.Client, job: str, moment: float) -> dict[str, Any]:
        """The job when it has come so far; returns at once where the moment is below 0."""
        if moment < 0:
            return dict(client.get(f"/v1/jobs/{job}").json())
        with client.stream("GET", f"/v1/jobs/{job}/events") as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    found = json.loads(line[6:])
                    running = found["state"] == "running"
                    if found["state"] not in STATES or (
                        running and found["progress"]["fraction"] >= moment
                    ):
                        return dict(found)
        raise AssertionError("The stream ended before the job.")

    def check(self, client: httpx.Client, job: str) -> dict[str, Any]:
        """The job at its end, which must be that of the undisturbed one, bit by bit."""
        found = self.wait(client, job, 2.0)
        assert found["state"] == "done", found.get("error")
        assert found["progress"]["slicesDone"] == found["progress"]["slices"]
        assert found["result"]["sha256"] == self.reference
        return found

    def dask_workers(self) -> list[psutil.Process]:
        """The processes that compute: grandchildren aside, those with a worker's command line."""
        return [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if "spawn_main" in " ".join(child.cmdline())
        ]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    process = Process(folder=tmp_path_factory.mktemp("faults") / "data", dask=True)
    found = Campaign(process, SEED)
    found.start(2)
    with process.client() as client:
        job = found.submit(client)
        ended = found.wait(client, job, 2.0)
        assert ended["state"] == "done", ended
        assert int(ended["progress"]["slices"]) == DIMENSION**2
        found.reference = ended["result"]["sha256"]
    print(f"\nreference: {ended['result']['value']} in {ended['result']['ms']:.0f} ms")
    yield found
    process.kill()


def test_another_undisturbed_job_has_the_same_bits(campaign: Campaign) -> None:
    with campaign.process.client() as client:
        campaign.check(client, campaign.submit(client))


@pytest.mark.parametrize("number", range(ROUNDS))
def test_the_service_is_killed(campaign: Campaign, number: int) -> None:
    with campaign.process.client() as client:
        job = campaign.submit(client)
        moment = campaign.moment()
        before = campaign.wait(client, job, moment)
        campaign.process.kill()
    campaign.start(campaign.chance.choice((1, 2, 3)))
    with campaign.process.client() as client:
        found = campaign.check(client, job)
        jobs = client.get("/v1/jobs?limit=200").json()["jobs"]
    assert [listed["id"] for listed in jobs].count(job) == 1
    assert found["resumed"] >= (before["state"] in {"searching", "running"})
    print(
        f"round {number}: killed when {before['state']}, {before['progress']['slicesDone']} slices "
        f"done; went on with {campaign.workers} workers"
    )


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_worker_process_is_killed(campaign: Campaign, number: int) -> None:
    with campaign.process.client() as client:
        job = campaign.submit(client)
        before = campaign.wait(client, job, max(0.0, campaign.moment()))
        victims = campaign.dask_workers()
        assert victims
        campaign.chance.choice(victims).kill()
        found = campaign.check(client, job)
    assert found["resumed"] == 0
    done = before["progress"]["slicesDone"]
    print(f"round {number}: a worker killed when {done} slices were done")


@pytest.mark.parametrize("number", range(ROUNDS))
def test_the_disk_is_full_for_a_while(campaign: Campaign, number: int) -> None:
    """Files may not grow for the service, which the system tells as it tells of a full disk."""
    service = psutil.Process(campaign.process.pid)
    usual = service.rlimit(resource.RLIMIT_FSIZE)
    with campaign.process.client() as client:
        job = campaign.submit(client)
        before = campaign.wait(client, job, max(0.0, campaign.moment() / 2))
        service.rlimit(resource.RLIMIT_FSIZE, (0, usual[1]))
        try:
            refused = client.post("/v1/jobs", json=REQUEST)
            assert refused.status_code == 507, refused.text
            assert refused.json()["code"] == "disk-full"
            waiting = noted(client, job)
        finally:
            service.rlimit(resource.RLIMIT_FSIZE, usual)
        assert waiting["state"] != "failed"
        campaign.check(client, job)
        assert client.get("/v1/jobs?limit=1").json()["jobs"][0]["id"] == job
    done = before["progress"]["slicesDone"]
    print(f"round {number}: full when {done} slices were done; {waiting.get('note')}")


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
        jobs = client.get("/v1/jobs?limit=200").json()["jobs"]
    assert {job["state"] for job in jobs} == {"done"}
    assert {path.stem for path in (folder / "results").iterdir()} == {job["id"] for job in jobs}
    assert list((folder / "sums").iterdir()) == []
    assert list((folder / "damaged").iterdir()) == []
    assert "INFO distributed" not in campaign.process.log
    assert campaign.process.token not in campaign.process.log
