"""Firefox by ``puppeteer-core``, which speaks WebDriver BiDi and needs no further driver."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.engine import HEIGHT, LONGEST_SECONDS, WIDTH, Point, as_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engines.engine import Engine
    from sitebuild.environment import Environment

__all__ = ["firefox"]

SCRIPT = Path(__file__).with_suffix(".mjs")


@contextmanager
def firefox(env: Environment, program: Path) -> Iterator[Engine]:
    """A page in a Firefox of its own, with an empty profile."""
    options = {"program": str(program), "width": WIDTH, "height": HEIGHT}
    command = [str(env.node), str(SCRIPT), json.dumps({**options, "seconds": LONGEST_SECONDS})]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        # Leaving the block closes its input, which ends it, and waits for that.
        yield _Firefox(process)


class _Firefox:
    """Each call is a line of JSON to the script, and one back."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.version = str(self._answer())

    def open(self, address: str) -> None:
        self._ask("open", address)

    def evaluate(self, function: str, *given: object) -> Any:  # any JSON
        return json.loads(self._ask("evaluate", as_json(function, given)))

    def drag(self, *points: Point) -> None:
        self._ask("drag", points)

    def click(self, point: Point) -> None:
        self._ask("click", point)

    def type(self, text: str) -> None:
        self._ask("type", text)

    def screenshot(self, path: Path) -> None:
        self._ask("screenshot", str(path))

    def problems(self) -> list[str]:
        return [str(problem) for problem in self._ask("problems")]

    def _ask(self, *request: object) -> Any:  # any JSON
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:  # any JSON
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"{SCRIPT.name} ended with status {self.process.wait()}"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]
