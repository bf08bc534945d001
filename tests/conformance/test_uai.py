"""Markov networks: the partition function of grids against a transfer-matrix sum written here."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tensorloom.execute.arrays import ArrayStore, arrays_of
from tensorloom.execute.backend import drive
from tensorloom.execute.numpy_backend import NumpyBackend
from tensorloom.execute.run import prepare, run
from tensorloom.formats.opening import open_text
from tensorloom.plan.find import quick

GRID = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "graphical" / "Grids_12.uai"


def log10_partition(text: str) -> float:
    """log10 of the partition function, through reader, planner and engine."""
    opened = open_text(text, format="uai")
    network = opened.document.network
    store = ArrayStore()
    for stored in opened.arrays:
        store.add(stored)
    choice = prepare(quick(network), backends={"numpy": NumpyBackend()}, dtype="float64")
    found = drive(run(choice, arrays_of(network, "float64", store)))
    return math.log10(float(found.value)) + found.log10_scale


def log10_by_transfer(text: str, rows: int, columns: int) -> float:
    """The same by summing row after row over all states of a row; tables read by this function.

    Variable ``r * columns + c`` stands in row r, column c; tables are over one variable or two
    neighbours, in any order.
    """
    words = iter(text.split())
    assert next(words) == "MARKOV"
    n = int(next(words))
    assert n == rows * columns
    assert all(int(next(words)) == 2 for _ in range(n))
    scopes = [[int(next(words)) for _ in range(int(next(words)))] for _ in range(int(next(words)))]
    tables = [
        np.array([float(next(words)) for _ in range(int(next(words)))]).reshape((2,) * len(scope))
        for scope in scopes
    ]
    states = np.array(list(np.ndindex(*(2,) * columns)))
    weight, log10 = np.ones(len(states)), 0.0
    for row in range(rows):
        within, between = np.ones(len(states)), np.ones((len(states), len(states)))
        for scope, table in zip(scopes, tables, strict=True):
            spots = [divmod(variable, columns) for variable in scope]
            if all(at == row for at, _ in spots):
                within = within * table[tuple(states[:, column] for _, column in spots)]
            elif max(at for at, _ in spots) == row:
                picks = [
                    states[None, :, column] if at == row else states[:, None, column]
                    for at, column in spots
                ]
                between = between * table[tuple(picks)]
        weight = (weight @ between if row else weight) * within
        log10 += math.log10(weight.sum())
        weight = weight / weight.sum()
    return log10


def ising(rows: int, columns: int, seed: int) -> str:
    """A random Ising grid as UAI text."""
    generator = np.random.default_rng(seed)
    pairs = [
        (r * columns + c, (r + down) * columns + c + right)
        for r in range(rows)
        for c in range(columns)
        for down, right in ((0, 1), (1, 0))
        if r + down < rows and c + right < columns
    ]
    scopes = [*((v,) for v in range(rows * columns)), *pairs]
    lines = ["MARKOV", str(rows * columns), " ".join(["2"] * (rows * columns)), str(len(scopes))]
    lines += [f"{len(scope)} {' '.join(map(str, scope))}" for scope in scopes]
    for scope in scopes:
        values = np.exp(generator.normal(scale=2.0, size=2 ** len(scope)))
        lines += [str(len(values)), " ".join(f"{value:.12g}" for value in values)]
    return "\n".join(lines)


@pytest.mark.parametrize("seed", range(5))
def test_random_ising_grids_agree(seed: int) -> None:
    text = ising(4, 5, seed)
    assert log10_partition(text) == pytest.approx(log10_by_transfer(text, 4, 5), abs=1e-10)


def test_a_grid_whose_sum_leaves_the_range_agrees() -> None:
    text = ising(4, 4, seed=9)
    # 16 tables of one variable and 24 of two, each times 1e60: a sum near 1e2400.
    n_tables = 16 + 24
    lines = text.split("\n")
    for at in range(4 + n_tables + 1, len(lines), 2):
        lines[at] = " ".join(f"{float(word) * 1e60:.12g}" for word in lines[at].split())
    wanted = log10_by_transfer(text, 4, 4) + 60 * n_tables
    assert log10_partition("\n".join(lines)) == pytest.approx(wanted, abs=1e-8)


def test_the_grid_of_the_competition_agrees() -> None:
    if not GRID.exists():
        pytest.skip("needs Grids_12.uai of the UAI 2014 competition in ../shared/data/graphical")
    text = GRID.read_text()
    assert log10_partition(text) == pytest.approx(log10_by_transfer(text, 10, 10), abs=1e-10)
