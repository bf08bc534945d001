"""How inputs are scaled so that what is made of them stays near 1, worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tensorloom.execute.gpu.half import balanced
from tensorloom.kernels.lower import lower
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from tensorloom.kernels.program import Program


def chain(*sizes: int) -> Program:
    """Matrices in a row, from the left to the right."""
    n = len(sizes) - 1
    tree = ContractionTree(
        inputs=tuple((f"i{k}", f"i{k + 1}") for k in range(n)),
        output=("i0", f"i{n}"),
        dimensions=tuple((f"i{k}", size) for k, size in enumerate(sizes)),
        path=((0, 1), *((n + k, k + 2) for k in range(n - 2))),
    )
    return lower(tree, "float32")


def test_one_product_is_brought_to_one() -> None:
    # Each is 4 = 2^3 / 2; of 16 products of 1/2 and 1/2 the sum is 4: two exponents more go out.
    arrays = [np.full((2, 16), 4.0, "f"), np.full((16, 2), 4.0, "f")]
    assert sum(balanced(chain(2, 16, 2), arrays)) == 3 + 3 + 2


def test_permutations_do_not_shrink() -> None:
    flip = np.array([[0, 1], [1, 0]], "f")
    shifts = balanced(chain(*[2] * 41), [flip] * 40)
    # What is made has a mean of 1, so its largest number is 2: after two flips and after forty.
    powers = -np.cumsum(shifts)
    assert powers[1] == powers[-1] == 1


def test_signs_make_sums_grow_by_the_root() -> None:
    signs = np.array([[1, -1], [-1, 1]], "f").repeat(8, axis=0).repeat(8, axis=1)
    # 1 is 2^1 / 2, and the root of 16 products is 4.
    assert sum(balanced(chain(16, 16, 16), [signs, signs])) == 1 + 1 + (2 - 2)
    assert sum(balanced(chain(16, 16, 16), [np.abs(signs), signs])) == 2


def test_numbers_leave_the_range_of_16_bits_for_no_aim() -> None:
    tiny = np.full((4, 4), 2.0**-100, "f")
    tiny[0, 0] = 1.0
    shifts = balanced(chain(4, 4, 4, 4), [tiny] * 3)
    assert all(abs(shift - 1) <= 12 for shift in shifts)


def test_nothing_and_infinity_are_left_alone() -> None:
    nothing, endless = np.zeros((2, 2), "f"), np.full((2, 2), np.inf, "f")
    assert balanced(chain(2, 2, 2), [nothing, nothing]) == [0, 0]
    assert balanced(chain(2, 2, 2), [endless, nothing]) == [0, 0]
