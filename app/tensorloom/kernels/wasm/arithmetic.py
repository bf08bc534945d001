"""Multiply and add numbers as they lie in memory, complex ones interleaved: by vectors, by scalars.

The tile kernel separates real and imaginary parts while it packs; these kernels do not pack. A
complex product of interleaved vectors keeps two sums,

    same  = sum of (re a, re a) * (re b, im b)
    cross = sum of (im a, im a) * (im b, re b)

and the result is ``same + (-cross, +cross)``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Literal

from tensorloom.kernels.wasm.assembler import Expression, apply, lane, load, v128

if TYPE_CHECKING:
    from tensorloom.kernels.wasm.assembler import Function, Local
    from tensorloom.kernels.wasm.element import Element

__all__ = ["LeftMode", "Scalars", "Vectors"]

LeftMode = Literal["splat", "unit"]
"""Whether the left operand gives one number for the whole run, or runs along."""


class Vectors:
    """Sums of products in a few vectors.

    Args:
        function: Where code goes.
        element: Type of the numbers.
        mode: How the left operand runs.
        count: Vectors of numbers side by side.
    """

    def __init__(self, function: Function, element: Element, mode: LeftMode, count: int) -> None:
        self.function = function
        self.element = element
        self.mode = mode
        parts = 2 if element.complex else 1
        self.sums = [[function.local("v128") for _ in range(parts)] for _ in range(count)]
        self._factors = [function.local("v128") for _ in range(parts)]
        self._vector = function.local("v128")

    def clear(self) -> None:
        """All sums are zero."""
        for total in self.sums:
            for part in total:
                self.function.set(part, v128(bytes(16)))

    def spread(self, lefts: list[Local]) -> list[list[Local]]:
        """Variables with the factors of left numbers that stand still, for ``add``."""
        parts = range(2 if self.element.complex else 1)
        return [
            [
                self.function.variable(self.element.splat(left, part * self.element.scalar_bytes))
                for part in parts
            ]
            for left in lefts
        ]

    def add(self, left: Local, right: Expression, factors: list[Local] | None = None) -> None:
        """Adds the products of what lies at two addresses, or of known factors and the right."""
        if factors is None:
            factors = self._factors
            if self.mode == "splat":
                for factor, value in zip(factors, self.spread([left])[0], strict=True):
                    self.function.set(factor, value)
        for number, total in enumerate(self.sums):
            if self.mode == "unit":
                self._spread(load("v128.load", left, 16 * number))
            self.function.set(self._vector, load("v128.load", right, 16 * number))
            for part, factor in enumerate(factors):
                vector: Expression = self._vector
                if part:
                    vector = self.element.swapped(vector)
                product = self.element.multiply_add(factor, vector, total[part])
                self.function.set(total[part], product)

    def _spread(self, left: Expression) -> None:
        """Left numbers as factors: themselves, or their parts twice each."""
        if not self.element.complex:
            self.function.set(self._factors[0], left)
            return
        self.function.set(self._vector, left)
        for part, factor in enumerate(self._factors):
            self.function.set(factor, self.element.twice(self._vector, part))

    def value(self, number: int) -> Expression:
        """One vector of results."""
        if not self.element.complex:
            return self.sums[number][0]
        same, cross = self.sums[number]
        pack = "<ff" if self.element.scalar == "f32" else "<dd"
        pair = struct.pack(pack, -1.0, 1.0)
        signs = v128(pair * (16 // len(pair)))
        return self.element.vector("add", same, self.element.vector("mul", cross, signs))

    def total(self) -> list[Expression]:
        """The sum over all vectors and lanes, real and imaginary part apart."""
        values = [self.function.variable(self.value(i)) for i in range(len(self.sums))]
        while len(values) > 1:
            values[0] = self.function.variable(self.element.vector("add", values[0], values.pop()))
        parts = 2 if self.element.complex else 1
        shape = "f32x4" if self.element.scalar == "f32" else "f64x2"
        lanes = [lane(f"{shape}.extract_lane", values[0], i) for i in range(self.element.lanes)]
        return [_sum(self.element, lanes[part::parts]) for part in range(parts)]


def _sum(element: Element, terms: list[Expression]) -> Expression:
    total = terms[0]
    for term in terms[1:]:
        total = apply(f"{element.scalar}.add", total, term)
    return total


class Scalars:
    """The sum of products of one number at a time."""

    def __init__(self, function: Function, element: Element) -> None:
        self.function = function
        self.element = element
        parts = 2 if element.complex else 1
        self.sums = [function.local(element.scalar) for _ in range(parts)]
        self._left = [function.local(element.scalar) for _ in range(parts)]
        self._right = [function.local(element.scalar) for _ in range(parts)]

    def start(self) -> None:
        """The sum is zero."""
        for total in self.sums:
            self.function.set(total, self.element.zero())

    def add(self, left: Expression, right: Expression) -> None:
        """Adds the product of the numbers at two addresses."""
        if not self.element.complex:
            product = self._op("mul", self._load(left), self._load(right))
            self.function.set(self.sums[0], self._op("add", self.sums[0], product))
            return
        for part in range(2):
            self.function.set(self._left[part], self._load(left, part))
            self.function.set(self._right[part], self._load(right, part))
        (a, b), (c, d) = self._left, self._right
        real = self._op("sub", self._op("mul", a, c), self._op("mul", b, d))
        imaginary = self._op("add", self._op("mul", a, d), self._op("mul", b, c))
        for total, term in zip(self.sums, (real, imaginary), strict=True):
            self.function.set(total, self._op("add", total, term))

    def store(self, place: Expression, adds: Expression) -> None:
        """Writes the sum to an address, or adds it to what is there."""
        with self.function.when(adds):
            for part, total in enumerate(self.sums):
                self.function.set(total, self._op("add", total, self._load(place, part)))
        kind = self.element.scalar
        for part, total in enumerate(self.sums):
            self.function.store(f"{kind}.store", place, total, part * self.element.scalar_bytes)

    def plus(self, a: Expression, b: Expression) -> Expression:
        """The scalar sum."""
        return self._op("add", a, b)

    def _load(self, address: Expression, part: int = 0) -> Expression:
        return load(f"{self.element.scalar}.load", address, part * self.element.scalar_bytes)

    def _op(self, name: str, a: Expression, b: Expression) -> Expression:
        return apply(f"{self.element.scalar}.{name}", a, b)
