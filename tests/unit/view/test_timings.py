"""``bench`` beside the timing: what has no room, which numbers, which kernels and threads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from tensorloom.errors import DeviceMemoryError, NetworkError
from tensorloom.execute.backend import drive
from tensorloom.execute.wasm.page_engine import Measured
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.modules import WasmFeatures
from tensorloom.plan.tree import ContractionTree
from tensorloom.view import bench as bench_module
from tensorloom.view import timings
from tensorloom.view.bench import bench

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensorloom.execute.tuning import Tuner
    from tensorloom.kernels.program import Program
    from tensorloom.kernels.wasm.compiled import Compiled


def asked(
    equation: str,
    shapes: list[list[int]],
    dtype: str = "float32",
    buffers: Sequence[bytes] = (),
    **more: Any,
) -> Any:
    given = {"equation": equation, "shapes": shapes, "dtype": dtype, "backend": "numpy"}
    given |= {"threads": 1, "minMs": 1, "inputs": False, "expect": False, **more}
    return asyncio.run(bench(given, buffers, None))


@pytest.mark.parametrize(
    ("shapes", "needed"),
    [
        # Inputs alone; then inputs, result and a reference in double precision.
        ([[60_000, 60_000], [60_000, 60_000]], 8 * 60_000**2),
        ([[10**15, 10**15], [10**15, 10**15]], 8 * 10**30),
        ([[20_000, 10], [10, 20_000]], 3 * (20_000**2 + 400_000) * 4),
    ],
)
def test_what_has_no_room_is_refused_with_numbers(shapes: list[list[int]], needed: int) -> None:
    with pytest.raises(DeviceMemoryError) as refused:
        asked("ik,kj->ij", shapes)
    assert refused.value.code == "does-not-fit"
    assert refused.value.values == {"neededBytes": str(needed), "limitBytes": str(3 << 30)}
    assert "a page has room for 3.22 GB" in refused.value.message


@pytest.mark.parametrize("wrong", [np.nan, -np.inf])
def test_an_expected_result_without_numbers_is_refused(wrong: float) -> None:
    answer = np.array([[1.0, wrong]], "f4").tobytes()
    with pytest.raises(NetworkError) as refused:
        asked("ik,kj->ij", [[1, 3], [3, 2]], expect=True, buffers=[answer])
    assert refused.value.code == "bad-array"
    assert refused.value.message == "The expected result holds NaN or Infinity."


@pytest.mark.parametrize("number", [3e38, 1.0])
def test_a_difference_beyond_the_range_is_an_error_like_any_other(number: float) -> None:
    buffers = [np.array([value], "f4").tobytes() for value in (1.0, number, -number)]
    found = asked(",->", [[], []], inputs=True, expect=True, buffers=buffers)
    assert found["maxErr"] == 2.0


def test_running_out_all_the_same_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(bench_module, "_random", no_room)
    with pytest.raises(DeviceMemoryError) as refused:
        asked("ik,kj->ij", [[20, 30], [30, 40]])
    assert refused.value.code == "out-of-memory"
    assert refused.value.values["neededBytes"] == str(3 * 4 * (600 + 1200 + 800))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_made_up_numbers_lie_between_minus_one_and_one(dtype: Any) -> None:
    made = bench_module._random(np.random.default_rng(1), (40, 50), dtype)
    scalars = made.reshape(-1).view(made.real.dtype)
    assert (made.shape, made.dtype) == ((40, 50), dtype)
    assert -1 <= scalars.min() < -0.9
    assert 0.9 < scalars.max() <= 1
    assert len(np.unique(scalars)) > 0.99 * scalars.size


def test_a_bench_natively_is_right() -> None:
    found = asked("abc,cd->dab", [[3, 4, 5], [5, 6]])
    assert found["maxErr"] < 1e-6
    assert (found["backend"], found["deviceMs"]) == ("numpy", 0)


def product(side: int) -> Program:
    tree = ContractionTree(
        inputs=(("i", "k"), ("k", "j")),
        output=("i", "j"),
        dimensions=(("i", side), ("j", side), ("k", side)),
        path=((0, 1),),
    )
    return lower(tree, "float32")


class Loaded:
    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.written: list[int] = []

    def write(self, number: int, _array: object) -> None:
        self.written.append(number)

    def time(self, *, min_ms: float, warmup_ms: float = 0) -> Measured:
        assert self.written == [0, 1]
        return Measured(ms=2.0 + min_ms, best_ms=1.0 + warmup_ms, windows=3)

    def read(self) -> tuple[Any, float]:
        return np.zeros(self.compiled.shape, self.compiled.dtype), 0.0

    def release(self) -> None:
        self.written.append(-1)


class Page:
    """The page's engine; keeps what was loaded."""

    most_threads = 2

    def __init__(self) -> None:
        self.loaded: list[Loaded] = []

    async def load(self, compiled: Compiled) -> Loaded:
        self.loaded.append(Loaded(compiled))
        return self.loaded[-1]


class Known:
    """A tuner that says what it is told to."""

    def __init__(self, *, pays: bool) -> None:
        self._pays = pays
        self.settled: list[int] = []

    async def settle(self, _program: Program, _pause: object, *, threads: int) -> None:
        self.settled.append(threads)

    def plans_for(self, _program: Program, *, least: int) -> None:
        assert least == 1

    def pays(self, _program: Program, threads: int) -> bool:
        assert threads == 2
        return self._pays


@pytest.mark.parametrize(
    ("side", "threads", "pays", "taken"),
    [(256, 2, True, 2), (256, 9, True, 2), (256, 2, False, 1), (256, 1, True, 1), (32, 2, True, 1)],
)
def test_the_tuner_says_which_threads(
    monkeypatch: pytest.MonkeyPatch, side: int, threads: int, taken: int, *, pays: bool
) -> None:
    page, tuner, program = Page(), Known(pays=pays), product(side)
    monkeypatch.setattr(timings, "PageEngine", lambda: page)
    monkeypatch.setattr(timings, "BrowserHost", lambda: type("Host", (), {"features": _FEATURES}))
    arrays = [np.ones((side, side), np.float32)] * 2
    found = drive(timings._on_wasm(program, arrays, cast("Tuner", tuner), threads, 5.0))
    assert (found.threads, found.ms, tuner.settled) == (taken, 7.0, [min(threads, 2)])
    assert [loaded.written for loaded in page.loaded] == [[0, 1, -1]]


_FEATURES = WasmFeatures()
