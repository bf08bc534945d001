"""Every way to write every case gives the same numbers, in numpy and as an ONNX model."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cases import CASES, OTHER, REFERENCE, Case, chosen
from formulations import apply, formulations
from onnx_model import model

if TYPE_CHECKING:
    from collections.abc import Iterator

REPRESENTATIVE = chosen("mmTN,mmOutT,bmmMixed,matvec,tc4b,tc8,peps8,hyper4,bertAV,qgate18,gate3")


def small(case: Case) -> dict[str, int]:
    """Different sizes, so that a wrong order cannot pass."""
    return {name: min(size, 2 + at % 4) for at, (name, size) in enumerate(case.dimensions)}


def operands(case: Case) -> list[Any]:
    source = np.random.default_rng(1)
    shapes = [[small(case)[name] for name in names] for names in case.operands]
    return [source.standard_normal(shape) for shape in shapes]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_all_formulations_of_a_case_agree(case: Case) -> None:
    a, b = operands(case)
    right = np.einsum(case.equation, a, b)
    made = formulations(case.equation, small(case))
    assert len(made) >= 3
    for one in made:
        found = apply(one, np, a, b)
        assert found.shape == right.shape, one
        np.testing.assert_allclose(found, right, atol=1e-12, err_msg=str(one))


def test_a_plain_product_is_written_without_a_copy() -> None:
    first = formulations("ki,jk->ij", {"i": 3, "j": 4, "k": 5})[0]
    assert first["left"] == {"perm": None, "shape": [5, 3], "transpose": True}
    assert first["right"] == {"perm": None, "shape": [4, 5], "transpose": True}
    assert first["perm"] is None


def test_the_sets_are_distinct_and_wide() -> None:
    assert max(Counter(case.name for case in CASES).values()) == 1
    shapes = {(case.equation, case.dimensions, case.dtype) for case in REFERENCE}
    assert not shapes & {(case.equation, case.dimensions, case.dtype) for case in OTHER}
    assert {case.group for case in REFERENCE} == {case.group for case in OTHER}
    assert len(REFERENCE) == 31


def test_a_word_that_names_no_case_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^No case, group or set is called mm99\.$"):
        chosen("mm256,mm99")


# A reader of the few parts of the format that the writer uses, and an interpreter by numpy.


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            size = varint()
            yield key >> 3, data[at : at + size]
            at += size


def several(data: bytes, number: int) -> list[Any]:
    return [value for field, value in fields(data) if field == number]


def attributes(node: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in several(node, 5):
        (kind,) = several(one, 20)
        name = several(one, 1)[0].decode()
        found[name] = {
            2: lambda one=one: several(one, 3)[0],
            3: lambda one=one: several(one, 4)[0].decode(),
            7: lambda one=one: several(one, 8),
        }[kind]()
    return found


def node_result(kind: str, given: dict[str, Any], x: list[Any]) -> Any:
    if kind == "Gemm":
        left, right = (
            z.T if given[flip] else z for z, flip in zip(x, ("transA", "transB"), strict=True)
        )
        return left @ right
    return {
        "MatMul": lambda: x[0] @ x[1],
        "Einsum": lambda: np.einsum(given["equation"], *x),
        "Transpose": lambda: x[0].transpose(given["perm"]),
        "Reshape": lambda: x[0].reshape(x[1]),
        "Add": lambda: x[0] + x[1],
        "Sub": lambda: x[0] - x[1],
        "Identity": lambda: x[0],
    }[kind]()


def run(data: bytes, values: dict[str, Any]) -> dict[str, Any]:
    (graph,) = several(data, 7)
    for constant in several(graph, 5):
        shape = np.frombuffer(several(constant, 9)[0], "<i8")
        values[several(constant, 8)[0].decode()] = shape
    for node in several(graph, 1):
        names = [name.decode() for name in several(node, 1)]
        kind, out = several(node, 4)[0].decode(), several(node, 2)[0].decode()
        values[out] = node_result(kind, attributes(node), [values[name] for name in names])
    return values


@pytest.mark.parametrize("case", REPRESENTATIVE, ids=lambda case: case.name)
def test_models_compute_the_case(case: Case) -> None:
    a, b = operands(case)
    if case.is_complex:
        a, b = a + 1j * a[::-1], b - 2j * b[::-1]
    right = np.einsum(case.equation, a, b)
    shapes = (a.shape, b.shape, right.shape)
    for made in formulations(case.equation, small(case)):
        for way in ("4 products", "3 products") if case.is_complex else ("1 product",):
            inputs = {"a0": a.real, "a1": a.imag, "b0": b.real, "b1": b.imag}
            values = run(model(made, shapes, case.dtype, way), inputs)
            found = values["c0"] + (1j * values["c1"] if case.is_complex else 0)
            np.testing.assert_allclose(found, right, atol=1e-12, err_msg=f"{made} {way}")
