"""What crosses the wire and what the store keeps: frozen records, each with its JSON both ways.

They are pydantic models, unlike the records of the library, because one definition then gives the
reader of untrusted JSON, the writer and the OpenAPI document. JSON is camelCase; whole numbers that
may pass 2^53 travel as decimal strings. ``record.to_json()`` leaves out what is not set;
``Kind.from_json(value)`` raises pydantic's ``ValidationError``, which ``reading`` turns into words.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from tensorloom.model.recipe import DType

__all__ = [
    "FINAL",
    "JOB_REQUEST",
    "About",
    "ArrayState",
    "ArrayStates",
    "ArrayUse",
    "ArraysQuery",
    "Batch",
    "Big",
    "ContractRequest",
    "EntryFacts",
    "EntryRequest",
    "Estimate",
    "Event",
    "Facts",
    "Health",
    "Job",
    "JobList",
    "JobProgress",
    "JobRequest",
    "JobResult",
    "PartialValue",
    "PlanJson",
    "Record",
    "Refusal",
    "Sha256",
    "State",
    "Token",
]

State = Literal["queued", "searching", "running", "done", "failed", "cancelled"]
FINAL: frozenset[State] = frozenset({"done", "failed", "cancelled"})
"""States that a job never leaves."""

MAX_TITLE_LENGTH = 200
MAX_STEPS = 20_000
MAX_SLICED = 10_000
MAX_ARRAYS_ASKED = 1000
_DIGITS = 400
"""Most digits of a number; beyond it no job could ever be run."""


def _whole(value: object) -> object:
    """A whole number from decimal digits, as the wire has it, or from Python."""
    if isinstance(value, str):
        if not value.isascii() or not value.isdigit() or len(value) > _DIGITS:
            raise ValueError("it must be a string of decimal digits")
        return int(value)
    if isinstance(value, bool):
        raise ValueError("it must be a string of decimal digits")  # noqa: TRY004  # what pydantic wants
    return value


Big = Annotated[
    int,
    BeforeValidator(_whole),
    Field(ge=0),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+$", "maxLength": _DIGITS}),
]
"""A whole number that may pass 2^53: a string of decimal digits on the wire."""

Number = Annotated[int, Field(ge=0, lt=2**31)]
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Title = Annotated[str, StringConstraints(max_length=MAX_TITLE_LENGTH)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Json = dict[str, Any]
"""A JSON object whose own reader checks it later, such as a document."""

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Record(BaseModel):
    """Base of all records: frozen, strict about unknown fields, camelCase on the wire."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, strict=False
    )

    @classmethod
    def from_json(cls, value: object) -> Self:
        """The record that a JSON object describes."""
        return cls.model_validate(value)

    def to_json(self) -> dict[str, Any]:
        """The JSON object, without the fields that are ``None``."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


# What a client sends.


class ArrayUse(Record):
    """Which stored array holds the values of a tensor.

    Args:
        sha256: Name of the uploaded file: the hash of its bytes.
        key: Name of the array inside a safetensors file; ``None`` for a ``.npy`` file.
    """

    sha256: Sha256
    key: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None


class PlanJson(Record):
    """A contraction tree: a path in static single assignment form, and the sliced indices.

    Args:
        path: Pairs of positions; inputs come first, then what each step makes.
        sliced: Names of indices that are fixed and summed over.
    """

    path: Annotated[tuple[tuple[Number, Number], ...], Field(max_length=MAX_STEPS)]
    sliced: Annotated[tuple[Name, ...], Field(max_length=MAX_SLICED)] = ()


class Batch(Record):
    """Many contractions that share a tree.

    Args:
        arrays: By tensor id, arrays whose first axis counts the contractions.
    """

    arrays: Annotated[dict[str, ArrayUse], Field(min_length=1, max_length=MAX_STEPS)]


class ContractRequest(Record):
    """Contract the network of a document.

    Args:
        kind: The tag.
        title: One line for lists.
        document: A Tensorloom document as JSON.
        arrays: By tensor id, the uploaded array that it uses instead of its recipe.
        plan: The tree to use or to start from; found here if ``None``.
        dtype: Type to compute in; the document's own if ``None``.
        backend: What contracts.
        memory_bytes: Most that one worker process may use; the service's limit if ``None``.
        search_seconds: How long to look for a better tree; chosen by the service if ``None``.
        batch: Arrays that make this many contractions.
    """

    kind: Literal["contract"]
    title: Title = ""
    document: Json
    arrays: Annotated[dict[str, ArrayUse], Field(max_length=MAX_STEPS)] = {}
    plan: PlanJson | None = None
    dtype: DType | None = None
    backend: Literal["auto", "numpy", "torch", "cupy", "wgpu"] = "auto"
    memory_bytes: Annotated[int, Field(gt=0, lt=2**53)] | None = None
    search_seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] | None = None
    batch: Batch | None = None


class EntryRequest(Record):
    """Run a named entry point of the package.

    Args:
        kind: The tag.
        title: One line for lists.
        entry: Its name.
        parameters: What its schema asks for.
    """

    kind: Literal["entry"]
    title: Title = ""
    entry: Name
    parameters: Json = {}


JobRequest = Annotated[ContractRequest | EntryRequest, Field(discriminator="kind")]
JOB_REQUEST: TypeAdapter[ContractRequest | EntryRequest] = TypeAdapter(JobRequest)
"""Reads a request of either kind."""


# What a client gets.


class Refusal(Record):
    """A ``TensorloomError`` as JSON."""

    kind: str
    code: str
    message: str
    hint: str
    where: Json = {}
    values: Json = {}


class ArraysQuery(Record):
    """How far several uploads have come.

    Args:
        arrays: Hashes of the files.
    """

    arrays: Annotated[tuple[Sha256, ...], Field(min_length=1, max_length=MAX_ARRAYS_ASKED)]


class ArrayState(Record):
    """How far an upload has come.

    Args:
        sha256: Of the file.
        offset: Bytes that are here, 0 where nothing is known of it.
        length: Of the whole file, once its first bytes were sent.
    """

    sha256: Sha256
    offset: Big
    length: Big | None = None


class ArrayStates(Record):
    """How far several uploads have come, in the order in which they were asked for."""

    arrays: tuple[ArrayState, ...]


class Estimate(Record):
    """What a job will take.

    Args:
        mul_adds: Multiply-add pairs over all slices.
        flop: The same as floating-point operations: 2 per pair for real, 8 for complex types.
        slices: Number of slices.
        peak_bytes_per_worker: Most memory of one worker process.
        result_bytes: Size of the result.
        predicted_ms: Time to contract on all workers, once it starts.
        search_ms: Time for the path search before.
        fits: Whether the service would take it.
        refusal: Why not.
        basis: ``calibrated`` where the rates were measured here.
        plan: The tree that the numbers speak of.
    """

    mul_adds: Big
    flop: Big
    slices: Big
    peak_bytes_per_worker: Big
    result_bytes: Big
    predicted_ms: Finite
    search_ms: Finite = 0.0
    fits: bool
    refusal: Refusal | None = None
    basis: Literal["calibrated", "typical"]
    plan: PlanJson | None = None


class JobProgress(Record):
    """How far a job has come.

    Args:
        slices_done: Slices whose sum is recorded.
        slices: Of how many.
        fraction: From 0 to 1.
        eta_ms: Predicted time to the end.
    """

    slices_done: Big = 0
    slices: Big = 0
    fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    eta_ms: Finite | None = None


class PartialValue(Record):
    """The sum so far and how much it still moves.

    Args:
        value: Real and imaginary part, for a scalar.
        log10_scale: What the value is to be multiplied with.
        relative_change: By the last tasks.
        standard_error: Of the total, estimated from the tasks so far, relative to it.
    """

    value: tuple[Finite, Finite] | None = None
    log10_scale: Finite = 0.0
    relative_change: Finite | None = None
    standard_error: Finite | None = None


class JobResult(Record):
    """What a finished job has to give; the array itself is ``result.npy``.

    Args:
        shape: Dimensions.
        dtype: Type of its elements.
        log10_scale: What the array is to be multiplied with.
        error_bound: Relative to the largest magnitude.
        bytes: Size of ``result.npy``.
        sha256: Of ``result.npy``.
        ms: Time on the workers, waiting and search apart.
        mul_adds: Multiply-add pairs that were done.
        backend: What contracted.
        value: Real and imaginary part, for a scalar.
        details: What an entry point has to tell beside its array.
    """

    shape: tuple[int, ...]
    dtype: str
    log10_scale: Finite = 0.0
    error_bound: Finite
    bytes: Big
    sha256: Sha256
    ms: Finite
    mul_adds: Big
    backend: str
    value: tuple[Finite, Finite] | None = None
    details: Json | None = None


class Job(Record):
    """A job as its owner sees it; times are ISO 8601 in UTC.

    Args:
        resumed: How often it went on after the service had stopped.
        note: Why it waits or what happened to it, if there is something to say.
    """

    id: str
    kind: Literal["contract", "entry"]
    title: str
    state: State
    created_at: str
    started_at: str | None = None
    finished_at: str | None = None
    estimate: Estimate | None = None
    queue_position: int | None = None
    progress: JobProgress = JobProgress()
    partial: PartialValue | None = None
    error: Refusal | None = None
    result: JobResult | None = None
    resumed: int = 0
    note: str | None = None

    def in_brief(self) -> Job:
        """The job without what is as long as a network: its estimate's plan, an entry's details."""
        estimate, result = self.estimate, self.result
        return self.model_copy(
            update={
                "estimate": estimate and estimate.model_copy(update={"plan": None}),
                "result": result and result.model_copy(update={"details": None}),
            }
        )


class JobList(Record):
    """Jobs, newest first, without the plans of their estimates and the details of their results.

    Args:
        next: Give it as ``before`` to get the following ones; ``None`` at the end.
    """

    jobs: tuple[Job, ...]
    next: str | None = None


class Health(Record):
    """That the service is there; said to anybody."""

    status: Literal["ok"] = "ok"
    version: str
    api: int


class EntryFacts(Record):
    """A named entry point.

    Args:
        name: For ``EntryRequest.entry``.
        title: One line.
        parameters: JSON schema.
    """

    name: str
    title: str
    parameters: Json


class Facts(Record):
    """What computes: said by the executor.

    Args:
        scheduler: ``local``, or the scheme of the scheduler's address; never its host.
        workers: Worker processes.
        threads: Threads over all of them.
        memory_bytes_per_worker: Most that one process may use.
        backends: What can be asked for.
        missing: Why other backends are not here, in words.
        gpu: What the backend ``wgpu`` computes on, in words.
        calibrated: Whether rates were measured on these workers.
    """

    scheduler: str
    workers: int
    threads: int
    memory_bytes_per_worker: int
    backends: tuple[str, ...]
    missing: dict[str, str] = {}
    gpu: str | None = None
    calibrated: bool


class About(Facts):
    """What the service has and allows."""

    version: str
    api: int
    limits: dict[str, int]
    dtypes: tuple[str, ...]
    entries: tuple[EntryFacts, ...]


class Token(Record):
    """A new token; it is shown once."""

    token: str


class Event(Record):
    """A change that is told to subscribers.

    Args:
        id: Grows with time, across restarts too.
        kind: ``job``, or ``gone`` for a deleted one.
        job: Which one.
        data: The job as JSON, or its id alone.
    """

    id: int
    kind: Literal["job", "gone"]
    job: str
    data: Json


def as_pair(value: complex) -> tuple[float, float] | None:
    """Real and imaginary part; ``None`` where JSON has no word for them."""
    pair = (float(value.real), float(value.imag))
    return pair if all(map(math.isfinite, pair)) else None
