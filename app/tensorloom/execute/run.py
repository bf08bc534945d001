"""Running a plan: choose a backend, refuse what does not fit, fall back visibly, tell the truth.

    prepare(plan, backends) -> Choice: programs and whom to ask, best first; nothing has run yet
    run(choice, arrays) -> Result

A request by name is honoured or answered with a note; only ``UnsupportedKernel``, ``DeviceLost``
and memory that runs out on the way (``DeviceMemoryError``) move on to the next backend.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from tensorloom.errors import DeviceLost, DeviceMemoryError, PlanError, UnsupportedKernel
from tensorloom.execute.backend import RawResult, Result, no_pulse
from tensorloom.execute.candidates import candidates, own_dtype
from tensorloom.execute.casting import cast_arrays, plain_arrays
from tensorloom.execute.error_bound import error_bound
from tensorloom.execute.error_bound_measured import measured
from tensorloom.execute.quantities import bytes_text
from tensorloom.execute.refusals import LABELS, check_axes, could_not, does_not_fit
from tensorloom.execute.scaling import finished
from tensorloom.execute.sharing import SharedBackend, shared
from tensorloom.kernels.lower import lower
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom.plan.cost import cost_of, input_elements
from tensorloom.plan.slicing import sliced_to_fit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from tensorloom.execute.backend import Backend, BackendName, Pulse
    from tensorloom.execute.feedback import Feedback
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType
    from tensorloom.plan.plan import Plan

    Lowering = Callable[[Plan, DType], Program]

__all__ = [
    "LONGEST_MS",
    "Attempt",
    "BackendChoice",
    "Choice",
    "first_able",
    "predicted_anew",
    "prepare",
    "run",
    "without_work",
]

_T = TypeVar("_T")

BackendChoice = Literal["auto", "webgpu", "webgpu-f16", "wasm", "numpy"]

LONGEST_MS = 30 * 24 * 3.6e6
"""Nobody waits longer than a month: such a plan is refused, not sliced [ms]."""

CLOCK_MS = 1.0
"""Shorter predictions count as equal, and the backends' own order decides: some browsers' clocks
tick no faster, so rates measured with them say nothing about less (Firefox 153, WebKitGTK) [ms]."""

WORTH_SHARING_MS = 20.0
"""Predicted runs from which two backends may share the work [ms]."""

SHARED_GAIN = 0.8
"""Share of the fastest backend's time that must suffice for both: predictions err."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A backend with what it would run.

    Args:
        backend: Where.
        plan: What, sliced if it would not fit otherwise.
        program: The same, lowered.
        predicted_ms: How long all of it should take [ms].
        factor: By what past runs have changed that.
        notes: What is to be said of a result that it gives, in words.
    """

    backend: Backend
    plan: Plan
    program: Program
    predicted_ms: float
    factor: float = 1.0
    notes: tuple[str, ...] = ()

    @property
    def n_runs(self) -> int:
        """How often the program runs: once, or for each slice where it is one slice alone."""
        return _n_runs(self.plan, self.program)

    @property
    def peak_bytes(self) -> int:
        """Most bytes alive there at once [bytes]."""
        return self.backend.peak_bytes(self.program)

    def has_room(self, n_bytes: int) -> bool:
        """Whether so much can be held beside it [bytes]."""
        return self.peak_bytes + n_bytes <= self.backend.limit_bytes

    @property
    def placement(self) -> tuple[tuple[BackendName, int], ...]:
        """How many steps each backend runs; nothing where one runs all of them."""
        return self.backend.steps if isinstance(self.backend, SharedBackend) else ()

    @property
    def places(self) -> tuple[BackendName, ...]:
        """The backends that run it."""
        return tuple(name for name, _ in self.placement) or (self.backend.name,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The backends to ask, best first, and why the first is not the one that was named.

    Args:
        attempts: At least one.
        notes: What is to be said whoever runs it, in words.
        feedback: Hears how long runs take.
        named: Whether the first was asked for by name.
    """

    attempts: tuple[Attempt, ...]
    notes: tuple[str, ...] = ()
    feedback: Feedback | None = None
    named: bool = False

    @property
    def revision(self) -> object:
        """Changes whenever its predictions may have."""
        known = [
            (getattr(one.backend, "rates", None), getattr(one.backend, "revision", None))
            for one in self.attempts
        ]
        return known, self.feedback.revision if self.feedback else 0


