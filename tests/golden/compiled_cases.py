"""Compiled networks as base64, with the result they must give; read by Python and TypeScript.

Numbers are small multiples of 1/8 times a power of two, so all sums are exact and every way to
compute them gives the same bits. Kernels have no fused multiply-add: every engine can run them.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.kernels.gradient import lower_gradient
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.compiled import compiled, encode
from tensorloom.kernels.wasm.element import WasmFeatures
from tensorloom.kernels.wasm.fused import fused_groups
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType

FOLDER = "compiled"

PLAIN = WasmFeatures(simd=True, relaxed_simd=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A network of matrices in a chain.

    Args:
        equation: Operands with one letter per index.
        sizes: Dimension of each letter.
        dtype: Type computed in.
        exponent: Power of two by which every input is too large or too small.
        sliced: Letters that are sliced.
        fused: Whether its steps run as one kernel.
        path: What meets when.
    """

    equation: str
    sizes: dict[str, int]
    dtype: DType
    exponent: int = 0
    sliced: str = ""
    fused: bool = False
    path: tuple[tuple[int, int], ...] = ((0, 1), (2, 3))


CASES = {
    "chain": Case(equation="ab,bc,cd->da", sizes={"a": 5, "b": 7, "c": 9, "d": 3}, dtype="float64"),
    "sliced": Case(
        equation="ab,bc,ca->ab",
        sizes={"a": 4, "b": 6, "c": 5},
        dtype="complex64",
        sliced="ac",
    ),
    # The product of the first two is the same in every slice.
    "prologue": Case(
        equation="ab,bc,cd,da->ac",
        sizes={"a": 5, "b": 7, "c": 6, "d": 4},
        dtype="float32",
        exponent=30,
        sliced="d",
        path=((0, 1), (2, 3), (4, 5)),
    ),
    "huge": Case(
        equation="ab,bc,cd->ad",
        sizes={"a": 3, "b": 4, "c": 4, "d": 3},
        dtype="float32",
        exponent=90,
    ),
    "vanishing": Case(
        equation="ab,bc,cd->ad",
        sizes={"a": 3, "b": 4, "c": 4, "d": 3},
        dtype="complex128",
        exponent=-700,
        sliced="b",
    ),
    "fused": Case(
        equation="ab,bc,ca->ab",
        sizes={"a": 4, "b": 6, "c": 5},
        dtype="complex128",
        sliced="ac",
        fused=True,
    ),
    "unfused": Case(
        equation="ab,bc,cd->ad",
        sizes={"a": 3, "b": 4, "c": 4, "d": 3},
        dtype="float32",
        exponent=90,
        fused=True,
    ),
}


def tree_of(case: Case) -> ContractionTree:
    """What meets when."""
    inputs, output = case.equation.split("->")
    return ContractionTree(
        inputs=tuple(tuple(name) for name in inputs.split(",")),
        output=tuple(output),
        dimensions=tuple(case.sizes.items()),
        path=case.path,
        sliced=tuple(case.sliced),
    )


def program_of(case: Case) -> tuple[Program, list[NDArray[Any]]]:
    """The program and its inputs, small multiples of 1/8 times a power of two."""
    tree = tree_of(case)
    return lower(tree, case.dtype), [_numbers(case, "".join(names)) for names in tree.inputs]


def _numbers(case: Case, name: str) -> NDArray[Any]:
    shape = [case.sizes[letter] for letter in name]
    count = int(np.prod(shape))
    numbers = (np.arange(2 * count) * 37 % 23 - 11) / 8.0
    whole = numbers[:count].astype(np.complex128)
    if case.dtype.startswith("complex"):
        whole += 1j * numbers[count:]
    power = float(np.ldexp(1.0, case.exponent))
    return (whole * power).astype(case.dtype) if whole.imag.any() else _real(whole, power, case)


def _real(whole: NDArray[Any], power: float, case: Case) -> NDArray[Any]:
    return (whole.real * power).astype(case.dtype)


def file_of(case: Case) -> bytes:
    """The compiled network with its inputs and its value; all sums are exact."""
    program, arrays = program_of(case)
    raw = drive(NumpyBackend(limit_bytes=1 << 30).run(program, arrays, no_pulse))
    parts = {f"input {number}": array.tobytes() for number, array in enumerate(arrays)}
    parts["value"] = np.ascontiguousarray(raw.value).tobytes()
    about = {"log10Scale": raw.log10_scale}
    groups = fused_groups(program) if case.fused else ()
    return encode([compiled(program, PLAIN, groups=groups)], about, parts)


def gradient_file(case: Case) -> bytes:
    """The same with all gradients; the head says which buffers they are in."""
    tree = tree_of(case)
    program = lower_gradient(tree, case.dtype, tuple(range(len(tree.inputs))))
    arrays = [_numbers(case, "".join(names)) for names in (*tree.inputs, tree.output)]
    raw = drive(NumpyBackend(limit_bytes=1 << 30).run(program, arrays, no_pulse))
    parts = {f"input {number}": array.tobytes() for number, array in enumerate(arrays)}
    parts |= {f"kept {number}": part.value.tobytes() for number, part in enumerate(raw.kept)}
    about = {"kept": program.kept, "scales": [part.log10_scale for part in raw.kept]}
    return encode([compiled(program, PLAIN)], about, parts)


def texts() -> dict[str, str]:
    """The golden files."""
    files = {name: file_of(case) for name, case in CASES.items()}
    files["gradient"] = gradient_file(CASES["chain"])
    return {f"{name}.b64": base64.encodebytes(data).decode() for name, data in files.items()}
