"""numpy of this machine as a contestant: a process of its own, with as many threads as it is given.

Run as a program it answers requests, one JSON line each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from contestant import LIMIT_S, ContestantFailed, limited

__all__ = ["Native"]

TRIALS = 3
TRIAL_MS = 12
HOPELESS = 10


class Native:
    """A numpy process.

    Args:
        threads: How many OpenBLAS may use.
        limit_s: The most that one answer may take.
    """

    def __init__(self, threads: int, limit_s: float = LIMIT_S) -> None:
        self.threads: int | None = threads
        self._limit_s = limit_s
        self._process = self._started()

    def _started(self) -> subprocess.Popen[str]:
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        return subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **dict.fromkeys(names, str(self.threads))},
        )

    def _ask(self, **request: Any) -> Any:
        pipes = self._process.stdin, self._process.stdout
        assert pipes[0] is not None
        assert pipes[1] is not None
        with limited(self._limit_s, self._process.kill) as late, suppress(BrokenPipeError):
            pipes[0].write(json.dumps(request) + "\n")
            pipes[0].flush()
            line = pipes[1].readline()
            if line:
                return json.loads(line)
        late_words = f"no answer in {self._limit_s:g} s"
        raise ContestantFailed(late_words if late.is_set() else "numpy's process ended")

    def prepare(self, task: dict[str, Any]) -> list[dict[str, Any]]:
        """What became of each formulation."""
        tried: list[dict[str, Any]] = self._ask(prepare=task)
        return tried

    def window(self, ms: float) -> float:
        """Milliseconds per call in a window of about so many."""
        return float(self._ask(window=ms))

    def check(self) -> float:
        """Error of one more result."""
        return float(self._ask(check=True))

    def release(self) -> None:
        """Nothing stays with it that matters."""

    def restart(self) -> None:
        """A new process."""
        self.close()
        self._process = self._started()

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        # Waits, and closes the pipes.
        self._process.communicate()


class _Server:
    """The side of the process."""

    def __init__(self) -> None:
        self.kept: Any = None
        self.expect: Any = None
        self.ms = 0.0

    def answer(self, request: dict[str, Any]) -> Any:
        if "prepare" in request:
            return self.prepare(request["prepare"])
        if "window" in request:
            self.kept.timed(1)  # wakes its threads, as the pages do
            self.ms = self.kept.timed(max(1, min(5000, round(request["window"] / self.ms))))
            return self.ms
        return self.error(self.kept)

    def prepare(self, task: dict[str, Any]) -> list[dict[str, Any]]:
        import numpy as np  # noqa: PLC0415  # after the threads are set, in the child alone
        from numpy_peer import runners  # noqa: PLC0415  # as above

        left, right, expect = (Path(path).read_bytes() for path in task["paths"])
        self.expect = np.frombuffer(expect, task["dtype"])
        self.kept, tried = None, []
        for runner in runners("numpy", json.dumps(task), left, right):
            began = time.perf_counter()
            error = self.error(runner)
            first = (time.perf_counter() - began) * 1000
            right_one = error <= task["tolerance"]
            hopeless = self.kept is not None and first > HOPELESS * self.ms
            ms = None if not right_one else first if hopeless else self.timed(runner)
            tried.append({
                "name": runner.name, "ms": ms, "firstMs": first, "maxErr": error,
                "error": None if right_one else f"wrong by {error}",
            })  # fmt: skip
            if ms is not None and (self.kept is None or ms < self.ms):
                self.kept, self.ms = runner, ms
        return tried

    def timed(self, runner: Any) -> float:
        guess = max(1e-4, runner.timed(1))
        times = []
        for _ in range(TRIALS):
            guess = runner.timed(max(1, min(5000, round(TRIAL_MS / guess))))
            times.append(guess)
        return float(min(times))

    def error(self, runner: Any) -> float:
        import numpy as np  # noqa: PLC0415  # in the child alone

        found = np.asarray(runner.result()).ravel()
        return float(np.abs(found - self.expect).max() / (np.abs(self.expect).max() or 1))


def main() -> None:
    """Answer until the pipe closes."""
    server = _Server()
    for line in sys.stdin:
        print(json.dumps(server.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
