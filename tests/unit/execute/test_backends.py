"""Which backends are found, with modules that only pretend."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from modelled_gpu import ModelledGpu
from tensorloom.errors import UnsupportedKernel
from tensorloom.execute import backends
from tensorloom.execute.backend import drive
from tensorloom.execute.gpu.backend import WebGpuBackend, assumed_rates
from tensorloom.kernels.gpu.limits import GpuLimits

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Works:
    """A backend that only pretends."""


async def _works() -> _Works:
    return _Works()


@pytest.fixture(autouse=True)
def _nothing_open() -> Iterator[None]:
    backends.forget()
    yield
    backends.forget()


async def _lacks_simd() -> str:
    raise UnsupportedKernel("no-simd", "This browser has no SIMD.")


def test_numpy_is_always_there_and_reasons_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "MODULES", {"webgpu": "good", "wasm": "poor"})
    modules = {"good": SimpleNamespace(make=_works), "poor": SimpleNamespace(make=_lacks_simd)}
    monkeypatch.setattr(backends, "import_module", modules.__getitem__)
    found = drive(backends.available())
    assert isinstance(found.backends["webgpu"], _Works)
    assert set(found.backends) == {"webgpu", "numpy"}
    assert found.missing["wasm"] == "This browser has no SIMD."


def test_a_device_is_opened_once_and_only_if_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "MODULES", {"wasm": "one", "webgpu": "other"})
    modules = {name: SimpleNamespace(make=_works) for name in ("one", "other")}
    monkeypatch.setattr(backends, "import_module", modules.__getitem__)
    assert not backends.opened().backends
    first = drive(backends.available(["webgpu"]))
    assert list(first.backends) == ["webgpu", "numpy"]
    every = drive(backends.available())
    assert list(every.backends) == ["wasm", "webgpu", "numpy"]
    assert every.backends["webgpu"] is first.backends["webgpu"]
    assert every.backends["numpy"] is first.backends["numpy"]


def test_two_that_ask_at_once_share_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    async def slow() -> _Works:
        await asyncio.sleep(0)
        made.append(_Works())
        return made[-1]

    monkeypatch.setattr(backends, "MODULES", {"webgpu": "slow"})
    monkeypatch.setattr(backends, "import_module", lambda _name: SimpleNamespace(make=slow))

    async def both() -> list[backends.Available]:
        return list(await asyncio.gather(backends.available(), backends.available()))

    found = asyncio.run(both())
    assert len(made) == 1
    assert [id(one.backends["webgpu"]) for one in found] == [id(made[0])] * 2


@pytest.mark.parametrize("has_half", [True, False])
def test_a_gpu_is_there_twice_where_it_stores_16_bits(
    monkeypatch: pytest.MonkeyPatch, *, has_half: bool
) -> None:
    device: Any = ModelledGpu(limits=GpuLimits(half=has_half))

    async def make() -> WebGpuBackend:
        return WebGpuBackend(device, assumed_rates(software=False))

    monkeypatch.setattr(backends, "MODULES", {"webgpu": "gpu"})
    monkeypatch.setattr(backends, "import_module", lambda _name: SimpleNamespace(make=make))
    found = drive(backends.available())
    if has_half:
        assert list(found.backends) == ["webgpu", "webgpu-f16", "numpy"]
        half = found.backends["webgpu-f16"]
        assert drive(backends.available()).backends["webgpu-f16"] is half
    else:
        assert list(found.backends) == ["webgpu", "numpy"]
        assert found.missing["webgpu-f16"] == (
            "This GPU does not store 16-bit numbers: it lacks shader-f16."
        )


def test_without_a_gpu_nobody_is_told_what_it_would_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backends, "MODULES", {"webgpu": "poor"})
    monkeypatch.setattr(backends, "import_module", lambda _name: SimpleNamespace(make=_lacks_simd))
    assert "webgpu-f16" not in drive(backends.available()).missing


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_name: str) -> None:
        raise ModuleNotFoundError("No module named 'wgpu'", name="wgpu")

    monkeypatch.setattr(backends, "MODULES", {"webgpu": "absent"})
    monkeypatch.setattr(backends, "import_module", absent)
    found = drive(backends.available())
    assert found.missing["webgpu"] == "The package wgpu is not installed."


def test_numpy_has_room_for_half_of_the_memory() -> None:
    assert 1 << 28 < backends.numpy_backend().limit_bytes < 1 << 45
