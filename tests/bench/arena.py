"""Where contestants meet: one isolated server, one browser, a page for each library.

The server sends the headers for shared memory, so that every library has its threads.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from playwright.sync_api import Error, sync_playwright

from sitebuild import SiteError, browsers, environment, runtime, serve
from sitebuild.stamps import Stamp, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import BrowserContext, Page

__all__ = ["ARGUMENTS", "Arena", "Contestant", "Library", "Ours", "opened"]

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


class Contestant(Protocol):
    """Whoever contracts: tries its formulations, then measures windows of the best on demand."""

    threads: int | None

    def prepare(self, task: dict[str, Any]) -> list[dict[str, Any]]:
        """What became of each formulation: name, ms, firstMs, maxErr, error."""

    def window(self, ms: float) -> float:
        """Milliseconds per call in a window of about so many."""

    def check(self) -> float:
        """Error of one more result."""

    def release(self) -> None:
        """Let go of the case."""


class _Isolated(serve.Handler):
    """Files with the headers that give a page shared memory."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        super().end_headers()


class Library:
    """A library in its page.

    Args:
        context: Where to open it.
        address: Of the server.
        library: Module of ``tests/bench/peers``.
        backend: As the module calls it.
        threads: What to ask for.
    """

    def __init__(
        self, context: BrowserContext, address: str, library: str, backend: str, threads: int
    ) -> None:
        self._page = context.new_page()
        query = f"library={library}&backend={backend}&threads={threads}"
        self._page.goto(f"{address}peers/page.html?{query}")
        told = self._page.evaluate("peer.then(({ threads, readyMs }) => ({ threads, readyMs }))")
        self.threads: int | None = told["threads"]
        self.ready_ms: float = told["readyMs"]

    def prepare(self, task: dict[str, Any]) -> list[dict[str, Any]]:
        """What became of each formulation."""
        tried: list[dict[str, Any]] = self._page.evaluate(
            "(task) => peer.then((it) => it.prepare(task))", task
        )
        return tried

    def window(self, ms: float) -> float:
        """Milliseconds per call in a window of about so many."""
        return float(self._page.evaluate("(ms) => peer.then((it) => it.window(ms))", ms))

    def check(self) -> float:
        """Error of one more result."""
        return float(self._page.evaluate("peer.then((it) => it.check())"))

    def release(self) -> None:
        """Let go of the case."""
        self._page.evaluate("peer.then((it) => it.release())")


class Ours:
    """Tensorloom's built site through its public benchmark call.

    Args:
        page: With the site, ready.
        backend: ``wasm`` or ``webgpu``.
        threads: How many.
    """

    def __init__(self, page: Page, backend: str, threads: int) -> None:
        self.page = page
        self._options = {"backend": backend, "threads": threads}
        self._task: dict[str, Any] = {}
        self.threads: int | None = threads if backend == "wasm" else None

    def _bench(self, ms: float) -> dict[str, Any]:
        task = self._task
        left, right, expect = task["urls"]
        options = {**self._options, "minMs": ms, "inputs": [left, right], "expect": expect}
        found: dict[str, Any] = self.page.evaluate(
            "([text, shapes, dtype, options]) => tensorloom.bench(text, shapes, dtype, options)",
            [task["equation"], task["shapes"], task["dtype"], options],
        )
        return found

    def prepare(self, task: dict[str, Any]) -> list[dict[str, Any]]:
        """One formulation: the engine finds its own."""
        self._task = task
        outcome: dict[str, Any] = {"name": "engine", "ms": None, "firstMs": None, "maxErr": None}
        try:
            found = self._bench(12)
        except Error as error:
            return [{**outcome, "error": str(error)[:300]}]
        right = found["maxErr"] is not None and found["maxErr"] <= task["tolerance"]
        text = str(found.get("kernel", "engine"))
        given = {"name": text, "ms": found["ms"], "firstMs": found.get("tuneMs")}
        wrong = None if right else f"wrong by {found['maxErr']}"
        return [{**outcome, **given, "maxErr": found["maxErr"], "error": wrong}]

    def window(self, ms: float) -> float:
        """Milliseconds per call in a window of about so many."""
        return float(self._bench(ms)["ms"])

    def check(self) -> float:
        """Error of one more result."""
        return float(self._bench(1)["maxErr"])

    def release(self) -> None:
        """The engine lets go by itself."""


class Arena:
    """An open browser beside its server.

    Args:
        context: All pages are of it.
        address: Of the server, with a slash at its end.
        data: Folder that is served as ``data/``.
    """

    def __init__(self, context: BrowserContext, address: str, data: Path) -> None:
        self.context, self.address, self.data = context, address, data
        self._site: Page | None = None

    def library(self, library: str, backend: str, threads: int) -> Library:
        """A library in a page of its own."""
        return Library(self.context, self.address, library, backend, threads)

    def ours(self, backend: str, threads: int) -> Ours:
        """The built site; one page for all of its backends.

        Raises:
            SiteError: The site has no benchmark call.
        """
        if self._site is None:
            self._site = self.context.new_page()
            self._site.goto(f"{self.address}site/")
            self._site.evaluate("tensorloom.ready")
            if self._site.evaluate("typeof tensorloom.bench") != "function":
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
            browser = playwright.chromium.launch(
                executable_path=browsers.find(ROOT).chromium, args=ARGUMENTS
            )
            yield Arena(browser.new_context(), address, data)
            browser.close()


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
