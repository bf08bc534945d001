"""A circuit -> a document: one tensor per gate, drawn left to right on the wires.

Wires run along rows, one per qubit. A gate stands in the first column that is free on all rows
between its outermost qubits, as in a printed circuit.
"""

from __future__ import annotations

from string import ascii_letters
from typing import TYPE_CHECKING

from tensorloom.errors import FileFormatError, Where
from tensorloom.formats.qasm.lexer import FORMAT
from tensorloom.model.diagram import MAX_COORDINATE, Diagram, Mark, MarkShape
from tensorloom.model.document import Document
from tensorloom.model.gates import GATES, STATES
from tensorloom.model.index import Index
from tensorloom.model.network import Network
from tensorloom.model.recipe import GateArray
from tensorloom.model.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tensorloom.formats.qasm.circuit import Circuit

__all__ = ["circuit_document"]

COLUMN = 120
"""Distance of columns [pixels]; less where a very deep circuit would leave the canvas."""

ROW = 110
"""Distance of wires [pixels]."""


def circuit_document(circuit: Circuit, *, output: str, title: str) -> Document:
    """The network of a circuit, drawn.

    Args:
        circuit: What to build.
        output: ``state`` leaves all wires open, qubit 0 first; a text of zeros and ones, one per
            qubit, asks for the amplitude of that outcome.
        title: The document's title.

    Raises:
        FileFormatError: ``bad-output``.
    """
    if output != "state":
        _check_bits(output, circuit.n_qubits)
    drawing = _Drawing(circuit)
    for gate, column in zip(circuit.gates, drawing.columns, strict=True):
        drawing.add_gate(gate.name, gate.angles, gate.qubits, column)
    if output == "state":
        return drawing.document(title, is_open=True)
    for qubit, bit in enumerate(output):
        drawing.add_end(f"bra{bit}", qubit)
    return drawing.document(title, is_open=False)


def _check_bits(output: str, n_qubits: int) -> None:
    if len(output) != n_qubits or not set(output) <= {"0", "1"}:
        raise FileFormatError(
            "bad-output",
            f"The output '{output:.40}' is not an outcome of {n_qubits} qubits.",
            f"Use 'state', or {n_qubits} zeros and ones with qubit 0 first.",
            Where(file=FORMAT),
            {"n_qubits": n_qubits},
        )


class _Drawing:
    """The tensors and marks of a circuit as they are added, starting with a ket on every wire.

    Attributes:
        columns: Column of each gate, counted from 1; kets stand in column 0.
        depth: Column after the last gate.
    """

    def __init__(self, circuit: Circuit) -> None:
        self.columns, self.depth = _columns(circuit)
        self._width = min(COLUMN, MAX_COORDINATE // self.depth)
        self._letters = _letters(circuit)
        self._n_steps = [0] * circuit.n_qubits
        self._wires = [self._new_index(qubit) for qubit in range(circuit.n_qubits)]
        self._tensors: list[Tensor] = []
        self._marks: dict[str, Mark] = {}
        for qubit in range(circuit.n_qubits):
            self._add(GateArray(name="ket0"), (self._wires[qubit],), "none", (0, qubit * ROW))

    def _new_index(self, qubit: int) -> str:
        """A name for the next stretch of a qubit's wire."""
        self._n_steps[qubit] += 1
        return next(self._letters, f"q{qubit}_{self._n_steps[qubit]}")

    def _add(
        self, recipe: GateArray, indices: tuple[str, ...], shape: MarkShape, at: tuple[int, int]
    ) -> None:
        kind = GATES.get(recipe.name) or STATES[recipe.name]
        name = f"t{len(self._tensors) + 1}"
        self._tensors.append(Tensor(id=name, name=kind.label, indices=indices, array=recipe))
        self._marks[name] = Mark(x=at[0], y=at[1], shape=shape)

    def add_gate(
        self, name: str, angles: tuple[float, ...], qubits: tuple[int, ...], column: int
    ) -> None:
        """Put a gate on its wires, which go on with new indices."""
        ins = tuple(self._wires[qubit] for qubit in qubits)
        outs = tuple(self._new_index(qubit) for qubit in qubits)
        for qubit, index in zip(qubits, outs, strict=True):
            self._wires[qubit] = index
        at = (column * self._width, _height(qubits))
        self._add(GateArray(name=name, parameters=angles), outs + ins, "square", at)

    def add_end(self, name: str, qubit: int) -> None:
        """End a wire with a bra."""
        at = (self.depth * self._width, qubit * ROW)
        self._add(GateArray(name=name), (self._wires[qubit],), "none", at)

    def document(self, title: str, *, is_open: bool) -> Document:
        """The document, with the wires left open or not."""
        names = dict.fromkeys(name for tensor in self._tensors for name in tensor.indices)
        x = self.depth * self._width
        ends = {name: (x, qubit * ROW) for qubit, name in enumerate(self._wires) if is_open}
        return Document(
            title=title,
            dtype="complex128",
            network=Network(
                tensors=tuple(self._tensors),
                indices=tuple(Index(name=name, dimension=2) for name in names),
                output=tuple(ends),
            ),
            diagram=Diagram(marks=self._marks, anchors=ends),
        )


def _columns(circuit: Circuit) -> tuple[list[int], int]:
    """The column of each gate, and the first column after all of them."""
    free = [1] * circuit.n_qubits
    columns = []
    for gate in circuit.gates:
        top, below = min(gate.qubits), max(gate.qubits) + 1
        column = max(free[top:below])
        free[top:below] = [column + 1] * (below - top)
        columns.append(column)
    return columns, max(free)


def _height(qubits: tuple[int, ...]) -> int:
    """Middle between a gate's outermost wires, but never on a wire it leaves alone [pixels]."""
    top, below = min(qubits), max(qubits)
    middle, odd = divmod(top + below, 2)
    if not odd and middle not in qubits:
        return middle * ROW - ROW // 2
    return (top + below) * ROW // 2


def _letters(circuit: Circuit) -> Iterator[str]:
    """Letters for all indices, if there are enough, so that the equation reads well."""
    n_indices = circuit.n_qubits + sum(len(gate.qubits) for gate in circuit.gates)
    return iter(ascii_letters if n_indices <= len(ascii_letters) else "")
