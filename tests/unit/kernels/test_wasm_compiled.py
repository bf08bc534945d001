"""Compiled programs: their file, and how their records are shared out."""

from __future__ import annotations

import base64
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from random_networks import random_tree
from tensorloom.errors import DocumentError
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.compiled import compiled, decode, encode
from tensorloom.kernels.wasm.element import WasmFeatures
from tensorloom.kernels.wasm.jit import Candidate, WasmDevice, jit_schedule
from tensorloom.kernels.wasm.layout import (
    CHECK_KEPT,
    CHECK_SINGLE,
    LARGEST_BYTES,
    RECORD_BYTES,
    RECORD_FIELDS,
)
from tensorloom.kernels.wasm.records import record_sheet
from tensorloom.kernels.wasm.shares import Shares, alone, shared_out
from tensorloom.plan.tree import ContractionTree

if TYPE_CHECKING:
    from tensorloom.kernels.program import Program

GOLDEN = Path(__file__).parents[2] / "golden" / "compiled"
PLAIN = WasmFeatures(simd=True, relaxed_simd=False)
CHECK, CHECK_BYTES = RECORD_FIELDS["check"] // 4, RECORD_FIELDS["check_bytes"] // 4


def product(b: int, m: int, n: int, k: int) -> Program:
    tree = ContractionTree(
        inputs=(("b", "i", "k"), ("b", "k", "j")),
        output=("b", "i", "j"),
        dimensions=(("b", b), ("i", m), ("k", k), ("j", n)),
        path=((0, 1),),
    )
    return lower(tree, "float32")


def golden(name: str) -> bytes:
    return base64.b64decode((GOLDEN / f"{name}.b64").read_text())


@pytest.mark.parametrize("seed", range(20))
def test_a_file_holds_what_was_put_into_it(seed: int) -> None:
    program = lower(random_tree(seed), "complex64")
    made = [compiled(program, PLAIN), compiled(program, WasmFeatures(), threads=2)]
    read = decode(encode(made, {"title": "a"}, {"input 0": b"abc", "input 1": b""}))
    assert list(read.programs) == made
    assert (read.about, read.parts) == ({"title": "a"}, {"input 0": b"abc", "input 1": b""})


@pytest.mark.parametrize("name", ["chain", "huge", "prologue", "sliced", "vanishing"])
def test_golden_files_are_read(name: str) -> None:
    read = decode(golden(name))
    assert len(read.programs) == 1
    inputs = {f"input {number}" for number in range(read.programs[0].inputs)}
    assert set(read.parts) == {*inputs, "value"}


@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_the_same_in_every_slice_is_groups_of_its_own(threads: int) -> None:
    tree = ContractionTree(
        inputs=(("i", "j"), ("j", "k"), ("k", "s"), ("s", "i"), ("i", "s")),
        output=("k",),
        dimensions=(("i", 140), ("j", 150), ("k", 160), ("s", 3)),
        path=((0, 1), (2, 3), (6, 4), (5, 7)),
        sliced=("s",),
    )
    program = lower(tree, "float32")
    assert program.prologue == 1
    made = compiled(program, PLAIN, threads=threads)
    dispatches = np.frombuffer(made.dispatches, "<u4")
    same = [set(dispatches[first:last] < 1) for first, last, _, _ in made.groups]
    assert same == [{True}] * made.once + [{False}] * (len(made.groups) - made.once)
    assert made.groups[0][2] == (threads == 2)
    first = 140 * 150 * 160
    each = (program.mul_adds - first) // 3
    told = [made.slices_done(done) for done in (0, first, first + each - 1, first + each)]
    assert told == [0, 0, 0, 1]
    assert made.slices_done(program.mul_adds) == 3


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda data: data[:-1], r"It has \d+ bytes where \d+ belong\."),
        (lambda data: data[:-20] + bytes([data[-20] ^ 1]) + data[-19:], "do not belong together"),
        (lambda data: b"PK" + data[2:], "does not begin"),
        (lambda _: b"", "does not begin"),
    ],
)
def test_a_damaged_file_is_refused(damage: object, why: str) -> None:
    assert callable(damage)
    with pytest.raises(DocumentError, match=why) as caught:
        decode(damage(golden("chain")))
    assert caught.value.code == "compiled-corrupt"


def test_a_newer_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tensorloom.kernels.wasm.compiled.VERSION", 7)
    newer = encode(decode(golden("chain")).programs)
    monkeypatch.undo()
    with pytest.raises(
        DocumentError, match="has version 7; this Tensorloom reads up to 1"
    ) as caught:
        decode(newer)
    assert caught.value.code == "compiled-newer"


