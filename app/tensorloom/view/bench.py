"""``window.tensorloom.bench``: how fast a contraction runs here, warm and tuned.

The result stays in the engine's memory and the clock runs outside Python, in windows; tuning and
the check against a reference are told apart from it.
"""

from __future__ import annotations

from math import isfinite, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.engine import backend_choice
from tensorloom.errors import DeviceMemoryError, NetworkError
from tensorloom.execute.backend import no_pulse
from tensorloom.execute.backends import available, numpy_backend
from tensorloom.execute.quantities import bytes_text
from tensorloom.execute.wasm.page_engine import PageEngine
from tensorloom.kernels.lower import lower
from tensorloom.model.document import check_dtype
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom.operands import planned
from tensorloom.view.timings import timed_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.tuning import Tuner
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType
    from tensorloom.plan.plan import Plan
    from tensorloom.view.timings import Timed

__all__ = ["bench"]

_NUMPY_MUL_ADDS = 200_000_000
"""Beyond this numpy takes seconds here, and WASM in float64 is the reference."""

_MOST = 60_000
"""Largest number of any option."""

MOST_BYTES = 3 << 30
"""Python's memory in a page ends at 4 GiB; what is left is room for copies and gaps."""

_NOTHING = np.zeros(())


async def bench(
    given: dict[str, Any], buffers: Sequence[bytes], tuner: Tuner | None
) -> dict[str, Any]:
    """The record that the call resolves with.

    Args:
        given: ``equation``, ``shapes``, ``dtype``, ``backend``, ``threads``, ``minMs``, and whether
            there are ``inputs`` and an ``expect``.
        buffers: Bytes of the inputs, then of the expected result.
        tuner: The page's, which nobody else has meanwhile; ``None`` without WASM.

    Raises:
        TensorloomError: As ``contract``; ``bad-array`` where bytes and shape do not agree,
            ``does-not-fit`` before anything is allocated, ``out-of-memory`` after all.
    """
    dtype: DType = given["dtype"]
    check_dtype(dtype)
    shapes = _shapes(given["shapes"])
    _refuse_more_than(MOST_BYTES, sum(map(prod, shapes)) * ITEM_BYTES[dtype])
    # A plan asks for shapes; these arrays have those and hold one number.
    plan, _ = planned(str(given["equation"]), [np.broadcast_to(_NOTHING, s) for s in shapes])
    program = lower(plan, dtype)
    _refuse_more_than(MOST_BYTES, _needed(plan, program, checked=not given["expect"]))
    if not program.dispatches:
        raise NetworkError(
            "nothing-to-time",
            "This contraction needs no work.",
            "Give at least two operands, or sum or permute one.",
        )
    name = backend_choice(str(given["backend"]))
    threads = int(_at_least(given, "threads", 1, whole=True))
    min_ms = _at_least(given, "minMs", 0)
    try:
        arrays = _inputs(shapes, dtype, buffers if given["inputs"] else ())
        plan, operands = planned(str(given["equation"]), arrays)
        answer = _answer(buffers[-1], program) if given["expect"] else None
        timed = await timed_on(name, program, operands, tuner=tuner, threads=threads, min_ms=min_ms)
        expected, reference = await _expected(answer, plan, operands, dtype)
    except MemoryError as error:
        needed = _needed(plan, program, checked=not given["expect"])
        raise _memory("out-of-memory", "This page ran out of memory", needed) from error
    flop = program.mul_adds * (8 if dtype.startswith("complex") else 2)
    return {
        "gflops": flop / timed.ms / 1e6,
        "ms": timed.ms,
        "maxErr": _error(timed, expected),
        "kernel": timed.kernel,
        "tuneMs": timed.tune_ms,
        "deviceMs": timed.device_ms,
        "backend": "wasm" if name == "auto" else name,
        "threads": timed.threads,
        "reference": reference,
        "mulAdds": program.mul_adds,
        "notes": _notes(name, threads),
    }


def _at_least(given: dict[str, Any], name: str, least: int, *, whole: bool = False) -> float:
    """A number among the options."""
    value = given[name]
    kinds = (int,) if whole else (int, float)
    if type(value) not in kinds or not least <= value <= _MOST:
        raise NetworkError(
            "bad-option",
            f"{name} is {value!r:.40}.",
            f"Give a {'whole ' if whole else ''}number from {least} to {_MOST}.",
            values={"option": name},
        )
    return float(value)


