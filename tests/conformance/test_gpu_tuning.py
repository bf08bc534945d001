"""Trials on the native adapter: shapes are settled, mistakes thrown out, lost devices survived."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tensorloom.errors import DeviceLost, UnsupportedKernel
from tensorloom.execute import tuning
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.gpu import trials as gpu_trials
from tensorloom.execute.kernel_store import NoStore
from tensorloom.execute.known_device import with_gpu
from tensorloom.execute.tuning import GPU_NETWORK_MS, Tuner
from tensorloom.execute.turn import Turns
from tensorloom.execute.wasm.kernels import WasmKernels
from tensorloom.kernels.gpu.limits import GpuSpeeds
from tensorloom.kernels.gpu.space import survey
from tensorloom.kernels.lower import lower
from tensorloom.plan.find import plan_for
from tensorloom.tune.database import Database, read_entries
from tensorloom.tune.device import DeviceRecord
from tensorloom.tune.search import Window
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from typing import Any

    from tensorloom.execute.gpu.backend import WebGpuBackend
    from tensorloom.execute.gpu.trial import Trial
    from tensorloom.execute.tuned_shape import Shape
    from tensorloom.kernels.gpu.candidate import GpuCandidate
    from tensorloom.kernels.program import Program

pytestmark = pytest.mark.gpu


def network() -> tuple[Program, list[np.ndarray[Any, Any]]]:
    """Three products of different shapes, and their operands."""
    sizes = {"a": 37, "b": 64, "c": 48, "d": 5, "e": 29}
    inputs = (("a", "b"), ("b", "c"), ("c", "d", "e"), ("e", "a"))
    plan = plan_for(inputs, ("d",), tuple(sizes.items()))
    draw = np.random.default_rng(3)
    shapes = [[sizes[name] for name in names] for names in inputs]
    arrays = [draw.standard_normal(shape).astype(np.float32) for shape in shapes]
    return lower(plan, "float32"), arrays


def tuner_for(gpu: WebGpuBackend) -> Tuner:
    kernels = WasmKernels(WasmtimeHost(pages=1 << 10))
    tuner = Tuner(kernels, store=NoStore(), engine="x 1", clock=perf_counter, gpu=gpu.device)
    tuner.record, tuner._loaded = with_gpu(DeviceRecord(name="unknown"), gpu.device), True
    return tuner


async def no_pause() -> None:
    """Nothing else wants the thread."""


def settled(tuner: Tuner, program: Program) -> list[Shape]:
    """Every shape that is worth tuning, tuned."""
    tuner.observe(program, "webgpu")
    waiting = [spec for _, spec in tuner._waiting]
    assert len(waiting) >= 2
    while drive(tuner.step(no_pause)):
        pass
    found = [tuner.shape(spec, "webgpu") for spec in waiting]
    return [shape for shape in found if shape is not None]


def states(shape: Shape) -> dict[str, str]:
    return {trial.option.text: trial.state for trial in shape.trials}


def test_all_shapes_of_a_network_are_settled_in_time(gpu: WebGpuBackend) -> None:
    program, arrays = network()
    tuner = tuner_for(gpu)
    shapes = settled(tuner, program)
    assert all(shape.best is not None for shape in shapes)
    assert not tuner.report
    # One candidate may take longer than it should, not all of them.
    assert sum(shape.spent_ms for shape in shapes) < 4 * GPU_NETWORK_MS
    before = drive(gpu.run(program, arrays, no_pulse)).value
    gpu.choose = tuner.candidate_for
    try:
        after = drive(gpu.run(program, arrays, no_pulse)).value
    finally:
        gpu.choose = None
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-2)


def test_what_takes_too_long_to_compile_is_left(gpu: WebGpuBackend) -> None:
    tuner = tuner_for(gpu)
    # As if this machine took a hundred times as long.
    tuner._gpu_pace = 100.0
    tuner._gpu_left_ms = 1.0
    program, _ = network()
    spec = max(program.kernels, key=lambda kernel: kernel.mul_adds)
    shape = drive(tuner.best(spec, no_pause, "webgpu"))
    costs = {t.option.text: t.option.cost_ms for t in shape.trials if not t.option.cut}
    tried = [text for text, state in states(shape).items() if state not in ("waiting", "cut")]
    assert tried == [min(costs, key=lambda text: costs[text])]
    assert max(costs.values()) > min(costs.values())
    assert shape.message == "The time for this shape is used up."


def test_what_an_earlier_visit_has_chosen_is_timed_alone(
    gpu: WebGpuBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = gpu_trials.try_kernel
    tried: list[str] = []

    async def alike(
        device: Any, spec: Any, candidate: GpuCandidate, *rest: Any, **more: Any
    ) -> Trial:
        tried.append(candidate.text)
        return replace(await right(device, spec, candidate, *rest, **more), ms=1.0)

    monkeypatch.setattr(gpu_trials, "try_kernel", alike)
    # One candidate for each shape, for as many shapes as there are.
    monkeypatch.setattr(tuning, "GPU_BUDGET_MS", 1.0)
    monkeypatch.setattr(tuning, "GPU_NETWORK_MS", 1e9)
    program, _ = network()
    first = tuner_for(gpu)
    shapes = settled(first, program)
    tried.clear()
    second = tuner_for(gpu)
    second.database = Database(read_entries(first.exported()))
    second.observe(program, "webgpu")
    assert second.running
    while drive(second.step(no_pause)):
        pass
    assert sorted(tried) == sorted(entry.candidate for _, entry in first.database.items())
    assert [second.shape(shape.spec, "webgpu") for shape in shapes] == [None] * len(shapes)
    second.observe(program, "webgpu")
    assert not second.running


def test_a_known_kernel_is_timed_though_rules_would_cut_it_by_now(gpu: WebGpuBackend) -> None:
    program, _ = network()
    spec = max(program.kernels, key=lambda kernel: kernel.mul_adds)
    first = tuner_for(gpu)
    drive(first.best(spec, no_pause, "webgpu"))
    key = first.key(spec, "webgpu")
    (known,) = [entry for of, entry in first.database.items() if of == key]
    usual = gpu.device.limits
    # As if the device had turned out to want more workgroups than any kernel has.
    gpu.device.limits = replace(usual, min_groups=1 << 30)
    try:
        cuts = {one.candidate.text: one.cut for one in survey(spec, gpu.device.limits)}
        assert "workgroups where the device wants" in cuts[known.candidate]
        look = Turns(first._kernels, gpu.device, perf_counter).look(
            spec, "webgpu", first.device, known
        )
        assert look is not None
        assert look.search.request == Window(text=known.candidate, first=True)
    finally:
        gpu.device.limits = usual


def test_a_kernel_with_wrong_numbers_is_thrown_out(
    gpu: WebGpuBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = gpu_trials.try_kernel
    first: list[str] = []

    async def wrong(
        device: Any, spec: Any, candidate: GpuCandidate, *rest: Any, **more: Any
    ) -> Trial:
        trial = await right(device, spec, candidate, *rest, **more)
        first[:] = first or [candidate.text]
        if candidate.text != first[0]:
            return trial
        # The fastest by far, had it not lost a number at its edge.
        trial.out[-1] += 1
        return replace(trial, ms=1e-6)

    monkeypatch.setattr(gpu_trials, "try_kernel", wrong)
    tuner = tuner_for(gpu)
    program, _ = network()
    spec = max(program.kernels, key=lambda kernel: kernel.mul_adds)
    shape = drive(tuner.best(spec, no_pause, "webgpu"))
    assert states(shape)[first[0]] == "failed"
    assert shape.best is not None
    assert shape.best.option.text != first[0]
    assert "differs from the reference" in tuner.report[0]


def test_a_device_that_goes_away_over_a_candidate_is_asked_for_again(
    gpu: WebGpuBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, loads = gpu.device.load, 0

    async def losing(plan: Any) -> int:
        nonlocal loads
        loads += 1
        if loads == 1:
            gpu.device.lose()  # type: ignore[attr-defined]  # the native device can
        return await load(plan)

    monkeypatch.setattr(gpu.device, "load", losing)
    program, _ = network()
    spec = max(program.kernels, key=lambda kernel: kernel.mul_adds)
    shape = drive(tuner_for(gpu).best(spec, no_pause, "webgpu"))
    failed = [trial for trial in shape.trials if trial.state == "failed"]
    assert [trial.reason for trial in failed] == ["the device went away over it"]
    assert shape.best is not None
    assert loads > 1


def test_a_device_that_does_not_come_back_fails_its_candidates_alone(
    gpu: WebGpuBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_given: object) -> Any:
        raise DeviceLost("device-lost", "The GPU went away.")

    async def none_left() -> None:
        raise UnsupportedKernel("no-gpu", "WebGPU found no adapter here.")

    monkeypatch.setattr(gpu.device, "load", gone)
    monkeypatch.setattr(gpu.device, "renew", none_left)
    program, _ = network()
    spec = max(program.kernels, key=lambda kernel: kernel.mul_adds)
    shape = drive(tuner_for(gpu).best(spec, no_pause, "webgpu"))
    assert shape.best is None
    failed = {trial.reason for trial in shape.trials if trial.state == "failed"}
    assert failed == {"the device went away over it, for good: WebGPU found no adapter here."}


def test_a_device_that_does_not_come_back_is_what_a_run_says(
    gpu: WebGpuBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, arrays = network()
    before = drive(gpu.run(program, arrays, no_pulse)).value

    async def none_left() -> None:
        raise UnsupportedKernel("no-gpu", "WebGPU found no adapter here.")

    gpu.device.lose()  # type: ignore[attr-defined]  # the native device can
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(gpu.device, "renew", none_left)
        for _ in range(2):
            with pytest.raises(DeviceLost) as caught:
                drive(gpu.run(program, arrays, no_pulse))
            assert caught.value.message == "The GPU went away and did not come back."
    np.testing.assert_array_equal(drive(gpu.run(program, arrays, no_pulse)).value, before)


def test_what_was_loaded_before_others_renewed_the_device_runs_again(gpu: WebGpuBackend) -> None:
    program, arrays = network()
    before = drive(gpu.run(program, arrays, no_pulse)).value
    gpu.device.lose()  # type: ignore[attr-defined]  # the native device can
    drive(gpu.device.renew())
    after = drive(gpu.run(program, arrays, no_pulse)).value
    np.testing.assert_array_equal(after, before)


def test_renewing_a_device_that_is_still_there_leaves_one(gpu: WebGpuBackend) -> None:
    program, arrays = network()
    before = drive(gpu.run(program, arrays, no_pulse)).value
    old = gpu.device._device  # type: ignore[attr-defined]  # of the native device
    drive(gpu.device.renew())
    assert gpu.device._device is not old  # type: ignore[attr-defined]  # as above
    assert gpu.device.counts()["buffers"] == 0
    np.testing.assert_array_equal(drive(gpu.run(program, arrays, no_pulse)).value, before)


def test_what_was_measured_outlives_a_renewal_and_chooses_kernels(gpu: WebGpuBackend) -> None:
    program, arrays = network()
    before = drive(gpu.run(program, arrays, no_pulse)).value
    usual, plans = gpu.device.limits, len(gpu.loaded)
    known = replace(usual, speeds=GpuSpeeds(groups=17))
    gpu.device.limits = known
    try:
        found = drive(gpu.run(program, arrays, no_pulse)).value
        np.testing.assert_allclose(found, before, rtol=1e-4, atol=1e-4 * np.abs(before).max())
        assert len(gpu.loaded) == plans + 1
        drive(gpu.device.renew())
        assert gpu.device.limits == known
    finally:
        gpu.device.limits = usual
        drive(gpu.device.renew())
