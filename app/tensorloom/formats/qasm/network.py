"""A circuit -> a document: gates and copy dots, drawn left to right on the wires.

A controlled gate is a copy tensor on the wire of each control and the plain gate on its target,
joined by links. Any other gate on several qubits stands on the wire of one of them; the others are
led there and back by a pair of links each, from an identity on their own wire. So all wires run
straight, and a gate's tensors stand above each other.
"""

from __future__ import annotations

from string import ascii_letters
from typing import TYPE_CHECKING

from tensorloom.errors import FileFormatError, Where
from tensorloom.formats.layout_circuit import circuit as drawn
from tensorloom.formats.qasm.lexer import FORMAT
from tensorloom.model.diagram import Diagram, Mark, MarkShape
from tensorloom.model.document import Document
from tensorloom.model.gates import CONTROLLED, GATES, STATES
from tensorloom.model.index import Index
from tensorloom.model.network import Network
from tensorloom.model.recipe import CopyArray, GateArray, IdentityArray
from tensorloom.model.tensor import Tensor

if TYPE_CHECKING:
    from tensorloom.formats.qasm.circuit import Circuit
    from tensorloom.formats.qasm.gate import GateUse
    from tensorloom.model.recipe import ArrayRecipe

__all__ = ["circuit_document"]

DOT = "δ"
"""Name of the copy tensor on a control's wire; a dot shows none."""

CROSS = "\u00d7"
"""What is written on both ends of a swap."""


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
    wires = _Wires(circuit.n_qubits)
    for use in circuit.gates:
        wires.add(use)
    if output == "state":
        return wires.document(title, is_open=True)
    for qubit, bit in enumerate(output):
        wires.add_end(f"bra{bit}", qubit)
    return wires.document(title, is_open=False)


def _check_bits(output: str, n_qubits: int) -> None:
    if len(output) != n_qubits or not set(output) <= {"0", "1"}:
        raise FileFormatError(
            "bad-output",
            f"The output '{output:.40}' is not an outcome of {n_qubits} qubits.",
            f"Use 'state', or {n_qubits} zeros and ones with qubit 0 first.",
            Where(file=FORMAT),
            {"n_qubits": n_qubits},
        )


class _Wires:
    """The tensors of a circuit as they are added, starting with a ket on every wire."""

    def __init__(self, n_qubits: int) -> None:
        self._n_steps = [0] * n_qubits
        self._n_links = 0
        self._wires = [""] * n_qubits
        self._tensors: list[Tensor] = []
        self._shapes: list[MarkShape] = []
        for qubit in range(n_qubits):
            _, start = self._step(qubit)
            self._put(GateArray(name="ket0"), STATES["ket0"].label, (start,), "none")

    def add(self, use: GateUse) -> None:
        """Put a gate on its wires, which go on with new indices."""
        name, angles = use.name, use.angles
        if name == "cu":
            # Its fourth angle is the phase of the controlled part: a phase of the control.
            name, (*rest, phase) = "cu3", angles
            angles = tuple(rest)
            if phase:
                self._gate(GateArray(name="p", parameters=(phase,)), use.qubits[:1])
        base, controls = CONTROLLED.get(name, (name, 0))
        recipe = GateArray(name=base, parameters=angles, controls=controls)
        self._gate(recipe, use.qubits)

    def add_end(self, name: str, qubit: int) -> None:
        """End a wire with a bra."""
        self._put(GateArray(name=name), STATES[name].label, (self._wires[qubit],), "none")

    def _step(self, qubit: int) -> tuple[str, str]:
        """The stretch of a wire that ends here, and the next one."""
        self._n_steps[qubit] += 1
        before, self._wires[qubit] = self._wires[qubit], f"q{qubit}_{self._n_steps[qubit]}"
        return before, self._wires[qubit]

    def _link(self) -> str:
        self._n_links += 1
        return f"c_{self._n_links}"

    def _put(
        self, recipe: ArrayRecipe, name: str, indices: tuple[str, ...], shape: MarkShape
    ) -> None:
        number = len(self._tensors) + 1
        self._tensors.append(Tensor(id=f"t{number}", name=name, indices=indices, array=recipe))
        self._shapes.append(shape)

    def _gate(self, recipe: GateArray, qubits: tuple[int, ...]) -> None:
        """A gate on one wire, the dots of its controls, and the ends of its other wires."""
        links = [self._dot(qubit) for qubit in qubits[: recipe.controls]]
        targets = qubits[recipe.controls :]
        # Near the middle of the gate: then the fewest links pass another tensor of it.
        home = min(
            targets, key=lambda qubit: abs(2 * sorted(qubits).index(qubit) - len(qubits) + 1)
        )
        label = CROSS if recipe.name == "swap" else GATES[recipe.name].label
        outs, ins = [], []
        for qubit in targets:
            before, after = self._step(qubit)
            if qubit != home:
                back, there = self._link(), self._link()
                self._put(IdentityArray(), label, (after, before, back, there), "square")
                before, after = there, back
            outs.append(after)
            ins.append(before)
        self._put(recipe, label, (*links, *outs, *ins), "square")

    def _dot(self, qubit: int) -> str:
        """The link to a copy tensor on a wire."""
        before, after = self._step(qubit)
        link = self._link()
        self._put(CopyArray(), DOT, (after, before, link), "dot")
        return link

    def document(self, title: str, *, is_open: bool) -> Document:
        """The document, with the wires left open or not."""
        long_names = dict.fromkeys(name for tensor in self._tensors for name in tensor.indices)
        short = dict(zip(long_names, ascii_letters, strict=False))
        # Letters for all indices, if there are enough: so the equation reads well.
        names = short if len(short) == len(long_names) else {name: name for name in long_names}
        tensors = tuple(
            Tensor(
                id=tensor.id,
                name=tensor.name,
                indices=tuple(names[index] for index in tensor.indices),
                array=tensor.array,
            )
            for tensor in self._tensors
        )
        output = tuple(names[name] for name in self._wires) if is_open else ()
        drawing = drawn(tensors, output)
        assert drawing is not None
        marks = {
            tensor.id: Mark(x=x, y=y, shape=shape)
            for tensor, shape, (x, y) in zip(tensors, self._shapes, drawing.points, strict=True)
        }
        return Document(
            title=title,
            dtype="complex128",
            network=Network(
                tensors=tensors,
                indices=tuple(Index(name=name, dimension=2) for name in names.values()),
                output=output,
            ),
            diagram=Diagram(marks=marks, anchors=drawing.ends),
        )
