"""The gates a ``GateArray`` may name: their sizes and how a diagram writes them. No matrices here.

The names are those of OpenQASM 2's standard header ``qelib1.inc`` as its users write it today,
plus basis states. Source: Cross, Bishop, Smolin, Gambetta, "Open Quantum Assembly Language"
(arXiv:1707.03429), and the ``qelib1.inc`` of Qiskit. The language's built-in ``U`` and ``CX`` are
``u`` and ``cx``.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONTROLLED", "GATES", "STATES", "GateKind"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateKind:
    """What is known of a gate without its numbers.

    Args:
        label: What a diagram writes on it; ``_`` starts a subscript.
        n_qubits: Qubits it acts on.
        n_parameters: Angles it takes.
        n_axes: Axes of its array: two per qubit for a gate, one for a basis state.
    """

    label: str
    n_qubits: int
    n_parameters: int
    n_axes: int


def _gates(n_qubits: int, n_parameters: int, labels: str) -> dict[str, GateKind]:
    """One row per ``name=label`` in blank-separated text."""
    rows = (entry.split("=") for entry in labels.split())
    return {
        name: GateKind(
            label=label, n_qubits=n_qubits, n_parameters=n_parameters, n_axes=2 * n_qubits
        )
        for name, label in rows
    }


STATES: Mapping[str, GateKind] = MappingProxyType(
    {
        name: GateKind(label=label, n_qubits=1, n_parameters=0, n_axes=1)
        for name, label in (("ket0", "|0⟩"), ("ket1", "|1⟩"), ("bra0", "⟨0|"), ("bra1", "⟨1|"))
    }
)
"""Basis states of one qubit: kets start a wire, bras end it."""

GATES: Mapping[str, GateKind] = MappingProxyType(
    _gates(1, 0, "id=I x=X y=Y z=Z h=H s=S sdg=S† t=T tdg=T† sx=√X sxdg=√X†")
    | _gates(1, 1, "u0=I u1=U_1 p=P rx=R_x ry=R_y rz=R_z")
    | _gates(1, 2, "u2=U_2")
    | _gates(1, 3, "u3=U_3 u=U")
    | _gates(2, 0, "cx=CX cy=CY cz=CZ ch=CH csx=C√X swap=SWAP")
    | _gates(2, 1, "crx=CR_x cry=CR_y crz=CR_z cu1=CU_1 cp=CP rxx=R_xx rzz=R_zz")
    | _gates(2, 3, "cu3=CU_3")
    | _gates(2, 4, "cu=CU")
    | _gates(3, 0, "ccx=CCX cswap=CSWAP rccx=RCCX")
    | _gates(4, 0, "c3x=C3X c3sqrtx=C3√X rc3x=RC3X")
    | _gates(5, 0, "c4x=C4X")
)
"""Every gate of ``qelib1.inc`` by name."""

CONTROLLED: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "cx": ("x", 1),
        "cy": ("y", 1),
        "cz": ("z", 1),
        "ch": ("h", 1),
        "csx": ("sx", 1),
        "crx": ("rx", 1),
        "cry": ("ry", 1),
        "crz": ("rz", 1),
        "cu1": ("u1", 1),
        "cp": ("p", 1),
        "cu3": ("u3", 1),
        "ccx": ("x", 2),
        "c3x": ("x", 3),
        "c3sqrtx": ("sx", 3),
        "c4x": ("x", 4),
        "cswap": ("swap", 1),
    }
)
"""Gates that are another gate with so many controls in front, of the same angles.

``rccx`` and ``rc3x`` also change phases; ``cu`` is ``cu3`` after a ``p`` on its control.
"""
