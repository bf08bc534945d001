"""The kernel database: keys, forgetting, and hostile files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tensorloom.errors import DocumentError
from tensorloom.kernels.program import KernelSpec, LoopAxis
from tensorloom.tune.database import MOST_BYTES, Database, Entry, Key, read_entries, shape_class


def key(shape: str = "b1 m512 n512 k512 knn", device: str = "cpu 16 32k 1024k fused") -> Key:
    return Key(device=device, engine="chromium 156", backend="wasm", dtype="float32", shape=shape)


ENTRY = Entry(candidate="packed 6x8", gflops=55.5)


def matmul(m: int, n: int, k: int) -> KernelSpec:
    return KernelSpec(
        dtype="float32",
        rows=(LoopAxis(size=m, left=k, right=0, out=n),),
        columns=(LoopAxis(size=n, left=0, right=1, out=1),),
        contracted=(LoopAxis(size=k, left=1, right=n, out=0),),
    )


def test_a_shape_class_by_hand() -> None:
    assert shape_class(matmul(300, 512, 513)) == "b1 m512 n512 k1024 knn"


def test_shapes_within_a_class_share_kernels_and_layouts_do_not() -> None:
    assert shape_class(matmul(257, 300, 400)) == shape_class(matmul(512, 512, 512))
    turned = KernelSpec(
        dtype="float32",
        rows=(LoopAxis(size=512, left=1, right=0, out=512),),
        columns=(LoopAxis(size=512, left=0, right=512, out=1),),
        contracted=(LoopAxis(size=512, left=512, right=1, out=0),),
    )
    assert shape_class(turned) == "b1 m512 n512 k512 mkn"


def test_shapes_that_are_summed_along_one_axis_are_a_class_of_their_own() -> None:
    def summed(*right: int) -> KernelSpec:
        axes = [LoopAxis(size=64, left=64, right=right[0], out=0)]
        axes += [LoopAxis(size=64, left=1, right=right[1], out=0)]
        return KernelSpec(dtype="float32", contracted=tuple(axes))

    assert shape_class(summed(64, 1)) == "b1 m1 n1 k4096 kk-="
    assert shape_class(summed(1, 64)) == "b1 m1 n1 k4096 kk-"


def test_a_scalar_has_a_class_too() -> None:
    assert shape_class(KernelSpec(dtype="float64", unary=True)) == "b1 m1 n1 k1 ---"


def test_databases_survive_text() -> None:
    database = Database(
        [
            (key(), ENTRY),
            (key("other"), Entry(candidate="x", gflops=1, trusted=False)),
            (key("third"), Entry(candidate="x", gflops=1, second="y", tried=("z", "u"))),
        ]
    )
    assert read_entries(database.to_text()) == database.items()


def test_it_keeps_to_its_size_and_forgets_what_was_used_longest_ago() -> None:
    database = Database()
    for number in range(3000):
        database.put(key(f"shape {number}"), ENTRY)
        if number > 2:
            assert database.get(key("shape 1")) == ENTRY
    assert MOST_BYTES - 500 < len(database.to_text().encode()) <= MOST_BYTES
    assert database.get(key("shape 1")) == ENTRY
    assert database.get(key("shape 0")) is None
    assert database.get(key("shape 2999")) == ENTRY


def test_imported_entries_are_not_trusted_and_never_replace_measured_ones() -> None:
    database = Database([(key("here"), ENTRY)])
    loud = Entry(candidate="slow one", gflops=999, tried=("fast one",))
    assert database.merge([(key("here"), loud), (key("new"), loud)]) == 1
    assert database.get(key("here")) == ENTRY
    assert database.get(key("new")) == Entry(candidate="slow one", gflops=999, trusted=False)


def test_a_device_that_has_another_key_keeps_its_kernels() -> None:
    done = Entry(candidate="x", gflops=1, spec="gemm", tried=("y",))
    other = Entry(candidate="z", gflops=2)
    database = Database(
        [
            (key("a"), done),
            (key("b"), done),
            (key("b", "new"), other),
            (key("a", "elsewhere"), done),
        ]
    )
    database.rename(key().device, "new")
    assert dict(database.items()) == {
        # What was searched for by other caches is searched for again.
        key("a", "new"): Entry(candidate="x", gflops=1),
        key("b", "new"): other,
        key("a", "elsewhere"): done,
    }


def test_what_proved_wrong_is_forgotten() -> None:
    database = Database([(key(), ENTRY)])
    database.forget(key())
    database.forget(key())
    assert len(database) == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"device": 5}, "device"),
        ({"device": ""}, "device"),
        ({"engine": "x" * 121}, "engine"),
        ({"backend": "cuda"}, "backend"),
        ({"dtype": "int4"}, "dtype"),
        ({"candidate": None}, "candidate"),
        ({"gflops": "fast"}, "gflops"),
        ({"gflops": 0}, "gflops"),
        ({"gflops": float("inf")}, "gflops"),
        ({"gflops": float("nan")}, "gflops"),
        ({"trusted": 1}, "trusted"),
        ({"spec": 5}, "spec"),
        ({"second": None}, "second"),
        ({"second": "x" * 121}, "second"),
        ({"tried": "all"}, "tried"),
        ({"tried": ["x", 5]}, "tried"),
        ({"threads": 0}, "threads"),
        ({"threads": 2.0}, "threads"),
        ({"gain": 0}, "gain"),
        ({"gain": float("nan")}, "gain"),
        ({"code": "AGFzbQ=="}, "code"),
    ],
)
def test_the_first_bad_field_is_named(change: dict[str, Any], field: str) -> None:
    data = json.loads(Database([(key(), ENTRY), (key("b"), ENTRY)]).to_text())
    data["entries"][1] |= change
    with pytest.raises(DocumentError) as caught:
        read_entries(json.dumps(data))
    assert caught.value.code == "bad-kernels"
    assert caught.value.values == {"field": f"entries[1].{field}"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "not-json"),
        ("[" * 99_999, "not-json"),
        ("[]", "bad-kernels"),
        ('{"tensorloom": 1}', "bad-kernels"),
        ('{"tensorloom-kernels": true, "entries": []}', "bad-kernels"),
        ('{"tensorloom-kernels": 1}', "bad-kernels"),
        ('{"tensorloom-kernels": 1, "entries": [7]}', "bad-kernels"),
        ('{"tensorloom-kernels": 9, "entries": []}', "newer-version"),
        (" " * (MOST_BYTES + 1), "too-big"),
    ],
)
def test_foreign_files_are_refused(text: str, code: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_entries(text)
    assert caught.value.code == code
