"""Plans kept on the device: what ran before runs again without compiling, binding or uploading.

Keyed by program, kernels chosen, whether exponents are carried, how numbers are stored and the
device's limits; the least recently used go when their buffers take too much, and all of them when
the device is lost.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.kernels.gpu.plan import GpuPlan

__all__ = ["Loaded", "LoadedPlans"]

MOST_PLANS = 64
REMEMBERED_BYTES = 1 << 20
"""Inputs up to this size are compared with what is on the device; larger ones are sent again."""


@dataclass(slots=True, kw_only=True)
class Loaded:
    """A plan on the device.

    Args:
        handle: Its name there.
        plan: What it is.
        sent: Copies of inputs as they are on the device, by number.
        owner: Whose inputs they are, where somebody says so to send them once.
    """

    handle: int
    plan: GpuPlan
    sent: dict[int, NDArray[Any]] = field(default_factory=dict)
    owner: object = None

    def upload(
        self, device: GpuDevice, arrays: Sequence[NDArray[Any]], owner: object = None
    ) -> None:
        """Sends the inputs that are not there yet; none if the owner's are there."""
        if owner is not None and owner is self.owner:
            return
        # Until all of them are there they are nobody's: one that fails is sent again.
        self.owner = None
        for number, array in enumerate(arrays):
            known = self.sent.get(number)
            if known is not None and np.array_equal(known, array, equal_nan=False):
                continue
            self.sent.pop(number, None)
            device.upload(self.handle, number, array)
            if array.nbytes <= REMEMBERED_BYTES:
                self.sent[number] = array.copy()
        self.owner = owner


class LoadedPlans:
    """The plans of one device.

    Args:
        most_bytes: Bytes of all their buffers together.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._plans: OrderedDict[object, Loaded] = OrderedDict()

    def __len__(self) -> int:
        return len(self._plans)

    @property
    def total_bytes(self) -> int:
        """Bytes of their buffers [bytes]."""
        return sum(loaded.plan.places.total_bytes for loaded in self._plans.values())

    def get(self, key: object) -> Loaded | None:
        """The plan of this key, now the most recently used."""
        found = self._plans.get(key)
        if found is not None:
            self._plans.move_to_end(key)
        return found

    async def add(self, device: GpuDevice, key: object, plan: GpuPlan) -> Loaded:
        """Loads a plan; others make room first."""
        self.make_room(device, plan.places.total_bytes)
        loaded = Loaded(handle=await device.load(plan), plan=plan)
        self._plans[key] = loaded
        return loaded

    def make_room(self, device: GpuDevice, wanted: int) -> None:
        """Unloads the least recently used until so many bytes and one more plan fit."""
        while self._plans and (
            len(self._plans) >= MOST_PLANS or self.total_bytes + wanted > self.most_bytes
        ):
            _, oldest = self._plans.popitem(last=False)
            device.unload(oldest.handle)

    def drop(self, device: GpuDevice, key: object) -> None:
        """Unloads one plan, if it is here."""
        loaded = self._plans.pop(key, None)
        if loaded is not None:
            device.unload(loaded.handle)

    def keys(self) -> frozenset[object]:
        """Those of all plans that are here."""
        return frozenset(self._plans)

    def clear(self, device: GpuDevice) -> None:
        """Unloads all of them."""
        self.make_room(device, self.most_bytes + 1)

    def forget(self) -> None:
        """They went with the device."""
        self._plans.clear()
