"""Measurements for ``docs/benchmarks.md``: each kind is a script of ``tests/bench``."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from sitebuild import SiteError, browsers, commands

if TYPE_CHECKING:
    from sitebuild.environment import Environment

__all__ = ["run"]

ON_SITE = ("start", "kernels")
"""Kinds that are measured on the built site."""


def run(env: Environment, what: str, *, quick: bool) -> int:
    """The exit status of a benchmark; it writes its own section of the page.

    Args:
        env: The environment.
        what: A script of ``tests/bench``.
        quick: One short round, nothing written.
    """
    script = env.root / "tests" / "bench" / f"{what}.py"
    if not script.is_file():
        raise SiteError(f"There is no benchmark {what}: {script} does not exist.")
    if what in ON_SITE:
        if browsers.find(env.root).chromium is None:
            raise SiteError("This is measured in Chromium, and none was found on this machine.")
        commands.build_site(env.root)
    command = [str(env.python), str(script), *(["--quick"] if quick else [])]
    return subprocess.run(command, cwd=env.root, env=env.variables(), check=False).returncode
