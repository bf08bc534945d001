"""Array recipes as JSON and back, one row per kind; a new recipe adds its row here only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args

from tensorloom.errors import DocumentError
from tensorloom.model.reading import boolean, fields, list_of, number, object_of, text, whole
from tensorloom.model.recipe import (
    ArrayRecipe,
    BlobArray,
    ConstantArray,
    CopyArray,
    Distribution,
    DType,
    GateArray,
    IdentityArray,
    InlineArray,
    RandomArray,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_INLINE_VALUES", "from_json", "to_json"]

MAX_INLINE_VALUES = 65_536
"""Most numbers a document holds in itself; more go into a blob."""

MAX_SEED = 2**53
"""Seeds stay exact in JavaScript."""

MAX_CONTROLS = 62
"""A tensor has at most 64 axes, and two of them are the gate's own."""

Fields = dict[str, object]


def to_json(recipe: ArrayRecipe) -> Fields:
    """The recipe's fields with its ``kind`` tag."""
    found: Fields = {"kind": recipe.kind}
    for name in type(recipe).__slots__:
        value = getattr(recipe, name)
        found[name] = list(value) if isinstance(value, tuple) else value
    # This field came later: documents without it keep their canonical text.
    if found.get("controls") == 0:
        del found["controls"]
    return found


def from_json(value: object, what: str) -> ArrayRecipe:
    """The recipe that a tagged object describes.

    Raises:
        DocumentError: ``unknown-recipe``, or what is wrong with a field.
    """
    found = dict(object_of(value, what))
    kind = found.pop("kind", None)
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise DocumentError(
            "unknown-recipe",
            f"The array of '{what[:80]}' has the kind {kind!r:.40}, which is not known.",
            f"Known kinds: {', '.join(_READERS)}.",
        )
    return reader(found, what)


def _random(found: Fields, what: str) -> RandomArray:
    parts = fields(found, what, required=("seed",), optional=("distribution",))
    seed = whole(parts["seed"], f"{what}.seed")
    distribution = text(parts.get("distribution", "normal"), f"{what}.distribution")
    if not 0 <= seed < MAX_SEED or distribution not in get_args(Distribution):
        raise DocumentError(
            "bad-field",
            f"The random array of '{what[:80]}' has seed {seed!r:.24} and distribution "
            f"{distribution!r:.24}.",
            f"Use a seed from 0 to 2^53 and one of {', '.join(get_args(Distribution))}.",
        )
    return RandomArray(seed=seed, distribution=distribution)  # type: ignore[arg-type]  # checked


def _constant(found: Fields, what: str) -> ConstantArray:
    parts = fields(found, what, required=("value",))
    return ConstantArray(value=number(parts["value"], f"{what}.value"))


def _identity(found: Fields, what: str) -> IdentityArray:
    fields(found, what)
    return IdentityArray()


def _copy(found: Fields, what: str) -> CopyArray:
    fields(found, what)
    return CopyArray()


def _gate(found: Fields, what: str) -> GateArray:
    optional = ("parameters", "conjugate", "controls")
    parts = fields(found, what, required=("name",), optional=optional)
    name = text(parts["name"], f"{what}.name")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name):
        raise DocumentError(
            "bad-field", f"{name!r:.40} cannot name a gate.", "Use a lower-case name such as cx."
        )
    controls = whole(parts.get("controls", 0), f"{what}.controls")
    if not 0 <= controls <= MAX_CONTROLS:
        raise DocumentError(
            "bad-field",
            f"The gate of '{what[:80]}' has {controls!r:.24} controls.",
            f"Use a number from 0 to {MAX_CONTROLS}.",
        )
    angles = list_of(parts.get("parameters", []), f"{what}.parameters")
    return GateArray(
        name=name,
        parameters=tuple(number(angle, f"{what}.parameters") for angle in angles),
        conjugate=boolean(parts.get("conjugate", False), f"{what}.conjugate"),
        controls=controls,
    )


def _shape(value: object, what: str) -> tuple[int, ...]:
    return tuple(whole(size, f"{what}.shape") for size in list_of(value, f"{what}.shape"))


def _inline(found: Fields, what: str) -> InlineArray:
    parts = fields(found, what, required=("values", "shape"), optional=("complex",))
    values = list_of(parts["values"], f"{what}.values")
    shape = _shape(parts["shape"], what)
    is_complex = boolean(parts.get("complex", False), f"{what}.complex")
    wanted = 2 if is_complex else 1
    for size in shape:
        wanted *= max(size, 0)
        if wanted > MAX_INLINE_VALUES:
            break
    if wanted != len(values):
        raise DocumentError(
            "bad-field",
            f"'{what[:80]}' has {len(values)} values for the shape {str(shape)[:40]}.",
            "Give as many as the shape holds, twice as many if complex, "
            f"at most {MAX_INLINE_VALUES}.",
        )
    return InlineArray(
        values=tuple(number(item, f"{what}.values") for item in values),
        shape=shape,
        complex=is_complex,
    )


def _blob(found: Fields, what: str) -> BlobArray:
    parts = fields(found, what, required=("hash", "shape", "dtype"))
    digest = text(parts["hash"], f"{what}.hash")
    dtype = text(parts["dtype"], f"{what}.dtype")
    if not re.fullmatch(r"[0-9a-f]{64}", digest) or dtype not in get_args(DType):
        raise DocumentError(
            "bad-field",
            f"The stored array of '{what[:80]}' has no usable hash or type.",
            f"The hash has 64 hexadecimal digits; types: {', '.join(get_args(DType))}.",
        )
    shape = _shape(parts["shape"], what)
    return BlobArray(hash=digest, shape=shape, dtype=dtype)  # type: ignore[arg-type]  # checked


_READERS: dict[str, Callable[[Fields, str], ArrayRecipe]] = {
    "random": _random,
    "constant": _constant,
    "identity": _identity,
    "copy": _copy,
    "gate": _gate,
    "inline": _inline,
    "blob": _blob,
}
