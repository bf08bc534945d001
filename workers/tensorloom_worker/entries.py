"""Named entry points: long computations of the package that are jobs like any other.

A request names one and gives parameters, which its record checks. Nothing else can be called: the
functions stand in this table, never on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError

from tensorloom.errors import InputError
from tensorloom.model.recipe import DType
from tensorloom_worker.records import (
    ContractRequest,
    EntryFacts,
    EntryRequest,
    Json,
    PlanJson,
    Record,
)
from tensorloom_worker.refusals import from_validation

__all__ = [
    "ENTRIES",
    "Entry",
    "PathSearchParameters",
    "SampleAmplitudesParameters",
    "checked_parameters",
    "facts",
    "goes_on",
]

Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Memory = Annotated[int, Field(gt=0, lt=2**53)]
Bits = Annotated[str, StringConstraints(pattern="^[01]{1,1000}$")]


class PathSearchParameters(Record):
    """Look for the best contraction tree of a document.

    Args:
        document: A Tensorloom document as JSON; arrays do not matter.
        seconds: How long.
        memory_bytes: Most that one worker process may use when the tree is contracted.
        plan: A tree to begin with; the one found is never worse.
    """

    document: Json
    seconds: Seconds = 60.0
    memory_bytes: Memory | None = None
    plan: PlanJson | None = None


class SampleAmplitudesParameters(Record):
    """Amplitudes of many bit strings of one circuit.

    Args:
        circuit: qsim or OpenQASM 2 text.
        bits: Bit strings, qubit 0 first.
        dtype: Type to compute in.
        seconds: How long to look for a tree; by default what the contraction is worth.
        memory_bytes: Most that one worker process may use.
    """

    circuit: Annotated[str, StringConstraints(min_length=1, max_length=4 * 2**20)]
    bits: Annotated[tuple[Bits, ...], Field(min_length=1, max_length=100_000)]
    dtype: DType = "complex64"
    seconds: Seconds | None = None
    memory_bytes: Memory | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A named entry point.

    Args:
        name: As requests say it.
        title: One line.
        parameters: The record that checks what is given.
        function: ``module:function``, imported by the execution.
        estimate: The same of what tells beforehand what it takes.
        goes_on: Whether a run that was stopped goes on from what it has recorded.
    """

    name: str
    title: str
    parameters: type[Record]
    function: str
    estimate: str
    goes_on: bool


_EXECUTION = "tensorloom_worker.execution.entries"

ENTRIES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name="path-search",
            title="Best contraction tree of a network",
            parameters=PathSearchParameters,
            function=f"{_EXECUTION}:path_search",
            estimate=f"{_EXECUTION}:estimated_search",
            goes_on=False,
        ),
        Entry(
            name="sample-amplitudes",
            title="Amplitudes of many bit strings of a circuit",
            parameters=SampleAmplitudesParameters,
            function=f"{_EXECUTION}:sample_amplitudes",
            estimate=f"{_EXECUTION}:estimated_amplitudes",
            goes_on=True,
        ),
    )
}


@cache
def facts() -> tuple[EntryFacts, ...]:
    """What the entry points are called and want, for clients."""
    return tuple(
        EntryFacts(
            name=entry.name, title=entry.title, parameters=entry.parameters.model_json_schema()
        )
        for entry in ENTRIES.values()
    )


def goes_on(request: ContractRequest | EntryRequest) -> bool:
    """Whether a job that was stopped goes on from what it has recorded."""
    if isinstance(request, ContractRequest):
        return True
    entry = ENTRIES.get(request.entry)
    return entry is not None and entry.goes_on


def checked_parameters(request: EntryRequest) -> Any:  # noqa: ANN401  # the entry's own record
    """The parameters of a request as the record of its entry point.

    Raises:
        InputError: ``unknown-entry``, ``missing-field``, ``unknown-field`` or ``bad-field``.
    """
    entry = ENTRIES.get(request.entry)
    if entry is None:
        raise InputError(
            "unknown-entry",
            f"There is no entry point called {request.entry!r:.60}.",
            f"There are {', '.join(ENTRIES)}.",
            values={"entry": request.entry[:60]},
        )
    try:
        return entry.parameters.from_json(request.parameters)
    except ValidationError as error:
        raise from_validation(error, "the parameters") from error
