"""Layouts that a physicist recognises, and the real networks within a time."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tensorloom.formats import qasm
from tensorloom.formats.layout import _pack, laid_out, layout, layout_command
from tensorloom.formats.layout_circuit import circuit
from tensorloom.formats.opening import open_text
from tensorloom.formats.templates import template
from tensorloom.model.commands import apply
from tensorloom.model.equation import parse

if TYPE_CHECKING:
    from tensorloom.model.document import Document

DATA = Path(__file__).parents[4] / "shared" / "data"


def opened(text: str) -> Document:
    return open_text(text, format="einsum").document


def places(text: str) -> list[tuple[int, int]]:
    return [(mark.x, mark.y) for mark in opened(text).diagram.marks.values()]


def lattice(*sizes: int) -> str:
    """Equation of a lattice: one tensor per site, in C order."""
    sites = list(itertools.product(*map(range, sizes)))
    bonds: dict[tuple[int, ...], list[str]] = {site: [] for site in sites}
    for one, other in itertools.combinations(sites, 2):
        if sum(abs(a - b) for a, b in zip(one, other, strict=True)) == 1:
            name = f"({'.'.join(map(str, one + other))})"
            bonds[one].append(name)
            bonds[other].append(name)
    return ",".join("".join(names) for names in bonds.values()) + "->"


def test_a_chain_is_a_row() -> None:
    assert places("ab,bc,cd->ad") == [(0, 0), (130, 0), (260, 0)]
    # In the order of the bonds, not of the text.
    assert places("ab,cd,bc->ad") == [(0, 0), (260, 0), (130, 0)]


def test_parallel_bonds_and_loops_do_not_change_a_row() -> None:
    assert places("abb,acd,cd->") == [(0, 0), (130, 0), (260, 0)]


def test_a_ring_is_a_circle() -> None:
    found = places("ab,bc,cd,de,ef,fa->")
    x, y = (sum(values) / 6 for values in zip(*found, strict=True))
    radii = [math.dist(place, (x, y)) for place in found]
    assert max(radii) - min(radii) < 2
    assert math.dist(found[0], found[1]) == pytest.approx(130, abs=2)


@pytest.mark.parametrize(("rows", "columns"), [(3, 4), (2, 6), (4, 4)])
def test_a_lattice_is_a_grid(rows: int, columns: int) -> None:
    wanted = [(130 * column, 130 * row) for row in range(rows) for column in range(columns)]
    assert places(lattice(rows, columns)) == wanted


def test_a_box_is_drawn_obliquely_without_overlaps() -> None:
    found = places(lattice(2, 3, 4))
    closest = min(math.dist(one, other) for one, other in itertools.combinations(found, 2))
    assert closest > 70
    # Layers are shifted copies of each other.
    shifts = {(b[0] - a[0], b[1] - a[1]) for a, b in zip(found[:12], found[12:], strict=True)}
    assert len(shifts) == 1


def test_a_tree_has_its_centre_on_top() -> None:
    assert places("a,b,abc,d,e,def,cf->") == [
        (0, 260), (110, 260), (55, 130), (220, 260), (330, 260), (275, 130), (165, 0),
    ]  # fmt: skip


def test_leaves_hang_from_a_chain() -> None:
    assert places("ab,bcd,de,a,c,e->") == [
        (0, 0),
        (130, 0),
        (260, 0),
        (0, 130),
        (130, 130),
        (260, 130),
    ]


def test_a_markov_grid_is_a_grid_of_dots() -> None:
    text = "ab,cd,ac,bd,a,b,c,d->"
    document = opened(text)
    dots = [document.diagram.anchors[name] for name in "abcd"]
    assert dots[0][1] == dots[1][1]
    assert dots[0][0] == dots[2][0]
    assert math.dist(places(text)[0], ((dots[0][0] + dots[1][0]) / 2, dots[0][1])) < 1


def test_a_circuit_runs_left_to_right_on_its_wires() -> None:
    drawn = template("circuit", {"n": 4, "depth": 5, "seed": 1})
    # The reader of circuits and the layout draw alike.
    assert layout_command(drawn).positions == ()


def test_a_circuit_of_every_kind_of_gate_is_recognised() -> None:
    program = """include "qelib1.inc"; qreg q[4]; h q; ccx q[0],q[1],q[2]; swap q[0],q[1];
        cswap q[0],q[1],q[3]; c3x q[0],q[1],q[2],q[3]; cu(0.1,0.2,0.3,0.4) q[3],q[2];
        ccx q[0],q[3],q[1]; rzz(0.3) q[0],q[2]; rc3x q[3],q[0],q[2],q[1]; cz q[1],q[3];"""
    for output in ("state", "0000"):
        document = qasm.read(program, output=output)
        assert document.network == apply(document, layout_command(document)).network
        assert layout_command(document).positions == ()
        assert layout_command(document).anchors == ()


def test_a_circuit_with_its_tensors_in_any_order_is_recognised() -> None:
    document = qasm.read('include "qelib1.inc"; qreg q[2]; h q[0]; cx q[0],q[1]; swap q[0],q[1];')
    network = document.network
    turned = replace(network, tensors=network.tensors[:2] + network.tensors[:1:-1])
    assert laid_out(turned).positions == {
        name: (mark.x, mark.y) for name, mark in document.diagram.marks.items()
    }


def test_copy_tensors_without_kets_are_no_circuit() -> None:
    document = qasm.read('include "qelib1.inc"; qreg q[2]; cx q[0],q[1];')
    network = document.network
    gate = replace(network, tensors=network.tensors[2:])
    assert circuit(network.tensors, network.output) is not None
    assert circuit(gate.tensors, gate.output) is None


def test_open_legs_hang_from_a_chain_and_point_out_of_a_ring() -> None:
    chain = opened("ai,abj,bk->ijk").diagram
    assert dict(chain.anchors) == {"i": (0, 78), "j": (130, 78), "k": (260, 78)}
    product = opened("ij,jk->ik").diagram
    assert dict(product.anchors) == {"i": (-78, 0), "k": (208, 0)}
    ring = opened("abi,bcj,cdk,dal->ijkl").diagram
    middle = (65, 65)
    for name, tensor in zip("ijkl", ("t1", "t2", "t3", "t4"), strict=True):
        mark = ring.marks[tensor]
        assert math.dist(ring.anchors[name], middle) > math.dist((mark.x, mark.y), middle)


def test_parts_stand_side_by_side() -> None:
    found = places("ab,b,c,cd->ad")
    assert len(set(found)) == 4
    assert min(found[2:])[0] - max(found[:2])[0] >= 130 or found[2][1] - found[0][1] >= 130


def test_no_two_tensors_share_a_pixel() -> None:
    """A crowd of parts, packed so densely that points round to the same place."""
    crowd = [((0, 1, 2), [(0.0, 0.0), (0.2, 0.1), (90.0, 0.0)]), ((3,), [(0.0, 0.0)])]
    spots: list[tuple[int, int] | None] = [None] * 4
    _pack(crowd, spots)
    first, second, *_ = (spot for spot in spots if spot is not None)
    assert len(set(spots)) == 4
    assert second == (first[0] + 1, first[1])


def test_a_placed_tensor_stays_and_a_new_one_comes_beside_it() -> None:
    network = opened("ab,bc,cd->").network
    found = laid_out(network, {"t1": (7, -3), "t3": (600, 40)})
    assert found.positions["t1"] == (7, -3)
    assert found.positions["t3"] == (600, 40)
    assert found.positions["t2"] == (304, 18)


def test_the_command_moves_only_what_was_not_placed() -> None:
    document = opened("ab,bc,cd->")
    command = layout_command(document, placed=("t1", "t2"))
    assert {name for name, _ in command.positions} <= {"t3"}
    assert apply(document, command).diagram.marks["t1"] == document.diagram.marks["t1"]


def test_a_long_layout_can_be_stopped_early() -> None:
    text = ",".join(f"(i{k}) (i{(k * 7 + 3) % 211}) (i{(k * 5 + 1) % 211})" for k in range(200))
    parsed = parse(text)
    assert len(parsed.operands) == 200
    steps = layout(opened(text).network)
    first = next(steps)
    assert first.done < 0.5
    assert not first.positions
    steps.close()


def test_thousands_of_tensors_in_a_row_stay_within_the_page() -> None:
    text = ",".join(f"(i{k}) (i{k + 1})" for k in range(9000)) + "->"
    found = places(text)
    assert len(set(found)) == 9000


NETWORKS = sorted((DATA / "networks").glob("*.json")) if (DATA / "networks").is_dir() else []


@pytest.mark.skipif(not NETWORKS, reason="the benchmark networks are not beside this checkout")
def test_real_networks_open_and_lay_out_quickly() -> None:
    for path in NETWORKS:
        started = time.process_time()
        document = open_text(path.read_text(), name=path.name).document
        # In the browser numpy and Python take about three times as long.
        assert time.process_time() - started < 3
        assert document.title == path.stem
        marks = list(document.diagram.marks.values())
        assert len({(mark.x, mark.y) for mark in marks}) > 0.99 * len(marks)


@pytest.mark.skipif(not NETWORKS, reason="the graphical models are not beside this checkout")
def test_real_markov_networks_open() -> None:
    for path in sorted((DATA / "graphical").glob("*.uai")):
        opened_file = open_text(path.read_text(), name=path.name)
        assert opened_file.document.network.output == ()
        assert opened_file.document.network.tensors
