"""Assembles ``dist/``: bundles, Python payload, prerendered document, libraries, the page.

Everything but the page itself and its service worker lies in folders named by their contents, so
that a file never changes under its address and no page ever gets files of two builds.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sitebuild import SiteError, bundle, environment, payload, runtime, snapshot
from sitebuild.stamps import Stamp, digest_of, files_under

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sitebuild.environment import Environment

__all__ = ["build"]

LIBRARIES = (
    "bokeh/server/static/js/bokeh.min.js",
    "bokeh/server/static/js/bokeh-widgets.min.js",
    "bokeh/server/static/js/bokeh-tables.min.js",
    "panel/dist/panel.min.js",
)
"""Below site-packages."""
PAGES = ("index.html", "embed.html")
"""Below static."""
PANEL_CSS = ("css", "bundled/theme", "assets")
WHERE = """import importlib.metadata, sysconfig
print(sysconfig.get_path("purelib"))
print(importlib.metadata.version("panel"))"""
LAZY = ("scipy.bin.gz",)
"""Fetched when first needed, and kept for offline use from then on."""


def build(
    env: Environment,
    *,
    mirror: str | None = None,
    snapshot_wanted: bool = True,
    connect: Sequence[str] = (),
) -> Path:
    """The folder of the site; parts whose inputs did not change are kept.

    Args:
        env: The environment.
        mirror: Where to take the runtime from instead of its sources.
        snapshot_wanted: Whether to make the heap snapshot, where Chromium is to be had.
        connect: Origins of heavy workers that the page may reach, beside those on its own machine.
    """
    root, cache = env.root, env.root / ".cache" / "site"
    out = root / "dist"
    inputs = files_under(
        *(root / name for name in ("static", "shaders", "app", "workers/browser", "build.py"))
    )
    # Where the runtime comes from does not matter: it is the same to the byte, or refused.
    words = [str(snapshot_wanted), str(snapshot.possible(env)), *map(_origin, connect)]
    stamp = Stamp(cache / "site.stamp", digest_of(inputs, *words, below=root))
    if stamp.fresh and (out / "index.html").is_file() and (root / bundle.SERVED).is_dir():
        return out
    bundles, python = cache / "bundles", cache / "python"
    bundle.bundle(env, bundles)
    payload.build(env, runtime.ensure(env, mirror=mirror), python)
    _prerender(env, python)
    made = snapshot_wanted and snapshot.build(env, python)
    _assemble(env, out, bundles, python, made=made, connect=connect)
    stamp.write()
    return out


def _prerender(env: Environment, python: Path) -> None:
    """The document as the worker will build it, made by running the payload under Node."""
    target = python / "document.json"
    if target.is_file():
        return
    script = env.root / "app" / "sitebuild" / "node" / "prerender.mjs"
    environment.run(
        [env.node, script, python, target], what="Prerendering", variables=env.variables()
    )


def _assemble(
    env: Environment, out: Path, bundles: Path, python: Path, *, made: bool, connect: Sequence[str]
) -> None:
    part = out.with_name("dist.part")
    shutil.rmtree(part, ignore_errors=True)
    hidden = shutil.ignore_patterns(".stamp", "service-worker.js")
    shutil.copytree(bundles, part / "app", ignore=hidden)
    hidden = shutil.ignore_patterns(*PAGES)
    shutil.copytree(env.root / "static", part / "app", ignore=hidden, dirs_exist_ok=True)
    _copy_libraries(env, part)
    kept_back = (".*", "compiled", "raw", *(() if made else snapshot.FILES))
    shutil.copytree(python, part / "py", ignore=shutil.ignore_patterns(*kept_back))
    record = {
        "app": _named_by_contents(part / "app"),
        "python": _named_by_contents(part / "py"),
        "sizes": {path.name: path.stat().st_size for path in part.glob("py-*/*.*")},
        "snapshot": made,
    }
    pages = _pages(env.root, connect)
    record["build"] = digest_of(files_under(part), *pages.values(), below=part)[:16]
    for name, page in pages.items():
        (part / name).write_text(_page(page, record))
    worker = (bundles / "service-worker.js").read_text()
    (part / "service-worker.js").write_text(_worker_facts(part, record) + worker)
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)


def _pages(root: Path, connect: Sequence[str]) -> dict[str, str]:
    """The pages by name; their policy lets them reach these origins."""
    allowed = "".join(f" {_origin(one)}" for one in connect)
    return {
        name: (root / "static" / name).read_text().replace("{{connect}}", allowed) for name in PAGES
    }


def _origin(address: str) -> str:
    """The address as a source of a content policy; only scheme, host and port are let through."""
    if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?", address):
        raise SiteError(
            f"--connect {address}: this is not an origin. Write it like https://worker.example:8765."
        )
    return address


def _named_by_contents(folder: Path) -> str:
    """The folder's new name relative to the site, such as ``app-1f2e3d4c5b/``."""
    digest = digest_of(files_under(folder), below=folder)
    return folder.rename(folder.with_name(f"{folder.name}-{digest[:10]}")).name + "/"


def _copy_libraries(env: Environment, part: Path) -> None:
    found = environment.run([env.python, "-c", WHERE], what="Finding Panel").split("\n")
    packages, version = Path(found[0]), found[1]
    for path in LIBRARIES:
        shutil.copy(packages / path, part / "app")
    # Panel's own addresses hold its version; the page cannot choose them.
    for name in PANEL_CSS:
        target = part / "panel" / version / "dist" / name
        shutil.copytree(packages / "panel" / "dist" / name, target)


def _page(page: str, record: dict[str, object]) -> str:
    text = json.dumps(record).replace("&", "&amp;").replace('"', "&quot;")
    page = page.replace("{{build}}", text)
    return page.replace("{{app}}", str(record["app"])).replace("{{python}}", str(record["python"]))


def _worker_facts(part: Path, record: dict[str, object]) -> str:
    """What the service worker keeps, put before it: new bytes make browsers take the new one."""
    names = (path.relative_to(part).as_posix() for path in files_under(part))
    files = ["./", *(name for name in names if name != "index.html" and not name.endswith(LAZY))]
    facts = {"TENSORLOOM_BUILD": record["build"], "TENSORLOOM_FILES": files}
    return "".join(f"self.{name}={json.dumps(value)};" for name, value in facts.items()) + "\n"
