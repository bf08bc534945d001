"""Where contestants meet: one isolated server, and a browser for each library.

The server sends the headers for shared memory, so that every library has its threads.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pages import Library, Ours, Window
from playwright.sync_api import sync_playwright

from sitebuild import SiteError, browsers, environment, runtime, serve
from sitebuild.stamps import Stamp, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

__all__ = ["ARGUMENTS", "Arena", "opened"]

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
PYODIDE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
ARGUMENTS = [
    "--no-sandbox",
    "--no-first-run",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    # Pages that are not in front are measured like those that are.
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
]


class _Isolated(serve.Handler):
    """Files with the headers that give a page shared memory."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        super().end_headers()


class Arena:
    """A server, and browsers beside it.

    Args:
        launch: Starts a browser.
        address: Of the server, with a slash at its end.
        data: Folder that is served as ``data/``.
    """

    def __init__(self, launch: Callable[[], Browser], address: str, data: Path) -> None:
        self._launch, self.address, self.data = launch, address, data
        self._site: Window | None = None

    def library(self, library: str, backend: str, threads: int) -> Library:
        """A library in a page of its own."""
        query = f"library={library}&backend={backend}&threads={threads}"
        ready = "peer.then(({ threads, readyMs }) => ({ threads, readyMs }))"
        return Library(Window(self._launch, f"{self.address}peers/page.html?{query}", ready))

    def ours(self, backend: str, threads: int) -> Ours:
        """The built site; one page for all of its backends.

        Raises:
            SiteError: The site has no benchmark call.
        """
        if self._site is None:
            self._site = Window(self._launch, f"{self.address}site/", "tensorloom.ready")
            if self._site.ask("() => typeof tensorloom.bench") != "function":
                self._site = None
                raise SiteError("The built site has no tensorloom.bench.")
        return Ours(self._site, backend, threads)


@contextmanager
def opened(*, peers: bool = True, site: Path | None = None) -> Iterator[Arena]:
    """An arena for the block.

    Args:
        peers: Whether to install the peers and Pyodide's files.
        site: Folder of the built site; ``dist`` by default.
    """
    env = environment.ensure(ROOT, quiet=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data"
        data.mkdir()
        (folder / "peers").symlink_to(HERE / "peers")
        (folder / "python").symlink_to(HERE)
        (folder / "site").symlink_to((site or ROOT / "dist").resolve())
        if peers:
            (folder / "npm").symlink_to(_installed(env))
            _link_pyodide(env, folder / "pyodide")
        with (
            sync_playwright() as playwright,
            serve.background(folder, handler=_Isolated) as address,
        ):
            chromium = browsers.find(ROOT).chromium

            def launch() -> Browser:
                return playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)

            # Playwright ends the browsers that are left.
            yield Arena(launch, address, data)


def _installed(env: environment.Environment) -> Path:
    """The folder of the peers' packages, installed as locked into ``.cache/bench``."""
    home = ROOT / ".cache" / "bench"
    home.mkdir(parents=True, exist_ok=True)
    lock = (HERE / "peers" / "package-lock.json").read_text()
    stamp = Stamp(home / ".tensorloom-stamp", digest_of([], lock))
    if not stamp.fresh:
        print("Installing the peers of the benchmark ...", flush=True)
        for file in ("package.json", "package-lock.json"):
            (home / file).write_text((HERE / "peers" / file).read_text())
        command = [*env.npm, "ci", "--no-fund", "--no-audit", "--ignore-scripts", "--silent"]
        environment.run(command, what="Installing the peers (npm ci)", cwd=home)
        stamp.write()
    return home / "node_modules"


def _link_pyodide(env: environment.Environment, folder: Path) -> None:
    """Pyodide, numpy and scipy of the site's lock, by name."""
    folder.mkdir()
    files = runtime.ensure(env)
    wheels = [file for file in files if file.startswith(("numpy-", "scipy-"))]
    for file in (*PYODIDE, *wheels):
        (folder / file).symlink_to(files[file])
    lock = json.loads(files["pyodide-lock.json"].read_text())
    (folder / "pyodide-lock.json").write_text(json.dumps({"info": lock["info"], "packages": {}}))
    (folder / "files.json").write_text(json.dumps({"wheels": wheels}))
