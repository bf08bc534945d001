"""The GPU's part of the device record: when the tuner measures it, keeps it, measures it anew."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelled_gpu import ModelledGpu
from tensorloom.execute.backend import drive
from tensorloom.execute.known_device import with_gpu
from tensorloom.execute.tuning import Tuner
from tensorloom.execute.wasm.kernels import WasmKernels
from tensorloom.kernels.gpu.limits import GpuSpeeds
from tensorloom.tune.device import CpuFacts, Curve, DeviceRecord, device_to_json
from wasmtime_host import WasmtimeHost

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


def kept(record: DeviceRecord) -> str:
    """What an earlier visit left."""
    database = {"kind": "kernel-database", "version": 1, "entries": []}
    return json.dumps(
        {"engine": "wasmtime 1", "device": device_to_json(record), "kernels": database}
    )


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


def test_a_record_of_an_earlier_version_is_measured_anew() -> None:
    old = kept(RECORD).replace('"version": 4', '"version": 3', 1)
    assert old != kept(RECORD)
    device = DeviceRecord(name="stands for what is then measured")
    assert tuner_for(None, Store(old), device).record == device
    assert tuner_for(None, Store(kept(RECORD))).record == RECORD
