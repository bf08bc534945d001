"""The range in which magnitudes are left alone; beyond it exponents are carried apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tensorloom.model.recipe import DType

__all__ = ["SAFE_LOG2"]

SAFE_LOG2: Mapping[DType, int] = {
    "float32": 40,
    "complex64": 40,
    "float64": 400,
    "complex128": 400,
}
"""Largest magnitudes between 2**-s and 2**s are left alone.

float32: the largest product is at least 2**-80, so parts 46 binary digits below it, beyond the 24
that count, are still normal numbers; and 2**80 leaves room for sums of 2**47 products.
"""
