"""Recipes -> numpy arrays, and the store of those that no recipe can describe.

Random numbers are drawn in double precision and C order, then rounded, so every dtype holds the
same numbers; a complex normal array draws all real parts first. An array too large or too small for
a 32-bit type stays in double precision: ``execute.casting`` takes its exponent out, and bounds on
errors go by its own numbers. Arrays made here may be shared between tensors and runs and must not
be written to.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import DeviceMemoryError, NetworkError, TensorloomError, Where
from tensorloom.execute.casting import exponent_beyond, real_where_asked
from tensorloom.execute.gates import gate_array
from tensorloom.model.gates import GATES, STATES
from tensorloom.model.recipe import (
    ArrayRecipe,
    BlobArray,
    ConstantArray,
    CopyArray,
    DType,
    GateArray,
    IdentityArray,
    InlineArray,
    RandomArray,
)
from tensorloom.model.stored_array import ITEM_BYTES, StoredArray

if TYPE_CHECKING:
    from collections.abc import Callable

    from tensorloom.model.network import Network

__all__ = [
    "MAX_ARRAY_BYTES",
    "ArrayStore",
    "arrays_of",
    "make_array",
    "stored_array",
    "too_big",
    "try_array",
]

Array = np.ndarray[Any, np.dtype[Any]]
Shape = tuple[int, ...]

MAX_ARRAY_BYTES = 2**31
"""Largest single array unless told [bytes]; half of what a 32-bit WASM memory can address."""

_DRAWN = 1 << 14
"""Random numbers that are drawn at once, in double precision [elements]."""


class ArrayStore:
    """Arrays by the hash of their content.

    Attributes:
        recent: What the last network was made of, by (recipe, shape, dtype): an edit of one tensor
            makes one array again, and 20,000 equal gates are one array.
    """

    def __init__(self) -> None:
        self._stored: dict[str, Array] = {}
        self.recent: dict[tuple[ArrayRecipe, Shape, DType], Array] = {}

    def __contains__(self, digest: str) -> bool:
        return digest in self._stored

    def add(self, array: Array | StoredArray) -> BlobArray:
        """The recipe of an array that is in the store from now on, as a copy.

        Args:
            array: A ``StoredArray``, or what ``stored_array`` takes.
        """
        stored = array if isinstance(array, StoredArray) else stored_array(array)
        if stored.hash not in self._stored:
            little = np.dtype(stored.dtype).newbyteorder("<")
            found = np.frombuffer(stored.data, dtype=little).reshape(stored.shape)
            self._stored[stored.hash] = found.astype(stored.dtype, copy=False)
        return stored.recipe

    def get(self, digest: str) -> Array:
        """The array with this hash, read-only.

        Raises:
            NetworkError: ``array-missing``.
        """
        found = self._stored.get(digest)
        if found is None:
            raise NetworkError(
                "array-missing",
                f"The stored array {digest[:12]} is not here.",
                "Open the file it came from again, or choose another array.",
                values={"hash": digest},
            )
        return found


def stored_array(array: Array) -> StoredArray:
    """The bytes of an array; whole numbers, truth values and half floats become float64.

    Raises:
        NetworkError: ``not-numbers`` if its elements are not numbers.
    """
    if array.dtype.kind not in "biufc":
        raise NetworkError(
            "not-numbers",
            f"An array of type {array.dtype!s:.40} holds no numbers.",
            "Convert it to float64 or complex128 first.",
        )
    name = array.dtype.name
    if name not in ITEM_BYTES:
        name = "complex128" if array.dtype.kind == "c" else "float64"
    dtype: DType = name  # type: ignore[assignment]  # a key of ITEM_BYTES
    plain = np.asarray(array, dtype=np.dtype(dtype).newbyteorder("<"), order="C")
    return StoredArray.of(dtype=dtype, shape=array.shape, data=plain.tobytes())


def arrays_of(network: Network, dtype: DType, store: ArrayStore) -> tuple[Array, ...]:
    """One C-contiguous array per tensor, in the network's order, not to be written to.

    What is beyond a 32-bit type is wider; see ``make_array``.

    Raises:
        NetworkError: What ``make_array`` raises, with the tensor in ``where``.
        DeviceMemoryError: ``array-too-big``, likewise.
    """
    made: dict[tuple[ArrayRecipe, Shape, DType], Array] = {}
    found: list[Array] = []
    for tensor in network.tensors:
        key = (tensor.array, network.shape(tensor), dtype)
        array = made.get(key)
        if array is None:
            array = store.recent.get(key)
        if array is None:
            try:
                array = make_array(*key, store)
            except TensorloomError as error:
                raise replace(
                    error,
                    message=f"{tensor.name}: {error.message}",
                    where=Where(tensors=(tensor.id,)),
                ) from error
        made[key] = array
        found.append(array)
    store.recent = made
    return tuple(found)


def make_array(
    recipe: ArrayRecipe,
    shape: Shape,
    dtype: DType,
    store: ArrayStore,
    *,
    most_bytes: int = MAX_ARRAY_BYTES,
) -> Array:
    """The C-contiguous array of a recipe, not to be written to.

    Args:
        recipe: What to make.
        shape: Shape that the tensor's indices ask for [elements].
        dtype: Element type of the network.
        store: Where blobs are.
        most_bytes: What it may hold [bytes].

    Returns:
        An array of this type, or of float64 or complex128 where its largest number is beyond the
        range in which a narrower type is left alone: ``cast_arrays`` takes its exponent out.

    Raises:
        NetworkError: ``array-shape``, ``odd-axes``, ``array-missing``, ``complex-into-real``, or
            what ``gate_array`` raises.
        DeviceMemoryError: ``array-too-big``.
    """
    size = prod(shape) * ITEM_BYTES[dtype]
    if size > most_bytes:
        raise too_big(size, most_bytes)
    return _converted(_values(recipe, shape, dtype, store), dtype)


def try_array(recipe: ArrayRecipe, shape: Shape, dtype: DType) -> None:
    """Nothing, where the values of a recipe fit a type; little is made for it.

    What a recipe asks of a shape, and a ``BlobArray``, are looked at when it is made.

    Raises:
        NetworkError: What ``make_array`` would raise of gates, ``array-shape`` of values that came
            with more axes, or ``complex-into-real``.
    """
    match recipe:
        case RandomArray(distribution="complex-normal") | ConstantArray():
            part: Shape = (1,) * len(shape)
        case InlineArray():
            held = (*recipe.shape, *(1,) * len(shape))
            part = tuple(min(pair) for pair in zip(shape, held, strict=False))
        case GateArray() if not dtype.startswith("complex"):
            part = shape
        case _:
            return
    _ = make_array(recipe, part, dtype, ArrayStore())


def too_big(size: int, most: int) -> DeviceMemoryError:
    """The error of an array beyond what one may hold [bytes]."""
    return DeviceMemoryError(
        "array-too-big",
        f"The array needs {size} bytes; the most is {most}.",
        "Make a dimension smaller, or split the tensor.",
        values={"bytes": size, "most": most},
    )


def _values(recipe: ArrayRecipe, shape: Shape, dtype: DType, store: ArrayStore) -> Array:
    """The values: large ones of this type where it can hold them, others as they are stored."""
    match recipe:
        case RandomArray():
            return _random(recipe, shape, dtype)
        case ConstantArray():
            return np.full(shape, _converted(np.array(recipe.value), dtype))
        case IdentityArray():
            return _identity(shape, dtype)
        case CopyArray():
            array = np.zeros(shape, dtype)
            array[(np.arange(min(shape, default=1)),) * len(shape)] = 1.0
            return array
        case GateArray():
            return _gate(recipe, shape)
        case _:
            return _fitted(_given(recipe, store), shape)


def _gate(recipe: GateArray, shape: Shape) -> Array:
    kind = GATES.get(recipe.name) or STATES.get(recipe.name)
    found = shape if kind is None else (2,) * (recipe.controls + kind.n_axes)
    if found != shape:  # before it is made: a document may ask for any number of controls
        raise _wrong_shape(found, f"the gate '{recipe.name}'", shape)
    return gate_array(
        recipe.name, recipe.parameters, conjugate=recipe.conjugate, controls=recipe.controls
    )


def _given(recipe: InlineArray | BlobArray, store: ArrayStore) -> Array:
    """Values that came with a shape of their own."""
    if isinstance(recipe, BlobArray):
        return store.get(recipe.hash)
    flat = np.array(recipe.values, dtype=np.float64)
    flat = flat.view(np.complex128) if recipe.complex else flat
    return flat.reshape(recipe.shape)


def _random(recipe: RandomArray, shape: Shape, dtype: DType) -> Array:
    """Drawn in parts: in double precision there are never more than a few numbers at once."""
    generator = np.random.Generator(np.random.PCG64(recipe.seed))
    draw = generator.random if recipe.distribution == "uniform" else generator.standard_normal
    if recipe.distribution != "complex-normal":
        made = np.empty(shape, dtype)
        _fill(made.reshape(-1), draw)
        return made
    made = np.empty(shape, dtype if dtype.startswith("complex") else np.complex128)
    flat = made.reshape(-1)
    _fill(flat.real, draw, sqrt(0.5))
    _fill(flat.imag, draw, sqrt(0.5))
    return made


def _fill(numbers: Array, draw: Callable[[int], Array], factor: float = 1.0) -> None:
    """Draws all of them, (n,), in order."""
    for start in range(0, len(numbers), _DRAWN):
        part = numbers[start : start + _DRAWN]
        part[:] = draw(len(part)) * factor


def _identity(shape: Shape, dtype: DType) -> Array:
    half = len(shape) // 2
    rows, columns = prod(shape[:half]), prod(shape[half:])
    if len(shape) % 2:
        raise NetworkError(
            "odd-axes",
            f"An identity needs as many legs in as out, but the tensor has {len(shape)}.",
            "Add or remove a leg, or choose another array.",
            values={"n_axes": len(shape)},
        )
    if rows != columns:
        raise NetworkError(
            "array-shape",
            f"An identity is square, but this tensor's halves have {rows} and {columns} elements.",
            "Make the dimensions of both halves agree, or choose another array.",
            values={"rows": rows, "columns": columns},
        )
    return np.eye(rows, dtype=dtype).reshape(shape)


def _fitted(array: Array, shape: Shape) -> Array:
    """The array cropped or padded with zeros to a shape with as many axes, or with more.

    So a bond of given tensors can be scrubbed and a leg pulled from them: fewer values truncate,
    more add nothing, a new last axis holds the array at its first value. The recipe still has
    every number.
    """
    if array.ndim > len(shape):
        raise _wrong_shape(array.shape, "the given array", shape)
    array = array.reshape((*array.shape, *(1,) * (len(shape) - array.ndim)))
    if array.shape == shape:
        return array
    common = tuple(slice(min(pair)) for pair in zip(array.shape, shape, strict=True))
    fitted = np.zeros(shape, array.dtype)
    fitted[common] = array[common]
    return fitted


def _wrong_shape(found: Shape, what: str, shape: Shape) -> NetworkError:
    return NetworkError(
        "array-shape",
        f"The tensor has shape {shape}, but {what} has shape {found}.",
        "Change the legs or dimensions back, or choose another array.",
        values={"wanted": list(shape), "found": list(found)},
    )


def _converted(array: Array, dtype: DType) -> Array:
    """The array in C order and of this type, or of the wider one that its numbers need."""
    array = real_where_asked(array, dtype, "The array")
    wide = exponent_beyond(array, dtype) != 0
    # An infinite number carries no exponent, and what stands beside it may overflow.
    with np.errstate(over="ignore"):
        return np.asarray(array, np.result_type(dtype, np.float64) if wide else dtype, order="C")
