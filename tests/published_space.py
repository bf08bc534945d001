"""The spaces that kernels are chosen from, after nn-JIT.web: how large they are, and the lite one.

The default space is what a general tuner would search; it is counted and sampled, never listed. The
lite space is small enough to list, and ``published_rules`` cut it to dozens. Benchmarks compare
with them; the engine chooses from spaces of its own that know the shape (``kernels.wasm.jit``,
``kernels.gpu.space``).

Source: Jia et al., "Empowering In-Browser Deep Learning Inference on Edge Devices with Just-in-Time
Kernel Optimizations", arXiv 2309.08978; sizes as in its published code.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import comb, prod
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "BLOCK_SIZES",
    "REGISTER_SIZES",
    "DefaultCandidate",
    "LiteCandidate",
    "default_sample",
    "default_space_size",
    "lite_space",
    "splits",
]

BLOCK_SIZES = (4, 8, 16, 32, 64, 128, 256)
"""Sides of blocks that are held in a cache or in shared memory."""

REGISTER_SIZES = (4, 8, 16, 32)
"""Sides of tiles that are held in registers."""

UNROLL_STEPS = (0, 16, 64, 512)
"""Longest loop body that a general tuner unrolls to; 0 leaves loops alone."""

N_FLAGS = 2
"""The default space has two settings of one flag beside splits and unrolling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteCandidate:
    """One kernel of the lite space.

    Args:
        mb: Rows of a block of the left operand.
        kb: Depth of both blocks.
        nb: Columns of a block of the right operand.
        mr: Rows of the register tile; divides ``mb``.
        nr: Columns of the register tile; divides ``nb``.
        vector: Whether loads are vectors; only GPUs have the choice.
    """

    mb: int
    kb: int
    nb: int
    mr: int
    nr: int
    vector: bool = False

    @property
    def text(self) -> str:
        """Readable and unique: ``64x16x64 4x8``, ``v`` at the end for vectors."""
        vector = " v" if self.vector else ""
        return f"{self.mb}x{self.kb}x{self.nb} {self.mr}x{self.nr}{vector}"

    @property
    def vector_registers(self) -> float:
        """128-bit registers that the tile needs: sums, splat rows and one row of columns."""
        return self.mr * self.nr / 4 + self.mr + self.nr / 4

    @property
    def block_bytes(self) -> int:
        """Bytes of both blocks in float32."""
        return 4 * self.kb * (self.mb + self.nb)

    @property
    def invocations(self) -> int:
        """GPU threads of one workgroup."""
        return (self.mb // self.mr) * (self.nb // self.nr)


@lru_cache(maxsize=2)
def lite_space(*, gpu: bool = False) -> tuple[LiteCandidate, ...]:
    """The raw lite space: 3,388 candidates, twice that on GPUs."""
    sides = [(b, r) for b in BLOCK_SIZES for r in REGISTER_SIZES if b % r == 0]
    return tuple(
        LiteCandidate(mb=mb, kb=kb, nb=nb, mr=mr, nr=nr, vector=vector)
        for (mb, mr), kb, (nb, nr), vector in product(
            sides, BLOCK_SIZES, sides, (False, True) if gpu else (False,)
        )
    )


def splits(size: int, parts: int) -> int:
    """In how many ways a loop becomes ``parts`` nested ones whose sizes multiply to it.

    Each prime factor's ``e`` copies go to ``parts`` loops in ``C(e + parts - 1, parts - 1)`` ways.
    """
    return prod(comb(count + parts - 1, parts - 1) for _, count in _factors(size))


def default_space_size(m: int, n: int, k: int) -> int:
    """Candidates of the default space: 3-way splits of rows and columns, 2-way of the sum."""
    return splits(m, 3) * splits(n, 3) * splits(k, 2) * len(UNROLL_STEPS) * N_FLAGS


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultCandidate:
    """One kernel of the default space.

    Args:
        rows: Sizes of the three row loops, outermost first.
        columns: The same for columns.
        depth: Sizes of the two loops of the sum.
        unroll: One of ``UNROLL_STEPS``.
        flag: The remaining flag.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    depth: tuple[int, ...]
    unroll: int
    flag: bool


def default_sample(
    extents: tuple[int, int, int], count: int, *, seed: int
) -> tuple[DefaultCandidate, ...]:
    """Candidates drawn evenly from the default space, for a search at random.

    Args:
        extents: Rows, columns and depth.
        count: How many.
        seed: Of the drawing.
    """
    m, n, k = extents
    random = Random(seed)
    return tuple(
        DefaultCandidate(
            rows=_drawn(m, 3, random),
            columns=_drawn(n, 3, random),
            depth=_drawn(k, 2, random),
            unroll=random.choice(UNROLL_STEPS),
            flag=random.random() < 1 / N_FLAGS,
        )
        for _ in range(count)
    )


def _drawn(size: int, parts: int, random: Random) -> tuple[int, ...]:
    """One split, each with equal chance: stars and bars for every prime factor."""
    loops = [1] * parts
    for prime, count in _factors(size):
        bars = sorted(random.sample(range(count + parts - 1), parts - 1))
        edges = [-1, *bars, count + parts - 1]
        for loop in range(parts):
            loops[loop] *= prime ** (edges[loop + 1] - edges[loop] - 1)
    return tuple(loops)


def _factors(size: int) -> Iterator[tuple[int, int]]:
    """Prime factors with their counts."""
    prime = 2
    while size > 1:
        count = 0
        while size % prime == 0:
            size //= prime
            count += 1
        if count:
            yield prime, count
        prime = prime + 1 if prime * prime <= size else max(prime + 1, size)
