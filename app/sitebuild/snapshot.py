"""The heap snapshot: made in headless Chromium, restored by the page instead of importing.

A worker in the browser builds the document as any visitor's would and puts the heap image onto a
server of the build. It must be a browser: an image made under Node has one table slot too many. No
driver is needed, the worker says by itself when it is done.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sitebuild import SiteError, browsers, bundle, serve
from sitebuild.payload import OURS, packed, zip_files
from sitebuild.stamps import Stamp, digest_of

if TYPE_CHECKING:
    from sitebuild.environment import Environment

__all__ = ["FILES", "build", "possible"]

FILES = ("snapshot.bin.gz", "libraries.bin.gz", "files.bin.gz")
LONGEST_SECONDS = 180
MAKER = "makeSnapshot.worker"
MAKER_PARTS = (MAKER, "archive", "dynamicLibraries", "fetching", "snapshotReferences", "startPyc")
"""Modules below ``workers/browser`` that the image depends on."""
PAGE = """<!doctype html><script>
const worker = new Worker("./makeSnapshot.worker.js", { type: "module" });
worker.onerror = (event) => fetch("../made/failed", { method: "PUT", body: event.message });
worker.postMessage({ base: new URL("../", location.href).href, build: BUILD });
</script>"""


def possible(env: Environment) -> bool:
    """Whether a snapshot can be made on this machine."""
    return browsers.find(env.root).chromium is not None


def build(env: Environment, python: Path) -> bool:
    """Whether there is a snapshot of the payload; made where something changed.

    A machine without Chromium builds a site without one, which starts more slowly; that is said,
    and is no error.
    """
    chromium = browsers.find(env.root).chromium
    if chromium is None:
        print("No Chromium here: the site is built without its heap snapshot and starts slower.")
        _remove(python)
        return False
    makers = [env.root / "workers" / "browser" / f"{name}.ts" for name in MAKER_PARTS]
    texts = [path.read_text() for path in (*makers, Path(__file__), python / ".stamp")]
    stamp = Stamp(python / ".snapshot-stamp", digest_of([], *texts))
    if stamp.fresh and all((python / name).is_file() for name in FILES):
        return True
    print("Making the heap snapshot ...", flush=True)
    _remove(python)
    with tempfile.TemporaryDirectory() as scratch:
        made = _make(env, python, chromium, Path(scratch))
        _write(python, made)
    stamp.write()
    return True


def _remove(python: Path) -> None:
    for name in FILES:
        (python / name).unlink(missing_ok=True)


def _make(env: Environment, python: Path, chromium: Path, scratch: Path) -> dict[str, bytes]:
    """What the worker put onto the server, by name."""
    (scratch / "payload").symlink_to(python, target_is_directory=True)
    bundle.bundle_one(env, env.root / "workers" / "browser" / f"{MAKER}.ts", scratch / "maker")
    record = {"build": "", "app": "", "python": "payload/", "sizes": {}, "snapshot": False}
    page = PAGE.replace("BUILD", json.dumps(record))
    (scratch / "maker" / "index.html").write_text(page)
    made: dict[str, bytes] = {}
    ended = threading.Event()

    class Receiver(serve.Handler):
        """Serves the payload and takes what the worker made."""

        def do_PUT(self) -> None:  # noqa: N802  # the name that the base class calls
            """Keep the body under its name; the last one ends the wait."""
            name = self.path.rsplit("/", 1)[-1]
            made[name] = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()
            if name in {"done", "failed"}:
                ended.set()

    with serve.background(scratch, handler=Receiver) as address:
        _run_browser(chromium, f"{address}maker/index.html", scratch / "profile", ended)
    if "done" not in made:
        reason = made.get("failed", b"it did not end in time").decode(errors="replace")
        raise SiteError(f"The heap snapshot could not be made: {reason[:2000]}")
    return made


def _run_browser(chromium: Path, address: str, profile: Path, ended: threading.Event) -> None:
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    command: list[Any] = [
        chromium,
        "--headless",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-gpu",
        f"--user-data-dir={profile}",
        *(["--no-sandbox"] if as_root else []),
        address,
    ]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        ended.wait(LONGEST_SECONDS)
    finally:
        browser.terminate()
        try:
            browser.wait(10)
        except subprocess.TimeoutExpired:
            browser.kill()
            browser.wait()
        shutil.rmtree(profile, ignore_errors=True)


def _write(python: Path, made: dict[str, bytes]) -> None:
    """The three files of the site: image, libraries with their places, files not in the image.

    The prerendered document becomes the one that is in the image.
    """
    (python / "document.json").write_bytes(made["document.json"])
    events = json.loads(made["recording.json"])["events"]
    paths = [event["path"] for event in events if "path" in event]
    libraries = {path: made[f"library-{order}"] for order, path in enumerate(paths)}
    in_image = {*json.loads(made["in-image.json"])}
    files = {
        name: data
        for archive in ("numpy.zip", "site.zip", f"{OURS}.zip")
        for name, data in zip_files(python / "compiled" / archive).items()
        if name not in in_image
    }
    contents = {
        "snapshot.bin.gz": gzip.compress(made["snapshot.bin"], compresslevel=9, mtime=0),
        "libraries.bin.gz": packed({"recording.json": made["recording.json"], **libraries}),
        "files.bin.gz": packed(files),
    }
    for name, data in contents.items():
        (python / name).write_bytes(data)
        print(f"  {name}: {len(data) / 1e6:.1f} MB", flush=True)
