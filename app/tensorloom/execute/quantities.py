"""Bytes, counts and durations in words, for messages and the command line."""

from __future__ import annotations

__all__ = ["bytes_text", "count_text", "duration_text"]

_BYTES = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")
_THOUSAND = 1000
_POWER_FROM = 10**6
"""Counts from here on are written as a power of ten beside the exact number's size."""


def bytes_text(n_bytes: int) -> str:
    """Bytes in the largest fitting unit, decimal, three digits where the unit fits.

    Example:
        >>> bytes_text(1_234_567), bytes_text(37_779 * 10**18), bytes_text(10**30)
        ('1.23 MB', '37,779 EB', '1.00e+12 EB')
    """
    place = min(max(0, (len(str(n_bytes)) - 1) // 3), len(_BYTES) - 1)
    whole = n_bytes // 1000**place
    number = f"{n_bytes / 1000**place:.3g}" if whole < _THOUSAND else count_text(whole)
    return f"{number} {_BYTES[place]}"


def count_text(count: int) -> str:
    """An exact count, in thousands groups while that is readable, else as a power of ten.

    Example:
        >>> count_text(65_536), count_text(3 * 10**20)
        ('65,536', '3.00e+20')
    """
    if count < _POWER_FROM:
        return f"{count:,}"
    digits = str(count)
    return f"{int(digits[:4]) / 1000:.2f}e+{len(digits) - 1:02d}"


def duration_text(ms: float) -> str:
    """A duration in the unit a reader would choose.

    Example:
        >>> duration_text(0.25), duration_text(45.2), duration_text(6500), duration_text(7_500_000)
        ('0.25 ms', '45.2 ms', '6.5 s', '2.08 h')
    """
    for limit, divisor, unit in ((1e3, 1, "ms"), (1.2e5, 1e3, "s"), (7.2e6, 6e4, "min")):
        if ms < limit:
            return f"{ms / divisor:.3g} {unit}"
    return f"{ms / 3.6e6:.3g} h"
