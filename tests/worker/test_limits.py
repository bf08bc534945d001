"""What a job may ask for at most, entry points included: refused with the number and the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from worker_harness import contraction, document, worker

from tensorloom_worker import sampling

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio

BELL = "2\n0 h 0\n1 cnot 0 1\n"


def amplitudes(*bits: str, **more: object) -> dict[str, object]:
    parameters = {"circuit": BELL, "bits": bits, "seconds": 1, **more}
    return {"kind": "entry", "entry": "sample-amplitudes", "parameters": parameters}


def search(path: list[list[int]], *sliced: str) -> dict[str, object]:
    """For a product of two tensors, over ``i`` and ``j``."""
    plan = {"path": path, "sliced": sliced}
    parameters = {"document": document(), "seconds": 1, "plan": plan}
    return {"kind": "entry", "entry": "path-search", "parameters": parameters}


def of_recipe(**recipe: object) -> dict[str, object]:
    changed = document()
    changed["tensors"][1]["array"] = recipe
    return contraction(document=changed)


BEYOND: list[tuple[dict[str, int], dict[str, object], tuple[str, str]]] = [
    # Two states, two gates, two bras.
    (
        {"max_tensors": 5},
        amplitudes("00"),
        ("too-big", "The network has 6 tensors; this worker takes 5."),
    ),
    (
        {"max_stored_bytes": 63},
        amplitudes("00", "11"),
        ("entry-too-big", "The job would build arrays of 64 bytes; the most is 63 bytes."),
    ),
    (
        {"max_result_bytes": 15},
        amplitudes("00", "11"),
        ("result-too-big", "The result would have 16 bytes; the most is 15 bytes."),
    ),
    (
        {"max_job_seconds": 60},
        amplitudes("00", seconds=100),
        ("job-too-long", "It would search for 100 s; the most that a job may run is 60 s."),
    ),
    (
        {"max_job_seconds": 60},
        contraction(searchSeconds=100),
        ("job-too-long", "It would search for 100 s; the most that a job may run is 60 s."),
    ),
    (
        {},
        amplitudes("00", "010"),
        ("bad-output", "Bit string 1 has 3 bits, but the circuit has 2 qubits."),
    ),
    (
        {},
        amplitudes("0", circuit="1\n0 t 0\n", dtype="float32"),
        (
            "complex-into-real",
            "T: The array is complex, but the network is contracted in float32.",
        ),
    ),
    (
        {},
        of_recipe(kind="random", seed=1, distribution="complex-normal"),
        (
            "complex-into-real",
            "B: The array is complex, but the network is contracted in float64.",
        ),
    ),
    (
        {},
        of_recipe(kind="inline", values=[0.0, 1.0], complex=True, shape=[1]),
        (
            "complex-into-real",
            "B: The array is complex, but the network is contracted in float64.",
        ),
    ),
    (
        {},
        search([[0, 1]], "k"),
        ("unknown-index", "The plan slices index 'k', which the network does not have."),
    ),
    ({}, search([[0, 5]]), ("bad-path", "Step 2 joins 0 and 5, not both free.")),
    ({}, search([]), ("bad-path", "The path leaves 2 tensors apart.")),
    ({}, search([[0, 1]], "j", "j"), ("bad-slices", "The plan slices index 'j' twice.")),
    (
        {},
        amplitudes("00", circuit="ab,bc->ac"),
        ("unknown-format", "The circuit reads as einsum, not as OpenQASM 2 or qsim."),
    ),
]


@pytest.mark.parametrize("address", ["/v1/jobs", "/v1/estimates"])
@pytest.mark.parametrize(("limits", "request_json", "said"), BEYOND)
async def test_what_a_job_would_build_beyond_the_limits_is_refused_before_it_is_taken(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limits: dict[str, int],
    request_json: dict[str, object],
    said: tuple[str, str],
    address: str,
) -> None:
    monkeypatch.setattr(sampling, "MOST_OPEN", 0)
    async with worker(tmp_path / "data", **limits) as small:
        answer = await small.client.post(address, json=request_json)
        assert answer.status_code == 422
        assert (answer.json()["code"], answer.json()["message"]) == said
        assert (await small.client.get("/v1/jobs")).json() == {"jobs": []}
