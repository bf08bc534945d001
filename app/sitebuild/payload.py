"""Python for the page: locked wheels and our package, compiled to ``.pyc`` by the same Pyodide.

Makes ``py-<hash>/``: the Pyodide core, its standard library compiled, and archives of what each
worker needs. Compilation runs in Pyodide under Node, so the bytecode is that of the Python which
will load it; pyc files carry unchecked hashes and stand where their sources were. Wheels and our
package are compiled apart, because only our package changes from day to day.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import struct
import zipfile
from typing import TYPE_CHECKING

from sitebuild import environment
from sitebuild.pyodide_patch import patched
from sitebuild.stamps import Stamp, digest_of, files_under

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from sitebuild.environment import Environment

__all__ = ["OURS", "build", "packed", "zip_files"]

WHEELS: dict[str, tuple[str, ...]] = {
    "numpy": ("numpy",),
    "scipy": ("scipy",),
    "search": ("cotengra", "opt_einsum", "autoray"),
}
"""Archives by name and the wheels they hold; ``site`` holds all that neither numpy nor scipy is."""

OURS = "tensorloom"
"""The archive of our own package."""

EDITOR = "./editor.js"
"""The editor's bundle as Python names it to Panel; the page's loader knows its folder."""

PYODIDE_HTTP_STUB = 'def patch_all():\n    """Nothing: the site makes no HTTP from Python."""\n'
"""Panel imports pandas unless this module is there; the real one drags in requests."""


DROPPED = (
    "/tests/",
    "/_pyinstaller/",
    ".data/",
    "bokeh/command/",
    "bokeh/server/static/",
    "bokeh/sphinxext/",
    "numpy/f2py/",
    "panel/dist/",
    "panel/examples/",
    "panel/package-lock.json",
    "pyviz_comms/labextension/static/",
    "xyzservices/data/",
    # Data frames of packages that are not in the page.
    *(f"narwhals/_{name}/" for name in ("arrow", "dask", "duckdb", "ibis", "pandas_like")),
    *(f"narwhals/_{name}/" for name in ("polars", "spark_like")),
    # What a cotengra option that we do not use would need.
    "autoray/experimental/",
    "cotengra/experimental/",
)
"""Parts of wheels that are of no use in the page."""


def _wanted(name: str) -> bool:
    """Whether a wheel's member is of use in the page."""
    dropped = any(part in f"/{name}" for part in DROPPED)
    if dropped or name.endswith((".ts", ".map", ".pyi", "/")):
        return False
    if name.startswith("panel/"):
        return name.endswith((".py", ".css", ".js", ".html", ".json", ".svg"))
    return True


