"""Arrays as a program wants them: one per tensor, of one type, C order, within its range.

A number beyond a narrower type's range moves into a carried exponent instead of becoming infinite
or zero.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import NetworkError
from tensorloom.execute.scaling import absmax, scaled, shift_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from tensorloom.model.recipe import DType
    from tensorloom.plan.tree import ContractionTree

__all__ = [
    "cast_array",
    "cast_arrays",
    "common_dtype",
    "exponent_beyond",
    "plain_arrays",
    "real_where_asked",
]


def plain_arrays(tree: ContractionTree, arrays: Sequence[ArrayLike]) -> tuple[NDArray[Any], ...]:
    """The arrays as numpy arrays of numbers, checked against the tree.

    Raises:
        NetworkError: ``wrong-arrays``, ``bad-array`` or ``array-shape``.
    """
    if len(arrays) != len(tree.inputs):
        raise NetworkError(
            "wrong-arrays",
            f"There are {len(arrays)} arrays for {len(tree.inputs)} tensors.",
            "Give one array per tensor.",
            values={"arrays": len(arrays), "tensors": len(tree.inputs)},
        )
    sizes = dict(tree.dimensions)
    found = []
    for number, (given, names) in enumerate(zip(arrays, tree.inputs, strict=True)):
        array = as_numbers(given, number)
        shape = tuple(sizes[name] for name in names)
        if array.shape != shape:
            raise NetworkError(
                "array-shape",
                f"Array {number} has shape {array.shape}, but its tensor has shape {shape}.",
                "Give an array with one axis per index, of its dimension.",
                values={"wanted": list(shape), "found": list(array.shape)},
            )
        found.append(array)
    return tuple(found)


def as_numbers(given: ArrayLike, number: int, name: str = "") -> NDArray[Any]:
    """One array, refused unless it holds numbers.

    Args:
        given: The array.
        number: Which operand it is.
        name: What it is called, if it is none of the operands.

    Raises:
        NetworkError: ``bad-array``.
    """
    try:
        array = np.asarray(given)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "biufc":
        called = name or f"Operand {number}"
        raise NetworkError(
            "bad-array",
            f"{called} holds no numbers, but elements of type {array.dtype!s:.40}.",
            "Give an array of real or complex numbers.",
            values={} if name else {"operand": number},
        )
    return array


def common_dtype(arrays: Sequence[NDArray[Any]]) -> DType:
    """The smallest type that holds all arrays: 64 bits unless all of them are 32-bit floats."""
    found = np.result_type(np.float32, *(array.dtype for array in arrays)) if arrays else None
    wide = found is None or found not in (np.float32, np.complex64)
    if any(array.dtype.kind == "c" for array in arrays):
        return "complex128" if wide else "complex64"
    return "float64" if wide else "float32"


def cast_arrays(
    arrays: Sequence[NDArray[Any]], dtype: DType
) -> tuple[tuple[NDArray[Any], ...], int]:
    """``(arrays of this type, exponent)``: the network's value is to be scaled by 2**exponent.

    Raises:
        NetworkError: ``complex-into-real`` if an imaginary part would be lost.
    """
    cast = [cast_array(array, dtype) for array in arrays]
    return tuple(array for array, _ in cast), sum(exponent for _, exponent in cast)


def cast_array(array: NDArray[Any], dtype: DType) -> tuple[NDArray[Any], int]:
    """``(the array in this type, exponent)``: its numbers are to be scaled by 2**exponent.

    Raises:
        NetworkError: ``complex-into-real`` if an imaginary part would be lost.
    """
    real = real_where_asked(array, dtype, "An array")
    exponent = exponent_beyond(real, dtype)
    made = np.ascontiguousarray(scaled(real, -exponent), dtype)
    # A view would be another object each time; who keeps an array knows it again.
    return made if made.shape == array.shape else made.reshape(array.shape), exponent


def real_where_asked(array: NDArray[Any], dtype: DType, subject: str) -> NDArray[Any]:
    """The real part of a complex array where the type is real; else the array itself.

    Args:
        array: Numbers.
        dtype: Type to compute in.
        subject: What the array is, as the beginning of a sentence.

    Raises:
        NetworkError: ``complex-into-real`` if an imaginary part would be lost.
    """
    if array.dtype.kind != "c" or dtype.startswith("complex"):
        return array
    if np.any(array.imag):
        raise NetworkError(
            "complex-into-real",
            f"{subject} is complex, but the network is contracted in {dtype}.",
            "Choose complex64 or complex128 as the number type.",
            values={"dtype": dtype},
        )
    return array.real


def exponent_beyond(array: NDArray[Any], dtype: DType) -> int:
    """The exponent to take out of an array before it becomes this type: 0 unless that is narrower.

    Example:
        >>> array = np.array([2.0**-200])
        >>> exponent_beyond(array, "float32"), exponent_beyond(array, "float64")
        (-199, 0)
    """
    if array.dtype.kind in "fc" and _largest(array.dtype) > _largest(np.dtype(dtype)):
        return shift_for(absmax(array), dtype)
    return 0


@lru_cache
def _largest(dtype: np.dtype[Any]) -> np.floating[Any]:
    """The largest number of a type."""
    largest: np.floating[Any] = np.finfo(dtype).max
    return largest
