"""Files of the data folder: whole or not there at all, each found by a name that we made.

A file is written beside its place, synchronised, and renamed; then the folder is synchronised.
Uploads in progress are the only files that grow in place.
"""

from __future__ import annotations

import os
import secrets
import shutil
from hashlib import sha256
from typing import TYPE_CHECKING

from tensorloom_worker.refusals import disk_full, rejected, writing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Files", "hash_of", "sync_folder"]

CHUNK = 1 << 20
RESERVE_BYTES = 32 * 2**20
"""Room that stays free for the database when an upload is accepted."""


def hash_of(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    total = sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            total.update(chunk)
    return total.hexdigest()


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    if os.name == "nt":  # Windows cannot open a folder
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Files:
    """The folders of the data folder.

    Args:
        root: The data folder; made if it is not there, for its owner alone.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock: int | None = None
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.arrays = root / "arrays"
        self.uploads = root / "uploads"
        self.results = root / "results"
        self.sums = root / "sums"
        self.damaged = root / "damaged"
        for folder in (self.arrays, self.uploads, self.results, self.sums, self.damaged):
            folder.mkdir(exist_ok=True, mode=0o700)

    def lock(self) -> None:
        """Keep other services off the folder until this process ends.

        Raises:
            WorkerRejected: ``folder-in-use``.
        """
        handle = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            import fcntl  # noqa: PLC0415  # not on Windows
        except ImportError:
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise rejected(
                "folder-in-use",
                "Another heavy worker uses this data folder.",
                "Stop it, or give this one another folder with --data.",
            ) from error
        self._lock = handle

    def unlock(self) -> None:
        """Let others have the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def upload(self, token: int, sha: str) -> Path:
        """The file of an upload in progress."""
        return self.uploads / f"{token}-{sha}"

    def array(self, sha: str) -> Path:
        """A complete array file."""
        return self.arrays / sha

    def result(self, job: str) -> Path:
        """The result of a job."""
        return self.results / f"{job}.npy"

    def check_room(self, wanted: int) -> None:
        """Nothing, when so many bytes can be written.

        Raises:
            ExecutionError: ``disk-full``.
        """
        if shutil.disk_usage(self.root).free < wanted + RESERVE_BYTES:
            raise disk_full()

    def write(self, path: Path, parts: Iterable[bytes | memoryview]) -> None:
        """Put a file in its place, whole and durable.

        Raises:
            ExecutionError: ``disk-full``; nothing is left behind.
        """
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with writing():
            try:
                with fresh.open("xb") as file:
                    for part in parts:
                        file.write(part)
                    file.flush()
                    os.fsync(file.fileno())
                fresh.replace(path)
                sync_folder(path.parent)
            except BaseException:
                fresh.unlink(missing_ok=True)
                raise

    def adopt(self, upload: Path, sha: str) -> None:
        """Make a complete upload an array; its bytes are on the disk already."""
        with writing():
            upload.replace(self.array(sha))
            sync_folder(self.arrays)

    def set_aside(self, path: Path) -> None:
        """Keep a damaged file where nothing uses it."""
        if path.exists():
            path.replace(self.damaged / f"{path.name}-{secrets.token_hex(4)}")

    def sweep(
        self,
        *,
        arrays: set[str],
        uploads: set[tuple[int, str]],
        jobs: set[str],
        sums: set[str],
        aside: bool = False,
    ) -> int:
        """How many files were removed that nobody knows of.

        Args:
            arrays: Hashes that somebody has.
            uploads: (client, hash) of what is not here in full.
            jobs: Jobs that exist.
            sums: Names of the files of recorded sums.
            aside: Whether they are set aside instead; those that were never whole are removed.
        """

        def remove(path: Path) -> None:
            if aside and not path.name.startswith("."):
                self.set_aside(path)
            else:
                path.unlink(missing_ok=True)

        removed = 0
        for path in [*self.arrays.iterdir(), *self.results.iterdir(), *self.sums.iterdir()]:
            known = {
                self.arrays: path.name in arrays,
                self.results: path.name.removesuffix(".npy") in jobs,
                self.sums: path.name in sums,
            }[path.parent]
            if not known:
                remove(path)
                removed += 1
        coming = {self.upload(token, sha) for token, sha in uploads}
        for path in self.uploads.iterdir():
            if path not in coming:
                remove(path)
                removed += 1
        if aside:
            for folder in (self.damaged, self.arrays, self.results, self.sums, self.uploads):
                sync_folder(folder)
        return removed
