"""``window.tensorloom.bench``: how fast a contraction runs here, warm and tuned.

The result stays in the engine's memory and the clock runs outside Python, in windows; tuning and
the check against a reference are told apart from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.engine import backend_choice, planned
from tensorloom.errors import NetworkError
from tensorloom.execute.backend import no_pulse
from tensorloom.execute.backends import available, numpy_backend
from tensorloom.execute.wasm.page_engine import PageEngine
from tensorloom.kernels.lower import lower
from tensorloom.model.document import check_dtype
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom.view.timings import timed_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.model.recipe import DType
    from tensorloom.plan.plan import Plan
    from tensorloom.view.timings import Timed

__all__ = ["bench"]

_NUMPY_MUL_ADDS = 200_000_000
"""Beyond this numpy takes seconds here, and WASM in float64 is the reference."""

_MOST = 60_000
"""Largest number of any option."""


async def bench(given: dict[str, Any], buffers: Sequence[bytes]) -> dict[str, Any]:
    """The record that the call resolves with.

    Args:
        given: ``equation``, ``shapes``, ``dtype``, ``backend``, ``threads``, ``minMs``, and whether
            there are ``inputs`` and an ``expect``.
        buffers: Bytes of the inputs, then of the expected result.

    Raises:
        TensorloomError: As ``contract``; ``bad-array`` where bytes and shape do not agree.
    """
    dtype: DType = given["dtype"]
    check_dtype(dtype)
    shapes = _shapes(given["shapes"])
    arrays = _inputs(shapes, dtype, buffers if given["inputs"] else ())
    plan, operands = planned(str(given["equation"]), arrays)
    program = lower(plan, dtype)
    if not program.dispatches:
        raise NetworkError(
            "nothing-to-time",
            "This contraction needs no work.",
            "Give at least two operands, or sum or permute one.",
        )
    name = backend_choice(str(given["backend"]))
    asked = _at_least(given, "threads", 1), _at_least(given, "minMs", 0)
    timed = await timed_on(name, program, operands, threads=int(asked[0]), min_ms=asked[1])
    flop = program.mul_adds * (8 if dtype.startswith("complex") else 2)
    expected, reference = await _expected(given, plan, operands, buffers, dtype)
    return {
        "gflops": flop / timed.ms / 1e6,
        "ms": timed.ms,
        "maxErr": _error(timed, expected),
        "kernel": timed.kernel,
        "tuneMs": timed.tune_ms,
        "backend": "wasm" if name == "auto" else name,
        "threads": timed.threads,
        "reference": reference,
        "mulAdds": program.mul_adds,
        "notes": _notes(name, int(asked[0])),
    }


def _at_least(given: dict[str, Any], name: str, least: int) -> float:
    """A number among the options."""
    value = given[name]
    if type(value) not in (int, float) or not least <= value <= _MOST:
        raise NetworkError(
            "bad-option",
            f"{name} is {value!r:.40}.",
            f"Give a number from {least} to {_MOST}.",
            values={"option": name},
        )
    return float(value)


def _notes(name: str, threads: int) -> list[str]:
    """What was not done as asked."""
    if threads == 1 or name == "webgpu":
        return []
    if name == "numpy":
        return ["numpy runs on one thread."]
    if PageEngine().most_threads == 1:
        return ["One thread ran: choose several in the device's popover, then load the page again."]
    return []


def _shapes(given: object) -> list[tuple[int, ...]]:
    if not isinstance(given, list):
        raise _bad_array("The shapes are no list.", "Give one list of whole numbers per operand.")
    for number, shape in enumerate(given):
        if not isinstance(shape, list) or not all(type(n) is int and n > 0 for n in shape):
            raise _bad_array(
                f"The shape of operand {number} is {str(shape)[:60]}.",
                "Give a list of whole numbers of at least 1.",
            )
    return [tuple(shape) for shape in given]


def _inputs(
    shapes: Sequence[tuple[int, ...]], dtype: DType, buffers: Sequence[bytes]
) -> list[NDArray[Any]]:
    """The given numbers, or random ones between -1 and 1."""
    if buffers:
        return [_array(buffers[n], shape, dtype, f"Input {n}") for n, shape in enumerate(shapes)]
    random = np.random.default_rng(1)
    made = [random.uniform(-1, 1, shape) for shape in shapes]
    if dtype.startswith("complex"):
        made = [array + 1j * random.uniform(-1, 1, array.shape) for array in made]
    return [array.astype(dtype) for array in made]


def _array(data: bytes, shape: tuple[int, ...], dtype: DType, label: str) -> NDArray[Any]:
    wanted = int(np.prod(shape, dtype=object)) * ITEM_BYTES[dtype]
    if len(data) != wanted:
        raise _bad_array(
            f"{label} has {len(data)} bytes; {wanted} belong to shape {list(shape)} in {dtype}.",
            "Give raw little-endian numbers in C order, complex ones as re, im, re, im.",
        )
    return np.frombuffer(data, dtype).reshape(shape)


def _bad_array(message: str, hint: str) -> NetworkError:
    return NetworkError("bad-array", message, hint)


async def _expected(
    given: dict[str, Any],
    plan: Plan,
    operands: list[NDArray[Any]],
    buffers: Sequence[bytes],
    dtype: DType,
) -> tuple[NDArray[Any] | None, str]:
    """The right answer and where it comes from."""
    wide: DType = "complex128" if dtype.startswith("complex") else "float64"
    program = lower(plan, wide)
    if given["expect"]:
        return _array(buffers[-1], program.shape, dtype, "The expected result"), "given"
    arrays = [np.ascontiguousarray(array, wide) for array in operands]
    if program.mul_adds <= _NUMPY_MUL_ADDS:
        raw = await numpy_backend().run(program, arrays, no_pulse)
        return raw.value, f"numpy {wide}"
    here = await available()
    raw = await here.backends.get("wasm", here.backends["numpy"]).run(program, arrays, no_pulse)
    return raw.value, f"wasm {wide}"


def _error(timed: Timed, expected: NDArray[Any] | None) -> float | None:
    """Largest difference beside the largest magnitude; ``None`` where a number has no place."""
    if expected is None or timed.log10_scale or not np.isfinite(timed.value).all():
        return None
    largest = float(np.abs(expected).max())
    wrong = float(np.abs(timed.value.reshape(expected.shape) - expected).max())
    return wrong / largest if largest else wrong
