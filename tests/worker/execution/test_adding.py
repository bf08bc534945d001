"""What a contraction tells of its sum: beside its exponent, and while it is being written down."""

from __future__ import annotations

import threading
import tracemalloc
from dataclasses import replace
from math import log10
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dask_jobs import SLICED, request_of, ring, run, sliced_request, wanted
from memory_ledger import MemoryLedger

from tensorloom.execute.arrays import ArrayStore, arrays_of
from tensorloom.execute.blocks import largest_of
from tensorloom.formats.opening import open_text
from tensorloom.model.recipe import ConstantArray
from tensorloom_worker.execution import adding
from tensorloom_worker.execution.sums import Sum
from tensorloom_worker.ledger import ArrayRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from conftest import Cluster
    from tensorloom_worker.ledger import Outcome, Partial, Prefix, Progress


@pytest.mark.parametrize("dtype", ["float64", "complex128", "complex64"])
@pytest.mark.parametrize("power", [250, -250])
def test_a_number_that_no_float_holds_goes_through_with_its_scale(
    cluster: Cluster,
    many_tasks: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    power: int,
    dtype: str,
) -> None:
    monkeypatch.setattr("tensorloom_worker.execution.adding.TELL_SECONDS", 0.0)
    document = ring(8, 4)
    arrays = arrays_of(document.network, "float64", ArrayStore())
    names = [tensor.id for tensor in document.network.tensors]

    def contracted(power: int, ledger: MemoryLedger, heard: list[Progress]) -> Outcome:
        refs = {}
        for name, array in zip(names, arrays, strict=True):
            path = tmp_path / f"{name}{power}.npy"
            np.save(path, np.ldexp(array, power))
            refs[name] = ArrayRef(path=path, key=None, sha256="0" * 64)
        uses = {name: {"sha256": ref.sha256} for name, ref in refs.items()}
        request = sliced_request(document, *SLICED, dtype=dtype, arrays=uses)
        return run(cluster, request, ledger, arrays=refs, heard=heard)

    plain = contracted(0, MemoryLedger(), [])
    ledger = MemoryLedger()
    heard: list[Progress] = []
    found = contracted(power, ledger, heard)
    # Eight tensors, each 2**250 larger or smaller: about 1e602 or 1e-602 altogether.
    digits = 8 * power * log10(2)
    assert abs(found.log10_scale - digits) < 10
    last, whole = complex(found.array), complex(plain.array)
    assert last * 10 ** (found.log10_scale - digits) == pytest.approx(whole, rel=1e-6)
    partials = [one.partial for one in heard if one.partial is not None]
    assert len(partials) > 10
    for partial in partials:
        assert partial.value is not None
        assert partial.relative_change is not None
        assert abs(partial.log10_scale - digits) < 10
    assert partials[-1].log10_scale == found.log10_scale
    assert partials[-1].value == pytest.approx((last.real, last.imag))
    assert partials[-1].standard_error == pytest.approx(0, abs=1e-12)
    assert any(one.standard_error for one in partials)
    so_far = adding.sum_so_far(ledger, "job")
    assert so_far is not None
    assert so_far[1] == found.log10_scale


def test_numbers_that_a_document_gives_beyond_its_type_go_through_too(cluster: Cluster) -> None:
    document = ring(4, 2)
    tensors = tuple(
        replace(tensor, array=ConstantArray(value=1e-50)) for tensor in document.network.tensors
    )
    small = replace(document, network=replace(document.network, tensors=tensors))
    found = run(cluster, request_of(small, dtype="float32"))
    # Four bonds and two chords of dimension 2: 64 products of 1e-200.
    assert found.log10_scale == -199
    assert complex(found.array) == pytest.approx(6.4, rel=1e-6)
    assert 2.0**-24 < found.error_bound < 1e-5


