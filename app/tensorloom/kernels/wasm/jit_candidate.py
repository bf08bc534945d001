"""Which kernel to generate for a spec, and for which device: plain data, written and read as text.

A candidate names a family and a tile; everything else follows from the spec. Families differ in
what they copy before they multiply:

    unpacked  nothing: both operands are read where they lie
    right     the right operand, into panels as wide as a tile
    packed    both operands, block by block (Goto and van de Geijn)
    stream    nothing, a few summed positions at a time: the right operand is read once, in order
    dot       nothing: vectors run along a summed axis instead of along columns

Example:
    >>> Candidate.parse("packed 6x8 k256 turned").depth
    256
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from tensorloom.model.recipe import DType

__all__ = ["Candidate", "Family", "WasmDevice"]

Family = Literal["unpacked", "right", "packed", "stream", "dot"]

_TEXT = re.compile(r"(\w+) (\d{1,3})x(\d{1,3})(?: k(\d{1,5}))?( turned)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to generate a kernel for a spec.

    Args:
        family: What is copied before it is multiplied.
        rows: Rows of a tile.
        columns: Columns of a tile.
        depth: Summed positions per block, about; 0 for all at once.
        turned: Whether the operands change places.
    """

    family: Family
    rows: int
    columns: int
    depth: int = 0
    turned: bool = False

    @property
    def text(self) -> str:
        """What ``parse`` reads."""
        depth = f" k{self.depth}" if self.depth else ""
        return f"{self.family} {self.rows}x{self.columns}{depth}{' turned' * self.turned}"

    @classmethod
    def parse(cls, text: str) -> Candidate:
        """The candidate of a text.

        Raises:
            ValueError: It is not one.
        """
        found = _TEXT.fullmatch(text)
        if not found or found[1] not in get_args(Family):
            raise ValueError(f"{text!r} does not name a kernel's family and tile.")
        family: Family = found[1]  # type: ignore[assignment]  # looked up in the line above
        rows, columns = int(found[2]), int(found[3])
        if not (1 <= rows <= _MOST_ROWS and 1 <= columns <= _MOST_COLUMNS):
            raise ValueError(f"{text!r} has a tile that no engine keeps in registers.")
        return cls(
            family=family,
            rows=rows,
            columns=columns,
            depth=int(found[4] or 0),
            turned=bool(found[5]),
        )


_MOST_ROWS, _MOST_COLUMNS = 16, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmDevice:
    """What decides which candidates are worth a try.

    Args:
        relaxed_simd: Whether fused multiply-add may be used.
        tiles: Tiles of real numbers, best first: rows and vectors of columns.
        complex_tiles: The same for complex numbers, which need two sums for each vector.
        level1_bytes: Nearest cache [bytes].
        level2_bytes: Second cache [bytes].
    """

    relaxed_simd: bool
    tiles: tuple[tuple[int, int], ...]
    complex_tiles: tuple[tuple[int, int], ...]
    level1_bytes: int = 32 << 10
    level2_bytes: int = 1 << 20

    @classmethod
    def typical(cls, *, relaxed_simd: bool) -> WasmDevice:
        """What is best where nothing has been measured: Zen 4 and Chromium, or WebKit."""
        if relaxed_simd:
            return cls(
                relaxed_simd=True,
                tiles=((6, 2), (5, 2), (4, 2), (2, 4), (3, 3)),
                complex_tiles=((3, 2), (2, 2), (1, 4)),
            )
        return cls(
            relaxed_simd=False,
            tiles=((3, 4), (2, 4), (5, 2), (4, 2)),
            complex_tiles=((2, 2), (1, 4), (3, 2)),
        )

    def tiles_for(self, dtype: DType) -> tuple[tuple[int, int], ...]:
        """Tiles for an element type, best first."""
        return self.complex_tiles if dtype.startswith("complex") else self.tiles
