"""Runs every test tier in order and adds up what passed, failed and was skipped.

A tier is one folder below ``tests/`` (or the static checks, or the TypeScript tests). Tiers that
compute run two at a time, because each uses one core, and the site is built beside them. Then come
those that mostly wait, all at a time. So do the lanes of the browser's tier (``tests/lanes.py``),
whose tests marked ``alone`` come after. The last line printed is the sum over all tiers; the tests
that failed stand before it.
"""

from __future__ import annotations

import os
import shutil
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
    from collections.abc import Sequence
    from pathlib import Path

    from sitebuild.environment import Environment

__all__ = ["TIERS", "Tally", "run_all", "tally_of"]

COMPUTING = ("property", "conformance", "unit", "golden", "ts")
"""Use one core each and time nothing: two at a time, longest first, so that they end together."""
WAITING = ("worker", "engines", "soak")
"""Wait more than they compute, for processes, browsers and a user's pauses: all at a time."""
ON_DEVICE = ("conformance", "worker")
"""Want what the browsers' packages bring along: a software Vulkan adapter."""
ALONE = ("faults", "build")
"""One tier at a time: real services that are killed, and files made anew."""
IN_LANES = ("browser",)
"""Mostly waits, for the page to draw and to be still: two processes share the files of tests."""
ON_SITE = ("engines", "soak", "build", "browser")
"""On the built site."""
TIERS = ("check", *COMPUTING, *WAITING, *ALONE, *IN_LANES)
AT_ONCE = 2
LONGEST_SECONDS = 20 * 60
LONGEST_REASON = 300
"""Of a failed test, in the summary [letters]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How a tier ended.

    Args:
        tier: Its name.
        passed: Tests that passed.
        skipped: Tests left out; each said why.
        seconds: How long the tier took.
        failures: Each test that failed, could not start, or never ended, and the beginning of why.
    """

    tier: str
    passed: int
    skipped: int
    seconds: float
    failures: tuple[str, ...] = ()

    @property
    def failed(self) -> int:
        """How many failed."""
        return len(self.failures)


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
    with ThreadPoolExecutor(1) as builder:
        # The site is built beside the first tiers: most of that takes one core as well.
        site = builder.submit(_site, env) if any(tier in ON_SITE for tier in wanted) else None
        tallies += _beside_each_other(env, [tier for tier in COMPUTING if tier in wanted], AT_ONCE)
    if site is not None:
        tallies.append(site.result())
    waiting = [tier for tier in WAITING if tier in wanted]
    tallies += _beside_each_other(env, waiting, len(WAITING))
    tallies += [_run_tier(env, tier, show=True) for tier in ALONE if tier in wanted]
    tallies += [_run_in_lanes(env, tier) for tier in IN_LANES if tier in wanted]
    _summary(tallies, left_out, time.monotonic() - started)
    return int(any(tally.failed for tally in tallies))


def _beside_each_other(env: Environment, tiers: Sequence[str], at_once: int) -> list[Tally]:
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda tier: _run_tier(env, tier, show=False), tiers))


