"""The named entry points: long computations that are jobs like any other.

Each is called with the executor, the job, its checked parameters, its ledger, and who wants to hear
of progress; it gives an outcome.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from hashlib import sha256
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import FileFormatError, PlanError, Where
from tensorloom.formats.opening import open_text
from tensorloom.model import codec
from tensorloom.model.diagram import Diagram, Mark
from tensorloom.model.gates import STATES
from tensorloom.model.network import Network
from tensorloom.model.recipe import GateArray
from tensorloom.model.tensor import Tensor
from tensorloom_worker.execution import searching, trees
from tensorloom_worker.execution.planning import PLAN_SECONDS, Patience
from tensorloom_worker.execution.problem import BATCH, Problem, plan_json
from tensorloom_worker.execution.strategy import strategy_for
from tensorloom_worker.ledger import ArrayRef, Outcome, Progress
from tensorloom_worker.records import ContractRequest, JobProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tensorloom.model.document import Document
    from tensorloom_worker.entries import PathSearchParameters, SampleAmplitudesParameters
    from tensorloom_worker.execution.executor import Executor
    from tensorloom_worker.ledger import Ledger

__all__ = ["path_search", "sample_amplitudes"]

MOST_OPEN = 20
"""Qubits that may be left open: their 2^20 amplitudes come out of one contraction."""

OPEN_PER_STRING = 64
"""Amplitudes that may be computed for each one that was asked for: open qubits cost little."""


async def path_search(
    executor: Executor,
    job: str,
    parameters: PathSearchParameters,
    ledger: Ledger,
    progress: Callable[[Progress], None],
) -> Outcome:
    """The best tree found in the time given; the array holds its path in SSA numbers."""
    del job, ledger  # A search that was cut off begins anew.
    request = ContractRequest(
        kind="contract", document=parameters.document, memory_bytes=parameters.memory_bytes
    )
    problem = Problem.of(request, {})
    most = executor.most_elements(problem, request)
    patience = Patience(PLAN_SECONDS)
    if parameters.plan is None:
        start = await executor.planning.run(lambda _: trees.given_tree(problem), patience)
    else:
        start = problem.tree(parameters.plan)
    progress(Progress(state="running", progress=JobProgress(eta_ms=parameters.seconds * 1000)))
    begun = monotonic()
    tree = await executor.searched(start, most, parameters.seconds)
    if tree is None:
        raise PlanError(
            "too-many-slices",
            f"No tree was found in {parameters.seconds:g} s that fits {most} elements.",
            "Search longer, or give it more memory.",
            values={"limit": str(most), "slices": trees.MOST_SLICES},
        )
    strategy = await executor.planning.run(lambda _: strategy_for(tree, most), patience)
    return Outcome(
        array=np.array(tree.path, dtype=np.int64).reshape(-1, 2),
        error_bound=0.0,
        ms=(monotonic() - begun) * 1000,
        mul_adds=0,
        backend="cotengra",
        details={
            "plan": plan_json(tree).to_json(),
            "mulAdds": str(strategy.mul_adds),
            "slices": str(tree.n_slices),
            "peakBytes": str(strategy.peak_elements * problem.itemsize),
            "helpers": list(searching.searchers()),
        },
    )


async def sample_amplitudes(
    executor: Executor,
    job: str,
    parameters: SampleAmplitudesParameters,
    ledger: Ledger,
    progress: Callable[[Progress], None],
) -> Outcome:
    """One amplitude per bit string, in their order."""
    document = await asyncio.to_thread(lambda: open_text(parameters.circuit).document)
    bits = parameters.bits
    n_qubits = len(document.network.output)
    for number, text in enumerate(bits):
        if len(text) != n_qubits:
            raise FileFormatError(
                "bad-output",
                f"Bit string {number} has {len(text)} bits, but the circuit has {n_qubits} qubits.",
                "Give one bit per qubit, qubit 0 first.",
                Where(file="bits"),
                {"bits": len(text), "qubits": n_qubits},
            )
    varying = [qubit for qubit in range(n_qubits) if len({text[qubit] for text in bits}) > 1]
    is_open = len(varying) <= MOST_OPEN and 2 ** len(varying) <= OPEN_PER_STRING * len(bits)
    ended = with_ends(
        document, {q: bits[0][q] for q in range(n_qubits) if not (is_open and q in varying)}
    )
    request = ContractRequest(
        kind="contract",
        document=codec.to_json(ended),
        dtype=parameters.dtype,
        search_seconds=parameters.seconds,
        memory_bytes=parameters.memory_bytes,
    )
    if is_open:
        outcome = await executor.contracted(job, request, {}, ledger, progress)
        places = tuple(np.array([int(text[qubit]) for text in bits]) for qubit in varying)
        array = outcome.array[places] if varying else np.full(len(bits), outcome.array)
        return replace(outcome, array=np.asarray(array))
    folder = executor.settings.data_folder / "running"
    arrays = await asyncio.to_thread(_bras, folder, job, bits, varying, parameters.dtype)
    uses = {end_id(qubit): {"sha256": arrays[BATCH + end_id(qubit)].sha256} for qubit in varying}
    batched = ContractRequest.model_validate({**request.model_dump(), "batch": {"arrays": uses}})
    try:
        return await executor.contracted(job, batched, arrays, ledger, progress)
    finally:
        for ref in arrays.values():
            ref.path.unlink(missing_ok=True)


def end_id(qubit: int) -> str:
    """The tensor that ends a qubit's wire."""
    return f"end{qubit}"


def with_ends(document: Document, ends: dict[int, str]) -> Document:
    """The circuit with a bra on some of its open wires, by qubit."""
    network = document.network
    tensors, marks = list(network.tensors), dict(document.diagram.marks)
    for qubit, bit in ends.items():
        name = f"bra{bit}"
        tensor = Tensor(
            id=end_id(qubit),
            name=STATES[name].label,
            indices=(network.output[qubit],),
            array=GateArray(name=name),
        )
        tensors.append(tensor)
        marks[tensor.id] = Mark(x=0, y=0)
    output = tuple(name for qubit, name in enumerate(network.output) if qubit not in ends)
    return replace(
        document,
        network=Network(tensors=tuple(tensors), indices=network.indices, output=output),
        diagram=Diagram(marks=marks),
    )


def _bras(
    folder: Path, job: str, bits: Sequence[str], varying: Sequence[int], dtype: str
) -> dict[str, ArrayRef]:
    """The bras of the qubits that vary, one file each with a row for every bit string.

    They are the job's own: another one with the same bits may end before.
    """
    found: dict[str, Any] = {}
    for qubit in varying:
        rows = np.array([[text[qubit] == "0", text[qubit] == "1"] for text in bits], dtype)
        digest = sha256(rows.tobytes()).hexdigest()
        path = folder / f"{job}-{qubit}.npy"
        np.save(path, rows)
        found[BATCH + end_id(qubit)] = ArrayRef(path=path, key=None, sha256=digest)
    return found
