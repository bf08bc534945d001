"""``tensorloom.bench`` on the built site, and the threads that an isolated page gives it."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gauges import python_worker
from isolation import choose_threads, own_page
from page_state import python_answered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from workbench import Workbench

pytestmark = [pytest.mark.browser, pytest.mark.alone]

BENCH = """
async ([equation, shapes, dtype, options]) => {
  try {
    return await tensorloom.bench(equation, shapes, dtype, options);
  } catch (error) {
    return { refused: error };
  }
}
"""

GIVEN = """
async ([equation, shapes, dtype, arrays]) => {
  const address = (numbers) => URL.createObjectURL(new Blob([Float32Array.from(numbers)]));
  const [expect, ...inputs] = arrays.map(address);
  try {
    return await tensorloom.bench(equation, shapes, dtype, { inputs, expect, minMs: 5 });
  } catch (error) {
    return { refused: error };
  }
}
"""

LARGE = ["ik,kj->ij", [[512, 512], [512, 512]], "float32"]


def timed(page: Page, *given: object) -> dict[str, Any]:
    return dict(page.evaluate(BENCH, list(given)))


@pytest.mark.parametrize(
    ("dtype", "bound"),
    [("float32", 1e-5), ("float64", 1e-13), ("complex64", 1e-5), ("complex128", 1e-13)],
)
def test_any_contraction_is_timed_in_any_type(bench: Workbench, dtype: str, bound: float) -> None:
    shapes = [[5, 7, 3], [3, 4], [7, 4, 2]]
    found = timed(bench.page, "abc,cd,bde->ea", shapes, dtype, {"backend": "wasm", "minMs": 5})
    assert (found["backend"], found["threads"]) == ("wasm", 1)
    assert found["gflops"] > 0
    assert 0 < found["maxErr"] < bound
    flop = found["mulAdds"] * (8 if dtype.startswith("complex") else 2)
    assert found["gflops"] == pytest.approx(flop / found["ms"] / 1e6)
    assert found["kernel"]
    assert 0 < found["tuneMs"] < 5000
    assert found["deviceMs"] >= 0


SPENT = """
from tensorloom.view.workbench import sessions
sessions[-1].live.kernels.tuner.spent_ms
"""


def test_what_the_tuner_knows_is_not_tuned_again(bench: Workbench) -> None:
    given = ["aib,bjc->aijc", [[9, 20, 30], [30, 21, 8]], "float32", {"backend": "wasm"}]
    spent = []
    # On a busy machine what was not settled is looked at twice more, and then no more.
    for _ in range(4):
        found = timed(bench.page, *given)
        assert found["kernel"]
        spent.append(python_worker(bench.page).evaluate("(text) => pyodide.runPython(text)", SPENT))
    assert spent[0] > 0
    assert spent[3] == spent[2]


def test_what_has_no_room_is_refused(bench: Workbench) -> None:
    given = ["ij,jk->ik", [[60_000, 60_000], [60_000, 60_000]], "float32", {"backend": "wasm"}]
    refused = timed(bench.page, *given)["refused"]
    assert refused["code"] == "does-not-fit"
    assert "28.8 GB" in refused["message"]


@pytest.mark.parametrize("backend", ["numpy", "webgpu"])
def test_other_backends_are_timed(bench: Workbench, backend: str) -> None:
    options = {"backend": backend, "minMs": 5}
    found = timed(bench.page, "ij,jk->ik", [[33, 20], [20, 17]], "float32", options)
    assert found.get("refused") is None
    assert found["backend"] == backend
    assert found["maxErr"] < 1e-5


def test_given_numbers_are_compared_with_the_expected_ones(bench: Workbench) -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    arrays = [(a @ b).ravel().tolist(), a.ravel().tolist(), b.ravel().tolist()]
    given = ["ij,jk->ik", [[2, 3], [3, 4]], "float32", arrays]
    found = bench.page.evaluate(GIVEN, given)
    assert (found["maxErr"], found["reference"]) == (0, "given")
    arrays[0][3] += 1
    wrong = bench.page.evaluate(GIVEN, given)
    assert wrong["maxErr"] == pytest.approx(1 / np.abs(a @ b).max(), rel=0.1)


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ([], "not-an-equation", "undefined"),
        (["ij,jk->ik", [[2, 3], [4, 2]], "float32", {}], "dimension-mismatch", "operand 1"),
        (["ij,jk->ik", [[2, 3]], "float32", {}], "wrong-arrays", "2 operands"),
        (["ij,jk->ix", [[2, 3], [3, 2]], "float32", {}], "loose-output", "x"),
        (["ij->ij", [[2, 0]], "float32", {}], "bad-array", "operand 0"),
        (["ij,jk->ik", [[2, 3], [3, 2]], "int8", {}], "bad-dtype", "int8"),
        (["ij,jk->ik", [[2, 3], [3, 2]], "float32", {"backend": "cuda"}], "bad-backend", "cuda"),
        (["ij,jk->ik", [[2, 3], [3, 2]], "float32", {"threads": "x"}], "bad-option", "threads"),
        (["ij,jk->ik", [[2, 3], [3, 2]], "float32", {"threads": 1.5}], "bad-option", "threads"),
        (["ij,jk->ik", [[2, 3], [3, 2]], "float32", {"minMs": -1}], "bad-option", "minMs"),
        (["ij,jk->ik", [[2, 2], [2, 2]], "float64", {"backend": "webgpu"}], "gpu-dtype", "float64"),
        (["ij,jk->ik", [[2, 3], [3, 2]], "float32", {"inputs": ["a"]}], "wrong-arrays", "1 inputs"),
    ],
)
def test_what_cannot_be_timed_is_refused(
    bench: Workbench, given: list[object], code: str, words: str
) -> None:
    refused = timed(bench.page, *given)["refused"]
    assert refused["code"] == code
    assert words in refused["message"]


def test_numbers_of_another_size_are_refused(bench: Workbench) -> None:
    given = ["ij,jk->ik", [[2, 2], [2, 2]], "float32", [[1], [1, 2, 3], [1, 2, 3, 4]]]
    refused = bench.page.evaluate(GIVEN, given)["refused"]
    assert refused["code"] == "bad-array"
    assert "Input 0 has 12 bytes; 16 belong" in refused["message"]


def test_an_expected_result_without_numbers_is_refused(bench: Workbench) -> None:
    given = ["ij,jk->ik", [[1, 1], [1, 1]], "float32", [["NaN"], [1], [1]]]
    refused = bench.page.evaluate(GIVEN, given)["refused"]
    assert refused["code"] == "bad-array"
    assert refused["message"] == "The expected result holds NaN or Infinity."


def test_complex_numbers_are_compared_too(bench: Workbench) -> None:
    one_i = [[-1, 0], [0, 1], [0, 1]]
    given = [",->", [[], []], "complex64", one_i]
    found = bench.page.evaluate(GIVEN, given)
    assert (found["maxErr"], found["reference"]) == (0, "given")


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ii->i", [[40, 40]]),
        ("ij->", [[40, 30]]),
        ("i,j->ij", [[300], [200]]),
        ("aab,bc->ca", [[8, 8, 9], [9, 7]]),
        ("ai,bi,ci->abc", [[6, 7], [8, 7], [9, 7]]),
    ],
)
def test_odd_contractions_are_timed_in_seconds(
    bench: Workbench, equation: str, shapes: list[list[int]]
) -> None:
    began = monotonic()
    found = timed(bench.page, equation, shapes, "float32", {"backend": "wasm", "minMs": 5})
    assert found["maxErr"] < 1e-5
    # One second when nobody computes beside it; a rounded clock once made it half a minute.
    assert monotonic() - began < 8


@pytest.fixture(scope="module")
def threads_page(browser: Browser, site_url: str) -> Iterator[Page]:
    """A page of its own."""
    with own_page(browser, site_url) as page:
        yield page


AT_ONCE = """
import numpy as np
import tensorloom
matrix = np.ones((300, 300), "float32")
float(tensorloom.contract("ij,jk->ik", matrix, matrix, backend="wasm")[0, 0])
"""

CONTRACTED = """
async () => {
  const sizes = { i: 300, j: 301, k: 302 };
  await tensorloom.open({ format: "einsum", text: "ij,jk->ik", sizes, seed: 3 });
  const { value, backend } = await tensorloom.run({ backend: "wasm", dtype: "float32" });
  return [backend, ...value.slice(0, 2000)];
}
"""


def test_threads_are_chosen_used_and_left(threads_page: Page) -> None:
    assert not threads_page.evaluate("crossOriginIsolated")
    asked = {"backend": "wasm", "threads": 2, "minMs": 5}
    alone = timed(threads_page, *LARGE, asked)
    assert (alone["threads"], len(alone["notes"])) == (1, 1)
    backend, *value = threads_page.evaluate(CONTRACTED)
    assert backend == "wasm"
    # The page isolates itself by its service worker, also without a network.
    threads_page.context.set_offline(offline=True)
    choose_threads(threads_page, "All cores")
    python_answered(threads_page)
    assert threads_page.evaluate("crossOriginIsolated")
    found = timed(threads_page, *LARGE, asked)
    # Which of the two is faster is this machine's affair; the numbers are right either way.
    assert found["threads"] in (1, 2)
    assert found["notes"] == []
    assert found["maxErr"] < 1e-5
    # Python's own runs take the threads, and give the same numbers.
    assert threads_page.evaluate(CONTRACTED)[1:] == pytest.approx(value, rel=1e-4, abs=1e-4)
    # Who cannot wait for threads does without them.
    plain = "(source) => pyodide.runPython(source)"
    assert python_worker(threads_page).evaluate(plain, AT_ONCE) == 300
    choose_threads(threads_page, "One thread")
    assert not threads_page.evaluate("crossOriginIsolated")
