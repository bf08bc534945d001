"""Programs that gain by it on the page's threaded engine, where the page is isolated.

All others stay in place. The same kernels on the same records, so the same numbers; arrays are
copied into the shared memory and the result out of it.
"""

from __future__ import annotations

import asyncio
from math import prod
from typing import TYPE_CHECKING, Any

from tensorloom.execute.backend import RawResult, SlicesDone
from tensorloom.execute.wasm.page_engine import PageEngine
from tensorloom.execute.wasm.replay import several
from tensorloom.execute.wasm.team_trials import TeamTrials
from tensorloom.kernels.wasm.compiled import compiled
from tensorloom.model.stored_array import ITEM_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Pulse
    from tensorloom.execute.wasm.page_engine import LoadedProgram
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm.element import WasmFeatures
    from tensorloom.kernels.wasm.schedule import Schedule

__all__ = ["ThreadedRuns"]

_WORTH_FLOP = 16_000_000
"""The heaviest step's work from which threads bring more than the copies cost, unless measured."""

_COPIES_MS, _COPIED_BYTES_PER_MS = 0.1, 4e6
"""What a run here costs beside its work: calls, and copies into the other memory and out of it."""

_KEPT = 2


class ThreadedRuns:
    """Runs programs on all threads and keeps the last ones loaded.

    Args:
        engine: The page's engine.
        features: What it can do.

    Attributes:
        trials: What measures their gain.
    """

    def __init__(self, engine: PageEngine, features: WasmFeatures) -> None:
        self.trials = TeamTrials(engine, features)
        self._engine = engine
        self._features = features
        # Programs have one set of arrays: who waits in a pause must find its own there afterwards.
        self._turn = asyncio.Lock()
        self._loaded: dict[int, tuple[Program, Sequence[Schedule] | None, LoadedProgram]] = {}

    @classmethod
    def here(cls, features: WasmFeatures) -> ThreadedRuns | None:
        """The threads of this page; ``None`` where it is not isolated, or has one core."""
        engine = PageEngine()
        return cls(engine, features) if engine.most_threads > 1 else None

    @property
    def count(self) -> int:
        """Threads, the calling one included."""
        return self._engine.most_threads

    def worth(self, program: Program, saved_ms: float | None) -> bool:
        """Whether threads make this program faster.

        Args:
            program: The program.
            saved_ms: What they save of its steps, measured here; ``None`` if that is not known.
        """
        repeated = program.dispatches[program.prologue :]
        if not repeated:
            return False
        if saved_ms is None:
            flop = 8 if program.dtype.startswith("complex") else 2
            heaviest = max(program.kernels[dispatch.kernel].mul_adds for dispatch in repeated)
            return flop * heaviest >= _WORTH_FLOP
        return saved_ms > self.copies_ms(program)

    def copies_ms(self, program: Program) -> float:
        """What a run here takes beside its work [ms]."""
        outside = [buffer.elements for buffer in program.buffers if buffer.source is not None]
        outside += [prod(program.shape), *(program.buffers[kept].elements for kept in program.kept)]
        copied = sum(outside) * ITEM_BYTES[program.dtype]
        return _COPIES_MS + copied / _COPIED_BYTES_PER_MS

    async def run(
        self,
        program: Program,
        plans: Sequence[Schedule] | None,
        arrays: Sequence[NDArray[Any]],
        pulse: Pulse,
    ) -> RawResult:
        """The contracted network; see ``Backend.run``."""
        async with self._turn:
            loaded = await self._ready(program, plans)
            for number, array in enumerate(arrays):
                loaded.write(number, array)

            async def so_far() -> RawResult:
                return _read(loaded)

            done = loaded.step()
            while done >= 0:
                slices = None
                if program.slices:
                    added = loaded.compiled.slices_done(done)
                    slices = SlicesDone(done=added, of=program.n_slices, so_far=so_far)
                await pulse(done, slices)
                done = loaded.step()
            if program.kept:
                return several(program, loaded.taken(), loaded.made)
            return _read(loaded)

    async def _ready(self, program: Program, plans: Sequence[Schedule] | None) -> LoadedProgram:
        known = self._loaded.get(id(program))
        # The entry keeps its program alive, so an equal id is the same program.
        if known is not None and known[1] == plans:
            return known[2]
        self._drop(id(program))
        while len(self._loaded) >= _KEPT:
            self._drop(next(iter(self._loaded)))
        threads = self._engine.most_threads
        loaded = await self._engine.load(compiled(program, self._features, plans, threads=threads))
        self._loaded[id(program)] = program, plans, loaded
        return loaded

    def _drop(self, key: int) -> None:
        known = self._loaded.pop(key, None)
        if known is not None:
            known[2].release()


def _read(loaded: LoadedProgram) -> RawResult:
    value, scale = loaded.read()
    return RawResult(value=value, log10_scale=scale)
