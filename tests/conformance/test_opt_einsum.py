"""All contraction expressions of opt_einsum's own tests, read from the installed package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opt_einsum.testing import build_shapes
from opt_einsum.tests import test_contract as theirs

from random_networks import assert_close, random_arrays, reference, tolerance
from tensorloom.execute.backend import drive
from tensorloom.execute.run import prepare, run
from tensorloom.kernels.lower import lower
from tensorloom.model.equation import parse
from tensorloom.plan.find import plan_for

if TYPE_CHECKING:
    from tensorloom.execute.backend import Backend

EXPRESSIONS = sorted(set(theirs.tests))


def test_there_are_as_many_as_we_know() -> None:
    assert len(theirs.tests) >= 70


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("text", EXPRESSIONS)
def test_agrees_with_einsum(backend: Backend, text: str, dtype: str) -> None:
    if dtype not in backend.dtypes:
        pytest.skip(f"{backend.name} does not compute in {dtype}")
    parsed = parse(text)
    sizes = {
        name: size
        for names, shape in zip(parsed.operands, build_shapes(text), strict=True)
        for name, size in zip(names, shape, strict=True)
    }
    plan = plan_for(parsed.operands, parsed.output, tuple(sizes.items()))
    arrays = random_arrays(plan.tree, dtype, seed=7)
    choice = prepare(plan, backends={backend.name: backend}, backend=backend.name, dtype=dtype)
    found = drive(run(choice, arrays))
    wanted = reference(text, arrays, dtype)
    assert found.backend == backend.name
    assert found.dtype == dtype
    assert found.notes == ()
    assert_close(found.value, wanted, tolerance(lower(plan, dtype), wanted))
