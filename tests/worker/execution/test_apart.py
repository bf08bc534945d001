"""Searches in processes of their own: they end on time, and take nobody with them."""

from __future__ import annotations

import asyncio
import errno
import signal
import subprocess
import sys
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from dask_jobs import cubic

from tensorloom_worker.execution import apart, trees, wanted
from tensorloom_worker.execution.apart import search_apart
from tensorloom_worker.execution.executor import Executor
from tensorloom_worker.execution.pool import Pool
from tensorloom_worker.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from tensorloom.plan.tree import ContractionTree

GIB = 1 << 30

FOR_EVER = """
import sys
sys.path[:0] = {places!r}
from dask_jobs import cubic
from tensorloom_worker.execution.apart import search_apart
search_apart(cubic(200, 2), 2**12, 3600.0, 0, 2**40)
"""


def searches(parent: psutil.Process) -> list[psutil.Process]:
    """The processes of its searches."""
    return [one for one in parent.children() if apart.__name__ in one.cmdline()]


def begun(parent: psutil.Process) -> psutil.Process:
    """The process of its search, once that is there."""
    until = time.monotonic() + 60
    while not (found := searches(parent)):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found[0]


@pytest.fixture(autouse=True)
def none_is_left() -> Any:
    yield
    assert searches(psutil.Process()) == []


def test_a_tree_that_takes_minutes_ends_with_its_time() -> None:
    """The annealing of its first tree takes 200 s."""
    begun = time.monotonic()
    _ = search_apart(cubic(1000, 2), 2**26, 1.0, 0, 4 * GIB)
    # Twice the time, and what Python takes to begin on a busy machine.
    assert time.monotonic() - begun < 45


class Counting(SimpleQueue[Any]):
    """Counts what was taken out."""

    count = 0

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001, FBT002  # as it is there
        found = super().get(block, timeout)
        self.count += 1
        return found


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is logged."""
    heard: list[str] = []
    for name in ("warning", "exception"):
        monkeypatch.setattr(apart.log, name, lambda text, *values: heard.append(text % values))
    return heard


@pytest.mark.parametrize("trees_first", [0, 1])
def test_a_search_beyond_its_memory_ends_with_the_best_so_far(
    monkeypatch: pytest.MonkeyPatch, told: list[str], trees_first: int
) -> None:
    monkeypatch.setattr(apart, "SimpleQueue", Counting)
    # The first line says that it begins.
    monkeypatch.setattr(apart._Child, "bytes", property(lambda child: child.lines.count))
    tree, most = cubic(60, 4), 2**20
    found = search_apart(tree, most, 3600.0, 0, trees_first)
    assert (found is not None) == bool(trees_first)
    if found is not None:
        assert trees.candidate(trees.tree_of(tree, *found), most).peak_elements <= most
    assert told == [f"A search took more than {trees_first} bytes and was ended."]


def test_the_memory_of_a_search_is_seen() -> None:
    child = apart._Child("")
    with child:
        assert child.bytes > 0
    assert child.bytes == 0


def test_a_search_that_dies_has_found_nothing(told: list[str]) -> None:
    killer = threading.Thread(target=lambda: begun(psutil.Process()).kill())
    killer.start()
    assert search_apart(cubic(60, 4), 2**20, 3600.0, 0, GIB) is None
    killer.join()
    assert told == [f"A search ended with code {-signal.SIGKILL}."]


def test_a_search_without_room_for_a_process_has_found_nothing(
    monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    def full(*_: Any, **_more: Any) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(apart.subprocess, "Popen", full)
    assert search_apart(cubic(60, 4), 2**20, 3600.0, 0, GIB) is None
    assert told == ["A search could not be started."]


def test_what_libraries_print_is_nothing_that_was_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: list[str]
) -> None:
    """A module that is looked for on the way prints a line and ends."""
    (tmp_path / "optuna.py").write_text("import os; os.write(1, b'Loaded.\\n'); os._exit(3)")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert search_apart(cubic(60, 4), 2**20, 3600.0, 0, GIB) is None
    assert told == ["A search ended with code 3."]


def test_a_search_ends_with_its_worker() -> None:
    command = [sys.executable, "-c", FOR_EVER.format(places=sys.path)]
    worker = subprocess.Popen(command)
    search = begun(psutil.Process(worker.pid))
    worker.kill()
    worker.wait()
    search.wait(30)


def test_a_large_search_ends_soon_when_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    until = time.monotonic() + 3.0
    monkeypatch.setattr(wanted, "own_task", lambda: lambda: time.monotonic() < until)
    search_apart(cubic(1700, 2), 2**20, 3600.0, 0, 4 * GIB)
    assert time.monotonic() < until + 5.0


@pytest.mark.parametrize(
    ("memory", "threads", "most"), [(8 * GIB, 4, 2 * GIB), (8 * GIB, 1, 8 * GIB), (1, 1, GIB // 2)]
)
def test_a_search_may_take_what_its_thread_may(
    tmp_path: Path, memory: int, threads: int, most: int
) -> None:
    settings = Settings(data_folder=tmp_path, threads=threads, max_memory_bytes_per_worker=memory)
    assert Pool(settings).search_bytes == most


@pytest.mark.parametrize(("n_found", "seconds"), [(1, 5.0), (0, 60.0)])
def test_the_given_tree_is_cut_no_longer_than_one_searches_where_another_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_found: int, seconds: float
) -> None:
    start, waited = cubic(20, 2), []
    executor = Executor(Settings(data_folder=tmp_path, workers=1))

    async def call(*_: Any) -> Any:
        return (start.path, ()) if n_found else None

    def fitting(tree: ContractionTree, most: int, patience: Any) -> Any:
        waited.append(patience.seconds)
        return trees.candidate(tree, most)

    monkeypatch.setattr(executor.pool, "call", call)
    monkeypatch.setattr(trees, "fitting", fitting)
    assert asyncio.run(executor.searched(start, 2**20, 5.0)) is not None
    assert set(waited) == {seconds}
