"""Contractions on the built site: every backend in turn, interleaved, in headless Chromium.

Each case is opened through ``window.tensorloom`` and run in rounds, backend after backend, so that
other work on the machine falls on all of them alike; medians of the engine's own time (casting,
kernels, error bound; numbers stay in the page) and their ratios to numpy in the same page.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright
from report import MACHINE, table, write_section

from sitebuild import browsers, serve
from tensorloom.model.equation import parse

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[2]
HEADING = "Contractions in the page"
ARGUMENTS = ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]

Case = tuple[str, str, dict[str, int], str]

CASES: tuple[Case, ...] = (
    ("square", "ik,kj->ij", {"i": 256, "k": 256, "j": 256}, "float32"),
    ("square", "ik,kj->ij", {"i": 256, "k": 256, "j": 256}, "float64"),
    ("square", "ik,kj->ij", {"i": 256, "k": 256, "j": 256}, "complex64"),
    ("odd", "ik,kj->ij", {"i": 257, "k": 311, "j": 193}, "float32"),
    ("transposed", "ki,jk->ji", {"i": 256, "k": 256, "j": 256}, "float32"),
    ("batched", "bik,bkj->bij", {"b": 64, "i": 32, "k": 32, "j": 32}, "float32"),
    (
        "permuted",
        "efbad,cf->abcde",
        {"a": 8, "b": 8, "c": 32, "d": 8, "e": 8, "f": 32},
        "float32",
    ),
    ("MPS step", "cpb,cpd->bd", {"c": 64, "p": 2, "b": 64, "d": 64}, "float64"),
    ("MPO step", "xaby,bcad->xcdy", {"x": 48, "y": 48, "a": 6, "b": 6, "c": 6, "d": 6}, "float64"),
    (
        "PEPS bond",
        "abcdp,ceghp->abdegh",
        {"a": 6, "b": 6, "c": 6, "d": 6, "e": 6, "g": 6, "h": 6, "p": 2},
        "float64",
    ),
    ("dot", "i,i->", {"i": 1_000_000}, "float64"),
)

RUN = """
async ([text, sizes, dtype, backends, rounds]) => {
  await tensorloom.open({ format: "einsum", text, sizes, seed: 1, dtype });
  const times = Object.fromEntries(backends.map((backend) => [backend, []]));
  let mulAdds = 0;
  for (let round = 0; round <= rounds; round += 1) {
    for (const backend of backends) {
      const result = await tensorloom.run({ backend, dtype });
      // The first round compiles.
      if (round > 0) times[backend].push(result.ms);
      mulAdds = result.mulAdds;
    }
  }
  return { times, mulAdds };
}
"""


def main() -> int:
    """The exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="one round, two cases, no writing")
    quick: bool = options.parse_args().quick
    rounds = 1 if quick else 7
    with sync_playwright() as playwright, serve.background(ROOT / "dist") as address:
        started = playwright.chromium.launch(
            executable_path=browsers.find(ROOT).chromium, args=ARGUMENTS
        )
        page = started.new_page()
        page.goto(address)
        page.evaluate("tensorloom.ready")
        rows = [_row(page, case, rounds) for case in (CASES[:2] if quick else CASES)]
        started.close()
    heads = ["case", "einsum", "type", "multiply-adds", "WASM", "WebGPU", "numpy", "WASM / numpy"]
    text = table(heads, rows)
    print(text)
    if not quick:
        write_section(HEADING, f"{_words(rounds)}\n\n{text}")
    return 0


def _words(rounds: int) -> str:
    return (
        f"Medians of {rounds} interleaved rounds in one page, one thread, made by "
        f"`python3 build.py bench kernels` in headless Chromium on {MACHINE}, shared with other "
        "work; WebGPU is a software adapter there. GFLOP/s count 2 FLOP per multiply-add, 8 if "
        "complex; times include casting, the error bound and Python's part. Compare ratios."
    )


def _row(page: Page, case: Case, rounds: int) -> list[str]:
    name, text, sizes, dtype = case
    assert set(parse(text).operands[0]) <= set(sizes)
    gpu = dtype in {"float32", "complex64"}
    backends = ["wasm", *(["webgpu"] if gpu else []), "numpy"]
    found: dict[str, Any] = page.evaluate(RUN, [text, sizes, dtype, backends, rounds])
    median = {backend: statistics.median(found["times"][backend]) for backend in backends}
    flop = found["mulAdds"] * (8 if dtype.startswith("complex") else 2)

    def cell(backend: str) -> str:
        if backend not in median:
            return "no 64-bit"
        ms = median[backend]
        return f"{ms:.3g} ms, {flop / ms / 1e6:.3g} GFLOP/s"

    ratio = median["numpy"] / median["wasm"]
    size = f"{found['mulAdds']:,}".replace(",", " ")
    return [
        name, f"`{text}`", dtype, size, cell("wasm"), cell("webgpu"), cell("numpy"), f"{ratio:.1f}x"
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
