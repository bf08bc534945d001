"""Programs of small trees, their strides and sizes worked out by hand."""

from __future__ import annotations

import itertools

from tensorloom.kernels.lower import lower
from tensorloom.kernels.program import Buffer, Dispatch, KernelSpec, LoopAxis, SliceAxis
from tensorloom.plan.find import plan_for
from tensorloom.plan.tree import ContractionTree


def tree(
    text: str,
    path: tuple[tuple[int, int], ...] = ((0, 1),),
    *,
    sliced: str = "",
    **sizes: int,
) -> ContractionTree:
    left, _, output = text.partition("->")
    return ContractionTree(
        inputs=tuple(tuple(names) for names in left.split(",")),
        output=tuple(output),
        dimensions=tuple(sizes.items()),
        path=path,
        sliced=tuple(sliced),
    )


def test_a_matrix_product_is_one_kernel() -> None:
    program = lower(tree("ij,jk->ik", i=2, j=3, k=5), "float64")
    assert program.kernels == (
        KernelSpec(
            dtype="float64",
            rows=(LoopAxis(size=2, left=3, right=0, out=5),),
            columns=(LoopAxis(size=5, left=0, right=1, out=1),),
            contracted=(LoopAxis(size=3, left=1, right=5, out=0),),
        ),
    )
    assert program.dispatches == (Dispatch(kernel=0, left=0, right=1, out=2),)
    assert program.buffers == (
        Buffer(elements=6, source=0),
        Buffer(elements=15, source=1),
        Buffer(elements=10),
    )
    assert (program.result, program.shape) == (2, (2, 5))
    assert program.mul_adds == 30
    assert program.peak_bytes == 8 * (6 + 15 + 10)


def test_operands_are_swapped_so_that_columns_have_stride_one() -> None:
    program = lower(tree("ij,jk->ki", i=2, j=3, k=5), "float32")
    (kernel,) = program.kernels
    assert (program.dispatches[0].left, program.dispatches[0].right) == (1, 0)
    assert kernel.columns == (LoopAxis(size=2, left=0, right=3, out=1),)
    assert kernel.rows == (LoopAxis(size=5, left=1, right=0, out=2),)


def test_a_repeated_index_is_a_diagonal() -> None:
    program = lower(tree("iij,j->i", i=3, j=2), "float64")
    (kernel,) = program.kernels
    assert kernel.rows + kernel.columns == (LoopAxis(size=3, left=0, right=8, out=1),)
    assert kernel.contracted == (LoopAxis(size=2, left=1, right=1, out=0),)


def test_a_hyperindex_in_the_output_is_a_batch() -> None:
    program = lower(tree("bi,bj->bij", b=4, i=2, j=3), "float64")
    assert program.kernels[0].batch == (LoopAxis(size=4, left=2, right=3, out=6),)
    assert program.kernels[0].extents == (4, 2, 3, 1)


def test_neighbours_fuse_where_all_tensors_run_through_them() -> None:
    program = lower(tree("abxy,xyc->abc", a=2, b=3, x=4, y=5, c=6), "float64")
    (kernel,) = program.kernels
    assert kernel.rows == (LoopAxis(size=6, left=20, right=0, out=6),)
    assert kernel.contracted == (LoopAxis(size=20, left=1, right=6, out=0),)


def test_indices_of_size_one_vanish() -> None:
    program = lower(tree("iaj,jka->kai", i=2, j=3, k=5, a=1), "float64")
    assert program.kernels == lower(tree("ij,jk->ki", i=2, j=3, k=5), "float64").kernels
    assert program.shape == (5, 1, 2)


def test_a_lone_sum_rides_along_where_it_costs_nothing() -> None:
    program = lower(tree("ia,i->i", i=3, a=4), "float64")
    (kernel,) = program.kernels
    assert not kernel.unary
    assert kernel.contracted == (LoopAxis(size=4, left=1, right=0, out=0),)


