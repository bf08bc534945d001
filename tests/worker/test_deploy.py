"""The files of ``workers/deploy``: linted, and what they do done in a shell without a container.

A container engine is not asked for. The Dockerfile's instructions are read and carried out in an
empty folder that stands for the image's root; the service then starts from there, as it would.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest

IGNORED = "DL3066"
"""A numeric user is named in the file; the rule asks for it there and nowhere else."""

UNMAPPED = ("/bin", "/usr", "/dev", "/etc", "/tmp")


def tool(name: str) -> str:
    """A program that pip installed beside the interpreter, or a skip that says why."""
    found = Path(sys.executable).parent / name
    if not found.is_file():
        pytest.skip(f"{name} has no package for this machine")
    return str(found)


@dataclass
class Stage:
    """One stage of a Dockerfile, its instructions in order."""

    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def last(self, instruction: str) -> list[str]:
        """The words of the last such instruction, which is in JSON form."""
        words: list[str] = json.loads(
            [rest for word, rest in self.instructions if word == instruction][-1]
        )
        return words


def stages_of(text: str) -> list[Stage]:
    """The stages of a Dockerfile; comments gone, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    stages: list[Stage] = []
    for line in joined.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            stages.append(Stage(rest.partition(" AS ")[2] or "last"))
        elif word:
            stages[-1].instructions.append((word, rest))
    return stages


class Image:
    """An empty folder that stands for an image's root.

    Args:
        root: The folder.
        context: What ``COPY`` copies from.
        programs: Stand-ins for programs that would change this machine.
    """

    def __init__(self, root: Path, context: Path, programs: Path) -> None:
        self.root = root
        self.context = context
        self.programs = programs
        self.folder = "/"
        root.mkdir()

    def place(self, path: str) -> Path:
        return self.root / (path if path.startswith("/") else f"{self.folder}/{path}").lstrip("/")

    def carry_out(self, word: str, rest: str, others: dict[str, Image]) -> None:
        if word == "WORKDIR":
            self.folder = rest
            self.place(rest).mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            option = re.match(r"--from=(\S+) ", rest)
            source, target = shlex.split(rest[option.end() if option else 0 :])
            start = others[option[1]].root if option else self.context
            place = self.place(target)
            if (start / source.lstrip("/")).is_dir():
                shutil.copytree(start / source.lstrip("/"), place, dirs_exist_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(start / source.lstrip("/"), place)
        elif word == "RUN":
            self.shell(rest)

    def shell(self, command: str) -> None:
        """The command in a shell, absolute paths moved below the root."""

        def moved(path: re.Match[str]) -> str:
            return path[0] if path[0].startswith(UNMAPPED) else f"{self.root}{path[0]}"

        subprocess.run(
            ["/bin/sh", "-euc", re.sub(r"(?<![\w.])/[\w.-]+(?:/[\w.*-]+)*", moved, command)],
            cwd=self.place("."),
            check=True,
            env={
                **os.environ,
                "PATH": f"{self.programs}:{os.environ['PATH']}",
                "ROOT": str(self.root),
            },
        )


@pytest.fixture(scope="module")
def deploy(root: Path) -> Path:
    return root / "workers" / "deploy"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """``pip`` without the network's packages, and a ``useradd`` that makes nobody."""
    folder = tmp_path / "programs"
    folder.mkdir()
    pip = f'"{sys.executable}" -m pip --disable-pip-version-check'
    scripts = {
        # What else is needed is in the environment already, at the versions of the same lock.
        "pip": (
            "verb=$1; shift\n"
            '[ "$verb" != install ] || set -- --no-deps --target "$ROOT/packages" "$@"\n'
            f'exec {pip} "$verb" --quiet "$@"'
        ),
        "useradd": "exit 0",
        # Owner and mode need root; the folder is what counts here.
        "install": 'for last; do :; done; mkdir -p "$last"',
    }
    for name, script in scripts.items():
        file = folder / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
    return folder


def context_of(root: Path, deploy: Path, folder: Path) -> Path:
    """What the Dockerfile's own ignore file lets through, of the files under version control."""
    allowed = [
        line[1:]
        for line in (deploy / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for name in allowed:
        source = root / name
        assert source.exists(), name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "node_modules")
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / name)
    return folder


def test_dockerfile_passes_its_linter(deploy: Path) -> None:
    command = [tool("hadolint"), "--ignore", IGNORED, str(deploy / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_compose_file_follows_its_schema(deploy: Path) -> None:
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, str(deploy / "compose.yaml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_every_flag_in_the_files_exists(deploy: Path, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tensorloom_worker", "--help"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (root / "app", root / "workers"))),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    known = done.stdout
    texts = [
        " ".join(stages_of((deploy / "Dockerfile").read_text())[-1].last("CMD")),
        *re.findall(r"command: (\[.*--data.*\])", (deploy / "compose.yaml").read_text()),
        *re.findall(r"ExecStart=(.*)", (deploy / "tensorloom-worker.service").read_text()),
    ]
    assert len(texts) == 3
    flags = {flag for text in texts for flag in re.findall(r"--[a-z-]+", text)}
    page = (root / "docs" / "deploy.md").read_text()
    flags |= set(re.findall(r"`(--[a-z-]+)", page)) - {"--no-dashboard"}
    assert {"--host", "--data", "--scheduler", "--tls-cert"} <= flags
    assert sorted(flag for flag in flags if flag not in known) == []


def test_unit_is_one_that_systemd_takes(deploy: Path, tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not on this machine")
    unit = tmp_path / "tensorloom-worker.service"
    # Its interpreter is not installed here; everything else is checked.
    text = (deploy / unit.name).read_text().replace("/opt/tensorloom/bin/python", sys.executable)
    unit.write_text(text)
    done = subprocess.run(
        [program, "verify", str(unit)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert complaints == []


@pytest.mark.skipif(os.name == "nt", reason="carried out in a POSIX shell")
def test_image_built_in_an_empty_folder_answers(
    deploy: Path, root: Path, tmp_path: Path, programs: Path
) -> None:
    (tmp_path / "context").mkdir()
    context = context_of(root, deploy, tmp_path / "context")
    images: dict[str, Image] = {}
    stages = stages_of((deploy / "Dockerfile").read_text())
    for stage in stages:
        image = Image(tmp_path / stage.name, context, programs)
        for word, rest in stage.instructions:
            image.carry_out(word, rest, images)
        images[stage.name] = image
    last, image = stages[-1], images[stages[-1].name]
    assert image.place("/data").is_dir()
    assert not image.place("/wheels").exists()
    program, *words = last.last("ENTRYPOINT")
    assert program == "python"
    given = [str(image.place(word)) if word.startswith("/") else word for word in last.last("CMD")]
    command = [sys.executable, *words, *given, "--port", "0", "--workers", "1"]
    process = subprocess.Popen(
        command,
        cwd=image.place("."),
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(image.root / "packages"), "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        said = ""
        while not (address := re.search(r"is at \S+:(\d+)", said)):
            line = process.stdout.readline()
            assert line, said
            said += line
        health = f"http://127.0.0.1:{address[1]}/v1/health"
        with urllib.request.urlopen(health, timeout=10) as response:
            assert json.load(response)["status"] == "ok"
    finally:
        process.terminate()
        _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert list(image.place("/data").iterdir())
