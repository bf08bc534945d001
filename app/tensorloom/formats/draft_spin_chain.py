"""The energy of a spin chain: its ground state around its Hamiltonian, with real values.

The open Heisenberg chain of n spins 1/2, H = sum of S_k . S_(k+1), is diagonalised exactly; its
ground state is cut into a matrix product state by singular values, at most chi of them on a bond,
and normalised. So the value is the ground state energy, or with a small chi a bound above it, and
the triangles are isometries indeed. H is a matrix product operator of bond dimension 5.

Source: Schollwoeck, Annals of Physics 326, 96 (2011), sections 4.1 and 6.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tensorloom.formats.draft import STEP, Draft, index_names, sides
from tensorloom.model.recipe import InlineArray

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tensorloom.model.diagram import MarkColour, MarkShape
    from tensorloom.model.document import Document

    Array = NDArray[np.float64]

__all__ = ["energy"]

DIGITS = 12
"""Decimals kept of each number: the energy is right to as many, and links stay short."""

_ONE, _UP, _Z = np.eye(2), np.array([[0.0, 1.0], [0.0, 0.0]]), np.diag([0.5, -0.5])


def energy(sizes: Mapping[str, int]) -> Document:
    """The state below, the operator between, the same state above, so that all legs are closed."""
    n = sizes["n"]
    state = _state(_ground_state(n), n, sizes["chi"])
    kinds = {"bond": n - 1, "leg": n, "link": n - 1, "upper leg": n, "upper bond": n - 1}
    names = index_names(kinds)
    draft = Draft(title="Energy of a spin chain")
    for lower, upper, site in zip(names["bond"], names["upper bond"], state, strict=False):
        draft.size(lower, site.shape[2])
        draft.size(upper, site.shape[2])
    for index in names["link"]:
        draft.size(index, 5)
    for index in names["leg"] + names["upper leg"]:
        draft.size(index, 2)
    for row, letter, bonds, legs in ((2, "A", "bond", "leg"), (0, "Ā", "upper bond", "upper leg")):
        for k, site in enumerate(state):
            left, right = sides(names[bonds], k)
            shape, colour = _look(k, n // 2)
            draft.add(
                f"{letter}_{k + 1}",
                (*left, names[legs][k], *right),
                (k * STEP, row * STEP),
                shape=shape,
                colour=colour,
                array=_inline(site, keep=(bool(left), True, bool(right))),
            )
    for k in range(n):
        left, right = sides(names["link"], k)
        array = _operator()[4 if k == 0 else slice(None), :, :, 0 if k == n - 1 else slice(None)]
        draft.add(
            f"H_{k + 1}",
            (*left, names["leg"][k], names["upper leg"][k], *right),
            (k * STEP, STEP),
            shape="square",
            colour="green",
            array=_inline(array, keep=(True,) * array.ndim),
        )
    return draft.document()


def _ground_state(n: int) -> Array:
    """The lowest eigenvector, of length 2 ** n."""
    hamiltonian = np.zeros((2**n, 2**n))
    for k in range(n - 1):
        rest = (np.eye(2**k), np.eye(2 ** (n - k - 2)))
        for one, other, strength in ((_UP, _UP.T, 0.5), (_UP.T, _UP, 0.5), (_Z, _Z, 1.0)):
            bond = strength * np.kron(one, other)
            hamiltonian += np.kron(np.kron(rest[0], bond), rest[1])
    _, vectors = np.linalg.eigh(hamiltonian)
    lowest: Array = vectors[:, 0]
    # Eigenvectors have no sign of their own.
    return -lowest if lowest[np.argmax(np.abs(lowest))] < 0 else lowest


def _state(vector: Array, n: int, chi: int) -> list[Array]:
    """Sites of shape (left, 2, right): isometries on both sides of the middle one."""
    middle = n // 2
    left_sites: list[Array] = []
    right_sites: list[Array] = []
    rest = vector.reshape(1, -1)
    for _ in range(middle):
        isometry, values, rest = np.linalg.svd(
            rest.reshape(rest.shape[0] * 2, -1), full_matrices=False
        )
        kept = _kept(values, chi)
        left_sites.append(isometry[:, :kept].reshape(-1, 2, kept))
        rest = values[:kept, None] * rest[:kept]
    first = rest.shape[0]
    rest = rest.reshape(-1, 1)
    for _ in range(n - middle - 1):
        rest, values, isometry = np.linalg.svd(
            rest.reshape(-1, 2 * rest.shape[1]), full_matrices=False
        )
        kept = _kept(values, chi)
        right_sites.append(isometry[:kept].reshape(kept, 2, -1))
        rest = rest[:, :kept] * values[:kept]
    centre = rest.reshape(first, 2, -1)
    return [*left_sites, centre / np.linalg.norm(centre), *reversed(right_sites)]


def _kept(values: Array, chi: int) -> int:
    """How many singular values stay: those that are not zero, at most chi."""
    rounding = 1e-12
    return min(chi, int(np.count_nonzero(values > rounding * values[0])))


def _operator() -> Array:
    """One site of the Hamiltonian, shape (left 5, in 2, out 2, right 5)."""
    site = np.zeros((5, 2, 2, 5))
    for left, right, operator in (
        (0, 0, _ONE),
        (1, 0, _UP),
        (2, 0, _UP.T),
        (3, 0, _Z),
        (4, 1, 0.5 * _UP.T),
        (4, 2, 0.5 * _UP),
        (4, 3, _Z),
        (4, 4, _ONE),
    ):
        site[left, :, :, right] = operator
    return site


def _look(k: int, middle: int) -> tuple[MarkShape, MarkColour]:
    """Isometries point towards the site that is none."""
    if k == middle:
        return "circle", "amber"
    return ("triangle-right" if k < middle else "triangle-left"), "blue"


def _inline(array: Array, keep: tuple[bool, ...]) -> InlineArray:
    """The array as a recipe, without the axes of length 1 at the ends of the chain."""
    shape = tuple(size for size, kept in zip(array.shape, keep, strict=True) if kept)
    # Adding zero turns a negative zero into a plain one.
    values = (np.round(array, DIGITS) + 0.0).ravel().tolist()
    return InlineArray(values=tuple(values), shape=shape)
