"""One function per subcommand of ``build.py``; each imports only what it needs."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from sitebuild import environment

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["dispatch"]


def dispatch(root: Path, options: argparse.Namespace) -> int:
    """The exit status of a subcommand."""
    return _VERBS[options.verb](root, options)


def build_site(
    root: Path, mirror: str | None = None, *, snapshot: bool = True, connect: Sequence[str] = ()
) -> Path:
    """The folder of the built site; unchanged parts are kept."""
    from sitebuild import site  # noqa: PLC0415  # only this subcommand needs it

    env = environment.ensure(root)
    return site.build(env, mirror=mirror, snapshot_wanted=snapshot, connect=connect)


def _setup(root: Path, _options: argparse.Namespace) -> int:
    env = environment.ensure(root)
    print(f"Ready: {env.python}")
    return 0


def _site(root: Path, options: argparse.Namespace) -> int:
    out = build_site(
        root,
        options.runtime_mirror,
        snapshot=not options.no_snapshot,
        connect=options.connect,
    )
    print(f"Built {out}")
    return 0


def _serve(root: Path, options: argparse.Namespace) -> int:
    from sitebuild import serve  # noqa: PLC0415  # only this subcommand needs it

    out = build_site(
        root,
        options.runtime_mirror,
        snapshot=not options.no_snapshot,
        connect=options.connect,
    )
    serve.forever(out, port=options.port, prefix=options.prefix)
    return 0


def _worker(root: Path, options: argparse.Namespace) -> int:
    rest: list[str] = options.rest
    env = environment.ensure(root)
    # Its other commands, and its help, need no site.
    if not options.no_site and not {"token", "backup", "--help", "-h"}.intersection(rest):
        site = build_site(root, options.runtime_mirror, snapshot=not options.no_snapshot)
        rest = ["--site", str(site), *rest]
    command = [str(env.python), "-m", "tensorloom_worker", *rest]
    if os.name != "nt":
        # The service becomes this process: Ctrl+C and service managers reach it directly.
        os.execve(env.python, command, env.variables())  # noqa: S606  # our own module
    return subprocess.run(command, env=env.variables(), check=False).returncode


def _faults(root: Path, options: argparse.Namespace) -> int:
    env = environment.ensure(root)
    variables = {
        **env.variables(),
        "TENSORLOOM_FAULT_ROUNDS": str(options.rounds),
        "TENSORLOOM_REQUESTS": str(options.requests),
    }
    places = [root / "tests" / "worker" / "test_requests.py", root / "tests" / "faults"]
    command = [str(env.python), "-m", "pytest", *map(str, places), "-q", "-s", "--timeout=0"]
    return subprocess.run(command, cwd=root, env=variables, check=False).returncode


def _check(root: Path, _options: argparse.Namespace) -> int:
    from sitebuild import checks  # noqa: PLC0415  # only this subcommand needs it

    return checks.run_all(environment.ensure(root))


def _test(root: Path, options: argparse.Namespace) -> int:
    from sitebuild import tests  # noqa: PLC0415  # only this subcommand needs it

    return tests.run_all(environment.ensure(root), options.tiers)


def _bench(root: Path, options: argparse.Namespace) -> int:
    from sitebuild import bench  # noqa: PLC0415  # only this subcommand needs it

    return bench.run(
        environment.ensure(root),
        options.what,
        quick=options.quick,
        more={
            "--cases": options.cases,
            "--backend": options.backend,
            "--since": options.since,
        },
    )


def _soak(root: Path, options: argparse.Namespace) -> int:
    env = environment.ensure(root)
    build_site(root)
    script = root / "tests" / "soak"
    variables = {**env.variables(), "TENSORLOOM_SOAK_MINUTES": str(options.minutes)}
    command = [str(env.python), "-m", "pytest", str(script), "-q", "-s"]
    return subprocess.run(command, cwd=root, env=variables, check=False).returncode


def _golden(root: Path, _options: argparse.Namespace) -> int:
    env = environment.ensure(root)
    script = root / "tests" / "golden" / "regenerate.py"
    print(environment.run([env.python, script], what="Golden files", variables=env.variables()))
    return 0


def _lock(root: Path, _options: argparse.Namespace) -> int:
    from sitebuild import relock  # noqa: PLC0415  # only this subcommand needs it

    relock.write(environment.ensure(root))
    return 0


_VERBS: dict[str, Callable[[Path, argparse.Namespace], int]] = {
    "setup": _setup,
    "site": _site,
    "serve": _serve,
    "worker": _worker,
    "check": _check,
    "test": _test,
    "bench": _bench,
    "soak": _soak,
    "faults": _faults,
    "golden": _golden,
    "lock": _lock,
}
