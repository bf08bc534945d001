"""Networks computed half by numpy, half by another backend, however the steps are dealt out."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np

from random_networks import assert_close, equation, random_arrays, random_tree, reference, tolerance
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.hybrid import parts, run_parts
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.kernels.lower import lower

if TYPE_CHECKING:
    from tensorloom.execute.backend import Backend

N_NETWORKS = 25


def test_dealt_out_steps_give_the_same_value(backend: Backend) -> None:
    backends = NumpyBackend(), backend
    crossed = 0
    for seed in range(N_NETWORKS):
        tree = random_tree(seed)
        program = lower(tree, "complex64")
        if not program.dispatches:
            continue
        draw = random.Random(seed)
        cut = parts(program, [draw.randrange(2) for _ in program.dispatches])
        arrays = random_arrays(tree, "complex64", seed)
        found = drive(run_parts(cut, backends, arrays, no_pulse))
        wanted = reference(equation(tree), arrays, "complex64")
        assert_close(np.asarray(found.value), wanted, tolerance(program, wanted))
        crossed += len({part.device for part in cut}) - 1
    assert crossed > N_NETWORKS // 4
