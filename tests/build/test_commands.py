"""Every subcommand of ``build.py`` as a user calls it; the run itself is ``test`` and ``check``."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sitebuild import SiteError, environment, runtime, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def build(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "build.py", *words]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@contextmanager
def served(root: Path, *words: str) -> Iterator[str]:
    """The address that ``build.py serve`` prints; the server is stopped by Ctrl+C."""
    # Tests that a shell runs in the background ignore Ctrl+C, and what they start would, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "build.py", "serve", *words],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        found = None
        while found is None:
            line = process.stdout.readline()
            assert line, "serve ended without an address"
            found = re.match(r"Tensorloom is at (\S+)", line)
        yield found[1]
    finally:
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 130, output


def answer(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=10) as response:
            return response.status, response.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_setup_names_the_interpreter(root: Path) -> None:
    done = build(root, "setup")
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith(f"Ready: {environment.ensure(root, quiet=True).python}")


def test_a_site_without_changes_takes_less_than_five_seconds(root: Path, site_folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in site_folder.rglob("*")}
    started = time.monotonic()
    done = build(root, "site")
    assert time.monotonic() - started < 5
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in (root / "dist").rglob("*")} == before


def test_the_page_names_only_files_that_are_there(site_folder: Path) -> None:
    page = (site_folder / "index.html").read_text()
    assert "{{" not in page
    named = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(named) > 5
    assert [name for name in named if not (site_folder / name).is_file()] == []
    worker = (site_folder / "service-worker.js").read_text()
    facts = re.search(r"TENSORLOOM_FILES=(\[.*?\]);", worker)
    assert facts is not None
    kept = json.loads(facts[1])
    assert kept[0] == "./"
    assert [name for name in kept[1:] if not (site_folder / name).is_file()] == []


def test_serve_answers_under_a_prefix_and_nowhere_else(root: Path) -> None:
    with served(root, "--port", "8712", "--prefix", "tensorloom") as address:
        assert re.fullmatch(r"http://localhost:87\d\d/tensorloom/", address)
        assert answer(address) == (200, "text/html; charset=utf-8")
        assert answer(f"{address}service-worker.js")[0] == 200
        assert answer(address.removesuffix("tensorloom/"))[0] == 404


def test_serve_takes_the_next_port_if_one_is_in_use(root: Path, site_folder: Path) -> None:
    with (
        serve.background(site_folder) as other,
        served(root, "--port", other.rsplit(":", 1)[1].rstrip("/")) as address,
    ):
        assert address != other
        assert answer(address)[0] == 200


def test_an_unknown_tier_ends_with_one_clear_line(root: Path) -> None:
    done = build(root, "test", "unti")
    assert done.returncode == 1
    assert done.stderr.strip().startswith("No tier called unti. Tiers: check,")
    assert "Traceback" not in done.stderr


def test_golden_files_are_made_again_without_change(root: Path) -> None:
    folder = root / "tests" / "golden"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = build(root, "golden")
    assert done.returncode == 0, done.stderr
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    changed = [path.name for path in before | after if before.get(path) != after.get(path)]
    assert [name for name in changed if not name.endswith(".pyc")] == []


def test_a_complete_mirror_gives_the_whole_runtime(root: Path, tmp_path: Path) -> None:
    env = environment.ensure(root, quiet=True)
    files = runtime.ensure(env)
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for name, path in files.items():
        (mirror / name).hardlink_to(path)
    with serve.background(mirror) as address:
        copies = runtime.ensure(env, mirror=address, cache=tmp_path / "cache")
        assert copies.keys() == files.keys()
        wrong = mirror / "pyodide.asm.wasm"
        data = bytearray(wrong.read_bytes())
        data[5_000_000] ^= 1
        wrong.unlink()
        wrong.write_bytes(data)
        with pytest.raises(SiteError, match=r"^pyodide\.asm\.wasm from .* has the hash"):
            runtime.ensure(env, mirror=address, cache=tmp_path / "second-cache")


def test_the_lock_written_anew_is_the_same(root: Path) -> None:
    lock = root / "app" / "sitebuild" / "locks" / "runtime.json"
    before = lock.read_bytes()
    done = build(root, "lock")
    after = lock.read_bytes()
    lock.write_bytes(before)
    assert done.returncode == 0, done.stderr
    assert json.loads(after) == json.loads(before)


def test_bench_says_what_it_measured(root: Path) -> None:
    page = root / "docs" / "benchmarks.md"
    before = page.read_bytes() if page.is_file() else None
    done = build(root, "bench", "start", "--quick")
    assert done.returncode == 0, done.stderr
    for word in ("snapshot", "pyc", "cold", "warm"):
        assert word in done.stdout
    assert (page.read_bytes() if page.is_file() else None) == before
