"""Choosing, refusing and falling back, with backends that only pretend."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tensorloom.errors import (
    Cancelled,
    DeviceLost,
    DeviceMemoryError,
    NetworkError,
    PlanError,
    TensorloomError,
    UnsupportedKernel,
)
from tensorloom.execute.backend import RawResult, drive
from tensorloom.execute.candidates import most_elements
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.run import prepare, run
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.plan.find import plan_for
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Backend, BackendName, Pulse
    from tensorloom.kernels.program import Program
    from tensorloom.plan.plan import Plan

SINGLE = ("float32", "complex64")
ALL = ("float32", "float64", "complex64", "complex128")


@dataclass
class Pretender:
    """Answers with zeros, or fails; remembers what it was asked."""

    name: BackendName
    ms: float = 1.0
    dtypes: tuple[str, ...] = ALL
    limit_bytes: int = 10**9
    failure: TensorloomError | None = None
    asked: list[str] = field(default_factory=list)

    def peak_bytes(self, program: Program) -> int:
        return program.peak_bytes

    def predicted_ms(self, _program: Program) -> float:
        return self.ms

    async def run(
        self, program: Program, _arrays: Sequence[NDArray[Any]], _pulse: Pulse
    ) -> RawResult:
        self.asked.append(program.dtype)
        if self.failure is not None:
            raise self.failure
        return RawResult(value=np.zeros(program.shape, program.dtype))


def here(*backends: Backend) -> Mapping[BackendName, Backend]:
    return {backend.name: backend for backend in backends}


def product(n: int = 4) -> Plan:
    return plan_for((("i", "j"), ("j", "k")), ("i", "k"), (("i", n), ("j", n), ("k", n)))


ARRAYS = (np.ones((4, 4)), np.ones((4, 4)))


def test_auto_takes_the_one_predicted_to_be_fastest() -> None:
    backends = here(Pretender("webgpu", 5.0), Pretender("wasm", 2.0), Pretender("numpy", 9.0))
    choice = prepare(product(), backends=backends)
    assert [attempt.backend.name for attempt in choice.attempts] == ["wasm", "webgpu", "numpy"]
    assert choice.attempts[0].predicted_ms == 2.0
    assert choice.notes == ()


def test_16_bit_storage_is_only_for_who_asks_for_it() -> None:
    half = Pretender("webgpu-f16", 1.0, SINGLE)
    backends = here(half, Pretender("webgpu", 3.0, SINGLE), Pretender("numpy", 9.0))
    choice = prepare(product(), backends=backends, dtype="float32")
    assert [attempt.backend.name for attempt in choice.attempts] == ["webgpu", "numpy"]
    assert most_elements(backends, "webgpu-f16", "float64") == 10**9 // 2
    assert most_elements(backends, "webgpu", "float64") == 10**9 // 4
    asked = prepare(product(), backends=backends, backend="webgpu-f16", dtype="float32")
    assert asked.attempts[0].backend is half
    assert asked.attempts[0].notes == (
        "Tensors are stored in 16 bits, with three digits; sums are made in 32.",
    )


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ({"webgpu-f16": "This GPU lacks it."}, "This GPU lacks it."),
        ({"webgpu": "No adapter."}, "Nothing stores 16-bit numbers here. No adapter."),
    ],
)
def test_16_bit_storage_is_refused_where_there_is_none(
    missing: dict[BackendName, str], message: str
) -> None:
    backends = here(Pretender("numpy"))
    with pytest.raises(UnsupportedKernel) as caught:
        prepare(product(), backends=backends, backend="webgpu-f16", missing=missing)
    assert caught.value.code == "no-f16"
    assert caught.value.message == message
    assert caught.value.hint == "Choose WebGPU, which stores 32 bits, or the CPU."


def test_auto_passes_over_what_lacks_the_type() -> None:
    backends = here(Pretender("webgpu", 1.0, SINGLE), Pretender("wasm", 2.0))
    choice = prepare(product(), backends=backends, dtype="float64")
    assert [attempt.backend.name for attempt in choice.attempts] == ["wasm"]


def test_a_named_gpu_computes_in_its_own_type_and_says_so() -> None:
    gpu = Pretender("webgpu", 50.0, SINGLE)
    choice = prepare(
        product(), backends=here(gpu, Pretender("wasm")), backend="webgpu", dtype="complex128"
    )
    result = drive(run(choice, ARRAYS))
    assert gpu.asked == ["complex64"]
    assert (result.backend, result.dtype) == ("webgpu", "complex64")
    assert result.notes == ("WebGPU computes in complex64, not complex128.",)


class Unable(Pretender):
    """Finds out that it has no kernel for a step when it is asked about memory."""

    def peak_bytes(self, _program: Program) -> int:
        raise UnsupportedKernel("gpu-too-long", "A sum is too long.")


def test_who_has_no_kernel_for_a_step_is_passed_over() -> None:
    backends = here(Unable("webgpu"), Pretender("wasm"))
    for backend in ("auto", "wasm"):
        choice = prepare(product(), backends=backends, backend=backend, dtype="float32")
        assert [attempt.backend.name for attempt in choice.attempts] == ["wasm"]
        assert choice.notes == ()
    choice = prepare(product(), backends=backends, backend="webgpu", dtype="float32")
    assert drive(run(choice, ARRAYS)).backend == "wasm"
    assert choice.notes == ("WebGPU could not run it: A sum is too long.",)


@pytest.mark.parametrize("name", ["webgpu", "webgpu-f16"])
def test_where_nobody_else_may_run_a_step_the_reason_is_raised(name: BackendName) -> None:
    others = [Pretender("numpy")] if name == "webgpu-f16" else []
    with pytest.raises(UnsupportedKernel) as caught:
        prepare(product(), backends=here(Unable(name), *others), backend=name)
    assert caught.value.code == "gpu-too-long"


def test_a_backend_that_is_not_here_is_named_in_a_note() -> None:
    choice = prepare(product(), backends=here(Pretender("numpy")), backend="webgpu")
    assert choice.attempts[0].backend.name == "numpy"
    assert choice.notes == ("WebGPU is not available here.",)
    told = prepare(
        product(),
        backends=here(Pretender("numpy")),
        backend="webgpu",
        missing={"webgpu": "There is no adapter."},
    )
    assert told.notes == ("WebGPU is not available here. There is no adapter.",)


@pytest.mark.parametrize("kind", [UnsupportedKernel, DeviceLost, DeviceMemoryError])
def test_the_next_backend_takes_over_and_says_why(kind: type[TensorloomError]) -> None:
    gpu = Pretender("webgpu", 1.0, SINGLE, failure=kind("gone", "The device went away."))
    wasm = Pretender("wasm", 2.0)
    choice = prepare(product(), backends=here(gpu, wasm), backend="webgpu", dtype="float64")
    result = drive(run(choice, ARRAYS))
    assert (result.backend, result.dtype) == ("wasm", "float64")
    assert wasm.asked == ["float64"]
    assert result.notes == ("WebGPU could not run it: The device went away.",)


@pytest.mark.parametrize("kind", [DeviceLost, DeviceMemoryError])
def test_the_last_failure_is_raised(kind: type[TensorloomError]) -> None:
    failure = kind("gone", "The device went away.")
    choice = prepare(product(), backends=here(Pretender("webgpu", failure=failure)))
    with pytest.raises(kind):
        drive(run(choice, ARRAYS))


def test_an_allocation_that_fails_moves_on_to_numpy() -> None:
    # The host has room for no more than the kernels, the backend believes in far more.
    wasm = WasmBackend(WasmtimeHost(pages=160))
    choice = prepare(product(1024), backends=here(wasm, NumpyBackend()), backend="wasm")
    result = drive(run(choice, (np.ones((1024, 1024)), np.eye(1024))))
    assert (result.backend, float(result.value.sum())) == ("numpy", 1024.0**2)
    assert result.notes == (
        "WebAssembly could not run it: WebAssembly ran out of memory; 25.2 MB were needed.",
    )


@pytest.mark.parametrize("kind", [Cancelled, NetworkError])
def test_other_errors_do_not_fall_back(kind: type[TensorloomError]) -> None:
    spare = Pretender("numpy", 2.0)
    failing = Pretender("wasm", failure=kind("other", "Another backend helps nothing."))
    choice = prepare(product(), backends=here(failing, spare))
    with pytest.raises(kind):
        drive(run(choice, ARRAYS))
    assert spare.asked == []


def test_what_fits_nowhere_is_refused_with_the_numbers() -> None:
    backends = here(Pretender("wasm", limit_bytes=300), Pretender("numpy", limit_bytes=200))
    with pytest.raises(DeviceMemoryError) as caught:
        prepare(product(), backends=backends)
    assert caught.value.code == "does-not-fit"
    assert caught.value.message == (
        "This contraction holds 384 bytes at once; WebAssembly has room for 300 bytes here."
    )
    assert caught.value.values == {"neededBytes": "384", "limitBytes": "300", "backend": "wasm"}
    assert caught.value.hint == (
        "Find a better order, slice an index, lower a dimension, or send it to a heavy worker."
    )


def test_auto_leaves_out_what_is_too_small() -> None:
    backends = here(Pretender("webgpu", 1.0, limit_bytes=100), Pretender("numpy", 9.0))
    choice = prepare(product(), backends=backends)
    assert [attempt.backend.name for attempt in choice.attempts] == ["numpy"]


def test_a_named_backend_that_is_too_small_is_not_replaced() -> None:
    backends = here(Pretender("webgpu", 1.0, limit_bytes=100), Pretender("numpy", 9.0))
    with pytest.raises(DeviceMemoryError, match="WebGPU has room for 100 bytes"):
        prepare(product(), backends=backends, backend="webgpu")


def test_slicing_makes_it_fit_and_gives_the_same_value() -> None:
    names = (("a", "x"), ("b", "x"), ("a", "c"), ("b", "c"))
    plan = plan_for(names, (), tuple((name, 20) for name in "abcx"))
    small = NumpyBackend(limit_bytes=8 * (4 * 20**2 + 300))
    with pytest.raises(DeviceMemoryError):
        prepare(plan, backends=here(small))
    choice = prepare(plan, backends=here(small), allow_slicing=True)
    assert choice.attempts[0].program.n_slices > 1
    assert choice.attempts[0].program.peak_bytes <= small.limit_bytes
    n_slices = choice.attempts[0].program.n_slices
    assert choice.attempts[0].notes == (f"Cut into {n_slices} slices to fit 15.2 kB.",)
    generator = np.random.default_rng(3)
    arrays = [generator.normal(size=(20, 20)) for _ in names]
    found = drive(run(choice, arrays))
    wanted = np.sum((arrays[0] @ arrays[1].T) * (arrays[2] @ arrays[3].T))
    np.testing.assert_allclose(found.value, wanted, rtol=1e-12)
    assert found.notes == choice.attempts[0].notes


def test_where_a_sliced_run_fails_a_backend_with_room_takes_over() -> None:
    names = (("a", "x"), ("b", "x"), ("a", "c"), ("b", "c"))
    plan = plan_for(names, (), tuple((name, 20) for name in "abcx"))
    lost = DeviceLost("device-lost", "The GPU went away and did not come back.")
    gpu = Pretender("webgpu", 1.0, SINGLE, limit_bytes=4 * (4 * 20**2 + 300), failure=lost)
    wasm = Pretender("wasm", 2.0)
    choice = prepare(
        plan, backends=here(gpu, wasm), backend="webgpu", dtype="float32", allow_slicing=True
    )
    sliced, whole = choice.attempts
    assert (sliced.backend, whole.backend) == (gpu, wasm)
    assert sliced.program.n_slices > 1
    assert (whole.plan, whole.program.n_slices) == (plan, 1)
    result = drive(run(choice, [np.ones((20, 20))] * 4))
    assert (len(gpu.asked), result.backend, result.mul_adds) == (1, "wasm", whole.program.mul_adds)
    # Nothing of slices: the other backend ran the whole plan.
    assert result.notes == ("WebGPU could not run it: The GPU went away and did not come back.",)


def test_a_result_of_too_many_axes_is_refused() -> None:
    """All of dimension 1: there is room for it, but no array has so many axes."""
    names = [f"a{number}" for number in range(66)]
    plan = plan_for(tuple((name,) for name in names), tuple(names), tuple((n, 1) for n in names))
    with pytest.raises(PlanError) as caught:
        prepare(plan, backends=here(Pretender("numpy")))
    assert caught.value.code == "result-axes"
    assert "66 open indices" in caught.value.message


def test_what_cannot_be_sliced_is_refused() -> None:
    with pytest.raises(DeviceMemoryError) as caught:
        prepare(product(), backends=here(Pretender("numpy", limit_bytes=256)), allow_slicing=True)
    assert caught.value.code == "does-not-fit"


def test_time_is_measured_by_the_given_clock() -> None:
    ticks = count(10.0, 0.25)
    choice = prepare(product(), backends=here(Pretender("numpy", 7.0)))
    result = drive(run(choice, ARRAYS, clock=lambda: next(ticks)))
    assert result.ms == 250.0
    assert result.predicted_ms == 7.0
    assert (result.mul_adds, result.peak_bytes) == (64, 384)


def test_without_work_no_backend_is_asked() -> None:
    numpy = Pretender("numpy")
    plan = plan_for((("i", "j"),), ("i", "j"), (("i", 2), ("j", 3)))
    given = np.arange(6.0).reshape(2, 3)
    result = drive(run(prepare(plan, backends=here(numpy)), [given]))
    assert numpy.asked == []
    np.testing.assert_array_equal(result.value, given)
    assert result.value is not given
    empty = drive(run(prepare(plan_for((), (), ()), backends=here(numpy)), []))
    assert (empty.value.shape, float(empty.value), empty.error_bound) == ((), 1.0, 0.0)


def test_numbers_beyond_a_narrow_type_keep_their_value() -> None:
    choice = prepare(product(), backends=here(NumpyBackend()), dtype="float32")
    result = drive(run(choice, [1e200 * ARRAYS[0], 1e-190 * ARRAYS[1]]))
    assert (result.dtype, result.log10_scale) == ("float32", 0)
    np.testing.assert_allclose(result.value, 4e10 * np.ones((4, 4)), rtol=1e-6)
    huge = drive(run(choice, [1e200 * ARRAYS[0], ARRAYS[1]]))
    assert huge.log10_scale == 200
    np.testing.assert_allclose(huge.value, 4 * np.ones((4, 4)), rtol=1e-6)


def test_arrays_must_belong_to_the_plan() -> None:
    choice = prepare(product(), backends=here(Pretender("numpy")))
    with pytest.raises(NetworkError) as caught:
        drive(run(choice, ARRAYS[:1]))
    assert caught.value.message == "There are 1 arrays for 2 tensors."
    with pytest.raises(NetworkError) as caught:
        drive(run(choice, [np.ones((4, 4)), np.ones((4, 3))]))
    assert caught.value.message == ("Array 1 has shape (4, 3), but its tensor has shape (4, 4).")
    with pytest.raises(NetworkError) as caught:
        drive(run(choice, [1j * ARRAYS[0], ARRAYS[1]]))
    assert caught.value.code == "complex-into-real"
    assert caught.value.message == "An array is complex, but the network is contracted in float64."
