"""Random requests made from the OpenAPI document, good and bad, against a real process.

None may end in a 5xx, none in an answer that the document does not describe, and the process must
not grow. A short run here; ``TENSORLOOM_REQUESTS`` says how many, as ``build.py faults`` does.
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
from worker_harness import Process, contraction, npy, sha

from tensorloom_worker.app import WorkerApp
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

REQUESTS = int(os.environ.get("TENSORLOOM_REQUESTS", "240"))
WARM_UP = 40
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


class Target:
    """A process with a finished job, an array, and what is known of its memory."""

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
        self.memory = psutil.Process(process.pid)

    def new_job(self) -> str:
        """Id of a job that was just submitted."""
        with self.process.client() as client:
            return str(client.post("/v1/jobs", json=contraction()).json()["id"])

    @property
    def rss(self) -> int:
        return int(self.memory.memory_info().rss)


def _zeros() -> np.ndarray[Any, Any]:
    import numpy  # noqa: PLC0415, ICN001  # this only

    return numpy.zeros(100)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    process = Process(
        folder=tmp_path_factory.mktemp("requests") / "data", flags=("--body-seconds", "2")
    ).start()
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
    @given(case=requests_of(operation), real=st.booleans())
    def run(case: Any, real: bool) -> None:  # noqa: FBT001  # Hypothesis passes it so
        parameters = case.path_parameters
        if real and parameters:  # things that exist, half of the time
            known = {"job": target.job, "sha256": target.array}
            parameters.update({name: known[name] for name in parameters if name in known})
        send(target, case)

    run()


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
    for _ in range(3):
        for case in cases:
            send(target, case)
    before = target.rss
    for _ in range(max(3, REQUESTS // 100)):
        for case in cases:
            send(target, case)
    assert target.rss - before < MOST_GROWTH_BYTES, f"{target.sent} requests"
    with target.process.client() as client:
        assert client.get("/v1/health").json()["status"] == "ok"
