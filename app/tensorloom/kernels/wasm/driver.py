"""The driver: replays records, many kernels in one call, and watches the magnitudes they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.assembler import Module, apply, f64, i32, lane, load, select
from tensorloom.kernels.wasm.element import Element
from tensorloom.kernels.wasm.layout import CHECK_SINGLE, RECORD_BYTES, RECORD_FIELDS
from tensorloom.kernels.wasm.team import define_team

if TYPE_CHECKING:
    from tensorloom.kernels.wasm.assembler import Expression, Function, Local

__all__ = ["TABLE_SIZE", "define_outside", "driver_module"]

TABLE_SIZE = 1024
"""Slots for kernels in the driver's table."""


def driver_module(*, team: bool = False) -> bytes:
    """A module exporting the table ``kernels`` and the functions ``run`` and ``scan``.

    Args:
        team: Whether it also has what threads need; see ``kernels.wasm.team``.

    ``run(records, first, last, low, high)`` returns ``last`` after all records; or, negated, the
    number of the next record, as soon as one that asks to be checked leaves a largest magnitude
    that is not 0 and not within ``low .. high``. NaN is not a magnitude.

    ``scan(places, first, last, check, low, high)`` looks through arrays the same way: ``places``
    holds address and size of each [bytes]. It returns the number of the first that is outside, or
    ``last``.
    """
    module = Module()
    module.table("kernels", TABLE_SIZE)
    outside = define_outside(module)
    signature = module.signature(("i32",))
    run = module.function("run", ("i32", "i32", "i32", "f64", "f64"), "i32")
    records, number, last, low, high = run.parameters
    record = run.variable(records + number * RECORD_BYTES)

    def word(name: str) -> Expression:
        return load("i32.load", record, RECORD_FIELDS[name])

    with run.counting(number, last):
        run.call_indirect(signature, word("slot"), record)
        with run.when(word("check")):
            made = word("out"), word("check_bytes"), word("check")
            with run.when(run.value_of(outside, *made, low, high)):
                run.give(i32(-1) - number)
        run.set(record, record + RECORD_BYTES)
    run.give(last)
    scan = module.function("scan", ("i32", "i32", "i32", "i32", "f64", "f64"), "i32")
    places, number, last, check, low, high = scan.parameters
    place = scan.variable(places + (number << 3))
    with scan.counting(number, last):
        array = load("i32.load", place), load("i32.load", place, 4)
        with scan.when(scan.value_of(outside, *array, check, low, high)):
            scan.give(number)
        scan.set(place, place + 8)
    scan.give(last)
    if team:
        define_team(module, signature, outside)
    return module.encode()


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
