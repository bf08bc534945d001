"""The error bound against measured errors: float32 against float64 on random networks."""

from __future__ import annotations

import numpy as np

from random_networks import random_arrays, random_tree
from tensorloom.execute.backend import drive, no_pulse
from tensorloom.execute.error_bound import error_bound
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.kernels.lower import lower

N_NETWORKS = 2000


def test_no_random_network_passes_its_bound_and_bounds_are_not_absurd() -> None:
    backend = NumpyBackend()
    ratios = []
    for seed in range(N_NETWORKS):
        short, long = (("float32", "float64"), ("complex64", "complex128"))[seed % 2]
        tree = random_tree(seed)
        arrays = random_arrays(tree, long, seed)
        if seed % 5 == 1:  # elements of very different sizes
            spread = np.random.default_rng(seed)
            arrays = [array * 10 ** spread.uniform(-2, 2, array.shape) for array in arrays]
        program = lower(tree, short)
        if not program.dispatches:
            continue
        rounded = [np.asarray(array, short) for array in arrays]
        raw = drive(backend.run(program, rounded, no_pulse))
        exact = drive(backend.run(lower(tree, long), arrays, no_pulse)).value
        error = np.max(np.abs(raw.value - exact), initial=0) / np.max(np.abs(exact))
        bound = error_bound(tree, program, arrays, raw)
        assert bound == 1 or error <= bound, f"network {seed}: {error:.3g} > {bound:.3g}"
        ratios.append(bound / max(error, np.finfo(short).eps / 8))
    assert len(ratios) > 0.9 * N_NETWORKS
    assert np.median(ratios) < 200
