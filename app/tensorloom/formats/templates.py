"""Networks that everybody starts from, by name and sizes, drawn as in the textbooks.

Values are seeded random but for the spin chain, so circles: a triangle would claim an isometry.
Operators are squares. Bond dimensions never exceed what the legs on either side can fill.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin
from typing import TYPE_CHECKING

from tensorloom.errors import DocumentError, Where
from tensorloom.formats import draft_circuit, draft_spin_chain, draft_trees
from tensorloom.formats.draft import LEG, STEP, Draft, index_names, sides

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tensorloom.model.document import Document

__all__ = ["TEMPLATES", "Parameter", "Template", "example", "template"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A number that a template asks for.

    Args:
        name: Its key.
        label: What the dialog shows.
        default: Value at first.
        least: Smallest value.
        most: Largest value.
    """

    name: str
    label: str
    default: int
    least: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A network to start from.

    Args:
        name: Its key.
        label: What the menu shows.
        parameters: What it asks for, in order.
        build: Parameter values -> document.
    """

    name: str
    label: str
    parameters: tuple[Parameter, ...]
    build: Callable[[Mapping[str, int]], Document]


def template(name: str, parameters: Mapping[str, object] | None = None) -> Document:
    """The document of a template; parameters that are not given have their defaults.

    Raises:
        DocumentError: ``unknown-template``, ``unknown-parameter`` or ``bad-parameter``.
    """
    found = next((entry for entry in TEMPLATES if entry.name == name), None)
    if found is None:
        raise _error(
            "unknown-template",
            f"There is no template {name!r:.40}.",
            f"Templates: {', '.join(entry.name for entry in TEMPLATES)}.",
        )
    given = dict(parameters or {})
    values = {wanted.name: _value(found, wanted, given) for wanted in found.parameters}
    for key in given:
        if key not in values:
            raise _error(
                "unknown-parameter",
                f"The template {name} has no parameter {key!r:.40}.",
                f"Its parameters: {', '.join(values)}.",
            )
    return found.build(values)


def example() -> Document:
    """What a first visit opens with: real values, and bonds that are worth pulling on."""
    return template("spin-chain", {})


def _around(bonds: tuple[str, ...], k: int) -> tuple[str, ...]:
    left, right = sides(bonds, k)
    return (*left, *right)


def _chain_dimension(cut: int, n: int, chi: int, d: int) -> int:
    """Bond dimension after ``cut`` of ``n`` sites: at most what the shorter side can fill."""
    # d ** 31 passes every possible chi, and d may be 1.
    filled: int = d ** min(cut, n - cut, 31)
    return min(chi, filled)


def _mps(sizes: Mapping[str, int]) -> Document:
    n, chi, d = sizes["n"], sizes["chi"], sizes["d"]
    names = index_names({"bond": n - 1, "leg": n})
    draft = Draft(title=f"Matrix product state, {n} sites", seed=sizes["seed"])
    for k, bond in enumerate(names["bond"], 1):
        draft.size(bond, _chain_dimension(k, n, chi, d))
    for k, leg in enumerate(names["leg"]):
        draft.size(leg, d)
        draft.add(f"A_{k + 1}", (*_around(names["bond"], k), leg), (k * STEP, 0))
        draft.open(leg, (k * STEP, LEG))
    return draft.document()


def _mpo(sizes: Mapping[str, int]) -> Document:
    n, chi, d = sizes["n"], sizes["chi"], sizes["d"]
    names = index_names({"link": n - 1, "leg": n, "upper leg": n})
    draft = Draft(title=f"Matrix product operator, {n} sites", seed=sizes["seed"])
    for k, bond in enumerate(names["link"], 1):
        draft.size(bond, _chain_dimension(k, n, chi, d * d))
    for k in range(n):
        leg, upper = names["leg"][k], names["upper leg"][k]
        draft.size(leg, d)
        draft.size(upper, d)
        left, right = sides(names["link"], k)
        at = (k * STEP, 0)
        draft.add(f"W_{k + 1}", (leg, *left, upper, *right), at, shape="square", colour="green")
    for k, leg in enumerate(names["leg"]):
        draft.open(leg, (k * STEP, LEG))
    for k, leg in enumerate(names["upper leg"]):
        draft.open(leg, (k * STEP, -LEG))
    return draft.document()


def _ring(sizes: Mapping[str, int]) -> Document:
    n, chi, d = sizes["n"], sizes["chi"], sizes["d"]
    names = index_names({"bond": n, "leg": n})
    draft = Draft(title=f"Periodic matrix product state, {n} sites", seed=sizes["seed"])
    radius = STEP / (2 * sin(pi / n))
    for bond in names["bond"]:
        draft.size(bond, chi)
    for k, leg in enumerate(names["leg"]):
        angle = 2 * pi * k / n - pi / 2 - pi / n
        x, y = cos(angle), sin(angle)
        draft.size(leg, d)
        bonds = (names["bond"][k - 1], names["bond"][k])
        draft.add(f"A_{k + 1}", (*bonds, leg), (radius * x, radius * y))
        draft.open(leg, ((radius + LEG) * x, (radius + LEG) * y))
    return draft.document()


def _peps(sizes: Mapping[str, int]) -> Document:
    rows, columns = sizes["rows"], sizes["columns"]
    across, down = rows * (columns - 1), (rows - 1) * columns
    names = index_names({"bond": across, "link": down, "leg": rows * columns})
    draft = Draft(title=f"PEPS, {rows} by {columns}", seed=sizes["seed"])
    for bond in names["bond"] + names["link"]:
        draft.size(bond, sizes["chi"])
    for row in range(rows):
        for column in range(columns):
            site = row * columns + column
            left = names["bond"][row * (columns - 1) : (row + 1) * (columns - 1)]
            above = tuple(names["link"][k * columns + column] for k in range(rows - 1))
            leg = names["leg"][site]
            draft.size(leg, sizes["d"])
            indices = (*_around(left, column), *_around(above, row), leg)
            draft.add(f"A_{site + 1}", indices, (column * STEP, row * STEP))
            # Down to the left, as if the physical legs came out of the page.
            draft.open(leg, (column * STEP - 48, row * STEP + 48))
    return draft.document()


def _value(found: Template, wanted: Parameter, given: Mapping[str, object]) -> int:
    value = given.get(wanted.name, wanted.default)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not wanted.least <= value <= wanted.most:
        raise _error(
            "bad-parameter",
            f"The parameter '{wanted.name}' of {found.name} is {value!r:.40}.",
            f"Give a whole number from {wanted.least} to {wanted.most}.",
        )
    return value


def _error(code: str, message: str, hint: str) -> DocumentError:
    return DocumentError(code, message, hint, Where(file="template"))


_SEED = Parameter(name="seed", label="Seed", default=1, least=0, most=2**31)
_CHI = Parameter(name="chi", label="Bond dimension χ", default=8, least=1, most=4096)
_D = Parameter(name="d", label="Physical dimension d", default=2, least=1, most=64)
_SITES = Parameter(name="n", label="Sites", default=6, least=2, most=400)

TEMPLATES: tuple[Template, ...] = (
    Template(
        name="mps",
        label="Matrix product state",
        parameters=(_SITES, _CHI, _D, _SEED),
        build=_mps,
    ),
    Template(
        name="mpo",
        label="Matrix product operator",
        parameters=(
            _SITES,
            Parameter(name="chi", label="Bond dimension χ", default=5, least=1, most=1024),
            _D,
            _SEED,
        ),
        build=_mpo,
    ),
    Template(
        name="peps",
        label="PEPS",
        parameters=(
            Parameter(name="rows", label="Rows", default=3, least=1, most=40),
            Parameter(name="columns", label="Columns", default=4, least=1, most=40),
            Parameter(name="chi", label="Bond dimension χ", default=3, least=1, most=256),
            _D,
            _SEED,
        ),
        build=_peps,
    ),
    Template(
        name="ttn",
        label="Tree tensor network",
        parameters=(
            Parameter(name="layers", label="Layers", default=3, least=1, most=8),
            _CHI,
            _D,
            _SEED,
        ),
        build=draft_trees.ttn,
    ),
    Template(
        name="mera",
        label="MERA",
        parameters=(
            Parameter(name="layers", label="Layers", default=3, least=1, most=7),
            Parameter(name="chi", label="Bond dimension χ", default=4, least=1, most=256),
            _D,
            _SEED,
        ),
        build=draft_trees.mera,
    ),
    Template(
        name="ring",
        label="Ring",
        parameters=(
            Parameter(name="n", label="Sites", default=6, least=3, most=400),
            Parameter(name="chi", label="Bond dimension χ", default=4, least=1, most=4096),
            _D,
            _SEED,
        ),
        build=_ring,
    ),
    Template(
        name="spin-chain",
        label="Energy of a spin chain",
        parameters=(
            Parameter(name="n", label="Spins", default=6, least=3, most=8),
            Parameter(name="chi", label="Bond dimension χ", default=8, least=1, most=16),
        ),
        build=draft_spin_chain.energy,
    ),
    Template(
        name="circuit",
        label="Quantum circuit",
        parameters=(
            Parameter(name="n", label="Qubits", default=5, least=1, most=100),
            Parameter(name="depth", label="Depth", default=6, least=0, most=100),
            _SEED,
        ),
        build=draft_circuit.brickwork,
    ),
)