def _notes(name: str, threads: int) -> list[str]:
    """What was not done as asked."""
    if threads == 1 or name in {"webgpu", "webgpu-f16"}:
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
    return [_random(random, shape, dtype) for shape in shapes]


def _random(random: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> NDArray[Any]:
    """Made in place: a large array has no room for a second one beside it."""
    made = np.empty(shape, dtype)
    scalars = made.reshape(-1).view(made.real.dtype)
    random.random(out=scalars, dtype=scalars.dtype)
    scalars *= 2
    scalars -= 1
    return made


def _needed(plan: Plan, program: Program, *, checked: bool) -> int:
    """Bytes that Python's memory holds at once: inputs, result, and the reference's run."""
    inputs = sum(buffer.elements for buffer in program.buffers if buffer.source is not None)
    held = (inputs + prod(program.shape)) * ITEM_BYTES[program.dtype]
    return held + (lower(plan, _wide(program.dtype)).peak_bytes if checked else 0)


def _refuse_more_than(limit: int, needed: int) -> None:
    if needed > limit:
        raise _memory("does-not-fit", "This benchmark does not fit", needed)


def _memory(code: str, what: str, needed: int) -> DeviceMemoryError:
    return DeviceMemoryError(
        code,
        f"{what}: it holds {bytes_text(needed)} at once, numbers and reference; "
        f"a page has room for {bytes_text(MOST_BYTES)}.",
        "Make a dimension smaller, or give the right answer as expect.",
        values={"neededBytes": str(needed), "limitBytes": str(MOST_BYTES)},
    )


def _wide(dtype: DType) -> DType:
    return "complex128" if dtype.startswith("complex") else "float64"


def _array(data: bytes, shape: tuple[int, ...], dtype: DType, label: str) -> NDArray[Any]:
    wanted = prod(shape) * ITEM_BYTES[dtype]
    if len(data) != wanted:
        raise _bad_array(
            f"{label} has {len(data)} bytes; {wanted} belong to shape {list(shape)} in {dtype}.",
            "Give raw little-endian numbers in C order, complex ones as re, im, re, im.",
        )
    return np.frombuffer(data, dtype).reshape(shape)


def _bad_array(message: str, hint: str) -> NetworkError:
    return NetworkError("bad-array", message, hint)


def _answer(data: bytes, program: Program) -> NDArray[Any]:
    """The right answer, as given."""
    answer = _array(data, program.shape, program.dtype, "The expected result")
    if not np.isfinite(answer).all():
        raise _bad_array(
            "The expected result holds NaN or Infinity.",
            "Give finite numbers, or leave expect out.",
        )
    return answer


async def _expected(
    answer: NDArray[Any] | None, plan: Plan, operands: list[NDArray[Any]], dtype: DType
) -> tuple[NDArray[Any], str]:
    """The right answer and where it comes from: given, or computed in double precision."""
    if answer is not None:
        return answer, "given"
    wide = _wide(dtype)
    program = lower(plan, wide)
    arrays = [np.ascontiguousarray(array, wide) for array in operands]
    if program.mul_adds <= _NUMPY_MUL_ADDS:
        raw = await numpy_backend().run(program, arrays, no_pulse)
        return raw.value, f"numpy {wide}"
    here = await available()
    raw = await here.backends.get("wasm", here.backends["numpy"]).run(program, arrays, no_pulse)
    return raw.value, f"wasm {wide}"


def _error(timed: Timed, expected: NDArray[Any]) -> float | None:
    """Largest difference beside the largest magnitude; ``None`` where a number has no place."""
    if timed.log10_scale or not np.isfinite(timed.value).all():
        return None
    largest = float(np.abs(expected).max())
    # Halves: a difference may be beyond the range of both.
    half = timed.value.reshape(expected.shape) / 2
    half -= expected / 2
    wrong = float(np.abs(half).max())
    share = 2 * (wrong / largest if largest else wrong)
    return share if isfinite(share) else None
