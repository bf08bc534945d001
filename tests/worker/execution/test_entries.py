"""Entry points: path searches and amplitudes as jobs."""

from __future__ import annotations

import asyncio
import random
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dask_jobs import Stop, crash_after, request_of, ring
from dask_jobs import run as contract
from memory_ledger import MemoryLedger

from random_networks import random_tree
from statevector import simulate
from tensorloom.errors import FileFormatError, InputError, WorkerRejected
from tensorloom.formats import network_json
from tensorloom.formats.opening import open_text
from tensorloom.model import codec
from tensorloom.plan.cost import cost_of
from tensorloom_worker.entries import SampleAmplitudesParameters, goes_on
from tensorloom_worker.execution.entries import _bras, sample_amplitudes
from tensorloom_worker.execution.executor import Executor
from tensorloom_worker.execution.problem import Problem
from tensorloom_worker.records import ContractRequest, EntryRequest
from tensorloom_worker.sampling import Sampling
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Cluster
    from tensorloom_worker.ledger import Outcome, Progress
    from tensorloom_worker.records import Estimate

PROGRAM = """OPENQASM 2.0; include "qelib1.inc"; qreg q[5];
h q[0]; h q[1]; h q[2]; h q[3]; h q[4]; cx q[0], q[1]; rz(0.3) q[1]; cz q[1], q[2]; ry(0.7) q[2];
cx q[3], q[4]; u3(0.1, 0.2, 0.3) q[4]; cx q[2], q[3]; rx(1.1) q[0]; cz q[4], q[0]; t q[3];"""


def brickwork(rows: int, columns: int, depth: int) -> str:
    """A random circuit on a grid of qubits: layers of rotations and of gates of neighbours."""
    draw = random.Random(7)
    lines = [str(rows * columns)]
    pairs = [
        [(r, c, r + down, c + 1 - down) for r in range(rows) for c in range(columns)]
        for down in (0, 1)
    ]
    for layer in range(depth):
        lines += [f"{2 * layer} rz {q} {draw.random()}" for q in range(rows * columns)]
        down, odd = layer % 2, layer // 2 % 2
        lines += [
            f"{2 * layer + 1} fs {r * columns + c} {s * columns + d} {draw.random()} 0.5"
            for r, c, s, d in pairs[down]
            if s < rows and d < columns and (r if down else c) % 2 == odd
        ]
    return "\n".join(lines) + "\n"


def told(cluster: Cluster, entry: str, **parameters: Any) -> Estimate:
    request = EntryRequest(kind="entry", entry=entry, parameters=parameters)
    found: Estimate = cluster.do(cluster.executor.estimate(request))
    return found


def run(
    cluster: Cluster,
    entry: str,
    *,
    heard: list[Progress] | None = None,
    ledger: MemoryLedger | None = None,
    **parameters: Any,
) -> Outcome:
    request = EntryRequest(kind="entry", entry=entry, parameters=parameters)
    return cluster.do(
        cluster.executor.run(
            "job",
            request,
            {},
            ledger or MemoryLedger(),
            progress=(heard if heard is not None else []).append,
            cancelled=asyncio.Event(),
        )
    )


