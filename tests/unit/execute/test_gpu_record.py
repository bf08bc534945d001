"""The GPU's part of the device record: when the tuner measures it, keeps it, measures it anew."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from modelled_gpu import ModelledGpu
from tensorloom.execute.backend import drive
from tensorloom.execute.known_device import with_gpu
from tensorloom.execute.tuning import Tuner
from tensorloom.execute.wasm.kernels import WasmKernels
from tensorloom.kernels.gpu.limits import GpuSpeeds
from tensorloom.tune.database import Database, Entry, Key
from tensorloom.tune.device import CpuFacts, Curve, DeviceRecord, device_to_json
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from tensorloom.execute.gpu.device import GpuDevice

BANDWIDTH = Curve(name="bandwidth", x="bytes", y="bytes/ms", points=((1.0, 2.0),))
RECORD = DeviceRecord(
    name="measured here", origin="measured", cpu=CpuFacts(l1_bytes=1 << 15), curves=(BANDWIDTH,)
)


class Store:
    """Keeps what was saved."""

    def __init__(self, text: str | None = None) -> None:
        self.text = text

    async def load(self) -> str | None:
        return self.text

    async def save(self, text: str) -> None:
        self.text = text


async def no_pause() -> None:
    """Nobody else wants anything."""


def tuner_for(gpu: ModelledGpu | None, store: Store, measured: DeviceRecord = RECORD) -> Tuner:
    kernels = WasmKernels(WasmtimeHost(pages=1 << 8))
    device: Any = gpu
    clock = gpu.clock if gpu else lambda: 0.0
    made = Tuner(kernels, store=store, engine="wasmtime 1", clock=clock, gpu=device)
    drive(made._load())
    made.record = made.record or with_gpu(measured, device)
    return made


def finished(tuner: Tuner) -> int:
    """How many steps there were."""
    done = 0
    while drive(tuner.step(no_pause)):
        done += 1
    return done


def test_is_measured_when_nothing_else_is_left_and_kept() -> None:
    store, gpu = Store(), ModelledGpu()
    tuner = tuner_for(gpu, store)
    assert tuner.running
    assert not tuner.on_gpu
    assert drive(tuner.step(no_pause))
    assert tuner.on_gpu
    assert tuner.message == "Measuring the GPU"
    assert finished(tuner) > 10
    assert not tuner.on_gpu
    assert not tuner.running
    assert tuner.message == "All shapes are tuned"
    assert tuner.record is not None
    assert tuner.record.gpu is not None
    assert tuner.record.gpu.peak_gflops == pytest.approx(1000, rel=0.02)
    names = [curve.name for curve in tuner.record.curves]
    assert names == ["bandwidth", "workgroup", "gpu-load", "gpu-copy"]
    again = tuner_for(ModelledGpu(), store)
    assert again.record == tuner.record
    assert finished(again) == 0


def test_kernels_are_chosen_by_what_was_measured_now_and_on_later_visits() -> None:
    store, gpu = Store(), ModelledGpu(registers=16, processors=8, full_threads=64)
    assert gpu.limits.speeds == GpuSpeeds()
    tuner = tuner_for(gpu, store)
    before = tuner.revision
    finished(tuner)
    assert tuner.revision > before
    assert (gpu.limits.speeds.sums, gpu.limits.wanted_groups) == (16, 8)
    later, other = ModelledGpu(), ModelledGpu(description="another")
    tuner_for(later, store)
    assert later.limits == gpu.limits
    # What is known of one is not taken for another.
    tuner_for(other, store)
    assert other.limits.speeds == GpuSpeeds()


def test_another_gpu_is_measured_anew() -> None:
    store = Store()
    assert finished(tuner_for(ModelledGpu(), store))
    other = tuner_for(ModelledGpu(description="another", peak_gflops=300.0), store)
    assert other.record is not None
    assert other.record.curves == (BANDWIDTH,)
    assert finished(other) > 10
    assert other.record.gpu is not None
    assert other.record.gpu.peak_gflops == pytest.approx(300, rel=0.02)
    assert len(other.record.curves) == 4
    gone = tuner_for(None, store)
    assert gone.record is not None
    assert gone.record.gpu is None
    assert gone.record.curves == (BANDWIDTH,)
    assert finished(gone) == 0


def test_a_device_that_it_costs_is_asked_for_again_and_left_alone() -> None:
    store = Store()
    gpu = ModelledGpu(lost_at=4)
    tuner = tuner_for(gpu, store)
    assert finished(tuner) == 4
    assert gpu.renewals == 1
    assert tuner.report == ["The GPU was not measured: The GPU went away."]
    assert not tuner.running
    # Nor is it lost once on each visit; another one is tried.
    assert finished(tuner_for(ModelledGpu(), store)) == 0
    assert finished(tuner_for(ModelledGpu(description="another"), store)) > 10


def test_a_device_that_refuses_all_is_not_asked_for_ever() -> None:
    store = Store()
    tuner = tuner_for(ModelledGpu(refused=("//",)), store)
    assert finished(tuner) > 10
    assert not tuner.running
    again = tuner_for(ModelledGpu(), store)
    assert finished(again) == 0
    # Until the user has everything forgotten.
    drive(again.cleared())
    assert finished(again) > 10


KNOWN = (
    Key(device=RECORD.cpu_key, engine="wasmtime 1", backend="wasm", dtype="float32", shape="m64"),
    Entry(candidate="right 5x8", gflops=50.0, spec="a product"),
)


def left_behind(**changed: Any) -> Store:
    """What a visit left that knew a kernel and a GPU that refused all; parts of it changed."""
    device = {**device_to_json(with_gpu(RECORD, cast("GpuDevice", ModelledGpu())))}
    database = json.loads(Database([KNOWN]).to_text())
    parts = {"device": device, "kernels": database, "gpu-refused": "gpu x", "visits": 18}
    return Store(json.dumps({"engine": "wasmtime 1", **parts, **changed}))


def loaded(store: Store) -> Tuner:
    """A tuner that has read what was left, and knows no other record."""
    kernels = WasmKernels(WasmtimeHost(pages=1 << 8))
    made = Tuner(kernels, store=store, engine="wasmtime 1", clock=lambda: 0.0)
    drive(made._load())
    return made


@pytest.mark.parametrize("version", [2, 3])
def test_kernels_outlive_a_record_of_an_older_format(version: int) -> None:
    tuner = loaded(left_behind(device={**device_to_json(RECORD), "version": version}))
    assert tuner.record == RECORD
    assert tuner.database.items() == (KNOWN,)
    assert (tuner._measuring.refused, tuner._age.visits) == ("gpu x", 19)


@pytest.mark.parametrize("device", [{**device_to_json(RECORD), "version": 1}, 5])
def test_kernels_outlive_a_record_that_cannot_be_read(device: object) -> None:
    store = left_behind(device=device)
    tuner = loaded(store)
    assert tuner.record is None
    assert tuner.database.items() == (KNOWN,)
    assert tuner._measuring.refused == "gpu x"
    # What is measured on this visit is not due to be measured again on it.
    assert tuner._age.visits == 0
    tuner.record = RECORD
    drive(tuner._save())
    assert loaded(store).database.items() == (KNOWN,)


def test_a_record_outlives_kernels_that_cannot_be_read() -> None:
    tuner = loaded(left_behind(kernels=[]))
    assert tuner.record == with_gpu(RECORD, None)
    assert len(tuner.database) == 0
