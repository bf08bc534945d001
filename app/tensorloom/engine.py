"""The engine in one call: equation and arrays, or a network, in; the contracted value out.

    contract("ij,jk->ik", a, b)   -> array, as numpy.einsum gives it
    contract_network(network)     -> Result: the value with its cost, place and error bound

Here is the only place where planning and running meet without an editor between them. The module
is not named after its function: importing it would hide ``tensorloom.contract``.
"""

from __future__ import annotations

import asyncio
import types
from copy import copy
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from tensorloom.errors import InputError, NetworkError, PlanError
from tensorloom.execute.arrays import ArrayStore, arrays_of
from tensorloom.execute.backend import no_pulse
from tensorloom.execute.backends import Available, available
from tensorloom.execute.candidates import most_elements
from tensorloom.execute.casting import common_dtype
from tensorloom.execute.choices import Choices
from tensorloom.execute.quantities import duration_text
from tensorloom.execute.run import LONGEST_MS, prepare, run
from tensorloom.execute.value import value
from tensorloom.model.document import Document, check_dtype
from tensorloom.model.index import Index
from tensorloom.model.network import Network
from tensorloom.model.recipe import ConstantArray
from tensorloom.model.tensor import Tensor
from tensorloom.operands import MOST_KEPT, kept_plan_for, planned
from tensorloom.plan.inputs import inputs_of
from tensorloom.platform import IN_BROWSER

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from tensorloom.execute.backend import Backend, BackendName, Pulse, Result
    from tensorloom.execute.run import BackendChoice, Choice, Lowering
    from tensorloom.model.recipe import DType
    from tensorloom.plan.plan import Plan

__all__ = [
    "backend_choice",
    "chosen",
    "completed",
    "contract",
    "contract_network",
    "most_elements_here",
    "plan_of",
    "unscaled",
]

_T = TypeVar("_T")

WORTH_A_GPU_MS = 1000.0
"""Native numpy is asked alone below this: opening a GPU takes longer [ms]."""

_WORDS: Mapping[str, BackendChoice] = {
    "auto": "auto",
    "numpy": "numpy",
    "wasm": "wasm",
    "webgpu": "webgpu",
    "wgpu": "webgpu",
    "webgpu-f16": "webgpu-f16",
}

_CHOICES = Choices(MOST_KEPT)


def contract(
    equation: str,
    *operands: ArrayLike,
    backend: str = "auto",
    dtype: DType | None = None,
    address: str | None = None,
    token: str | None = None,
    worker_backend: str = "auto",
) -> NDArray[Any]:
    """The contracted operands, as ``numpy.einsum`` would give them.

    Args:
        equation: Such as ``ij,jk->ik``; without ``->`` the output holds the indices that appear
            once, in alphabetical order. ``...`` stands for the axes that are not named, and axes of
            dimension 1 broadcast. Names longer than one letter: ``left row, row right``.
        *operands: One array per operand.
        backend: ``auto``, ``numpy``, ``wasm``, ``webgpu``, ``wgpu``, ``webgpu-f16`` (tensors stored
            in 16 bits) or ``worker``.
        dtype: Type to compute in; by default the smallest that holds all operands.
        address: Of the heavy worker, as in ``contract_network``.
        token: Its token.
        worker_backend: What contracts there.

    Returns:
        Array of the output's shape. A value beyond its type's range becomes infinite or zero here;
        ``contract_network`` carries its exponent.

    Raises:
        EquationError: The text cannot be read.
        NetworkError: The operands do not belong to it.
        DeviceMemoryError: It does not fit, even sliced.
        PlanError: ``too-long``.
        UnsupportedKernel: ``no-f16``.
        ExecutionError: ``f16-range``.
        WorkerUnreachable: The heavy worker does not answer.

    Example:
        >>> contract("ij,jk->ik", [[1.0, 2.0]], [[3.0], [4.0]])
        array([[11.]])
    """
    plan, arrays = planned(equation, operands)
    if backend == "worker":
        wanted = dtype or common_dtype(arrays)
        network = _network_of(plan)
        sent = contract_network(
            network,
            arrays,
            backend=backend,
            dtype=wanted,
            plan=plan,
            address=address,
            token=token,
            worker_backend=worker_backend,
        )
        return unscaled(sent.value, sent.log10_scale)
    choice = chosen(plan, backend, dtype or common_dtype(arrays))
    found = completed(value(choice, arrays))
    return unscaled(found.value, found.log10_scale)


