"""Inputs of plans on a GPU: sent once to whom they belong, and again when sending failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.gpu.loaded import REMEMBERED_BYTES, Loaded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.kernels.gpu.plan import GpuPlan

LARGE = REMEMBERED_BYTES // 8 + 1


class Device:
    """Holds what it is sent; one upload fails half-way."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at = fails_at
        self.uploads = 0
        self.held: dict[int, NDArray[Any]] = {}

    def upload(self, _handle: int, number: int, array: NDArray[Any]) -> None:
        self.uploads += 1
        if self.uploads == self.fails_at:
            self.held[number] = np.full_like(array, np.nan)
            raise UnsupportedKernel("gpu-refused", "Out of memory.")
        self.held[number] = array.copy()


def inputs(size: int, value: float) -> list[NDArray[Any]]:
    return [np.full(size, value + number) for number in range(3)]


def uploaded(loaded: Loaded, device: Device, arrays: list[NDArray[Any]], owner: object) -> None:
    loaded.upload(cast("GpuDevice", device), arrays, owner)


@pytest.mark.parametrize("size", [4, LARGE])
@pytest.mark.parametrize("failing", [1, 2, 3])
def test_what_failed_to_be_sent_is_sent_again(size: int, failing: int) -> None:
    device = Device(fails_at=3 + failing)
    loaded = Loaded(handle=1, plan=cast("GpuPlan", None))
    before, mine = object(), object()
    old, new = inputs(size, 0.0), inputs(size, 10.0)
    uploaded(loaded, device, old, before)
    with pytest.raises(UnsupportedKernel):
        uploaded(loaded, device, new, mine)
    # Whoever comes next, with whichever numbers, runs with these.
    for arrays, owner in ((old, before), (new, mine)):
        uploaded(loaded, device, arrays, owner)
        for number, array in enumerate(arrays):
            np.testing.assert_array_equal(device.held[number], array)


def test_an_owner_sends_once() -> None:
    device = Device()
    loaded = Loaded(handle=1, plan=cast("GpuPlan", None))
    owner = object()
    for _ in range(2):
        uploaded(loaded, device, inputs(LARGE, 0.0), owner)
    assert device.uploads == 3
