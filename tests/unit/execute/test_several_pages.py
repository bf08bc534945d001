"""Several pages that share one store: what one has found out, another one does not write over."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tensorloom.execute.backend import drive
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.tune.database import Entry
from tuners import Store, next_visit, product, spec_of, tuner_for
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from tensorloom.execute.tuning import Tuner
    from tensorloom.kernels.program import Program

FAST, SLOW = Entry(candidate="right 6x8", gflops=50.0), Entry(candidate="right 5x8", gflops=40.0)
SMALL, LARGE = product(40), product(400)


@pytest.fixture
def backend() -> WasmBackend:
    return WasmBackend(WasmtimeHost(pages=1 << 11))


def found(tuner: Tuner, entry: Entry, program: Program = SMALL) -> None:
    """A page has found out the best kernel of a shape, and writes it down."""
    tuner.database.put(tuner.key(spec_of(program), "wasm"), entry)
    drive(tuner._save())


def candidates(store: Store) -> list[str]:
    assert store.text is not None
    return sorted(row["candidate"] for row in json.loads(store.text)["kernels"]["entries"])


def test_what_two_pages_find_out_is_kept_of_both(backend: WasmBackend) -> None:
    store = Store()
    one, other = tuner_for(backend, store), tuner_for(backend, store)
    found(one, FAST, SMALL)
    revision = other.revision
    found(other, SLOW, LARGE)
    assert candidates(store) == [SLOW.candidate, FAST.candidate]
    # The second page has it at once, the first one from its next save on.
    assert other.revision > revision
    assert other.schedule_for(spec_of(SMALL), least=0) is not None
    drive(one._save())
    assert candidates(store) == [SLOW.candidate, FAST.candidate]


def test_of_a_shape_that_both_know_each_page_believes_itself(backend: WasmBackend) -> None:
    store = Store()
    one, other = tuner_for(backend, store), tuner_for(backend, store)
    found(one, FAST)
    found(other, SLOW)
    assert candidates(store) == [SLOW.candidate]
    assert one.database.get(one.key(spec_of(SMALL), "wasm")) == FAST


def test_a_kernel_that_was_dropped_does_not_come_back(backend: WasmBackend) -> None:
    store = Store()
    found(tuner_for(backend, store), FAST)
    one, other = next_visit(backend, store), next_visit(backend, store)
    one.database.forget(one.key(spec_of(SMALL), "wasm"))
    found(one, SLOW, LARGE)
    assert candidates(store) == [SLOW.candidate]
    drive(other._save())
    drive(one._save())
    assert one.database.get(one.key(spec_of(SMALL), "wasm")) is None


def test_what_is_forgotten_on_request_is_forgotten_of_all_pages(backend: WasmBackend) -> None:
    store = Store()
    found(tuner_for(backend, store), FAST)
    one = tuner_for(backend, store)
    drive(one.cleared())
    assert candidates(store) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"engine": "wasmtime 1", "kernels": {"a": 1}}'])
def test_what_cannot_be_read_is_written_anew(backend: WasmBackend, text: str) -> None:
    store = Store()
    tuner = tuner_for(backend, store)
    found(tuner, FAST)
    store.text = text
    drive(tuner._save())
    assert candidates(store) == [FAST.candidate]


def test_a_full_database_is_there_again_at_the_next_visit(backend: WasmBackend) -> None:
    store = Store()
    tuner = tuner_for(backend, store)
    key = tuner.key(spec_of(SMALL), "wasm")
    for number in range(2000):
        tuner.database.put(replace(key, shape=f"b1 m{number} n1 k1 knn"), FAST)
    assert len(tuner.database) < 2000
    drive(tuner._save())
    again = next_visit(backend, store)
    assert again.database.items() == tuner.database.items()
    # And another page that saves takes up as much.
    other = tuner_for(backend, store)
    drive(other._save())
    assert len(other.database) == len(tuner.database)


def test_a_store_that_nobody_else_wrote_is_not_read_again(backend: WasmBackend) -> None:
    store = Store()
    tuner = tuner_for(backend, store)
    found(tuner, FAST)
    tuner.database.forget(tuner.key(spec_of(SMALL), "wasm"))
    tuner.database._held.clear()
    drive(tuner._save())
    assert candidates(store) == []
