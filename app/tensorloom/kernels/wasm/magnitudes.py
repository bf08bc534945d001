"""What the driver looks at after a record: whether magnitudes have left a range."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.assembler import apply, f64, lane, load, select
from tensorloom.kernels.wasm.element import Element
from tensorloom.kernels.wasm.layout import CHECK_KEPT, CHECK_SINGLE, RECORD_FIELDS, WORKSPACE

if TYPE_CHECKING:
    from tensorloom.kernels.wasm.assembler import Expression, Function, Local, Module

__all__ = ["define_outside", "looked_at", "record_word"]


def record_word(record: Local, name: str) -> Expression:
    """A word of a record."""
    return load("i32.load", record, RECORD_FIELDS[name])


def looked_at(record: Local) -> tuple[Expression, Expression, Expression]:
    """Address, size and scalars of what a record asks to have looked at."""
    check = record_word(record, "check")
    kept = record_word(record, "workspace") + WORKSPACE["largest"]
    where = select(check & CHECK_KEPT, kept, record_word(record, "out"))
    return where, record_word(record, "check_bytes"), check & (CHECK_KEPT - 1)


def define_outside(module: Module) -> Function:
    """A function ``(address, bytes, check, low, high)``: whether magnitudes left the range."""
    single = _define_absmax(module, Element("float32", relaxed=False))
    double = _define_absmax(module, Element("float64", relaxed=False))
    outside = module.function(None, ("i32", "i32", "i32", "f64", "f64"), "i32")
    address, size, check, low, high = outside.parameters
    largest = outside.local("f64")
    with outside.when(check.equals(CHECK_SINGLE)):
        outside.set(largest, outside.value_of(single, address, size))
    with outside.otherwise():
        outside.set(largest, outside.value_of(double, address, size))
    vanishing = apply("f64.lt", largest, low) & apply("f64.gt", largest, f64(0.0))
    outside.give(apply("i32.or", apply("f64.gt", largest, high), vanishing))
    return outside


def _define_absmax(module: Module, element: Element) -> Function:
    """A function ``(address, bytes) -> f64``: the largest magnitude of scalars, NaN left out."""
    absmax = module.function(None, ("i32", "i32"), "f64")
    at, size = absmax.parameters
    step = element.scalar_bytes
    end = absmax.variable(at + size)
    vectors = [absmax.local("v128") for _ in range(4)]
    largest, value = absmax.local(element.scalar), absmax.local(element.scalar)

    def see(number: Local) -> None:
        bigger = apply(f"{element.scalar}.gt", number, largest)
        absmax.set(largest, select(bigger, number, largest))

    with absmax.when(at + 64 <= end), absmax.loop() as again:
        for number, vector in enumerate(vectors):
            there = element.vector("abs", load("v128.load", at, 16 * number))
            absmax.set(vector, element.vector("pmax", vector, there))
        absmax.set(at, at + 64)
        absmax.branch(again, at + 64 <= end)
    for vector in vectors:
        for number in range(element.lanes):
            shape = "f32x4" if element.scalar == "f32" else "f64x2"
            absmax.set(value, lane(f"{shape}.extract_lane", vector, number))
            see(value)
    with absmax.counting(at, end, step):
        absmax.set(value, apply(f"{element.scalar}.abs", load(f"{element.scalar}.load", at)))
        see(value)
    promoted = apply("f64.promote_f32", largest) if element.scalar == "f32" else largest
    absmax.give(promoted)
    return absmax
