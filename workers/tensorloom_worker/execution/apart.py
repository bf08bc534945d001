"""A search for a tree in a process of its own, which a Dask worker starts and watches.

What a search takes is not known before: trees that cotengra tries grow with the network, and one
of them may take minutes in which nothing looks at a clock. Apart from the worker, it ends on time,
gives back all its memory, and takes no slices of other jobs with it if it dies.

The worker writes what is asked as one line, and reads a line for each tree that is better than the
last: whatever ends the process, the best one so far counts. It ends by itself when nobody is at
the other end.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

import psutil

from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["search_apart", "typical_bytes"]

LOOK_SECONDS = 0.1
"""How often its memory, the clock, and whether somebody waits are looked at [s]."""

BEGIN_SECONDS = 60.0
"""How long Python and its libraries may take to be there; half a second on a quiet machine [s]."""

LATEST = 1.25
"""Times of the time given after which it is ended, whatever it does."""

LATEST_FIRST = 2.0
"""The same while it has found nothing: the first tree of a large network takes long."""

HOARDING = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")
"""Variables with which workers keep what they free; a search lets go of it."""

LIBRARY_BYTES = 128 << 20
TENSOR_BYTES = 256 << 10
"""What a search takes for Python and its libraries, and for each tensor of a network [bytes]: 124
MB were seen for 60 tensors, 350 to 820 MB for 1,000, more the longer one of its trees takes."""

log = logging.getLogger(__name__)


def typical_bytes(n_tensors: int) -> int:
    """What a search for a tree of so many tensors takes [bytes]."""
    return LIBRARY_BYTES + TENSOR_BYTES * n_tensors


def search_apart(
    start: ContractionTree, most_elements: int, seconds: float, seed: int, most_bytes: int
) -> tuple[tuple[tuple[int, int], ...], tuple[str, ...]] | None:
    """``(path, sliced)`` of the best tree found in this time; ``None`` for none that fits.

    Runs on a worker; seeds make the workers look in different places. It ends soon after the task
    is cancelled: until then other jobs wait for its thread.

    Args:
        start: What is to be contracted, and a first tree.
        most_elements: Memory of a worker [elements].
        seconds: How long, about.
        seed: Another one for each worker.
        most_bytes: Memory beyond which the search is ended [bytes].
    """
    from tensorloom_worker.execution.wanted import own_task  # noqa: PLC0415  # on workers only

    if len(start.path) < 2 or seconds <= 0:  # noqa: PLR2004  # two tensors meet in one way
        return None
    asked = {"start": asdict(start), "most": most_elements, "seconds": seconds, "seed": seed}
    try:
        child = _Child(json.dumps(asked))
    except OSError:
        # Where there is no room for another process, the tree that is there will do.
        log.exception("A search could not be started.")
        return None
    found: dict[str, Any] = {}
    is_wanted = own_task()
    until = monotonic() + BEGIN_SECONDS
    begun = None
    with child:
        while is_wanted() and monotonic() < until:
            if child.bytes > most_bytes:
                log.warning("A search took more than %d bytes and was ended.", most_bytes)
                break
            with suppress(Empty):
                line = child.lines.get(timeout=LOOK_SECONDS)
                if line is None:
                    if child.code:
                        log.warning("A search ended with code %d.", child.code)
                    break
                begun = begun or monotonic()
                found = json.loads(line) or found
                until = begun + (LATEST if found else LATEST_FIRST) * seconds
    if not found:
        return None
    return tuple((left, right) for left, right in found["path"]), tuple(found["sliced"])


class _Child:
    """The process, while it lasts.

    Args:
        asked: The line that is written to it.

    Attributes:
        lines: What it has written, line by line; ``None`` when it writes no more.
    """

    def __init__(self, asked: str) -> None:
        self.lines: SimpleQueue[str | None] = SimpleQueue()
        self._asked = asked
        self._process = subprocess.Popen(
            # Nothing is imported from the folder that it happens to start in.
            [sys.executable, "-P", "-m", "tensorloom_worker.execution.apart"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_variables(),
            encoding="utf-8",
            # Windows would open one for it.
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._seen = psutil.Process(self._process.pid)
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._write, self._read)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        for thread in self._threads:
            thread.join()
        with suppress(OSError):
            self._process.__exit__(kind, error, trace)

    @property
    def bytes(self) -> int:
        """Memory that it takes, 0 once it has ended [bytes]."""
        with suppress(psutil.Error):
            return int(self._seen.memory_info().rss)
        return 0

    @property
    def code(self) -> int:
        """How it ended; waits until it has."""
        return self._process.wait()

    # A pipe is shorter than what a large network has to say: each end has a thread.

    def _write(self) -> None:
        assert self._process.stdin is not None
        # One that has died says so by the end of its lines.
        with suppress(OSError):
            self._process.stdin.write(self._asked + "\n")
            self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with suppress(OSError):
            for line in self._process.stdout:
                self.lines.put(line)
        self.lines.put(None)


def _variables() -> dict[str, str]:
    """What the process finds in its environment: the modules that are found here."""
    variables = {name: value for name, value in os.environ.items() if name not in HOARDING}
    return {**variables, "PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}


# The process itself.


def _main() -> None:
    # Ctrl+C is for the service, which ends its workers, and they this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What libraries print is nothing that was found.
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(value: dict[str, Any]) -> None:
        lines.write(json.dumps(value) + "\n")
        lines.flush()

    # Only this process needs them, and their loading is no part of the time given.
    from tensorloom_worker.execution.searching import (  # noqa: PLC0415
        better_trees,
        searchers,
    )

    for name in ("cotengra", *searchers()):
        import_module(name)
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_worker, daemon=True).start()
    say({})
    start = _tree(asked["start"])
    for tree in better_trees(start, asked["most"], asked["seconds"], asked["seed"]):
        say({"path": tree.path, "sliced": tree.sliced})


def _end_with_worker() -> None:
    """Ends this process when whoever has started it is gone: nothing more is ever written."""
    sys.stdin.read()
    os._exit(0)


def _tree(value: dict[str, Any]) -> ContractionTree:
    """What ``asdict`` made of it."""
    return ContractionTree(
        inputs=tuple(map(tuple, value["inputs"])),
        output=tuple(value["output"]),
        dimensions=tuple((name, size) for name, size in value["dimensions"]),
        path=tuple((left, right) for left, right in value["path"]),
        sliced=tuple(value["sliced"]),
    )


if __name__ == "__main__":
    _main()
