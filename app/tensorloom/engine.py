"""The engine in one call: equation and arrays, or a network, in; the contracted value out.

    contract("ij,jk->ik", a, b)   -> array, as numpy.einsum gives it
    contract_network(network)     -> Result: the value with its cost, place and error bound

Here is the only place where planning and running meet without an editor between them. The module
is not named after its function: importing it would hide ``tensorloom.contract``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tensorloom.errors import EquationError, NetworkError, PlanError
from tensorloom.execute.arrays import ArrayStore, arrays_of
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.backends import Available, available, numpy_backend
from tensorloom.execute.casting import as_numbers, common_dtype
from tensorloom.execute.quantities import duration_text
from tensorloom.execute.run import LONGEST_MS, prepare, run
from tensorloom.kernels.lower import lower
from tensorloom.model.document import Document, check_dtype
from tensorloom.model.equation import parse
from tensorloom.plan.find import plan_for, quick
from tensorloom.platform import IN_BROWSER

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from tensorloom.execute.backend import Pulse, Result
    from tensorloom.execute.run import BackendChoice, Choice, Lowering
    from tensorloom.model.network import Network
    from tensorloom.model.recipe import DType
    from tensorloom.plan.inputs import Dimensions, Inputs
    from tensorloom.plan.plan import Plan

__all__ = [
    "backend_choice",
    "chosen",
    "completed",
    "contract",
    "contract_network",
    "planned",
    "unscaled",
]

_T = TypeVar("_T")

WORTH_A_GPU_MS = 1000.0
"""Native numpy is asked alone below this: opening a GPU takes longer [ms]."""

_CHOICES: Mapping[str, BackendChoice] = {
    "auto": "auto",
    "numpy": "numpy",
    "wasm": "wasm",
    "webgpu": "webgpu",
    "wgpu": "webgpu",
}


def contract(
    equation: str, *operands: ArrayLike, backend: str = "auto", dtype: DType | None = None
) -> NDArray[Any]:
    """The contracted operands, as ``numpy.einsum`` would give them.

    Args:
        equation: Such as ``ij,jk->ik``; without ``->`` the output holds the indices that appear
            once, in alphabetical order. ``...`` stands for the axes that are not named, and axes of
            dimension 1 broadcast. Names longer than one letter: ``left row, row right``.
        *operands: One array per operand.
        backend: ``auto``, ``numpy``, ``wasm``, ``webgpu`` or ``wgpu``.
        dtype: Type to compute in; by default the smallest that holds all operands.

    Returns:
        Array of the output's shape. A value beyond its type's range becomes infinite or zero here;
        ``contract_network`` carries its exponent.

    Raises:
        EquationError: The text cannot be read.
        NetworkError: The operands do not belong to it.
        DeviceMemoryError: It does not fit, even sliced.
        PlanError: ``too-long``.

    Example:
        >>> contract("ij,jk->ik", [[1.0, 2.0]], [[3.0], [4.0]])
        array([[11.]])
    """
    plan, arrays = planned(equation, operands)
    found = _run(plan, arrays, backend, dtype or common_dtype(arrays), no_pulse)
    return unscaled(found.value, found.log10_scale)


def contract_network(  # noqa: PLR0913  # the last four are for callers with their own engine
    network: Network | Document,
    arrays: Sequence[ArrayLike] | None = None,
    *,
    backend: str = "auto",
    dtype: DType | None = None,
    store: ArrayStore | None = None,
    plan: Plan | None = None,
    pulse: Pulse = no_pulse,
) -> Result:
    """A contracted network with where, how long and how exact.

    Args:
        network: The network, or a document that holds it.
        arrays: One per tensor; by default made from the tensors' recipes.
        backend: ``auto``, ``numpy``, ``wasm``, ``webgpu`` or ``wgpu``.
        dtype: Type to compute in; by default the document's, else float64.
        store: Where recipes that name stored arrays find them.
        plan: How; by default found at once.
        pulse: Progress and cancellation.

    Raises:
        InputError: Arrays or recipes that do not fit the network.
        DeviceMemoryError: It does not fit, even sliced.
        PlanError: ``too-long``.
    """
    if isinstance(network, Document):
        dtype = dtype or network.dtype
        network = network.network
    dtype = dtype or "float64"
    check_dtype(dtype)
    given = arrays_of(network, dtype, store or ArrayStore()) if arrays is None else arrays
    return _run(plan or quick(network), given, backend, dtype, pulse)


def unscaled(value: NDArray[Any], log10_scale: float) -> NDArray[Any]:
    """``value * 10**log10_scale``; beyond the type's range it becomes infinite or zero."""
    if log10_scale == 0:
        return value
    with np.errstate(over="ignore", under="ignore"):
        scale = np.power(10.0, log10_scale / 2)
        return np.asarray(value * scale * scale, value.dtype)


