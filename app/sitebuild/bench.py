"""Measurements for ``docs/benchmarks.md``: each kind is a script of ``tests/bench``."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from sitebuild import SiteError, browsers, commands

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sitebuild.environment import Environment

__all__ = ["KINDS", "run"]

KINDS = {
    "start": True,
    "kernels": True,
    "trees": False,
    "limits": False,
    "accuracy": False,
    "prediction": True,
    "gradient": False,
    "roofline": False,
    "circuits": False,
    "overhead": True,
    "worker": False,
    "scale": False,
    "tuning": True,
    "tiles": True,
    "peers": True,
}
"""What ``all`` measures, in this order, and whether it is measured on the built site."""

REPORTER = "peers"
"""The kind whose script writes the table of goals."""


def run(
    env: Environment, what: str, *, quick: bool, more: Mapping[str, str | None] | None = None
) -> int:
    """The exit status of a benchmark; it writes its own sections of the page.

    Args:
        env: The environment.
        what: A script of ``tests/bench``, or ``all`` of them, one after the other.
        quick: One short round, nothing written.
        more: Options for the script by name; those that are ``None`` are left out.
    """
    if what == "all":
        return max([run(env, kind, quick=quick) for kind in KINDS])
    folder = env.root / "tests" / "bench"
    script = folder / f"{what}.py"
    if what not in KINDS or not script.is_file():
        raise SiteError(f"There is no benchmark {what}. There are: {', '.join(KINDS)}.")
    if KINDS[what]:
        if browsers.find(env.root).chromium is None:
            raise SiteError("This is measured in Chromium, and none was found on this machine.")
        commands.build_site(env.root)
    given = [word for name, value in (more or {}).items() if value for word in (name, value)]
    command = [str(env.python), str(script), *(["--quick"] if quick else []), *given]
    status = _run(env, command)
    if not quick and what != REPORTER:
        # The table of all goals holds figures of every kind.
        _run(env, [str(env.python), str(folder / f"{REPORTER}.py"), "--report"])
    return status


def _run(env: Environment, command: list[str]) -> int:
    return subprocess.run(command, cwd=env.root, env=env.variables(), check=False).returncode
