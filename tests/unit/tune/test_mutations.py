"""Each of the lab's mistakes on purpose is noticed by what judges kernels."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import pytest

import mutations
from tensorloom.execute.backend import drive
from tensorloom.execute.wasm.kernels import WasmKernels
from tensorloom.execute.wasm.trials import WasmTrials
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.disassembly import listing
from tensorloom.kernels.wasm.jit import Candidate, WasmDevice, jit_schedule
from tensorloom.kernels.wasm.modules import WasmFeatures, module_for
from tensorloom.plan.tree import ContractionTree
from tensorloom.tune import search
from tensorloom.tune.device import CpuFacts
from tensorloom.tune.search import Check, Option, Sample, Search, Verdict, Window
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from tensorloom.kernels.program import KernelSpec
    from tensorloom.model.recipe import DType

DEVICE = WasmDevice.typical(relaxed_simd=True)
DESKTOP = CpuFacts(vector_registers=16, l1_bytes=32_768)
KERNELS = ("packed 6x8 k256", "right 4x8", "unpacked 5x8", "packed 2x16 k256 turned")


def spec_of(dtype: DType = "float32") -> KernelSpec:
    """Columns of two legs whose order in the result is not that of the right operand."""
    tree = ContractionTree(
        inputs=(("i", "k"), ("k", "d", "e")),
        output=("i", "e", "d"),
        dimensions=(("i", 21), ("k", 30), ("d", 7), ("e", 7)),
        path=((0, 1),),
    )
    (spec,) = lower(tree, dtype).kernels
    assert len(spec.columns) == 2
    return spec


@pytest.fixture(scope="module")
def kernels() -> WasmKernels:
    return WasmKernels(WasmtimeHost(pages=1 << 11))


def verdict(kernels: WasmKernels, spec: KernelSpec, other: KernelSpec, text: str) -> Verdict:
    """What the check says of a kernel for one spec that was generated for another."""
    looks = count()
    trials = WasmTrials(spec, kernels, DEVICE, lambda: 1e-4 * next(looks))
    trials._ways[text] = jit_schedule(other, Candidate.parse(text), DEVICE)
    answer = drive(trials.answer(Check(text=text), _no_pause))
    assert isinstance(answer, Verdict), answer
    return answer


async def _no_pause() -> None:
    pass


@pytest.mark.parametrize("text", KERNELS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_the_reference_throws_out_wrong_kernels_and_no_right_one(
    kernels: WasmKernels, dtype: DType, text: str
) -> None:
    spec = spec_of(dtype)
    right = verdict(kernels, spec, spec, text)
    assert right.error <= right.bound
    for name, mutated in mutations.KERNELS.items():
        wrong = verdict(kernels, spec, mutated(spec), text)
        assert not wrong.error <= 100 * wrong.bound, name


def test_a_wrong_kernel_cannot_win_however_fast() -> None:
    found = Search([Option(text="wrong"), Option(text="right")], budget_ms=1e9)
    while (request := found.request) is not None:
        is_wrong = request.text == "wrong"
        if isinstance(request, Window):
            found.take(Sample(ms=1.0 if is_wrong else 2.0, spent_ms=1.0))
        else:
            found.take(Verdict(error=1.0 if is_wrong else 0.0, bound=1e-6, spent_ms=1.0))
    assert found.best is not None
    assert found.best.option.text == "right"
    assert {trial.option.text: trial.state for trial in found.trials}["wrong"] == "failed"


def chosen(agreeing: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whom a search takes that believes the last so many windows; engines begin slowly."""
    monkeypatch.setattr(search, "AGREEING", agreeing)
    windows = {"best": iter([9.0, 9.0, 4.0, 1.0, 1.0, 1.0]), "other": iter([2.0] * 9)}
    found = Search([Option(text=text) for text in windows], budget_ms=1e9)
    while (request := found.request) is not None:
        if isinstance(request, Window):
            found.take(Sample(ms=next(windows[request.text]), spent_ms=1.0))
        else:
            found.take(Verdict(error=0.0, bound=1.0, spent_ms=1.0))
    assert found.best is not None
    return found.best.option.text


def test_measuring_without_warming_up_takes_the_wrong_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert chosen(search.AGREEING, monkeypatch) == "best"
    assert chosen(1, monkeypatch) == "other"


@pytest.mark.parametrize("text", KERNELS)
def test_offsets_stay_in_instructions(text: str) -> None:
    way = jit_schedule(spec_of(), Candidate.parse(text), DEVICE)

    def carried() -> int:
        module = module_for(way.kernel, WasmFeatures(simd=True, relaxed_simd=True))
        return len(re.findall(r"v128\.load(?:\d+_splat)? offset=[1-9]", listing(module)))

    before = carried()
    assert before > 20
    with mutations.added_offsets():
        # A few come with what is not the inner loop.
        assert carried() < before / 10
    assert carried() == before


def test_added_offsets_give_the_same_numbers(kernels: WasmKernels) -> None:
    spec = spec_of()
    with mutations.added_offsets():
        found = verdict(kernels, spec, spec, KERNELS[0])
    assert found.error <= found.bound


def test_mutated_rules_leave_other_numbers() -> None:
    assert mutations.survivors_without_registers(DESKTOP) > 5
    assert mutations.survivors_by_area(DESKTOP) != 5
    assert mutations.survivors_by_area(replace(DESKTOP, l1_bytes=49_152)) != 5
