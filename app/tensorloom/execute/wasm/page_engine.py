"""The page's own engine (``workers/browser/engine``) as Python sees it.

It replays compiled programs in a memory of its own, where threads may share it; arrays are copied
in and out, and what it times contains no Python.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.execute.wasm.host import refused, stopped
from tensorloom.kernels.wasm.compiled import encode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorloom.kernels.wasm.compiled import Compiled

__all__ = ["LoadedProgram", "Measured", "PageEngine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """How long a run takes.

    Args:
        ms: Median over the windows [ms].
        best_ms: The best window [ms].
        windows: How many there were.
    """

    ms: float
    best_ms: float
    windows: int

    @classmethod
    def read(cls, text: str) -> Measured:
        """From the engine's JSON."""
        found = json.loads(text)
        return cls(ms=found["ms"], best_ms=found["bestMs"], windows=found["windows"])


class PageEngine:
    """The engine of this worker; it exists in the browser only."""

    def __init__(self) -> None:
        self._engine: Any = import_module("tensorloom_page").engine

    @property
    def most_threads(self) -> int:
        """Threads there may be; 1 where the page is not isolated."""
        return int(self._engine.mostThreads)

    async def load(self, compiled: Compiled) -> LoadedProgram:
        """The program in the engine's memory; its helpers are started.

        Raises:
            UnsupportedKernel: ``wasm-refused``: no room, no helpers, or a kernel that is refused.
        """
        try:
            number = int(await self._engine.open(encode([compiled])))
        except Exception as error:
            raise refused(error) from error
        return LoadedProgram(self._engine, number, compiled)

    def counters(self) -> dict[str, Any]:
        """Programs loaded, and bytes held."""
        found: dict[str, Any] = json.loads(self._engine.counters())
        return found


class LoadedProgram:
    """A program in the engine's memory, until it is released.

    Args:
        engine: The JavaScript object.
        number: The program's number there.
        compiled: What it is.
    """

    def __init__(self, engine: Any, number: int, compiled: Compiled) -> None:  # noqa: ANN401 - a JavaScript object
        self._engine = engine
        self._number = number
        self.compiled = compiled

    def write(self, number: int, array: NDArray[Any]) -> None:
        """Gives an input its numbers."""
        flat = np.ascontiguousarray(array, self.compiled.dtype).reshape(-1)
        self._engine.write(self._number, number, flat.view(np.uint8))

    def run(self) -> None:
        """Contracts."""
        self._engine.run(self._number)

    def step(self) -> int:
        """Runs on for a moment: the multiply-adds done so far, or -1 after the last.

        Raises:
            UnsupportedKernel: ``wasm-stopped``.
        """
        try:
            return int(self._engine.step(self._number))
        except Exception as error:
            raise stopped(error) from error

    def spent_ms(self, runs: int) -> float:
        """So many runs in a row [ms].

        Raises:
            UnsupportedKernel: ``wasm-stopped``.
        """
        try:
            return float(self._engine.spent(self._number, runs))
        except Exception as error:
            raise stopped(error) from error

    def time(self, *, min_ms: float, warmup_ms: float = 300) -> Measured:
        """How long a run takes."""
        return Measured.read(self._engine.time(self._number, min_ms, warmup_ms))

    def read(self) -> tuple[NDArray[Any], float]:
        """The last result, and the power of ten that belongs to it.

        Of a sliced run under way it is the sum of the slices done.
        """
        value = np.empty(self.compiled.shape, self.compiled.dtype)
        scale = self._engine.read(self._number, value.reshape(-1).view(np.uint8))
        return value, float(scale)

    def made(self, number: int) -> NDArray[Any]:
        """The numbers that the last run left in a buffer, flat; exponents were taken out of it.

        Only what the program keeps and its result are still there.
        """
        value = np.empty(self.compiled.elements[number], self.compiled.dtype)
        self._engine.made(self._number, number, value.view(np.uint8))
        return value

    def taken(self) -> dict[int, int]:
        """Exponent that the last run took out of each buffer, inputs included."""
        found: list[tuple[int, int]] = json.loads(self._engine.taken(self._number))
        return dict(found)

    def release(self) -> None:
        """Gives its memory back."""
        self._engine.release(self._number)
