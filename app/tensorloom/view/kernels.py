"""The Kernels view and what fills it: tuning after each result, told to the page as it happens.

Tuning takes turns with everything else: it works under the lock of runs, looks up about every 20 ms
and lets go as soon as somebody wants something. It stops when the drawing changes and goes on after
the next result.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from tensorloom.assets import templates
from tensorloom.errors import Cancelled
from tensorloom.execute.gpu.backend import WebGpuBackend
from tensorloom.execute.kernel_store import NoStore, kernel_store
from tensorloom.execute.known_kernels import LEAST_MUL_ADDS, flop
from tensorloom.execute.sharing import SharedBackend
from tensorloom.execute.tuning import BUDGET_MS, GPU_BUDGET_MS, LEAST_SHARE, Tuner
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.kernels.gpu.plan import gpu_plan
from tensorloom.kernels.gpu.space import default_candidate
from tensorloom.kernels.lone import lone_step
from tensorloom.kernels.wasm.modules import module_for
from tensorloom.kernels.wasm.schedule import schedule
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom.platform import IN_BROWSER
from tensorloom.view.device_facts import record_json
from tensorloom.view.idle_time import giving_way
from tensorloom.view.kernel_groups import (
    FUSED,
    Groups,
    group_json,
    groups_of,
    module_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tensorloom.execute.backend import BackendName, Result
    from tensorloom.execute.backends import Available
    from tensorloom.execute.run import Choice
    from tensorloom.execute.tuned_shape import Place
    from tensorloom.kernels.program import KernelSpec, Program
    from tensorloom.kernels.wasm.element import WasmFeatures
    from tensorloom.kernels.wasm.schedule import Schedule
    from tensorloom.model.recipe import DType
    from tensorloom.tune.search import Trial

__all__ = ["KernelDesk", "engine_name"]

MOST_SHAPES, MOST_CALLS = 200, 2000
NOTICE_SECONDS = 0.2
"""The page hears of progress at most five times a second [s]."""

LOOK_SECONDS = 0.02
"""How often to look whether somebody wants something while a GPU compiles [s]."""

_WAITING = (
    "Small steps ran one by one this first time. When the network runs again, they run in groups: "
    "many steps in one call."
)

_IN_GROUP = (
    "Its steps ran within a group of small steps. A function of a group is written out in one way: "
    "there is nothing to choose."
)

_ON_GPU: tuple[BackendName, ...] = ("webgpu", "webgpu-f16")

_NO_TUNER = "Nothing is tuned without WebAssembly SIMD"

Notice = dict[str, object]


class KernelDesk:
    """Tunes, and answers what the Kernels view asks.

    Args:
        notify: Takes notices for the page.
    """

    def __init__(self, notify: Callable[[Notice], None]) -> None:
        self._notify = notify
        self._found: Available | None = None
        self._tuner: Tuner | None = None
        self._under_way: asyncio.Future[bool] | None = None
        self._watched = False
        self._said = 0.0
        self._ran: tuple[Program, BackendName, float] | None = None
        self._places: tuple[BackendName, ...] = ()
        self._groups = Groups()

    async def kept(self) -> str | None:
        """What earlier visits have left."""
        return await kernel_store().load()

    def devices(self, found: Available, kept: str | None = None, *, silent: bool = False) -> None:
        """The devices are known; tuning needs the WASM engine.

        Args:
            found: The devices.
            kept: What earlier visits have left: the first run has it already.
            silent: Whether what keeps it does not answer. Then this visit keeps nothing either:
                tuning would wait for it, and runs for tuning.
        """
        self._found = found
        wasm = found.backends.get("wasm")
        if self._tuner is not None or not isinstance(wasm, WasmBackend):
            return
        gpu = found.backends.get("webgpu")
        self._tuner = Tuner(
            wasm.kernels,
            store=NoStore() if silent else kernel_store(),
            engine=engine_name(),
            clock=perf_counter,
            gpu=gpu.device if isinstance(gpu, WebGpuBackend) else None,
            team=None if wasm.threads is None else wasm.threads.trials,
        )
        if kept is not None:
            self._tuner.remember(kept)
        wasm.chooser = self._tuner
        if isinstance(gpu, WebGpuBackend):
            gpu.choose = self._tuner.candidate_for
            gpu.tuner = self._tuner

    @property
    def tuner(self) -> Tuner | None:
        """Who tunes; ``None`` without a WASM engine."""
        return self._tuner

    def ran(self, choice: Choice, result: Result) -> None:
        """A result came: show its kernels, and tune them when there is time."""
        own = (a for a in choice.attempts if a.backend.name == result.backend)
        attempt = next(own, choice.attempts[0])
        # A result that ran in this page; one of a worker has no kernels here.
        backend = attempt.backend.name if result.backend == "worker" else result.backend
        self._ran = attempt.program, backend, result.ms
        shared = attempt.backend if result.placement else None
        self._places = shared.places if isinstance(shared, SharedBackend) else ()
        here = result.backend != "worker"
        self._groups = groups_of(attempt.backend, attempt.program) if here else Groups()
        place = _tuned(backend)
        if self._tuner is not None and place is not None:
            self._tuner.observe(attempt.program, place)
        self._say()

    async def tune(self, lock: asyncio.Lock, idle: Callable[[], bool]) -> None:
        """Works on while nobody wants anything.

        Args:
            lock: Whoever computes holds it.
            idle: Whether that is still so.
        """
        tuner = self._tuner
        while tuner is not None and idle():
            async with lock:
                more = await self._step(tuner, idle)
            if more is None:
                return
            if perf_counter() - self._said > NOTICE_SECONDS or not more:
                self._say()
            if not more:
                return
            await asyncio.sleep(0)

    async def _step(self, tuner: Tuner, idle: Callable[[], bool]) -> bool | None:
        """One piece of work; ``None`` if somebody came meanwhile.

        What was under way on the CPU is begun again after the next result. A GPU may compile for
        seconds: it goes on alone, and the piece is finished at the next turn.
        """
        task = self._under_way or asyncio.ensure_future(tuner.step(giving_way(idle)))
        self._under_way = task
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK_SECONDS)
            if not task.done() and tuner.on_gpu and not idle():
                return None
        self._under_way = None
        try:
            return task.result()
        except Cancelled:
            return None

    async def at_rest(self) -> None:
        """Waits for a piece of work that a GPU goes on with alone."""
        if self._under_way is not None:
            await asyncio.wait({self._under_way})

    # --- what the page asks -------------------------------------------------------------------

    def watch(self, request: dict[str, Any]) -> None:
        """The view opened or closed."""
        self._watched = bool(request["watch"])
        self._say()

    def source(self, request: dict[str, Any]) -> None:
        """The text of the kernel that is in use for a shape, or of a group of small steps."""
        number, whole = int(request["number"]), bool(request["whole"])
        if request["of"] == "group":
            if 0 <= number < len(self._groups.ran):
                kernel = self._groups.ran[number].kernel
                module = module_for(kernel, self._features)
                text, is_whole = module_text(module, whole=whole)
                about = {"text": text, "isWhole": is_whole, "bytes": len(module)}
                self._say_source(request, FUSED, "wasm", **about)
            return
        shapes = self._shapes()
        if not 0 <= number < len(shapes):
            return
        spec, backend = shapes[number][0], self._backend
        used = self._in_use(spec)
        if backend in _ON_GPU:
            self._say_source(request, used, "wgsl", text=self._shader_text(spec))
        elif backend == "wasm" and self._tuner is not None:
            module, function = self._module(spec)
            text, is_whole = module_text(module, whole=whole, function=function)
            self._say_source(request, used, "wasm", text=text, isWhole=is_whole)
        else:
            text = "numpy's own code; nothing is generated."
            self._say_source(request, used, "wasm", text=text)

    def _say_source(
        self, request: dict[str, Any], candidate: str, language: str, **about: object
    ) -> None:
        start: Notice = {"kind": "kernel-source", "isWhole": True, "bytes": None}
        asked = {"of": request["of"], "number": int(request["number"])}
        self._notify({**start, **asked, "candidate": candidate, "language": language, **about})

    def _module(self, spec: KernelSpec) -> tuple[bytes, int | None]:
        """What ran a step: its module, and its function there where that holds others too."""
        for group in self._groups.ran:
            kernel = group.kernel
            for place, one in enumerate(kernel.specs):
                if one.name == spec.name:
                    return module_for(kernel, self._features), kernel.function(place)
        return module_for(self._way(spec).kernel, self._features), None

    async def database(self, request: dict[str, Any]) -> None:
        """Gives, takes or forgets the kernels known here.

        Raises:
            DocumentError: A file that is no kernel database.
        """
        tuner = self._tuner
        text, message = "", f"{_NO_TUNER}."
        if tuner is not None:
            if request["action"] == "import":
                taken = await tuner.imported(str(request["text"]))
                message = f"{_kernels(taken)} taken; each is measured here before it is used."
            elif request["action"] == "clear":
                await tuner.cleared()
                message = "All kernels forgotten."
            else:
                text = tuner.exported()
                message = f"{_kernels(len(tuner.database))}."
        self._notify({"kind": "kernel-database", "text": text, "message": message})
        self._say()

    # --- what it says ---------------------------------------------------------------------------

    def _say(self) -> None:
        self._said = perf_counter()
        if self._watched:
            self._notify({"kind": "kernels", "kernels": self.json()})

    def json(self) -> Notice:
        """``KernelsJson``."""
        tuner = self._tuner
        dtype = self._ran[0].dtype if self._ran else "float32"
        shapes = self._shapes()
        known = {spec.name: number for number, (spec, _) in enumerate(shapes)}
        return {
            "device": self._device_json(dtype),
            "shapes": [self._shape_json(spec, calls) for spec, calls in shapes],
            "groups": [group_json(group, known) for group in self._groups.ran],
            "groupsNote": _WAITING if self._groups.waiting else "",
            "calls": self._calls(known),
            "tuning": {
                "running": tuner.running if tuner else False,
                "budgetMs": GPU_BUDGET_MS if self._backend in _ON_GPU else BUDGET_MS,
                "spentMs": tuner.spent_ms if tuner else 0.0,
                "message": tuner.message if tuner else _NO_TUNER,
                "thrownOut": tuner.thrown_out if tuner else [],
            },
        }

    def _device_json(self, dtype: DType) -> Notice | None:
        record = self._tuner.record if self._tuner else None
        if record is None:
            return None
        # The roofline is that of the place where the kernels ran.
        return record_json(record, dtype, on_gpu=self._backend in _ON_GPU)

    @property
    def _backends(self) -> Mapping[BackendName, Any]:
        return self._found.backends if self._found else {}

    @property
    def _backend(self) -> BackendName:
        return self._ran[1] if self._ran else "numpy"

    def _shapes(self) -> list[tuple[KernelSpec, int]]:
        """Distinct kernels of the last run with their calls, heaviest first."""
        if self._ran is None:
            return []
        program = self._ran[0]
        calls = Counter(dispatch.kernel for dispatch in program.dispatches)
        found = [(program.kernels[number], count) for number, count in calls.items()]
        found.sort(key=lambda pair: pair[0].mul_adds * pair[1], reverse=True)
        return found[:MOST_SHAPES]

    def _calls(self, known: dict[str, int]) -> list[Notice]:
        """Kernel calls; each has the share of the run's time that it has of its work."""
        if self._ran is None:
            return []
        program, backend, ms = self._ran
        specs = [program.kernels[dispatch.kernel] for dispatch in program.dispatches[:MOST_CALLS]]
        total = sum(program.kernels[d.kernel].mul_adds for d in program.dispatches) or 1
        group_of = {
            step: number for number, group in enumerate(self._groups.ran) for step in group.steps
        }
        return [
            {
                "step": step,
                "kernel": known[spec.name],
                "backend": self._places[step] if self._places else backend,
                "ms": ms * spec.mul_adds / total,
                "group": group_of.get(step),
            }
            for step, spec in enumerate(specs)
            if spec.name in known
        ]

    def _shape_json(self, spec: KernelSpec, calls: int) -> Notice:
        batch, rows, columns, contracted = spec.extents
        place = _tuned(self._backend)
        shape = None
        if self._tuner is not None and place is not None:
            shape = self._tuner.shape(spec, place)
        work = flop(spec)
        return {
            "name": spec.name,
            "dtype": spec.dtype,
            "backend": self._backend,
            "batch": batch,
            "rows": rows,
            "columns": columns,
            "contracted": contracted,
            "groups": [
                {
                    "role": role,
                    "size": axis.size,
                    "left": axis.left,
                    "right": axis.right,
                    "out": axis.out,
                }
                for role in ("batch", "rows", "columns", "contracted")
                for axis in getattr(spec, role)
            ],
            "mulAdds": str(spec.mul_adds),
            "bytes": _least_bytes(spec) // (2 if self._backend == "webgpu-f16" else 1),
            "calls": calls,
            "isTimed": spec.mul_adds >= LEAST_MUL_ADDS and spec.name not in self._groups.specs,
            "inUse": self._in_use(spec),
            "candidates": [_candidate_json(trial, work) for trial in shape.trials] if shape else [],
            "history": [[spent, work / ms / 1e6] for spent, ms in shape.history] if shape else [],
            "note": self._note(spec, calls, is_timed=shape is not None),
        }

    def _note(self, spec: KernelSpec, calls: int, *, is_timed: bool) -> str:
        if spec.name in self._groups.specs:
            return _IN_GROUP
        return "" if is_timed else self._why_untuned(spec, calls)

    def _why_untuned(self, spec: KernelSpec, calls: int) -> str:  # noqa: PLR0911  # a reason each
        """Why a kernel will have no candidates, in a sentence; empty where it may yet get some."""
        place, tuner = self._backend, self._tuner
        if place == "numpy" or tuner is None or self._ran is None:
            return "numpy ran this step: nothing is generated, so there is nothing to choose."
        if place == "webgpu-f16":
            return "Kernels that store 16-bit numbers are not tuned: the first choice runs."
        if spec.unary:
            return "This step only moves numbers or adds them up: there is nothing to choose."
        if spec.mul_adds < LEAST_MUL_ADDS:
            return (
                f"With fewer than {LEAST_MUL_ADDS:,} multiply-adds a step costs what a call costs, "
                "whatever the kernel."
            )
        entry = tuner.database.get(tuner.key(spec, place))
        if entry is not None and entry.trusted:
            return (
                f"Known from an earlier choice for shapes like this one: {entry.candidate}, "
                f"{entry.gflops:.3g} GFLOP/s then."
            )
        program = self._ran[0]
        total = sum(program.kernels[dispatch.kernel].mul_adds for dispatch in program.dispatches)
        if calls * spec.mul_adds < LEAST_SHARE * total:
            return f"It has less than {LEAST_SHARE:.0%} of the work: tuning it would gain nothing."
        return ""

    @property
    def _features(self) -> WasmFeatures:
        return cast("WasmBackend", self._backends["wasm"]).kernels.host.features

    def _way(self, spec: KernelSpec) -> Schedule:
        assert self._tuner is not None
        wasm = cast("WasmBackend", self._backends["wasm"])
        return self._tuner.schedule_for(spec) or schedule(spec, relaxed=wasm.kernels.relaxed)

    def _in_use(self, spec: KernelSpec) -> str:
        """What the next run will use."""
        if self._backend in _ON_GPU:
            gpu = cast("WebGpuBackend", self._backends[self._backend])
            chosen = gpu.choose(spec) if gpu.choose else None
            return (chosen or default_candidate(spec, gpu.device.limits, half=gpu.half)).text
        if spec.name in self._groups.specs:
            return FUSED
        if self._backend == "wasm" and self._tuner is not None:
            kernel = self._way(spec).kernel
            return kernel.candidate.text if kernel.candidate else f"generic {kernel.form}"
        return "numpy"

    def _shader_text(self, spec: KernelSpec) -> str:
        gpu = cast("WebGpuBackend", self._backends[self._backend])
        limits, half = gpu.device.limits, gpu.half
        plan = gpu_plan(lone_step(spec), templates(), limits, choose=gpu.choose, half=half)
        return "\n".join(shader.text for shader in plan.shaders)


