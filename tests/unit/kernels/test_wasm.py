"""WASM kernels against numpy: each form on each type, with and without fused multiply-add.

Random pairs are run in every way the schedule knows, not only the cheapest, so that a form cannot
be right merely because it is never chosen.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tensorloom.errors import UnsupportedKernel
from tensorloom.execute.wasm.kernels import WasmKernels
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.modules import WasmFeatures, driver_for, module_for
from tensorloom.kernels.wasm.schedule import Kernel, schedules
from tensorloom.plan.tree import ContractionTree
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorloom.kernels.wasm.arithmetic import LeftMode
    from tensorloom.kernels.wasm.schedule import Form
    from tensorloom.model.recipe import DType

DTYPES = ("float32", "float64", "complex64", "complex128")


@pytest.fixture(scope="module", params=[True, False], ids=["fused", "plain"])
def kernels(request: pytest.FixtureRequest) -> WasmKernels:
    """Kernels with and without fused multiply-add."""
    return WasmKernels(WasmtimeHost(relaxed_simd=request.param))


def random_array(shape: tuple[int, ...], dtype: str, seed: int) -> NDArray[Any]:
    generator = np.random.default_rng(seed)
    values = generator.standard_normal(shape)
    if dtype.startswith("complex"):
        values = values + 1j * generator.standard_normal(shape)
    return np.asarray(values).astype(dtype)


def assert_all_ways_agree(
    kernels: WasmKernels, equation: str, sizes: dict[str, int], dtype: str
) -> list[str]:
    """Every way to run an equation's kernel agrees with numpy; their names."""
    inputs, output = equation.split("->")
    names = [tuple(part) for part in inputs.split(",")]
    tree = ContractionTree(
        inputs=tuple(names),
        output=tuple(output),
        dimensions=tuple(
            (name, sizes[name]) for name in sorted({n for part in names for n in part})
        ),
        path=((0, 1),) if len(names) == 2 else (),
    )
    program = lower(tree, dtype)
    if len(program.kernels) != 1:
        return []
    arrays = [random_array(tuple(sizes[n] for n in part), dtype, i) for i, part in enumerate(names)]
    longer = np.complex128 if dtype.startswith("complex") else np.float64
    wanted = np.einsum(equation, *(array.astype(longer) for array in arrays))
    scale = np.einsum(equation, *(np.abs(array).astype(np.float64) for array in arrays))
    depth = max(1, program.mul_adds // max(1, wanted.size))
    bound = np.finfo(dtype).eps * (8 + depth) * scale + np.finfo(dtype).tiny
    used = []
    for way in schedules(program.kernels[0], relaxed=kernels.relaxed):
        got = kernels.once(program, way, arrays).reshape(wanted.shape)
        assert np.all(np.abs(got - wanted) <= bound), (equation, sizes, dtype, way.kernel.name)
        used.append(way.kernel.name)
    return used


def random_pair(seed: int) -> tuple[str, dict[str, int]]:
    """An equation of one or two operands over up to 6 indices, repeats and lone ones included."""
    draw = random.Random(seed)
    names = "abcdef"[: draw.randint(1, 6)]
    largest = draw.choice([3, 5, 9, 18])
    sizes = {name: draw.randint(1, largest) for name in names}
    if draw.random() < 0.3:
        sizes[names[0]] = draw.randint(1, 300)
    while np.prod(list(sizes.values())) > 30_000:
        longest = max(sizes, key=sizes.__getitem__)
        sizes[longest] //= 2

    def operand() -> str:
        picked = [name for name in names if draw.random() < 0.6]
        if picked and draw.random() < 0.15 and max(sizes.values()) < 20:
            picked.append(draw.choice(picked))
        draw.shuffle(picked)
        return "".join(picked)

    operands = [operand() for _ in range(1 if draw.random() < 0.2 else 2)]
    present = sorted(set("".join(operands)))
    output = [name for name in present if draw.random() < 0.6]
    draw.shuffle(output)
    return f"{','.join(operands)}->{''.join(output)}", sizes


def test_a_thousand_random_pairs_in_every_way(kernels: WasmKernels) -> None:
    seen: Counter[str] = Counter()
    for seed in range(1000):
        equation, sizes = random_pair(seed)
        dtype = DTYPES[seed % 4]
        seen.update(assert_all_ways_agree(kernels, equation, sizes, dtype))
    for dtype in DTYPES:
        for form in ("gemm", "line", "points", "run-splat", "run-unit", "sum-unit"):
            assert seen[f"{form}-{dtype}"] > 10, (form, dtype)
    assert seen["sum-splat-float64"] > 5
    assert sum(seen.values()) > 2000


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("equation", "sizes"),
    [
        ("ik,kj->ij", {"i": 100, "k": 3, "j": 7}),
        ("ik,kj->ij", {"i": 3, "k": 600, "j": 5}),
        ("ik,kj->ij", {"i": 2, "k": 3, "j": 2100}),
        ("ik,jk->ji", {"i": 97, "k": 257, "j": 33}),
        ("ki,kj->ij", {"i": 5, "k": 513, "j": 9}),
        ("bik,bkj->bij", {"b": 130, "i": 3, "k": 2, "j": 4}),
        ("bik,kjb->jib", {"b": 67, "i": 2, "k": 5, "j": 3}),
        ("i,j->ij", {"i": 70, "j": 65}),
        ("i,i->", {"i": 1000}),
        ("ij,ij->ij", {"i": 33, "j": 31}),
        ("ij,ji->ij", {"i": 33, "j": 131}),
        ("ij,ji->ij", {"i": 64, "j": 32}),
        ("ijk,kji->jik", {"i": 9, "j": 7, "k": 3}),
        ("ijz,zji->ijz", {"i": 2, "j": 150, "z": 3}),
        ("ij->ji", {"i": 32, "j": 64}),
        ("iij->j", {"i": 7, "j": 19}),
        ("ijkl->lj", {"i": 5, "j": 6, "k": 7, "l": 8}),
        ("aebf,dfce->abcd", {"a": 5, "b": 4, "c": 3, "d": 6, "e": 7, "f": 2}),
        ("abcde,edcba->", {"a": 2, "b": 3, "c": 4, "d": 5, "e": 6}),
        (",->", {}),
        ("a,->a", {"a": 9}),
    ],
)
def test_sizes_at_the_edges_of_blocks(
    kernels: WasmKernels, equation: str, sizes: dict[str, int], dtype: str
) -> None:
    """Blocks are 256 deep, up to 96 rows, 1024 columns; batches and positions go by 64."""
    assert assert_all_ways_agree(kernels, equation, sizes, dtype) != []


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_kernel_passes_its_probe(kernels: WasmKernels, dtype: DType) -> None:
    modes: tuple[tuple[Form, LeftMode], ...] = (
        ("gemm", "unit"),
        ("line", "unit"),
        ("points", "unit"),
        ("run", "splat"),
        ("run", "unit"),
        ("sum", "unit"),
    )
    slots = [kernels.slot(Kernel(form=form, dtype=dtype, mode=mode)) for form, mode in modes]
    assert len(set(slots)) == len(modes)
    if not dtype.startswith("complex"):
        assert kernels.slot(Kernel(form="sum", dtype=dtype, mode="splat")) not in slots


