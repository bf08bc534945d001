"""Sums of tasks on their way to the service: in files, or beside what is pickled."""

from __future__ import annotations

import errno
import pickle
from typing import TYPE_CHECKING

import pytest

from tensorloom.errors import ExecutionError
from tensorloom_worker.execution.left_sums import forget_left, is_large, left_sum
from tensorloom_worker.ledger import Partial

if TYPE_CHECKING:
    from pathlib import Path

LARGE = Partial(total=bytes(range(256)) * 4096, compensation=b"rest", exponent=-7)


def test_a_sum_is_taken_as_it_was_left_and_its_file_goes(tmp_path: Path) -> None:
    left = left_sum(LARGE, tmp_path / "1-abc.json")
    assert [path.name.startswith("1-abc-") for path in tmp_path.iterdir()] == [True]
    assert left.taken() == LARGE
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_took_of_a_job_is_removed(tmp_path: Path) -> None:
    left_sum(LARGE, tmp_path / "1-abc.json")
    left_sum(LARGE, tmp_path / "11-abc.json")
    forget_left(tmp_path / "1-abc.json")
    assert [path.name.startswith("11-abc-") for path in tmp_path.iterdir()] == [True]


def test_a_full_disk_is_named_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        (tmp_path / "1-abc-full").touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("secrets.token_hex", lambda _: "full")
    monkeypatch.setattr("pathlib.Path.open", full)
    with pytest.raises(ExecutionError) as caught:
        left_sum(LARGE, tmp_path / "1-abc.json")
    assert caught.value.code == "disk-full"
    assert list(tmp_path.iterdir()) == []


def test_large_bytes_travel_beside_what_is_pickled() -> None:
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(LARGE, protocol=5, buffer_callback=buffers.append)
    assert len(data) < 1000
    assert len(buffers) == 1
    assert pickle.loads(data, buffers=[memoryview(one) for one in buffers]) == LARGE
    for protocol in (4, 5):
        assert pickle.loads(pickle.dumps(LARGE, protocol=protocol)) == LARGE


def test_only_large_sums_are_left_in_files() -> None:
    assert is_large(LARGE)
    assert not is_large(Partial(total=b"x" * (1 << 19), compensation=b"y" * ((1 << 19) - 1)))