def _check(env: Environment) -> Tally:
    print("check", flush=True)
    started = time.monotonic()
    outcomes = checks.run_checks(env)
    passed = sum(outcome.passed for outcome in outcomes)
    return Tally(
        tier="check",
        passed=passed,
        skipped=0,
        seconds=time.monotonic() - started,
        failures=tuple(f"check: {outcome.name}" for outcome in outcomes if not outcome.passed),
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
    failures = () if problem is None else ("site: not built",)
    seconds = time.monotonic() - started
    return Tally(
        tier="site",
        passed=1 - len(failures),
        skipped=0,
        seconds=seconds,
        failures=failures,
    )


def _run_tier(env: Environment, tier: str, *, show: bool) -> Tally:
    if tier == "ts":
        return _typescript(env)
    if not any((env.root / "tests" / tier).rglob("test_*.py")):
        print(f"{tier}: no tests yet", flush=True)
        return Tally(tier=tier, passed=0, skipped=0, seconds=0)
    report = _report_file(env, tier)
    return _run(env, tier, _pytest(env, tier, report), report, show=show)


def _run_in_lanes(env: Environment, tier: str) -> Tally:
    """Its files shared out among processes at once; then, alone, the tests that want that."""
    started = time.monotonic()
    taken = env.root / ".cache" / "tests" / f"{tier}-lanes"
    shutil.rmtree(taken, ignore_errors=True)
    taken.mkdir(parents=True)

    def lane(number: int) -> Tally:
        report = _report_file(env, f"{tier}-{number}")
        command = _pytest(env, tier, report, "-m", "not alone")
        return _run(env, tier, command, report, show=False, lanes=taken)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        parts = list(pool.map(lane, range(AT_ONCE)))
    report = _report_file(env, f"{tier}-alone")
    parts.append(_run(env, tier, _pytest(env, tier, report, "-m", "alone"), report, show=True))
    return _sum(tier, parts, time.monotonic() - started)


def _pytest(env: Environment, tier: str, report: Path, *more: str) -> list[str]:
    folder = str(env.root / "tests" / tier)
    options = ["-q", "-ra", "--durations=5", f"--junitxml={report}", *more]
    return [str(env.python), "-m", "pytest", folder, *options]


def _typescript(env: Environment) -> Tally:
    """The page's pure modules under Node's own test runner."""
    report = _report_file(env, "ts")
    out = env.root / ".cache" / "tests" / "ts"
    try:
        files = bundle.bundle_tests(env, out)
    except SiteError as error:
        print(f"ts\n{error}", flush=True)
        return Tally(tier="ts", passed=0, skipped=0, seconds=0, failures=("ts: not bundled",))
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


def _run(
    env: Environment,
    tier: str,
    command: list[str],
    report: Path,
    *,
    show: bool,
    lanes: Path | None = None,
) -> Tally:
    """Run a tier; its output is shown as it comes, or at its end where two run at a time.

    Args:
        env: The environment.
        tier: Its name.
        command: What runs it.
        report: Where that leaves its JUnit report.
        show: Whether to show its output as it comes.
        lanes: The folder by which its lanes share out its files.
    """
    print(f"{tier} ...", flush=True)
    started = time.monotonic()
    variables = env.variables()
    if lanes is not None:
        variables["TENSORLOOM_LANES"] = str(lanes)
    process = subprocess.Popen(
        command,
        cwd=env.root,
        env=variables,
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
    cases = skipped = 0
    failures: list[str] = []
    if report.is_file():
        for case in ET.parse(report).iter("testcase"):  # noqa: S314  # our own file
            cases += 1
            skipped += case.find("skipped") is not None
            outcomes = (case.find("failure"), case.find("error"))
            failures += [_named(tier, case, outcome) for outcome in outcomes if outcome is not None]
    passed = max(0, cases - len(failures) - skipped)
    if status != 0 and not failures:
        failures.append(f"{tier}: ended with status {status} and no failed test")
    return Tally(
        tier=tier,
        passed=passed,
        skipped=skipped,
        seconds=seconds,
        failures=tuple(failures),
    )


def _named(tier: str, case: ET.Element, outcome: ET.Element) -> str:
    """A failed test and the beginning of why, in one line."""
    why = (outcome.get("message") or "").strip().partition("\n")[0]
    return f"{tier}: {case.get('classname', '')} {case.get('name')}: {why[:LONGEST_REASON]}"


def _sum(tier: str, parts: Sequence[Tally], seconds: float) -> Tally:
    """The tally of a tier that ran in parts."""
    return Tally(
        tier=tier,
        passed=sum(part.passed for part in parts),
        skipped=sum(part.skipped for part in parts),
        seconds=seconds,
        failures=tuple(failure for part in parts for failure in part.failures),
    )


def _summary(tallies: Sequence[Tally], left_out: dict[str, str], seconds: float) -> None:
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
    # Again, at the end: the tiers' own words are far above by now.
    failures = [failure for tally in tallies for failure in tally.failures]
    if failures:
        print("\nFAILED", *failures, sep="\n")
    for name, reason in left_out.items():
        print(f"\nLEFT OUT: everything that needs {name}. {reason}.")
    skipped = f", {total['skipped']} skipped" if total["skipped"] else ""
    print(f"\n{total['passed']} passed, {total['failed']} failed{skipped}", flush=True)
