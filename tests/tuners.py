"""Tuners whose engine is wasmtime, by a clock of their own; what they keep, and their threads."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.kernel_store import NoStore
from tensorloom.execute.tuning import Tuner
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree
from tensorloom.tune.device import CpuFacts, DeviceRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tensorloom.execute.wasm.backend import WasmBackend
    from tensorloom.execute.wasm.team_trials import TeamTrials
    from tensorloom.kernels.program import KernelSpec, Program

__all__ = [
    "RECORD",
    "Store",
    "Team",
    "clock",
    "finish",
    "next_visit",
    "no_pause",
    "product",
    "run",
    "spec_of",
    "team_tuner",
    "tuner_for",
]

RECORD = DeviceRecord(
    name="measured here",
    origin="measured",
    cpu=CpuFacts(
        vector_registers=16, l1_bytes=32_768, relaxed_simd=True, tiles=((6, 8, 58.0), (5, 8, 56.0))
    ),
)


class Store:
    """Keeps what was saved."""

    def __init__(self, text: str | None = None) -> None:
        self.text = text
        self.saves = 0

    async def load(self) -> str | None:
        return self.text

    async def save(self, text: str) -> None:
        self.text = text
        self.saves += 1


async def no_pause() -> None:
    pass


def clock() -> Callable[[], float]:
    """A clock for which every piece of work takes 2 ms, after fine ticks to look at."""
    looks: Iterator[int] = count()

    def now() -> float:
        look = next(looks)
        return (1e-6 if look < 2000 else 2e-3) * look

    return now


def product(side: int = 40, dtype: str = "float32") -> Program:
    tree = ContractionTree(
        inputs=(("i", "k"), ("k", "j")),
        output=("i", "j"),
        dimensions=(("i", side), ("j", side + 3), ("k", side + 7)),
        path=((0, 1),),
    )
    return lower(tree, dtype)  # type: ignore[arg-type]  # names of types


def spec_of(program: Program) -> KernelSpec:
    return program.kernels[0]


def tuner_for(backend: WasmBackend, store: Any = None) -> Tuner:
    made = Tuner(backend.kernels, store=store or NoStore(), engine="wasmtime 1", clock=clock())
    made.record = RECORD
    made._loaded = True
    backend.chooser = made
    return made


def finish(tuner: Tuner) -> None:
    while drive(tuner.step(no_pause)):
        pass


def run(backend: WasmBackend, program: Program) -> np.ndarray[Any, Any]:
    generator = np.random.default_rng(1)
    arrays = [
        generator.standard_normal(buffer.elements).astype(program.dtype)
        for buffer in program.buffers
        if buffer.source is not None
    ]
    return drive(backend.run(program, arrays, no_pulse)).value


class Team:
    """Threads that gain as much as they are told."""

    count = 2

    def __init__(self, gain: float | Exception) -> None:
        self.told = gain
        self.asked: list[tuple[str, str, int]] = []

    async def gain(self, spec: KernelSpec, way: Any, _pause: Any, threads: int) -> float:
        self.asked.append((spec.name, way.kernel.name, threads))
        if isinstance(self.told, Exception):
            raise self.told
        return self.told


def team_tuner(backend: WasmBackend, team: Team, store: Any = None) -> Tuner:
    made = Tuner(
        backend.kernels,
        store=store or NoStore(),
        engine="wasmtime 1",
        clock=clock(),
        team=cast("TeamTrials", team),
    )
    made.record, made._loaded = RECORD, True
    return made


def next_visit(
    backend: WasmBackend, store: Store, team: Team | None = None, *, known: DeviceRecord = RECORD
) -> Tuner:
    """A tuner that knows what an earlier one has stored."""
    made = team_tuner(backend, team, store) if team else tuner_for(backend, store)
    made.record, made._loaded = None, False
    assert drive(made.step(no_pause))
    assert made.record == known
    return made
