"""OpenQASM 2 programs: text -> tokens -> statements -> circuit -> document.

lexer ──▶ parser (expression) ──▶ circuit (gate) ──▶ network
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.formats.qasm.circuit import read_circuit
from tensorloom.formats.qasm.network import circuit_document
from tensorloom.model.document import MAX_TITLE_LENGTH

if TYPE_CHECKING:
    from tensorloom.model.document import Document

__all__ = ["read"]


def read(text: str, *, output: str = "state", name: str = "") -> Document:
    """The circuit of an OpenQASM 2 program as a document, contracted in complex128.

    Args:
        text: The program.
        output: ``state`` for the full state, one open wire per qubit, qubit 0 first; or zeros and
            ones, one per qubit, qubit 0 first, for the amplitude of that outcome.
        name: Name of the file; becomes the title.

    Raises:
        FileFormatError: What cannot be read, with the line and the characters in ``where``.

    Example:
        >>> program = 'include "qelib1.inc"; qreg q[2]; h q[0]; cx q[0], q[1];'
        >>> [tensor.name for tensor in read(program).network.tensors]
        ['|0⟩', '|0⟩', 'H', 'δ', 'X']
    """
    printable = "".join(letter for letter in name if letter.isprintable())
    title = printable.removesuffix(".qasm")[:MAX_TITLE_LENGTH] or "Circuit"
    return circuit_document(read_circuit(text), output=output, title=title)
