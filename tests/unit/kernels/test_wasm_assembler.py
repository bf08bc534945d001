"""The assembler: an engine executes every opcode, and wrong code fails where it is written."""

from __future__ import annotations

import operator
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import wasmtime

from tensorloom.kernels.wasm.assembler import (
    Expression,
    Module,
    apply,
    atomic,
    f32,
    f64,
    i32,
    i64,
    lane,
    load,
    select,
    shuffle,
    signed_leb,
    v128,
)
from tensorloom.kernels.wasm.instructions import INSTRUCTIONS, unsigned_leb
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = {"i32": np.uint32, "f32": np.float32, "f64": np.float64}
WORDS = (7, 3)
SIGNED = {"f32": (-2.5, 0.75), "f64": (-2.5, 0.75)}
SINGLES = np.array([[1, -2, 3, -4], [10, 20, -30, 0.5], [0.25, 1, 2, 3]], np.float32)
DOUBLES = np.array([[1, -2], [10, 0.5], [0.25, 3]], np.float64)


@pytest.fixture(scope="module")
def host() -> WasmtimeHost:
    return WasmtimeHost(pages=16)


def _give(host: WasmtimeHost, value: Expression) -> Any:
    """What an expression without variables evaluates to."""
    module = Module()
    module.function("f", (), value.type).give(value)
    exports = host.instantiate(module.encode())
    return host.call(exports["f"])


def _vector(host: WasmtimeHost, value: Expression) -> bytes:
    """The bytes of a vector expression."""
    module = Module()
    function = module.function("f")
    place = host.empty(16)
    function.store("v128.store", i32(host.address(place)), value)
    host.call(host.instantiate(module.encode())["f"])
    return place.tobytes()


INTEGERS: dict[str, Callable[[int, int], int]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt_u": operator.lt,
    "gt_u": operator.gt,
    "le_u": operator.le,
    "ge_u": operator.ge,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div_u": operator.floordiv,
    "rem_u": operator.mod,
    "and": operator.and_,
    "or": operator.or_,
    "shl": operator.lshift,
    "shr_u": operator.rshift,
}
FLOATS: dict[str, Callable[[float, float], float]] = {
    "lt": operator.lt,
    "gt": operator.gt,
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
}
VECTORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "pmax": lambda a, b: np.where(a < b, b, a),
    "abs": np.abs,
    "relaxed_madd": lambda a, b, c: a * b + c,
    "relaxed_nmadd": lambda a, b, c: -a * b + c,
}


@pytest.mark.parametrize("name", sorted(INSTRUCTIONS))
def test_every_instruction_does_what_the_table_says(host: WasmtimeHost, name: str) -> None:
    kind, operation = name.split(".")
    if INSTRUCTIONS[name].alignment is not None:
        assert_memory_access(host, name)
    elif kind == "i32" and operation == "eqz":
        assert [_give(host, apply(name, i32(n))) for n in (0, 5)] == [1, 0]
    elif kind == "i32":
        for a, b in ((7, 3), (3, 7), (4, 4)):
            assert _give(host, apply(name, i32(a), i32(b))) == INTEGERS[operation](a, b), (a, b)
    elif operation == "promote_f32":
        assert _give(host, apply(name, f32(0.1))) == float(np.float32(0.1))
    elif kind in ("f32", "f64"):
        make = f32 if kind == "f32" else f64
        if operation == "abs":
            assert _give(host, apply(name, make(-2.5))) == 2.5
            return
        for a, b in ((-2.5, 0.75), (0.75, -2.5)):
            assert _give(host, apply(name, make(a), make(b))) == FLOATS[operation](a, b), (a, b)
    else:
        assert_vector_instruction(host, name)


