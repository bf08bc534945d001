"""Tree tensor networks and the MERA, drawn with the physical legs at the bottom.

Source: Shi, Duan and Vidal, PRA 74, 022320 (2006) for the tree; Vidal, PRL 99, 220405 (2007) for
the binary MERA, here with open ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.formats.draft import LEG, STEP, Draft, index_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tensorloom.model.document import Document

__all__ = ["mera", "ttn"]

Wire = tuple[str, float]
"""An index that goes on upwards, and where it stands [pixels]."""


def ttn(sizes: Mapping[str, int]) -> Document:
    """A binary tree over ``2 ** layers`` sites."""
    layers, chi, d = sizes["layers"], sizes["chi"], sizes["d"]
    sites = 2**layers
    names = index_names({"leg": sites, "bond": sites - 2})
    fresh = iter(names["bond"])
    draft = Draft(title=f"Tree tensor network, {sites} sites", seed=sizes["seed"])
    wires, dimension = _physical(draft, names["leg"], d)
    number = 0
    for layer in range(layers):
        y = -layer * STEP
        above: list[Wire] = []
        dimension = min(chi, dimension**2)
        for (left, x_left), (right, x_right) in zip(wires[::2], wires[1::2], strict=True):
            number += 1
            x = (x_left + x_right) / 2
            up = () if layer == layers - 1 else (_sized(draft, fresh, dimension),)
            draft.add(f"T_{number}", (left, right, *up), (x, y))
            above.extend((name, x) for name in up)
        wires = above
    _open(draft, names["leg"], LEG)
    return draft.document()


def mera(sizes: Mapping[str, int]) -> Document:
    """Layers of disentanglers between, and isometries over, pairs of ``2 ** layers`` sites."""
    layers, chi, d = sizes["layers"], sizes["chi"], sizes["d"]
    sites = 2**layers
    n_bonds = sum(2 * (2**k // 2 - 1) + 2**k // 2 for k in range(2, layers + 1))
    names = index_names({"leg": sites, "bond": n_bonds})
    fresh = iter(names["bond"])
    draft = Draft(title=f"MERA, {sites} sites", seed=sizes["seed"])
    wires, dimension = _physical(draft, names["leg"], d)
    y, counts = 0.0, {"U": 0, "W": 0}
    while len(wires) > 2:  # noqa: PLR2004  # the top tensor takes two
        for left in range(1, len(wires) - 1, 2):
            below = wires[left : left + 2]
            up = tuple(_sized(draft, fresh, dimension) for _ in below)
            counts["U"] += 1
            x = (below[0][1] + below[1][1]) / 2
            indices = (below[0][0], below[1][0], *up)
            draft.add(f"U_{counts['U']}", indices, (x, y), shape="square", colour="amber")
            wires[left : left + 2] = [(name, at) for name, (_, at) in zip(up, below, strict=True)]
        y -= STEP * 0.8
        dimension = min(chi, dimension**2)
        above: list[Wire] = []
        for (one, x_one), (other, x_other) in zip(wires[::2], wires[1::2], strict=True):
            name = _sized(draft, fresh, dimension)
            counts["W"] += 1
            x = (x_one + x_other) / 2
            draft.add(f"W_{counts['W']}", (one, other, name), (x, y))
            above.append((name, x))
        wires = above
        y -= STEP * 0.8
    x = (wires[0][1] + wires[1][1]) / 2
    draft.add("T", (wires[0][0], wires[1][0]), (x, y))
    _open(draft, names["leg"], LEG)
    return draft.document()


def _physical(draft: Draft, legs: tuple[str, ...], d: int) -> tuple[list[Wire], int]:
    """The physical legs as wires, and their dimension."""
    for leg in legs:
        draft.size(leg, d)
    return [(leg, k * STEP * 0.75) for k, leg in enumerate(legs)], d


def _open(draft: Draft, legs: tuple[str, ...], y: float) -> None:
    for k, leg in enumerate(legs):
        draft.open(leg, (k * STEP * 0.75, y))


def _sized(draft: Draft, fresh: Iterator[str], dimension: int) -> str:
    """The next bond, with its dimension."""
    name = next(fresh)
    draft.size(name, dimension)
    return name
