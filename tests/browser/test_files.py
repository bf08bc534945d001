"""Opening: by button, drop and paste, every format; networks of hundreds of tensors."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tensorloom.model import codec
from workbench import Workbench, native

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.browser

NETWORKS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "networks"

LONGEST_TASK_MS = 1000
"""Most that the page's thread may be busy in one go while a network of a thousand tensors opens.

A quiet machine needs less than half of it; the tests run on two cores beside the Python worker.
"""

BELL = 'OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; h q[0]; cx q[0], q[1];'
UAI = "MARKOV 2 2 3 1 2 0 1 6 1 2 3 4 5 6"

DROP = """
([name, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name));
  for (const kind of ["dragover", "drop"]) {
    const options = { dataTransfer: carried, bubbles: true, cancelable: true, composed: true };
    document.body.dispatchEvent(new DragEvent(kind, options));
  }
}
"""

LONGEST = """
() => {
  const seen = { longest: 0, total: 0 };
  globalThis.longTasks = seen;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) {
      seen.longest = Math.max(seen.longest, duration);
      seen.total += duration;
    }
  }).observe({ type: "longtask" });
}
"""


def choose(bench: Workbench, path: Path) -> None:
    """Open a file by the button."""
    bench.page.locator(".tl-header").get_by_role("button", name="Open", exact=True).click()
    bench.page.locator(".tl-open input[type=file]").set_input_files(path)
    bench.settle()


def drop(bench: Workbench, name: str, data: bytes) -> None:
    """Drop a file on the page."""
    bench.page.evaluate(DROP, [name, base64.b64encode(data).decode()])
    bench.page.wait_for_timeout(200)
    bench.settle()


def paste(bench: Workbench, text: str) -> None:
    """Paste text on the paper."""
    bench.page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
    bench.page.locator(".tl-canvas").focus()
    bench.press("Control+v")
    bench.settle()


def saved(array: Any) -> bytes:
    """The bytes of a .npy file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "text", "equation", "sizes"),
    [
        ("two.einsum", "ij,jk->ik i=2 j=3 k=5", "ij,jk->ik", {"i": 2, "j": 3, "k": 5}),
        (
            "net.json",
            '{"inputs": [["a", "b"], ["b"]], "output": ["a"], "size_dict": {"a": 3, "b": 7}}',
            "ab,b->a",
            {"a": 3, "b": 7},
        ),
        ("pair.uai", UAI, None, {"x_0": 2, "x_1": 3}),
    ],
)
def test_a_file_is_opened_by_the_button(
    bench: Workbench,
    tmp_path: Path,
    name: str,
    text: str,
    equation: str | None,
    sizes: dict[str, int],
) -> None:
    path = tmp_path / name
    path.write_text(text)
    choose(bench, path)
    assert bench.toasts() == []
    assert bench.document()["dimensions"] == sizes
    if equation:
        assert bench.equation() == equation
    else:
        bench.shows_value(1 + 2 + 3 + 4 + 5 + 6)


def test_a_dropped_file_is_opened(bench: Workbench) -> None:
    drop(bench, "three.einsum", b"ab,bc,ca-> a=2 b=2 c=2")
    assert bench.equation() == "ab,bc,ca->"
    bench.shows_value(native(bench.document()).item())


def test_pasted_text_is_opened(bench: Workbench) -> None:
    paste(bench, "xy,yz->xz")
    bench.until("now.document.tensors.length === 2")
    assert bench.equation() == "xy,yz->xz"


def test_opening_is_one_step_that_can_be_undone(bench: Workbench) -> None:
    bench.open(format="einsum", text="ab,bc->ac")
    before = bench.document()
    drop(bench, "one.einsum", b"aa->")
    assert bench.equation() == "aa->"
    bench.press("Control+z")
    assert bench.document() == before


def test_a_dropped_circuit_is_asked_what_it_means(bench: Workbench) -> None:
    drop(bench, "bell.qasm", BELL.encode())
    dialog = bench.page.get_by_role("dialog", name="Open a circuit")
    assert "“bell.qasm” has 2 qubits." in dialog.inner_text()
    dialog.get_by_label("Bit string of 2 characters").fill("11")
    dialog.get_by_role("button", name="Open", exact=True).click()
    bench.shows_value(complex(2**-0.5))


def test_a_state_is_opened_with_qubit_0_first(bench: Workbench) -> None:
    bench.open(format="qasm", text='include "qelib1.inc"; qreg q[2]; x q[0];', output="state")
    found = bench.run()
    assert found["shape"] == [2, 2]
    assert found["value"] == [0, 0, 0, 0, 1, 0, 0, 0]


