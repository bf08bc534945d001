"""Best kernels by device and shape: kept between visits, shared as parameters, never as code.

An entry counts as trusted only if it was measured here: what was imported is tried first, against
the others, and its promised speed is never believed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from tensorloom.errors import DocumentError
from tensorloom.tune.fields import bad_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tensorloom.kernels.program import KernelSpec, LoopAxis

__all__ = ["MOST_BYTES", "Database", "Entry", "Key", "read_entries", "shape_class"]

MOST_BYTES = 200_000
"""Largest database [bytes of JSON]."""

FORMAT = 3
"""Format 1 had no ``spec``, ``threads`` and ``gain``, 2 neither ``second`` nor ``tried``."""

LONGEST_TEXT = 120
_DTYPES = ("float32", "float64", "complex64", "complex128")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a kernel was measured on and for.

    Args:
        device: Key of the device record.
        engine: Browser engine and its major version.
        backend: Where.
        dtype: Element type.
        shape: From ``shape_class``.
    """

    device: str
    engine: str
    backend: Literal["wasm", "webgpu"]
    dtype: str
    shape: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The best candidate for a key.

    Args:
        candidate: Its text.
        gflops: Its speed [GFLOP/s].
        trusted: Whether it was measured here.
        spec: Name of the one kernel of its class that was measured.
        threads: For how many threads ``gain`` was measured; 1 if it was not.
        gain: How many times as fast all of them are, by running both in turns.
        second: The next best candidate, if one is known.
        tried: Candidates that need not be tried again: where time did not do for all, and those
            that failed beside the best one.
    """

    candidate: str
    gflops: float
    trusted: bool = True
    spec: str = ""
    threads: int = 1
    gain: float = 1.0
    second: str = ""
    tried: tuple[str, ...] = ()


def shape_class(spec: KernelSpec) -> str:
    """Shapes that take the same kernel: sizes to the next power of two, and who is contiguous.

    Example:
        ``b1 m512 n512 k512 knn``: left contiguous along the sum, right and result along columns.
        ``kkn=``: left and right along the same one of the summed axes.
    """
    sizes = (f"{name}{1 << (size - 1).bit_length()}" for name, size in zip("bmnk", spec.extents))  # noqa: B905  # four letters, four sizes
    groups: Mapping[str, tuple[LoopAxis, ...]] = {
        "b": spec.batch,
        "m": spec.rows,
        "n": spec.columns,
        "k": spec.contracted,
    }
    units = "".join(_unit(groups, side) for side in ("left", "right", "out"))
    same = any(axis.left == axis.right == 1 and axis.size > 1 for axis in spec.contracted)
    return f"{' '.join(sizes)} {units}{'=' if same else ''}"


def _unit(groups: Mapping[str, tuple[LoopAxis, ...]], side: str) -> str:
    for letter, axes in groups.items():
        if any(getattr(axis, side) == 1 and axis.size > 1 for axis in axes):
            return letter
    return "-"


class Database:
    """Entries by key, the ones used longest ago first; old ones leave when it is full.

    Args:
        entries: To begin with, oldest first.
    """

    def __init__(self, entries: Iterable[tuple[Key, Entry]] = ()) -> None:
        self._entries: dict[Key, Entry] = {}
        self._held: set[Key] = set()
        self._bytes = len(self.to_text())
        for key, entry in entries:
            self.put(key, entry)

    def __len__(self) -> int:
        return len(self._entries)

    def items(self) -> tuple[tuple[Key, Entry], ...]:
        """All entries, oldest first."""
        return tuple(self._entries.items())

    def get(self, key: Key) -> Entry | None:
        """The entry of a key, which thereby is the youngest."""
        found = self._entries.pop(key, None)
        if found is not None:
            self._entries[key] = found
        return found

    def put(self, key: Key, entry: Entry) -> None:
        """Keeps an entry."""
        self.forget(key)
        self._entries[key] = entry
        self._held.add(key)
        self._bytes += _size(key, entry)
        self._trim()

    def forget(self, key: Key) -> None:
        """Drops an entry that proved wrong."""
        dropped = self._entries.pop(key, None)
        if dropped is not None:
            self._bytes -= _size(key, dropped)

    def rename(self, before: str, after: str) -> None:
        """A device has another key from now on; for it, everything may be searched for again."""
        for key, entry in self.items():
            if key.device == before:
                self.forget(key)
                moved = replace(key, device=after)
                if moved not in self._entries:
                    self.put(moved, replace(entry, spec="", tried=()))

    def clear(self) -> None:
        """Drops all."""
        for key in tuple(self._entries):
            self.forget(key)

    def merge(self, others: Iterable[tuple[Key, Entry]]) -> int:
        """Takes imported entries, untrusted, where nothing was measured here; how many."""
        taken = 0
        for key, entry in others:
            here = self._entries.get(key)
            if here is None or not here.trusted:
                self.put(key, replace(entry, trusted=False, tried=()))
                taken += 1
        return taken

    def join(self, others: Iterable[tuple[Key, Entry]]) -> bool:
        """Takes what another page has measured meanwhile; whether there was anything.

        What was here once counts as it is here: changed, or dropped.
        """
        new = [(key, entry) for key, entry in others if key not in self._held]
        for key, entry in new:
            self.put(key, entry)
        return bool(new)

    def to_text(self) -> str:
        """JSON text of at most ``MOST_BYTES``."""
        rows = [_row(key, entry) for key, entry in self._entries.items()]
        return json.dumps({"tensorloom-kernels": FORMAT, "entries": rows}, separators=(",", ":"))

    def _trim(self) -> None:
        while self._bytes > MOST_BYTES:
            self.forget(next(iter(self._entries)))


def _size(key: Key, entry: Entry) -> int:
    """Bytes of an entry's JSON and its comma."""
    return len(json.dumps(_row(key, entry), separators=(",", ":")).encode()) + 1


