"""Which kernel ``bench`` times: the fastest of those that the engine takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.wasm.page_engine import Measured
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.modules import WasmFeatures
from tensorloom.kernels.wasm.schedule import schedule
from tensorloom.plan.tree import ContractionTree
from tensorloom.view import timings

if TYPE_CHECKING:
    from tensorloom.execute.wasm.page_engine import PageEngine
    from tensorloom.kernels.wasm.compiled import Compiled


class Engine:
    """Refuses the first kernel; each later one is slower."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def measure(self, made: Compiled, *, min_ms: float, warmup_ms: float) -> Measured:
        assert 0 < min_ms < warmup_ms
        ((name, _),) = made.modules
        self.asked.append(name)
        if len(self.asked) == 1:
            raise UnsupportedKernel("wasm-refused", "No.")
        return Measured(ms=1.0, best_ms=float(len(self.asked)), windows=3)


def test_a_candidate_that_is_refused_is_left_out() -> None:
    tree = ContractionTree(
        inputs=(("i", "k"), ("k", "j")),
        output=("i", "j"),
        dimensions=(("i", 30), ("k", 31), ("j", 32)),
        path=((0, 1),),
    )
    (spec,) = lower(tree, "float32").kernels
    engine, features = Engine(), WasmFeatures()
    ready = schedule(spec, relaxed=features.relaxed_simd)
    best = timings._best(spec, ready, features, cast("PageEngine", engine))
    assert len(engine.asked) > 2
    assert best.kernel.name == engine.asked[1]