def assert_memory_access(host: WasmtimeHost, name: str) -> None:
    """A load reads, a store writes what lies three bytes beyond an address."""
    kind, operation = name.split(".")
    place = host.empty(64)
    place[:] = np.arange(64)
    address, raw = i32(host.address(place)), place.tobytes()
    if name.endswith("_lane"):
        assert_lane_access(host, name)
    elif operation == "store":
        module = Module()
        function = module.function("f")
        value = {
            "i32": i32(77),
            "f32": f32(1.5),
            "f64": f64(1.5),
            "v128": v128(bytes(range(99, 115))),
        }
        function.store(name, address, value[kind], 3)
        host.call(host.instantiate(module.encode())["f"])
        wanted = {
            "i32": struct.pack("<i", 77),
            "f32": struct.pack("<f", 1.5),
            "f64": struct.pack("<d", 1.5),
            "v128": bytes(range(99, 115)),
        }[kind]
        assert place.tobytes() == raw[:3] + wanted + raw[3 + len(wanted) :]
    elif kind == "v128":
        width = {"load": 16, "load32_splat": 4, "load64_splat": 8}[operation]
        assert _vector(host, load(name, address, 3)) == raw[3 : 3 + width] * (16 // width)
    else:
        (wanted,) = np.frombuffer(raw, FORMATS[kind], 1, 3)
        got = _give(host, load(name, address, 3))
        assert got == wanted or struct.pack("<d", got) == struct.pack("<d", float(wanted))


def assert_lane_access(host: WasmtimeHost, name: str) -> None:
    """Lane 1 of a vector alone is read from, or written to, three bytes beyond an address."""
    place, size = host.empty(64), int(name.split(".")[1].strip("loadstre_n")) // 8
    place[:] = np.arange(64)
    address, raw, vector = host.address(place), place.tobytes(), bytes(range(99, 115))
    row = INSTRUCTIONS[name]
    assert row.alignment is not None
    tail = row.code + bytes([row.alignment, 3, 1])
    module = Module()
    function = module.function("f")
    if row.result is None:
        function.write(i32(address).code + v128(vector).code + tail)
        wanted = raw[:3] + vector[size : 2 * size] + raw[3 + size :]
    else:
        function.write(i32(address + 32).code + i32(address).code + v128(vector).code + tail)
        function.write(INSTRUCTIONS["v128.store"].code + b"\x00\x00")
        made = vector[:size] + raw[3 : 3 + size] + vector[2 * size :]
        wanted = raw[:32] + made + raw[48:]
    host.call(host.instantiate(module.encode())["f"])
    assert place.tobytes() == wanted


def assert_vector_instruction(host: WasmtimeHost, name: str) -> None:
    """An instruction on vectors agrees with numpy, lane by lane."""
    kind, operation = name.split(".")
    rows = SINGLES if kind == "f32x4" else DOUBLES
    vectors = [v128(row.tobytes()) for row in rows]
    if operation == "splat":
        make = f32 if kind == "f32x4" else f64
        got = np.frombuffer(_vector(host, apply(name, make(2.5))), rows.dtype)
        assert got.tolist() == [2.5] * rows.shape[1]
    elif operation == "extract_lane":
        lanes = [_give(host, lane(name, vectors[0], number)) for number in range(rows.shape[1])]
        assert lanes == rows[0].tolist()
    else:
        count = len(INSTRUCTIONS[name].operands)
        got = np.frombuffer(_vector(host, apply(name, *vectors[:count])), rows.dtype)
        assert got.tolist() == VECTORS[operation](*rows[:count]).tolist()


def test_atomics_read_change_and_write_one_word(host: WasmtimeHost) -> None:
    place = host.empty(64).view(np.uint32)
    place[:] = np.arange(16)
    address = i32(host.address(place))
    assert _give(host, atomic("i32.atomic.load", address, offset=12)) == 3
    assert _give(host, atomic("i32.atomic.rmw.add", address, 40, offset=12)) == 3
    assert _give(host, atomic("i32.atomic.rmw.cmpxchg", address, 7, 1, offset=12)) == 43
    assert place[3] == 43
    assert _give(host, atomic("i32.atomic.rmw.cmpxchg", address, 43, 1, offset=12)) == 43
    module = Module()
    function = module.function("f")
    function.atomic_store(address, 99, offset=16)
    function.drop(atomic("i32.atomic.rmw.add", address, 1, offset=16))
    host.call(host.instantiate(module.encode())["f"])
    assert place[:6].tolist() == [0, 1, 2, 1, 100, 5]


def test_nobody_waits_on_memory_that_is_not_shared(host: WasmtimeHost) -> None:
    address = i32(host.address(host.empty(64)))
    assert _give(host, atomic("memory.atomic.notify", address, 1)) == 0
    with pytest.raises(wasmtime.Trap, match="shared"):
        _give(host, atomic("memory.atomic.wait32", address, i32(0), i64(0)))


def test_an_atomic_store_gives_nothing() -> None:
    with pytest.raises(TypeError, match=r"^i32\.atomic\.store gives nothing"):
        atomic("i32.atomic.store", i32(0), 1)


def test_relaxed_instructions_are_marked() -> None:
    relaxed = {name for name, row in INSTRUCTIONS.items() if row.relaxed}
    assert relaxed == {
        f"{kind}.relaxed_{name}" for kind in ("f32x4", "f64x2") for name in ("madd", "nmadd")
    }


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, "00"), (127, "7f"), (128, "8001"), (624485, "e58e26")]
)
def test_unsigned_leb(value: int, encoded: str) -> None:
    assert unsigned_leb(value).hex() == encoded


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, "00"), (63, "3f"), (64, "c000"), (-1, "7f"), (-123456, "c0bb78")]
)
def test_signed_leb(value: int, encoded: str) -> None:
    assert signed_leb(value).hex() == encoded


