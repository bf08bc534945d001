"""A tree as a list of calls on matrices, with everything decided that can be decided beforehand.

Each call reads two tensors in the form that its multiplication wants and leaves its result in the
form that the next call wants. Calls know at which *level* they run: 0 once, ``k`` whenever one of
the first ``k`` sliced indices has changed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain, pairwise
from math import prod
from typing import TYPE_CHECKING, Literal

from tensorloom_worker.execution.layouts import choose, natural_order, split_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tensorloom.plan.tree import ContractionTree
    from tensorloom_worker.execution.layouts import Names, Split, StepLayout

__all__ = ["Call", "Form", "Kind", "Leaf", "Schedule", "compiled"]

Kind = Literal["matmul", "outer", "dots", "small"]

FEW_PRODUCTS = 64
"""Matrices of a batch with fewer multiply-adds each are summed by einsum: matmul's own loop over a
batch takes longer (measured for ``execute.numpy_backend``)."""

PART_ELEMENTS = 1 << 18
LEAST_ROWS = 64
"""A product whose axes must be moved is made and moved in parts of about so many elements: it is
not there twice, and a part is read from a cache. With fewer rows or columns in a part of a product
of matrices, reading the other operand again would take longer than multiplying."""

PART_MUL_ADDS = 1 << 32
"""Any other product is made in parts of so many, a second or so: between them one may stop."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a tensor is held.

    Args:
        names: Order of its axes, sliced ones apart.
        shape: Axes fused to two, or to three with a batch [elements].
        swapped: Whether the reader sees the last two exchanged.
    """

    names: Names
    shape: tuple[int, ...]
    swapped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """An input of the schedule.

    Args:
        names: Index of each of its axes as given; a name may repeat.
        digit_names: The sliced indices that it carries, in their order.
        digits: Their places, from 0.
        level: When it must be looked up again.
        form: How it is held behind the axes of its digits.
    """

    names: Names
    digit_names: Names
    digits: tuple[int, ...]
    level: int
    form: Form


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One multiplication.

    Args:
        x: Number of the tensor whose rows come first.
        y: Number of the other one.
        out: Number of what is made.
        kind: How it is multiplied.
        level: When it must be made again.
        frees: Operands that nobody reads any more until they are made again.
        natural: Shape of the product with its axes apart, where they must be moved; else empty.
        order: The axes of ``natural`` in the order wanted.
        parts: ``(sizes, steps)`` of the axes of the batch, the rows and the columns, where it is
            made in parts; together the sizes are ``natural``.
        form: How the result is held.
        terms: Products that are added up for one element.
        mul_adds: Multiply-adds.
        elements: Size of the result [elements].
        extents: ``(batch, rows, summed, columns)``.
    """

    x: int
    y: int
    out: int
    kind: Kind
    level: int
    frees: tuple[int, ...]
    natural: tuple[int, ...]
    order: tuple[int, ...]
    parts: tuple[tuple[Shape, Shape], ...]
    form: Form
    terms: int
    mul_adds: int
    elements: int
    extents: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """All calls of a tree.

    Args:
        leaves: By number.
        calls: In order; numbers of results go on from the leaves.
        radix: Dimensions of the sliced indices, outermost first.
        block_axes: How many of them are in the output; they are the first.
        result: Number of the tensor that holds one slice's result.
        block_shape: Its shape: the output without the sliced indices.
        output: ``block`` axes (sliced output indices, then the others) in the output's order.
    """

    leaves: tuple[Leaf, ...]
    calls: tuple[Call, ...]
    radix: tuple[int, ...]
    block_axes: int
    result: int
    block_shape: tuple[int, ...]
    output: tuple[int, ...]

    @property
    def n_slices(self) -> int:
        """Number of slices."""
        return prod(self.radix)

    @property
    def n_blocks(self) -> int:
        """Blocks of the result, one for each choice of sliced output indices."""
        return prod(self.radix[: self.block_axes])

    def from_level(self, level: int) -> tuple[Call, ...]:
        """The calls that run again when the digit at this place has changed."""
        return tuple(call for call in self.calls if call.level >= level)


def compiled(tree: ContractionTree, levels: Sequence[int]) -> Schedule:
    """The calls of a tree.

    Args:
        tree: Its sliced indices are in the order wanted, output ones first.
        levels: When each tensor is made, by SSA number.
    """
    return _Compiler(tree, levels).schedule()


