"""``python -m tensorloom contract --worker``: what it prints, and how one comes back to a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tensorloom.__main__ import main
from worker_double import TOKEN, WorkerDouble, worker_double

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EINSUM = "ij,jk->ik i=2 j=3 k=2"


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerDouble]:
    monkeypatch.setenv("TENSORLOOM_WORKER_TOKEN", TOKEN)
    with worker_double() as found:
        yield found


def rows(text: str) -> dict[str, str]:
    """Values by label; a value's further lines left out."""
    return {line[:16].strip(): line[16:] for line in text.splitlines() if not line.startswith(" ")}


def test_a_file_is_contracted_by_the_worker(
    double: WorkerDouble, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = tmp_path / "here.npy", tmp_path / "there.npy"
    assert main(["contract", EINSUM, "--seed", "3", "--save", str(here)]) == 0
    capsys.readouterr()
    worker = ["--worker", double.address]
    assert main(["contract", EINSUM, "--seed", "3", "--save", str(there), *worker]) == 0
    out, err = capsys.readouterr()
    found = rows(out)
    assert found["computed on"] == "worker in float64"
    assert found["axes"] == "i: 2 x k: 2"
    assert found["time"] == "61 s, predicted 5 min"
    assert found["note"] == f"Computed by numpy on the worker at {double.address[7:]}."
    assert "order" not in found
    assert f"Sent to {double.address[7:]} as job job1; Ctrl+C leaves it running" in err
    np.testing.assert_array_equal(np.load(here), np.load(there))


def test_what_contracts_there_may_be_chosen(double: WorkerDouble) -> None:
    given = ["contract", EINSUM, "--worker", double.address]
    assert main([*given, "--backend", "wgpu"]) == 0
    assert main(given) == 0
    assert [double.bodies[job].get("backend") for job in ("job1", "job2")] == ["wgpu", None]


def test_ctrl_c_leaves_the_job_and_says_the_way_back(
    double: WorkerDouble, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    double.held = True

    def interrupt(_client: object, _seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # Where the client would wait for the next look at the job.
        patch.setattr("tensorloom.execute.remote.client.WorkerClient.pause", interrupt)
        with pytest.raises(SystemExit) as caught:
            main(["contract", EINSUM, "--worker", double.address])
    assert caught.value.code == 130
    back = f"python -m tensorloom contract --worker {double.address} --job job1"
    assert capsys.readouterr().err.endswith(f"\nJob job1 goes on. Come back to it: {back}\n")
    assert double.jobs["job1"]["state"] == "queued"
    double.finish("job1")
    assert main(["contract", "--worker", double.address, "--job", "job1"]) == 0
    found = rows(capsys.readouterr().out)
    assert found["axes"] == "2 x 2"
    assert found["computed on"] == "worker in float64"


def test_the_token_may_be_in_a_file(
    double: WorkerDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TENSORLOOM_WORKER_TOKEN")
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    given = ["contract", EINSUM, "--worker", double.address]
    assert main([*given, "--token-file", str(file)]) == 0
    assert main(given) == 2
    assert main([*given, "--token-file", str(tmp_path / "none")]) == 2


def test_refusals_are_one_line(
    double: WorkerDouble, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENSORLOOM_WORKER_TOKEN", "other")
    assert main(["contract", EINSUM, "--worker", double.address]) == 2
    err = capsys.readouterr().err
    assert err == (
        f"tensorloom: The worker at {double.address[7:]} does not know this token. Copy the token "
        "that it printed when it started, or make a new one (token rotate).\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--job", "job1"], "--token-file and --job need --worker ADDRESS"),
        ([EINSUM, "--token-file", "x"], "--token-file and --job need --worker ADDRESS"),
        ([], "the following arguments are required: FILE"),
        (["--worker", "w"], "give either FILE or --job ID"),
        ([EINSUM, "--worker", "w", "--job", "j"], "give either FILE or --job ID"),
        (["--worker", "w", "--job", "j", "--backend", "wgpu"], "--backend belongs to a new job"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["contract", *arguments])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"tensorloom: {said}")
