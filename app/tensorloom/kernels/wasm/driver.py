"""The driver: replays records, many kernels in one call, and watches the magnitudes they leave."""

from __future__ import annotations

from tensorloom.kernels.wasm.assembler import Module, i32, load
from tensorloom.kernels.wasm.layout import RECORD_BYTES
from tensorloom.kernels.wasm.magnitudes import define_outside, looked_at, record_word
from tensorloom.kernels.wasm.team import define_team

__all__ = ["TABLE_SIZE", "driver_module"]

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

    with run.counting(number, last):
        run.call_indirect(signature, record_word(record, "slot"), record)
        with (
            run.when(record_word(record, "check")),
            run.when(run.value_of(outside, *looked_at(record), low, high)),
        ):
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
