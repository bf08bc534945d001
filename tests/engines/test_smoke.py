"""A stranger's first five minutes in Firefox and in WebKitGTK, on the built site.

Numbers are compared with numpy here, never with another run of the page.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engines.abilities import ABLE
from engines.engine import WIDTH
from engines.story import EMPTY
from statevector import simulate
from tensorloom.engine import contract_network
from tensorloom.model.codec import from_json
from tensorloom.view.engine import STAND_INS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engines.story import Story

pytestmark = pytest.mark.engines

RIM = 24
"""From a circle's centre to where its rim is pulled, at zoom 1 [px]."""

CIRCUIT = """
OPENQASM 2.0;
include "qelib1.inc";
qreg q[5];
h q[0];
cx q[0], q[1];
rx(0.4) q[2];
cu3(0.3, -0.8, 1.9) q[1], q[3];
ccx q[0], q[2], q[4];
u3(1.1, 0.2, -0.7) q[4];
swap q[3], q[4];
"""

TERMS = 70
"""No kind below sums more: a bound on the growth of rounding errors."""

KINDS = [
    ("ij,jk->ik", [(33, 70), (70, 29)]),
    ("ji,kj->ki", [(64, 48), (16, 64)]),
    ("bij,bkj->bik", [(5, 9, 31), (5, 8, 31)]),
    ("i,j->ij", [(37,), (21,)]),
    ("i,i->", [(67,), (67,)]),
    ("ij,j->i", [(41, 66), (66,)]),
    ("iij,jk->ik", [(7, 7, 9), (9, 5)]),
    ("ij,ij,jk->ik", [(6, 11), (6, 11), (11, 4)]),
    ("efbad,cf->abcde", [(4, 7, 3, 5, 6), (9, 7)]),
    ("abcd,edbf->fcae", [(3, 4, 2, 5), (6, 5, 4, 3)]),
    ("aib,cid,bjd->acj", [(4, 2, 8), (4, 2, 8), (8, 2, 8)]),
    ("abcdefgh,xybf->axcdeygh", [(2,) * 8, (2, 2, 2, 2)]),
]
"""Equations and shapes: edges of tiles, all layouts, batches, outer products, dots, hyperindices,
diagonals, many indices, a site of an MPS, a gate."""


def test_the_start_says_in_words_what_is_done(story: Story) -> None:
    words = [said.message for said in story.said if said.message]
    assert words
    assert not any(said.failed for said in story.said)
    fractions = [said.fraction for said in story.said]
    assert fractions == sorted(fractions)
    fetched = [re.fullmatch(r"Fetching Python, ([\d.]+) of ([\d.]+) MB", word) for word in words]
    parts = [(float(found[1]), float(found[2])) for found in fetched if found]
    assert parts[-1][0] == parts[-1][1] > 5
    assert all(part <= whole for part, whole in parts)
    others = {word for word, found in zip(words, fetched, strict=True) if not found}
    known = {"Starting", "Restoring Python", "Unpacking", "Importing the workbench", "Linking"}
    assert others <= known
    assert story.said[-1].message == ""
    assert story.texts("#tl-progress") == [""]


def test_the_workbench_is_there_before_python(story: Story) -> None:
    before = [said for said in story.said if said.message]
    assert before[-1].drawn == 18
    assert len(story.texts(".tl-mark-drawn")) == 18
    assert story.live()["scalar"] is not None


def test_a_bond_is_drawn_by_mouse_and_its_value_is_numpys(story: Story) -> None:
    story.open(format="document", text=json.dumps(EMPTY))
    for place in ((400, 300), (600, 300)):
        story.engine.click(story.centre(".tl-tool"))
        story.engine.click(place)
        story.settle()
    a, b = story.tensor("A"), story.tensor("B")
    assert (a, b) == (pytest.approx((400, 300), abs=1), pytest.approx((600, 300), abs=1))
    story.engine.drag((a[0] + RIM, a[1]), (b[0] - RIM, b[1]))
    assert story.equation() == "i,i->"
    shown = story.live()
    document = story.document()
    wanted = contract_network(from_json(document), backend="numpy")
    assert shown["backend"] == "wasm"
    assert shown["scalar"] == pytest.approx([float(wanted.value), 0], rel=1e-13)


def test_a_circuit_in_complex128_agrees_with_numpy(story: Story) -> None:
    document = story.open(format="qasm", text=CIRCUIT, output="state")
    story.settle()
    assert len(story.texts(".tl-mark-drawn")) >= len(document["tensors"])
    found = story.run(backend="wasm", dtype="complex128")
    assert (found["backend"], found["dtype"], found["notes"]) == ("wasm", "complex128", [])
    np.testing.assert_allclose(unpacked(found), simulate(CIRCUIT), rtol=0, atol=1e-12)