def _row(key: Key, entry: Entry) -> dict[str, object]:
    return {
        "device": key.device,
        "engine": key.engine,
        "backend": key.backend,
        "dtype": key.dtype,
        "shape": key.shape,
        "candidate": entry.candidate,
        "gflops": round(entry.gflops, 3),
        "trusted": entry.trusted,
        "spec": entry.spec,
        "threads": entry.threads,
        "gain": round(entry.gain, 3),
        "second": entry.second,
        "tried": list(entry.tried),
    }


def read_entries(text: str) -> tuple[tuple[Key, Entry], ...]:
    """The entries of a database's text.

    Raises:
        DocumentError: ``not-json``, ``newer-version``, ``too-big`` or ``bad-kernels``, which names
            the first field that is wrong.
    """
    if len(text.encode()) > MOST_BYTES:
        raise DocumentError(
            "too-big",
            f"This kernel database has more than {MOST_BYTES} bytes.",
            "Export it anew; a database keeps to that size.",
        )
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DocumentError(
            "not-json", "This kernel database is not JSON.", "Check that it is complete."
        ) from error
    version = data.get("tensorloom-kernels") if isinstance(data, dict) else None
    if type(version) is not int:
        raise _bad("tensorloom-kernels", "the number of the format")
    if version > FORMAT:
        raise DocumentError(
            "newer-version",
            f"This kernel database has format {version}; this Tensorloom reads {FORMAT}.",
            "Use a newer Tensorloom.",
            values={"version": version},
        )
    rows = data.get("entries")
    if not isinstance(rows, list):
        raise _bad("entries", "a list")
    return tuple(_entry(row, f"entries[{number}]") for number, row in enumerate(rows))


def _entry(row: Any, where: str) -> tuple[Key, Entry]:  # noqa: ANN401  # from JSON
    if not isinstance(row, dict):
        raise _bad(where, "an object")
    texts = {}
    for name in ("device", "engine", "backend", "dtype", "shape", "candidate"):
        value = row.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT:
            raise _bad(f"{where}.{name}", "a short text")
        texts[name] = value
    if texts["backend"] not in ("wasm", "webgpu"):
        raise _bad(f"{where}.backend", "wasm or webgpu")
    if texts["dtype"] not in _DTYPES:
        raise _bad(f"{where}.dtype", "a type of numbers")
    unknown = set(row) - set(texts) - _FINDINGS
    if unknown:
        raise _bad(f"{where}.{min(map(str, unknown))}", "left out: only parameters are shared")
    key = Key(
        device=texts["device"],
        engine=texts["engine"],
        backend="wasm" if texts["backend"] == "wasm" else "webgpu",
        dtype=texts["dtype"],
        shape=texts["shape"],
    )
    return key, _measured(row, texts["candidate"], where)


def _measured(row: Mapping[str, Any], candidate: str, where: str) -> Entry:
    """What was measured of a candidate."""
    gflops, trusted = row.get("gflops"), row.get("trusted")
    threads, gain = row.get("threads", 1), row.get("gain", 1.0)
    # The upper limits also keep NaN and infinities out, which Python's JSON lets in.
    if not isinstance(gflops, (int, float)) or not 0 < gflops < _FASTEST:
        raise _bad(f"{where}.gflops", "a positive number")
    if type(trusted) is not bool:
        raise _bad(f"{where}.trusted", "true or false")
    for name in ("spec", "second"):
        if not _is_short(row.get(name, "")):
            raise _bad(f"{where}.{name}", "a short text")
    tried = row.get("tried", [])
    if not isinstance(tried, list) or not all(map(_is_short, tried)):
        raise _bad(f"{where}.tried", "a list of short texts")
    if type(threads) is not int or not 1 <= threads <= _MOST_THREADS:
        raise _bad(f"{where}.threads", f"a whole number from 1 to {_MOST_THREADS}")
    if type(gain) not in (int, float) or not 0 < gain < _FASTEST:
        raise _bad(f"{where}.gain", "a positive number")
    return Entry(
        candidate=candidate,
        gflops=float(gflops),
        trusted=trusted,
        spec=row.get("spec", ""),
        threads=threads,
        gain=float(gain),
        second=row.get("second", ""),
        tried=tuple(tried),
    )


def _is_short(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT


_FINDINGS = frozenset({"gflops", "trusted", "spec", "threads", "gain", "second", "tried"})
_FASTEST = 1e9
_MOST_THREADS = 1024


def _bad(where: str, wanted: str) -> DocumentError:
    return bad_field("bad-kernels", where, wanted, of="kernel database")
