"""A way to compute a kernel on a GPU, as data: family, tile, workgroup. Stored and shared as text.

    registers 8x8/4x1            a tile of 8 x 8 outputs per invocation, workgroups of 4 x 1
    lanes 16x8                   one subgroup per workgroup; rows are handed from lane to lane
    shared 4x4/8x8 k8            operands staged in workgroup memory, 8 products deep
    dot 1x4/64                   one workgroup per 1 x 4 outputs, 64 partial sums each
    outer 4x8/8x8                as registers, the short sum written out without a loop
    line 1x8/64x1                8 outputs per invocation along all axes; nothing is shared
    matrix 32x32/128 k16         subgroup matrices, blocks of 32 x 32, 128 invocations
    small                        the text shared by all tiny kernels
    registers 4x4/8x8 split 16   any of the tiled ones with the sum cut in 16 parts, added up after

Tiles are ``rows x columns``, workgroups ``across x down``: invocations along columns and rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from tensorloom.errors import InputError

__all__ = ["Family", "GpuCandidate"]

Family = Literal["registers", "lanes", "shared", "dot", "outer", "line", "matrix", "small"]

MOST = {"tile": 64, "threads": 1024, "depth": 64, "splits": 4096}
"""Beyond these no device gains anything; texts from elsewhere are refused there."""

_TEXT = re.compile(
    r"(?P<family>[a-z]+)(?: (?P<rows>\d{1,4})x(?P<columns>\d{1,4}))?"
    r"(?:/(?P<across>\d{1,4})(?:x(?P<down>\d{1,4}))?)?"
    r"(?: k(?P<depth>\d{1,4}))?(?: split (?P<splits>\d{1,4}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuCandidate:
    """One way to compute a kernel.

    Args:
        family: How.
        rows: Rows of outputs per invocation; per workgroup in ``dot`` and ``matrix``, per subgroup
            in ``lanes``.
        columns: The same for columns; in ``lanes`` per lane.
        across: Invocations of a workgroup along columns.
        down: The same along rows.
        depth: Products staged at once by ``shared`` and ``matrix``; else 0.
        splits: Parts of the sum, added up by a second kernel.

    Example:
        >>> GpuCandidate.parse("shared 4x4/8x8 k16").depth
        16
        >>> str(GpuCandidate(family="registers", rows=8, columns=4, across=8, down=8, splits=2))
        'registers 8x4/8x8 split 2'
    """

    family: Family
    rows: int = 1
    columns: int = 1
    across: int = 1
    down: int = 1
    depth: int = 0
    splits: int = 1

    def __str__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """How it is stored; ``parse`` reads it."""
        if self.family == "small":
            return "small"
        words = [f"{self.family} {self.rows}x{self.columns}"]
        if self.family in {"dot", "matrix"}:
            words[0] += f"/{self.across}"
        elif self.family != "lanes":
            words[0] += f"/{self.across}x{self.down}"
        if self.depth:
            words.append(f"k{self.depth}")
        if self.splits > 1:
            words.append(f"split {self.splits}")
        return " ".join(words)

    @classmethod
    def parse(cls, text: str) -> GpuCandidate:
        """The candidate that a text names.

        Raises:
            InputError: ``kernel-candidate``, when it names none.
        """
        found = _TEXT.fullmatch(text)
        if found and found["family"] in get_args(Family):
            made = cls(
                family=cast("Family", found["family"]),
                **{
                    name: int(found[name])
                    for name in ("rows", "columns", "across", "down", "depth", "splits")
                    if found[name] is not None
                },
            )
            if made.is_sound and made.text == text:
                return made
        raise InputError(
            "kernel-candidate",
            f"{text!r} names no way to compute a kernel on a GPU.",
            "Candidates read like 'registers 8x8/4x1' or 'shared 4x4/8x8 k16'.",
        )

    @property
    def is_sound(self) -> bool:
        """Whether numbers make sense together, whatever the device."""
        sizes = (self.rows, self.columns, self.across, self.down, self.splits)
        return (
            min(sizes) >= 1
            and max(self.rows, self.columns) <= MOST["tile"]
            and self.threads <= MOST["threads"]
            and self.depth <= MOST["depth"]
            and self.splits <= MOST["splits"]
            and (self.depth > 0) == (self.family in {"shared", "matrix"})
            and (self.family != "dot" or self.across & (self.across - 1) == 0)
            and (self.family != "line" or self.rows == self.down == 1)
        )

    @property
    def threads(self) -> int:
        """Invocations of a workgroup; of ``lanes`` that is the subgroup, which it does not know."""
        return self.across * self.down

    @property
    def reuse(self) -> tuple[int, int]:
        """``(rows, columns)`` of outputs for which a right and a left number are loaded once."""
        return (1, 1) if self.family == "line" else (self.rows, self.columns)

    def block(self, subgroup: int) -> tuple[int, int]:
        """``(rows, columns)`` of outputs per workgroup.

        Args:
            subgroup: Invocations of a subgroup; matters for ``lanes``.
        """
        if self.family in {"dot", "matrix"}:
            return self.rows, self.columns
        if self.family == "lanes":
            return self.rows, self.columns * subgroup
        return self.rows * self.down, self.columns * self.across