@pytest.mark.parametrize("power", [0, 1900, -1900])
@pytest.mark.parametrize("apart", [(0, 0, 0, 0), (900, 0, -900, 40)])
def test_sums_of_any_magnitude_have_a_spread(power: int, apart: tuple[int, ...]) -> None:
    values = [3.0, 5.0, 4.0, 8.0]
    spread = adding._Spread()
    for value, own in zip(values, apart, strict=True):
        spread.add(np.ldexp([value], own), power - own)
    of_all = np.std(values, ddof=1) / 2 * np.sqrt(1 - 4 / 10)
    assert spread.standard_error(10) == pytest.approx(of_all / np.mean(values))


def test_a_change_that_is_no_number_is_left_out() -> None:
    def number(value: complex, exponent: int = 0) -> Sum:
        made = Sum((), "complex128")
        made.add(np.array(value, "complex128"), exponent)
        return made

    assert adding._share(number(1.0), number(2.0)) == 0.5
    assert adding._share(number(1.5, -1900), number(1.5, -1902)) == 4.0
    assert adding._share(number(1e308 + 1e308j), number(1e308 + 1e308j)) == 1.0
    assert adding._share(number(1e300), number(1e-300)) is None
    assert adding._share(number(1.0), number(0.0)) is None
    assert adding._share(number(np.inf), number(np.inf)) is None


class Folding(MemoryLedger):
    """Its job writes its sums together right after anything is read of them."""

    def __init__(self, found: MemoryLedger, later: Prefix) -> None:
        super().__init__()
        self.sums, self.fixed = dict(found.sums), found.fixed
        self._later = later

    def tasks(self, job: str) -> Mapping[int, Partial]:
        found = super().tasks(job)
        self.fold(job, self._later)
        return found

    def prefix(self, job: str) -> Prefix | None:
        found = super().prefix(job)
        self.fold(job, self._later)
        return found


def test_tasks_that_are_folded_while_the_sum_so_far_is_read_count_once(
    cluster: Cluster, many_tasks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = sliced_request(ring(8, 4), *SLICED)
    apart, folded = MemoryLedger(), MemoryLedger()
    whole = run(cluster, request, apart).array
    monkeypatch.setattr(adding, "FOLD_TASKS", 1)
    run(cluster, request, folded)
    assert folded.first is not None
    so_far = adding.sum_so_far(Folding(apart, folded.first), "job")
    assert so_far is not None
    np.testing.assert_allclose(so_far[0], whole, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_large_result_is_recorded_once_and_has_few_copies(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    size = 2000
    document = open_text(f"a,b->ab a={size} b={size}", format="einsum").document
    looked_at: list[str] = []

    def look(arrays: Iterable[NDArray[Any]]) -> float:
        looked_at.append(threading.current_thread().name)
        return largest_of(arrays)

    monkeypatch.setattr(adding, "largest_of", look)
    ledger = MemoryLedger()
    tracemalloc.start()
    try:
        found = run(cluster, request_of(document, dtype=dtype), ledger)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ledger.times == {0: 1}
    # A prefix of all tasks would be the same once more.
    assert ledger.folds == 0
    assert most < 2.5 * found.array.nbytes
    x, y = arrays_of(document.network, "float64", ArrayStore())
    np.testing.assert_allclose(found.array, np.outer(x, y), rtol=1e-6)
    # The service hears nobody while its own thread computes.
    assert len(looked_at) == 1
    assert looked_at[0] != cluster.thread_name


def test_large_sums_leave_no_files(cluster: Cluster, many_tasks: None) -> None:
    document = open_text("ka,kb->ab k=40 a=500 b=500", format="einsum").document
    ledger = MemoryLedger()
    found = run(cluster, sliced_request(document, "k"), ledger)
    assert ledger.fixed is not None
    assert ledger.fixed.tasks > 1
    np.testing.assert_allclose(found.array, wanted(document).real, rtol=1e-9, atol=1e-12)
    folder = cluster.executor.settings.data_folder / "running"
    assert [path for path in folder.iterdir() if path.suffix != ".json"] == []
