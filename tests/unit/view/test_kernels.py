"""The Kernels view's records, after a run in wasmtime that is tuned to the end."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from chains import chain, matrices
from modelled_gpu import ModelledGpu
from tensorloom.errors import DocumentError
from tensorloom.execute.backend import Result, drive, no_pulse
from tensorloom.execute.backends import Available
from tensorloom.execute.calibration import Rates
from tensorloom.execute.gpu.backend import WebGpuBackend, assumed_rates
from tensorloom.execute.gpu.half import HalfGpuBackend
from tensorloom.execute.kernel_store import NoStore
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.placement import Placement
from tensorloom.execute.run import prepare, run
from tensorloom.execute.sharing import SharedBackend
from tensorloom.execute.tuning import Tuner
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.kernels.gpu.limits import GpuLimits
from tensorloom.kernels.lower import lower
from tensorloom.plan.cost import cost_of
from tensorloom.plan.find import plan_for
from tensorloom.plan.plan import Plan
from tensorloom.plan.tree import ContractionTree
from tensorloom.tune.device import CpuFacts, Curve, DeviceRecord, GpuFacts
from tensorloom.view import kernel_groups
from tensorloom.view import kernels as view_kernels
from tensorloom.view.device_facts import record_json
from tensorloom.view.kernel_groups import Groups, groups_of
from tensorloom.view.kernels import KernelDesk, named_engine
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from tensorloom.execute.backend import BackendName
    from tensorloom.model.recipe import DType

DESKTOP = DeviceRecord(
    name="a desktop", cpu=CpuFacts(vector_registers=16, l1_bytes=32_768, relaxed_simd=True)
)
WITH_GPU = DeviceRecord(
    name="with a GPU",
    cpu=replace(DESKTOP.cpu, peak_gflops=58.0, bytes_per_ms=1e7),
    gpu=GpuFacts(
        adapter="x",
        peak_gflops=900.0,
        bytes_per_ms=2e8,
        workgroup=64,
        groups=32,
        upload_bytes_per_ms=4e6,
        readback_bytes_per_ms=3e6,
    ),
    curves=(
        Curve(name="bandwidth", x="bytes", y="bytes/ms", points=((4096.0, 5e7),)),
        Curve(name="gpu-load", x="workgroups", y="GFLOP/s", points=((1.0, 30.0),), knee=1.0),
    ),
)
SIZES = {"i": 40, "k": 41, "j": 42, "l": 3}


@pytest.fixture
def said() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def desk(said: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> KernelDesk:
    monkeypatch.setattr(view_kernels, "kernel_store", NoStore)
    made = KernelDesk(said.append)
    backends: Any = {"wasm": WasmBackend(WasmtimeHost(pages=1 << 11)), "numpy": NumpyBackend()}
    made.devices(Available(backends=backends, missing={}))
    assert made.tuner is not None
    # Measuring takes its time; a named record does as well here.
    made.tuner.record = DESKTOP
    made.tuner._loaded = True
    return made


def contracted(desk: KernelDesk, backend: BackendName = "wasm") -> None:
    plan = plan_for((("i", "k"), ("k", "j"), ("j", "l")), ("i", "l"), tuple(SIZES.items()))
    arrays = [[[1.0] * SIZES[b]] * SIZES[a] for a, b in plan.tree.inputs]
    backends: Any = desk._backends
    choice = prepare(plan, backends=backends, backend=backend, dtype="float32")
    desk.ran(choice, drive(run(choice, arrays)))


def tuned(desk: KernelDesk) -> None:
    asyncio.run(desk.tune(asyncio.Lock(), lambda: True))


def test_nothing_is_said_unless_somebody_watches(
    desk: KernelDesk, said: list[dict[str, Any]]
) -> None:
    contracted(desk)
    assert said == []
    desk.watch({"watch": True})
    assert [notice["kind"] for notice in said] == ["kernels"]


def test_the_record_before_and_after_tuning(desk: KernelDesk) -> None:
    contracted(desk)
    before: Any = desk.json()
    assert before["tuning"]["running"] is True
    assert before["shapes"][0]["candidates"] == []
    tuned(desk)
    after: Any = desk.json()
    assert after["tuning"]["running"] is False
    shape = after["shapes"][0]
    work = [int(other["mulAdds"]) * other["calls"] for other in after["shapes"]]
    assert work == sorted(work, reverse=True)
    assert [one["state"] for one in shape["candidates"]].count("best") == 1
    best = next(one for one in shape["candidates"] if one["state"] == "best")
    assert shape["inUse"] == best["text"]
    assert shape["history"][-1][1] == pytest.approx(best["gflops"], rel=0.5)
    json.dumps(after, allow_nan=False)


def test_says_why_a_kernel_is_not_tuned(desk: KernelDesk) -> None:
    contracted(desk, "numpy")
    record: Any = desk.json()
    assert "numpy ran" in record["shapes"][0]["note"]
    assert record["tuning"]["thrownOut"] == []
    contracted(desk)
    waiting: Any = desk.json()
    # 40 * 41 * 42 and 40 * 42 * 3 multiply-adds: both wait for their turn.
    assert [shape["note"] for shape in waiting["shapes"]] == ["", ""]
    tuned(desk)
    assert desk.tuner is not None
    desk.tuner._shapes.clear()
    desk.tuner.report.append("right 6x8: differs from the reference.")
    known: Any = desk.json()
    assert "Known from an earlier choice" in known["shapes"][0]["note"]
    assert known["tuning"]["thrownOut"] == ["right 6x8: differs from the reference."]


def test_calls_share_the_time_of_the_run(desk: KernelDesk) -> None:
    contracted(desk)
    record: Any = desk.json()
    assert [call["step"] for call in record["calls"]] == [0, 1]
    assert sum(call["ms"] for call in record["calls"]) == pytest.approx(desk._ran[2])  # type: ignore[index]
    # 40 * 41 * 42 and 40 * 42 * 3 multiply-adds: neither is so small that its call is what counts.
    assert [shape["isTimed"] for shape in record["shapes"]] == [True, True]
    for call in record["calls"]:
        assert call["kernel"] < len(record["shapes"])


class Gpu(NumpyBackend):
    """Fast at matrices alone."""

    name: BackendName = "webgpu"
    dtypes: tuple[DType, ...] = ("float32",)


def test_steps_that_two_backends_shared_are_told_apart(desk: KernelDesk) -> None:
    def rates(matrix: float, others: float) -> Rates:
        return Rates(
            run_ms=0.1,
            dispatch_ms=0.0,
            bytes_per_ms=1e9,
            mul_adds_per_ms=(
                ("float32", "matrix", matrix),
                ("float32", "thin", others),
                ("float32", "stream", others),
            ),
        )

    backends: Any = {
        "webgpu": Gpu(rates=rates(1e6, 1.0)),
        "numpy": NumpyBackend(rates=rates(1e3, 1e3)),
    }
    sizes = (("a", 64), ("b", 64), ("c", 2), ("d", 64))
    tree = ContractionTree(
        inputs=(("a", "b"), ("b", "d"), ("d", "c")),
        output=("a", "c"),
        dimensions=sizes,
        path=((0, 1), (3, 2)),
    )
    plan = Plan(tree=tree, cost=cost_of(tree), finder="greedy")
    choice = prepare(plan, backends=backends, dtype="float32")
    of = dict(sizes)
    arrays = [np.ones([of[name] for name in names], np.float32) for names in tree.inputs]
    result = drive(run(choice, arrays))
    assert len(result.placement) == 2
    desk.ran(choice, result)
    record: Any = desk.json()
    heavy, thin = record["calls"]
    assert (heavy["backend"], thin["backend"]) == ("webgpu", "numpy")


def test_without_a_run_there_is_nothing_to_show(desk: KernelDesk) -> None:
    record: Any = desk.json()
    assert record["shapes"] == record["calls"] == []


def test_the_text_of_a_kernel(desk: KernelDesk, said: list[dict[str, Any]]) -> None:
    contracted(desk)
    tuned(desk)
    desk.source({"of": "kernel", "number": 0, "whole": False})
    desk.source({"of": "kernel", "number": 99, "whole": False})
    (notice,) = [one for one in said if one["kind"] == "kernel-source"]
    assert notice["language"] == "wasm"
    assert "f32x4" in notice["text"]
    shapes: Any = desk.json()["shapes"]
    assert notice["candidate"] == shapes[0]["inUse"]


SIDES = (2, 3, 4, 3, 4, 3, 4, 2)
"""Six products of three kinds."""


def chained(desk: KernelDesk, times: int, backends: Any = None, **asked: Any) -> Any:
    """Runs a chain of small matrices, tells the desk, and gives what it would tell the page."""
    tree = chain(SIDES)
    plan = Plan(tree=tree, cost=cost_of(tree), finder="greedy")
    choice = prepare(plan, backends=backends or desk._backends, dtype="float64", **asked)
    for _ in range(times):
        desk.ran(choice, drive(run(choice, matrices(SIDES))))
    return desk.json()


def texts(desk: KernelDesk, said: list[dict[str, Any]], **asked: Any) -> list[dict[str, Any]]:
    said.clear()
    desk.source({"whole": False, **asked})
    return said


def test_small_steps_are_in_a_group_once_the_network_ran_again(desk: KernelDesk) -> None:
    once = chained(desk, 1, backend="wasm")
    assert once["groups"] == []
    assert "When the network runs again" in once["groupsNote"]
    assert {call["group"] for call in once["calls"]} == {None}
    again = chained(desk, 2, backend="wasm")
    assert again["groupsNote"] == ""
    (group,) = again["groups"]
    assert (group["steps"], group["first"], group["last"]) == (6, 0, 5)
    assert {call["group"] for call in again["calls"]} == {0}
    # Each distinct product has a function of its own; three helpers come before them.
    listed = [one["kernel"] for one in group["functions"]]
    assert sorted(listed) == [*range(len(again["shapes"]))]
    assert [one["number"] for one in group["functions"]] == [*range(3, 3 + len(listed))]
    for shape in again["shapes"]:
        assert (shape["inUse"], shape["isTimed"]) == ("fused", False)
        assert "within a group" in shape["note"]
    json.dumps(again, allow_nan=False)


def test_a_group_has_a_text_and_a_size(desk: KernelDesk, said: list[dict[str, Any]]) -> None:
    record = chained(desk, 2, backend="wasm")
    (notice,) = texts(desk, said, of="group", number=0)
    assert (notice["of"], notice["number"], notice["language"]) == ("group", 0, "wasm")
    assert (notice["candidate"], notice["isWhole"]) == ("fused", True)
    assert 500 < notice["bytes"] < 50_000
    *functions, kernel = notice["text"].split("(func ")[1:]
    assert kernel.startswith('$6 (export "kernel")')
    calls = re.findall(r"call (\d+)", kernel)
    # The magnitudes of seven inputs are looked at, then six steps are called in order.
    assert calls[:7] == ["2"] * 7
    numbers = {one["kernel"]: str(one["number"]) for one in record["groups"][0]["functions"]}
    assert calls[7:] == [numbers[call["kernel"]] for call in record["calls"]]
    assert len(functions) == 3 + len(numbers)
    assert texts(desk, said, of="group", number=1) == []


def test_a_step_of_a_group_shows_its_function(desk: KernelDesk, said: list[dict[str, Any]]) -> None:
    record = chained(desk, 2, backend="wasm")
    whole = texts(desk, said, of="group", number=0)[0]["text"]
    for one in record["groups"][0]["functions"]:
        (notice,) = texts(desk, said, of="kernel", number=one["kernel"])
        assert notice["candidate"] == "fused"
        start = f"(func ${one['number']} (param i32 i32 i32) (result i32)\n"
        assert notice["text"].startswith(start)
        assert notice["text"].count("(func ") == 1
        assert f"\n{notice['text']}\n" in whole


def test_long_texts_come_whole_only_when_asked_for(
    desk: KernelDesk, said: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_groups, "MOST_LINES", 10)
    chained(desk, 2, backend="wasm")
    for of in ("group", "kernel"):
        (short,) = texts(desk, said, of=of, number=0)
        assert (short["isWhole"], short["text"].count("\n")) == (False, 9)
        (whole,) = texts(desk, said, of=of, number=0, whole=True)
        assert whole["isWhole"]
        assert whole["text"].startswith(short["text"])
        assert whole["text"].endswith("\n)")


def test_groups_beside_a_gpu_have_the_steps_of_the_whole_network(desk: KernelDesk) -> None:
    """The parts of a program that two backends share count their steps by themselves."""
    program = lower(chain(SIDES), "float64")
    wasm = cast("WasmBackend", desk._backends["wasm"])
    gpu = Gpu()
    placement = Placement(devices=(0, 0, 1, 1, 0, 0), ms=1.0)
    both = SharedBackend((wasm, gpu), program, placement)
    for _ in range(2):
        drive(both.run(program, matrices(SIDES), no_pulse))
    found = groups_of(both, program)
    assert [group.steps for group in found.ran] == [(0, 1), (4, 5)]
    assert not found.waiting
    assert groups_of(gpu, program) == Groups()


def test_numpy_has_no_text(desk: KernelDesk, said: list[dict[str, Any]]) -> None:
    contracted(desk, "numpy")
    desk.source({"of": "kernel", "number": 0, "whole": False})
    assert said[-1]["text"] == "numpy's own code; nothing is generated."
    assert said[-1]["candidate"] == "numpy"


def test_the_database_goes_out_comes_in_and_is_forgotten(
    desk: KernelDesk, said: list[dict[str, Any]]
) -> None:
    contracted(desk)
    tuned(desk)
    drive(desk.database({"action": "export", "text": None}))
    text = said[-1]["text"]
    assert said[-1]["message"] == "1 kernel."
    drive(desk.database({"action": "clear", "text": None}))
    drive(desk.database({"action": "import", "text": text}))
    assert said[-1]["message"].startswith("1 kernel taken")
    with pytest.raises(DocumentError):
        drive(desk.database({"action": "import", "text": "{}"}))


def test_tuning_stops_as_soon_as_somebody_wants_something(desk: KernelDesk) -> None:
    contracted(desk)
    asyncio.run(desk.tune(asyncio.Lock(), lambda: False))
    assert desk.tuner is not None
    assert desk.tuner.running


def test_tuning_lets_go_within_a_piece_and_takes_it_up_again(desk: KernelDesk) -> None:
    contracted(desk)
    assert desk.tuner is not None
    lock, looks = asyncio.Lock(), 0

    def idle() -> bool:
        # Somebody comes more and more seldom, within trials and between them.
        nonlocal looks
        looks += 1
        return looks.bit_count() > 1

    rounds = 0
    while desk.tuner.running:
        asyncio.run(desk.tune(lock, idle))
        assert not lock.locked()
        rounds += 1
    assert rounds > 3
    shapes: Any = desk.json()["shapes"]
    states = [one["state"] for one in shapes[0]["candidates"]]
    assert states.count("best") == 1
    assert "failed" not in states


def test_nobody_waits_for_a_gpu_that_compiles(
    desk: KernelDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    contracted(desk)
    compiled, steps = 0, 0
    ready = asyncio.Event()

    class Compiling(Tuner):
        on_gpu = True

        async def step(self, _pause: Any) -> bool:
            nonlocal compiled, steps
            steps += 1
            await ready.wait()
            compiled += 1
            return False

    monkeypatch.setattr(desk, "_tuner", Compiling.__new__(Compiling))
    monkeypatch.setattr(desk, "_say", lambda: None)

    async def story() -> None:
        lock, wanted = asyncio.Lock(), False
        first = asyncio.ensure_future(desk.tune(lock, lambda: not wanted))
        await asyncio.sleep(0.1)
        assert lock.locked()
        wanted = True
        await asyncio.wait_for(first, 5)
        assert not lock.locked()
        assert compiled == 0
        ready.set()
        await asyncio.wait_for(desk.tune(lock, lambda: True), 5)

    asyncio.run(story())
    # The same piece of work, finished later.
    assert (steps, compiled) == (1, 1)


def test_without_wasm_nothing_is_tuned(said: list[dict[str, Any]]) -> None:
    desk = KernelDesk(said.append)
    desk.devices(Available(backends={"numpy": NumpyBackend()}, missing={}))
    assert desk.tuner is None
    contracted(desk, "numpy")
    tuned(desk)
    record: Any = desk.json()
    assert record["device"] is None
    assert record["tuning"]["running"] is False
    drive(desk.database({"action": "export", "text": None}))
    assert "without WebAssembly" in said[-1]["message"]


def test_kernels_of_16_bit_storage_are_shown_as_they_run(
    desk: KernelDesk, said: list[dict[str, Any]]
) -> None:
    contracted(desk)
    wide: Any = desk.json()
    device: Any = ModelledGpu(limits=GpuLimits(half=True))
    half = HalfGpuBackend(WebGpuBackend(device, assumed_rates(software=False)))
    desk._backends["webgpu-f16"] = half  # type: ignore[index]  # a dict
    plan = plan_for((("i", "k"), ("k", "j"), ("j", "l")), ("i", "l"), tuple(SIZES.items()))
    choice = prepare(plan, backends=desk._backends, backend="webgpu-f16", dtype="float32")
    result = Result(
        value=np.zeros((40, 3), np.float32),
        dtype="float32",
        backend="webgpu-f16",
        ms=1.0,
        predicted_ms=1.0,
        peak_bytes=1,
        mul_adds=1,
        error_bound=1.0,
    )
    desk.ran(choice, result)
    record: Any = desk.json()
    shape = record["shapes"][0]
    assert shape["backend"] == "webgpu-f16"
    assert shape["note"].startswith("Kernels that store 16-bit numbers are not tuned")
    assert shape["bytes"] == wide["shapes"][0]["bytes"] // 2
    desk.source({"of": "kernel", "number": 0, "whole": False})
    assert said[-1]["language"] == "wgsl"
    assert "enable f16;" in said[-1]["text"]


@pytest.mark.parametrize(
    "record",
    [DESKTOP, DeviceRecord(name="unknown", gpu=GpuFacts(adapter="x")), WITH_GPU],
    ids=lambda record: record.name,
)
def test_every_fact_says_how_it_was_found(record: Any) -> None:
    facts: Any = record_json(record, "float64")["facts"]
    assert all(fact["how"].endswith(".") and fact["value"] for fact in facts)


def test_the_roofline_is_that_of_the_place_where_it_ran() -> None:
    on_cpu: Any = record_json(WITH_GPU, "complex128")
    assert (on_cpu["peakGflops"], on_cpu["bytesPerMs"]) == (29.0, 1e7)
    assert [curve["y"] for curve in on_cpu["curves"]] == ["GB/s", "GFLOP/s"]
    assert on_cpu["facts"][0]["label"] == "Vector registers"
    on_gpu: Any = record_json(WITH_GPU, "complex64", on_gpu=True)
    assert (on_gpu["peakGflops"], on_gpu["bytesPerMs"]) == (900.0, 2e8)
    assert [curve["y"] for curve in on_gpu["curves"]] == ["GFLOP/s", "GB/s"]
    assert on_gpu["facts"][0]["label"] == "GPU"
    shown = {fact["label"]: fact["value"] for fact in on_gpu["facts"]}
    assert shown["Peak of the GPU, float32"] == "900 GFLOP/s"
    assert shown["Memory of the GPU"] == "200 GB/s"
    assert shown["Workgroups that fill it"] == "32"
    assert (shown["To the GPU"], shown["From the GPU"]) == ("4 GB/s", "3 GB/s")
    unmeasured: Any = record_json(DESKTOP, "float32", on_gpu=True)
    assert unmeasured["peakGflops"] is unmeasured["bytesPerMs"] is None


def test_copies_are_shown_in_gigabytes_a_second() -> None:
    curve = Curve(name="bandwidth", x="bytes", y="bytes/ms", points=((4096.0, 5e7),))
    shown: Any = record_json(replace(DESKTOP, curves=(curve,)), "float32")["curves"]
    assert (shown[0]["y"], shown[0]["points"]) == ("GB/s", [[4096.0, 50.0]])


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36", "chromium 156"),
        ("Mozilla/5.0 (X11; rv:153.0) Gecko/20100101 Firefox/153.0", "firefox 153"),
        ("Mozilla/5.0 (X11) AppleWebKit/605.1.15 Version/26.0 Safari/605.1.15", "webkit 26"),
        ("something else", "unknown 0"),
    ],
)
def test_engines_are_named(agent: str, name: str) -> None:
    assert named_engine(agent) == name
