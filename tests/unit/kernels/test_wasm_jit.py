"""Kernels generated for a shape: every family, type and kind of tile computes what numpy does."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.wasm import kernels as kernels_module
from tensorloom.execute.wasm.kernels import WasmKernels
from tensorloom.kernels.lone import lone_step
from tensorloom.kernels.lower import lower
from tensorloom.kernels.program import KernelSpec, LoopAxis
from tensorloom.kernels.wasm import jit_shape
from tensorloom.kernels.wasm.disassembly import listing
from tensorloom.kernels.wasm.jit import (
    MOST_CANDIDATES,
    Candidate,
    WasmDevice,
    jit_candidates,
    jit_ranking,
    jit_schedule,
)
from tensorloom.kernels.wasm.jit_shape import shape_of
from tensorloom.kernels.wasm.layout import LARGEST_BYTES, RECORD_FIELDS, WORKSPACE
from tensorloom.kernels.wasm.modules import WasmFeatures, module_for
from tensorloom.kernels.wasm.records import address, record_sheet, settled
from tensorloom.plan.tree import ContractionTree
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType

DTYPES: tuple[DType, ...] = ("float32", "float64", "complex64", "complex128")
FUSED = WasmDevice.typical(relaxed_simd=True)

# Sizes leave a rest in rows, columns and depth; batches, permuted and many axes, gates, dots.
CASES = {
    "matrices": ("ik,kj->ij", {"i": 13, "k": 17, "j": 19}),
    "turned": ("ki,jk->ji", {"i": 13, "k": 37, "j": 9}),
    "transposed": ("ik,jk->ij", {"i": 7, "k": 23, "j": 11}),
    "batch": ("bik,bkj->bij", {"b": 3, "i": 5, "k": 6, "j": 7}),
    "last": ("ikb,kjb->ijb", {"b": 5, "i": 3, "k": 4, "j": 6}),
    "few rows": ("ik,kj->ij", {"i": 4, "k": 700, "j": 21}),
    "permuted": ("efbad,cf->abcde", {"a": 3, "b": 4, "c": 5, "d": 3, "e": 2, "f": 6}),
    "six": ("gdab,efgc->abcdef", {"a": 3, "b": 2, "c": 3, "d": 4, "e": 2, "f": 3, "g": 5}),
    "gate": (
        "aibjc,klij->akblc",
        {"a": 3, "i": 2, "b": 5, "j": 2, "c": 4, "k": 2, "l": 2},
    ),
    "last gate": ("ai,ki->ak", {"a": 21, "i": 4, "k": 4}),
    "operator": ("xaby,bcad->xcdy", {"x": 5, "y": 6, "a": 3, "b": 2, "c": 4, "d": 3}),
    "outer": ("i,j->ij", {"i": 9, "j": 5}),
    "dot": ("ij,ij->", {"i": 4, "j": 9}),
    "deep": ("ik,kj->ij", {"i": 7, "k": 1001, "j": 9}),
    "deep axes": ("apqb,bqpc->ac", {"a": 7, "p": 29, "q": 5, "b": 6, "c": 9}),
}
TEXTS = (
    "unpacked 6x8",
    "right 5x8",
    "packed 6x8 k256",
    "packed 4x12 k32 turned",
    "stream 4x8 k8",
    "unpacked 3x16 k64 turned",
)


def program_of(name: str, dtype: DType) -> Program:
    equation, sizes = CASES[name]
    inputs, output = equation.split("->")
    tree = ContractionTree(
        inputs=tuple(tuple(names) for names in inputs.split(",")),
        output=tuple(output),
        dimensions=tuple(sorted(sizes.items())),
        path=((0, 1),),
    )
    return lower(tree, dtype)


def operands_of(program: Program) -> list[Any]:
    """Whole numbers: sums of their products are exact in every type."""
    rng = np.random.default_rng(7)
    made = []
    for buffer in program.buffers:
        if buffer.source is not None:
            array = rng.integers(-8, 9, (2, buffer.elements))
            values = array[0] + 1j * array[1] if program.dtype.startswith("complex") else array[0]
            made.append(values.astype(program.dtype))
    return made


@pytest.fixture(scope="module", params=(True, False), ids=("fused", "plain"))
def kernels(request: pytest.FixtureRequest) -> WasmKernels:
    return WasmKernels(WasmtimeHost(relaxed_simd=request.param))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_generated_kernels_compute_what_numpy_does(
    kernels: WasmKernels, name: str, dtype: DType
) -> None:
    equation, sizes = CASES[name]
    program = program_of(name, dtype)
    (spec,) = program.kernels
    arrays = operands_of(program)
    shaped = [
        array.reshape([sizes[letter] for letter in letters])
        for array, letters in zip(arrays, equation.split("->")[0].split(","), strict=True)
    ]
    wanted = np.einsum(equation, *shaped).reshape(-1)
    device = WasmDevice.typical(relaxed_simd=kernels.relaxed)
    ways = [jit_schedule(spec, Candidate.parse(text), device) for text in TEXTS]
    for way in (*ways, *jit_candidates(spec, device)[:1]):
        assert np.array_equal(kernels.once(program, way, arrays), wanted), way.kernel.name


def test_kernels_computed_in_parts_are_the_whole(kernels: WasmKernels) -> None:
    program = program_of("six", "float32")
    (spec,) = program.kernels
    arrays = [kernels.host.placed(array) for array in operands_of(program)]
    for text in TEXTS:
        way = jit_schedule(spec, Candidate.parse(text), FUSED)
        whole = kernels.once(program, way, arrays)
        sheet = record_sheet(program, relaxed=True, plans=[way])
        words = np.repeat(sheet.words, prod(way.extents), axis=0)
        for number, spot in enumerate(np.ndindex(way.extents)):
            for name, at in zip(("batch", "row", "column"), spot, strict=True):
                words[number, RECORD_FIELDS[f"{name}_start"] // 4] = at
                words[number, RECORD_FIELDS[f"{name}_stop"] // 4] = at + 1
        out = kernels.host.empty(whole.nbytes).view(whole.dtype)
        out[:] = np.nan
        descriptor = kernels.host.placed(sheet.descriptors)
        place = kernels.host.address
        left, right = arrays[::-1] if way.swapped else arrays
        given = {"slot": kernels.slot(way.kernel), "left": place(left), "right": place(right)}
        given |= {"out": place(out), "descriptor": place(descriptor)}
        given |= {"workspace": place(kernels.workspace), "check": 0}
        for name, value in given.items():
            words[:, RECORD_FIELDS[name] // 4] = value
        words = kernels.host.placed(words)
        kernels.run(place(words), 0, len(words), 0.0, float("inf"))
        assert np.array_equal(out, whole), text


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tile", ["1x1", "3x2"])
@pytest.mark.parametrize(
    ("equation", "sizes"),
    [
        ("i,i->", (7,)),
        ("ik,jk->ij", (4, 41, 5)),
        ("ik,jk->ji", (2, 64, 3)),
        ("bik,bjk->bij", (3, 2, 13, 3)),
        ("iabk,jbak->ij", (3, 3, 5, 18, 2)),
        ("iakb,jkab->ij", (3, 2, 4, 3, 5)),
    ],
)
def test_dot_products_are_those_of_numpy(
    kernels: WasmKernels, equation: str, sizes: tuple[int, ...], tile: str, dtype: DType
) -> None:
    names = "".join(dict.fromkeys(equation.replace(",", "").replace("->", "")))
    inputs, output = equation.split("->")
    tree = ContractionTree(
        inputs=tuple(tuple(part) for part in inputs.split(",")),
        output=tuple(output),
        dimensions=tuple(sorted(zip(names, sizes, strict=True))),
        path=((0, 1),),
    )
    program = lower(tree, dtype)
    arrays = operands_of(program)
    shapes = dict(zip(names, sizes, strict=True))
    wanted = np.einsum(
        equation,
        *(
            array.reshape([shapes[name] for name in part])
            for array, part in zip(arrays, inputs.split(","), strict=True)
        ),
    )
    for turned in ("", " turned"):
        way = jit_schedule(program.kernels[0], Candidate.parse(f"dot {tile}{turned}"), FUSED)
        made = kernels.once(program, way, arrays)
        assert np.array_equal(made, wanted.reshape(-1)), way.kernel.name
        scalars = made.view(made.real.dtype)
        at = WORKSPACE["largest"]
        kept = kernels.workspace[at : at + LARGEST_BYTES].view(scalars.dtype)
        assert kept.max() == np.abs(scalars).max()


@pytest.mark.parametrize(
    ("equation", "sizes", "proposed"),
    [
        ("ik,jk->ij", {"i": 3, "j": 4, "k": 500}, True),
        ("i,i->", {"i": 40}, True),
        # Nothing runs along both operands, or there are enough columns to fill vectors with.
        ("ik,kj->ij", {"i": 3, "j": 4, "k": 500}, False),
        ("ik,jk->ij", {"i": 30, "j": 40, "k": 500}, False),
        ("ik,jk->ij", {"i": 3, "j": 4, "k": 5}, False),
    ],
)
def test_dot_products_are_proposed_where_sums_run_along_both_operands(
    equation: str, sizes: dict[str, int], *, proposed: bool
) -> None:
    inputs, output = equation.split("->")
    tree = ContractionTree(
        inputs=tuple(tuple(part) for part in inputs.split(",")),
        output=tuple(output),
        dimensions=tuple(sorted(sizes.items())),
        path=((0, 1),),
    )
    (spec,) = lower(tree, "float32").kernels
    ways = jit_candidates(spec, FUSED)
    assert any("dot" in way.kernel.name for way in ways) == proposed
    if proposed:
        assert "dot" in ways[0].kernel.name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["permuted", "gate", "dot"])
def test_kernels_keep_the_largest_magnitude(kernels: WasmKernels, name: str, dtype: DType) -> None:
    program = program_of(name, dtype)
    (spec,) = program.kernels
    arrays = operands_of(program)
    for texts in (TEXTS, TEXTS[:2]):
        for text in texts:
            way = jit_schedule(spec, Candidate.parse(text), FUSED)
            assert way.keeps or "k" in text
            if not way.keeps:
                continue
            with np.errstate(invalid="ignore"):
                out = kernels.once(program, way, arrays)
            scalars = out.view(out.real.dtype)
            at = WORKSPACE["largest"]
            kept = kernels.workspace[at : at + LARGEST_BYTES].view(scalars.dtype)
            wanted = np.nan_to_num(np.abs(scalars), nan=0.0).max()
            assert kept.max() == wanted, text
        arrays[0][0] = np.nan


def test_the_driver_looks_at_what_is_kept(kernels: WasmKernels) -> None:
    program = program_of("six", "float32")
    (spec,) = program.kernels
    way = jit_schedule(spec, Candidate.parse("packed 6x8"), FUSED)
    arrays = [kernels.host.placed(array) for array in operands_of(program)]
    out = kernels.once(program, way, arrays)
    place = kernels.host.address
    sheet = record_sheet(program, relaxed=True, plans=[way])
    descriptors = kernels.host.placed(sheet.descriptors)
    slots = [kernels.slot(way.kernel)]
    words = settled(sheet, slots, place(descriptors), place(kernels.workspace))
    made = kernels.host.empty(out.nbytes).view(out.dtype)
    address(words, sheet, np.array([*map(place, arrays), place(made), 0], np.uint32))
    records = place(kernels.host.placed(words))
    largest = float(np.abs(out).max())
    assert kernels.run(records, 0, 1, largest, largest) == 1
    assert kernels.run(records, 0, 1, 0.0, 0.99 * largest) == -1
    assert kernels.run(records, 0, 1, 1.01 * largest, float("inf")) == -1
    kernels.release([way.kernel])


@pytest.mark.parametrize(
    "text", ["packed 6x8 k256", "unpacked 4x8", "stream 1x4 k8", "right 3x12 turned"]
)
def test_candidates_are_read_as_they_are_written(text: str) -> None:
    assert Candidate.parse(text).text == text


@pytest.mark.parametrize(
    "text", ["", "packed", "packed 6x8 k256 ", "ready 6x8", "packed 0x8", "packed 6x99", "dot 4"]
)
def test_other_texts_name_no_candidate(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not name|no engine keeps"):
        Candidate.parse(text)


def test_candidates_are_few_ranked_and_named_apart() -> None:
    for name in CASES:
        (spec,) = program_of(name, "float32").kernels
        ways = jit_candidates(spec, FUSED)
        assert 1 <= len(ways) <= MOST_CANDIDATES
        assert all(a.cycles <= b.cycles for a, b in pairwise(ways))
        assert len({way.kernel.name for way in ways}) == len(ways)
        assert all(spec.name in way.kernel.name for way in ways)


def test_columns_a_page_apart_cost_more_to_pack() -> None:
    def cycles(between: int) -> float:
        # Columns ``k * a`` elements apart, of which ``a`` lie between summed positions.
        tree = ContractionTree(
            inputs=(("i", "k"), ("j", "k", "a")),
            output=("a", "i", "j"),
            dimensions=(("a", between), ("i", 48), ("j", 48), ("k", 32)),
            path=((0, 1),),
        )
        (spec,) = lower(tree, "float32").kernels
        return jit_schedule(spec, Candidate.parse("right 6x8"), FUSED).cycles / between

    assert cycles(32) > 1.1 * cycles(33)


def test_unary_specs_have_no_generated_kernel() -> None:
    tree = ContractionTree(
        inputs=(("i", "j"),), output=("j", "i"), dimensions=(("i", 3), ("j", 4)), path=()
    )
    (spec,) = lower(tree, "float32").kernels
    assert jit_candidates(spec, FUSED) == ()


def test_tiles_cover_every_position_once() -> None:
    for name in CASES:
        (spec,) = program_of(name, "float32").kernels
        shape = shape_of(spec, Candidate.parse("packed 6x8 k16"))
        places = [
            base + row_base + column_base + row + column
            for base in shape.item_table[:, 2]
            for i, row_kind in enumerate(shape.rows.kinds)
            for row_base in shape.rows.table[shape.rows.starts[i] : shape.rows.starts[i + 1], 1]
            for j, kind in enumerate(shape.columns.kinds)
            for column_base in shape.columns.table[
                shape.columns.starts[j] : shape.columns.starts[j + 1], 1
            ]
            for row in row_kind.out
            for column in kind.out
        ]
        assert sorted(places) == list(range(0, 4 * prod(spec.extents[:3]), 4)), name
        depth = sum(int(steps) * shape.inner for *_, steps in shape.blocks.table)
        assert depth == spec.extents[3]
        # Counts are known without the tables, and agree with them.
        assert shape.items == len(shape.item_table)
        assert [len(cut.table) for cut in (shape.rows, shape.columns)] == [
            cut.starts[-1] for cut in (shape.rows, shape.columns)
        ]
        assert shape.blocks.count == len(shape.blocks.table)
        assert shape.inner * shape.blocks.steps == depth
        assert shape.depth == shape.inner * shape.blocks.table[:, 2].max()
        assert (shape.steps is not None) == (len({*shape.blocks.table[:, 2]}) == 1)


RANKED = {
    "matrices": ("right 6x8", "unpacked 6x8", "right 5x8"),
    "batch": ("unpacked 5x8", "right 5x8", "right 4x8"),
    "few rows": ("unpacked 4x8 k256", "stream 4x8 k8", "right 6x4 k256 turned"),
    "permuted": ("unpacked 5x8", "right 5x8", "packed 5x8 k256"),
    "six": ("right 6x8", "right 5x8", "right 4x8"),
    "gate": ("unpacked 4x8", "unpacked 2x16", "unpacked 3x12"),
    "operator": ("unpacked 6x8", "right 6x8", "right 2x16"),
    "dot": ("dot 1x1", "dot 1x1 turned", "right 1x4"),
    "deep": ("right 6x8 k256 turned", "right 5x8 k256 turned", "right 3x12 k256"),
    "deep axes": ("right 6x8 k256 turned", "right 5x8 k256 turned", "right 3x12 k256"),
}
"""The first three of each ranking: a faster way to rank may not rank otherwise."""


@pytest.mark.parametrize("name", RANKED)
def test_rankings_stay_what_they_are_and_make_no_tables(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (spec,) = program_of(name, "float32").kernels
    jit_shape._cut.cache_clear()
    # Only tables hold arrays.
    monkeypatch.delattr(jit_shape, "np")
    ranked = jit_ranking(spec, FUSED)
    assert tuple(candidate.text for candidate, _ in ranked[:3]) == RANKED[name]
    monkeypatch.undo()
    ways = jit_candidates(spec, FUSED)
    assert [(way.kernel.candidate, way.cycles) for way in ways] == list(ranked)


def test_a_wrong_generated_kernel_is_thrown_out(monkeypatch: pytest.MonkeyPatch) -> None:
    program = program_of("matrices", "float32")
    (spec,) = program.kernels
    way, other = (
        jit_schedule(spec, Candidate.parse(text), FUSED) for text in ("unpacked 6x8", "right 6x8")
    )
    engine = WasmKernels(WasmtimeHost())
    made = module_for(way.kernel, WasmFeatures())
    # Another lane of the sums: multiply-subtract where multiply-add belongs.
    broken = made.replace(b"\xfd\x85\x02", b"\xfd\x86\x02")
    assert broken != made
    monkeypatch.setattr(kernels_module, "module_for", lambda *_: broken)
    with pytest.raises(UnsupportedKernel, match="wrongly"):
        engine.slot(way.kernel)
    assert engine.n_slots == 0
    monkeypatch.undo()
    assert engine.slot(other.kernel) == 0


def test_slots_of_generated_kernels_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_module, "_MOST_IDLE", 2)
    program = program_of("dot", "float32")
    (spec,) = program.kernels
    engine = WasmKernels(WasmtimeHost())
    ways = [
        jit_schedule(spec, Candidate.parse(f"unpacked 1x4 k{depth}"), FUSED)
        for depth in range(8, 14)
    ]
    held = engine.slot(ways[0].kernel)
    for way in ways[1:]:
        engine.slot(way.kernel)
        engine.release([way.kernel])
    assert engine.n_slots == 3
    assert engine.slot(ways[0].kernel) == held
    engine.release([ways[0].kernel])
    assert engine.n_slots == 3, "one of two users still holds it"
    engine.release([ways[0].kernel])
    assert engine.n_slots == 2


def test_generated_code_can_be_read() -> None:
    (spec,) = program_of("permuted", "float32").kernels
    way = jit_schedule(spec, Candidate.parse("packed 6x8 k256"), FUSED)
    text = listing(module_for(way.kernel, WasmFeatures()))
    assert "f32x4.relaxed_madd" in text
    assert "v128.load32_splat" in text


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_long_sums_are_not_taken_for_wrong_ones(kernels: WasmKernels, dtype: DType) -> None:
    tree = ContractionTree(
        inputs=(("k",), ("k",)), output=(), dimensions=(("k", 600_000),), path=((0, 1),)
    )
    (spec,) = lower(tree, dtype).kernels
    ways = jit_candidates(spec, WasmDevice.typical(relaxed_simd=kernels.relaxed))
    assert len(ways) > 2
    for way in ways:
        # A kernel that fails its probe is refused.
        assert kernels.slot(way.kernel) >= 0
        kernels.release([way.kernel])


@pytest.mark.parametrize("dtype", DTYPES)
def test_dot_products_run_beside_sums_of_one_operand(kernels: WasmKernels, dtype: DType) -> None:
    spec = KernelSpec(
        dtype=dtype,
        rows=(LoopAxis(size=2, left=48, right=0, out=3),),
        columns=(LoopAxis(size=3, left=0, right=16, out=1),),
        contracted=(
            LoopAxis(size=16, left=1, right=1, out=0),
            LoopAxis(size=3, left=16, right=0, out=0),
        ),
    )
    program = lone_step(spec)
    left, right = operands_of(program)
    wanted = left.reshape(2, 3, 16).sum(axis=1) @ right.reshape(3, 16).T
    ways = jit_candidates(spec, WasmDevice.typical(relaxed_simd=kernels.relaxed))
    dots = [way for way in ways if way.kernel.name.partition("-dot-")[1]]
    assert dots
    for way in dots:
        assert np.array_equal(kernels.once(program, way, [left, right]), wanted.ravel())