def planned(equation: str, operands: Sequence[ArrayLike]) -> tuple[Plan, list[NDArray[Any]]]:
    """How to contract operands, and their arrays without axes that broadcast.

    Raises:
        EquationError: The text cannot be read.
        NetworkError: The operands do not belong to it.
    """
    if not isinstance(equation, str):
        raise EquationError(
            "not-an-equation",
            f"The first argument is {equation!r:.40}, not an equation.",
            "Begin with text such as 'ij,jk->ik', then one array per operand.",
        )
    arrays = [as_numbers(operand, number) for number, operand in enumerate(operands)]
    parsed = parse(_without_ellipsis(equation, arrays))
    inputs, arrays = _broadcast(parsed.operands, arrays)
    return plan_for(inputs, parsed.output, _dimensions(inputs, arrays)), arrays


def backend_choice(name: str) -> BackendChoice:
    """The backend that a user's word means; ``wgpu`` is WebGPU without a browser.

    Raises:
        NetworkError: ``bad-backend``.
    """
    if name not in _CHOICES:
        raise NetworkError(
            "bad-backend",
            f"'{name[:40]}' is not a backend.",
            f"Choose {', '.join(_CHOICES)}.",
            values={"backend": name[:40]},
        )
    return _CHOICES[name]


def _run(
    plan: Plan, arrays: Sequence[ArrayLike], backend: str, dtype: DType, pulse: Pulse
) -> Result:
    return completed(run(chosen(plan, backend, dtype), arrays, pulse=pulse))


def chosen(plan: Plan, backend: str, dtype: DType, lowering: Lowering = lower) -> Choice:
    """Where a plan would run, sliced if it would not fit otherwise.

    Raises:
        DeviceMemoryError: It does not fit, even sliced.
        PlanError: ``too-long``.
    """
    check_dtype(dtype)
    wanted = backend_choice(backend)
    here = _backends(plan, wanted, dtype)
    choice = prepare(
        plan,
        backends=here.backends,
        missing=here.missing,
        backend=wanted,
        dtype=dtype,
        allow_slicing=True,
        lowering=lowering,
    )
    expected_ms = choice.attempts[0].predicted_ms
    if expected_ms > LONGEST_MS:
        raise PlanError(
            "too-long",
            f"This would take about {duration_text(expected_ms)} here.",
            "Find a better order, lower a dimension, or send it to a heavy worker.",
            values={"predictedMs": expected_ms},
        )
    return choice


def _backends(plan: Plan, wanted: BackendChoice, dtype: DType) -> Available:
    """The backends worth opening for this plan."""
    alone = Available(backends={"numpy": numpy_backend()}, missing={})
    if wanted == "numpy":
        return alone
    if wanted == "auto" and not IN_BROWSER:
        guess = alone.backends["numpy"].predicted_ms(lower(plan, dtype))
        if guess < WORTH_A_GPU_MS:
            return alone
    return completed(available())