def test_leb_of_a_negative_number() -> None:
    with pytest.raises(ValueError, match=r"^Unsigned LEB128 of the negative number -3\.$"):
        unsigned_leb(-3)


def test_constants_beyond_two_to_the_31_are_addresses(host: WasmtimeHost) -> None:
    assert _give(host, i32(3_000_000_000)) % 2**32 == 3_000_000_000


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda: apply("f32.add", f32(1), f64(2)), "f32.add takes (f32, f32), not (f32, f64)."),
        (lambda: apply("i32.eqz", i32(1), i32(2)), "i32.eqz takes (i32), not (i32, i32)."),
        (lambda: i32(1) + f32(2), "i32.add takes (i32, i32), not (i32, f32)."),
        (lambda: load("f32.load", f32(0)), "f32.load takes (i32), not (f32)."),
        (lambda: load("f32.add", i32(0)), "f32.add is not a load."),
        (
            lambda: apply("v128.load", i32(0)),
            "v128.load takes an immediate; use load, lane or Function.store.",
        ),
        (lambda: lane("f32.add", f32(0), 1), "f32.add does not extract a lane."),
        (lambda: v128(bytes(15)), "A vector has 16 bytes, not 15."),
        (
            lambda: shuffle(v128(bytes(16)), v128(bytes(16)), [32] * 16),
            f"A shuffle picks 16 of 32 bytes, not {[32] * 16}.",
        ),
        (
            lambda: select(i32(1), v128(bytes(16)), v128(bytes(16))),
            "An untyped select takes numbers, not v128.",
        ),
        (
            lambda: select(i32(1), f32(1), f64(1)),
            "select takes (f32, f32, i32), not (f32, f64, i32).",
        ),
    ],
)
def test_wrong_operands_fail_where_they_are_written(
    write: Callable[[], object], sentence: str
) -> None:
    with pytest.raises(TypeError) as caught:
        write()
    assert str(caught.value) == sentence


def _function() -> Any:
    return Module().function("f", ("i32",), "i32")


def _unclosed() -> None:
    function = _function()
    with function.block():
        function.encode()


