"""Random requests made from the OpenAPI document, good and bad, against a real service on Dask.

None may end in a 5xx, none in an answer that the document does not describe, and neither the
service nor its worker may grow. Half of the jobs and estimates have a network that can be
contracted; the rest of them is random. A short run here; ``TENSORLOOM_REQUESTS`` says how many, as
``build.py faults`` does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import schemathesis
from doubles import LocalExecutor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from worker_harness import Process, contraction, document, npy, scalar_document, sha

from tensorloom_worker.app import WorkerApp
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

REQUESTS = int(os.environ.get("TENSORLOOM_REQUESTS", "240"))
MOST_GROWTH_BYTES = 48 * 2**20
LEFT_OUT = {"/v1/token/rotate", "/v1/events"}
"""One would end the run, the other never ends; both have tests of their own."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
DOCUMENT = WorkerApp(Settings(data_folder=Path("unused")), LocalExecutor).fastapi.openapi()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = [
    found.ok() for found in SCHEMA.get_all_operations() if found.ok().path not in LEFT_OUT
]


DOCUMENTS = (document(), scalar_document(), document(dimension=300))
OPTIONS = ("title", "plan", "dtype", "backend", "memoryBytes", "searchSeconds")
"""Fields that may stay as random as they came when a request is given a document."""

MOST_SEARCH = 0.1
"""Longest search that is really made: the schema allows a day [s]."""


class Target:
    """A service with a finished job, an array, and what is known of its memory."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.sent = 0
        self.job = self.new_job()
        with process.client() as client:
            data = npy(_zeros())
            self.array = sha(data)
            client.patch(
                f"/v1/arrays/{self.array}?length={len(data)}",
                content=data,
                headers={"Upload-Offset": "0"},
            )
        service = psutil.Process(process.pid)
        self.processes = [service, *service.children(recursive=True)]

    def new_job(self) -> str:
        """Id of a job that was just submitted."""
        with self.process.client() as client:
            return str(client.post("/v1/jobs", json=contraction()).json()["id"])

    def rest(self) -> None:
        """Returns when no job waits or runs any more."""
        with self.process.client() as client:
            with client.stream("GET", f"/v1/jobs/{self.new_job()}/events") as stream:
                assert '"state":"done"' in "".join(stream.iter_lines())
            assert client.get("/v1/health").json()["status"] == "ok"

    @property
    def rss(self) -> int:
        return sum(int(process.memory_info().rss) for process in self.processes)


def _zeros() -> np.ndarray[Any, Any]:
    import numpy  # noqa: PLC0415, ICN001  # this only

    return numpy.zeros(100)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("requests") / "data"
    flags = ("--workers", "1", "--body-seconds", "2")
    process = Process(folder=folder, flags=flags, dask=True).start()
    yield Target(process)
    process.kill()


def requests_of(operation: Any) -> st.SearchStrategy[Any]:
    return st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in MODES))


def send(target: Target, case: Any) -> Any:
    target.sent += 1
    headers = {"Authorization": f"Bearer {target.process.token}"}
    answer = case.call(base_url=target.process.address, headers=headers, timeout=60)
    text = answer.content.decode(errors="replace")
    assert str(target.process.folder) not in text
    assert "Traceback" not in text
    case.validate_response(answer, checks=CHECKS)
    return answer


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_random_requests_are_answered_as_the_document_says(operation: Any, target: Target) -> None:
    share = max(10, REQUESTS // len(OPERATIONS))

    @settings(
        max_examples=share,
        deadline=None,
        database=None,
        derandomize=share < 100,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=requests_of(operation),
        real=st.booleans(),
        network=st.sampled_from(DOCUMENTS),
        kept=st.sets(st.sampled_from(OPTIONS)),
    )
    def run(
        case: Any,
        real: bool,  # noqa: FBT001  # Hypothesis passes it so
        network: dict[str, Any],
        kept: set[str],
    ) -> None:
        parameters = case.path_parameters
        if real and parameters:  # things that exist, half of the time
            known = {"job": target.job, "sha256": target.array}
            parameters.update({name: known[name] for name in parameters if name in known})
        if real and operation.label in ("POST /v1/jobs", "POST /v1/estimates"):
            case.body = with_network(case.body, network, kept)
        send(target, case)

    run()


def with_network(body: Any, network: dict[str, Any], kept: set[str]) -> Any:
    """The body with a network that can be contracted, and these of its fields as they are."""
    given = body if isinstance(body, dict) else {}
    options = {name: given[name] for name in kept if name in given}
    seconds = options.get("searchSeconds")
    if isinstance(seconds, (int, float)) and seconds > MOST_SEARCH:
        options["searchSeconds"] = MOST_SEARCH
    return {"kind": "contract", "document": network, **options}


def test_the_events_of_a_job_are_what_the_document_describes(target: Target) -> None:
    stream = next(op for op in OPERATIONS if op.label == "GET /v1/jobs/{job}/events")
    # A random request may have deleted the other one.
    answer = send(target, stream.Case(path_parameters={"job": target.new_job()}))
    assert '"state":"done"' in answer.content.decode()


def test_the_process_does_not_grow(target: Target) -> None:
    """The same requests over and over: what the first rounds take is taken once."""
    lists = next(op for op in OPERATIONS if op.label == "POST /v1/jobs")
    cases: list[Any] = []

    @settings(max_examples=20, deadline=None, database=None, derandomize=True)
    @given(case=lists.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE))
    def collect(case: Any) -> None:
        cases.append(case)

    collect()
    cases += [
        lists.Case(body=with_network({}, network, set()), media_type="application/json")
        for network in DOCUMENTS
    ]
    for _ in range(3):
        for case in cases:
            send(target, case)
    target.rest()
    before = target.rss
    for _ in range(max(3, REQUESTS // 100)):
        for case in cases:
            send(target, case)
    target.rest()
    assert target.rss - before < MOST_GROWTH_BYTES, f"{target.sent} requests"