def contract_network(  # noqa: PLR0913  # the last ones are for callers with their own engine
    network: Network | Document,
    arrays: Sequence[ArrayLike] | None = None,
    *,
    backend: str = "auto",
    dtype: DType | None = None,
    store: ArrayStore | None = None,
    plan: Plan | None = None,
    pulse: Pulse = no_pulse,
    address: str | None = None,
    token: str | None = None,
    worker_backend: str = "auto",
    batch: Mapping[str, ArrayLike] | None = None,
) -> Result:
    """A contracted network with where, how long and how exact.

    Args:
        network: The network, or a document that holds it.
        arrays: One per tensor; by default made from the tensors' recipes.
        backend: ``auto``, ``numpy``, ``wasm``, ``webgpu``, ``wgpu``, ``webgpu-f16`` (tensors stored
            in 16 bits) or ``worker``.
        dtype: Type to compute in; by default the document's, else float64.
        store: Where recipes that name stored arrays find them.
        plan: How; by default found at once.
        pulse: Progress and cancellation.
        address: Of the heavy worker, for ``worker``; by default what ``TENSORLOOM_WORKER`` says,
            else the usual one on this machine.
        token: Its token; by default what ``TENSORLOOM_WORKER_TOKEN`` says.
        worker_backend: What contracts there: ``numpy``, ``torch``, ``cupy`` or ``wgpu``, if it has
            that; by default its own choice.
        batch: For ``worker``: by tensor id, one array per contraction along a first axis, in the
            tensor's place. The value has that axis in front; the rest is done once.

    Raises:
        InputError: Arrays or recipes that do not fit the network.
        DeviceMemoryError: It does not fit, even sliced.
        PlanError: ``too-long``.
        UnsupportedKernel: ``no-f16``.
        ExecutionError: ``f16-range``.
        WorkerUnreachable: The heavy worker does not answer; a job that it has goes on.
        WorkerRejected: It refuses, in its words.
    """
    document = network
    if isinstance(network, Document):
        dtype = dtype or network.dtype
        network = network.network
    dtype = dtype or "float64"
    check_dtype(dtype)
    if batch and backend != "worker":
        raise InputError(
            "batch-here", "A batch is computed on a worker only.", "Give backend='worker'."
        )
    if backend == "worker":
        from tensorloom.execute.remote.run import run_there  # noqa: PLC0415  # ssl is slow to import

        there = run_there(
            document,
            arrays,
            plan=plan or plan_of(network),
            dtype=dtype,
            store=store or ArrayStore(),
            pulse=pulse,
            worker=(address, token),
            backend=worker_backend,
            batch=batch,
        )
        return completed(there, pulse)
    given = arrays_of(network, dtype, store or ArrayStore()) if arrays is None else arrays
    choice = chosen(plan or plan_of(network), backend, dtype)
    return completed(run(choice, given, pulse=pulse), pulse)


def plan_of(network: Network) -> Plan:
    """A good plan found at once; the same one while the network's form stays."""
    return kept_plan_for(*inputs_of(network))


def _network_of(plan: Plan) -> Network:
    """The network that a plan contracts, its tensors named by their places."""
    tensors = tuple(
        Tensor(id=f"t{place}", name=f"t{place}", indices=names, array=ConstantArray())
        for place, names in enumerate(plan.tree.inputs, 1)
    )
    sizes = dict(plan.tree.dimensions)
    used = dict.fromkeys(name for names in plan.tree.inputs for name in names)
    indices = tuple(Index(name=name, dimension=sizes[name]) for name in used)
    return Network(tensors=tensors, indices=indices, output=plan.tree.output)


def unscaled(value: NDArray[Any], log10_scale: float) -> NDArray[Any]:
    """``value * 10**log10_scale``; beyond the type's range it becomes infinite or zero."""
    if log10_scale == 0:
        return value
    with np.errstate(over="ignore", under="ignore"):
        scale = np.power(10.0, log10_scale / 2)
        return np.asarray(value * scale * scale, value.dtype)


def backend_choice(name: str) -> BackendChoice:
    """The backend that a user's word means; ``wgpu`` is WebGPU without a browser.

    Raises:
        NetworkError: ``bad-backend``.
    """
    if name not in _WORDS:
        raise NetworkError(
            "bad-backend",
            f"'{name[:40]}' is not a backend.",
            f"Choose {', '.join(_WORDS)}.",
            values={"backend": name[:40]},
        )
    return _WORDS[name]


def most_elements_here(backend: str, dtype: DType) -> int:
    """What a plan may hold to be run here at once [elements].

    Args:
        backend: A user's word.
        dtype: Type to compute in.
    """
    wanted = backend_choice(backend)
    return most_elements(_at_hand(wanted).backends, wanted, dtype)


