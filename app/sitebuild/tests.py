"""Runs every test tier in order and adds up what passed, failed and was skipped.

A tier is one folder below ``tests/`` (or the static checks, or the TypeScript tests). Tiers that
need no browser run two at a time, because each uses one core, and the site is built beside them;
tiers with a browser run alone. The last line printed is the sum over all tiers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sitebuild import SiteError, browsers, bundle, checks, commands

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sitebuild.environment import Environment

__all__ = ["TIERS", "Tally", "run_all", "tally_of"]

QUIET = ("property", "conformance", "unit", "golden", "ts")
"""No browser, no built site; longest first, so that two at a time end together."""
ON_DEVICE = ("conformance", "worker")
"""Want what the browsers' packages bring along: a software Vulkan adapter."""
ALONE = ("worker", "faults")
"""Real services and clusters, which take both cores: one tier at a time, without a browser."""
ON_SITE = ("build", "browser", "engines")
"""On the built site."""
TIERS = ("check", *QUIET, *ALONE, *ON_SITE)
AT_ONCE = 2
LONGEST_SECONDS = 20 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How a tier ended.

    Args:
        tier: Its name.
        passed: Tests that passed.
        failed: Tests that failed, could not start, or never ended.
        skipped: Tests left out; each said why.
        seconds: How long the tier took.
    """

    tier: str
    passed: int
    failed: int
    skipped: int
    seconds: float


def run_all(env: Environment, only: list[str]) -> int:
    """The exit status of ``build.py test``.

    Args:
        env: The environment.
        only: Tiers to run; all if empty.
    """
    unknown = sorted(set(only) - set(TIERS))
    if unknown:
        raise SiteError(f"No tier called {', '.join(unknown)}. Tiers: {', '.join(TIERS)}.")
    wanted = [tier for tier in TIERS if tier in (only or TIERS)]
    started = time.monotonic()
    left_out: dict[str, str] = {}
    tallies: list[Tally] = []
    if any(tier in (*ON_DEVICE, *ON_SITE) for tier in wanted):
        left_out = browsers.ensure(env).missing
    if "check" in wanted:
        tallies.append(_check(env))
    on_site = [tier for tier in ON_SITE if tier in wanted]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # The site is built beside them: most of that takes one core as well.
        site = pool.submit(_site, env) if on_site else None
        quiet = [tier for tier in QUIET if tier in wanted]
        tallies += pool.map(lambda tier: _run_tier(env, tier, show=False), quiet)
    tallies += [_run_tier(env, tier, show=True) for tier in ALONE if tier in wanted]
    if site is not None:
        tallies.append(site.result())
    tallies += [_run_tier(env, tier, show=True) for tier in on_site]
    _summary(tallies, left_out, time.monotonic() - started)
    return int(any(tally.failed for tally in tallies))


def _check(env: Environment) -> Tally:
    print("check", flush=True)
    started = time.monotonic()
    outcomes = checks.run_checks(env)
    passed = sum(outcome.passed for outcome in outcomes)
    return Tally(
        tier="check",
        passed=passed,
        failed=len(outcomes) - passed,
        skipped=0,
        seconds=time.monotonic() - started,
    )


def _site(env: Environment) -> Tally:
    """Building the site counts as one test: everything after it stands on it."""
    print("site", flush=True)
    started = time.monotonic()
    problem: SiteError | None = None
    try:
        commands.build_site(env.root)
    except SiteError as error:
        problem = error
        print(error, flush=True)
    failed = int(problem is not None)
    seconds = time.monotonic() - started
    return Tally(tier="site", passed=1 - failed, failed=failed, skipped=0, seconds=seconds)


def _run_tier(env: Environment, tier: str, *, show: bool) -> Tally:
    if tier == "ts":
        return _typescript(env)
    folder = env.root / "tests" / tier
    if not any(folder.rglob("test_*.py")):
        print(f"{tier}: no tests yet", flush=True)
        return Tally(tier=tier, passed=0, failed=0, skipped=0, seconds=0)
    report = _report_file(env, tier)
    command = [str(env.python), "-m", "pytest", str(folder), "-q", "-ra", "--durations=5"]
    return _run(env, tier, [*command, f"--junitxml={report}"], report, show=show)


def _typescript(env: Environment) -> Tally:
    """The page's pure modules under Node's own test runner."""
    report = _report_file(env, "ts")
    out = env.root / ".cache" / "tests" / "ts"
    try:
        files = bundle.bundle_tests(env, out)
    except SiteError as error:
        print(f"ts\n{error}", flush=True)
        return Tally(tier="ts", passed=0, failed=1, skipped=0, seconds=0)
    command = [
        str(env.node),
        "--test",
        "--test-reporter=spec",
        "--test-reporter-destination=stdout",
    ]
    command += ["--test-reporter=junit", f"--test-reporter-destination={report}"]
    return _run(env, "ts", [*command, *map(str, files)], report, show=False)


def _report_file(env: Environment, tier: str) -> Path:
    report = env.root / ".cache" / "tests" / f"{tier}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    return report


def _run(env: Environment, tier: str, command: list[str], report: Path, *, show: bool) -> Tally:
    """Run a tier; its output is shown as it comes, or at its end where two run at a time."""
    print(f"{tier} ...", flush=True)
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=env.root,
        env=env.variables(),
        stdout=None if show else subprocess.PIPE,
        stderr=None if show else subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(LONGEST_SECONDS, _stop, [process])
    watchdog.start()
    try:
        output, _ = process.communicate()
    finally:
        watchdog.cancel()
        _stop(process)
    seconds = time.monotonic() - started
    if output:
        print(f"\n--- {tier}\n{output.rstrip()}\n--- {tier}: {seconds:.0f} s", flush=True)
    return tally_of(tier, report, status=process.returncode, seconds=seconds)


def _stop(process: subprocess.Popen[str]) -> None:
    """End what the tier started and left behind, such as a browser."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def tally_of(tier: str, report: Path, *, status: int, seconds: float) -> Tally:
    """The tally of a JUnit report; a tier that failed without a failed test counts as one."""
    counts = dict.fromkeys(("cases", "failure", "error", "skipped"), 0)
    if report.is_file():
        for case in ET.parse(report).iter("testcase"):  # noqa: S314  # our own file
            counts["cases"] += 1
            for outcome in ("failure", "error", "skipped"):
                counts[outcome] += case.find(outcome) is not None
    failed = counts["failure"] + counts["error"]
    passed = max(0, counts["cases"] - failed - counts["skipped"])
    if status != 0 and failed == 0:
        failed = 1
    return Tally(
        tier=tier, passed=passed, failed=failed, skipped=counts["skipped"], seconds=seconds
    )


def _summary(tallies: Iterable[Tally], left_out: dict[str, str], seconds: float) -> None:
    print(f"\n{'tier':<12} {'passed':>7} {'failed':>7} {'skipped':>7} {'seconds':>8}")
    total = dict.fromkeys(("passed", "failed", "skipped"), 0)
    for tally in tallies:
        for key in total:
            total[key] += getattr(tally, key)
        print(
            f"{tally.tier:<12} {tally.passed:>7} {tally.failed:>7} {tally.skipped:>7} "
            f"{tally.seconds:>8.1f}"
        )
    print(f"{'':<12} {'':>7} {'':>7} {'':>7} {seconds:>8.1f}")
    for name, reason in left_out.items():
        print(f"\nLEFT OUT: everything that needs {name}. {reason}.")
    skipped = f", {total['skipped']} skipped" if total["skipped"] else ""
    print(f"\n{total['passed']} passed, {total['failed']} failed{skipped}", flush=True)