@pytest.mark.parametrize("limit", [20, 0], ids=["open wires", "a batch"])
def test_amplitudes_are_those_of_the_state(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("tensorloom_worker.sampling.MOST_OPEN", limit)
    bits = ["00000", "01010", "11011", "01110", "01010"]
    found = run(
        cluster, "sample-amplitudes", circuit=PROGRAM, bits=bits, dtype="complex128", seconds=0
    )
    state = np.asarray(simulate(PROGRAM)).reshape(-1)
    wanted = [state[int(text, 2)] for text in bits]
    assert found.array.shape == (5,)
    np.testing.assert_allclose(found.array, wanted, atol=1e-14)


def test_two_jobs_with_the_same_bits_do_not_share_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tensorloom_worker.sampling.MOST_OPEN", 0)
    asked = SampleAmplitudesParameters(circuit="2\n0 h 0\n1 cnot 0 1\n", bits=("01", "10"))
    sampling = Sampling.of(asked, 2**30)
    one, other = (_bras(tmp_path, job, sampling, sampling.request) for job in ("a", "b"))
    assert {ref.sha256 for ref in one.values()} == {ref.sha256 for ref in other.values()}
    for ref in one.values():
        ref.path.unlink()
    assert all(ref.path.is_file() for ref in other.values())


def test_a_job_that_is_cancelled_while_it_makes_its_files_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tensorloom_worker.sampling.MOST_OPEN", 0)
    (tmp_path / "running").mkdir()
    executor = Executor(Settings(data_folder=tmp_path))
    asked = SampleAmplitudesParameters(circuit=brickwork(2, 2, 2), bits=("0000", "1111"))
    begun, go_on = threading.Event(), threading.Event()
    bras = Sampling.bras

    def slow(sampling: Sampling, qubit: int) -> Any:
        begun.set()
        assert go_on.wait(30)
        return bras(sampling, qubit)

    monkeypatch.setattr(Sampling, "bras", slow)

    async def cancelled() -> None:
        job = asyncio.create_task(
            sample_amplitudes(executor, "job", asked, MemoryLedger(), lambda _: None)
        )
        assert await asyncio.to_thread(begun.wait, 30)
        job.cancel()
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await job

    # Its threads have ended when this returns.
    asyncio.run(cancelled())
    assert list((tmp_path / "running").iterdir()) == []


@pytest.mark.parametrize("limit", [20, 0], ids=["open wires", "a batch"])
def test_what_amplitudes_take_is_told_before(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("tensorloom_worker.sampling.MOST_OPEN", limit)
    circuit, bits = brickwork(4, 5, 10), [f"{number:06b}".zfill(20) for number in range(64)]
    asked = {"circuit": circuit, "bits": bits, "dtype": "complex128", "seconds": 0}
    # Processes import what they need once.
    _ = run(cluster, "sample-amplitudes", **asked | {"bits": bits[:2]})
    said = told(cluster, "sample-amplitudes", **asked)
    heard: list[Progress] = []
    found = run(cluster, "sample-amplitudes", heard=heard, **asked)
    assert said.mul_adds == found.mul_adds > 10**6
    assert said.flop == 8 * said.mul_adds
    assert said.result_bytes == found.array.nbytes == 64 * 16
    assert said.slices == (1 if limit else 64)
    assert 0 < said.peak_bytes_per_worker < 2**30
    assert (said.fits, said.basis, said.plan, said.search_ms) == (True, "calibrated", None, 0)
    # Loosely: other tests have the machine as well.
    assert found.ms / 50 < said.predicted_ms < 20 * found.ms
    [while_running] = [one.estimate for one in heard if one.estimate]
    assert while_running.result_bytes == said.result_bytes


def test_what_is_large_is_not_read_in_the_loop_of_the_service(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tensorloom_worker.sampling.MOST_OPEN", 0)
    threads: dict[str, set[int]] = {}

    def watched(owner: Any, name: str) -> None:
        inner = getattr(owner, name)

        def outer(*given: Any) -> Any:
            threads.setdefault(name, set()).add(threading.get_ident())
            return inner(*given)

        monkeypatch.setattr(owner, name, outer)

    document = codec.to_json(open_text(brickwork(2, 2, 2)).document)
    circuit = {"circuit": brickwork(2, 2, 2), "bits": ["0000", "1111"], "seconds": 0}
    watched(codec, "from_json")
    watched(codec, "to_json")
    watched(Sampling, "_name_of")
    watched(ContractRequest, "to_json")
    watched(Problem, "tree")
    _ = told(cluster, "path-search", document=document)
    _ = told(cluster, "sample-amplitudes", **circuit)
    _ = run(cluster, "path-search", document=document, seconds=0)
    contraction = request_of(ring(6, 3))
    _ = cluster.do(cluster.executor.estimate(contraction))
    _ = contract(cluster, contraction)
    with pytest.raises(WorkerRejected):
        cluster.do(cluster.executor.check(contraction.model_copy(update={"backend": "wgpu"})))

    async def here() -> int:
        return threading.get_ident()

    assert set(threads) == {"from_json", "to_json", "_name_of", "tree"}
    assert cluster.do(here()) not in set().union(*threads.values())


def test_wires_stay_open_only_while_their_amplitudes_are_within_the_limit_of_a_result(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    bits = ("00000", "11111")
    asked = {"circuit": PROGRAM, "bits": bits, "dtype": "complex128", "seconds": 0}
    settings = cluster.executor.settings
    slices = []
    for most in (2**5 * 16, 2**5 * 16 - 1, 2 * 16):
        monkeypatch.setattr(cluster.executor, "settings", replace(settings, max_result_bytes=most))
        said = told(cluster, "sample-amplitudes", **asked)
        assert (said.fits, said.result_bytes) == (True, 2 * 16)
        slices.append(said.slices)
        found = run(cluster, "sample-amplitudes", **asked)
        state = np.asarray(simulate(PROGRAM)).reshape(-1)
        np.testing.assert_allclose(found.array, [state[0], state[-1]], atol=1e-14)
    assert slices == [1, 2, 2]


@pytest.mark.parametrize(
    ("before", "after"), [(2**30, 2 * 16), (2 * 16, 2**30)], ids=["less", "more"]
)
def test_amplitudes_go_on_as_they_were_cut_when_the_limit_of_a_result_changes(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, before: int, after: int
) -> None:
    asked = {"circuit": PROGRAM, "bits": ("00000", "11111"), "dtype": "complex128", "seconds": 0}
    settings = cluster.executor.settings
    limited = [replace(settings, max_result_bytes=most) for most in (before, after)]
    monkeypatch.setattr(cluster.executor, "settings", limited[0])
    undisturbed = run(cluster, "sample-amplitudes", **asked)
    ledger = crash_after(1)
    with pytest.raises(Stop):
        run(cluster, "sample-amplitudes", ledger=ledger, **asked)
    monkeypatch.setattr(cluster.executor, "settings", limited[1])
    found = run(cluster, "sample-amplitudes", ledger=ledger, **asked)
    np.testing.assert_array_equal(found.array, undisturbed.array)


def test_amplitudes_that_do_not_fit_are_told_so(cluster: Cluster) -> None:
    asked = {"circuit": brickwork(4, 5, 10), "bits": ["0" * 20], "memoryBytes": 64}
    said = told(cluster, "sample-amplitudes", **asked)
    assert not said.fits
    assert said.refusal is not None
    assert said.refusal.code == "inputs-too-big"


def test_a_path_search_takes_the_time_that_it_is_given(cluster: Cluster) -> None:
    document = codec.to_json(open_text(brickwork(3, 3, 4)).document)
    said = told(cluster, "path-search", document=document, seconds=1.5)
    found = run(cluster, "path-search", document=document, seconds=1.5)
    assert said.result_bytes == found.array.nbytes
    assert (said.mul_adds, said.slices) == (found.mul_adds, 0)
    # Processes begin before their time does: half a second, or ten on a machine that is busy.
    assert found.ms / 20 < said.predicted_ms < 3 * found.ms


def test_the_memory_of_a_path_search_is_told(cluster: Cluster) -> None:
    pool = cluster.executor.pool

    def peak(rows: int) -> int:
        document = codec.to_json(open_text(brickwork(rows, 5, 10)).document)
        return told(cluster, "path-search", document=document).peak_bytes_per_worker

    assert 100 << 20 < peak(1) < peak(10) <= pool.search_bytes
    two = codec.to_json(open_text("1\n0 h 0\n").document)
    assert told(cluster, "path-search", document=two).peak_bytes_per_worker == 0


def test_one_string_is_one_amplitude(cluster: Cluster) -> None:
    circuit = "2\n0 h 0\n1 cnot 0 1\n"
    found = run(cluster, "sample-amplitudes", circuit=circuit, bits=["11"], seconds=0)
    np.testing.assert_allclose(found.array, [np.sqrt(0.5)], rtol=1e-6)


def test_amplitudes_of_a_small_circuit_are_not_searched_for(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_args: object) -> None:
        raise AssertionError("a contraction of a moment is not worth a search")

    monkeypatch.setattr(cluster.executor, "searched", never)
    found = run(cluster, "sample-amplitudes", circuit=PROGRAM, bits=["00000", "11111"])
    state = np.asarray(simulate(PROGRAM)).reshape(-1)
    np.testing.assert_allclose(found.array, [state[0], state[-1]], atol=1e-6)


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        ({"kind": "contract", "document": {}}, True),
        ({"kind": "entry", "entry": "sample-amplitudes", "parameters": {}}, True),
        ({"kind": "entry", "entry": "path-search", "parameters": {}}, False),
        ({"kind": "entry", "entry": "of another version", "parameters": {}}, False),
    ],
)
def test_searches_alone_do_not_go_on_from_where_they_were(
    request_: dict[str, Any], *, wanted: bool
) -> None:
    kind = ContractRequest if request_["kind"] == "contract" else EntryRequest
    assert goes_on(kind.from_json(request_)) is wanted


def test_a_bit_string_of_another_length_is_refused(cluster: Cluster) -> None:
    with pytest.raises(FileFormatError) as caught:
        run(cluster, "sample-amplitudes", circuit="2\n0 h 0\n", bits=["00", "010"])
    assert caught.value.message == "Bit string 1 has 3 bits, but the circuit has 2 qubits."


def test_a_path_search_gives_a_tree_that_is_no_worse(cluster: Cluster) -> None:
    tree = random_tree(11)
    document = network_json.from_json(
        {
            "inputs": [list(names) for names in tree.inputs],
            "output": list(tree.output),
            "size_dict": dict(tree.dimensions),
        }
    ).document
    given = {"path": [list(pair) for pair in tree.path], "sliced": []}
    found = run(cluster, "path-search", document=codec.to_json(document), seconds=0.5, plan=given)
    assert found.details is not None
    assert int(found.details["mulAdds"]) <= cost_of(tree).mul_adds
    assert found.details["plan"]["path"] == found.array.tolist()
    assert len(found.array) == len(tree.inputs) - 1


def test_an_entry_that_does_not_exist_is_refused(cluster: Cluster) -> None:
    with pytest.raises(InputError) as caught:
        run(cluster, "format-disk")
    assert caught.value.code == "unknown-entry"