def _lonely_otherwise() -> None:
    with _function().otherwise():
        pass


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda: _function().set(_function().local("f32"), 3), "local.set takes (f32), not (i32)."),
        (lambda: _function().give(), "return takes (i32), not ()."),
        (
            lambda: _function().call(_function(), i32(1)),
            "The result of a call needs a place; use value_of.",
        ),
        (
            lambda: _function().value_of(Module().function(None)),
            "This function returns nothing; use call.",
        ),
        (lambda: _function().value_of(_function(), f64(1)), "call takes (i32), not (f64)."),
        (lambda: _function().store("f32.load", i32(0), f32(1)), "f32.load is not a store."),
        (
            lambda: _function().store("f32.store", i32(0), f64(1)),
            "f32.store takes (i32, f32), not (i32, f64).",
        ),
        (_unclosed, "A block is still open."),
        (_lonely_otherwise, "'otherwise' stands directly after 'when'."),
    ],
)
def test_wrong_statements_fail_where_they_are_written(
    write: Callable[[], object], sentence: str
) -> None:
    with pytest.raises(TypeError) as caught:
        write()
    assert str(caught.value) == sentence


def test_loops_branches_and_calls(host: WasmtimeHost) -> None:
    """The number of steps of the Collatz sequence from n to 1; from 27 it takes 111."""
    module = Module()
    step = module.function(None, ("i32",), "i32")
    (n,) = step.parameters
    with step.when(n & 1):
        step.give(n * 3 + 1)
    with step.otherwise():
        step.give(apply("i32.shr_u", n, i32(1)))
    collatz = module.function("collatz", ("i32",), "i32")
    (n,) = collatz.parameters
    count = collatz.local("i32")
    with collatz.block() as done, collatz.loop() as again:
        collatz.branch(done, n.equals(1))
        collatz.set(n, collatz.value_of(step, n))
        collatz.set(count, count + 1)
        collatz.branch(again)
    collatz.give(count)
    exports = host.instantiate(module.encode())
    assert [host.call(exports["collatz"], n) for n in (1, 2, 6, 27)] == [0, 1, 8, 111]


@pytest.mark.parametrize(("stop", "step", "turns"), [(0, 1, 0), (5, 1, 5), (5, 2, 3), (6, 2, 3)])
def test_counting(host: WasmtimeHost, stop: int, step: int, turns: int) -> None:
    module = Module()
    function = module.function("f", (), "i32")
    counter, seen = function.local("i32"), function.local("i32")
    with function.counting(counter, stop, step):
        function.set(seen, seen + 1)
    function.give(seen)
    assert host.call(host.instantiate(module.encode())["f"]) == turns


def test_select_and_shuffle(host: WasmtimeHost) -> None:
    assert [_give(host, select(i32(c), f64(1.5), f64(2.5))) for c in (1, 0)] == [1.5, 2.5]
    first, second = bytes(range(16)), bytes(range(100, 116))
    picked = [0, 16, 31, 15, *range(2, 14)]
    got = _vector(host, shuffle(v128(first), v128(second), picked))
    assert list(got) == [0, 100, 115, 15, *range(2, 14)]


def test_functions_are_called_through_a_table(host: WasmtimeHost) -> None:
    place = host.empty(8).view(np.uint32)
    module = Module()
    module.table("kernels", 4)
    run = module.function("run", ("i32", "i32"))
    slot, argument = run.parameters
    run.call_indirect(module.signature(("i32",)), slot, argument)
    exports = host.instantiate(module.encode())
    for number, factor in ((0, 10), (3, 100)):
        kernel = Module()
        function = kernel.function("kernel", ("i32",))
        (x,) = function.parameters
        function.store("i32.store", i32(host.address(place)), x * factor)
        host.set_entry(exports["kernels"], number, kernel.encode())
    for number, wanted in ((0, 70), (3, 700)):
        host.call(exports["run"], number, 7)
        assert place[0] == wanted


def test_declarations_are_shared() -> None:
    """Locals of one type in a row are one declaration, equal signatures one type."""
    module = Module()
    assert module.signature(("i32", "f64")) == 0
    assert module.signature((), "i32") == 1
    assert module.signature(("i32", "f64")) == 0
    function = module.function("f")
    for kind in ("i32", "i32", "f32", "i32"):
        function.local(kind)
    assert function.encode().hex() == "0803027f017d017f0b"
