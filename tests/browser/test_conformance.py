"""The conformance suite in a real browser: every backend of the built site against longer numbers.

Hundreds of networks go through ``window.tensorloom`` in one page, so what is tested is the whole
way: reading, drawing, planning, kernels of this engine, carrying numbers back.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from opt_einsum.testing import build_shapes
from opt_einsum.tests import test_contract as theirs

from random_networks import (
    assert_close,
    equation,
    random_arrays,
    random_tree,
    reference,
    tolerance,
)
from statevector import simulate
from tensorloom.kernels.lower import lower
from tensorloom.model.equation import parse
from tensorloom.plan.find import plan_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from playwright.sync_api import BrowserContext, Page

    from known_device import KnownDevice

pytestmark = pytest.mark.browser

CIRCUITS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "circuits"

RUN_ALL = """
async ([cases, backend, dtype]) => {
  const found = [];
  for (const { text, arrays } of cases) {
    await tensorloom.open({ format: "einsum", text, arrays });
    const { value, ...rest } = await tensorloom.run({ backend, dtype });
    found.push({ ...rest, value: [...value].map(String) });
  }
  return found;
}
"""

RUN_CIRCUIT = """
async ([text, output, backend, dtype]) => {
  await tensorloom.open({ format: "qasm", text, output });
  const { value, ...rest } = await tensorloom.run({ backend, dtype });
  return { ...rest, value: [...value] };
}
"""

MAIN = (("wasm", "float64"), ("webgpu", "float32"))
"""Both kinds of kernels in their main type: every case. Elsewhere one in ``ELSEWHERE``, because the
suites outside the browser run all of them everywhere."""
PLACES = (
    *MAIN,
    ("wasm", "float32"),
    ("wasm", "complex128"),
    ("wasm", "complex64"),
    ("webgpu", "complex64"),
    ("numpy", "float64"),
    ("numpy", "complex128"),
)
"""Backend and type."""
NETWORKS = 100
ELSEWHERE = 4


@pytest.fixture(scope="module")
def workbench(browser: Any, site_url: str, known_device: KnownDevice) -> Iterator[Page]:
    """One page for all cases, ready."""
    context: BrowserContext = browser.new_context(storage_state=known_device.at(site_url))
    page = context.new_page()
    page.goto(site_url)
    page.evaluate("tensorloom.ready")
    yield page
    context.close()


def flat(array: NDArray[Any]) -> list[float]:
    """C order, complex interleaved."""
    plain = np.ascontiguousarray(array).reshape(-1)
    return plain.view(plain.real.dtype).astype(float).tolist()


def packed(arrays: Sequence[NDArray[Any]]) -> list[dict[str, object]]:
    return [
        {"shape": list(array.shape), "dtype": array.dtype.name, "data": flat(array)}
        for array in arrays
    ]


def unpacked(found: dict[str, Any]) -> NDArray[Any]:
    plain = np.array([float(word) for word in found["value"]])
    if found["dtype"].startswith("complex"):
        plain = plain.view(np.complex128)
    return plain.reshape(found["shape"]) * 10.0 ** found["log10Scale"]


def _step(place: tuple[str, str]) -> int:
    return 1 if place in MAIN else ELSEWHERE


def check(
    page: Page, cases: list[tuple[str, Any, list[NDArray[Any]]]], place: tuple[str, str]
) -> None:
    """Raises unless every case agrees within its tolerance."""
    backend, dtype = place
    sent = [{"text": text, "arrays": packed(arrays)} for text, _, arrays in cases]
    answers = page.evaluate(RUN_ALL, [sent, backend, dtype])
    for (text, tree, arrays), found in zip(cases, answers, strict=True):
        program = lower(tree, dtype)  # type: ignore[arg-type]  # one of the four
        wanted = reference(text, arrays, dtype)
        assert (found["backend"], found["dtype"], found["notes"]) == (backend, dtype, []), text
        assert_close(unpacked(found), wanted, tolerance(program, wanted))
        assert found["mulAdds"] == program.mul_adds


@pytest.mark.parametrize("place", PLACES, ids="-".join)
def test_expressions_of_opt_einsum_agree(workbench: Page, place: tuple[str, str]) -> None:
    cases = []
    for text in sorted(set(theirs.tests))[:: _step(place)]:
        parsed = parse(text)
        sizes = {
            name: size
            for names, shape in zip(parsed.operands, build_shapes(text), strict=True)
            for name, size in zip(names, shape, strict=True)
        }
        plan = plan_for(parsed.operands, parsed.output, tuple(sizes.items()))
        cases.append((text, plan.tree, random_arrays(plan.tree, place[1], seed=7)))
    check(workbench, cases, place)


@pytest.mark.parametrize("place", PLACES, ids="-".join)
def test_random_networks_agree(workbench: Page, place: tuple[str, str]) -> None:
    cases = []
    for seed in range(0, NETWORKS, _step(place)):
        drawn = random_tree(seed)
        plan = plan_for(drawn.inputs, drawn.output, drawn.dimensions)
        cases.append((equation(drawn), plan.tree, random_arrays(drawn, place[1], seed)))
    check(workbench, cases, place)


@pytest.mark.parametrize(
    ("backend", "dtype", "bound"),
    [("wasm", "complex128", 1e-12), ("wasm", "complex64", 1e-5), ("webgpu", "complex64", 1e-5)],
)
def test_circuits_agree_with_a_state_vector(
    workbench: Page, backend: str, dtype: str, bound: float
) -> None:
    paths = sorted(CIRCUITS.glob("*.qasm"))
    if not paths:
        pytest.skip("needs the QASMBench circuits in ../shared/data/circuits")
    for path in paths:
        text = path.read_text()
        state = np.asarray(simulate(text)).reshape(-1)
        n_qubits = int(np.log2(state.size))
        numbers = {int(np.argmax(np.abs(state)))}
        if dtype == "complex128":
            numbers.add(state.size // 3)
        for number in sorted(numbers):
            bits = f"{number:0{n_qubits}b}"
            found = workbench.evaluate(RUN_CIRCUIT, [text, bits, backend, dtype])
            value = complex(*found["value"]) * 10.0 ** found["log10Scale"]
            assert found["backend"] == backend, path.name
            assert abs(value - state[number]) <= bound, (path.name, bits, value, state[number])
