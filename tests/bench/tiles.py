"""The chosen kernel beside the best of every tile, in Firefox and in WebKitGTK, one thread.

The built site tunes each shape there as it does for everybody. Then an empty page of the same
engine times every tile of every family, with modules from Python here: a kernel's code depends on
the spec, the candidate and the engine's features only. Candidates that are compared take turns;
every one must agree with the first. Exit status 1 on a wrong result.
"""

from __future__ import annotations

import argparse
import re
import sys
from base64 import b64encode
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import tuning_shapes as shapes  # noqa: E402  # the line above finds the tests' own modules
from load import Load  # noqa: E402
from report import MACHINE, keep, table, write_section  # noqa: E402

from engines.abilities import ABLE  # noqa: E402
from engines.conftest import ENGINES  # noqa: E402
from sitebuild import SiteError, browsers, environment, serve  # noqa: E402
from tensorloom.execute.known_kernels import flop  # noqa: E402
from tensorloom.kernels.wasm.jit import every_candidate, jit_schedule  # noqa: E402
from tensorloom.kernels.wasm.jit_candidate import Candidate, WasmDevice  # noqa: E402
from tensorloom.kernels.wasm.layout import RECORD_FIELDS, WORKSPACE_BYTES  # noqa: E402
from tensorloom.kernels.wasm.modules import WasmFeatures, module_for  # noqa: E402
from tensorloom.kernels.wasm.schedule import schedule  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engines.engine import Engine
    from tensorloom.kernels.program import KernelSpec
    from tensorloom.kernels.wasm.schedule import Schedule

T = TypeVar("T")

ROOT = HERE.parents[1]
HEADING = "Other engines"

CASES: tuple[shapes.Case, ...] = (
    ("large square", "ik,kj->ij", dict.fromkeys("ikj", 512), "float32"),
    *(case for case in shapes.SHAPES if case[0] not in ("batched", "projection")),
)
LARGE = CASES[0][0]
QUICK = ("odd",)

SHARE = 0.9
"""Least part of the best tile's speed that the chosen kernel should have."""

GENERIC = "ready-made"
"""A kernel that was not generated for the shape."""

AT_ONCE = 16
"""Candidates per call of the page: a driver waits for an answer only so long."""

ROUNDS, WALK_MS = 3, 25
FINAL_ROUNDS, FINAL_MS = 9, 60
"""Windows are long beside the clock's ticks of 1 ms."""

LEADERS = 4

OPEN = """
([scalars, total, single]) => {
  const memory = new WebAssembly.Memory({ initial: 1024 });
  let end = 64;
  const placed = (length) => {
    const at = end;
    end = (at + length + 63) & ~63;
    return at;
  };
  const bytes = single ? 4 : 8;
  const Floats = single ? Float32Array : Float64Array;
  const floats = (at, count) => new Floats(memory.buffer, at, count);
  let seed = 1;
  const inputs = scalars.map((count) => {
    const at = placed(count * bytes);
    const array = floats(at, count);
    for (let n = 0; n < count; n += 1) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      array[n] = seed / 2 ** 31 - 1;
    }
    return at;
  });
  globalThis.walk = {
    memory, inputs, placed, kernels: {}, first: null,
    out: placed(total * bytes), result: () => floats(walk.out, total),
  };
}
"""

ADD = """
([given, workspaceBytes, fields]) => {
  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  walk.workspace ??= walk.placed(workspaceBytes);
  return given.map(({ text, module, extents, descriptor, order }) => {
    const tables = bytesOf(descriptor);
    const [at, record] = [walk.placed(tables.length), walk.placed(64)];
    new Uint8Array(walk.memory.buffer, at, tables.length).set(tables);
    const [left, right] = order.map((number) => walk.inputs[number]);
    const values = { left, right, out: walk.out, descriptor: at, workspace: walk.workspace };
    ["batch", "row", "column"].forEach((n, i) => { values[`${n}_stop`] = extents[i]; });
    const words = new Uint32Array(walk.memory.buffer, record, 16);
    for (const [name, value] of Object.entries(values)) words[fields[name] / 4] = value;
    const { exports } = new WebAssembly.Instance(
      new WebAssembly.Module(bytesOf(module)), { env: { memory: walk.memory } });
    walk.kernels[text] = () => exports.kernel(record);
    walk.result().fill(NaN);
    walk.kernels[text]();
    walk.first ??= walk.result().slice();
    let [wrong, largest] = [0, 0];
    walk.result().forEach((value, n) => {
      // A number that is none must not pass a comparison.
      const difference = Math.abs(value - walk.first[n]);
      wrong = difference <= wrong ? wrong : difference;
      largest = Math.max(largest, Math.abs(walk.first[n]));
    });
    return wrong / largest;
  });
}
"""