def test_a_result_is_looked_into(story: Story) -> None:
    story.open(format="qasm", text=CIRCUIT, output="state")
    story.engine.evaluate("() => tensorloomStore.select({})")
    story.live()
    inspection = story.engine.evaluate("() => tensorloomStore.get().inspection")
    assert inspection["tensor"] is None
    assert story.texts(".tl-inspection .tl-note") == []
    assert len(story.texts(".tl-roles li")) == 5


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_a_product_of_matrices_agrees_with_numpy(story: Story, dtype: str) -> None:
    generator = np.random.default_rng(7)
    shapes = [(17, 23), (23, 9), (9, 17, 5)]
    arrays = [generator.normal(size=(*shape, 2)).view(complex)[..., 0] for shape in shapes]
    operands = [array if dtype == "complex128" else array.real for array in arrays]
    packed = [
        {"shape": list(array.shape), "dtype": dtype, "data": flat(array)} for array in operands
    ]
    text = "ij,jk,kil->jl"
    story.open(format="einsum", text=text, arrays=packed)
    found = story.run(backend="wasm")
    wanted = np.einsum(text, *operands)
    assert (found["backend"], found["dtype"], found["notes"]) == ("wasm", dtype, [])
    np.testing.assert_allclose(
        unpacked(found), wanted, rtol=0, atol=1e-13 * float(abs(wanted).max())
    )


@pytest.mark.parametrize("dtypes", [("float64", "float32"), ("complex128", "complex64")])
def test_contractions_of_all_kinds_agree_with_numpy(story: Story, dtypes: tuple[str, str]) -> None:
    wide, _ = dtypes
    random = np.random.default_rng(3)
    for equation, shapes in KINDS:
        # Numbers that float32 holds too: both types contract the same ones.
        parts = [random.uniform(-1, 1, (2, *shape)).astype(np.float32) for shape in shapes]
        imaginary = 1j if wide == "complex128" else 0
        arrays = [(one[0] + imaginary * one[1]).astype(wide) for one in parts]
        given = [
            {"shape": list(array.shape), "dtype": wide, "data": flat(array)} for array in arrays
        ]
        story.open(format="einsum", text=equation, arrays=given)
        wanted = np.einsum(equation, *arrays, optimize=True)
        for dtype in dtypes:
            found = story.run(backend="wasm", dtype=dtype)
            assert (found["backend"], found["dtype"], found["notes"]) == ("wasm", dtype, [])
            error = np.abs(unpacked(found) - wanted).max()
            bound = 2 * np.finfo(dtype).eps * TERMS * np.abs(wanted).max()
            assert error <= bound, (equation, dtype)


def test_what_the_engine_lacks_is_replaced_and_named(story: Story) -> None:
    able = story.engine.evaluate(ABLE)
    features = story.engine.evaluate("() => tensorloomBoot.features")
    assert {name: features[name] for name in able} == able
    assert features["snapshot"] == able["jspi"]
    assert story.engine.evaluate("() => tensorloomStore.get().toasts") == []
    line = "Runs on this CPU, 64-bit"
    assert story.texts(".tl-pill [role=status]") == [line]
    story.engine.click(story.centre(".tl-pill"))
    story.settle()
    left, _, right, _ = story.box(".tl-device .tl-popover")
    assert left > 0
    assert right < WIDTH
    wanted = [sentence for ability, sentence in STAND_INS.items() if not able[ability]]
    if not able["jspi"]:
        wanted.append("Started without the snapshot: it needs JSPI.")
    assert story.texts(".tl-replaced li") == wanted
    story.engine.click(story.centre(".tl-pill"))


def test_after_an_edit_a_reload_finds_the_draft(story: Story) -> None:
    story.open(format="einsum", text="ij,jk->ik", sizes={"i": 2, "j": 3, "k": 4})
    story.settle()
    start = story.centre("[data-dimension-of=j]")
    story.engine.drag(start, (start[0] + 62, start[1]))
    story.settle()
    edited = story.document()
    assert edited["dimensions"]["j"] > 3
    story.start()
    assert story.document() == edited
    shown = story.live()
    assert shown["shape"] == [2, 4]


def test_nothing_went_wrong_unseen(story: Story) -> None:
    assert story.engine.problems() == []


def flat(array: NDArray[Any]) -> list[float]:
    """C order, complex interleaved."""
    plain = np.ascontiguousarray(array).reshape(-1)
    return plain.view(plain.real.dtype).tolist()


def unpacked(found: dict[str, Any]) -> NDArray[Any]:
    """The value that ``run`` gave."""
    plain = np.array(found["value"])
    if found["dtype"].startswith("complex"):
        plain = plain.view(np.complex128)
    return plain.reshape(found["shape"]) * 10.0 ** found["log10Scale"]
