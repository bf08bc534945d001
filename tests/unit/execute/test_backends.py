"""Which backends are found, with modules that only pretend."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from tensorloom.errors import UnsupportedKernel
from tensorloom.execute import backends
from tensorloom.execute.backend import drive

if TYPE_CHECKING:
    import pytest


async def _works() -> str:
    return "a backend"


async def _lacks_simd() -> str:
    raise UnsupportedKernel("no-simd", "This browser has no SIMD.")


def test_numpy_is_always_there_and_reasons_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "MODULES", {"webgpu": "good", "wasm": "poor"})
    modules = {"good": SimpleNamespace(make=_works), "poor": SimpleNamespace(make=_lacks_simd)}
    monkeypatch.setattr(backends, "import_module", modules.__getitem__)
    found = drive(backends.available())
    assert found.backends["webgpu"] == "a backend"
    assert set(found.backends) == {"webgpu", "numpy"}
    assert found.missing["wasm"] == "This browser has no SIMD."


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_name: str) -> None:
        raise ModuleNotFoundError("No module named 'wgpu'", name="wgpu")

    monkeypatch.setattr(backends, "MODULES", {"webgpu": "absent"})
    monkeypatch.setattr(backends, "import_module", absent)
    found = drive(backends.available())
    assert found.missing["webgpu"] == "The package wgpu is not installed."


def test_numpy_has_room_for_half_of_the_memory() -> None:
    assert 1 << 28 < backends.numpy_backend().limit_bytes < 1 << 45