def prepare(  # noqa: PLR0913  # the last is for programs of gradients
    plan: Plan,
    *,
    backends: Mapping[BackendName, Backend],
    backend: BackendChoice = "auto",
    dtype: DType = "float64",
    allow_slicing: bool = False,
    missing: Mapping[BackendName, str] = MappingProxyType({}),
    lowering: Lowering = lower,
    feedback: Feedback | None = None,
) -> Choice:
    """Where a plan would run, and what it would cost there.

    Args:
        plan: What to contract.
        backends: Those that are here; at least one.
        backend: One of them, or the one that is predicted to be fastest.
        dtype: Type to compute in.
        allow_slicing: Whether a plan that does not fit may be sliced until it does.
        missing: Why other backends are not here, in words.
        lowering: How a plan becomes a program.
        feedback: What past runs say of predictions; it will hear of this one.

    Raises:
        DeviceMemoryError: ``does-not-fit``, with the numbers and the ways out.
        PlanError: ``result-axes``: more open indices than an array has axes.
        UnsupportedKernel: ``no-f16``: 16-bit storage was asked for where there is none. Who wants
            that is not given something else. Or no backend can run it.
    """
    notes: list[str] = []
    if backend == "webgpu-f16" and backend not in backends:
        nothing = f"Nothing stores 16-bit numbers here. {missing.get('webgpu', '')}".strip()
        raise UnsupportedKernel(
            "no-f16",
            missing.get(backend, nothing),
            "Choose WebGPU, which stores 32 bits, or the CPU.",
        )
    if backend != "auto" and backend not in backends:
        notes.append(f"{LABELS[backend]} is not available here. {missing.get(backend, '')}".strip())
    order = candidates(backends, backend, dtype)
    attempts, refused, unable = _fitting(plan, order, dtype, lowering)
    if unable and unable[0][0] is order[0] and order[0].name == backend:
        if backend == "webgpu-f16":
            raise unable[0][1]
        notes.append(could_not(backend, unable[0][1]))
    if not attempts and not refused:
        raise unable[0][1]
    if attempts:
        check_axes(plan)
    lost = [one for one, _ in unable]
    order = [one for one in order if one not in lost]
    named = order[0].name == backend
    # Who asks for a backend by name gets that one, sliced if allowed, or hears why not.
    if not attempts or (named and attempts[0].backend is not order[0]):
        candidate, program = refused[0] if named else max(refused, key=_limit)
        if not allow_slicing:
            raise does_not_fit(candidate, candidate.peak_bytes(program))
        attempts.insert(0, _sliced(candidate, plan, program, lowering))
    attempts = _ordered(attempts, feedback, named=named)
    if not named:
        attempts = _shared(attempts) + attempts
    attempts = [_told(attempt, dtype) for attempt in attempts]
    return Choice(attempts=tuple(attempts), notes=tuple(notes), feedback=feedback, named=named)


def predicted_anew(choice: Choice) -> Choice:
    """The same programs with what is known by now of how long they take."""
    attempts = [
        replace(one, predicted_ms=_predicted_ms(one.backend, one.plan, one.program), factor=1.0)
        for one in choice.attempts
    ]
    return replace(choice, attempts=tuple(_ordered(attempts, choice.feedback, named=choice.named)))


def _ordered(attempts: list[Attempt], feedback: Feedback | None, *, named: bool) -> list[Attempt]:
    """The named one first, then the fastest; predictions corrected by what past runs say."""
    if feedback is not None:
        attempts = [_corrected(attempt, feedback) for attempt in attempts]
    first, others = (attempts[:1], attempts[1:]) if named else ([], attempts)
    return first + sorted(others, key=lambda attempt: max(attempt.predicted_ms, CLOCK_MS))


def _fitting(
    plan: Plan, order: list[Backend], dtype: DType, lowering: Lowering
) -> tuple[list[Attempt], list[tuple[Backend, Program]], list[tuple[Backend, UnsupportedKernel]]]:
    """Backends that have room for the plan, those that have not, and those that cannot run it.

    Each in the given order.
    """
    programs: dict[DType, Program] = {}
    attempts, refused, unable = [], [], []
    for candidate in order:
        own = own_dtype(candidate, dtype)
        if own not in programs:
            programs[own] = lowering(plan, own)
        program = programs[own]
        try:
            has_room = candidate.peak_bytes(program) <= candidate.limit_bytes
        except UnsupportedKernel as error:
            unable.append((candidate, error))
            continue
        if has_room:
            attempts.append(_attempt(candidate, plan, program))
        else:
            refused.append((candidate, program))
    return attempts, refused, unable