def _candidate_json(trial: Trial, work: int) -> Notice:
    return {
        "text": trial.option.text,
        "predictedMs": trial.option.predicted_ms,
        "ms": trial.ms,
        "gflops": None if trial.ms is None else work / trial.ms / 1e6,
        "state": trial.state,
        "reason": trial.reason,
    }


def _tuned(backend: BackendName) -> Place | None:
    """The backend, if kernels are tuned there."""
    match backend:
        case "wasm" | "webgpu":
            return backend
        case _:
            return None


def _kernels(count: int) -> str:
    return "1 kernel" if count == 1 else f"{count} kernels"


def _least_bytes(spec: KernelSpec) -> int:
    """Each operand and the result once [bytes]."""
    batch, rows, columns, contracted = spec.extents
    elements = batch * (rows * contracted + rows * columns)
    elements += 0 if spec.unary else batch * columns * contracted
    return elements * ITEM_BYTES[spec.dtype]


def engine_name() -> str:
    """Browser engine and its major version, such as ``chromium 156``."""
    if not IN_BROWSER:
        return f"python {sys.version_info[0]}.{sys.version_info[1]}"
    import js  # noqa: PLC0415  # exists in Pyodide only

    return named_engine(str(js.navigator.userAgent))


def named_engine(agent: str) -> str:
    """The engine that a user agent names; a key for measurements, never a reason for a choice."""
    for name, pattern in (
        ("firefox", r"Firefox/(\d+)"),
        ("chromium", r"Chrome/(\d+)"),
        ("webkit", r"Version/(\d+)"),
    ):
        found = re.search(pattern, agent)
        if found:
            return f"{name} {found[1]}"
    return "unknown 0"
