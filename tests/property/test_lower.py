"""Programs of random trees: what they hold, read and free, and that layouts change no value."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from random_networks import equation, random_arrays, random_tree, reference, tolerance
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.kernels.lower import lower
from tensorloom.plan.cost import cost_of
from tensorloom.plan.plan import Plan
from tensorloom.plan.sharing import work_of

if TYPE_CHECKING:
    from tensorloom.plan.tree import ContractionTree

trees = st.builds(random_tree, st.integers(0, 2**32), sliced=st.booleans())


@given(tree=trees)
def test_every_element_of_a_result_is_written_once(tree: ContractionTree) -> None:
    program = lower(tree, "float64")
    for call in program.dispatches:
        spec = program.kernels[call.kernel]
        axes = (*spec.batch, *spec.rows, *spec.columns)
        places = np.zeros((), int)
        for axis in axes:
            places = np.add.outer(places, axis.out * np.arange(axis.size))
        assert sorted(places.reshape(-1)) == list(range(program.buffers[call.out].elements))


@given(tree=trees)
def test_reads_stay_inside_the_buffers(tree: ContractionTree) -> None:
    program = lower(tree, "float64")
    for call in program.dispatches:
        spec = program.kernels[call.kernel]
        for side, buffer in (("left", call.left), ("right", call.right)):
            if buffer is None:
                continue
            axes = (*spec.batch, *spec.rows, *spec.columns, *spec.contracted)
            last = sum((axis.size - 1) * getattr(axis, side) for axis in axes)
            moved = sum(
                (axis.size - 1) * dict(axis.inputs).get(buffer, 0) for axis in program.slices
            )
            assert last + moved < program.buffers[buffer].elements


@given(tree=trees)
def test_intermediates_are_freed_once_after_their_last_use(tree: ContractionTree) -> None:
    program = lower(tree, "float64")
    n_inputs = len(tree.inputs)
    freed: list[int] = []
    for call in program.dispatches:
        assert call.left not in freed
        assert call.right not in freed
        freed.extend(call.frees)
    made = {call.out for call in program.dispatches}
    once, each = program.dispatches[: program.prologue], program.dispatches[program.prologue :]
    lasting = {call.out for call in once} & {n for call in each for n in (call.left, call.right)}
    assert sorted(freed) == sorted(made - lasting - {program.result})
    assert all(buffer >= n_inputs for buffer in freed)


@given(tree=trees)
def test_what_is_the_same_in_every_slice_comes_first(tree: ContractionTree) -> None:
    program = lower(tree, "float64")
    varies = {buffer for axis in program.slices for buffer, _ in axis.inputs}
    for number, call in enumerate(program.dispatches):
        changes = not varies.isdisjoint((call.left, call.right))
        if changes:
            varies.add(call.out)
        assert changes or not program.slices or number < program.prologue or not program.prologue
        assert not changes or number >= program.prologue


@given(tree=trees)
def test_cost_and_program_agree(tree: ContractionTree) -> None:
    program, cost = lower(tree, "float32"), cost_of(tree)
    n_slices = prod(dict(tree.dimensions)[name] for name in tree.sliced)
    assert program.n_slices == n_slices
    once = [program.kernels[call.kernel] for call in program.dispatches[: program.prologue]]
    saved = (n_slices - 1) * sum(spec.mul_adds for spec in once)
    if tree.path and not any(kernel.unary for kernel in program.kernels):
        assert program.mul_adds == cost.mul_adds - saved
    if tree.path:
        assert program.mul_adds <= cost.mul_adds


@given(tree=trees)
def test_plans_count_what_slices_share_as_programs_do(tree: ContractionTree) -> None:
    plan = Plan(tree=tree, cost=cost_of(tree), finder="greedy")
    program, work = lower(plan, "float32"), work_of(plan)
    if not tree.path or any(kernel.unary for kernel in program.kernels):
        return
    # Whether it is worth its memory is decided by bytes there, and by elements here: one may find
    # it is where the other does not.
    if not program.prologue:
        assert program.mul_adds == plan.cost.mul_adds
    if program.prologue and work.mul_adds < plan.cost.mul_adds:
        assert program.mul_adds == work.mul_adds


@given(tree=trees, seed=st.integers(0, 2**32))
def test_values_agree_with_einsum(tree: ContractionTree, seed: int) -> None:
    arrays = random_arrays(tree, "float64", seed)
    program = lower(tree, "float64")
    found = drive(NumpyBackend().run(program, arrays, no_pulse)).value
    wanted = reference(equation(tree), arrays, "float64")
    error = np.abs(found - wanted.value)
    assert np.all(error <= tolerance(program, wanted))
