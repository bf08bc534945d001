"""Documents as files that run without Python."""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import TYPE_CHECKING

import numpy as np
import pytest

import mutations
from tensorloom.engine import contract_network
from tensorloom.errors import DocumentError
from tensorloom.execute.arrays import ArrayStore, arrays_of, stored_array
from tensorloom.execute.wasm.kernels import WasmKernels
from tensorloom.formats import opening
from tensorloom.kernels.wasm import fused as wasm_fused
from tensorloom.kernels.wasm.compiled import decode
from tensorloom.view.embed import embeddable, embedded
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from tensorloom.kernels.wasm.compiled import Compiled
    from tensorloom.kernels.wasm.element import WasmFeatures
    from tensorloom.kernels.wasm.fused import FusedKernel
    from tensorloom.model.document import Document


def opened(text: str) -> Document:
    return opening.open_text(text, format="einsum", name="", options={}).document


def test_a_file_holds_drawing_numbers_and_kernels_for_every_engine() -> None:
    document = opened("ij,jk,kl->il i=2 j=3 k=4 l=2")
    read = decode(embedded(embeddable(document), ArrayStore(), None))
    assert [program.relaxed_simd for program in read.programs] == [True, False]
    assert [tensor["indices"] for tensor in read.about["tensors"]] == [
        ["i", "j"],
        ["j", "k"],
        ["k", "l"],
    ]
    given = arrays_of(document.network, document.dtype, ArrayStore())
    for number, array in enumerate(given):
        stored = np.frombuffer(read.parts[f"input {number}"], document.dtype)
        assert np.array_equal(stored, array.ravel())
    assert read.programs[0].shape == contract_network(document).value.shape


def test_a_file_says_which_exponents_were_taken_out() -> None:
    arrays = [np.array([1e-50, 2e-50]), np.array([3.0, 4.0])]
    stored = [stored_array(array) for array in arrays]
    store = ArrayStore()
    recipes = [store.add(array) for array in stored]
    document = opened("i,i-> i=2")
    tensors = [
        replace(tensor, array=recipe)
        for tensor, recipe in zip(document.network.tensors, recipes, strict=True)
    ]
    network = replace(document.network, tensors=tuple(tensors))
    document = replace(document, network=network, dtype="float32")
    read = decode(embedded(embeddable(document), store, None))
    exponents = [tensor["exponent"] for tensor in read.about["tensors"]]
    assert exponents[1] == 0
    for number, array in enumerate(arrays):
        kept = np.frombuffer(read.parts[f"input {number}"], np.float32).astype(float)
        np.testing.assert_allclose(kept * 2.0 ** exponents[number], array, rtol=1e-7)


def test_a_file_says_what_rounding_may_do() -> None:
    document = opened("ij,jk,kl->il i=2 j=3 k=4 l=2")
    rounding = decode(embedded(embeddable(document), ArrayStore(), None)).about["rounding"]
    assert rounding["logSummed"] == pytest.approx(log(3 * 4))
    # 3 inputs; 3 products and one rounding more, then 4 and one more; twice that is the bound.
    assert rounding["plain"] == 2 * (3 + 4 + 5) * 2.0**-53


@pytest.mark.parametrize(
    ("text", "code"),
    [("ij->ij i=2 j=2", "embed-no-work"), ("ij,jk->ik i=2000 j=2000 k=2000", "embed-too-big")],
)
def test_what_cannot_be_embedded_is_refused(text: str, code: str) -> None:
    with pytest.raises(DocumentError) as caught:
        embeddable(opened(text))
    assert caught.value.code == code


CHAIN = "ij,jk,kl,lm->im i=2 j=3 k=4 l=5 m=2"


def programs(kernels: WasmKernels | None) -> list[Compiled]:
    return [*decode(embedded(embeddable(opened(CHAIN)), ArrayStore(), kernels)).programs]


def is_fused(program: Compiled) -> bool:
    assert bool(program.fused) == any(name.startswith("fused-") for name, _ in program.modules)
    return bool(program.fused)


def test_groups_that_are_proven_go_along() -> None:
    kernels = WasmKernels(WasmtimeHost())
    assert [is_fused(program) for program in programs(kernels)] == [True, True]
    assert kernels.report == []
    # Nothing keeps a place in the table of the page's own kernels.
    assert not kernels._users


def test_a_group_proven_in_the_page_is_not_proven_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = WasmKernels(WasmtimeHost(relaxed_simd=False))
    programs(kernels)
    asked: list[FusedKernel] = []
    monkeypatch.setattr(kernels, "proven", asked.append)
    # This engine cannot run what others with fused multiply-add would: no group of theirs goes.
    assert [is_fused(program) for program in programs(kernels)] == [False, True]
    assert asked == []


@pytest.mark.parametrize("name", ["one product too many", "operands exchanged"])
def test_a_wrong_group_does_not_go_along(name: str) -> None:
    kernels = WasmKernels(WasmtimeHost())
    with mutations.wrong_emitter(name):
        found = programs(kernels)
    assert [is_fused(program) for program in found] == [False, False]
    assert len(kernels.report) == 1
    assert found == programs(None)


def test_a_group_wrong_in_one_kind_of_engine_goes_along_for_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = wasm_fused.FusedKernel.module

    def module(kernel: FusedKernel, features: WasmFeatures) -> bytes:
        if features.relaxed_simd:
            return right(kernel, features)
        with mutations.wrong_emitter("one product too many"):
            return right(kernel, features)

    monkeypatch.setattr(wasm_fused.FusedKernel, "module", module)
    found = programs(WasmKernels(WasmtimeHost()))
    assert [(program.relaxed_simd, is_fused(program)) for program in found] == [
        (True, True),
        (False, False),
    ]
