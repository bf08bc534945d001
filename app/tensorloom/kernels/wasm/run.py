"""The unpacked forms, for contractions that move more than they multiply.

    run     vectors along an axis that is contiguous in the result: scaling, outer products,
            elementwise products, matrix times vector by columns
    sum     vectors along a summed axis: dot products, matrix times vector by rows
    line    one number at a time along an axis of the result, any strides, nothing summed:
            elementwise products with a transposed operand, transposes
    points  one number at a time, any strides

In all four, *positions* are what is left of the result's axes (the descriptor's batch group) and
*depth* what is left of the summed ones; both are read through offset tables.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tensorloom.kernels.wasm.arithmetic import LeftMode, Scalars, Vectors
from tensorloom.kernels.wasm.assembler import Expression, Module, apply, i32, load
from tensorloom.kernels.wasm.frame import Frame
from tensorloom.kernels.wasm.layout import BATCH_CHUNK, PANEL_DEPTH, WORKSPACE
from tensorloom.kernels.wasm.tables import smaller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tensorloom.kernels.wasm.assembler import Function, Local
    from tensorloom.kernels.wasm.element import Element

__all__ = ["line_module", "points_module", "run_module", "sum_module"]


VECTOR_BYTES = 16


def run_module(element: Element, mode: LeftMode) -> bytes:
    """A module exporting ``kernel(record)`` for runs along the result.

    Summed positions are taken four, two or one at a time, each time along the whole run: operands
    are read in the order of memory, and what is read once per run is spared once per vector.
    """
    module = Module()
    spans = {count: _define_span(module, element, mode, count) for count in (4, 2, 1)}
    frame = Frame(module)
    kernel = frame.kernel
    start, stop = frame.range_of("column")
    entry, end = kernel.local("i32"), kernel.local("i32")
    shift = kernel.variable(start * element.bytes)
    size = kernel.variable((stop - start) * element.bytes)
    with _positions(frame) as (left, right, out, depth, adds):
        kernel.set(entry, frame.workspace)
        kernel.set(end, frame.workspace + (depth << 2))
        moved = left + shift if mode == "unit" else left
        for count, span in spans.items():
            with _while_fits(kernel, entry, 4 * count, end):
                more = apply("i32.or", adds, entry.differs(frame.workspace))
                kernel.call(span, moved, right + shift, out + shift, size, entry, more)
                kernel.set(entry, entry + 4 * count)
    return module.encode()


def sum_module(element: Element, mode: LeftMode) -> bytes:
    """A module exporting ``kernel(record)`` for runs along a summed axis."""
    module = Module()
    dot = _define_dot(module, element, mode)
    frame = Frame(module)
    run = frame.header("run")
    with _positions(frame) as (left, right, out, depth, adds):
        frame.kernel.call(dot, left, right, out, run, depth, adds, frame.workspace)
    return module.encode()


def line_module(element: Element) -> bytes:
    """A module exporting ``kernel(record)`` for lines of single numbers.

    Offsets of a line's numbers are counted up, not looked up: of the cost of a point, most is that.
    """
    module = Module()
    line = _define_line(module, element)
    frame = Frame(module)
    kernel = frame.kernel
    start, stop = frame.range_of("column")
    steps = [frame.header(f"{side}_step") for side in ("left", "right", "out")]
    shifts = [kernel.variable(start * step) for step in steps]
    count = kernel.variable(stop - start)
    with _positions(frame) as (left, right, out, _, _):
        starts = (at + shift for at, shift in zip((left, right, out), shifts, strict=True))
        kernel.call(line, *starts, count, *steps)
    return module.encode()


def points_module(element: Element) -> bytes:
    """A module exporting ``kernel(record)`` for single numbers."""
    module = Module()
    frame = Frame(module)
    kernel = frame.kernel
    sums = Scalars(kernel, element)
    with _positions(frame) as (left, right, out, depth, adds):
        sums.start()
        with _depth(kernel, frame.workspace, depth) as (at_left, at_right):
            sums.add(left + at_left, right + at_right)
        sums.store(out, adds)
    return module.encode()


@contextmanager
def _positions(frame: Frame) -> Iterator[tuple[Local, Local, Local, Local, Expression]]:
    """Code for each position and block of depth: left, right, out, depth here, whether to add."""
    kernel = frame.kernel
    total = frame.header("depth")
    batch, stop = frame.range_of("batch")
    item, items, at, deep = (kernel.local("i32") for _ in range(4))
    left, right, out = (kernel.local("i32") for _ in range(3))
    known = kernel.variable(i32(-1))
    with kernel.counting(batch, stop, BATCH_CHUNK):
        kernel.set(items, smaller(stop - batch, i32(BATCH_CHUNK)))
        for side in ("left", "right", "out"):
            frame.fill(f"batch_{side}", "batch", side, batch, items)
        kernel.set(at, 0)
        with kernel.counting(at, total, PANEL_DEPTH):
            with kernel.when(at.differs(known)):
                kernel.set(known, at)
                kernel.set(deep, smaller(total - at, i32(PANEL_DEPTH)))
                frame.fill("depth_left", "contracted", "left", at, deep)
                frame.fill("depth_right", "contracted", "right", at, deep)
            kernel.set(item, 0)
            with kernel.counting(item, items):
                kernel.set(left, frame.left + frame.entry("batch_left", item))
                kernel.set(right, frame.right + frame.entry("batch_right", item))
                kernel.set(out, frame.out + frame.entry("batch_out", item))
                yield left, right, out, deep, at.differs(0)


@contextmanager
def _depth(
    function: Function, workspace: Expression, depth: Expression
) -> Iterator[tuple[Expression, Expression]]:
    """Code for each summed position of a block: its offsets in left and right."""
    entry = function.variable(workspace)
    end = function.variable(workspace + (depth << 2))
    with function.loop() as again:
        yield (
            load("i32.load", entry, WORKSPACE["depth_left"]),
            load("i32.load", entry, WORKSPACE["depth_right"]),
        )
        function.set(entry, entry + 4)
        function.branch(again, entry < end)


def _define_span(module: Module, element: Element, mode: LeftMode, count: int) -> Function:
    """A function that adds ``count`` summed positions to one run of the result.

    Parameters: left, right, out, size of the run [bytes], workspace plus the offset of the first
    summed position's table entries, whether to add to what is there.
    """
    span = module.function(None, ("i32",) * 6)
    left, right, out, size, entry, adds = span.parameters
    end = span.variable(out + size)
    lefts, rights = (
        [
            span.variable(operand + load("i32.load", entry, WORKSPACE[table] + 4 * number))
            for number in range(count)
        ]
        for operand, table in ((left, "depth_left"), (right, "depth_right"))
    )
    moving = [*rights, out, *(lefts if mode == "unit" else [])]
    for width in (2, 1):
        vectors = Vectors(span, element, mode, width)
        factors = vectors.spread(lefts) if mode == "splat" else [None] * count
        with _while_fits(span, out, 16 * width, end):
            vectors.clear()
            for number in range(count):
                vectors.add(lefts[number], rights[number], factors[number])
            for number in range(width):
                _store_vector(span, element, vectors.value(number), out, 16 * number, adds)
            for pointer in moving:
                span.set(pointer, pointer + 16 * width)
    if element.bytes < VECTOR_BYTES:
        numbers = Scalars(span, element)
        with _while_fits(span, out, element.bytes, end):
            numbers.start()
            for a, b in zip(lefts, rights, strict=True):
                numbers.add(a, b)
            numbers.store(out, adds)
            for pointer in moving:
                span.set(pointer, pointer + element.bytes)
    return span


def _define_line(module: Module, element: Element) -> Function:
    """A function for products one after the other.

    Parameters: left, right, out, how many (at least 1), and the steps of the three [bytes].
    """
    line = module.function(None, ("i32",) * 7)
    *places, count, left_step, right_step, out_step = line.parameters
    left, right, out = places
    product = Scalars(line, element)
    with line.loop() as again:
        product.start()
        product.add(left, right)
        product.store(out, i32(0))
        for place, step in zip(places, (left_step, right_step, out_step), strict=True):
            line.set(place, place + step)
        line.set(count, count - 1)
        line.branch(again, count)
    return line


def _store_vector(
    span: Function,
    element: Element,
    value: Expression,
    out: Expression,
    offset: int,
    adds: Expression,
) -> None:
    result = span.variable(value)
    with span.when(adds):
        span.set(result, element.vector("add", result, load("v128.load", out, offset)))
    span.store("v128.store", out, result, offset)


def _define_dot(module: Module, element: Element, mode: LeftMode) -> Function:
    """A function for one sum over runs.

    Parameters: left, right, out, size of the run [bytes], depth, whether to add, workspace.
    """
    dot = module.function(None, ("i32",) * 7)
    left, right, out, size, depth, adds, workspace = dot.parameters
    wide, narrow = Vectors(dot, element, mode, 4), Vectors(dot, element, mode, 1)
    numbers = Scalars(dot, element)
    a, b, end = (dot.local("i32") for _ in range(3))
    wide.clear()
    narrow.clear()
    numbers.start()

    def sweep(step: int, add: Callable[[Local, Local], None]) -> None:
        with _while_fits(dot, b, step, end):
            add(a, b)
            if mode == "unit":
                dot.set(a, a + step)
            dot.set(b, b + step)

    with _depth(dot, workspace, depth) as (at_left, at_right):
        dot.set(a, left + at_left)
        dot.set(b, right + at_right)
        dot.set(end, b + size)
        sweep(64, wide.add)
        sweep(16, narrow.add)
        if element.bytes < VECTOR_BYTES:
            sweep(element.bytes, numbers.add)
    totals = zip(numbers.sums, wide.total(), narrow.total(), strict=True)
    for number, first, second in totals:
        for term in (first, second):
            dot.set(number, numbers.plus(number, term))
    numbers.store(out, adds)
    return dot


@contextmanager
def _while_fits(function: Function, at: Local, step: int, end: Expression) -> Iterator[None]:
    """Code repeated while ``at + step <= end``."""
    fits = at + step <= end
    with function.when(fits), function.loop() as again:
        yield
        function.branch(again, fits)
