"""Calls from ``window.tensorloom`` (``page/api.ts``) into the page's one session.

Arguments and answers are JSON with arrays beside them as bytes; errors travel as their record.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tensorloom.engine import backend_choice
from tensorloom.errors import Cancelled, DocumentError, TensorloomError
from tensorloom.execute.backend import Result
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.formats import opening
from tensorloom.formats.npy import read_npy
from tensorloom.formats.opened import Opened
from tensorloom.model.commands import SetArray, SetDimension, SetDType, apply_all
from tensorloom.model.document import check_dtype
from tensorloom.model.stored_array import StoredArray
from tensorloom.view.bench import bench
from tensorloom.view.embed import embeddable, embedded
from tensorloom.view.progress import RunProgress
from tensorloom.view.records import result_json
from tensorloom.view.workbench import sessions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from numpy.typing import NDArray

    from tensorloom.execute.backend import Pulse
    from tensorloom.model.commands import Command
    from tensorloom.model.document import Document
    from tensorloom.view.session import Session

__all__ = ["Watch", "call"]

EMBED_WAIT_S = 1.0
"""What is embedded while a run goes on longer than this has its small steps one by one [s]."""

Answer = tuple[bool, str, list[Any]]


class Watch(Protocol):
    """The caller, as a call that takes long sees it.

    Attributes:
        stopped: Whether the answer is not wanted any more.
    """

    stopped: bool

    def tell(self, text: str, /) -> None:
        """Takes news as JSON."""


class Nobody:
    """A caller who waits for the answer and nothing else."""

    stopped = False

    def tell(self, text: str, /) -> None:
        """Not of interest."""


NOBODY = Nobody()


async def call(
    method: str, arguments: str, buffers: Sequence[Any], watch: Watch = NOBODY
) -> Answer:
    """``(succeeded, JSON text, arrays of bytes)`` of a call.

    Args:
        method: ``open``, ``run``, ``take``, ``bench`` or ``embed``.
        arguments: JSON object.
        buffers: Bytes of the arrays it speaks of, as JavaScript typed arrays or Python buffers.
        watch: Hears how far ``run`` is and may stop it, if ``watched`` is among its arguments.
    """
    try:
        given = json.loads(arguments)
        if method == "run":
            return await _run(sessions[-1], given, watch)
        return await _METHODS[method](sessions[-1], given, buffers)
    except TensorloomError as error:
        return False, json.dumps(error.to_json()), []


async def _open(session: Session, given: dict[str, Any], buffers: Sequence[Any]) -> Answer:
    options = dict(given["options"])
    dtype = options.pop("dtype", None)
    opened = opening.open_text(
        given["text"], format=given["format"], name=given["name"], options=options
    )
    stored = [
        _stored(described, _bytes(buffer))
        for described, buffer in zip(given["arrays"], buffers, strict=True)
    ]
    document = _with_arrays(opened.document, stored, dtype)
    session.take(Opened(document=document, arrays=(*opened.arrays, *stored)))
    return True, "{}", []


async def _run(session: Session, given: dict[str, Any], watch: Watch) -> Answer:
    if given["dtype"] is not None:
        check_dtype(given["dtype"])
    backend = backend_choice(str(given["backend"]))
    pulse = partial(_pulse, watch) if given.get("watched") else None
    result = await session.live.run_now(backend, given["dtype"], pulse)
    record = result_json(result, session.live.result_indices)
    record.pop("scalar")
    record |= {"peakBytes": result.peak_bytes, "mulAdds": result.mul_adds}
    if not np.isfinite(result.value).all():
        # JSON has no word for such a norm; the numbers themselves travel as bytes.
        record["norm"] = None
    flat: NDArray[Any] = np.ascontiguousarray(result.value).reshape(-1)
    return True, json.dumps(record, allow_nan=False), [flat.view(np.uint8)]


async def _take(session: Session, given: dict[str, Any], buffers: Sequence[Any]) -> Answer:
    """Shows the value that a heavy worker has computed of what is shown."""
    [(_, stored)] = read_npy(_bytes(buffers[0]), "result.npy")
    document = session.desk.shown
    if stored.shape != document.network.output_shape:
        raise DocumentError(
            "wrong-result",
            f"The worker's value has the shape {stored.shape}, but what is drawn has "
            f"{document.network.output_shape}.",
            "Open the job's own drawing from the list of jobs.",
        )
    value = np.frombuffer(stored.data, stored.dtype).reshape(stored.shape)
    result = Result(
        value=value,
        dtype=stored.dtype,
        backend="worker",
        ms=float(given["ms"]),
        predicted_ms=float(given["predictedMs"]),
        peak_bytes=int(given["peakBytes"]),
        mul_adds=int(given["mulAdds"]),
        error_bound=float(given["errorBound"]),
        log10_scale=float(given["log10Scale"]),
        notes=(str(given["note"]),),
    )
    await session.live.take_up(result, document)
    return True, "{}", []


def _pulse(watch: Watch, total: int) -> Pulse:
    """Progress of a run for its caller, who may also stop it."""

    def tell(notice: dict[str, object]) -> None:
        news = {"state": "running", "fraction": notice["done"]}
        watch.tell(json.dumps({**news, "etaMs": notice["etaMs"], "message": notice["message"]}))

    def stopped() -> Cancelled | None:
        return Cancelled("cancelled", "This run was cancelled.") if watch.stopped else None

    return RunProgress(total, tell, stopped, sums=False)


async def _bench(session: Session, given: dict[str, Any], buffers: Sequence[Any]) -> Answer:
    async with session.live.undisturbed() as tuner:
        record = await bench(given, [_bytes(buffer) for buffer in buffers], tuner)
    return True, json.dumps(record, allow_nan=False), []


async def _embed(session: Session, _given: dict[str, Any], _buffers: Sequence[Any]) -> Answer:
    work = embeddable(session.desk.shown)
    wasm = (await session.live.find_devices()).backends.get("wasm")
    try:
        async with asyncio.timeout(EMBED_WAIT_S), session.live.undisturbed():
            kernels = wasm.kernels if isinstance(wasm, WasmBackend) else None
            data = embedded(work, session.store, kernels)
    except TimeoutError:
        data = embedded(work, session.store, None)
    return True, "{}", [np.frombuffer(data, np.uint8)]


def _bytes(buffer: Any) -> bytes:  # noqa: ANN401  # a JavaScript typed array has no Python type
    return bytes(buffer.to_py()) if hasattr(buffer, "to_py") else bytes(buffer)


def _stored(described: dict[str, Any], data: bytes) -> StoredArray:
    check_dtype(described["dtype"])
    shape = described["shape"]
    if not all(type(size) is int and size >= 0 for size in shape):
        raise DocumentError(
            "bad-array",
            f"{str(shape)[:60]} is not the shape of an array.",
            "Give a list of whole numbers.",
        )
    return StoredArray.of(dtype=described["dtype"], shape=tuple(shape), data=data)


def _with_arrays(document: Document, stored: list[StoredArray], dtype: str | None) -> Document:
    """The document with the given arrays on its tensors, in order, and sized by them."""
    tensors = document.network.tensors
    if stored and len(stored) != len(tensors):
        raise DocumentError(
            "wrong-arrays",
            f"There are {len(stored)} arrays for {len(tensors)} tensors.",
            "Give one array per operand, or none.",
            values={"arrays": len(stored), "tensors": len(tensors)},
        )
    sizes: dict[str, int] = {}
    commands: list[Command] = []
    for tensor, array in zip(tensors, stored, strict=False):
        if len(array.shape) != len(tensor.indices):
            raise DocumentError(
                "wrong-axes",
                f"The array of {tensor.name} has {len(array.shape)} axes; "
                f"it has {len(tensor.indices)} indices.",
                "Give an array with one axis per index.",
            )
        for name, size in zip(tensor.indices, array.shape, strict=True):
            if sizes.setdefault(name, size) != size:
                raise DocumentError(
                    "dimension-mismatch",
                    f"Index '{name}' has dimension {sizes[name]} on one array and {size} on "
                    f"that of {tensor.name}.",
                    "Make them equal.",
                    values={"one": sizes[name], "other": size},
                )
        commands.append(SetArray(id=tensor.id, array=array.recipe))
    commands += [SetDimension(name=name, dimension=size) for name, size in sizes.items()]
    wanted = dtype or _widest([array.dtype for array in stored])
    if wanted is not None:
        check_dtype(wanted)
        commands.append(SetDType(dtype=wanted))  # type: ignore[arg-type]  # checked the line before
    return apply_all(document, commands)


def _widest(dtypes: list[str]) -> str | None:
    return np.result_type(*dtypes).name if dtypes else None


_METHODS: dict[str, Callable[[Session, dict[str, Any], Sequence[Any]], Awaitable[Answer]]] = {
    "open": _open,
    "take": _take,
    "bench": _bench,
    "embed": _embed,
}