def _wheel_files(path: Path, keep: Callable[[str], bool]) -> Iterable[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as wheel:
        for name in wheel.namelist():
            if keep(name) and not (name.endswith(".so") and "x86_64" in name):
                yield name, wheel.read(name)


def _package_files(root: Path) -> Iterable[tuple[str, bytes]]:
    folder = root / "app" / "tensorloom"
    for path in files_under(folder):
        if path.suffix == ".py":
            yield f"tensorloom/{path.relative_to(folder).as_posix()}", path.read_bytes()
    for path in files_under(root / "shaders"):
        yield f"tensorloom/_shaders/{path.relative_to(root / 'shaders')}", path.read_bytes()


def build(env: Environment, files: dict[str, Path], out: Path) -> None:
    """Fill ``out`` with the payload; what did not change is kept.

    Args:
        env: For Node.
        files: The locked runtime by file name.
        out: Where the archives go, and ``compiled/`` with the same files as zip.
    """
    ours = [*_package_files(env.root)]
    ours.append(("tensorloom/_build.json", json.dumps({"editor": EDITOR}).encode()))
    wheels = _wheels_digest(env, files)
    contents = digest_of([], *(f"{name}:{data!r}" for name, data in ours))
    stamp = Stamp(out / ".stamp", f"{wheels} {contents}")
    if stamp.fresh:
        return
    wheels_stamp = Stamp(out / ".wheels-stamp", wheels)
    if not wheels_stamp.fresh:
        print("Compiling Python's packages for the page ...", flush=True)
        shutil.rmtree(out, ignore_errors=True)
        (out / "compiled").mkdir(parents=True)
        _copy_core(files, out)
        _compile(env, out, _wheel_archives(files), files["python_stdlib.zip"])
        wheels_stamp.write()
    print("Compiling our package for the page ...", flush=True)
    _compile(env, out, {OURS: ours}, None)
    (out / "document.json").unlink(missing_ok=True)
    stamp.write()


def _wheels_digest(env: Environment, files: dict[str, Path]) -> str:
    makers = [
        env.root / "app" / "sitebuild" / name
        for name in ("payload.py", "pyodide_patch.py", "node/compile.mjs")
    ]
    names = [f"{name}:{path.parent.name}" for name, path in sorted(files.items())]
    return digest_of([], *(path.read_text() for path in makers), *names)


def _wheel_archives(files: dict[str, Path]) -> dict[str, list[tuple[str, bytes]]]:
    """Files of each archive; a package that two workers need is in two archives."""
    wheels = {
        name.split("-")[0].lower(): path for name, path in files.items() if name.endswith(".whl")
    }
    archives = {
        archive: [item for wheel in members for item in _wheel_files(wheels[wheel], _wanted)]
        for archive, members in WHEELS.items()
    }
    archives["site"] = [
        item
        for wheel, path in wheels.items()
        if wheel not in {"numpy", "scipy"}
        for item in _wheel_files(path, _wanted)
    ]
    archives["site"].append(("pyodide_http.py", PYODIDE_HTTP_STUB.encode()))
    return archives


def _compile(
    env: Environment,
    out: Path,
    archives: Mapping[str, Iterable[tuple[str, bytes]]],
    standard_library: Path | None,
) -> None:
    raw, compiled = out / "raw", out / "compiled"
    shutil.rmtree(raw, ignore_errors=True)
    raw.mkdir()
    for name, content in archives.items():
        _write_zip(raw / f"{name}.zip", content)
    if standard_library:
        shutil.copyfile(standard_library, raw / "python_stdlib.zip")
    script = env.root / "app" / "sitebuild" / "node" / "compile.mjs"
    environment.run(
        [env.node, script, out / "pyodide", raw, compiled],
        what="Compiling Python for the page",
        variables=env.variables(),
    )
    if standard_library:
        shutil.move(compiled / "python_stdlib.zip", out / "pyodide" / "python_stdlib.zip")
    for name in archives:
        path = compiled / f"{name}.zip"
        (out / f"{name}.bin.gz").write_bytes(packed(zip_files(path)))
    shutil.rmtree(raw)


def _copy_core(files: dict[str, Path], out: Path) -> None:
    core = out / "pyodide"
    core.mkdir()
    for name in ("pyodide.mjs", "pyodide.asm.wasm", "python_stdlib.zip"):
        shutil.copyfile(files[name], core / name)
    module = files["pyodide.asm.mjs"].read_text(encoding="utf-8")
    (core / "pyodide.asm.mjs").write_text(patched(module), encoding="utf-8")
    # No package is installed by Pyodide's loader, so the page needs only the head of its lock file.
    lock = json.loads(files["pyodide-lock.json"].read_text())
    (core / "pyodide-lock.json").write_text(json.dumps({"info": lock["info"], "packages": {}}))


def zip_files(path: Path) -> dict[str, bytes]:
    """The files of a zip archive by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: Mapping[str, bytes]) -> bytes:
    """The archive that ``workers/browser/archive.ts`` reads: names and lengths, then all bytes.

    Compressed as one stream: smaller than zip, and unpacked ten times faster.
    """
    entries = json.dumps([[name, len(data)] for name, data in files.items()]).encode()
    parts = [struct.pack("<I", len(entries)), entries, *files.values()]
    return gzip.compress(b"".join(parts), compresslevel=9, mtime=0)


def _write_zip(path: Path, content: Iterable[tuple[str, bytes]]) -> None:
    seen: set[str] = set()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content:
            # Of a wheel's records only the version is asked for (by bokeh and panel, on import).
            if name not in seen and (".dist-info/" not in name or name.endswith("/METADATA")):
                seen.add(name)
                archive.writestr(zipfile.ZipInfo(name), data)
    path.write_bytes(buffer.getvalue())