def test_a_lone_sum_that_would_multiply_the_work_is_done_first() -> None:
    program = lower(tree("ia,ik->ik", i=3, a=4, k=10), "float64")
    first, second = (program.kernels[call.kernel] for call in program.dispatches)
    assert first == KernelSpec(
        dtype="float64",
        rows=(LoopAxis(size=3, left=4, right=0, out=1),),
        contracted=(LoopAxis(size=4, left=1, right=0, out=0),),
        unary=True,
    )
    assert second.mul_adds == 30
    assert program.mul_adds == 12 + 30
    assert program.dispatches[1].frees == (2,)


def test_intermediates_lie_as_their_reader_likes() -> None:
    # (AB) is read with j contracted and i in rows; the result is C-ordered (i, k).
    program = lower(tree("ix,xj,jk->ik", ((0, 1), (3, 2)), i=2, x=3, j=4, k=5), "float64")
    first, second = (program.kernels[call.kernel] for call in program.dispatches)
    assert first.columns[-1].out == 1
    assert second.rows == (LoopAxis(size=2, left=4, right=0, out=5),)
    assert second.contracted == (LoopAxis(size=4, left=1, right=5, out=0),)


def test_the_peak_is_inputs_and_what_lives_between() -> None:
    text = "ab,bc,cd,de->ae"
    program = lower(tree(text, ((0, 1), (2, 3), (4, 5)), a=2, b=3, c=4, d=5, e=6), "complex64")
    inputs = 6 + 12 + 20 + 30
    between = max(8, 8 + 24, 8 + 24 + 12)
    assert program.peak_bytes == 8 * (inputs + between)
    assert [call.frees for call in program.dispatches] == [(), (), (4, 5)]


def test_equal_steps_share_a_kernel() -> None:
    names = "abcdefgh"
    text = ",".join(a + b for a, b in itertools.pairwise(names)) + "->ah"
    path = ((0, 1), (7, 2), (8, 3), (9, 4), (10, 5), (11, 6))
    program = lower(tree(text, path, **dict.fromkeys(names, 2)), "float64")
    assert len(program.dispatches) == 6
    assert len(program.kernels) <= 2


def test_a_summed_slice_moves_the_inputs() -> None:
    program = lower(tree("ij,jk->ik", i=2, j=3, k=5, sliced="j"), "float64")
    assert program.slices == (SliceAxis(size=3, inputs=((0, 1), (1, 5)), output=None),)
    assert program.n_slices == 3
    assert program.kernels[0].extents == (1, 2, 5, 1)
    assert program.mul_adds == 30
    # Inputs whole, the full result and what its sums round away, and the result of one slice.
    assert program.peak_bytes == 8 * (6 + 15 + 2 * 10 + 10)


def test_an_output_slice_selects() -> None:
    program = lower(tree("ij,jk->ik", i=2, j=3, k=5, sliced="i"), "float64")
    assert program.slices == (SliceAxis(size=2, inputs=((0, 3),), output=5),)
    assert program.buffers[program.result].elements == 5
    assert program.shape == (2, 5)


def test_a_sliced_diagonal_moves_along_it() -> None:
    program = lower(tree("ii,i->", i=4, sliced="i"), "float64")
    assert program.slices == (SliceAxis(size=4, inputs=((0, 5), (1, 1)), output=None),)


def test_one_tensor_is_one_unary_kernel() -> None:
    program = lower(tree("iji->j", (), i=2, j=3), "float64")
    assert program.kernels == (
        KernelSpec(
            dtype="float64",
            rows=(LoopAxis(size=3, left=2, right=0, out=1),),
            contracted=(LoopAxis(size=2, left=7, right=0, out=0),),
            unary=True,
        ),
    )
    assert program.peak_bytes == 8 * (12 + 3)


def test_one_tensor_without_work_has_no_call() -> None:
    program = lower(tree("ij->ij", (), i=2, j=3), "float64")
    assert (program.dispatches, program.result) == ((), 0)
    assert program.peak_bytes == 8 * (6 + 6)


def test_the_empty_network_is_the_number_one() -> None:
    program = lower(plan_for((), (), ()), "float32")
    assert (program.dispatches, program.result, program.shape) == ((), 0, ())
    assert program.buffers == (Buffer(elements=1),)
    assert program.peak_bytes == 4
