"""What is looked at before a job is taken: the document, its arrays, the tree, the parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from tensorloom.errors import InputError, NetworkError, PlanError, Where
from tensorloom.model import codec
from tensorloom.model.recipe import BlobArray
from tensorloom.plan.tree import ContractionTree
from tensorloom_worker.entries import PathSearchParameters, checked_parameters
from tensorloom_worker.limits import beyond_arrays, beyond_result, beyond_search, beyond_tensors
from tensorloom_worker.records import JOB_REQUEST, ArraysQuery, ContractRequest, EntryRequest
from tensorloom_worker.refusals import from_validation
from tensorloom_worker.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tensorloom.errors import TensorloomError
    from tensorloom.model.network import Network
    from tensorloom_worker.array_files import ArrayFacts
    from tensorloom_worker.entries import SampleAmplitudesParameters
    from tensorloom_worker.records import ArrayUse
    from tensorloom_worker.settings import Settings

__all__ = ["check_arrays", "check_request", "read_query", "read_request", "uses_of"]


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


def check_request(request: ContractRequest | EntryRequest, settings: Settings) -> Network:
    """The network of a request that makes sense so far, within the limits.

    Raises:
        TensorloomError: It makes none, or goes beyond a limit.
    """
    if isinstance(request, EntryRequest):
        return _of_entry(checked_parameters(request), settings)
    _refuse(beyond_search(request.search_seconds or 0.0, settings))
    network = _network(request.document, settings)
    _check_names(request, network)
    if request.plan is not None:
        unknown = set(request.plan.sliced) - set(network.dimension_of)
        if unknown:
            name = min(unknown)
            raise NetworkError(
                "unknown-index",
                f"The plan slices index {name!r:.80}, which the network does not have.",
                "Send a plan that was made for this network.",
                Where(indices=(name,)),
            )
        try:
            ContractionTree(
                inputs=tuple(tensor.indices for tensor in network.tensors),
                output=network.output,
                dimensions=tuple((index.name, index.dimension) for index in network.indices),
                path=request.plan.path,
                sliced=request.plan.sliced,
            )
        except PlanError as error:
            hint = "Send a plan that was made for this network."
            raise PlanError("bad-path", error.message, hint) from error
    return network


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
) -> Network:
    """The network that an entry point builds."""
    _refuse(beyond_search(parameters.seconds, settings))
    if isinstance(parameters, PathSearchParameters):
        return _network(parameters.document, settings)
    sampling = Sampling.of(parameters, settings.max_result_bytes)
    network = sampling.document.network
    _refuse(beyond_tensors(len(network.tensors), settings))
    _refuse(beyond_arrays(sampling.bra_bytes, settings))
    _refuse(beyond_result(sampling.result_bytes, settings))
    return network


def _refuse(error: TensorloomError | None) -> None:
    if error is not None:
        raise error


def _network(document: object, settings: Settings) -> Network:
    network = codec.from_json(document).network
    _refuse(beyond_tensors(len(network.tensors), settings))
    if not network.tensors:
        raise NetworkError(
            "nothing-to-contract",
            "The network has no tensors.",
            "Send a document with at least one.",
        )
    return network


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
