"""What ``sample-amplitudes`` builds: one network for all bit strings of a circuit.

Every wire ends in a bra, but for qubits whose bits differ. Where these are few, their wires stay
open and one contraction gives all amplitudes at once; else their bras are a batch. Nothing here
contracts anything: estimates, limits and the job itself all look at the same network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import FileFormatError, Where
from tensorloom.formats.opening import open_text, sniff
from tensorloom.model import codec
from tensorloom.model.diagram import Diagram, Mark
from tensorloom.model.gates import STATES
from tensorloom.model.network import Network
from tensorloom.model.recipe import GateArray
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom.model.tensor import Tensor
from tensorloom_worker.records import ArrayUse, Batch, ContractRequest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorloom.model.document import Document
    from tensorloom_worker.entries import SampleAmplitudesParameters

__all__ = ["Sampling", "end_id", "with_ends"]

MOST_OPEN = 20
"""Qubits that may be left open: their 2^20 amplitudes come out of one contraction."""

OPEN_PER_STRING = 64
"""Amplitudes that may be computed for each one that was asked for: open qubits cost little."""

_CIRCUITS = ("qasm", "qsim")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """A circuit with its ends, and what is asked of it.

    Args:
        parameters: What was asked for.
        document: The circuit; every wire ends, but for those of open qubits.
        varying: Qubits whose bits differ.
        is_open: Whether their wires are open; else their bras are a batch.
    """

    parameters: SampleAmplitudesParameters
    document: Document
    varying: tuple[int, ...]
    is_open: bool

    @classmethod
    def of(cls, parameters: SampleAmplitudesParameters, most_bytes: int) -> Sampling:
        """What the parameters ask for.

        Args:
            parameters: What came.
            most_bytes: Most bytes of a result; wires whose amplitudes are more are not left open.

        Raises:
            FileFormatError: ``unknown-format``, ``bad-output``, or what the circuit's reader says.
            TensorloomError: The circuit is larger than a document can hold.
        """
        document = _circuit(parameters.circuit)
        bits = parameters.bits
        n_qubits = len(document.network.output)
        for number, text in enumerate(bits):
            if len(text) != n_qubits:
                raise FileFormatError(
                    "bad-output",
                    f"Bit string {number} has {len(text)} bits, but the circuit has {n_qubits} "
                    "qubits.",
                    "Give one bit per qubit, qubit 0 first.",
                    Where(file="bits"),
                    {"bits": len(text), "qubits": n_qubits},
                )
        varying = tuple(q for q in range(n_qubits) if len({text[q] for text in bits}) > 1)
        is_open = len(varying) <= MOST_OPEN and 2 ** len(varying) <= min(
            OPEN_PER_STRING * len(bits), most_bytes // ITEM_BYTES[parameters.dtype]
        )
        open_qubits = varying if is_open else ()
        ends = {q: bits[0][q] for q in range(n_qubits) if q not in open_qubits}
        return cls(
            parameters=parameters,
            document=with_ends(document, ends),
            varying=varying,
            is_open=is_open,
        )

    @property
    def result_bytes(self) -> int:
        """Size of the amplitudes [bytes]."""
        return len(self.parameters.bits) * ITEM_BYTES[self.parameters.dtype]

    @property
    def bra_bytes(self) -> int:
        """Size of the arrays that are built for a batch [bytes]."""
        return 0 if self.is_open else 2 * len(self.varying) * self.result_bytes

    @property
    def request(self) -> ContractRequest:
        """The contraction; its batch names arrays that ``bras`` makes."""
        asked = self.parameters
        uses = {} if self.is_open else {end_id(q): self._name_of(q) for q in self.varying}
        arrays = {name: ArrayUse(sha256=digest) for name, digest in uses.items()}
        return ContractRequest(
            kind="contract",
            document=codec.to_json(self.document),
            dtype=asked.dtype,
            search_seconds=asked.seconds,
            memory_bytes=asked.memory_bytes,
            batch=Batch(arrays=arrays) if arrays else None,
        )

    def _name_of(self, qubit: int) -> str:
        """The same for equal bras."""
        column = "".join(text[qubit] for text in self.parameters.bits)
        return sha256(f"{self.parameters.dtype} {column}".encode()).hexdigest()

    def bras(self, qubit: int) -> NDArray[Any]:
        """A row for every bit string, (bits, 2)."""
        texts = self.parameters.bits
        rows = [[text[qubit] == "0", text[qubit] == "1"] for text in texts]
        return np.array(rows, self.parameters.dtype)

    def picked(self, amplitudes: NDArray[Any]) -> NDArray[Any]:
        """Those that were asked for, (bits,), out of what the contraction gave.

        Args:
            amplitudes: One axis of two for each varying qubit; of a batch, (bits,).
        """
        bits = self.parameters.bits
        if not self.is_open:
            return amplitudes
        if not self.varying:
            return np.full(len(bits), amplitudes)
        places = tuple(np.array([int(text[qubit]) for text in bits]) for qubit in self.varying)
        return np.asarray(amplitudes[places])


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


def _circuit(text: str) -> Document:
    """The circuit in a text; what else the library reads is no circuit.

    Raises:
        FileFormatError: ``unknown-format``, or what its reader says.
    """
    kind = sniff(text)
    if kind not in _CIRCUITS:
        raise FileFormatError(
            "unknown-format",
            f"The circuit reads as {kind}, not as OpenQASM 2 or qsim.",
            "Give the text of a circuit.",
            Where(file="circuit"),
        )
    return open_text(text, format=kind).document
