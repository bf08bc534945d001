"""Progress of sliced runs: slices counted, sums so far marked as such, said once more on a stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tensorloom.errors import Cancelled
from tensorloom.execute import numpy_backend
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree
from tensorloom.view import progress
from tensorloom.view.progress import RunProgress

if TYPE_CHECKING:
    from tensorloom.execute.backend import RawResult

TREE = ContractionTree(
    inputs=(("s",), ("s",)), output=(), dimensions=(("s", 20),), path=((0, 1),), sliced=("s",)
)
ARRAYS = [np.arange(1.0, 21.0), np.ones(20)]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pulses and notices as often as there can be any."""
    monkeypatch.setattr(numpy_backend, "CHUNK_MS", 0)
    monkeypatch.setattr(progress, "QUIET_MS", 0)
    monkeypatch.setattr(progress, "PROGRESS_INTERVAL_MS", 0)
    monkeypatch.setattr(progress, "PARTIAL_INTERVAL_MS", 0)
    monkeypatch.setattr(progress, "PARTIAL_SHARE", 0)


def run(pulse: RunProgress) -> RawResult:
    return asyncio.run(NumpyBackend().run(lower(TREE, "float64"), ARRAYS, pulse))


def test_the_page_hears_of_slices_and_of_their_sum() -> None:
    said: list[dict[str, Any]] = []
    found = run(RunProgress(20, said.append, lambda: None))
    assert float(found.value) == 210
    words = [notice["message"] for notice in said if notice["kind"] == "progress"]
    assert words[-1] == "19 of 20 slices"
    partial = [notice["partial"] for notice in said if notice["kind"] == "partial"]
    assert [one["done"] for one in partial] == [str(number) for number in range(1, 20)]
    assert {one["of"] for one in partial} == {"20"}
    assert [one["scalar"] for one in partial[:3]] == [[1, 0], [3, 0], [6, 0]]
    assert partial[0]["dtype"] == "float64"


def test_what_was_added_up_is_known_after_a_stop() -> None:
    stops = iter([None] * 7 + [Cancelled("cancelled", "Stopped.")])
    pulse = RunProgress(20, lambda _: None, lambda: next(stops))
    with pytest.raises(Cancelled):
        run(pulse)
    assert pulse.partial is not None
    assert (pulse.partial["done"], pulse.partial["scalar"]) == ("7", [28, 0])


def test_a_newer_drawing_ends_it_without_a_word() -> None:
    stops = iter([None] * 7 + [Cancelled("superseded", "A newer drawing took over.")])
    pulse = RunProgress(20, lambda _: None, lambda: next(stops))
    with pytest.raises(Cancelled):
        run(pulse)
    assert pulse.partial is None