def completed(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine; in the browser the GPU is awaited with the stack suspended."""
    if not IN_BROWSER:
        return drive(coroutine)
    from pyodide.ffi import can_run_sync, run_sync  # noqa: PLC0415  # exists in Pyodide only

    result: _T = run_sync(coroutine) if can_run_sync() else drive(coroutine)
    return result


def _without_ellipsis(equation: str, arrays: Sequence[NDArray[Any]]) -> str:
    """The equation with ``...`` written out in fresh letters, innermost axes matched last."""
    if "..." not in equation:
        return equation
    left, arrow, right = equation.partition("->")
    operands = left.split(",")
    free = iter(chr(code) for code in range(0x3B1, 0x3B1 + 2000) if chr(code) not in equation)
    extra = [
        array.ndim - len(operand.replace("...", "").replace(" ", ""))
        for operand, array in zip(operands, arrays, strict=False)
        if "..." in operand
    ]
    letters = "".join(next(free) for _ in range(max(extra, default=0)))
    missing = iter(extra)
    written = []
    for operand in operands:
        count = max(0, next(missing, 0)) if "..." in operand else 0
        written.append(operand.replace("...", letters[len(letters) - count :], 1))
    if not arrow:
        names = left.replace("...", "").replace(",", "").replace(" ", "")
        right = "..." + "".join(sorted(name for name in set(names) if names.count(name) == 1))
    return f"{','.join(written)}->{right.replace('...', letters, 1)}"


def _broadcast(inputs: Inputs, arrays: Sequence[NDArray[Any]]) -> tuple[Inputs, list[NDArray[Any]]]:
    """Operands without the axes of dimension 1 whose index is larger elsewhere."""
    if len(inputs) != len(arrays):
        raise EquationError(
            "wrong-arrays",
            f"The equation has {len(inputs)} operands; {len(arrays)} arrays were given.",
            "Give one array per operand.",
            values={"operands": len(inputs), "arrays": len(arrays)},
        )
    largest: dict[str, int] = {}
    for number, (names, array) in enumerate(zip(inputs, arrays, strict=True)):
        if len(names) != array.ndim:
            raise NetworkError(
                "wrong-axes",
                f"Operand {number} has {array.ndim} axes, but {len(names)} indices.",
                "Write one index per axis.",
                values={"operand": number, "axes": array.ndim, "indices": len(names)},
            )
        for name, size in zip(names, array.shape, strict=True):
            largest[name] = max(largest.get(name, 0), size)
    kept_names, kept = [], []
    for names, array in zip(inputs, arrays, strict=True):
        spread = [axis for axis, name in enumerate(names) if array.shape[axis] == 1 < largest[name]]
        kept_names.append(tuple(name for axis, name in enumerate(names) if axis not in spread))
        kept.append(array.squeeze(tuple(spread)) if spread else array)
    return tuple(kept_names), kept


def _dimensions(inputs: Inputs, arrays: Sequence[NDArray[Any]]) -> Dimensions:
    """The dimension of every index.

    Raises:
        NetworkError: ``dimension-mismatch`` or ``bad-dimension``.
    """
    found: dict[str, tuple[int, int, int]] = {}
    for number, (names, array) in enumerate(zip(inputs, arrays, strict=True)):
        for axis, (name, size) in enumerate(zip(names, array.shape, strict=True)):
            if size == 0:
                raise NetworkError(
                    "bad-dimension",
                    f"Index '{name}' cannot have dimension 0 on operand {number} (axis {axis}).",
                    "Give every axis at least one value.",
                    values={"dimension": 0},
                )
            first, first_number, first_axis = found.setdefault(name, (size, number, axis))
            if size != first:
                raise NetworkError(
                    "dimension-mismatch",
                    f"Index '{name}' has dimension {first} on operand {first_number} "
                    f"(axis {first_axis}) but {size} on operand {number} (axis {axis}).",
                    "Make them equal, or give one axis a new index.",
                    values={"one": first, "other": size},
                )
    return tuple((name, size) for name, (size, _, _) in found.items())
