"""Predicted memory is what is taken, and what is the same in every slice is done once."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from memory_taken import Counting, ring, taken
from random_networks import random_arrays, random_tree
from tensorloom.errors import DeviceMemoryError
from tensorloom.execute import numpy_backend, numpy_kernels
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.run import prepare
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.execute.wasm.kernels import WasmKernels
from tensorloom.kernels.arena import place_buffers, small_runs
from tensorloom.kernels.lower import lower
from tensorloom.plan.cost import cost_of
from tensorloom.plan.plan import Plan
from tensorloom.plan.tree import ContractionTree
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType


def programs() -> Iterator[tuple[Program, list[NDArray[Any]]]]:
    """Networks of many kinds, half of them sliced."""
    trees = [random_tree(seed, sliced=seed % 2 == 1) for seed in range(150)]
    trees += [ring(48, 7), ring(48, 7, sliced=("i3",))]
    for seed, tree in enumerate(trees):
        program = lower(tree, "complex64")
        if program.dispatches:
            yield program, list(random_arrays(tree, "complex64", seed))


def test_the_wasm_engine_takes_what_was_predicted() -> None:
    kernels = WasmKernels(Counting())
    counted = 0
    for program, arrays in programs():
        given = sum(array.nbytes for array in arrays)
        assert given + taken(kernels, program, arrays) == program.peak_bytes
        counted += 1
    assert counted > 100


NUMPY_CASES: dict[str, tuple[str, dict[str, int], DType, tuple[str, ...]]] = {
    "operands copied": ("aijb,jcid->abcd", dict.fromkeys("abcdij", 30), "float32", ()),
    "one operand copied": ("ijkl,kljm->im", dict.fromkeys("ijklm", 36), "complex64", ()),
    "nothing copied": ("ij,jk->ik", {"i": 900, "j": 900, "k": 900}, "float64", ()),
    "scaled by rows": ("ij,jk,kl->", dict.fromkeys("ijkl", 700), "complex128", ()),
    "result turned": ("ij,jk->ki", {"i": 1200, "j": 50, "k": 1200}, "float64", ()),
    "result through a temporary": (
        "abi,ci->acb",
        {"a": 90, "b": 90, "c": 90, "i": 9},
        "float64",
        (),
    ),
    "long sums of batches": ("bik,bkj->bij", {"b": 40, "i": 10, "j": 10, "k": 3000}, "float64", ()),
    "a dot product": ("i,i->", {"i": 1_000_000}, "float64", ()),
    "a long sum across memory": ("ijk->j", {"i": 100, "j": 50, "k": 400}, "float64", ()),
    "a lone sum": ("ijk,jl->l", {"i": 100, "j": 50, "k": 400, "l": 50}, "float64", ()),
    "turned": ("ijk->ki", {"i": 100, "j": 50, "k": 400}, "float64", ()),
    "slices added up": ("ij,jk->ik", {"i": 700, "j": 4, "k": 700}, "float64", ("j",)),
    "slices of the result": ("ij,jk->ik", {"i": 900, "j": 700, "k": 8}, "float64", ("k",)),
}
"""Equation, dimensions, type and sliced indices of what numpy copies in different ways."""


def tree_of(
    equation: str, sizes: dict[str, int], *, sliced: tuple[str, ...] = ()
) -> ContractionTree:
    """The tensors of an equation one after the other."""
    inputs, output = equation.split("->")
    operands = tuple(tuple(names) for names in inputs.split(","))
    n = len(operands)
    steps = [(0, 1), *((n + step - 1, step + 1) for step in range(1, n - 1))]
    return ContractionTree(
        inputs=operands,
        output=tuple(output),
        dimensions=tuple(sizes.items()),
        path=tuple(steps[: n - 1]),
        sliced=sliced,
    )


def numpy_peak(program: Program, arrays: Sequence[NDArray[Any]]) -> int:
    """What numpy holds at once, the arrays given counted [bytes]."""
    tracemalloc.start()
    try:
        drive(NumpyBackend().run(program, arrays, no_pulse))
        return sum(array.nbytes for array in arrays) + tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# The second and third carry exponents, of inputs and of what is made of them.
@pytest.mark.parametrize("log10_size", [0.0, 0.65, -0.65])
@pytest.mark.parametrize("case", NUMPY_CASES.values(), ids=NUMPY_CASES.keys())
def test_numpy_takes_what_it_predicts(
    case: tuple[str, dict[str, int], DType, tuple[str, ...]], log10_size: float
) -> None:
    equation, sizes, dtype, sliced = case
    tree = tree_of(equation, sizes, sliced=sliced)
    program = lower(tree, dtype)
    size = 10 ** (log10_size * np.log10(np.finfo(dtype).max))
    arrays = [size * array for array in random_arrays(tree, dtype, 1)]
    arrays = [array.astype(dtype) for array in arrays]
    peak = numpy_peak(program, arrays)
    assert peak == pytest.approx(NumpyBackend().peak_bytes(program), rel=0.02)


def test_what_numpy_would_copy_beyond_its_limit_is_refused() -> None:
    tree = tree_of("aijb,jcid->abcd", dict.fromkeys("abcdij", 30))
    backend = NumpyBackend(limit_bytes=12_000_000)
    # Operands and result alone would fit.
    assert lower(tree, "float32").peak_bytes < backend.limit_bytes
    plan = Plan(tree=tree, cost=cost_of(tree), finder="greedy")
    with pytest.raises(DeviceMemoryError) as caught:
        prepare(plan, backends={"numpy": backend}, dtype="float32", backend="numpy")
    assert caught.value.values["neededBytes"] == str(5 * 4 * 30**4)


def test_copies_that_do_not_fit_are_sliced() -> None:
    tree = tree_of("ijkl,kljm->im", {"i": 40, "j": 40, "k": 40, "l": 20, "m": 40})
    program = lower(tree, "float64")
    backend = NumpyBackend(limit_bytes=program.peak_bytes * 11 // 10)
    assert backend.peak_bytes(program) > backend.limit_bytes
    plan = Plan(tree=tree, cost=cost_of(tree), finder="greedy")
    choice = prepare(plan, backends={"numpy": backend}, allow_slicing=True)
    attempt = choice.attempts[0]
    assert attempt.notes == (f"Cut into {attempt.program.n_slices} slices to fit 22.5 MB.",)
    peak = numpy_peak(attempt.program, random_arrays(tree, "float64", 1))
    assert peak <= 1.02 * attempt.peak_bytes <= 1.02 * backend.limit_bytes


@pytest.mark.parametrize("blas", [True, False])
def test_which_operands_numpy_copies_is_known(
    monkeypatch: pytest.MonkeyPatch, *, blas: bool
) -> None:
    monkeypatch.setattr(numpy_kernels, "NO_BLAS", not blas)
    monkeypatch.setattr(numpy_kernels, "MANY_PRODUCTS", 4)
    found = Counter[bool]()
    specs = {spec for program, _ in programs() for spec in program.kernels if not spec.unary}
    for spec in specs:
        for side in ("left", "right"):
            flat = np.ones(spec.reach(side), "complex64")
            made, _ = numpy_kernels._matrices(flat, spec, side, 0, 0)
            kept = numpy_kernels._operand_elements(spec, side, made.shape[2])[1]
            copied = not np.may_share_memory(made, flat)
            assert kept == (made.size if copied else 0)
            found[copied] += 1
    assert min(found[True], found[False]) > 20


def test_large_intermediates_are_packed_without_holes() -> None:
    names = "abcdefgh"
    dimensions = tuple(zip(names, (40, 8, 90, 33, 70, 12, 64, 25), strict=True))
    tree = ContractionTree(
        inputs=(("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f"), ("f", "g"), ("g", "h")),
        output=("a", "h"),
        dimensions=dimensions,
        path=((0, 1), (2, 3), (4, 5), (8, 9), (7, 10), (11, 6)),
    )
    program = lower(tree, "complex128")
    alive = most = 0
    sizes = [-(-16 * buffer.elements // 64) * 64 for buffer in program.buffers]
    for dispatch in program.dispatches:
        alive += sizes[dispatch.out] * (dispatch.out != program.result)
        most = max(most, alive)
        alive -= sum(sizes[buffer] for buffer in dispatch.frees)
    assert place_buffers(program, ())[1] == most


def test_what_is_the_same_in_every_slice_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = ring(6, 7, sliced=("i5",))
    program = lower(tree, "float64")
    # Matrices 0 to 3 do not meet i5: three steps are the same in all six slices.
    assert (program.n_slices, len(program.dispatches), program.prologue) == (6, 6, 3)
    work = [program.kernels[call.kernel].mul_adds for call in program.dispatches]
    assert program.mul_adds == sum(work[:3]) + 6 * sum(work[3:])
    assert small_runs(program) == ((0, 3), (3, 6))
    calls = 0
    inner = numpy_backend.run_kernel

    def counted(*given: Any, **named: Any) -> Iterator[int]:
        nonlocal calls
        calls += 1
        return inner(*given, **named)

    monkeypatch.setattr(numpy_backend, "run_kernel", counted)
    arrays = random_arrays(tree, "float64", 2)
    drive(NumpyBackend().run(program, arrays, no_pulse))
    assert calls == 3 + 6 * 3


def test_wasm_replays_what_is_common_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = ring(6, 7, sliced=("i5",))
    program = lower(tree, "float64")
    arrays = random_arrays(tree, "float64", 2)
    wanted = drive(NumpyBackend().run(lower(ring(6, 7), "float64"), arrays, no_pulse)).value
    backend = WasmBackend(WasmtimeHost())
    records: Counter[int] = Counter()
    inner = backend.kernels.run

    def counted(address: int, first: int, last: int, low: float, high: float) -> int:
        records[address] += last - first
        return inner(address, first, last, low, high)

    monkeypatch.setattr(backend.kernels, "run", counted)
    # Groups are made and proven for the second run.
    for expected in (3 + 6 * 3, None, 1 + 6):
        records.clear()
        found = drive(backend.run(program, arrays, no_pulse)).value
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
        # Others are trials of new kernels.
        assert expected in (None, max(records.values()))


@pytest.mark.parametrize("size", [1e-60, 1e60])
def test_exponents_of_the_common_part_are_carried(size: float) -> None:
    tree = ring(4, 24, sliced=("i20",))
    arrays = [size * array for array in random_arrays(tree, "float64", 5)]
    program = lower(tree, "float64")
    assert program.prologue > 10
    wasm = WasmBackend(WasmtimeHost())
    plain = drive(NumpyBackend().run(lower(ring(4, 24), "float64"), arrays, no_pulse))
    assert abs(plain.log10_scale) > 1000
    for backend in (NumpyBackend(), wasm, wasm):
        found = drive(backend.run(program, arrays, no_pulse))
        assert found.log10_scale == plain.log10_scale
        np.testing.assert_allclose(found.value, plain.value, rtol=1e-10)
