"""Records and their JSON, both ways."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tensorloom.errors import PlanError, Where
from tensorloom_worker.records import (
    JOB_REQUEST,
    ContractRequest,
    EntryRequest,
    Estimate,
    Job,
    JobProgress,
    JobResult,
    PartialValue,
    PlanJson,
    Refusal,
    as_pair,
)
from tensorloom_worker.refusals import to_refusal

ESTIMATE = Estimate(
    mul_adds=3**100,
    flop=2 * 3**100,
    slices=2**60,
    peak_bytes_per_worker=2**31,
    result_bytes=8,
    predicted_ms=1.5,
    fits=False,
    refusal=to_refusal(PlanError("too-long", "Long.", "Cut.", Where(indices=("i",)))),
    basis="calibrated",
    plan=PlanJson(path=((0, 1), (2, 3)), sliced=("i",)),
)
RESULT = JobResult(
    shape=(2, 3),
    dtype="complex64",
    error_bound=1e-6,
    bytes=2**55,
    sha256="0" * 64,
    ms=3.0,
    mul_adds=7,
    backend="numpy",
    value=(1.0, -2.0),
    details={"a": [1]},
)
JOB = Job(
    id="0" * 32,
    kind="contract",
    title="T",
    state="done",
    created_at="2026-01-01T00:00:00.000Z",
    estimate=ESTIMATE,
    progress=JobProgress(slices_done=2**60, slices=2**61, fraction=0.5, eta_ms=1.0),
    partial=PartialValue(value=(1.0, 0.0), log10_scale=300.0, standard_error=0.25),
    result=RESULT,
    error=to_refusal(PlanError("too-long", "Long.")),
    resumed=3,
    note="It waits.",
)


@pytest.mark.parametrize(
    "record",
    [ESTIMATE, RESULT, JOB, JOB.progress, Refusal.from_json(PlanError("a", "b").to_json())],
)
def test_records_come_back_from_their_json(record: Job) -> None:
    assert type(record).from_json(record.to_json()) == record


@pytest.mark.parametrize(
    "value",
    [
        {
            "kind": "contract",
            "document": {"a": [None]},
            "plan": {"path": [[0, 1]], "sliced": ["i"]},
        },
        {"kind": "entry", "entry": "path-search", "parameters": {"x": 1}},
    ],
)
def test_requests_come_back_from_their_json(value: dict[str, object]) -> None:
    read = JOB_REQUEST.validate_python(value)
    assert isinstance(read, ContractRequest | EntryRequest)
    assert JOB_REQUEST.validate_python(read.to_json()) == read


def test_the_wire_is_camel_case_and_large_numbers_are_text() -> None:
    found = ESTIMATE.to_json()
    assert found["mulAdds"] == str(3**100)
    assert found["peakBytesPerWorker"] == "2147483648"
    assert found["predictedMs"] == 1.5
    assert found["refusal"]["where"] == {"indices": ["i"]}
    assert (
        "estimate"
        not in Job(id="0" * 32, kind="entry", title="", state="queued", created_at="").to_json()
    )


@pytest.mark.parametrize("digits", ["-1", "1.5", "0x10", "", "１", "9" * 401, True, None, 1.5])  # noqa: RUF001  # a wide digit on purpose
def test_numbers_that_are_none_are_refused(digits: object) -> None:
    with pytest.raises(ValidationError):
        JobProgress.from_json({"slicesDone": digits})


def test_records_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        JOB.state = "queued"  # type: ignore[misc]


def test_a_value_that_json_cannot_say_is_left_out() -> None:
    assert as_pair(1 + 2j) == (1.0, 2.0)
    assert as_pair(complex("nan")) is None
    assert as_pair(complex("inf")) is None
