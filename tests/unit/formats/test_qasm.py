from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tensorloom.errors import FileFormatError
from tensorloom.execute.arrays import ArrayStore, arrays_of
from tensorloom.formats.layout_circuit import COLUMN, ROW
from tensorloom.formats.qasm import read
from tensorloom.formats.qasm.network import CROSS
from tensorloom.model.document import MAX_LEGS
from tensorloom.model.recipe import CopyArray, GateArray, IdentityArray

if TYPE_CHECKING:
    from tensorloom.model.document import Document

HEADER = 'OPENQASM 2.0;\ninclude "qelib1.inc";\n'


def gates(document: Document) -> list[tuple[str, tuple[float, ...], tuple[int, ...]]]:
    """(name, angles, qubits) of each gate, by following the wires; a ``c`` for every control."""
    qubit_of: dict[str, int] = {}
    found = []
    n_qubits = 0
    for tensor in document.network.tensors:
        recipe, axes = tensor.array, tensor.indices
        if isinstance(recipe, CopyArray | IdentityArray):
            qubit_of.update(dict.fromkeys((axes[0], *axes[2:]), qubit_of[axes[1]]))
            continue
        assert isinstance(recipe, GateArray)
        if recipe.name == "ket0":
            qubit_of[axes[0]] = n_qubits
            n_qubits += 1
        elif not recipe.name.startswith("bra"):
            c, n = recipe.controls, (len(axes) - recipe.controls) // 2
            qubits = tuple(qubit_of[name] for name in axes[:c] + axes[c + n :])
            qubit_of.update(zip(axes[c : c + n], qubits[c:], strict=True))
            found.append(("c" * c + recipe.name, recipe.parameters, qubits))
    return found


def value(document: Document) -> np.ndarray[Any, Any]:
    network = document.network
    numbers = {index.name: number for number, index in enumerate(network.indices)}
    operands: list[Any] = []
    for tensor, array in zip(
        network.tensors, arrays_of(network, "complex128", ArrayStore()), strict=True
    ):
        operands += [array, [numbers[name] for name in tensor.indices]]
    return np.einsum(*operands, [numbers[name] for name in network.output])


def angle(expression: str) -> float:
    ((_name, (found,), _qubits),) = gates(read(f"{HEADER}qreg q[1]; rz({expression}) q[0];"))
    return found


def refusal(program: str, output: str = "state") -> FileFormatError:
    with pytest.raises(FileFormatError) as caught:
        read(program, output=output)
    assert caught.value.hint
    assert caught.value.where.file == "OpenQASM 2"
    return caught.value


BELL = HEADER + "qreg q[2]; creg c[2]; h q[0]; cx q[0],q[1]; measure q -> c;"


def test_bell_pair_as_a_state() -> None:
    document = read(BELL, name="bell.qasm")
    network = document.network
    assert [tensor.name for tensor in network.tensors] == ["|0⟩", "|0⟩", "H", "δ", "X"]
    assert [tensor.indices for tensor in network.tensors] == [
        ("a",), ("b",), ("c", "a"), ("d", "c", "e"), ("e", "f", "b"),
    ]  # fmt: skip
    assert network.output == ("d", "f")
    assert network.output_shape == (2, 2)
    assert (document.title, document.dtype) == ("bell", "complex128")
    half = math.sqrt(0.5)
    np.testing.assert_allclose(value(document), [[half, 0], [0, half]], atol=1e-15)


@pytest.mark.parametrize(
    ("outcome", "amplitude"), [("00", math.sqrt(0.5)), ("01", 0), ("11", math.sqrt(0.5))]
)
def test_bell_pair_as_an_amplitude(outcome: str, amplitude: float) -> None:
    document = read(BELL, output=outcome)
    assert document.network.output == ()
    names = [tensor.name for tensor in document.network.tensors[-2:]]
    assert names == [f"⟨{bit}|" for bit in outcome]
    assert complex(value(document)) == pytest.approx(amplitude, abs=1e-15)


def test_character_0_of_the_outcome_is_qubit_0() -> None:
    program = HEADER + "qreg a[1]; qreg b[2]; x b[0];"
    assert complex(value(read(program, output="010"))) == 1
    assert complex(value(read(program, output="100"))) == 0
    assert value(read(program))[0, 1, 0] == 1


