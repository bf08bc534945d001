"""What ``python -m tensorloom`` prints, and how it refuses."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tensorloom
from tensorloom.__main__ import _planned, main
from tensorloom.formats.opening import open_text
from tensorloom.plan.sharing import work_of

BELL = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\nh q[0];\ncx q[0],q[1];\n'


def rows(text: str) -> dict[str, str]:
    """Values by label; a value's further lines left out."""
    return {line[:16].strip(): line[16:] for line in text.splitlines() if not line.startswith(" ")}


def test_an_amplitude_with_its_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bell.qasm"
    file.write_text(BELL)
    assert main(["contract", str(file), "--output", "11", "--backend", "numpy"]) == 0
    out, err = capsys.readouterr()
    found = rows(out)
    assert err == ""
    assert abs(complex(found["value"]) - 2**-0.5) < 1e-15
    assert found["axes"] == "a scalar"
    assert found["computed on"] == "numpy in complex128"
    assert found["multiply-adds"].endswith("FLOP, complex)")
    assert found["error bound"].endswith("of the largest magnitude")
    assert {"time", "peak memory", "largest tensor", "order"} <= set(found)


def test_standard_input_and_saving(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BELL.encode())))
    saved = tmp_path / "state.npy"
    assert main(["contract", "-", "--dtype", "complex64", "--save", str(saved)]) == 0
    assert rows(capsys.readouterr().out)["computed on"] == "numpy in complex64"
    state = np.load(saved)
    np.testing.assert_allclose(state, [[0.5**0.5, 0], [0, 0.5**0.5]], atol=1e-7)


def test_einsum_text_itself_is_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contract", "ij,jk->ik", "--seed", "3"]) == 0
    first = capsys.readouterr().out
    assert rows(first)["axes"] == "i: 4 x k: 4"
    assert rows(first)["multiply-adds"] == "64 (128 FLOP, real)"
    assert rows(first)["order"].endswith("1 step")
    assert main(["contract", "ij,jk->ik", "--seed", "3"]) == 0
    assert rows(capsys.readouterr().out)["value"] == rows(first)["value"]


def test_numbers_beyond_the_range_are_printed_with_their_power(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "big.uai"
    n = 40
    scopes = "\n".join("0" for _ in range(n))
    tables = "\n".join("2\n1e20 1e20" for _ in range(n))
    file.write_text(
        f"MARKOV\n1\n2\n{n}\n" + "\n".join(f"1 {line}" for line in scopes.split()) + f"\n{tables}\n"
    )
    assert main(["contract", str(file)]) == 0
    value = rows(capsys.readouterr().out)["value"]
    number, _, rest = value.partition(" x 10^")
    assert rest.startswith("800 ")
    assert float(number) == pytest.approx(2.0, rel=1e-12)
    assert value.endswith("(log10 of the largest magnitude: 800.301029996)")


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (["contract", "missing.qasm"], "'missing.qasm' cannot be used: No such file"),
        (["contract", "/"], "'/' cannot be used: Is a directory."),
        (["contract", "ij,jk->l"], "Output index 'l' is on no operand."),
        (["contract", "ij->i", "--backend", "abacus"], "'abacus' is not a backend."),
        (["contract", "ij->i", "--output", "01"], "The format einsum has no option 'output'."),
        (["contract", "ij->i", "--dtype", "int"], "argument --dtype: invalid choice: 'int'"),
        (["contract"], "the following arguments are required: FILE"),
        ([], "the following arguments are required: COMMAND"),
        (["contract", "a\0b"], "'a\\x00b' cannot be used:"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    arguments: list[str], start: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(arguments)
    except SystemExit as stopped:  # argparse ends the process itself
        status = stopped.code
    out, err = capsys.readouterr()
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(f"tensorloom: {start}")


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"", b"OPENQASM 2.0;\nqreg q[2]\nh q[0];\n", b'{"inputs": 3}']
)
def test_bad_files_too(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad"
    file.write_bytes(content)
    assert main(["contract", str(file)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


def test_an_error_names_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.qasm"
    file.write_text("OPENQASM 2.0;\nqreg q[2];\nfoo q[0];\n")
    assert main(["contract", str(file)]) == 2
    assert "line 3" in capsys.readouterr().err


def test_it_runs_as_a_module_without_a_traceback() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "tensorloom", "contract", "ij,jk->ik,"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(tensorloom.__file__).parents[1])},
    )
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr.count("\n") == 1
    assert "Traceback" not in found.stderr


def test_a_search_slices_what_does_not_fit() -> None:
    network = open_text("ab,bc,cd,da->", options={"sizes": dict.fromkeys("abcd", 40)}).document
    limit = 4 * 40**2 + 1000
    plan = _planned(network.network, 2.0, lambda: limit)
    assert plan.tree.sliced
    assert work_of(plan).peak_elements <= limit
    assert not _planned(network.network, 0.2, lambda: 10**9).tree.sliced


def test_an_interrupted_run_ends_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_given: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tensorloom.__main__.contract_network", interrupt)
    assert main(["contract", "ij,jk->ik"]) == 130
    assert capsys.readouterr() == ("", "\ntensorloom: interrupted\n")
