#!/usr/bin/env python3
"""Builds, serves and tests Tensorloom. Needs Python 3.11 or newer and nothing else.

    python3 build.py serve     set up, build and serve the site on this machine
    python3 build.py test      set up and run every check and test tier

The work is done by ``app/sitebuild``; this file only reads the command line.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "app"))

from sitebuild import SiteError, commands  # noqa: E402  # after the path is set


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="build.py", description=__doc__.split("\n", maxsplit=1)[0])
    verbs = root.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    verbs.add_parser("setup", help="make the environment and install pinned packages")
    site = verbs.add_parser("site", help="build the static site into dist/")
    serve = verbs.add_parser("serve", help="build the site and serve it on this machine")
    serve.add_argument("--port", type=int, default=8000, help="default 8000, or the next free one")
    serve.add_argument("--prefix", default="/", help="path of the site, such as /tensorloom/")
    for verb in (site, serve):
        verb.add_argument(
            "--runtime-mirror", metavar="URL-or-folder", help="take the Python runtime from here"
        )
        verb.add_argument("--no-snapshot", action="store_true", help="leave the heap snapshot out")
        verb.add_argument(
            "--connect",
            action="append",
            default=[],
            metavar="ORIGIN",
            help="a heavy worker elsewhere that the page may reach, such as https://worker.example",
        )
    worker = verbs.add_parser(
        "worker",
        help="start the heavy worker with the workbench; its own flags and commands follow",
        add_help=False,
    )
    worker.add_argument("--no-site", action="store_true", help="the service alone")
    worker.add_argument("--runtime-mirror", help=argparse.SUPPRESS)
    worker.add_argument("--no-snapshot", action="store_true", help=argparse.SUPPRESS)
    verbs.add_parser("check", help="lint, types, layers, generated files")
    test = verbs.add_parser("test", help="every check and test tier")
    test.add_argument("tiers", nargs="*", help="only these tiers")
    bench = verbs.add_parser("bench", help="measure, and write docs/benchmarks.md")
    bench.add_argument("what", nargs="?", default="all", help="a script of tests/bench; or all")
    bench.add_argument("--quick", action="store_true", help="one short round, nothing written")
    bench.add_argument("--cases", help="peers: only these names, groups or sets, comma-separated")
    bench.add_argument("--backend", choices=["cpu", "gpu"], help="peers: only this side")
    bench.add_argument("--since", help="peers: leave out cases measured on this date or later")
    soak = verbs.add_parser("soak", help="use the site for long and see that memory stays constant")
    soak.add_argument("--minutes", type=float, default=60, help="default 60")
    faults = verbs.add_parser("faults", help="kill and starve the heavy worker, see nothing lost")
    faults.add_argument("--rounds", type=int, default=25, help="kills of each kind, default 25")
    faults.add_argument("--requests", type=int, default=10_000, help="random requests")
    verbs.add_parser("golden", help="make the golden and generated files anew")
    verbs.add_parser("lock", help="write the runtime lock anew from its sources")
    return root


def main() -> int:
    """The exit status."""
    options, rest = parser().parse_known_args()
    if rest and options.verb != "worker":
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    try:
        return commands.dispatch(ROOT, options)
    except SiteError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
