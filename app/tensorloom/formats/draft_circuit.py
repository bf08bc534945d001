"""A random circuit in brickwork: one-qubit gates on every wire, then controlled Z on every pair.

It is written as OpenQASM and read like any other circuit, so it is drawn like any other.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tensorloom.formats import qasm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tensorloom.model.document import Document

__all__ = ["brickwork"]

GATES = ("h", "t", "sx")


def brickwork(sizes: Mapping[str, int]) -> Document:
    """The state after ``depth`` layers on ``n`` qubits; layers of pairs shift by one each time."""
    n = sizes["n"]
    choose = random.Random(sizes["seed"])  # noqa: S311  # a drawing, not a secret
    lines = ["OPENQASM 2.0;", 'include "qelib1.inc";', f"qreg q[{n}];"]
    for layer in range(sizes["depth"]):
        if layer % 2 == 0:
            lines.extend(f"{choose.choice(GATES)} q[{qubit}];" for qubit in range(n))
        else:
            first = layer // 2 % 2
            lines.extend(f"cz q[{k}],q[{k + 1}];" for k in range(first, n - 1, 2))
    return qasm.read("\n".join(lines), output="state", name=f"Random circuit, {n} qubits")