def test_a_wrong_kernel_does_not_agree(
    kernels: WasmKernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison above can fail: a result that is off by one part in a thousand does."""
    right = WasmKernels.once
    monkeypatch.setattr(WasmKernels, "once", lambda *args: right(*args) * 1.001)
    with pytest.raises(AssertionError):
        assert_all_ways_agree(kernels, "ik,kj->ij", {"i": 4, "k": 4, "j": 4}, "float64")


def test_without_simd_there_are_no_kernels() -> None:
    features = WasmFeatures(simd=False, relaxed_simd=False)
    for make in (
        lambda: driver_for(features),
        lambda: module_for(Kernel(form="gemm", dtype="float32"), features),
    ):
        with pytest.raises(UnsupportedKernel) as caught:
            make()
        assert caught.value.code == "wasm-no-simd"
        assert caught.value.message == "This browser engine has no WebAssembly SIMD."


@pytest.mark.parametrize(
    ("equation", "sizes", "name"),
    [
        ("ik,kj->ij", {"i": 64, "k": 64, "j": 64}, "gemm-float32"),
        ("i,j->ij", {"i": 64, "j": 64}, "run-splat-float32"),
        ("ij,ij->ij", {"i": 64, "j": 64}, "run-unit-float32"),
        ("ij,ij->", {"i": 64, "j": 64}, "sum-unit-float32"),
        ("ij->i", {"i": 64, "j": 64}, "sum-splat-float32"),
        ("ij->j", {"i": 64, "j": 64}, "run-splat-float32"),
        ("ij,ji->ij", {"i": 64, "j": 64}, "line-float32"),
        ("ij->ji", {"i": 3, "j": 5}, "line-float32"),
        ("ij->ji", {"i": 2, "j": 2}, "points-float32"),
        ("ik,k->i", {"i": 200, "k": 200}, "sum-unit-float32"),
        ("k,kj->j", {"j": 200, "k": 200}, "run-splat-float32"),
    ],
)
def test_the_cheapest_way_is_the_natural_one(
    equation: str, sizes: dict[str, int], name: str
) -> None:
    inputs, output = equation.split("->")
    tree = ContractionTree(
        inputs=tuple(tuple(part) for part in inputs.split(",")),
        output=tuple(output),
        dimensions=tuple(sizes.items()),
        path=((0, 1),) if "," in inputs else (),
    )
    (spec,) = lower(tree, "float32").kernels
    ways = schedules(spec, relaxed=True)
    assert min(ways, key=lambda way: way.cycles).kernel.name == name
