"""Array recipes: how to make a tensor's values, small enough for a link. No arrays live here.

Each recipe is a frozen record with a ``kind`` tag; ``execute.arrays`` turns one into an array of
the shape its tensor asks for. Everything is reproducible: random recipes carry their seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

__all__ = [
    "ArrayRecipe",
    "BlobArray",
    "ConstantArray",
    "CopyArray",
    "DType",
    "Distribution",
    "GateArray",
    "IdentityArray",
    "InlineArray",
    "RandomArray",
]

DType = Literal["float32", "float64", "complex64", "complex128"]
Distribution = Literal["normal", "uniform", "complex-normal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomArray:
    """Seeded random values.

    Args:
        seed: Seed of a PCG64 generator.
        distribution: ``normal`` (mean 0, variance 1), ``uniform`` on [0, 1), or
            ``complex-normal`` (real and imaginary part of variance 1/2).
    """

    kind: ClassVar[str] = "random"
    seed: int = 0
    distribution: Distribution = "normal"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantArray:
    """The same value everywhere (zeros, ones)."""

    kind: ClassVar[str] = "constant"
    value: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityArray:
    """Identity from the first half of the axes to the second, each half fused in C order."""

    kind: ClassVar[str] = "identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyArray:
    """One where all index values agree, zero elsewhere (the generalised Kronecker delta)."""

    kind: ClassVar[str] = "copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateArray:
    """A quantum gate of qelib1 by name, or a basis state ``ket0``, ``ket1``, ``bra0``, ``bra1``.

    Axes of an n-qubit gate are (out_1 .. out_n, in_1 .. in_n), qubits in the order of the call.
    Controls have one axis each in front of them: where all are 1 there is the gate, elsewhere the
    identity. So a controlled gate is this tensor with a copy tensor on each control's wire.

    Args:
        name: Lower-case gate name, such as ``cx`` or ``u3``.
        parameters: Angles [radians].
        conjugate: Whether to take the complex conjugate.
        controls: Number of control axes; a basis state has none.
    """

    kind: ClassVar[str] = "gate"
    name: str
    parameters: tuple[float, ...] = ()
    conjugate: bool = False
    controls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineArray:
    """A few numbers in C order, complex interleaved as (re, im).

    A tensor of another shape gets them cropped or padded with zeros; new axes come last.

    Args:
        values: Plain numbers; twice as many when complex.
        complex: Whether pairs of values are one complex number.
        shape: Shape the values were given for.
    """

    kind: ClassVar[str] = "inline"
    values: tuple[float, ...]
    shape: tuple[int, ...]
    complex: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobArray:
    """An array stored beside the document, found by the hash of its content.

    A tensor of another shape gets it cropped or padded with zeros; new axes come last.

    Args:
        hash: Lower-case hexadecimal SHA-256 of dtype, shape and bytes.
        shape: Shape it was stored with.
        dtype: Type of the stored elements.
    """

    kind: ClassVar[str] = "blob"
    hash: str
    shape: tuple[int, ...]
    dtype: DType


ArrayRecipe = (
    RandomArray | ConstantArray | IdentityArray | CopyArray | GateArray | InlineArray | BlobArray
)
