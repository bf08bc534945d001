"""Fused groups are proven before they run: mistakes in the emitter are noticed, no others are."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import mutations
from chains import chain, matrices
from random_networks import random_tree
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.wasm.backend import WasmBackend
from tensorloom.execute.wasm.replay import prepared, settle
from tensorloom.kernels.gradient import lower_gradient
from tensorloom.kernels.lower import lower
from tensorloom.kernels.wasm.fused import fused_groups
from tensorloom.kernels.wasm.fused_probe import group_probe, probe_sizes
from wasmtime_host import WasmtimeHost

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tensorloom.execute.backend import RawResult
    from tensorloom.kernels.program import Program
    from tensorloom.model.recipe import DType

DTYPES: tuple[DType, ...] = ("float32", "float64", "complex64", "complex128")
SIDES = (4, 3, 4, 4, 5, 4)
ONLY_COMPLEX = {"a sign in complex products", "the parts of complex numbers not exchanged"}
MISTAKES = [
    (name, dtype)
    for name in mutations.FUSED
    for dtype in (DTYPES[2:] if name in ONLY_COMPLEX else DTYPES)
]


def runs(backend: WasmBackend, program: Program, arrays: list[NDArray[Any]]) -> list[RawResult]:
    return [drive(backend.run(program, arrays, no_pulse)) for _ in range(4)]


@pytest.mark.parametrize("relaxed", [True, False], ids=["relaxed", "plain"])
@pytest.mark.parametrize(("name", "dtype"), MISTAKES)
def test_a_wrong_emitter_changes_no_number(name: str, dtype: DType, *, relaxed: bool) -> None:
    backend = WasmBackend(WasmtimeHost(relaxed_simd=relaxed))
    program, arrays = lower(chain(SIDES), dtype), matrices(SIDES, dtype)
    wanted = np.linalg.multi_dot(arrays)
    with mutations.wrong_emitter(name):
        found = runs(backend, program, arrays)
        again = drive(backend.run(lower(chain(SIDES), dtype), arrays, no_pulse))
    for raw in (*found, again):
        np.testing.assert_allclose(raw.value, wanted, rtol=0, atol=1e-4)
    notes = [raw.notes for raw in found]
    (kernel,) = (group.kernel for group in fused_groups(program))
    words = f"This browser engine computes the kernel {kernel.name} wrongly."
    # Groups are made for the second run; afterwards nobody tries again.
    assert notes == [(), (f"{words} It was thrown out, and another one computed this.",), (), ()]
    assert backend.kernels.report == [words]
    assert backend.kernels.is_out(kernel)


def test_zeros_hide_no_mistake() -> None:
    """The numbers of a run may be such that every kernel is right with them."""
    backend = WasmBackend(WasmtimeHost())
    program = lower(chain(SIDES), "float64")
    with mutations.wrong_emitter("one product too many"):
        found = runs(backend, program, [np.zeros(shape) for shape in pairwise(SIDES)])
    assert not any(raw.value.any() for raw in found)
    assert len(backend.kernels.report) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_right_groups_are_trusted(dtype: DType) -> None:
    backend = WasmBackend(WasmtimeHost())
    n_groups = 0
    for seed in range(120):
        tree = random_tree(seed, sliced=seed % 3 == 1)
        programs = [lower(tree, dtype)]
        if tree.path and not tree.sliced:
            programs.append(lower_gradient(tree, dtype, tuple(range(len(tree.inputs)))))
        for program in programs:
            if program.dispatches:
                known = prepared(program, relaxed=True, fused=True)
                settle(known, backend.kernels)
                backend.kernels.release(known.sheet.kernels)
                n_groups += len(known.groups)
    assert backend.kernels.report == []
    assert n_groups > 150


def test_every_small_step_of_a_gradient_is_in_a_group() -> None:
    """What one set of sizes does not keep in range is halved until some does."""
    for length in (40, 200):
        tree = chain([2] * length)
        program = lower_gradient(tree, "float32", tuple(range(len(tree.inputs))))
        known = prepared(program, relaxed=True, fused=True)
        assert sum(len(group.kernel.calls) for group in known.groups) == len(program.dispatches)


@pytest.mark.parametrize(("dtype", "steps"), [("float32", 10_000), ("complex64", 2_000)])
def test_thousands_of_steps_stay_in_range(dtype: DType, steps: int) -> None:
    sides = [2] * (steps + 1)
    program = lower(chain(sides), dtype)
    (group,) = fused_groups(program)
    assert probe_sizes(program, group.first, group.last, looked=True) is not None
    backend = WasmBackend(WasmtimeHost())
    settle(prepared(program, relaxed=True, fused=True), backend.kernels)
    assert backend.kernels.report == []


def test_a_proven_group_is_not_proven_again(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = WasmBackend(WasmtimeHost())
    known = prepared(lower(chain(SIDES), "float32"), relaxed=True, fused=True)
    settle(known, backend.kernels)
    backend.kernels.release(known.sheet.kernels)
    asked = []
    monkeypatch.setattr(backend.kernels, "proven", asked.append)
    settle(known, backend.kernels)
    assert asked == []


def probed(dtype: DType = "float64") -> Any:
    """A probe with a right answer: all that is made is 1."""
    program = lower(chain([2, 2, 2, 2]), dtype)
    (group,) = fused_groups(program)
    sizes = probe_sizes(program, group.first, group.last, looked=True)
    assert sizes is not None
    probe = group_probe(program, group.first, group.last, sizes)
    made = np.where(np.isnan(probe.tolerance), np.nan, 1.0)
    return probe, made


def test_differences_guards_and_what_is_missing_are_wrong() -> None:
    probe, made = probed()
    assert probe.wrong(made, made) is None
    second = int(probe.starts[1])
    for place, value, wrong in (
        (second + 3, 1.0 + 1e-12, 1),
        (0, np.nan, 0),
        (3, np.inf, 0),
        (4, 1.0, 0),
        (len(made) - 1, 0.0, 1),
    ):
        changed = made.copy()
        changed[place] = value
        assert probe.wrong(changed, made) == wrong, place
    within = made.copy()
    within[second] = 1 + 1e-15
    assert probe.wrong(within, made) is None


def test_probes_have_a_place_for_each_buffer_and_nan_between() -> None:
    probe, made = probed()
    inputs = probe.inputs
    assert probe.n_bytes == inputs.nbytes + 2 * made.nbytes
    assert (probe.places % 64 == 0).all()
    assert len(set(probe.places.tolist())) == len(probe.places)
    start = int(probe.places[1]) // 8
    assert np.isfinite(inputs[start : start + 4]).all()
    assert np.isnan(inputs[start + 4 : start + 8]).all()
    assert len(set(inputs[np.isfinite(inputs)].tolist())) == 12


def test_a_group_that_would_need_too_much_memory_has_no_probe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tensorloom.kernels.wasm.fused_probe.MOST_PROBE_BYTES", 100)
    program = lower(chain([4] * 9), "float64")
    known = prepared(program, relaxed=True, fused=True)
    assert known.groups == ()
    backend = WasmBackend(WasmtimeHost())
    arrays = matrices([4] * 9)
    for raw in runs(backend, program, arrays):
        np.testing.assert_allclose(raw.value, np.linalg.multi_dot(arrays), rtol=1e-12)