def drawing(program: str) -> list[tuple[str, int, int]]:
    """(name, column, row) of each tensor after the kets, in units of the grid."""
    document = read(HEADER + program)
    found = []
    for tensor in document.network.tensors:
        mark = document.diagram.marks[tensor.id]
        if mark.shape != "none":
            assert mark.shape == ("dot" if tensor.name == "δ" else "square")
            found.append((tensor.name, mark.x // COLUMN, mark.y // ROW))
            assert (mark.x % COLUMN, mark.y % ROW) == (0, 0)
    return found


def test_drawing_runs_left_to_right_on_wires() -> None:
    program = "qreg q[3]; h q[0]; h q[2]; cx q[0],q[2]; x q[1]; cx q[1],q[0];"
    assert drawing(program) == [
        ("H", 1, 0), ("H", 1, 2),
        # Its link passes wire 1, so X waits.
        ("δ", 2, 0), ("X", 2, 2),
        ("X", 3, 1),
        ("δ", 4, 1), ("X", 4, 0),
    ]  # fmt: skip
    document = read(HEADER + program)
    marks = document.diagram.marks
    kets = [(marks[name].x, marks[name].y, marks[name].shape) for name in ("t1", "t2", "t3")]
    assert kets == [(0, 0, "none"), (0, ROW, "none"), (0, 2 * ROW, "none")]
    anchors = document.diagram.anchors
    assert list(anchors.values()) == [(5 * COLUMN, qubit * ROW) for qubit in range(3)]
    assert tuple(anchors) == document.network.output


def test_every_tensor_of_a_gate_has_the_wire_of_one_qubit() -> None:
    assert drawing("qreg q[3]; ccx q[0],q[2],q[1];") == [("δ", 1, 0), ("δ", 1, 2), ("X", 1, 1)]
    assert drawing("qreg q[2]; swap q[1],q[0];") == [(CROSS, 1, 0), (CROSS, 1, 1)]
    assert drawing("qreg q[3]; rzz(1) q[0],q[2];") == [("R_zz", 1, 2), ("R_zz", 1, 0)]


def test_the_control_of_a_swap_is_linked_to_its_nearer_end() -> None:
    for program in ("cswap q[0],q[1],q[2];", "cswap q[0],q[2],q[1];"):
        document = read(f"{HEADER}qreg q[3]; {program}")
        dot, _end, swap = document.network.tensors[3:]
        assert dot.indices[2] == swap.indices[0]
        assert swap.array == GateArray(name="swap", controls=1)
        assert document.diagram.marks[swap.id].y == ROW


def test_dots_step_aside_for_links_that_pass() -> None:
    document = read(HEADER + "qreg q[4]; c3x q[0],q[1],q[2],q[3];")
    places = [(mark.x - COLUMN, mark.y // ROW) for mark in document.diagram.marks.values()]
    assert places[4:] == [(0, 0), (28, 1), (42, 2), (0, 3)]


def test_controlled_gates_keep_their_angles_and_count_their_controls() -> None:
    program = "qreg q[5]; cu3(1,2,3) q[1],q[0]; c4x q[0],q[1],q[2],q[3],q[4]; crz(2) q[4],q[2];"
    assert gates(read(HEADER + program)) == [
        ("cu3", (1.0, 2.0, 3.0), (1, 0)), ("ccccx", (), (0, 1, 2, 3, 4)), ("crz", (2.0,), (4, 2)),
    ]  # fmt: skip


def test_the_phase_of_cu_is_a_phase_of_its_control() -> None:
    program = HEADER + "qreg q[2]; h q; cu(0.5,1,-2,{}) q[1],q[0];"
    assert gates(read(program.format(0.25)))[2:] == [
        ("p", (0.25,), (1,)), ("cu3", (0.5, 1.0, -2.0), (1, 0)),
    ]  # fmt: skip
    assert [name for name, _, _ in gates(read(program.format(0)))[2:]] == ["cu3"]


def test_deep_circuits_stay_on_the_canvas() -> None:
    document = read(HEADER + "qreg q[1];" + "x q[0];" * 19_998)
    assert len(document.network.tensors) == 19_999
    assert max(mark.x for mark in document.diagram.marks.values()) <= 1_000_000


def test_the_largest_circuits_stay_within_the_legs_of_a_document() -> None:
    document = read(HEADER + "qreg q[4];" + "rc3x q[0],q[1],q[2],q[3];" * 4_998)
    assert len(document.network.tensors) == 19_996
    assert sum(len(tensor.indices) for tensor in document.network.tensors) <= MAX_LEGS


def test_long_circuits_name_indices_by_qubit_and_step() -> None:
    document = read(HEADER + "qreg q[2];" + "h q[1];" * 51)
    names = [index.name for index in document.network.indices]
    assert names[:4] == ["q0_1", "q1_1", "q1_2", "q1_3"]
    assert document.network.output == ("q0_1", "q1_52")


def test_whole_registers_are_broadcast() -> None:
    program = HEADER + "qreg a[2]; qreg b[2]; qreg c[1]; h a; cx a,b; cx c[0],b; barrier a,b[1];"
    assert gates(read(program)) == [
        ("h", (), (0,)), ("h", (), (1,)),
        ("cx", (), (0, 2)), ("cx", (), (1, 3)),
        ("cx", (), (4, 2)), ("cx", (), (4, 3)),
    ]  # fmt: skip


def test_defined_gates_are_expanded_in_order_with_their_angles() -> None:
    program = (
        HEADER
        + """
        gate turn(a, b) p, q { rx(a/2) q; barrier p,q; cu1(-b) q, p; }
        gate twice(t) p, q { turn(t, 2*t) p,q; turn(t+1, pi) q,p; }
        gate nothing() p { }
        qreg q[2];
        twice(3) q[0], q[1];
        nothing() q[0];
        nothing q[0];
    """
    )
    assert gates(read(program)) == [
        ("rx", (1.5,), (1,)),
        ("cu1", (-6.0,), (1, 0)),
        ("rx", (2.0,), (0,)),
        ("cu1", (-math.pi,), (0, 1)),
    ]


def test_built_in_gates_need_no_include() -> None:
    found = gates(read("qreg q[2]; U(0.5, 0, pi) q[1]; CX q[1], q[0];"))
    assert found == [("u", (0.5, 0.0, math.pi), (1,)), ("cx", (), (1, 0))]


def test_own_definitions_take_the_place_of_the_header() -> None:
    program = "gate rz(t) a { U(0,0,t) a; } " + HEADER.split("\n")[1] + "qreg q[1]; rz(2) q[0];"
    assert gates(read(program)) == [("u", (0.0, 0.0, 2.0), (0,))]


def test_later_definitions_do_not_change_earlier_ones() -> None:
    program = HEADER + "gate g a { x a; } gate f a { g a; } gate g a { y a; } qreg q[1]; f q[0];"
    assert gates(read(program)) == [("x", (), (0,))]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("pi", math.pi),
        ("-pi/4", -math.pi / 4),
        ("pi*-0.25", -math.pi / 4),
        ("3*pi/2", 1.5 * math.pi),
        ("1-2-3", -4),
        ("8/4/2", 1),
        ("2+3*4", 14),
        ("(2+3)*4", 20),
        ("-2^2", -4),
        ("2^-1", 0.5),
        ("2^3^2", 512),
        ("2^-1*3", 1.5),
        ("--1", 1),
        ("+1.5e2", 150),
        ("1E-2", 0.01),
        (".5", 0.5),
        ("2.", 2),
        ("sin(pi/2)^2", 1),
        ("-cos(0)*3", -3),
        ("sqrt(16) - ln(exp(1)) + tan(0)", 3),
        ("((((7))))", 7),
    ],
)
def test_angles_are_computed(expression: str, expected: float) -> None:
    assert angle(expression) == pytest.approx(expected, rel=1e-15)


def test_deep_nesting_is_read_without_recursion() -> None:
    assert angle("(" * 4_000 + "1" + ")" * 4_000) == 1
    assert angle("-" * 4_001 + "1") == -1
    chain = "".join(f"gate g{n + 1} a {{ g{n} a; }} " for n in range(4_000))
    found = gates(read(f"{HEADER} gate g0 a {{ x a; }} {chain} qreg q[1]; g4000 q[0];"))
    assert found == [("x", (), (0,))]


def test_comments_and_blanks_are_skipped() -> None:
    program = "\ufeff// one\n\tqreg//two\nq[ 1 ] ;\r\n\n U (0,0,0)q[0];// end"
    assert gates(read(program)) == [("u", (0.0, 0.0, 0.0), (0,))]


def test_final_measurements_and_resets_of_fresh_qubits_leave_no_trace() -> None:
    program = HEADER + "qreg q[2]; creg c[2]; reset q; h q[0]; measure q[0]->c[0]; x q[1];"
    assert [name for name, _, _ in gates(read(program))] == ["h", "x"]


def test_opaque_gates_may_be_declared() -> None:
    assert gates(read(HEADER + "opaque magic(a,b) p,q; opaque dust p; qreg q[1];")) == []


@pytest.mark.parametrize(
    ("name", "title"),
    [("", "Circuit"), ("a b.qasm", "a b"), ("x\ny", "xy"), ("n" * 300, "n" * 200)],
)
def test_title_comes_from_the_name(name: str, title: str) -> None:
    assert read("qreg q[1];", name=name).title == title


@pytest.mark.parametrize(
    ("program", "code", "line", "message"),
    [
        (
            "OPENQASM 3.0;",
            "newer-version",
            1,
            "The program is written in OpenQASM 3.0; version 2.0 is read here.",
        ),
        ("qreg q[2]\nh q;", "bad-syntax", 2, "';' is needed, but here is 'h'."),
        (
            "qreg q[1];\nU(0,0,",
            "bad-syntax",
            2,
            "A number is needed, but here is the end of the program.",
        ),
        ("qreg q[1];\nU(0,(0,0) q[0];", "bad-syntax", 2, "')' is needed, but here is ','."),
        (
            "qreg if[1];",
            "bad-syntax",
            1,
            "A register's name is needed, but 'if' is a word of the language.",
        ),
        ("qreg q[1];\n%", "bad-character", 2, "The character '%' means nothing in OpenQASM 2."),
        ('include "qelib1.inc', "bad-character", 1, "The text in quotes has no end."),
        ("qreg q[12345678901];", "too-big", 1, "'12345678901' is too large for a register's size."),
        ('include "my.inc";', "unknown-include", 1, "The file 'my.inc' is not at hand."),
        ("qreg q[1];\ncreg q[2];", "repeated-name", 2, "The register 'q' is declared twice."),
        ("gate g(t, t) a { }", "repeated-name", 1, "The name 't' is already taken."),
        ("qreg q[1];\nh q[0];", "unknown-gate", 2, "The gate 'h' is not known."),
        (HEADER + "qreg q[1];\nwarp q[0];", "unknown-gate", 4, "The gate 'warp' is not known."),
        (
            "opaque magic a;\nqreg q[1];\nmagic q[0];",
            "opaque-gate",
            3,
            "The gate 'magic' is declared opaque, so nobody knows its matrix.",
        ),
        (
            HEADER + "qreg q[1]; rx(1,2) q[0];",
            "bad-gate-parameters",
            3,
            "The gate 'rx' takes 1 angle, but 2 are given.",
        ),
        (
            HEADER + "qreg q[3]; ccx q[0],q[1];",
            "bad-gate-qubits",
            3,
            "The gate 'ccx' acts on 3 qubits, but 2 are given.",
        ),
        (
            HEADER + "qreg q[3]; cx q[1],q[1];",
            "repeated-qubit",
            3,
            "The gate 'cx' is given the same qubit twice.",
        ),
        (
            HEADER + "qreg a[2]; qreg b[3]; cx a,b;",
            "register-sizes",
            3,
            "'a' has size 2, but 'b' has size 3.",
        ),
        (
            "qreg q[3]; creg c[2]; measure q -> c;",
            "register-sizes",
            1,
            "3 qubits are measured into 2 bits.",
        ),
        (
            "creg c[2];\nqreg q[1]; U(0,0,0) c[0];",
            "unknown-register",
            2,
            "There is no register of qubits named 'c'.",
        ),
        ("qreg q[3];\nU(0,0,0) q[4];", "bad-place", 2, "'q' has no place 4; its size is 3."),
        (
            "gate g a { U(0,0,0) b; }",
            "unknown-register",
            1,
            "'b' is not a qubit of the gate.",
        ),
        (
            "qreg q[1];\nU(0,0,theta) q[0];",
            "unknown-parameter",
            2,
            "The angle uses 'theta', which is not known here.",
        ),
        ("qreg q[1];\nU(0,1/0,0) q[0];", "bad-angle", 2, "The angle has no finite value at '/'."),
        (
            "qreg q[1]; U(0,ln(-1),0) q[0];",
            "bad-angle",
            1,
            "The angle has no finite value at 'ln'.",
        ),
        ("qreg q[1]; U(0,9^999,0) q[0];", "bad-angle", 1, "The angle has no finite value at '^'."),
        (
            "gate g(t) a {\nU(0,0,1/t) a; }\nqreg q[1]; g(0) q[0];",
            "bad-angle",
            2,
            "The angle has no finite value at '/'.",
        ),
        (
            HEADER + "qreg q[2]; creg c[2];\nmeasure q -> c;\nx q[1];",
            "measured-qubit",
            5,
            "The gate 'x' acts on a qubit that was measured before.",
        ),
        (
            HEADER + "qreg q[2];\nx q[1]; reset q;",
            "reset",
            4,
            "A qubit is reset after it was used, which no network of gates can express.",
        ),
        (
            HEADER + "qreg q[1]; creg c[1];\nif (c == 1) x q[0];",
            "classical-condition",
            4,
            "'if' depends on the classical register 'c'.",
        ),
        (
            "qreg q[600];\nqreg r[500];",
            "too-many-qubits",
            2,
            "The program has 1100 qubits so far; the most is 1000.",
        ),
        (
            HEADER + "qreg q[1];\n" + "x q[0];" * 19_999,
            "too-many-gates",
            4,
            "The circuit comes to more than 20000 tensors here.",
        ),
        (
            HEADER + "qreg q[4];\n" + "rc3x q[0],q[1],q[2],q[3];" * 5_000,
            "too-many-gates",
            4,
            "The circuit comes to more than 20000 tensors here.",
        ),
        (
            "gate g0 a { }"
            + "".join(f"gate g{n + 1} a {{ g{n} a; g{n} a; }}" for n in range(60))
            + "qreg q[1];\ng60 q[0];",
            "too-many-gates",
            2,
            "The circuit comes to more than 1000000 steps to expand here.",
        ),
        (
            "qreg q[1];\nU(0,0," + "-" * 20_000 + "1) q[0];",
            "too-big",
            2,
            "The angle takes more than 10000 steps.",
        ),
        (
            "qreg q[1];\nbarrier " + "q," * 10_001 + "q;",
            "too-big",
            2,
            "The statement has more than 10000 operands.",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_programs_that_cannot_be_read_are_refused_with_their_line(
    program: str, code: str, line: int, message: str
) -> None:
    error = refusal(program)
    assert (error.code, error.where.line) == (code, line)
    assert error.message == f"Line {line}: {message}"


def test_the_characters_at_fault_are_marked() -> None:
    program = "qreg q[3];\n\nCX q[0], q[7];"
    error = refusal(program)
    assert error.where.span is not None
    start, end = error.where.span
    assert program[start:end] == "q"
    assert start == program.index("q[7]")


@pytest.mark.parametrize("output", ["01", "0123", "", "STATE", "01x"])
def test_outcomes_that_do_not_fit_are_refused(output: str) -> None:
    error = refusal("qreg q[3];", output)
    assert error.code == "bad-output"
    assert error.message == f"The output '{output}' is not an outcome of 3 qubits."
    assert error.hint == "Use 'state', or 3 zeros and ones with qubit 0 first."


def test_a_program_without_qubits_is_refused() -> None:
    error = refusal(HEADER)
    assert (error.code, error.message) == ("no-qubits", "The program declares no qubits.")


def test_a_program_that_is_too_long_is_refused() -> None:
    error = refusal(" " * 1_500_001)
    assert error.code == "too-big"
    assert error.message == "The program has 1500001 characters; the most is 1500000."


def test_a_known_gate_without_its_header_says_what_to_add() -> None:
    assert refusal("qreg q[1]; h q[0];").hint == 'Add the line: include "qelib1.inc";'
