"""The request for a job, made from a network: its document, its order, and the arrays beside it.

Small arrays travel in the document, where one request brings a thousand of them; large ones are
files of their own, named by the hash of their bytes, so that none is ever sent twice.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import NetworkError, Where
from tensorloom.execute.arrays import stored_array
from tensorloom.execute.casting import as_numbers
from tensorloom.model import codec
from tensorloom.model.diagram import Diagram
from tensorloom.model.document import Document, default_mark
from tensorloom.model.recipe import BlobArray, InlineArray

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from tensorloom.execute.arrays import ArrayStore
    from tensorloom.model.network import Network
    from tensorloom.model.recipe import ArrayRecipe, DType
    from tensorloom.model.tensor import Tensor
    from tensorloom.plan.plan import Plan

__all__ = ["JobRequest", "job_request"]

MOST_INLINE = 4096
"""Largest array that travels in the document [numbers]."""

MOST_INLINE_TOGETHER = 100_000
"""All of them together: a number takes about 20 bytes of JSON there [numbers]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What is sent.

    Args:
        record: The request as JSON.
        files: .npy files that the worker needs, by the SHA-256 of their bytes.
    """

    record: Mapping[str, Any]
    files: Mapping[str, bytes]

    def with_batch(self, batch: Mapping[str, ArrayLike]) -> JobRequest:
        """The same for many contractions.

        Args:
            batch: By tensor id, one array per contraction along a first axis, in the place of the
                tensor's own.

        Raises:
            NetworkError: ``bad-array``, ``unknown-tensor``.
        """
        tensors = self.record["document"]["tensors"]
        places = {tensor["id"]: place for place, tensor in enumerate(tensors)}
        used = {
            name: use for name, use in self.record.get("arrays", {}).items() if name not in batch
        }
        files = {use["sha256"]: self.files[use["sha256"]] for use in used.values()}
        many = {}
        for identity, arrays in batch.items():
            if identity not in places:
                raise NetworkError(
                    "unknown-tensor",
                    f"The batch names tensor {identity!r:.60}, which is not in the network.",
                    "Name a tensor by its id.",
                    Where(tensors=(identity,)),
                )
            data = _npy(as_numbers(arrays, places[identity]))
            many[identity] = {"sha256": hashlib.sha256(data).hexdigest()}
            files[many[identity]["sha256"]] = data
        return JobRequest(
            record={**self.record, "arrays": used, "batch": {"arrays": many}}, files=files
        )


def job_request(
    network: Network | Document,
    arrays: Sequence[ArrayLike] | None,
    *,
    dtype: DType,
    store: ArrayStore,
    plan: Plan | None = None,
    backend: str = "auto",
) -> JobRequest:
    """The request that contracts a network.

    Args:
        network: The network, or a document that holds it.
        arrays: One per tensor, already known to fit; by default the tensors' recipes are sent.
        dtype: Type to compute in.
        store: Where recipes that name stored arrays find them.
        plan: An order; what the worker finds is never worse.
        backend: What contracts there; ``auto`` is its own choice.

    Raises:
        NetworkError: ``array-missing``, ``bad-array``.
    """
    document = network if isinstance(network, Document) else _drawn(network, dtype)
    used: dict[str, dict[str, str]] = {}
    files: dict[str, bytes] = {}
    names: dict[str, str] = {}
    room = MOST_INLINE_TOGETHER

    def sent(tensor: Tensor, recipe: BlobArray, array: NDArray[Any]) -> None:
        """Let a file of the worker be the tensor's array."""
        if recipe.hash not in names:
            data = _npy(array)
            names[recipe.hash] = hashlib.sha256(data).hexdigest()
            files[names[recipe.hash]] = data
        used[tensor.id] = {"sha256": names[recipe.hash]}

    tensors = []
    for number, tensor in enumerate(document.network.tensors):
        recipe: ArrayRecipe = tensor.array
        if arrays is not None:
            array = as_numbers(arrays[number], number)
            inline = _inline(array) if array.size <= min(MOST_INLINE, room) else None
            if inline is not None:
                room -= array.size
                recipe = inline
            else:
                stored = stored_array(array)
                recipe = stored.recipe
                sent(tensor, recipe, np.frombuffer(stored.data, stored.dtype).reshape(array.shape))
        elif isinstance(recipe, BlobArray):
            sent(tensor, recipe, store.get(recipe.hash))
        tensors.append(replace(tensor, array=recipe))
    network = replace(document.network, tensors=tuple(tensors))
    record: dict[str, object] = {
        "kind": "contract",
        "title": document.title,
        "document": codec.to_json(replace(document, network=network)),
        "dtype": dtype,
    }
    if used:
        record["arrays"] = used
    if backend != "auto":
        record["backend"] = backend
    if plan is not None:
        record["plan"] = {
            "path": [list(pair) for pair in plan.tree.path],
            "sliced": list(plan.tree.sliced),
        }
    return JobRequest(record=record, files=files)


def _drawn(network: Network, dtype: DType) -> Document:
    """A document of a network that nobody has drawn."""
    marks = {tensor.id: default_mark() for tensor in network.tensors}
    return Document(title="", dtype=dtype, network=network, diagram=Diagram(marks=marks))


def _inline(array: NDArray[Any]) -> InlineArray | None:
    """The recipe that holds the numbers themselves; ``None`` where JSON has no word for one."""
    iscomplex = array.dtype.kind == "c"
    flat = np.ascontiguousarray(array, np.complex128 if iscomplex else np.float64).reshape(-1)
    numbers = flat.view(np.float64)
    if not np.isfinite(numbers).all() or prod(array.shape) == 0:
        return None
    return InlineArray(values=tuple(numbers.tolist()), shape=tuple(array.shape), complex=iscomplex)


def _npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    np.lib.format.write_array(file, little, version=(1, 0), allow_pickle=False)
    return file.getvalue()
