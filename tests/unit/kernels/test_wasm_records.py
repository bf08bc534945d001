"""Records: big kernels are cut into pieces that together do exactly the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from random_networks import random_tree
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.layout import RECORD_BYTES, RECORD_FIELDS
from tensorloom.kernels.wasm.records import (
    PIECE_CYCLES,
    address,
    check_of,
    record_sheet,
    settled,
)
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from tensorloom.kernels.program import Program

RANGES = ("batch", "row", "column")


def column(name: str) -> int:
    return RECORD_FIELDS[name] // 4


def product(b: int, i: int, k: int, j: int) -> Program:
    tree = ContractionTree(
        inputs=(("b", "i", "k"), ("b", "k", "j")),
        output=("b", "i", "j"),
        dimensions=(("b", b), ("i", i), ("k", k), ("j", j)),
        path=((0, 1),),
    )
    return lower(tree, "float32")


@pytest.mark.parametrize(
    ("b", "i", "k", "j"),
    [(1, 3000, 3000, 3000), (700, 128, 128, 128), (2, 2000, 2000, 2000), (1, 50, 4_000_000, 50)],
)
def test_blocks_cover_a_big_kernel_exactly_once(b: int, i: int, k: int, j: int) -> None:
    sheet = record_sheet(product(b, i, k, j), relaxed=True)
    seen: set[tuple[int, ...]] = set()
    covered = 0
    for words in sheet.words:
        ranges = [(words[column(f"{n}_start")], words[column(f"{n}_stop")]) for n in RANGES]
        assert all(start < stop for start, stop in ranges)
        corner = tuple(int(start) for start, _ in ranges)
        assert corner not in seen
        seen.add(corner)
        covered += int(np.prod([int(stop) - int(start) for start, stop in ranges]))
    assert covered == b * i * j
    assert sheet.done[-1] == b * i * j * k


def test_pieces_are_small_enough_to_stop_between_them() -> None:
    sheet = record_sheet(product(1, 3000, 3000, 3000), relaxed=True)
    assert len(sheet.pieces) > 50
    assert sheet.cycles / len(sheet.pieces) <= PIECE_CYCLES
    assert [first for first, _ in sheet.pieces[1:]] == [last for _, last in sheet.pieces[:-1]]
    assert (sheet.pieces[0][0], sheet.pieces[-1][1]) == (0, len(sheet.words))
    assert list(sheet.done) == sorted(set(sheet.done))


def test_only_the_last_record_of_a_kernel_call_is_checked() -> None:
    sheet = record_sheet(product(1, 3000, 3000, 3000), relaxed=True)
    checks = sheet.words[:, column("check")].tolist()
    assert checks == [0] * (len(checks) - 1) + [1]
    assert sheet.words[-1, column("check_bytes")] == 3000 * 3000 * 4


def test_the_work_of_random_programs_is_exact() -> None:
    for seed in range(200):
        program = lower(random_tree(seed), "complex128")
        sheet = record_sheet(program, relaxed=False)
        if program.dispatches:
            assert sheet.done[-1] == program.mul_adds // program.n_slices
        assert len(sheet.words) == len(program.dispatches)


def test_hundreds_of_kernels_share_a_few_modules() -> None:
    names = {
        kernel.name
        for seed in range(300)
        for kernel in record_sheet(lower(random_tree(seed), "float32"), relaxed=True).kernels
    }
    assert names <= {
        f"{form}-float32"
        for form in ("gemm", "line", "points", "run-splat", "run-unit", "sum-splat", "sum-unit")
    }


def test_addresses_are_filled_in() -> None:
    sheet = record_sheet(product(1, 2, 3, 4), relaxed=True)
    words = settled(sheet, [5], 4096, 8192)
    address(words, sheet, np.array([100, 200, 300, 400], np.uint32))
    (row,) = words
    assert words.strides == (RECORD_BYTES, 4)
    assert row[column("slot")] == 5
    assert row[column("descriptor")] == 4096
    assert row[column("workspace")] == 8192
    operands = sorted(row[column("left") : column("right") + 1].tolist())
    assert operands == [100, 200]
    assert row[column("out")] == 300


def test_checks_look_at_parts_of_complex_numbers() -> None:
    names = ("float32", "complex64", "float64", "complex128")
    assert [check_of(name) for name in names] == [1, 1, 2, 2]
