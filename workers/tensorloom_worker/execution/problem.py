"""What a request asks to contract: indices, dimensions, a number type, and where arrays come from.

A batch is an index of its own, in front of the arrays that have it and of the result; it is always
sliced, so that contractions share all that does not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tensorloom.errors import NetworkError, PlanError, Where
from tensorloom.execute.arrays import ArrayStore, make_array, too_big
from tensorloom.execute.casting import as_numbers
from tensorloom.model import codec
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom.plan.cost import cost_of
from tensorloom.plan.inputs import inputs_of
from tensorloom.plan.memory import ordered_path
from tensorloom.plan.plan import Plan
from tensorloom.plan.tree import ContractionTree
from tensorloom_worker.array_files import find, load, read_facts
from tensorloom_worker.records import PlanJson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tensorloom.model.document import Document
    from tensorloom.model.network import Network
    from tensorloom.model.recipe import DType
    from tensorloom.plan.inputs import Dimensions, Inputs, Output
    from tensorloom_worker.ledger import ArrayRef
    from tensorloom_worker.records import ContractRequest

__all__ = ["BATCH", "Problem", "check_sizes", "plan_json", "tree_with"]

BATCH = "batch:"
"""Before the tensor's id in the names of a batch's arrays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is to be contracted.

    Args:
        inputs: Index names of each tensor.
        output: Of the result.
        dimensions: Of every index.
        dtype: Type to compute in.
        batch: Name of the batch's index, if there is one.
    """

    inputs: Inputs
    output: Output
    dimensions: Dimensions
    dtype: DType
    batch: str | None = None

    @classmethod
    def of(cls, request: ContractRequest, arrays: Mapping[str, ArrayRef]) -> Problem:
        """The problem of a request.

        Args:
            request: What came.
            arrays: Uploaded files by tensor id; those of a batch with ``batch:`` before it. They
                may be missing: then a batch counts as one contraction.

        Raises:
            TensorloomError: The document cannot be read, or arrays do not belong to it.
        """
        document = codec.from_json(request.document)
        inputs, output, dimensions = inputs_of(document.network)
        dtype = request.dtype or document.dtype
        asked = (*request.arrays, *(request.batch.arrays if request.batch else ()))
        known = document.network.tensor_by_id
        for identity in asked:
            if identity not in known:
                raise NetworkError(
                    "unknown-tensor",
                    f"An array is given for tensor {identity!r:.60}, which is not in the document.",
                    "Name a tensor of the document by its id.",
                    Where(tensors=(identity,)),
                )
        plain = cls(inputs=inputs, output=output, dimensions=dimensions, dtype=dtype)
        if request.batch is None:
            return plain
        return plain._batched(document, request, arrays)

    def _batched(
        self, document: Document, request: ContractRequest, arrays: Mapping[str, ArrayRef]
    ) -> Problem:
        assert request.batch is not None
        name = "batch"
        while name in dict(self.dimensions):
            name += "_"
        places = {tensor.id: place for place, tensor in enumerate(document.network.tensors)}
        inputs = list(self.inputs)
        sizes: dict[int, str] = {}
        for identity in request.batch.arrays:
            inputs[places[identity]] = (name, *inputs[places[identity]])
            ref = arrays.get(BATCH + identity)
            if ref is not None:
                shape = find(read_facts(ref.path), ref.key).shape
                sizes.setdefault(shape[0] if shape else 0, identity)
        if 0 in sizes:
            raise NetworkError(
                "array-shape",
                f"The batch of {sizes[0]!r:.60} has no arrays.",
                "Give at least one, along the first axis.",
                Where(tensors=(sizes[0],)),
            )
        if len(sizes) > 1:
            (one, first), (other, second), *_ = sizes.items()
            raise NetworkError(
                "batch-mismatch",
                f"The batch of {first!r:.60} has {one} arrays, that of {second!r:.60} has {other}.",
                "Give every batched tensor the same number of arrays, along the first axis.",
                Where(tensors=(first, second)),
                values={"one": one, "other": other},
            )
        return replace(
            self,
            inputs=tuple(inputs),
            output=(name, *self.output),
            dimensions=((name, next(iter(sizes), 1)), *self.dimensions),
            batch=name,
        )

    def of_length(self, length: int) -> Problem:
        """The same with a batch of so many contractions, whose arrays may not be here."""
        sizes = {**dict(self.dimensions), **({self.batch: length} if self.batch else {})}
        return replace(self, dimensions=tuple(sizes.items()))

    @property
    def itemsize(self) -> int:
        """Of an element [bytes]."""
        return ITEM_BYTES[self.dtype]

    @property
    def input_elements(self) -> int:
        """What all inputs hold together [elements]."""
        sizes = dict(self.dimensions)
        return sum(prod(sizes[name] for name in names) for names in self.inputs)

    def tree(self, plan: PlanJson) -> ContractionTree:
        """The tree of a path given from outside, its steps in the order that needs least memory.

        Raises:
            PlanError: ``bad-path``, ``bad-slices``.
        """
        pairs = []
        for pair in plan.path:
            if len(pair) != 2:  # noqa: PLR2004  # pairwise contractions only
                raise PlanError("bad-path", f"A step joins {len(pair)} tensors, not two.")
            pairs.append((pair[0], pair[1]))
        known = dict(self.dimensions)
        for name in plan.sliced:
            if name not in known or plan.sliced.count(name) > 1:
                raise PlanError(
                    "bad-slices",
                    f"Index {name!r:.60} is to be sliced, but is twice in the plan or nowhere.",
                    "Name each sliced index once.",
                    Where(indices=(name,)),
                )
        sliced = dict.fromkeys((*((self.batch,) if self.batch else ()), *plan.sliced))
        return tree_with(
            ContractionTree(
                inputs=self.inputs,
                output=self.output,
                dimensions=self.dimensions,
                path=tuple(pairs),
            ),
            tuple(sliced),
        )

    def arrays(
        self, request: ContractRequest, files: Mapping[str, ArrayRef], most_bytes: int
    ) -> list[NDArray[Any]]:
        """One array per input, uploaded ones mapped from their files, others from their recipes.

        Args:
            request: What the problem is of.
            files: Uploaded files.
            most_bytes: What an array that is made may hold [bytes].

        Raises:
            NetworkError: An array that does not fit its tensor, or ``array-missing``.
            DeviceMemoryError: ``array-too-big``.
        """
        document = codec.from_json(request.document)
        sizes = dict(self.dimensions)
        store = ArrayStore()
        made: dict[Any, NDArray[Any]] = {}
        found = []
        for place, tensor in enumerate(document.network.tensors):
            shape = tuple(sizes[name] for name in self.inputs[place])
            is_batched = request.batch is not None and tensor.id in request.batch.arrays
            ref = files.get(BATCH + tensor.id if is_batched else tensor.id)
            if ref is None and (is_batched or tensor.id in request.arrays):
                # The document's own array would give a result that nobody asked for.
                raise NetworkError(
                    "array-missing",
                    f"The array that was uploaded for {tensor.name} is not here.",
                    "Upload it again and submit the job anew.",
                    Where(tensors=(tensor.id,)),
                )
            if ref is None:
                key = (tensor.array, shape)
                if key not in made:
                    made[key] = make_array(
                        tensor.array, shape, self.dtype, store, most_bytes=most_bytes
                    )
                found.append(made[key])
                continue
            array = as_numbers(load(ref.path, ref.key), place)
            if array.shape != shape:
                raise NetworkError(
                    "array-shape",
                    f"The array of {tensor.name} has shape {array.shape}, but its tensor has shape "
                    f"{shape}.",
                    "Give an array with one axis per index, of its dimension.",
                    Where(tensors=(tensor.id,)),
                    values={"wanted": list(shape), "found": list(array.shape)},
                )
            found.append(array)
        return found


def check_sizes(network: Network, dtype: DType, most_bytes: int) -> None:
    """Nothing, when a process can hold each tensor.

    Args:
        network: What is to be contracted.
        dtype: Type to compute in.
        most_bytes: What a process may use [bytes].

    Raises:
        DeviceMemoryError: ``array-too-big``.
    """
    for tensor in network.tensors:
        size = prod(network.shape(tensor)) * ITEM_BYTES[dtype]
        if size > most_bytes:
            error = too_big(size, most_bytes)
            message, where = f"{tensor.name}: {error.message}", Where(tensors=(tensor.id,))
            raise replace(error, message=message, where=where)


def tree_with(tree: ContractionTree, sliced: tuple[str, ...]) -> ContractionTree:
    """The tree with these sliced indices, its steps in the order that then needs least memory."""
    cut = replace(tree, sliced=sliced)
    return replace(cut, path=ordered_path(cut))


def plan_of(tree: ContractionTree) -> Plan:
    """The tree with its cost."""
    return Plan(tree=tree, cost=cost_of(tree), finder="reconfigured")


def plan_json(tree: ContractionTree) -> PlanJson:
    """What is recorded of a tree."""
    return PlanJson(path=cast("Any", tree.path), sliced=tree.sliced)


def result_bytes(problem: Problem) -> int:
    """Size of the result [bytes]."""
    sizes = dict(problem.dimensions)
    return int(np.prod([sizes[name] for name in problem.output], dtype=object)) * problem.itemsize
