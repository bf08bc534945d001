"""``window.tensorloom`` as documented in ``docs/api.md``: what it gives, and how it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gauges import python
from tensorloom.model import codec
from workbench import EMPTY, Workbench

pytestmark = pytest.mark.browser

MATRIX = {"shape": [2, 2], "data": [1, 2, 3, 4]}

REFUSED = """
async ([method, options]) => {
  try {
    await tensorloom[method](options);
    return null;
  } catch (error) {
    return error;
  }
}
"""


def refused(bench: Workbench, method: str, **options: object) -> dict[str, Any]:
    """The record with which a call rejects.

    Raises:
        AssertionError: It did not.
    """
    error = bench.page.evaluate(REFUSED, [method, options])
    assert error is not None, f"{method} did not reject"
    return dict(error)


def test_the_example_of_the_documentation(bench: Workbench) -> None:
    swap = {"shape": [2, 2], "data": [0, 1, 1, 0]}
    bench.open(format="einsum", text="ij,jk->ik", arrays=[MATRIX, swap])
    found = bench.run(backend="wasm")
    assert found["kind"] == "Float64Array"
    assert found["value"] == [2, 1, 4, 3]
    assert (found["shape"], found["dtype"], found["backend"]) == ([2, 2], "float64", "wasm")
    assert (found["log10Scale"], found["mulAdds"], found["notes"]) == (0, 8, [])
    assert 0 < found["errorBound"] < 1e-14
    assert 0 <= found["ms"] < 1000  # below a tick of the clock it is 0
    assert found["predictedMs"] > 0
    assert found["peakBytes"] == 3 * 4 * 8


@pytest.mark.parametrize(
    ("backend", "dtype", "kind"),
    [
        ("wasm", "float32", "Float32Array"),
        ("webgpu", "float32", "Float32Array"),
        ("numpy", "float64", "Float64Array"),
        ("wasm", "complex64", "Float32Array"),
        ("webgpu", "complex64", "Float32Array"),
        ("numpy", "complex128", "Float64Array"),
    ],
)
def test_each_backend_answers_in_each_type(
    bench: Workbench, backend: str, dtype: str, kind: str
) -> None:
    bench.open(format="einsum", text="ij,jk->ik", arrays=[MATRIX, MATRIX])
    found = bench.run(backend=backend, dtype=dtype)
    assert (found["backend"], found["dtype"], found["kind"]) == (backend, dtype, kind)
    step = 2 if dtype.startswith("complex") else 1
    assert found["value"][::step] == [7, 10, 15, 22]
    assert all(value == 0 for value in found["value"][1::step]) or step == 1


def test_complex_data_is_interleaved(bench: Workbench) -> None:
    given = {"shape": [2], "data": [1, 2, 3, -1], "dtype": "complex128"}
    bench.open(format="einsum", text="i,i->i", arrays=[given, given])
    found = bench.run()
    assert found["dtype"] == "complex128"
    assert found["value"] == [-3, 4, 8, -6]


def test_webgpu_asked_for_64_bits_says_what_it_did(bench: Workbench) -> None:
    bench.open(format="einsum", text="ij,jk->ik", arrays=[MATRIX, MATRIX])
    found = bench.run(backend="webgpu", dtype="float64")
    assert found["dtype"] == "float32"
    assert found["notes"] == ["WebGPU computes in float32, not float64."]


def test_seeds_and_sizes_make_the_same_numbers_as_python(bench: Workbench) -> None:
    bench.open(format="einsum", text="ij->ij", sizes={"i": 2, "j": 3}, seed=5)
    wanted = np.random.Generator(np.random.PCG64(5)).standard_normal(6)
    np.testing.assert_array_equal(bench.run()["value"], wanted)


def test_a_value_beyond_its_type_carries_its_exponent(bench: Workbench) -> None:
    big = {"shape": [1], "data": [1e200]}
    bench.open(format="einsum", text="a,a,a->", arrays=[big, big, big])
    found = bench.run()
    assert found["log10Scale"] == 600
    assert found["value"][0] == pytest.approx(1, rel=1e-12)


def test_the_link_holds_the_document(bench: Workbench) -> None:
    bench.open(format="einsum", text="ab,bc->ac", sizes={"b": 9})
    link = bench.page.evaluate("() => tensorloom.link()")
    address, _, fragment = link.partition("#")
    assert address == bench.page.url.split("#")[0]
    assert codec.decode_link(fragment) == codec.from_json(bench.document())


def test_the_document_is_a_copy(bench: Workbench) -> None:
    bench.open(format="einsum", text="ab,bc->ac")
    bench.page.evaluate("() => { tensorloom.document().tensors.length = 0; }")
    assert len(bench.document()["tensors"]) == 2


def test_open_resolves_with_what_is_shown(bench: Workbench) -> None:
    given = bench.open(format="uai", text="MARKOV 1 2 1 1 0 2 1.5 2.5")
    assert given == bench.document()
    assert bench.run()["value"] == [4]


def test_calls_at_once_are_answered_in_order(bench: Workbench) -> None:
    values = bench.page.evaluate(
        """async () => {
          const answers = [];
          for (const size of [2, 3, 4]) {
            answers.push(tensorloom.open({ format: "einsum", text: "ii->", sizes: { i: size },
              arrays: [{ shape: [size, size], data: Array(size * size).fill(1) }] }));
            answers.push(tensorloom.run().then(({ value }) => value[0]));
          }
          return (await Promise.all(answers)).filter((one) => typeof one === "number");
        }"""
    )
    assert values == [2, 3, 4]


def test_an_empty_drawing_is_the_number_one(bench: Workbench) -> None:
    found = bench.run()
    assert (found["value"], found["shape"]) == ([1], [])
    assert bench.document() == EMPTY


BAD = [
    ("open", {"format": "einsum", "text": "ij,jk->ix"}, "loose-output", {"span": [8, 9]}),
    ("open", {"format": "einsum", "text": "ij,,->>"}, "two-arrows", {"span": [6, 7]}),
    ("open", {"format": "qasm", "text": "qreg q[1]; foo q[0];"}, "unknown-gate", {"line": 1}),
    ("open", {"format": "qasm", "text": "qreg q[2];", "output": "0"}, "bad-output", {}),
    ("open", {"format": "uai", "text": "MARKOV 1 2 1 1 0 2 1.5"}, "cut-short", {"line": 1}),
    ("open", {"format": "network-json", "text": "[]"}, "not-a-network", {}),
    ("open", {"format": "document", "text": "{}"}, "not-a-document", {}),
    ("open", {"format": "document", "text": '{"tensorloom": 99}'}, "newer-version", {}),
    ("open", {"format": "docx", "text": "x"}, "unknown-format", {}),
    ("open", {"format": "einsum", "text": "ii->", "sizes": {"i": 0}}, "bad-dimension", {}),
    ("open", {"format": "einsum", "text": "ii->", "colour": "red"}, "unknown-option", {}),
    ("open", {"format": "einsum", "text": "i,i->", "arrays": [MATRIX]}, "wrong-arrays", {}),
    ("open", {"format": "einsum", "text": "i->", "arrays": [MATRIX]}, "wrong-axes", {}),
    (
        "open",
        {"format": "einsum", "text": "ij->", "arrays": [{"shape": [2, 2], "data": [1, 2]}]},
        "bad-array",
        {},
    ),
    (
        "open",
        {
            "format": "einsum",
            "text": "i->",
            "arrays": [{"shape": [1], "data": [1], "dtype": "int"}],
        },
        "bad-dtype",
        {},
    ),
    ("open", {"format": "einsum"}, "no-text", {}),
    ("run", {"backend": "abacus"}, "bad-backend", {}),
    ("run", {"dtype": "int8"}, "bad-dtype", {}),
    # Chromium's simulated GPU has no shader-f16.
    ("run", {"backend": "webgpu-f16"}, "no-f16", {}),
]


@pytest.mark.parametrize(
    ("method", "options", "code", "where"), BAD, ids=[f"{row[0]}-{row[2]}" for row in BAD]
)
def test_a_refusal_has_a_code_a_place_and_a_way_out(
    bench: Workbench, method: str, options: dict[str, object], code: str, where: dict[str, object]
) -> None:
    bench.open(format="einsum", text="ab,bc->ac")
    before = bench.document()
    error = refused(bench, method, **options)
    assert error["code"] == code
    assert error["message"].endswith((".", "…"))
    assert error["hint"] != ""
    assert where.items() <= error["where"].items()
    assert bench.document() == before


def test_16_bit_storage_says_what_the_gpu_lacks(bench: Workbench) -> None:
    error = refused(bench, "run", backend="webgpu-f16")
    assert error["message"] == "This GPU does not store 16-bit numbers: it lacks shader-f16."
    assert error["hint"] == "Choose WebGPU, which stores 32 bits, or the CPU."


def test_too_much_is_refused_before_it_starts(bench: Workbench) -> None:
    bench.open(format="einsum", text="ab->ab", sizes={"a": 100_000, "b": 100_000})
    error = refused(bench, "run")
    assert error["code"] in {"does-not-fit", "array-too-big"}
    bench.clear()
    assert bench.run()["value"] == [1]


BIG = {
    "format": "einsum",
    "text": "ij,jk->ik",
    "sizes": {"i": 1200, "j": 1200, "k": 1200},
    "seed": 1,
}
"""Half a second at least by numpy without BLAS: long enough to tell how far it is."""

FIRST = "async (backend) => (await tensorloom.run({ backend })).value[0]"
"""The first number alone: a million of them take seconds on their way to a test."""

WATCHED = """
async (most) => {
  const news = [];
  const controller = new AbortController();
  const onProgress = (one) => {
    news.push(one);
    if (news.length === most) controller.abort();
  };
  try {
    const { signal } = controller;
    const { value } = await tensorloom.run({ backend: "numpy", onProgress, signal });
    return { news, value: value[0] };
  } catch (error) {
    return { news, error };
  }
}
"""

SHOWN = """
import json
from tensorloom.view.workbench import sessions
live = sessions[-1].live
async with live._lock:
    pass
