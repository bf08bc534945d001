"""Circuits contracted by three libraries on the same tree: ours, opt_einsum and cotengra on numpy.

The same text runs natively and in Pyodide; ours only where there is an engine for it.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import cotengra
import numpy as np
import opt_einsum

from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.kernel_store import NoStore
from tensorloom.execute.tuning import Tuner
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["contests", "set_backend"]

_backend: Any = None


def set_backend(backend: Any) -> None:
    """What runs our programs; its kernels are tuned as the page does while it idles."""
    global _backend  # noqa: PLW0603 - one engine per process
    _backend = backend
    backend.chooser = Tuner(
        backend.kernels, store=NoStore(), engine="bench", clock=time.perf_counter
    )


async def _go_on() -> None:
    """Nobody waits for the tuner here."""


class Contest:
    """One network with everybody's way to contract it."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.tree = tree = ContractionTree(
            inputs=tuple(tuple(names) for names in told["inputs"]),
            output=tuple(told["output"]),
            dimensions=tuple((name, size) for name, size in told["dimensions"]),
            path=tuple((left, right) for left, right in told["path"]),
        )
        sizes = dict(tree.dimensions)
        generator = np.random.default_rng(7)
        self.arrays = []
        for names in tree.inputs:
            shape = [sizes[name] for name in names]
            array = generator.normal(size=shape) + 1j * generator.normal(size=shape)
            # About unitary: a network of hundreds stays within the range of doubles.
            self.arrays.append(np.asarray(array / max(1.0, np.prod(shape) ** 0.25), "complex128"))
        self.program = lower(tree, "complex128")
        symbols = {name: opt_einsum.get_symbol(n) for n, name in enumerate(sizes)}
        self.ways: dict[str, Callable[[], Any]] = {
            "opt_einsum": self._opt_einsum(symbols),
            "cotengra": self._cotengra(symbols, sizes),
        }
        if _backend is not None:
            self.ways["ours"] = lambda: (
                drive(_backend.run(self.program, self.arrays, no_pulse)).value
            )

    def _opt_einsum(self, symbols: dict[str, str]) -> Callable[[], Any]:
        tree = self.tree
        left = ",".join("".join(symbols[name] for name in names) for names in tree.inputs)
        equation = f"{left}->{''.join(symbols[name] for name in tree.output)}"
        path = opt_einsum.paths.ssa_to_linear(tree.path)
        shapes = [array.shape for array in self.arrays]
        expression = opt_einsum.contract_expression(equation, *shapes, optimize=path)
        return lambda: expression(*self.arrays)

    def _cotengra(self, symbols: dict[str, str], sizes: dict[str, int]) -> Callable[[], Any]:
        # A tree made from a path wants names of one character: it joins them to text.
        tree = self.tree
        other = cotengra.ContractionTree.from_path(
            [[symbols[name] for name in names] for names in tree.inputs],
            [symbols[name] for name in tree.output],
            {symbols[name]: size for name, size in sizes.items()},
            ssa_path=tree.path,
        )
        return lambda: other.contract(self.arrays)

    def check(self) -> float:
        """Largest relative difference of the values, three of ours among them."""
        wanted = np.asarray(self.ways["opt_einsum"]())
        largest = 0.0
        for way in ("cotengra", "ours", "ours", "ours"):
            found = np.asarray(self.ways[way]())
            largest = max(largest, float(np.abs(found - wanted).max() / np.abs(wanted).max()))
        return largest

    def tune(self) -> None:
        """Finds the best kernels for our heavy steps."""
        tuner = _backend.chooser
        tuner.observe(self.program)
        while drive(tuner.step(_go_on)):
            pass

    def window(self, way: str, ms: float) -> float:
        """Milliseconds per call in a window of about so many."""
        call = self.ways[way]
        calls = 0
        start = time.perf_counter()
        while True:
            call()
            calls += 1
            spent = 1e3 * (time.perf_counter() - start)
            if spent > ms:
                return spent / calls


def contests(told: str) -> Contest:
    """A contest.

    Args:
        told: JSON text with ``inputs``, ``output``, ``dimensions``, ``path``.
    """
    return Contest(json.loads(told))
