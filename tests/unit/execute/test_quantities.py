"""Numbers in words, at the borders between units."""

from __future__ import annotations

import pytest

from tensorloom.execute.quantities import bytes_text, count_text, duration_text


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (2_345_678, "2.35 MB"),
        (10**40, "1.00e+22 EB"),
    ],
)
def test_bytes(n_bytes: int, text: str) -> None:
    assert bytes_text(n_bytes) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(7, "7"), (999_999, "999,999"), (10**6, "1.00e+06"), (12_345 * 10**30, "1.23e+34")],
)
def test_counts(count: int, text: str) -> None:
    assert count_text(count) == text


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0.5, "0.5 ms"), (1500, "1.5 s"), (180_000, "3 min"), (9e6, "2.5 h"), (3.6e11, "1e+05 h")],
)
def test_durations(ms: float, text: str) -> None:
    assert duration_text(ms) == text
