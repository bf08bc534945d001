"""Generated kernels on Firefox and WebKitGTK: none is refused, all compute what numpy does.

The modules come from Python here and run on a page without Python: their code depends on the spec,
the candidate and the engine's features only.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engines.abilities import ABLE
from sitebuild import serve
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.jit import Candidate, WasmDevice, jit_schedule
from tensorloom.kernels.wasm.layout import RECORD_FIELDS, WORKSPACE_BYTES
from tensorloom.kernels.wasm.modules import WasmFeatures, module_for
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engines.engine import Engine
    from tensorloom.model.recipe import DType

pytestmark = pytest.mark.engines

DTYPES: tuple[DType, ...] = ("float32", "float64", "complex64", "complex128")

CASES = {
    "matrices": ("ik,kj->ij", {"i": 13, "k": 37, "j": 19}),
    "transposed": ("ik,jk->ij", {"i": 14, "k": 39, "j": 17}),
    "axes": ("gdab,efgc->abcdef", {"a": 3, "b": 2, "c": 3, "d": 4, "e": 2, "f": 3, "g": 5}),
    "rows": ("aib,jab->ij", {"a": 3, "b": 21, "i": 5, "j": 7}),
}
TEXTS = (
    "unpacked 6x8",
    "right 2x16",
    "packed 3x16 k16",
    "packed 5x8 k16 turned",
    "stream 4x8 k8",
    "dot 2x2",
    "dot 1x4 turned",
)
DOTS = ("transposed", "rows")
"""Cases with a summed axis that is contiguous in both operands, which dot products run along."""

RUN = """
([modules, workspace, fields]) => {
  const memory = new WebAssembly.Memory({ initial: 128 });
  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return modules.map(({ module, extents, arrays, size }) => {
    let end = 64;
    const placed = (bytes) => {
      const at = end;
      new Uint8Array(memory.buffer, at, bytes.length).set(bytes);
      end = (at + bytes.length + 63) & ~63;
      return at;
    };
    const [left, right, descriptor] = arrays.map((text) => placed(bytesOf(text)));
    const out = placed(new Uint8Array(size).fill(255));
    const record = placed(new Uint8Array(64));
    const values = { left, right, out, descriptor, workspace: end };
    ["batch", "row", "column"].forEach((n, i) => { values[`${n}_stop`] = extents[i]; });
    const words = new Uint32Array(memory.buffer, record, 16);
    for (const [name, value] of Object.entries(values)) words[fields[name] / 4] = value;
    const made = new WebAssembly.Instance(new WebAssembly.Module(bytesOf(module)),
      { env: { memory } });
    if (end + workspace > memory.buffer.byteLength) throw new Error("not enough memory");
    made.exports.kernel(record);
    return btoa(String.fromCharCode(...new Uint8Array(memory.buffer, out, size)));
  });
}
"""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an empty page."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "index.html").write_text("<!doctype html><title>Kernels</title>")
    with serve.background(folder) as address:
        yield address


@pytest.mark.parametrize("dtype", DTYPES)
def test_generated_kernels_compute_what_numpy_does(
    engine: Engine, empty: str, dtype: DType
) -> None:
    engine.open(empty)
    # What the engine lacks is not asked of it; what it has, with and without.
    fused = {False, bool(engine.evaluate(ABLE)["relaxedSimd"])}
    jobs, wanted = [], []
    for name in CASES:
        for text in (one for one in TEXTS if name in DOTS or not one.startswith("dot")):
            for relaxed in fused:
                job, value = _job(name, text, dtype, relaxed=relaxed)
                jobs.append(job)
                wanted.append((f"{name} {text} {relaxed}", value))
    found = engine.evaluate(f"(given) => ({RUN})(given)", [jobs, WORKSPACE_BYTES, RECORD_FIELDS])
    for (name, value), answer in zip(wanted, found, strict=True):
        assert np.array_equal(np.frombuffer(b64decode(answer), dtype), value), name


def _job(name: str, text: str, dtype: DType, *, relaxed: bool) -> tuple[dict[str, Any], Any]:
    """What the page needs to run a kernel, and the result it should have."""
    equation, sizes = CASES[name]
    inputs, output = equation.split("->")
    tree = ContractionTree(
        inputs=tuple(tuple(names) for names in inputs.split(",")),
        output=tuple(output),
        dimensions=tuple(sorted(sizes.items())),
        path=((0, 1),),
    )
    program = lower(tree, dtype)
    (spec,), (dispatch,) = program.kernels, program.dispatches
    way = jit_schedule(spec, Candidate.parse(text), WasmDevice.typical(relaxed_simd=relaxed))
    rng = np.random.default_rng(7)
    # Whole numbers: sums of their products are exact in every type.
    given = [
        (rng.integers(-8, 9, shape) + 1j * rng.integers(-8, 9, shape)).astype("complex128")
        for shape in ([sizes[letter] for letter in letters] for letters in inputs.split(","))
    ]
    arrays = [(a if dtype.startswith("complex") else a.real).astype(dtype) for a in given]
    value = np.einsum(equation, *arrays).reshape(-1)
    assert dispatch.right is not None
    given_as = [program.buffers[number].source or 0 for number in (dispatch.left, dispatch.right)]
    left, right = (arrays[number] for number in given_as[:: -1 if way.swapped else 1])
    parts = (left, right, np.frombuffer(way.descriptor, "<u4").astype(np.uint32))
    module = module_for(way.kernel, WasmFeatures(relaxed_simd=relaxed))
    job = {
        "module": b64encode(module).decode(),
        "extents": way.extents,
        "arrays": [b64encode(part.tobytes()).decode() for part in parts],
        "size": value.nbytes,
    }
    return job, value