TIME = """
([texts, ms]) => texts.map((text) => {
  const kernel = walk.kernels[text];
  const start = performance.now();
  let [calls, now] = [0, start];
  while (now - start < ms) {
    for (let n = 0; n < 4; n += 1) kernel();
    calls += 4;
    now = performance.now();
  }
  return (now - start) / calls;
})
"""

BENCH = """
async ([text, shapes, dtype]) => {
  await tensorloom.ready;
  return tensorloom.bench(text, shapes, dtype, { backend: "wasm", minMs: 200 });
}
"""

NAMED = re.compile(r"-((?:unpacked|right|packed|stream|dot)-\d+x\d+(?:-k\d+)?(?:-turned)?)$")


def main() -> int:
    """The exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="one shape, nothing written")
    asked = options.parse_args()
    cases = [case for case in CASES if not asked.quick or case[0] in QUICK]
    load, found = Load(), browsers.find(ROOT)
    rows, lines, versions = [], [], []
    for name, make in ENGINES.items():
        program = getattr(found, name)
        if program is None:
            raise SiteError(f"{name}: {found.missing[name]}")
        env = environment.ensure(ROOT, quiet=True)
        with make(env, program) as engine, serve.background(ROOT / "dist") as address:
            engine.open(address)
            told = [engine.evaluate(f"({BENCH})", _asked(case)) for case in cases]
            versions.append(engine.version)
        with (
            TemporaryDirectory() as folder,
            make(env, program) as engine,
            serve.background(Path(folder)) as address,
        ):
            (Path(folder) / "index.html").write_text("<!doctype html><title>Kernels</title>")
            engine.open(address)
            for case, ours in zip(cases, told, strict=True):
                rows.append({"engine": name, "name": case[0], **_row(engine, case, ours)})
                lines.append(_line(rows[-1]))
                print(*lines[-1], sep=" | ", flush=True)
    if not asked.quick:
        _write(rows, lines, versions, load.foreign())
    return int(any(row["wrong"] for row in rows))


def _asked(case: shapes.Case) -> list[Any]:
    """What the public benchmark call takes."""
    _, text, sizes, dtype = case
    operands = text.split("->")[0].split(",")
    return [text, [[sizes[index] for index in names] for names in operands], dtype]


def _row(engine: Engine, case: shapes.Case, ours: dict[str, Any]) -> dict[str, Any]:
    """The chosen kernel and the best of all, in turns."""
    spec = shapes.spec_of(case)
    named = NAMED.search(ours["kernel"])
    own = named[1].replace("-", " ") if named else GENERIC
    walked, wrong = _walked(engine, case, own)
    leaders = sorted(walked, key=lambda text: walked[text])[:LEADERS]
    compared = list(dict.fromkeys([own, *leaders]))
    times = _timed(engine, compared, FINAL_ROUNDS, FINAL_MS)
    best = min(times, key=lambda text: times[text])
    tolerance = _TOLERANCE[case[3]]
    return {
        "space": len(walked),
        "own": own,
        "best": best,
        "share": times[best] / times[own],
        "gflops": flop(spec) / times[own] / 1e6,
        "most": flop(spec) / times[best] / 1e6,
        "site": ours["gflops"],
        "error": ours["maxErr"],
        "wrong": wrong + (ours["maxErr"] is None or ours["maxErr"] > tolerance),
    }


_TOLERANCE = {"float32": 1e-4, "complex64": 1e-4, "float64": 1e-12, "complex128": 1e-12}
"""Of a result against another, beside its largest number."""


def _walked(engine: Engine, case: shapes.Case, own: str) -> tuple[dict[str, float], int]:
    """The best window of every candidate [ms], and how many were wrong."""
    dtype = case[3]
    (dispatch,) = shapes.program_of(case).dispatches
    is_complex, is_single = dtype.startswith("complex"), dtype in ("float32", "complex64")
    program = shapes.program_of(case)
    scalars = [(1 + is_complex) * buffer.elements for buffer in program.buffers]
    operands = [dispatch.left, dispatch.right]
    assert None not in operands
    sizes = [scalars[number] for number in operands if number is not None]
    engine.evaluate(f"({OPEN})", [sizes, scalars[dispatch.out], is_single])
    able = engine.evaluate(ABLE)
    features = WasmFeatures(simd=able["simd"], relaxed_simd=able["relaxedSimd"])
    ways = _ways(shapes.spec_of(case), own, relaxed=features.relaxed_simd)
    wrong = 0
    for some in _some(ways.items()):
        given = [_given(text, way, features) for text, way in some]
        errors = engine.evaluate(f"({ADD})", [given, WORKSPACE_BYTES, RECORD_FIELDS])
        wrong += sum(error is None or not error <= _TOLERANCE[dtype] for error in errors)
    return _timed(engine, ways, ROUNDS, WALK_MS), wrong


def _ways(spec: KernelSpec, own: str, *, relaxed: bool) -> dict[str, Schedule]:
    """Every tile of every family, and the chosen way."""
    device = WasmDevice.typical(relaxed_simd=relaxed)
    wide = replace(device, tiles=shapes.TILES, complex_tiles=shapes.TILES)
    made = {way.text: jit_schedule(spec, way, wide) for way in every_candidate(spec, wide)}
    if own == GENERIC:
        made[own] = schedule(spec, relaxed=relaxed)
    elif own not in made:
        made[own] = jit_schedule(spec, Candidate.parse(own), wide)
    return made


def _given(text: str, way: Schedule, features: WasmFeatures) -> dict[str, Any]:
    """What the page needs to run a way."""
    return {
        "text": text,
        "module": b64encode(module_for(way.kernel, features)).decode(),
        "extents": way.extents,
        "descriptor": b64encode(way.descriptor).decode(),
        "order": [1, 0] if way.swapped else [0, 1],
    }


def _timed(engine: Engine, texts: Iterable[str], rounds: int, ms: float) -> dict[str, float]:
    """The best window of each, in turns [ms]."""
    times: dict[str, float] = {}
    for _ in range(rounds):
        for some in _some(texts):
            for text, found in zip(some, engine.evaluate(f"({TIME})", [some, ms]), strict=True):
                times[text] = min(found, times.get(text, found))
    return times


def _some(things: Iterable[T]) -> Iterator[list[T]]:
    """Parts for one call of the page each."""
    left = iter(things)
    while part := list(islice(left, AT_ONCE)):
        yield part


def _line(row: dict[str, Any]) -> list[str]:
    return [
        row["engine"],
        row["name"],
        str(row["space"]),
        f"`{row['own']}`",
        f"{row['gflops']:.1f}",
        f"{row['site']:.1f}",
        f"`{row['best']}`",
        f"{row['most']:.1f}",
        f"{row['share']:.2f}",
        "none" if not row["wrong"] else str(row["wrong"]),
    ]


def _write(
    rows: list[dict[str, Any]], lines: list[list[str]], versions: list[str], foreign: float | None
) -> None:
    keep(
        "tiles",
        {
            name: min(row["share"] for row in rows if row["engine"] == name)
            for name in dict.fromkeys(row["engine"] for row in rows)
        },
    )
    busy = "" if foreign is None else f" Other work took {foreign:.0%} of the processors meanwhile."
    heads = [
        "engine", "shape", "space", "chosen", "GFLOP/s", "in the site", "best of all", "GFLOP/s",
        "chosen / best", "wrong",
    ]  # fmt: skip
    words = (
        "The kernel that the built site chooses, beside every tile of 1 to 8 rows and 1 to 4 "
        f"vectors in every family, one thread, made by `python3 build.py bench tiles` in "
        f"{' and '.join(versions)} on {MACHINE}. Chosen and best take turns in an empty page; the "
        f"column between is what `tensorloom.bench` said in the site.{busy}"
    )
    write_section(HEADING, f"{words}\n\n{table(heads, lines)}")


if __name__ == "__main__":
    sys.exit(main())
