"""5,000 programs, from valid to noise: each is a circuit or one explained refusal, at once."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tensorloom.errors import TensorloomError
from tensorloom.formats.qasm import read
from tensorloom.model import codec

if TYPE_CHECKING:
    from tensorloom.model.document import Document

MAX_SECONDS = 2.0

NAMES = st.sampled_from(
    ["q", "r", "c", "a", "b", "t", "g", "h", "cx", "ccx", "rz", "u3", "pi", "if"]
)
NUMBERS = st.one_of(
    st.integers(0, 9).map(str),
    st.sampled_from(["0.5", "1e3", "1e999", "99999999999", "00", "2."]),
)
ANGLES = st.recursive(
    NUMBERS | st.sampled_from(["pi", "t", "-pi/4"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/^"), inner).map("".join),
        inner.map("({})".format),
        inner.map("-{}".format),
        st.tuples(st.sampled_from(["sin", "ln", "sqrt", "exp"]), inner).map(
            lambda pair: f"{pair[0]}({pair[1]})"
        ),
    ),
    max_leaves=6,
)
OPERANDS = st.one_of(NAMES, st.tuples(NAMES, NUMBERS).map(lambda pair: f"{pair[0]}[{pair[1]}]"))
CALLS = st.builds(
    lambda name, angles, operands: (
        f"{name}{'(' + ','.join(angles) + ')' if angles else ''} {','.join(operands)};"
    ),
    NAMES,
    st.lists(ANGLES, max_size=3),
    st.lists(OPERANDS, min_size=1, max_size=3),
)
STATEMENTS = st.one_of(
    CALLS,
    st.sampled_from([
        'include "qelib1.inc";', "qreg q[3];", "qreg r[2];", "creg c[3];", "barrier q;",
        "measure q -> c;", "reset q;", "opaque g(t) a,b;", "h q;", "cx q[0],q[1];",
        "gate a(t) q { rz(t) q; }", "rz(pi/2) q[0];", "OPENQASM 2.0;", "// note\n",
    ]),
    st.builds("gate {} a,b {{ {} }}".format, NAMES, CALLS),
    st.builds("if({}=={}) {}".format, NAMES, NUMBERS, CALLS),
    st.builds("qreg {}[{}];".format, NAMES, NUMBERS),
)  # fmt: skip
PROGRAMS = st.lists(STATEMENTS, max_size=12).map("\n".join)
QUBITS = st.permutations(["q[0]", "q[1]", "q[2]", "r[0]", "r[1]"])
LIKELY = st.one_of(
    st.builds(
        lambda angle, qubits: f"rz({angle}) {qubits[0]};",
        ANGLES.filter(lambda angle: "t" not in angle),
        QUBITS,
    ),
    st.builds(lambda qubits: f"ccx {','.join(qubits[:3])};", QUBITS),
    st.builds(lambda qubits: f"swap {','.join(qubits[:2])};", QUBITS),
    st.builds(lambda turn, qubits: f"turn({turn}) {','.join(qubits[:2])};", NUMBERS, QUBITS),
    st.builds(lambda qubits: f"measure {qubits[0]} -> c[0];", QUBITS),
    st.builds(lambda qubits: f"reset {qubits[0]};", QUBITS),
    st.sampled_from(["h q;", "barrier q,r;", "x q[1];", "u2(0,pi/3) r;", "cx q[0],r;"]),
)
CIRCUITS = st.lists(LIKELY, max_size=10).map(
    lambda lines: (
        'include "qelib1.inc"; qreg q[3]; qreg r[2]; creg c[3];'
        "gate turn(t) a,b { cx a,b; rz(1/t) b; cx a,b; }" + "\n".join(lines)
    )
)
SEED = """OPENQASM 2.0;
include "qelib1.inc";
qreg q[4]; creg c[4];
gate turn(a, b) p, r { rx(a/2) r; barrier p,r; cu1(-b^2) r, p; }
u3(0.3, -pi/2, sin(pi/4)*2) q[1];
turn(1.5, 2) q[0], q[3];
h q; ccx q[0],q[1],q[2];
measure q -> c;
"""
PIECES = re.findall(r"\w+|\s+|[^\w\s]", SEED)


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """A valid program with pieces dropped, doubled, swapped or replaced."""
    pieces = list(PIECES)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(pieces) - 1))
        kind = draw(st.sampled_from(["drop", "double", "swap", "replace", "cut"]))
        other = draw(st.integers(0, len(pieces) - 1))
        if kind == "drop":
            pieces[at] = ""
        elif kind == "double":
            pieces[at] *= draw(st.sampled_from([2, 3, 500]))
        elif kind == "swap":
            pieces[at], pieces[other] = pieces[other], pieces[at]
        elif kind == "replace":
            pieces[at] = draw(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)))
        else:
            pieces = pieces[: at + 1]
    return "".join(pieces)


OUTPUTS = st.one_of(
    st.just("state"), st.just("state"), st.text("01", min_size=4, max_size=5), st.text(max_size=5)
)
NOISE = st.binary(max_size=200).map(lambda data: data.decode("latin-1"))
TEXTS = st.one_of(
    CIRCUITS,
    CIRCUITS,
    PROGRAMS.map('include "qelib1.inc";qreg q[3];creg c[3];{}'.format),
    mutations(),
    mutations(),
    st.one_of(
        PROGRAMS,
        st.text(max_size=200),
        st.binary(max_size=200).map(lambda data: data.decode("latin-1")),
    ),
)


@settings(
    max_examples=5_000,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(text=TEXTS, output=OUTPUTS, name=st.text(max_size=8))
def test_every_text_is_a_document_or_one_explained_error(text: str, output: str, name: str) -> None:
    began = time.perf_counter()
    found = outcome(text, output, name)
    assert time.perf_counter() - began < MAX_SECONDS
    if isinstance(found, TensorloomError):
        assert_explained(found)
    else:
        assert codec.from_json(codec.to_json(found)) == found


def outcome(text: str, output: str, name: str) -> Document | TensorloomError:
    try:
        return read(text, output=output, name=name)
    except TensorloomError as error:
        return error


def assert_explained(error: TensorloomError) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", error.code)
    assert error.message
    assert error.hint
    assert error.where.to_json()
