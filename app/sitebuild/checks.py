"""Static checks: lint, format, types in both languages, layers, and generated files.

``python3 build.py check`` and continuous integration run exactly these. Each check is one command
that must succeed silently; two run at a time, because most of them use one core.
"""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sitebuild.stamps import files_under

if TYPE_CHECKING:
    from pathlib import Path

    from sitebuild.environment import Environment

__all__ = ["Check", "Outcome", "checks_of", "run_all", "run_checks"]

AT_ONCE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One command that must succeed.

    Args:
        name: What it checks, as shown.
        command: What is run, in the project's folder unless ``folder`` says otherwise.
        folder: Where it is run, relative to the project.
    """

    name: str
    command: tuple[str, ...]
    folder: str = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a check ended.

    Args:
        name: The check.
        passed: Whether it succeeded.
        seconds: How long it took.
        output: What it printed, shown where it failed.
    """

    name: str
    passed: bool
    seconds: float
    output: str


def checks_of(env: Environment) -> tuple[Check, ...]:
    """Every static check of the project."""
    python = str(env.python)
    typed = [
        place
        for place in ("app/tensorloom", "app/sitebuild", "workers")
        if any(path.suffix == ".py" for path in files_under(env.root / place))
    ]
    tsc = str(env.modules / "typescript" / "bin" / "tsc")
    return (
        Check(
            name="mypy",
            command=(python, "-m", "mypy", "--cache-dir=.cache/mypy", "build.py", *typed),
        ),
        Check(name="tsc", command=(str(env.node), tsc, "--noEmit", "-p", "."), folder="app"),
        Check(name="pyright over tests", command=(python, "-m", "pyright")),
        Check(name="ruff check", command=(python, "-m", "ruff", "check", "--no-cache", ".")),
        Check(
            name="ruff format",
            command=(python, "-m", "ruff", "format", "--no-cache", "--check", "."),
        ),
        # The module has no ``__main__``; the function is what its console script calls.
        Check(
            name="import layers",
            command=(
                python,
                "-c",
                "from importlinter.cli import lint_imports_command; lint_imports_command()",
                "--no-cache",
                "--no-logo",
            ),
        ),
    )


def run_checks(env: Environment) -> list[Outcome]:
    """The outcome of every check, printed as they end."""
    outcomes = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for outcome in pool.map(lambda check: _run(env, check), checks_of(env)):
            _report(outcome)
            outcomes.append(outcome)
    # Alone and last: for a moment it changes files that the others read.
    generated = _generated_unchanged(env)
    _report(generated)
    return [*outcomes, generated]


def run_all(env: Environment) -> int:
    """The exit status of ``build.py check``."""
    failed = [outcome.name for outcome in run_checks(env) if not outcome.passed]
    print(f"\nFailed: {', '.join(failed)}" if failed else "\nAll checks passed")
    return int(bool(failed))


def _run(env: Environment, check: Check) -> Outcome:
    started = time.monotonic()
    variables = {
        **env.variables(),
        # Pyright is a Node program that its PyPI package fetches; keep it in the project's folder.
        "PYRIGHT_PYTHON_CACHE_DIR": str(env.root / ".cache" / "pyright"),
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
    }
    done = subprocess.run(
        check.command,
        cwd=env.root / check.folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(
        name=check.name,
        passed=done.returncode == 0,
        seconds=time.monotonic() - started,
        output=(done.stdout + done.stderr).strip(),
    )


def _generated_files(root: Path) -> dict[Path, bytes]:
    golden = files_under(root / "tests" / "golden")
    types = [path for path in files_under(root / "app" / "tensorloom") if ".gen." in path.name]
    return {path: path.read_bytes() for path in [*golden, *types]}


def _generated_unchanged(env: Environment) -> Outcome:
    """Whether making the golden and generated files anew changes none; they are put back."""
    name = "generated files"
    script = env.root / "tests" / "golden" / "regenerate.py"
    if not script.is_file():
        return Outcome(name=name, passed=False, seconds=0, output=f"{script} does not exist")
    before = _generated_files(env.root)
    made = _run(env, Check(name=name, command=(str(env.python), str(script))))
    after = _generated_files(env.root)
    changed = sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p))
    for path in changed:
        if path in before:
            path.write_bytes(before[path])
        else:
            path.unlink()
    if not made.passed or not changed:
        return made
    listing = "\n".join(f"  {path.relative_to(env.root)}" for path in changed)
    text = f"Making them again changes:\n{listing}\nRun `python3 build.py golden`, read the diff."
    return Outcome(name=name, passed=False, seconds=made.seconds, output=text)


def _report(outcome: Outcome) -> None:
    word = "ok    " if outcome.passed else "FAILED"
    print(f"  {word} {outcome.name} ({outcome.seconds:.1f} s)", flush=True)
    if not outcome.passed:
        print("\n".join(f"      {line}" for line in outcome.output.splitlines()[-80:]), flush=True)
