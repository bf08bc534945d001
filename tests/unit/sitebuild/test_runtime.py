from __future__ import annotations

import hashlib
import http.server
import re
import threading
from typing import TYPE_CHECKING

import pytest

from sitebuild import SiteError, runtime, serve
from sitebuild.environment import Environment
from sitebuild.runtime import LockedFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1


def locked(file: str = "core.wasm", data: bytes = b"abc", size: int | None = None) -> LockedFile:
    digest = hashlib.sha256(data).hexdigest()
    return LockedFile(file=file, sha256=digest, size=size or len(data), sources=())


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    """No tool of it is called while a mirror is given."""
    return Environment(root=tmp_path, python=tmp_path, node=tmp_path, npm=("npm",))


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "core.wasm").write_bytes(b"abc")
    return folder


@pytest.fixture
def mirror_url(mirror: Path) -> Iterator[str]:
    with serve.background(mirror) as address:
        yield address


def fetch(env: Environment, mirror: Path | str, row: LockedFile) -> bytes:
    found = runtime.ensure(env, mirror=str(mirror), lock=[row])
    assert list(found) == [row.file]
    return found[row.file].read_bytes()


def test_a_good_mirror_folder(env: Environment, mirror: Path) -> None:
    assert locked().sha256 == ABC
    assert fetch(env, mirror, locked()) == b"abc"


def test_a_good_mirror_server_is_asked_once(
    env: Environment, mirror: Path, mirror_url: str
) -> None:
    assert fetch(env, mirror_url, locked()) == b"abc"
    (mirror / "core.wasm").unlink()
    assert fetch(env, mirror_url, locked()) == b"abc"


def test_wrong_bytes_of_the_right_size_stop_the_build(
    env: Environment, mirror: Path, mirror_url: str
) -> None:
    (mirror / "core.wasm").write_bytes(b"abd")
    found = hashlib.sha256(b"abd").hexdigest()
    sentence = (
        f"core.wasm from {mirror_url} has the hash {found}; the lock says {ABC}. "
        "It was changed; nothing was built."
    )
    with pytest.raises(SiteError, match=re.escape(sentence)):
        fetch(env, mirror_url, locked())
    assert list((env.root / ".cache").rglob("core.wasm*")) == []


def test_a_file_cut_short_stops_the_build(env: Environment, mirror: Path, mirror_url: str) -> None:
    (mirror / "core.wasm").write_bytes(b"ab")
    sentence = (
        f"core.wasm from {mirror_url} has 2 bytes; the lock says 3. "
        "It was cut short or changed; nothing was built."
    )
    with pytest.raises(SiteError, match=re.escape(sentence)):
        fetch(env, mirror_url, locked())


def test_a_missing_file_is_named(env: Environment, mirror: Path, mirror_url: str) -> None:
    (mirror / "core.wasm").unlink()
    with pytest.raises(SiteError, match=re.escape(f"The mirror has no core.wasm: {mirror_url}")):
        fetch(env, mirror_url, locked())
    with pytest.raises(SiteError, match=r"The mirror has no core\.wasm: .* does not exist"):
        fetch(env, mirror, locked())


def test_an_answer_that_ends_early_stops_the_build(env: Environment) -> None:
    class Liar(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"abc")

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        with pytest.raises(SiteError, match=r"core\.wasm was cut short: 3 of 100 bytes"):
            fetch(env, address, locked(size=100))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_damaged_cache_is_fetched_again(env: Environment, mirror: Path) -> None:
    row = locked()
    kept = runtime.ensure(env, mirror=str(mirror), lock=[row])[row.file]
    kept.write_bytes(b"xyz")
    assert fetch(env, mirror, row) == b"abc"


def test_the_lock_names_each_file_once_with_hash_size_and_sources() -> None:
    rows = runtime.read_lock()
    assert len({row.file for row in rows}) == len(rows)
    for row in rows:
        assert re.fullmatch(r"[0-9a-f]{64}", row.sha256), row.file
        assert row.size > 0, row.file
        assert {source["kind"] for source in row.sources} <= {"pypi", "npm", "cdn"}, row.file
    core = next(row for row in rows if row.file == "pyodide.asm.wasm")
    assert [source["kind"] for source in core.sources] == ["npm", "cdn", "pypi"]