def _attempt(backend: Backend, plan: Plan, program: Program) -> Attempt:
    return Attempt(
        backend=backend,
        plan=plan,
        program=program,
        predicted_ms=_predicted_ms(backend, plan, program),
    )


def _n_runs(plan: Plan, program: Program) -> int:
    return plan.tree.n_slices // program.n_slices


def _predicted_ms(backend: Backend, plan: Plan, program: Program) -> float:
    """Expected duration of the whole plan, all slices counted [ms]."""
    return _n_runs(plan, program) * backend.predicted_ms(program)


def _shared(attempts: list[Attempt]) -> list[Attempt]:
    """The two fastest backends together, if that should be clearly faster than the fastest."""
    gpu = next((attempt for attempt in attempts if attempt.backend.name == "webgpu"), None)
    cpu = next((attempt for attempt in attempts if attempt.backend.name != "webgpu"), None)
    least = attempts[0].predicted_ms
    if gpu is None or cpu is None or cpu.program is not gpu.program or least < WORTH_SHARING_MS:
        return []
    if cpu.n_runs > 1:
        return []
    backend = shared(cpu.program, cpu.backend, gpu.backend)
    if backend is None or backend.placement.ms > SHARED_GAIN * least:
        return []
    return [_attempt(backend, cpu.plan, cpu.program)]


def _told(attempt: Attempt, dtype: DType) -> Attempt:
    """The attempt with notes on how it differs from what was asked for."""
    notes = [*attempt.notes]
    if isinstance(attempt.backend, SharedBackend):
        notes.append(_shared_note(attempt.backend))
    if attempt.backend.name == "webgpu-f16":
        notes.append("Tensors are stored in 16 bits, with three digits; sums are made in 32.")
    if attempt.program.dtype != dtype:
        label = LABELS[attempt.backend.name]
        notes.append(f"{label} computes in {attempt.program.dtype}, not {dtype}.")
    return replace(attempt, notes=tuple(notes))


def _shared_note(backend: SharedBackend) -> str:
    (home, here), (other, there) = backend.steps
    return f"{there} of {here + there} steps on {LABELS[other]}, the others on {LABELS[home]}."


def _corrected(attempt: Attempt, feedback: Feedback) -> Attempt:
    # Nothing is learned of runs on two backends.
    if isinstance(attempt.backend, SharedBackend):
        return attempt
    factor = feedback.factor(attempt.backend.name, attempt.program, attempt.predicted_ms)
    return replace(attempt, predicted_ms=factor * attempt.predicted_ms, factor=factor)


def _limit(refused: tuple[Backend, Program]) -> int:
    return refused[0].limit_bytes


