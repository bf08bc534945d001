"""Python for the page: locked wheels and our package, compiled to ``.pyc`` by the same Pyodide.

Makes ``py-<hash>/``: the Pyodide core, its standard library compiled, and archives of what each
worker needs. Compilation runs in Pyodide under Node, so the bytecode is that of the Python which
will load it; pyc files carry unchecked hashes and stand where their sources were.
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

__all__ = ["build", "packed", "payload_digest", "zip_files"]

ARCHIVES: dict[str, tuple[str, ...]] = {
    "numpy.zip": ("numpy",),
    "scipy.zip": ("scipy",),
    "search.zip": ("cotengra", "opt_einsum", "autoray"),
}
"""Archives by name and the wheels they hold; all other wheels go into ``site.zip``."""

PLANNER = ("__init__.py", "errors.py", "model/", "plan/")
"""The parts of our package that the search worker needs."""

PYODIDE_HTTP_STUB = 'def patch_all():\n    """Nothing: the site makes no HTTP from Python."""\n'
"""Panel imports pandas unless this module is there; the real one drags in requests."""


def _wanted(name: str) -> bool:
    """Whether a wheel's member is of use in the page."""
    dropped = (
        "/tests/",
        "panel/dist/",
        "panel/examples/",
        "bokeh/server/static/",
        "/_pyinstaller/",
    )
    if any(part in f"/{name}" for part in dropped) or name.endswith((".ts", ".map", ".pyi", "/")):
        return False
    if name.startswith("panel/"):
        return name.endswith((".py", ".css", ".js", ".html", ".json", ".svg"))
    return True


def _wheel_files(path: Path, keep: Callable[[str], bool]) -> Iterable[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as wheel:
        for name in wheel.namelist():
            if keep(name) and not (name.endswith(".so") and "x86_64" in name):
                yield name, wheel.read(name)


def _package_files(root: Path, parts: tuple[str, ...] | None = None) -> Iterable[tuple[str, bytes]]:
    folder = root / "app" / "tensorloom"
    for path in files_under(folder):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".py" and (parts is None or name.startswith(parts)):
            yield f"tensorloom/{name}", path.read_bytes()
    if parts is None:
        for path in files_under(root / "shaders"):
            yield f"tensorloom/_shaders/{path.relative_to(root / 'shaders')}", path.read_bytes()


def payload_digest(env: Environment, files: dict[str, Path], editor_address: str) -> str:
    """The hash of everything the payload is made from."""
    ours = [path for path in files_under(env.root / "app" / "tensorloom") if path.suffix == ".py"]
    ours += files_under(env.root / "shaders", env.root / "app" / "sitebuild")
    names = [f"{name}:{path.parent.name}" for name, path in sorted(files.items())]
    return digest_of(ours, editor_address, *names)


def build(env: Environment, files: dict[str, Path], editor_address: str, out: Path) -> None:
    """Fill ``out`` with the payload; nothing is done where nothing changed."""
    stamp = Stamp(out / ".stamp", payload_digest(env, files, editor_address))
    if stamp.fresh:
        return
    print("Compiling the Python payload ...", flush=True)
    shutil.rmtree(out, ignore_errors=True)
    raw = out / "raw"
    raw.mkdir(parents=True)
    _copy_core(files, out)
    wheels = {
        name.split("-")[0].lower(): path for name, path in files.items() if name.endswith(".whl")
    }
    taken = {wheel for members in ARCHIVES.values() for wheel in members}
    for archive, members in ARCHIVES.items():
        content = [item for wheel in members for item in _wheel_files(wheels[wheel], _wanted)]
        if archive == "search.zip":
            content += _package_files(env.root, PLANNER)
        _write_zip(raw / archive, content)
    rest = [path for wheel, path in wheels.items() if wheel not in taken]
    content = [item for path in rest for item in _wheel_files(path, _wanted)]
    content += [
        item for wheel in ARCHIVES["search.zip"] for item in _wheel_files(wheels[wheel], _wanted)
    ]
    content += _package_files(env.root)
    build_record = json.dumps({"editor": editor_address}).encode()
    content += [
        ("pyodide_http.py", PYODIDE_HTTP_STUB.encode()),
        ("tensorloom/_build.json", build_record),
    ]
    _write_zip(raw / "site.zip", content)
    shutil.copyfile(files["python_stdlib.zip"], raw / "python_stdlib.zip")
    script = env.root / "app" / "sitebuild" / "node" / "compile.mjs"
    compiled = out / "compiled"
    compiled.mkdir()
    environment.run(
        [env.node, script, out / "pyodide", raw, compiled],
        what="Compiling the Python payload",
        variables=env.variables(),
    )
    shutil.move(compiled / "python_stdlib.zip", out / "pyodide" / "python_stdlib.zip")
    for path in compiled.glob("*.zip"):
        (out / f"{path.stem}.bin.gz").write_bytes(packed(zip_files(path)))
    shutil.rmtree(raw)
    stamp.write()


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
