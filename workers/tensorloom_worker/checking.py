"""What is looked at before a job is taken: the document, its arrays, the tree, the parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from tensorloom.errors import InputError, NetworkError, PlanError, TensorloomError, Where
from tensorloom.execute.arrays import try_array
from tensorloom.execute.blocks import blocks
from tensorloom.model import codec
from tensorloom.model.recipe import BlobArray
from tensorloom.plan.tree import ContractionTree
from tensorloom_worker.array_files import load
from tensorloom_worker.entries import PathSearchParameters, checked_parameters
from tensorloom_worker.limits import beyond_arrays, beyond_result, beyond_search, beyond_tensors
from tensorloom_worker.records import JOB_REQUEST, ArraysQuery, ContractRequest, EntryRequest
from tensorloom_worker.refusals import from_validation
from tensorloom_worker.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from numpy.typing import NDArray

    from tensorloom.model.document import Document
    from tensorloom.model.network import Network
    from tensorloom.model.recipe import DType
    from tensorloom_worker.array_files import ArrayFacts
    from tensorloom_worker.entries import SampleAmplitudesParameters
    from tensorloom_worker.records import ArrayUse, PlanJson
    from tensorloom_worker.settings import Settings
    from tensorloom_worker.store import Client
    from tensorloom_worker.uploads import Uploads

__all__ = ["check_arrays", "check_job", "check_request", "read_query", "read_request", "uses_of"]


def read_request(value: object) -> ContractRequest | EntryRequest:
    """The request that a JSON value describes.

    Raises:
        InputError: ``missing-field``, ``unknown-field`` or ``bad-field``.
    """
    try:
        return JOB_REQUEST.validate_python(value)
    except ValidationError as error:
        raise from_validation(error, "the request") from error


def read_query(value: object) -> ArraysQuery:
    """The question that a JSON value asks.

    Raises:
        InputError: ``missing-field``, ``unknown-field`` or ``bad-field``.
    """
    try:
        return ArraysQuery.from_json(value)
    except ValidationError as error:
        raise from_validation(error, "the request") from error


def uses_of(request: ContractRequest | EntryRequest) -> dict[str, ArrayUse]:
    """The arrays that a request names, by the name that the execution knows them by."""
    if not isinstance(request, ContractRequest):
        return {}
    batch = request.batch.arrays if request.batch else {}
    return {**request.arrays, **{f"batch:{name}": use for name, use in batch.items()}}


def check_job(
    request: ContractRequest | EntryRequest,
    uses: Mapping[str, ArrayUse],
    settings: Settings,
    uploads: Uploads,
    client: Client,
) -> None:
    """Nothing, when a request may be taken: what is known to fail is refused before.

    Args:
        request: What came.
        uses: The arrays that it names.
        settings: The limits.
        uploads: Where these arrays are.
        client: Whose they are.

    Raises:
        TensorloomError: It makes no sense, goes beyond a limit, or its arrays do not fit it.
    """
    document = check_request(request, settings)
    if not isinstance(request, ContractRequest):
        return
    facts = uploads.facts_of(client, uses)
    check_arrays(document.network, facts)
    dtype = request.dtype or document.dtype
    if dtype.startswith("complex"):
        return
    found = {name: use for name, use in uses.items() if facts[name].dtype.kind == "c"}
    for name, ref in uploads.refs_here(client, found).items():
        _check_real(name.removeprefix("batch:"), load(ref.path, ref.key), dtype)


def _check_real(identity: str, array: NDArray[Any], dtype: DType) -> None:
    if any(np.any(part.imag) for (part,) in blocks(array)):
        raise NetworkError(
            "complex-into-real",
            f"The array of tensor {identity!r:.80} is complex, but the network is contracted in "
            f"{dtype}.",
            "Choose complex64 or complex128 as the number type.",
            Where(tensors=(identity,)),
            {"dtype": dtype},
        )


def check_request(request: ContractRequest | EntryRequest, settings: Settings) -> Document:
    """The document of a request that makes sense so far, within the limits.

    Raises:
        TensorloomError: It makes none, or goes beyond a limit.
    """
    if isinstance(request, EntryRequest):
        return _of_entry(checked_parameters(request), settings)
    _refuse(beyond_search(request.search_seconds or 0.0, settings))
    document = _document(request.document, settings)
    _check_names(request, document.network)
    if request.plan is not None:
        _check_plan(request.plan, document.network)
    named = {name.removeprefix("batch:") for name in uses_of(request)}
    _check_values(document.network, request.dtype or document.dtype, named)
    return document


def _check_plan(plan: PlanJson, network: Network) -> None:
    unknown = set(plan.sliced) - set(network.dimension_of)
    if unknown:
        name = min(unknown)
        raise NetworkError(
            "unknown-index",
            f"The plan slices index {name!r:.80}, which the network does not have.",
            "Send a plan that was made for this network.",
            Where(indices=(name,)),
        )
    if len(set(plan.sliced)) < len(plan.sliced):
        name = max(plan.sliced, key=plan.sliced.count)
        raise PlanError(
            "bad-slices",
            f"The plan slices index {name!r:.80} twice.",
            "Name each sliced index once.",
            Where(indices=(name,)),
        )
    try:
        ContractionTree(
            inputs=tuple(tensor.indices for tensor in network.tensors),
            output=network.output,
            dimensions=tuple((index.name, index.dimension) for index in network.indices),
            path=plan.path,
            sliced=plan.sliced,
        )
    except PlanError as error:
        hint = "Send a plan that was made for this network."
        raise PlanError("bad-path", error.message, hint) from error


def _check_values(network: Network, dtype: DType, named: Container[str]) -> None:
    """Nothing, when the values that come from recipes fit the type.

    Args:
        network: The network of the request.
        dtype: Type to compute in.
        named: Tensors whose values come from elsewhere.
    """
    tried = set()
    for tensor in network.tensors:
        key = tensor.array, network.shape(tensor)
        if tensor.id in named or key in tried:
            continue
        tried.add(key)
        try:
            try_array(*key, dtype)
        except TensorloomError as error:
            message, where = f"{tensor.name}: {error.message}", Where(tensors=(tensor.id,))
            raise replace(error, message=message, where=where) from error


def check_arrays(network: Network, facts: Mapping[str, ArrayFacts]) -> None:
    """Nothing, when every array has the shape of its tensor and none is missing.

    Args:
        network: The network of the request.
        facts: What was found in the files, by name of ``uses_of``.

    Raises:
        InputError: ``array-shape`` or ``array-missing``.
    """
    size: int | None = None
    for name, found in facts.items():
        batched = name.startswith("batch:")
        tensor = network.tensor_by_id[name.removeprefix("batch:")]
        shape = tuple(network.dimension_of[index] for index in tensor.indices)
        if batched:
            size = found.shape[0] if size is None and found.shape else size
            # Nothing comes of a batch of none.
            shape = (size or 1, *shape)
        if found.shape != shape:
            raise InputError(
                "array-shape",
                f"The array of tensor {tensor.id!r:.80} has the shape {str(found.shape)[:80]}, "
                f"not {str(shape)[:80]}.",
                "Upload an array of the tensor's shape.",
                Where(tensors=(tensor.id,)),
            )
    named = {name.removeprefix("batch:") for name in facts}
    for tensor in network.tensors:
        if isinstance(tensor.array, BlobArray) and tensor.id not in named:
            raise InputError(
                "array-missing",
                f"The values of tensor {tensor.id!r:.80} are not with the request.",
                "Upload its array and name it in 'arrays'.",
                Where(tensors=(tensor.id,)),
            )


def _of_entry(
    parameters: PathSearchParameters | SampleAmplitudesParameters, settings: Settings
) -> Document:
    """The document that an entry point builds."""
    _refuse(beyond_search(parameters.seconds or 0, settings))
    if isinstance(parameters, PathSearchParameters):
        document = _document(parameters.document, settings)
        if parameters.plan is not None:
            _check_plan(parameters.plan, document.network)
        return document
    sampling = Sampling.of(parameters, settings.max_result_bytes)
    network = sampling.document.network
    _refuse(beyond_tensors(len(network.tensors), settings))
    _refuse(beyond_arrays(sampling.bra_bytes, settings))
    _refuse(beyond_result(sampling.result_bytes, settings))
    _check_values(network, parameters.dtype, ())
    return sampling.document


def _refuse(error: TensorloomError | None) -> None:
    if error is not None:
        raise error


def _document(value: object, settings: Settings) -> Document:
    document = codec.from_json(value)
    network = document.network
    _refuse(beyond_tensors(len(network.tensors), settings))
    if not network.tensors:
        raise NetworkError(
            "nothing-to-contract",
            "The network has no tensors.",
            "Send a document with at least one.",
        )
    return document


def _check_names(request: ContractRequest, network: Network) -> None:
    both = set(request.arrays) & set(request.batch.arrays if request.batch else ())
    if both:
        name = min(both)
        raise InputError(
            "bad-field",
            f"Tensor {name!r:.80} has an array and one of a batch.",
            "Name one of them.",
            Where(tensors=(name,)),
        )
    for name in (*request.arrays, *(request.batch.arrays if request.batch else ())):
        if name not in network.tensor_by_id:
            raise NetworkError(
                "unknown-tensor",
                f"The request has an array for tensor {name!r:.80}, which does not exist.",
                "Name arrays by the ids of the document's tensors.",
                Where(tensors=(name,)),
            )