def _sliced(backend: Backend, plan: Plan, program: Program, lowering: Lowering) -> Attempt:
    # Slices only add work, and looking for them takes long where they would not help.
    if _predicted_ms(backend, plan, program) > LONGEST_MS:
        raise does_not_fit(backend, backend.peak_bytes(program))
    most = backend.limit_bytes // ITEM_BYTES[program.dtype]
    for _ in range(_TRIES):
        try:
            smaller = sliced_to_fit(plan, most)
        except PlanError as error:
            raise does_not_fit(backend, backend.peak_bytes(program)) from error
        made = lowering(smaller, program.dtype)
        needed = backend.peak_bytes(made)
        if needed <= backend.limit_bytes:
            return _cut(backend, smaller, made)
        # Planning counts what a value needs. Gaps come on top, and all that gradients read again.
        held = input_elements(smaller.tree) + plan.tree.elements(plan.tree.output)
        room = smaller.cost.peak_elements - held
        if room <= 0:
            break
        most = held + min(room * backend.limit_bytes // needed, room * 3 // 4)
    found = _sliced_further(backend, plan, program, lowering)
    if found is None:
        raise does_not_fit(backend, needed)
    return _cut(backend, *found)


def _cut(backend: Backend, plan: Plan, program: Program) -> Attempt:
    cut = f"Cut into {plan.tree.n_slices} slices to fit {bytes_text(backend.limit_bytes)}."
    return replace(_attempt(backend, plan, program), notes=(cut,))


def _sliced_further(
    backend: Backend, plan: Plan, program: Program, lowering: Lowering
) -> tuple[Plan, Program] | None:
    """Slices along whichever index saves most, one after the other; ``None`` if that is too little.

    For what planning does not see: copies of operands, where little else lies between.
    """
    while (needed := backend.peak_bytes(program)) > backend.limit_bytes:
        free = [name for name, size in plan.tree.size_of.items() if size > 1]
        if len(free) > _MOST_TRIED:
            return None
        trees = [replace(plan.tree, sliced=(*plan.tree.sliced, name)) for name in free]
        plans = [replace(plan, tree=tree, cost=cost_of(tree), proved=False) for tree in trees]
        peaks = [backend.peak_bytes(lowering(other, program.dtype)) for other in plans]
        least = min(peaks, default=needed)
        if least >= needed:
            return None
        plan = plans[peaks.index(least)]
        program = lowering(plan, program.dtype)
    return plan, program


_MOST_TRIED = 40
"""Indices up to which each is tried: all that is found is lowered."""

_TRIES = 12


async def run(
    choice: Choice,
    arrays: Sequence[ArrayLike],
    *,
    pulse: Pulse = no_pulse,
    clock: Callable[[], float] = perf_counter,
) -> Result:
    """The contracted network with where, how long and how exact.

    Args:
        choice: From ``prepare``.
        arrays: One per tensor, of its shape; converted to the type computed in.
        pulse: Progress and cancellation.
        clock: Seconds.

    Raises:
        NetworkError: Arrays that do not belong to the plan.
        UnsupportedKernel, DeviceLost, DeviceMemoryError: The last backend could not either.
        Cancelled: The pulse said so.
    """
    given = plain_arrays(choice.attempts[0].plan.tree, arrays)

    async def on(attempt: Attempt) -> Result:
        return await _run_on(attempt, given, pulse, clock)

    result, notes = await first_able(choice, on)
    if choice.feedback is not None and not result.placement:
        # Two backends that share the work have the name of one of them.
        alone = (one for one in choice.attempts if not one.placement)
        used = next(one for one in alone if one.backend.name == result.backend)
        choice.feedback.note(
            used.backend.name,
            used.program,
            ms=result.ms,
            predicted_ms=used.predicted_ms / used.factor,
        )
    return replace(result, notes=(*notes, *result.notes))


async def first_able(
    choice: Choice, on: Callable[[Attempt], Awaitable[_T]]
) -> tuple[_T, tuple[str, ...]]:
    """What the first backend that can makes of it, with its notes and those on who could not.

    Raises:
        UnsupportedKernel, DeviceLost, DeviceMemoryError: The last backend could not either.
    """
    notes = list(choice.notes)
    for place, attempt in enumerate(choice.attempts):
        try:
            return await on(attempt), (*attempt.notes, *notes)
        except (UnsupportedKernel, DeviceLost, DeviceMemoryError) as error:
            if place == len(choice.attempts) - 1:
                raise
            notes.append(could_not(attempt.backend.name, error))
    raise AssertionError("a choice has at least one attempt")


async def _run_on(
    attempt: Attempt,
    given: tuple[NDArray[Any], ...],
    pulse: Pulse,
    clock: Callable[[], float],
) -> Result:
    program = attempt.program
    start = clock()
    arrays, exponent = cast_arrays(given, program.dtype)
    if program.dispatches:
        raw = await attempt.backend.run(program, arrays, pulse)
    else:
        raw = RawResult(value=without_work(program, arrays))
    # Copies, where they had to be cast: nobody keeps them while the error is measured.
    del arrays
    notes = [*raw.notes]
    if exponent:
        raw = finished(raw.value, exponent, program.dtype, log10_scale=raw.log10_scale)
    ms = 1e3 * (clock() - start)
    bound = error_bound(attempt.plan.tree, program, given, raw, attempt.places)
    bound, held = await measured(bound, attempt, given, raw, notes)
    return Result(
        value=raw.value,
        dtype=program.dtype,
        backend=attempt.backend.name,
        ms=ms,
        predicted_ms=attempt.predicted_ms,
        peak_bytes=attempt.peak_bytes + held,
        mul_adds=program.mul_adds,
        error_bound=bound,
        log10_scale=raw.log10_scale,
        notes=tuple(notes),
        placement=attempt.placement,
    )


def without_work(program: Program, arrays: tuple[NDArray[Any], ...]) -> NDArray[Any]:
    """The result of a program without kernel calls: its only tensor, or the number 1."""
    if not arrays:
        return np.ones((), program.dtype)
    return arrays[program.result].reshape(program.shape).copy()