def chosen(
    plan: Plan,
    backend: str,
    dtype: DType,
    lowering: Lowering = _CHOICES.lowered,
    wrt: tuple[int, ...] | None = None,
) -> Choice:
    """Where a plan would run, sliced if it would not fit otherwise; the same for the same plan.

    Args:
        plan: The plan; who keeps it finds its programs again.
        backend: A user's word.
        dtype: Type to compute in.
        lowering: How a plan becomes a program.
        wrt: What that depends on besides.

    Raises:
        DeviceMemoryError: It does not fit, even sliced.
        PlanError: ``too-long``.
    """
    check_dtype(dtype)
    wanted = backend_choice(backend)

    def among(here: Available) -> Choice:
        def make() -> Choice:
            return prepare(
                plan,
                backends=here.backends,
                missing=here.missing,
                backend=wanted,
                dtype=dtype,
                allow_slicing=True,
                lowering=lowering,
            )

        return _CHOICES.get(plan, (wanted, dtype, wrt, *here.backends), here.backends, make)

    choice = among(_at_hand(wanted))
    if not IN_BROWSER and wanted == "auto" and choice.attempts[0].predicted_ms >= WORTH_A_GPU_MS:
        choice = among(completed(available()))
    expected_ms = choice.attempts[0].predicted_ms
    if expected_ms > LONGEST_MS:
        raise PlanError(
            "too-long",
            f"This would take about {duration_text(expected_ms)} here.",
            "Find a better order, lower a dimension, or send it to a heavy worker.",
            values={"predictedMs": expected_ms},
        )
    return choice


def _at_hand(wanted: BackendChoice) -> Available:
    """The backends worth opening; natively a GPU only if it was asked for."""
    if not IN_BROWSER:
        if wanted in {"webgpu", "webgpu-f16"}:
            return completed(available())
        here = completed(available(()))
        return replace(here, backends={"numpy": here.backends["numpy"]})
    if _can_wait():
        return completed(available())
    # A GPU makes its caller wait, and so do threads, which this one cannot.
    here = completed(available(["wasm"]))
    backends: dict[BackendName, Backend] = {
        name: _without_threads(backend)  # type: ignore[arg-type]  # hashed by identity
        for name, backend in here.backends.items()
        if name not in {"webgpu", "webgpu-f16"}
    }
    reason = "A GPU has to be waited for: call this from code that runs asynchronously."
    return replace(here, backends=backends, missing={**here.missing, "webgpu": reason})


@lru_cache(maxsize=4)
def _without_threads(backend: Backend) -> Backend:
    """The same engine, kernels and rates, all on the caller's thread."""
    from tensorloom.execute.wasm.backend import WasmBackend  # noqa: PLC0415  # in browsers only

    if not isinstance(backend, WasmBackend) or backend.threads is None:
        return backend
    alone = copy(backend)
    alone.threads = None
    return alone


def completed(coroutine: Coroutine[Any, Any, _T], pulse: Pulse = no_pulse) -> _T:
    """The result of a coroutine; in the browser the GPU is awaited with the stack suspended.

    Most never wait, and are over before there is anything to suspend for.

    Args:
        coroutine: What to run.
        pulse: What it calls, which may wait for anything that an event loop offers.

    Raises:
        InputError: ``pulse-waits``.
    """
    if pulse is not no_pulse and not IN_BROWSER and not _loop_runs():
        return _in_a_loop(coroutine)
    try:
        first = coroutine.send(None)
    except StopIteration as done:
        found: _T = done.value
        return found
    if not IN_BROWSER or not _can_wait():
        coroutine.close()
        if pulse is not no_pulse:
            raise InputError(
                "pulse-waits",
                "The pulse waits for the event loop, which waits for this call.",
                "Await nothing else than slices.so_far() there, or call this in another thread.",
            )
        raise RuntimeError("This backend waits for an event loop; await it instead.")
    from pyodide.ffi import run_sync  # noqa: PLC0415  # exists in Pyodide only

    waited: _T = run_sync(_begun(coroutine, first))
    return waited


def _loop_runs() -> bool:
    """Whether an event loop runs in this thread, as in a notebook: none can run inside it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _in_a_loop(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """The result of a coroutine that may wait, in an event loop of its own."""
    # asyncio.run would keep Ctrl+C to itself until the coroutine waits, which it seldom does.
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


async def _begun(coroutine: Coroutine[Any, Any, _T], first: Any) -> _T:  # noqa: ANN401  # a future
    """The rest of a coroutine that waits for ``first``."""

    @types.coroutine
    def rest() -> Generator[Any, Any, _T]:
        yield first
        return (yield from coroutine.__await__())

    return await rest()


def _can_wait() -> bool:
    """Whether the caller's stack can be suspended; ``pyodide.runPython`` offers no way."""
    if not IN_BROWSER:
        return False
    from pyodide.ffi import can_run_sync  # noqa: PLC0415  # exists in Pyodide only

    return bool(can_run_sync())