class _Compiler:
    """Layouts from the result backwards, then calls forwards."""

    def __init__(self, tree: ContractionTree, levels: Sequence[int]) -> None:
        self.tree = tree
        self.sizes = tree.size_of
        self.first = len(tree.inputs)
        self.levels = levels
        full = dict(tree.dimensions)
        self.radix = tuple(full[name] for name in tree.sliced)
        self.times = [prod(self.radix[:level]) for level in range(len(self.radix) + 1)]
        self.names = self._plain_names()
        self.splits: dict[int, Split] = {}
        for step in tree.steps:
            out = self._unsliced(step.out_indices)
            self.names[step.out] = out
            self.splits[step.out] = split_of(self.names[step.left], self.names[step.right], out)
        self.layouts: dict[int, StepLayout] = {}
        self.forms: dict[int, Form] = {}

    def _plain_names(self) -> dict[int, Names]:
        """Indices of the inputs once diagonals are taken and lone indices summed."""
        tree = self.tree
        uses = Counter(name for names in tree.inputs for name in set(names))
        uses.update(tree.output)
        return {
            number: tuple(n for n in dict.fromkeys(self._unsliced(names)) if uses[n] > 1)
            for number, names in enumerate(tree.inputs)
        }

    def _unsliced(self, names: Names) -> Names:
        return tuple(name for name in names if name not in self.tree.sliced)

    def schedule(self) -> Schedule:
        tree = self.tree
        root = self.first + len(tree.path) - 1 if tree.path else 0
        wanted = self._unsliced(tree.output)
        self.forms[root] = Form(
            names=wanted, shape=tuple(self.sizes[name] for name in wanted), swapped=False
        )
        for step in reversed(tree.steps):
            self._ask(step.left, step.right, step.out)
        blocks = [name for name in tree.sliced if name in tree.output]
        axes = {name: axis for axis, name in enumerate((*blocks, *wanted))}
        return Schedule(
            leaves=tuple(self._leaf(number) for number in range(self.first)),
            calls=tuple(self._call(step.left, step.right, step.out) for step in tree.steps),
            radix=self.radix,
            block_axes=len(blocks),
            result=root,
            block_shape=self.forms[root].shape,
            output=tuple(axes[name] for name in tree.output),
        )

    def _ask(self, left: int, right: int, out: int) -> None:
        """Decides in which form a step wants its operands."""
        split = self.splits[out]
        numbers = left, right, out
        times = [self.times[self.levels[number]] for number in numbers]
        layout = choose(
            split,
            self.forms[out].names,
            (self.splits.get(left), self.splits.get(right)),
            self.sizes,
            (times[0], times[1], times[2]),
        )
        self.layouts[out] = layout
        batch, summed = self._size(split.batch), self._size(split.summed)
        x_is_left = self._left_first(out)
        for number, names, first, own, is_x in (
            (left, layout.left, layout.left_summed_first, split.left, x_is_left),
            (right, layout.right, layout.right_summed_first, split.right, not x_is_left),
        ):
            free = self._size(own)
            pair = (summed, free) if first else (free, summed)
            self.forms[number] = Form(
                names=names,
                shape=(batch, *pair) if batch > 1 else pair,
                swapped=first if is_x else not first,
            )

    def _left_first(self, out: int) -> bool:
        """Whether the left operand's rows come before the right one's in what is made."""
        split, order = self.splits[out], self._natural(out)
        kept = [name for name in order if name not in split.batch]
        return not split.left or (bool(kept) and kept[0] in split.left)

    def _natural(self, out: int) -> Names:
        """The order of what the multiplication makes, given the orders of its operands."""
        split, layout = self.splits[out], self.layouts[out]
        wanted = natural_order(split, self.forms[out].names)
        batch = tuple(name for name in layout.left if name in set(split.batch))
        left = tuple(name for name in layout.left if name in set(split.left))
        right = tuple(name for name in layout.right if name in set(split.right))
        rest = [name for name in wanted if name not in split.batch]
        if rest and rest[0] in split.right:
            return (*batch, *right, *left)
        return (*batch, *left, *right)

    def _leaf(self, number: int) -> Leaf:
        tree = self.tree
        given = tree.inputs[number]
        return Leaf(
            names=given,
            digit_names=tuple(name for name in tree.sliced if name in given),
            digits=tuple(place for place, name in enumerate(tree.sliced) if name in given),
            level=self.levels[number],
            form=self.forms[number],
        )

    def _call(self, left: int, right: int, out: int) -> Call:
        split, form = self.splits[out], self.forms[out]
        natural = self._natural(out)
        x_is_left = self._left_first(out)
        x, y = (left, right) if x_is_left else (right, left)
        rows, columns = self._size(split.left), self._size(split.right)
        if not x_is_left:
            rows, columns = columns, rows
        batch, summed = self._size(split.batch), self._size(split.summed)
        own = (split.left, split.right) if x_is_left else (split.right, split.left)
        groups = [tuple(n for n in natural if n in part) for part in (split.batch, *own)]
        shapes, order = _fused(groups, form.names, self.sizes)
        is_moved = order != tuple(range(len(order)))
        kind = _kind(batch, rows, summed, columns)
        each = PART_ELEMENTS if is_moved else max(PART_ELEMENTS, PART_MUL_ADDS // summed)
        least = LEAST_ROWS if kind == "matmul" else 1
        parts = _parted(shapes, each, least)
        return Call(
            x=x,
            y=y,
            out=out,
            kind=kind,
            level=self.levels[out],
            frees=tuple(
                operand
                for operand in (left, right)
                if operand >= self.first and self.levels[operand] == self.levels[out]
            ),
            natural=tuple(chain(*shapes)) if is_moved or parts else (),
            order=order,
            parts=parts,
            form=form,
            terms=summed,
            mul_adds=batch * rows * summed * columns,
            elements=batch * rows * columns,
            extents=(batch, rows, summed, columns),
        )

    def _size(self, names: Names) -> int:
        return prod(self.sizes[name] for name in names)


def _kind(batch: int, rows: int, summed: int, columns: int) -> Kind:
    if summed == 1:
        return "outer"
    if batch == 1:
        return "matmul"
    if rows == columns == 1:
        return "dots"
    return "small" if rows * summed * columns <= FEW_PRODUCTS else "matmul"


def _parted(shapes: tuple[Shape, ...], each: int, least: int) -> tuple[tuple[Shape, Shape], ...]:
    """``(sizes, steps)`` of the axes of a product for parts of it; empty for one part.

    Args:
        shapes: Sizes of the axes of its batch, rows and columns.
        each: Elements of a part, about.
        least: Rows and columns of a part, where there are as many.

    Example:
        >>> _parted(((), (1024,), (2048,)), 1 << 18, 64)
        (((), ()), ((1024,), (128,)), ((2048,), (2048,)))
        >>> _parted(((), (4, 30), (3, 1 << 20)), 1 << 18, 64)
        (((), ()), ((4, 30), (3, 30)), ((3, 1048576), (1, 4096)))
    """
    rest, height, width = (prod(shape) for shape in shapes)
    if rest * height * width < 2 * each:
        return ()
    deep = min(rest, max(1, each // (height * width)))
    high = min(height, max(least, each // width))
    wide = min(width, max(least, each // high))
    counts = deep, high, wide
    return tuple((shape, _steps(shape, n)) for shape, n in zip(shapes, counts, strict=True))


def _steps(shape: Shape, each: int) -> Shape:
    """Steps along axes that take so many elements at once, neighbours in C order, or a few more.

    Example:
        >>> _steps((7, 10, 3), 12), _steps((7, 100), 64)
        ((1, 4, 3), (1, 64))
    """
    steps = []
    for size in reversed(shape):
        steps.append(min(size, each))
        each = -(-each // size)
    return tuple(reversed(steps))


def _fused(
    source: Sequence[Names], target: Names, sizes: Mapping[str, int]
) -> tuple[tuple[Shape, ...], tuple[int, ...]]:
    """``(shapes, order)`` of a move of axes, those that stay neighbours within a group as one.

    Example:
        >>> _fused([("a", "b"), ("c",)], ("c", "a", "b"), {"a": 2, "b": 3, "c": 5})
        (((6,), (5,)), (1, 0))
    """
    target = tuple(name for name in target if sizes[name] > 1)
    after = dict(pairwise(target))
    shapes, firsts = [], []
    for names in source:
        groups: list[list[str]] = []
        for name in (name for name in names if sizes[name] > 1):
            if groups and after.get(groups[-1][-1]) == name:
                groups[-1].append(name)
            else:
                groups.append([name])
        shapes.append(tuple(prod(sizes[name] for name in group) for group in groups))
        firsts += [group[0] for group in groups]
    place = {name: number for number, name in enumerate(firsts)}
    return tuple(shapes), tuple(place[name] for name in target if name in place)