def test_an_array_goes_onto_the_selected_tensor(bench: Workbench) -> None:
    bench.open(format="einsum", text="ij,ij->")
    given = np.arange(6.0).reshape(2, 3)
    bench.page.evaluate("() => tensorloomStore.select({ tensors: ['t1'] })")
    drop(bench, "numbers.npy", saved(given))
    assert bench.toasts() == []
    assert bench.document()["dimensions"] == {"i": 2, "j": 3}
    bench.page.evaluate("() => tensorloomStore.select({ tensors: ['t2'] })")
    drop(bench, "numbers.npy", saved(given))
    bench.shows_value(float((given**2).sum()))


def test_an_archive_of_arrays_is_opened(bench: Workbench) -> None:
    bench.open(format="einsum", text="i->i")
    file = io.BytesIO()
    np.savez_compressed(file, v=np.array([1, 2, 3]))
    bench.page.evaluate("() => tensorloomStore.select({ tensors: ['t1'] })")
    drop(bench, "numbers.npz", file.getvalue())
    assert bench.run()["value"] == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("x.json", b'{"a": 1}', "The field 'inputs' of the network is missing."),
        ("x.einsum", b"ab->abc", "Output index 'c' is on no operand."),
        ("x.uai", b"MARKOV 1 2 1 1 0 3 1 2 3", "Table 0 has 3 values"),
        ("x.bin", b"\x89PNG\r\n\x1a\n", "This is none of the formats that Tensorloom reads"),
        ("x.npy", b"\x93NUMPY", "“x.npy” holds an array; it needs a tensor to sit on."),
    ],
)
def test_what_cannot_be_opened_says_why_and_leaves_the_drawing(
    bench: Workbench, name: str, data: bytes, sentence: str
) -> None:
    bench.open(format="einsum", text="ab,bc->ac")
    before = bench.document()
    drop(bench, name, data)
    assert len(bench.toasts()) == 1
    assert sentence in bench.toasts()[0]
    assert bench.document() == before


def test_a_saved_document_opens_again(bench: Workbench, tmp_path: Path) -> None:
    bench.open(format="einsum", text="ab,bc->ac b=5")
    before = bench.document()
    bench.page.locator(".tl-header").get_by_role("button", name="Export").click()
    with bench.page.expect_download() as waiting:
        bench.page.get_by_role("button", name="Save", exact=True).click()
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    bench.press("Escape")
    assert codec.from_text(path.read_text()) == codec.from_json(before)
    bench.open(format="einsum", text="aa->")
    choose(bench, path)
    assert bench.document() == before


def benchmark_networks() -> list[tuple[str, str]]:
    """The kept networks, or generated ones of the same kinds where they are not at hand."""
    kept = sorted(NETWORKS.glob("*.json"))
    if kept:
        return [(path.stem, path.read_text()) for path in kept]
    rng = np.random.default_rng(7)
    made = []
    for size in (50, 200, 924):
        edges = [(k, int(rng.integers(k))) for k in range(1, size)]
        edges += [tuple(map(int, rng.choice(size, 2, replace=False))) for _ in range(size // 2)]
        inputs: list[list[str]] = [[] for _ in range(size)]
        for number, (one, other) in enumerate(edges):
            inputs[one].append(f"e{number}")
            inputs[other].append(f"e{number}")
        sizes = {f"e{number}": 2 for number in range(len(edges))}
        text = json.dumps({"inputs": inputs, "output": [], "size_dict": sizes})
        made.append((f"random_{size}", text))
    return made


@pytest.fixture(scope="module")
def long_tasks(shared_page: tuple[Workbench, Any]) -> Iterator[None]:
    """Counts how long the page's thread is busy in one go."""
    shared_page[0].page.evaluate(LONGEST)
    return


@pytest.mark.alone
@pytest.mark.parametrize(
    ("name", "text"), benchmark_networks(), ids=[name for name, _ in benchmark_networks()]
)
def test_a_large_network_opens_without_freezing_the_page(
    bench: Workbench, long_tasks: None, name: str, text: str
) -> None:
    tensors = len(json.loads(text)["inputs"])
    bench.page.evaluate("() => { longTasks.longest = 0; longTasks.total = 0; }")
    bench.open(format="network-json", text=text)
    bench.until(f"now.plan !== null && now.plan.inputs.length === {tensors}", seconds=60)
    bench.page.wait_for_timeout(300)
    marks = bench.document()["marks"]
    assert len({(mark["x"], mark["y"]) for mark in marks.values()}) == tensors
    assert bench.toasts() == []
    longest, total = bench.page.evaluate("() => [longTasks.longest, longTasks.total]")
    print(f"{name}: {tensors} tensors, longest task {longest:.0f} ms of {total:.0f} ms")
    assert longest < LONGEST_TASK_MS
    bench.page.evaluate("() => tensorloomStore.request({ kind: 'search', action: 'stop' })")
