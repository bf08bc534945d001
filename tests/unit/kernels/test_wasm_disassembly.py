"""The listing of a module: every instruction the assembler writes can be read back."""

from __future__ import annotations

import pytest

from tensorloom.kernels.wasm.assembler import Module, apply, f64, i32, lane, load, select, shuffle
from tensorloom.kernels.wasm.disassembly import instruction_names, lines, listing
from tensorloom.kernels.wasm.element import WasmFeatures
from tensorloom.kernels.wasm.instructions import INSTRUCTIONS
from tensorloom.kernels.wasm.modules import driver_for, module_for
from tensorloom.kernels.wasm.schedule import Kernel

FEATURES = WasmFeatures()


def test_shows_blocks_offsets_and_constants() -> None:
    module = Module()
    function = module.function("kernel", ("i32",))
    (place,) = function.parameters
    total = function.local("f64")
    with function.counting(place, 1000, 8):
        function.set(total, apply("f64.add", total, load("f64.load", place, 16)))
    with function.when(place.equals(-3)):
        function.store("f64.store", place, f64(2.5))
    with function.otherwise():
        function.give()
    assert listing(module.encode()).splitlines() == [
        '(func $0 (export "kernel") (param i32)',
        "  (local f64)",
        "  local.get 0",
        "  i32.const 1000",
        "  i32.lt_u",
        "  if",
        "    loop",
        "      local.get 1",
        "      local.get 0",
        "      f64.load offset=16",
        "      f64.add",
        "      local.set 1",
        "      local.get 0",
        "      i32.const 8",
        "      i32.add",
        "      local.set 0",
        "      local.get 0",
        "      i32.const 1000",
        "      i32.lt_u",
        "      br_if 0",
        "    end",
        "  end",
        "  local.get 0",
        "  i32.const -3",
        "  i32.eq",
        "  if",
        "    local.get 0",
        "    f64.const 2.5",
        "    f64.store",
        "  else",
        "    return",
        "  end",
        ")",
    ]


def test_reads_one_function_alone() -> None:
    module = Module()
    for number in (5, 6):
        module.function(None, ("i32",), "i32").give(i32(number))
    bytes_ = module.encode()
    second = [*lines(bytes_, 1)]
    assert second[:2] == ["(func $1 (param i32) (result i32)", "  i32.const 6"]
    assert [*lines(bytes_, 0), *second] == [*lines(bytes_)] == listing(bytes_).splitlines()
    assert [*lines(bytes_, 2)] == []


def test_reads_calls_lanes_selects_and_shuffles() -> None:
    module = Module()
    helper = module.function(None, ("v128",), "f32")
    (vector,) = helper.parameters
    helper.give(lane("f32x4.extract_lane", shuffle(vector, vector, range(16)), 3))
    caller = module.function("caller", ("i32",), "i32")
    (number,) = caller.parameters
    caller.give(select(number, i32(7), i32(9)))
    names = instruction_names(module.encode())
    assert names[:4] == ("local.get", "local.get", "i8x16.shuffle", "f32x4.extract_lane")
    assert "select" in names
    assert "f32x4.extract_lane 3" in listing(module.encode())


@pytest.mark.parametrize("form", ["gemm", "run", "sum", "line", "points"])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_reads_every_generic_kernel(form: str, dtype: str) -> None:
    kernel = Kernel(form=form, dtype=dtype)
    names = set(instruction_names(module_for(kernel, FEATURES)))
    plain = {"local.get", "local.set", "i32.const", "loop", "if", "end", "br_if"}
    assert plain <= names
    assert names & set(INSTRUCTIONS)


def test_reads_the_driver() -> None:
    text = listing(driver_for(FEATURES))
    assert '(export "run")' in text
    assert "call_indirect (type" in text


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\x7fELF\x02\x01\x01\x00", "This is not a WebAssembly module of version 1."),
        (
            b"\x00asm\x01\x00\x00\x00\x0a\x05\x01\x03\x00\x41",
            "The module ends in the middle of an instruction.",
        ),
    ],
)
def test_refuses_other_bytes(data: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        listing(data)
