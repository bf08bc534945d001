"""Work shared between backends, with rates made up so that it pays or does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tensorloom.errors import DeviceMemoryError
from tensorloom.execute.backend import drive
from tensorloom.execute.calibration import Rates
from tensorloom.execute.feedback import Feedback
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.run import prepare, run
from tensorloom.plan.cost import cost_of
from tensorloom.plan.plan import Plan
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from tensorloom.execute.backend import BackendName
    from tensorloom.execute.run import Choice


class Device(NumpyBackend):
    """numpy under the name of a GPU."""

    name: BackendName = "webgpu"
    dtypes = ("float32",)


def rates(matrix: float, thin: float, *, run_ms: float = 1.0) -> Rates:
    return Rates(
        run_ms=run_ms,
        dispatch_ms=0.0,
        bytes_per_ms=1e9,
        mul_adds_per_ms=(
            ("float32", "matrix", matrix), ("float32", "thin", thin), ("float32", "stream", thin),
        ),
    )  # fmt: skip


def plan() -> Plan:
    """A product of square matrices, then one with a thin one: good for one device each."""
    tree = ContractionTree(
        inputs=(("a", "b"), ("b", "d"), ("d", "c")),
        output=("a", "c"),
        dimensions=(("a", 64), ("b", 64), ("c", 2), ("d", 64)),
        path=((0, 1), (3, 2)),
    )
    return Plan(tree=tree, cost=cost_of(tree), finder="greedy")


def choice(gpu: Rates, *, cpu: Rates | None = None, name: str = "auto") -> Choice:
    cpu = cpu or rates(1e3, 1e3)
    backends = {"webgpu": Device(rates=gpu), "numpy": NumpyBackend(rates=cpu)}
    return prepare(plan(), backends=backends, backend=name, dtype="float32")  # type: ignore[arg-type]  # a str


def arrays() -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    shapes = ((64, 64), (64, 64), (64, 2))
    return [draw.normal(size=shape) for shape in shapes]


def test_each_device_gets_what_it_is_fast_at() -> None:
    found = drive(run(choice(rates(1e6, 1.0)), arrays()))
    assert found.placement == (("numpy", 1), ("webgpu", 1))
    assert found.notes == ("1 of 2 steps on WebGPU, the others on numpy.",)
    wanted = np.einsum("ab,bd,dc->ac", *arrays())
    np.testing.assert_allclose(found.value, wanted, rtol=1e-3, atol=1e-3)


def test_a_device_that_is_slow_at_everything_gets_nothing() -> None:
    found = drive(run(choice(rates(1.0, 1.0)), arrays()))
    assert (found.backend, found.placement, found.notes) == ("numpy", (), ())


def test_who_names_a_backend_gets_that_one() -> None:
    found = drive(run(choice(rates(1e6, 1.0), name="numpy"), arrays()))
    assert (found.backend, found.placement) == ("numpy", ())


def test_a_slow_way_there_is_not_worth_it() -> None:
    found = choice(rates(1e6, 1.0, run_ms=1e6))
    assert found.attempts[0].backend.name == "numpy"
    assert found.notes == ()


class Full(Device):
    """A GPU that has no memory left."""

    async def run(self, *_: Any) -> Any:
        raise DeviceMemoryError("out-of-memory", "The GPU ran out of memory.")


class Listening(Feedback):
    """Remembers what it was told had been predicted."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, float]] = []

    def note(self, name: str, *_: Any, predicted_ms: float, **__: Any) -> None:
        self.heard.append((name, predicted_ms))


def test_a_device_without_memory_leaves_all_work_to_the_other() -> None:
    feedback = Listening()
    backends = {"webgpu": Full(rates=rates(1e6, 1.0)), "numpy": NumpyBackend(rates=rates(1e3, 1e3))}
    found = prepare(plan(), backends=backends, dtype="float32", feedback=feedback)  # type: ignore[arg-type]  # a GPU that is none
    assert found.attempts[0].placement
    result = drive(run(found, arrays()))
    assert (result.backend, result.placement) == ("numpy", ())
    alone = next(one for one in found.attempts[1:] if one.backend.name == "numpy")
    # What sharing was to take says nothing of the run that came instead.
    assert feedback.heard == [("numpy", alone.predicted_ms)]