json.dumps(live.result.backend)
"""
"""Where the value that is shown was computed, once nothing runs any more."""


def test_a_run_tells_how_far_it_is(bench: Workbench) -> None:
    bench.open(**BIG)
    wanted = bench.page.evaluate(FIRST, "wasm")
    found = bench.page.evaluate(WATCHED, None)
    assert found["value"] == pytest.approx(wanted)
    *running, last = found["news"]
    assert last == {"state": "done", "fraction": 1, "etaMs": 0}
    assert {one["state"] for one in running} == {"running"}
    fractions = [one["fraction"] for one in running]
    assert len(fractions) >= 2
    assert fractions == sorted(fractions)
    assert all(one["etaMs"] > 0 for one in running if 0 < one["fraction"] < 1)


def test_a_run_is_cancelled(bench: Workbench) -> None:
    bench.open(**BIG)
    wanted = bench.page.evaluate(FIRST, "wasm")
    found = bench.page.evaluate(WATCHED, 1)
    assert found["error"]["code"] == "cancelled"
    assert found["error"]["message"] == "This run was cancelled."
    # Python stopped too: the value of that run never came.
    assert python(bench.page, SHOWN) == "wasm"
    assert len(found["news"]) == 1
    assert bench.page.evaluate(FIRST, "wasm") == wanted


def test_a_signal_that_was_given_before_starts_nothing(bench: Workbench) -> None:
    bench.open(format="einsum", text="ij,jk->ik", arrays=[MATRIX, MATRIX])
    given = "tensorloom.run({ signal: AbortSignal.abort() })"
    source = REFUSED.replace("tensorloom[method](options)", given)
    assert bench.page.evaluate(source, ["run", {}])["code"] == "cancelled"
