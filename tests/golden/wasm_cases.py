"""WASM modules kept as listings under ``golden/wasm``, and the schedules of a few equations.

A listing gives each function's type, locals and how often each instruction occurs. It is read anew
from the bytes, with the instruction table alone, so it also checks what the assembler wrote.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING

from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.instructions import INSTRUCTIONS
from tensorloom.kernels.wasm.jit import Candidate
from tensorloom.kernels.wasm.modules import WasmFeatures, driver_for, module_for
from tensorloom.kernels.wasm.schedule import Kernel, schedules
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from tensorloom.kernels.program import KernelSpec
    from tensorloom.model.recipe import DType

FOLDER = "wasm"

KERNELS = (
    Kernel(form="gemm", dtype="float32"),
    Kernel(form="gemm", dtype="complex64"),
    Kernel(form="gemm", dtype="float64"),
    Kernel(form="points", dtype="complex128"),
    Kernel(form="line", dtype="float32"),
    Kernel(form="run", dtype="float64", mode="splat"),
    Kernel(form="run", dtype="complex64", mode="unit"),
    Kernel(form="sum", dtype="complex128", mode="unit"),
    Kernel(form="sum", dtype="float32", mode="splat"),
)

EQUATIONS: tuple[tuple[str, str, DType], ...] = (
    ("matrices", "ik,kj->ij", "float32"),
    ("gate", "aibjc,klij->akblc", "complex64"),
    ("permuted", "dbea,abcd->ec", "float64"),
    ("transpose", "ij->ji", "complex128"),
    ("turned", "ij,ji->ij", "float64"),
    ("dot", "ij,ij->", "float32"),
)

GENERATED: dict[str, tuple[str, DType, str]] = {
    "unpacked": ("ik,kj->ij", "float32", "unpacked 6x8"),
    "right": ("ik,jk->ij", "float64", "right 5x4"),
    "packed": ("dbea,abcd->ec", "float32", "packed 4x8 k32"),
    "stream": ("ik,kj->ij", "complex64", "stream 3x4 k8"),
    "dot": ("ik,jk->ij", "complex64", "dot 2x2"),
}
"""A small kernel of each family that is generated for its shape."""

SIZES = {name: size for size, name in enumerate("abcdeijkl", start=2)}


def texts() -> dict[str, str]:
    """File names and what they must hold."""
    fused, plain = WasmFeatures(), WasmFeatures(relaxed_simd=False)
    made = {f"{kernel.name}.json": listing(module_for(kernel, fused)) for kernel in KERNELS}
    made["gemm-float32-plain.json"] = listing(module_for(KERNELS[0], plain))
    made["driver.json"] = listing(driver_for(fused))
    for family, (equation, dtype, text) in GENERATED.items():
        kernel = Kernel(
            form="jit", dtype=dtype, spec=_spec(equation, dtype), candidate=Candidate.parse(text)
        )
        made[f"jit-{family}.json"] = listing(module_for(kernel, fused))
    schedule = {name: _schedules(equation, dtype) for name, equation, dtype in EQUATIONS}
    made["schedules.json"] = json.dumps(schedule, indent=1) + "\n"
    return made


def _spec(equation: str, dtype: DType) -> KernelSpec:
    inputs, output = equation.split("->")
    tree = ContractionTree(
        inputs=tuple(tuple(part) for part in inputs.split(",")),
        output=tuple(output),
        dimensions=tuple((n, SIZES[n]) for n in sorted(set(equation) - set(",->"))),
        path=((0, 1),) if "," in inputs else (),
    )
    (spec,) = lower(tree, dtype).kernels
    return spec


def _schedules(equation: str, dtype: DType) -> dict[str, str]:
    """The ways to run an equation: extents, expected cycles and descriptor, by kernel."""
    return {
        f"{way.kernel.name}{' exchanged' if way.swapped else ''}": f"{way.extents} "
        f"{way.cycles:.0f} cycles: {' '.join(map(str, memoryview(way.descriptor).cast('I')))}"
        for way in schedules(_spec(equation, dtype), relaxed=True)
    }


TYPES = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128"}

NAMES = {row.code: name for name, row in INSTRUCTIONS.items()}

# Opcodes that are methods of the assembler, with the sizes of what follows: "leb" or bytes.
CONTROL: dict[bytes, tuple[str, tuple[str | int, ...]]] = {
    b"\x00": ("unreachable", ()),
    b"\x02": ("block", (1,)),
    b"\x03": ("loop", (1,)),
    b"\x04": ("if", (1,)),
    b"\x05": ("else", ()),
    b"\x0b": ("end", ()),
    b"\x0c": ("br", ("leb",)),
    b"\x0d": ("br_if", ("leb",)),
    b"\x0f": ("return", ()),
    b"\x10": ("call", ("leb",)),
    b"\x11": ("call_indirect", ("leb", "leb")),
    b"\x1b": ("select", ()),
    b"\x20": ("local.get", ("leb",)),
    b"\x21": ("local.set", ("leb",)),
    b"\x41": ("i32.const", ("leb",)),
    b"\x43": ("f32.const", (4,)),
    b"\x44": ("f64.const", (8,)),
    b"\xfd\x0c": ("v128.const", (16,)),
    b"\xfd\x0d": ("i8x16.shuffle", (16,)),
}


class Reader:
    """Bytes with a position."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def leb(self) -> int:
        value = shift = 0
        while True:
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def instruction(self) -> str:
        """The name of the next instruction; its immediates are passed over."""
        code = self.take(1)
        if code == b"\xfd":
            start = self.at
            self.leb()
            code += self.data[start : self.at]
        if code in CONTROL:
            name, immediates = CONTROL[code]
        else:
            name = NAMES[code]
            immediates = ()
            if INSTRUCTIONS[name].alignment is not None:
                immediates = ("leb", "leb", 1) if name.endswith("_lane") else ("leb", "leb")
            elif name.endswith("_lane"):
                immediates = (1,)
        for size in immediates:
            if isinstance(size, int):
                self.take(size)
            else:
                self.leb()
        return name


