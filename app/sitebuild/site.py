"""Assembles ``dist/``: bundles, Python payload, prerendered document, libraries, the page."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from sitebuild import bundle, environment, payload, runtime, snapshot
from sitebuild.stamps import Stamp, digest_of, files_under

if TYPE_CHECKING:
    from pathlib import Path

    from sitebuild.environment import Environment

__all__ = ["build"]

LIBRARIES = {
    "bokeh.min.js": "bokeh/server/static/js/bokeh.min.js",
    "bokeh-widgets.min.js": "bokeh/server/static/js/bokeh-widgets.min.js",
    "bokeh-tables.min.js": "bokeh/server/static/js/bokeh-tables.min.js",
    "panel.min.js": "panel/dist/panel.min.js",
}
PANEL_CSS = ("css", "bundled/theme", "assets")


def build(env: Environment, *, mirror: str | None = None, snapshot_wanted: bool = True) -> Path:
    """The folder of the site; parts whose inputs did not change are kept.

    Args:
        env: The environment.
        mirror: Where to take the runtime from instead of its sources.
        snapshot_wanted: Whether to make the heap snapshot, where Chromium is to be had.
    """
    root, cache = env.root, env.root / ".cache" / "site"
    bundles = cache / "bundles"
    app_digest = bundle.bundle(env, bundles)
    app_folder = f"app-{app_digest[:10]}/"
    editor_address = f"./{app_folder}editor.js"
    out = root / "dist"
    statics = files_under(root / "static", root / "app" / "sitebuild")
    stamp = Stamp(
        cache / "site.stamp",
        digest_of(
            [*statics, *files_under(root / "shaders")],
            app_digest,
            digest_of([p for p in files_under(root / "app" / "tensorloom") if p.suffix == ".py"]),
            str(mirror),
            str(snapshot_wanted),
        ),
    )
    if stamp.fresh and (out / "index.html").is_file():
        return out
    files = runtime.ensure(env, mirror=mirror)
    python = cache / "python"
    payload.build(env, files, editor_address, python)
    _prerender(env, python)
    made = snapshot_wanted and snapshot.build(env, python)
    _assemble(env, out, bundles, app_folder, python, made=made)
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
    env: Environment, out: Path, bundles: Path, app_folder: str, python: Path, *, made: bool
) -> None:
    part = out.with_name("dist.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(env.root / "static", part)
    hidden = shutil.ignore_patterns(".stamp", "service-worker.js")
    shutil.copytree(bundles, part / app_folder, ignore=hidden)
    parts = [
        python / name for name in (".stamp", "document.json", *(snapshot.FILES if made else ()))
    ]
    python_folder = f"py-{digest_of(parts)[:10]}/"
    kept_back = [".*", "compiled", "raw", *(() if made else snapshot.FILES)]
    shutil.copytree(python, part / python_folder, ignore=shutil.ignore_patterns(*kept_back))
    _copy_libraries(env, part, app_folder)
    sizes = {path.name: path.stat().st_size for path in (part / python_folder).glob("*.*")}
    every = [path for path in files_under(part) if path.name != "index.html"]
    names = [str(path.relative_to(part)) for path in every]
    total = digest_of([], *(f"{n}:{digest_of([p])}" for n, p in zip(names, every, strict=True)))
    record = {
        "build": digest_of([env.root / "static" / "index.html"], *names, total)[:16],
        "app": app_folder,
        "python": python_folder,
        "sizes": sizes,
        "snapshot": made,
    }
    _write_page(part, record)
    worker = bundles / "service-worker.js"
    if worker.is_file():
        _write_worker(part, worker.read_text(), record)
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)


def _copy_libraries(env: Environment, part: Path, app_folder: str) -> None:
    packages = next((env.root / ".venv").glob("lib*/python3*/site-packages"), None)
    if packages is None:
        packages = env.root / ".venv" / "Lib" / "site-packages"
    for name, path in LIBRARIES.items():
        shutil.copyfile(packages / path, part / app_folder / name)
    version = (
        json.loads((packages / "panel" / "package.json").read_text())["version"]
        if (packages / "panel" / "package.json").is_file()
        else "1.9.4"
    )
    for folder in PANEL_CSS:
        shutil.copytree(
            packages / "panel" / "dist" / folder, part / "panel" / version / "dist" / folder
        )


def _write_page(part: Path, record: dict[str, object]) -> None:
    page = (part / "index.html").read_text()
    text = json.dumps(record).replace("&", "&amp;").replace('"', "&quot;")
    page = page.replace("{{build}}", text).replace("{{app}}", str(record["app"]))
    page = page.replace("{{python}}", str(record["python"]))
    (part / "index.html").write_text(page)


def _write_worker(part: Path, source: str, record: dict[str, object]) -> None:
    """The service worker with its list of files; the list changes the bytes, so browsers update."""
    files = [path.relative_to(part).as_posix() for path in files_under(part)]
    precache = [
        "./",
        *(name for name in files if name != "index.html" and not name.endswith("scipy.bin.gz")),
    ]
    facts = {"TENSORLOOM_BUILD": record["build"], "TENSORLOOM_FILES": precache}
    head = "".join(f"self.{name}={json.dumps(value)};" for name, value in facts.items()) + "\n"
    (part / "service-worker.js").write_text(head + source)
