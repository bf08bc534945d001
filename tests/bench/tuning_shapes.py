"""What ``bench tuning`` tunes: shapes, an encoder layer, networks; natively and in the page."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from tensorloom.execute.wasm.trials import wasm_ways
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.assembler import Module, apply, f32, load
from tensorloom.kernels.wasm.layout import RECORD_FIELDS
from tensorloom.kernels.wasm.modules import module_for
from tensorloom.plan.find import plan_for
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from tensorloom.kernels.program import KernelSpec, Program
    from tensorloom.kernels.wasm.jit import WasmDevice
    from tensorloom.kernels.wasm.modules import WasmFeatures

__all__ = [
    "LAYER",
    "NETWORKS",
    "SEARCHED",
    "SHAPES",
    "TILES",
    "TIMES",
    "Case",
    "case_of",
    "emitted",
    "network",
    "program_of",
    "scalar_module",
    "spec_of",
]

Case = tuple[str, str, dict[str, int], str]

SHAPES: tuple[Case, ...] = (
    ("square", "ik,kj->ij", {"i": 256, "k": 256, "j": 256}, "float32"),
    ("odd", "ik,kj->ij", {"i": 257, "k": 311, "j": 193}, "float32"),
    ("projection", "td,dhk->thk", {"t": 384, "d": 768, "h": 12, "k": 64}, "float32"),
    ("MPS step", "cpb,cpd->bd", {"c": 96, "p": 2, "b": 96, "d": 96}, "float32"),
    ("permuted", "efbad,cf->abcde", dict.fromkeys("abde", 10) | {"c": 40, "f": 40}, "float32"),
    ("batched", "bik,bkj->bij", {"b": 64, "i": 40, "k": 40, "j": 40}, "float32"),
    ("double", "ik,kj->ij", {"i": 200, "k": 200, "j": 200}, "float64"),
    ("complex", "ki,jk->ij", {"i": 160, "k": 160, "j": 160}, "complex64"),
)
SEARCHED = ("square", "odd", "MPS step", "permuted", "batched")
"""Shapes whose whole space is walked; all in one type, so that one static tile serves them."""

TILES = tuple((rows, vectors) for vectors in (1, 2, 3, 4) for rows in range(1, 9))
"""Of the space that is walked as a whole: all that could fit, and some that spill."""

LAYER: tuple[Case, ...] = tuple(
    (name, text, {"t": 384, "u": 384, "d": 768, "h": 12, "k": 64, "f": 3072}, "float32")
    for name, text in (
        ("queries, keys, values", "td,dhk->thk"),
        ("scores", "thk,uhk->htu"),
        ("mixing", "htu,uhk->thk"),
        ("output", "thk,hkd->td"),
        ("up", "td,df->tf"),
        ("down", "tf,fd->td"),
    )
)
TIMES = (3, 1, 1, 1, 1, 1)
"""How often a layer has each step."""

NETWORKS: dict[str, tuple[str, dict[str, int]]] = {
    "feed-forward": (
        "td,df,fg,gh,hs->ts",
        {"t": 128, "d": 256, "f": 1024, "g": 256, "h": 512, "s": 64},
    ),
    "MPS, 8 sites": (
        "ai,abj,bck,cdl,del,efk,fgj,gi->",
        dict.fromkeys("abcdefg", 48) | dict.fromkeys("ijkl", 8),
    ),
    "PEPS, 2 x 3": (
        "abp,bcdq,der,afs,fcgt,geu->pqrstu",
        dict.fromkeys("abcdefg", 12) | dict.fromkeys("pqrstu", 4),
    ),
}
"""Whole networks in float32, tuned on the GPU."""


def network(name: str) -> Program:
    """The program of a network."""
    text, sizes = NETWORKS[name]
    inputs, output = text.split("->")
    operands = tuple(tuple(names) for names in inputs.split(","))
    used = sorted({index for names in operands for index in names})
    plan = plan_for(operands, tuple(output), tuple((index, sizes[index]) for index in used))
    return lower(plan, "float32")


def program_of(case: Case) -> Program:
    """A program of one product."""
    _, text, sizes, dtype = case
    inputs, output = text.split("->")
    operands = tuple(tuple(names) for names in inputs.split(","))
    used = sorted({name for names in operands for name in names})
    dimensions = tuple((name, sizes[name]) for name in used)
    tree = ContractionTree(
        inputs=operands, output=tuple(output), dimensions=dimensions, path=((0, 1),)
    )
    return lower(tree, dtype)  # type: ignore[arg-type]  # names of types


def spec_of(case: Case) -> KernelSpec:
    """Its kernel."""
    (spec,) = program_of(case).kernels
    return spec


def case_of(name: str) -> Case:
    """A case by its name."""
    return next(case for case in SHAPES if case[0] == name)


def emitted(case: Case, device: WasmDevice, features: WasmFeatures) -> list[float]:
    """What generating each candidate takes [ms]."""
    times = []
    for way in wasm_ways(spec_of(case), device).values():
        start = perf_counter()
        module_for(way.kernel, features)
        times.append(1e3 * (perf_counter() - start))
    return times


def scalar_module(rows: int, columns: int, depth: int) -> bytes:
    """Three loops over float32 in C order, nothing else."""
    module = Module()
    kernel = module.function("kernel", ("i32",))
    (record,) = kernel.parameters
    words = [load("i32.load", record, RECORD_FIELDS[name]) for name in ("left", "right", "out")]
    left, right, out = (kernel.variable(word) for word in words)
    a, b, i, j, k = (kernel.local("i32") for _ in range(5))
    total = kernel.local("f32")
    with kernel.counting(i, rows):
        kernel.set(j, 0)
        with kernel.counting(j, columns):
            kernel.set(a, left)
            kernel.set(b, right + j * 4)
            kernel.set(total, f32(0.0))
            kernel.set(k, 0)
            with kernel.counting(k, depth):
                product = apply("f32.mul", load("f32.load", a), load("f32.load", b))
                kernel.set(total, apply("f32.add", total, product))
                kernel.set(a, a + 4)
                kernel.set(b, b + 4 * columns)
            kernel.store("f32.store", out, total)
            kernel.set(out, out + 4)
        kernel.set(left, left + 4 * depth)
    return module.encode()