def listing(module: bytes) -> str:
    """JSON: size and hash of the module, and a line per function."""
    assert module[:8] == b"\x00asm\x01\x00\x00\x00"
    sections: dict[int, Reader] = {}
    reader = Reader(module, 8)
    while reader.at < len(module):
        (number,) = reader.take(1)
        sections[number] = Reader(reader.take(reader.leb()))
    types = [_type(sections[1]) for _ in range(sections[1].leb())]
    signatures = [types[sections[3].leb()] for _ in range(sections[3].leb())]
    count = sections[10].leb()
    assert count == len(signatures)
    functions = [_function(sections[10], signature) for signature in signatures]
    found = {
        "bytes": len(module),
        "sha256": hashlib.sha256(module).hexdigest(),
        "functions": functions,
    }
    return json.dumps(found, indent=1) + "\n"


def _type(reader: Reader) -> str:
    assert reader.take(1) == b"\x60"
    parameters = [TYPES[reader.take(1)[0]] for _ in range(reader.leb())]
    results = [TYPES[reader.take(1)[0]] for _ in range(reader.leb())]
    return f"({', '.join(parameters)}) -> ({', '.join(results)})"


def _function(reader: Reader, signature: str) -> dict[str, object]:
    body = Reader(reader.take(reader.leb()))
    local = Counter[str]()
    for _ in range(body.leb()):
        number = body.leb()
        local[TYPES[body.take(1)[0]]] += number
    seen = Counter[str]()
    while body.at < len(body.data):
        seen[body.instruction()] += 1
    opened = seen["block"] + seen["loop"] + seen["if"]
    assert seen["end"] == opened + 1, "every block is closed, and the function"
    return {
        "type": signature,
        "locals": " ".join(f"{kind}:{number}" for kind, number in sorted(local.items())),
        "instructions": " ".join(f"{name}:{number}" for name, number in sorted(seen.items())),
    }
