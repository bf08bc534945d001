"""Known kernels that outlive a visit: loaded when a page opens, saved when something was found out.

What is kept belongs to one engine: another one may keep other numbers in registers, and measures
everything anew.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tensorloom.errors import InputError
from tensorloom.execute.device_measuring import DeviceMeasuring
from tensorloom.execute.known_device import with_gpu
from tensorloom.execute.known_kernels import KnownKernels
from tensorloom.execute.record_age import RecordAge
from tensorloom.tune.database import Database, read_entries
from tensorloom.tune.device import device_from_json, device_to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from tensorloom.execute.gpu.device import GpuDevice
    from tensorloom.execute.kernel_store import KernelStore
    from tensorloom.execute.wasm.kernels import WasmKernels
    from tensorloom.kernels.wasm.schedule import Kernel

__all__ = ["KeptKernels"]

FORMAT = 1


class KeptKernels(KnownKernels):
    """Known kernels with their store.

    Args:
        kernels: The WASM engine.
        store: Where everything is kept.
        engine: Browser engine and its major version.
        clock: Seconds.
        gpu: The GPU's device, where there is one.
        threads: Threads of the page.
    """

    def __init__(
        self,
        kernels: WasmKernels,
        *,
        store: KernelStore,
        engine: str,
        clock: Callable[[], float],
        gpu: GpuDevice | None,
        threads: int,
    ) -> None:
        super().__init__(relaxed=kernels.relaxed, engine=engine, gpu=gpu, threads=threads)
        self._clock = clock
        self._measuring = DeviceMeasuring(kernels, gpu, clock)
        self._store = store
        self._age = RecordAge()
        self._loaded = False
        self._unsaved = False
        self._stored: str | None = None

    def exported(self) -> str:
        """The database as text: parameters and speeds, no code."""
        return self.database.to_text()

    async def imported(self, text: str) -> int:
        """Takes entries from elsewhere; each is tried here before it is used. How many.

        Raises:
            DocumentError: What ``read_entries`` refuses.
        """
        taken = self.database.merge(read_entries(text))
        if taken:
            self._changed()
            await self._save()
        return taken

    async def cleared(self) -> None:
        """Forgets all kernels; the device record stays. A GPU that was refused is tried again."""
        self._measuring.refused = ""
        self.database.clear()
        self._shapes.clear()
        self._gains.clear()
        self._changed()
        await self._save(alone=True)

    def without(self, kernel: Kernel) -> None:
        """As for ``KnownKernels``; the next save writes it down."""
        super().without(kernel)
        self._unsaved = True

    def remember(self, text: str | None) -> None:
        """Takes up what earlier visits have left; what cannot be read is nothing.

        Args:
            text: From the store.
        """
        self._loaded = True
        self._stored = text
        try:
            kept = self._own(text)
        except ValueError:
            kept = {}
        if kept:
            self._take_kept(kept)
        self._changed()

    def _take_kept(self, kept: dict[str, Any]) -> None:
        """Each part by itself: a device that must be measured anew costs no kernels."""
        self._unsaved = True
        self._measuring.refused = str(kept.get("gpu-refused", ""))
        with suppress(ValueError, InputError):
            self.database = Database(read_entries(_compact(kept.get("kernels"))))
        with suppress(ValueError, InputError):
            self.record = with_gpu(device_from_json(kept.get("device")), self._gpu)
            # They tell of this record; one that is measured now has no visits behind it.
            self._age.visits = _whole(kept.get("visits")) + 1
            self._age.lower = _speed(kept.get("lower-peak"))

    async def _load(self) -> None:
        self.remember(await self._store.load())

    def _own(self, text: str | None) -> dict[str, Any]:
        """What is in the store of this engine.

        Raises:
            ValueError: It is not JSON.
        """
        kept: Any = json.loads(text) if text else {}
        return kept if isinstance(kept, dict) and kept.get("engine") == self._engine else {}

    def _join(self, text: str | None) -> None:
        """Takes up what another page has saved since this one looked last."""
        if text == self._stored:
            return
        try:
            kept = self._own(text)
            if kept and self.database.join(read_entries(_compact(kept.get("kernels")))):
                self._changed()
        except (ValueError, InputError):
            return  # It is replaced by what is known here.

    async def _save(self, *, alone: bool = False) -> None:
        """Writes everything down, with what other pages have found out.

        Args:
            alone: Without that.
        """
        self._unsaved = False
        if self.record is None:
            return
        if not alone:
            self._join(await self._store.load())
        kept = {
            "tensorloom-tuning": FORMAT,
            "engine": self._engine,
            "device": device_to_json(self.record),
            "kernels": json.loads(self.database.to_text()),
            "gpu-refused": self._measuring.refused,
            "visits": self._age.visits,
            "lower-peak": self._age.lower,
        }
        self._stored = _compact(kept)
        await self._store.save(self._stored)


def _compact(value: object) -> str:
    """JSON as short as the database's own, which has just about room for itself."""
    return json.dumps(value, separators=(",", ":"))


def _whole(value: object) -> int:
    """A number of visits from the store."""
    return value if type(value) is int and abs(value) < _MOST_VISITS else 0


def _speed(value: object) -> float:
    """A measured speed from the store; 0 if there is none [GFLOP/s]."""
    return value if type(value) is float and 0 < value < _FASTEST else 0.0


_MOST_VISITS = 1 << 20
_FASTEST = 1e9