def covered(shares: Shares, extents: tuple[int, int, int]) -> np.ndarray:
    """How often each position of a kernel call is computed."""
    seen = np.zeros(extents, int)
    columns = [RECORD_FIELDS[f"{name}_start"] // 4 for name in ("batch", "row", "column")]
    for words in shares.words:
        b, r, c = (slice(int(words[at]), int(words[at + 1])) for at in columns)
        seen[b, r, c] += 1
    return seen


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize(
    "extents", [(1, 257, 193, 311), (1, 8, 2048, 2048), (64, 64, 64, 64), (1, 64, 64, 8192)]
)
def test_shared_records_cover_a_call_once(extents: tuple[int, int, int, int], threads: int) -> None:
    program = product(*extents)
    sheet = record_sheet(program, relaxed=False)
    shares = shared_out(sheet, program, threads)
    ranges = sheet.words[:, RECORD_FIELDS["batch_start"] // 4 :][:, 1:6:2].max(axis=0)
    whole = (int(ranges[0]), int(ranges[1]), int(ranges[2]))
    assert (covered(shares, whole) == 1).all()
    assert shares.groups[0].shared
    assert shares.groups[-1].done == program.mul_adds
    edges = [edge for group in shares.groups for edge in (group.first, group.last)]
    assert edges[0] == 0
    assert edges[-1] == len(shares.words)
    assert edges[1:-1:2] == edges[2::2]


def test_magnitudes_of_a_shared_call_are_looked_at_once() -> None:
    program = product(1, 512, 512, 64)
    shares = shared_out(record_sheet(program, relaxed=False), program, 2)
    looked = [
        (int(offset), int(words[CHECK_BYTES]))
        for words, offset in zip(shares.words, shares.out_offsets, strict=True)
        if words[CHECK_BYTES]
    ]
    assert sum(size for _, size in looked) == 512 * 512 * 4
    assert [start for start, _ in looked] == list(
        np.cumsum([0, *(size for _, size in looked[:-1])])
    )


def test_kernels_that_keep_their_magnitudes_have_them_looked_at_part_by_part() -> None:
    program = product(1, 512, 512, 64)
    device = WasmDevice.typical(relaxed_simd=True)
    way = jit_schedule(program.kernels[0], Candidate.parse("right 6x8"), device)
    shares = shared_out(record_sheet(program, relaxed=True, plans=[way]), program, 2)
    assert len(shares.groups) == 1
    assert shares.groups[0].shared
    checks = {(int(words[CHECK]), int(words[CHECK_BYTES])) for words in shares.words}
    assert checks == {(CHECK_SINGLE | CHECK_KEPT, LARGEST_BYTES)}


def test_magnitudes_of_long_calls_are_looked_at_in_the_end() -> None:
    # Its groups are replayed one by one: a part alone must not ask for new exponents.
    program = product(40, 1024, 1024, 64)
    device = WasmDevice.typical(relaxed_simd=True)
    way = jit_schedule(program.kernels[0], Candidate.parse("right 6x8"), device)
    shares = shared_out(record_sheet(program, relaxed=True, plans=[way]), program, 2)
    assert len(shares.groups) > 2
    checks = shares.words[:, CHECK]
    assert set(checks.tolist()) == {0, CHECK_SINGLE}
    assert shares.words[checks == CHECK_SINGLE, CHECK_BYTES].sum() == 40 * 1024 * 1024 * 4
    last = shares.groups[-1]
    assert not checks[: last.first].any()


def test_items_that_share_cache_lines_stay_together() -> None:
    tree = ContractionTree(
        inputs=(("i", "k", "b"), ("k", "j", "b")),
        output=("i", "j", "b"),
        dimensions=(("b", 520), ("i", 16), ("j", 16), ("k", 40)),
        path=((0, 1),),
    )
    program = lower(tree, "float32")
    shares = shared_out(record_sheet(program, relaxed=False), program, 2)
    starts = shares.words[:, RECORD_FIELDS["batch_start"] // 4]
    assert len(set(starts.tolist())) > 1
    assert not (starts % 16).any()


def test_small_calls_are_not_shared() -> None:
    program = product(1, 64, 64, 64)
    sheet = record_sheet(program, relaxed=False)
    assert not any(group.shared for group in shared_out(sheet, program, 2).groups)


def test_one_thread_replays_the_sheet_as_it_is() -> None:
    program = product(1, 700, 700, 700)
    sheet = record_sheet(program, relaxed=False)
    shares = shared_out(sheet, program, 1)
    assert shares.words.tobytes() == alone(sheet).words.tobytes() == sheet.words.tobytes()
    assert [(group.first, group.last) for group in shares.groups] == list(sheet.pieces)


def test_long_calls_breathe_between_groups() -> None:
    program = product(1, 4096, 4096, 4096)
    shares = shared_out(record_sheet(program, relaxed=False), program, 2)
    groups = [group for group in shares.groups if group.shared]
    assert len(groups) > math.log2(program.mul_adds) / 2
    assert len(shares.words) * RECORD_BYTES < 1 << 20
