"""Templates: the networks they promise, at every corner of their parameters."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from tensorloom.errors import DocumentError
from tensorloom.formats.templates import TEMPLATES, Template, example, template
from tensorloom.model import codec
from tensorloom.model.equation import write
from tensorloom.model.recipe import InlineArray

SMALL = {"n": 4, "rows": 2, "columns": 3, "layers": 2, "chi": 3, "d": 2, "depth": 2, "seed": 5}


def equation(name: str) -> tuple[str, dict[str, int]]:
    (found,) = (entry for entry in TEMPLATES if entry.name == name)
    network = template(name, {p.name: SMALL[p.name] for p in found.parameters}).network
    return write(network).text, dict(network.dimension_of)


def test_mps() -> None:
    sizes = {"a": 2, "i": 2, "b": 3, "j": 2, "c": 2, "k": 2, "l": 2}
    assert equation("mps") == ("ai,abj,bck,cl->ijkl", sizes)


def test_mpo() -> None:
    text, sizes = equation("mpo")
    assert text == "iIp,jpJq,kqKr,lrL->ijklIJKL"
    assert {name: sizes[name] for name in "pqr"} == {"p": 3, "q": 3, "r": 3}


def test_peps() -> None:
    text, _ = equation("peps")
    assert text == "api,abqj,brk,cpl,cdqm,drn->ijklmn"


def test_ttn() -> None:
    text, sizes = equation("ttn")
    assert text == "ija,klb,ab->ijkl"
    assert (sizes["a"], sizes["b"]) == (3, 3)


def test_mera() -> None:
    assert equation("mera")[0] == "jkab,iac,bld,cd->ijkl"


def test_ring() -> None:
    assert equation("ring")[0] == "dai,abj,bck,cdl->ijkl"


def test_circuit_starts_with_kets_and_ends_open() -> None:
    network = template("circuit", {"n": 3, "depth": 2, "seed": 5}).network
    names = [tensor.name for tensor in network.tensors]
    assert names[:3] == ["|0⟩"] * 3
    assert names[-2:] == ["δ", "Z"]
    assert network.output_shape == (2, 2, 2)


def spin_chain(n: int, chi: int) -> tuple[float, list[np.ndarray]]:
    """The value, and the arrays of the state below."""
    network = template("spin-chain", {"n": n, "chi": chi}).network
    arrays = []
    for tensor in network.tensors:
        assert isinstance(tensor.array, InlineArray)
        arrays.append(np.reshape(tensor.array.values, tensor.array.shape))
        assert arrays[-1].shape == network.shape(tensor)
    text = write(network).text
    return float(np.einsum(text, *arrays, optimize="greedy")), arrays[:n]


def test_the_spin_chain_has_its_known_energies() -> None:
    # Three spins: -1 exactly. Six spins: exact diagonalisation, E = -2.493577133...
    assert spin_chain(3, 4)[0] == pytest.approx(-1, abs=1e-9)
    assert spin_chain(6, 8)[0] == pytest.approx(-2.493577133888, abs=1e-9)
    # A product state of opposite spins has -1/4 on each of five bonds, and no less.
    assert spin_chain(6, 1)[0] == pytest.approx(-1.25, abs=1e-9)
    assert -2.4935771 < spin_chain(6, 4)[0] < -2.4


def test_the_triangles_of_the_spin_chain_are_isometries() -> None:
    document = template("spin-chain", {"n": 6, "chi": 3})
    _, state = spin_chain(6, 3)
    shapes = [document.diagram.marks[f"t{k}"].shape for k in range(1, 7)]
    assert shapes == ["triangle-right"] * 3 + ["circle"] + ["triangle-left"] * 2
    for shape, site in zip(shapes, state, strict=True):
        if shape == "triangle-right":
            matrix = site.reshape(-1, site.shape[-1])
        elif shape == "triangle-left":
            matrix = site.reshape(site.shape[0], -1).T
        else:
            assert np.linalg.norm(site) == pytest.approx(1, abs=1e-9)
            continue
        assert np.allclose(matrix.T @ matrix, np.eye(matrix.shape[1]), atol=1e-9)


def corners(found: Template) -> list[dict[str, int]]:
    ranges = [(parameter.least, min(parameter.most, 9)) for parameter in found.parameters]
    names = [parameter.name for parameter in found.parameters]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*ranges)]


@pytest.mark.parametrize("found", TEMPLATES, ids=lambda found: found.name)
def test_every_corner_is_a_document_without_overlaps(found: Template) -> None:
    for parameters in corners(found):
        document = template(found.name, parameters)
        assert codec.from_json(codec.to_json(document)) == document
        marks = [(mark.x, mark.y) for mark in document.diagram.marks.values()]
        closest = min(
            (math.dist(one, other) for one, other in itertools.combinations(marks, 2)), default=99
        )
        assert closest > 60
        assert set(document.network.output) <= set(document.diagram.anchors)


@pytest.mark.parametrize("found", TEMPLATES, ids=lambda found: found.name)
def test_the_largest_is_still_a_document(found: Template) -> None:
    largest = {p.name: p.most for p in found.parameters if p.name != "depth"}
    assert template(found.name, largest).network.tensors


def test_refusals() -> None:
    with pytest.raises(DocumentError, match=r"There is no template 'dmrg'\."):
        template("dmrg")
    with pytest.raises(DocumentError) as caught:
        template("mps", {"n": 401})
    assert caught.value.message == "The parameter 'n' of mps is 401."
    assert caught.value.hint == "Give a whole number from 2 to 400."
    with pytest.raises(DocumentError, match=r"The template mps has no parameter 'rows'\."):
        template("mps", {"rows": 2})


def test_the_example_is_a_sandwich_with_a_scalar_value() -> None:
    document = example()
    assert len(document.network.tensors) == 18
    assert document.network.output == ()
    assert [document.network.dimension_of[name] for name in "abcde"] == [2, 4, 8, 4, 2]
    assert write(document.network).named is False
    rows = {mark.y for mark in document.diagram.marks.values()}
    assert len(rows) == 3
