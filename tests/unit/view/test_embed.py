"""Documents as files that run without Python."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tensorloom.engine import contract_network
from tensorloom.errors import DocumentError
from tensorloom.execute.arrays import ArrayStore, arrays_of
from tensorloom.formats import opening
from tensorloom.kernels.wasm.compiled import decode
from tensorloom.view.embed import embedded

if TYPE_CHECKING:
    from tensorloom.model.document import Document


def opened(text: str) -> Document:
    return opening.open_text(text, format="einsum", name="", options={}).document


def test_a_file_holds_drawing_numbers_and_kernels_for_every_engine() -> None:
    document = opened("ij,jk,kl->il i=2 j=3 k=4 l=2")
    read = decode(embedded(document, ArrayStore()))
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


def test_a_file_says_what_rounding_may_do() -> None:
    document = opened("ij,jk,kl->il i=2 j=3 k=4 l=2")
    rounding = decode(embedded(document, ArrayStore())).about["rounding"]
    assert rounding["logSummed"] == pytest.approx(log(3 * 4))
    # 3 inputs; 3 products and one rounding more, then 4 and one more; twice that is the bound.
    assert rounding["plain"] == 2 * (3 + 4 + 5) * 2.0**-53


@pytest.mark.parametrize(
    ("text", "code"),
    [("ij->ij i=2 j=2", "embed-no-work"), ("ij,jk->ik i=2000 j=2000 k=2000", "embed-too-big")],
)
def test_what_cannot_be_embedded_is_refused(text: str, code: str) -> None:
    with pytest.raises(DocumentError) as caught:
        embedded(opened(text), ArrayStore())
    assert caught.value.code == code
