"""The arena: places are reused, and never shared by two tensors that live at once."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from chains import chain
from random_networks import random_tree
from tensorloom.kernels.arena import place_buffers
from tensorloom.kernels.lower import lower
from tensorloom.model.stored_array import ITEM_BYTES
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from tensorloom.kernels.program import Program


def test_a_chain_of_equal_matrices_needs_two_places() -> None:
    offsets, total = place_buffers(lower(chain([4] * 8), "float64"))
    # Each intermediate has 128 bytes; the last one, the result, lies elsewhere.
    assert offsets[7:] == (0, 128, 0, 128, 0, 0)
    assert total == 256


def test_places_are_whole_cache_lines_and_the_last_one_grows() -> None:
    offsets, total = place_buffers(lower(chain([1, 1, 9, 3, 5, 20, 1]), "float64"))
    # Rows of 9, 3, 5 and 20 numbers: 72, 24, 40 and 160 bytes. The last finds 128 free at the end.
    assert offsets[6:] == (0, 128, 0, 64, 0)
    assert total == 64 + 192


def assert_nothing_overlaps(program: Program) -> int:
    """No two tensors that live at once share a byte; how many lived."""
    offsets, total = place_buffers(program)
    item = ITEM_BYTES[program.dtype]
    live: dict[int, tuple[int, int]] = {}
    for dispatch in program.dispatches:
        if dispatch.out != program.result:
            start = offsets[dispatch.out]
            stop = start + program.buffers[dispatch.out].elements * item
            assert 0 <= start < stop <= total
            assert all(stop <= a or b <= start for a, b in live.values())
            live[dispatch.out] = (start, stop)
        for buffer in dispatch.frees:
            del live[buffer]
    return len(program.dispatches)


def test_random_networks_share_nothing() -> None:
    assert sum(assert_nothing_overlaps(lower(random_tree(n), "float32")) for n in range(300)) > 500


def test_the_arena_is_no_larger_than_all_intermediates() -> None:
    for seed in range(100):
        program = lower(random_tree(seed), "complex64")
        whole = sum(-(-buffer.elements * 8 // 64) * 64 for buffer in program.buffers)
        assert place_buffers(program)[1] <= whole


def test_no_work_needs_no_arena() -> None:
    tree = ContractionTree(inputs=(), output=(), dimensions=(), path=())
    program = lower(tree, "float32")
    assert prod(program.shape) == 1
    assert place_buffers(program)[1] == 0
