"""Einsum text with sizes, such as ``ij,jk->ik i=4 j=8``, or with arrays given beside it.

Sizes follow the equation, separated by blanks, commas or semicolons. An index without one has
dimension 4; without arrays, values are seeded random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tensorloom.errors import FileFormatError, NetworkError, Where
from tensorloom.formats.assembly import assemble, tensor_names, title_from
from tensorloom.formats.opened import Opened
from tensorloom.model.equation import parse
from tensorloom.model.index import MAX_DIMENSION
from tensorloom.model.recipe import ArrayRecipe, RandomArray
from tensorloom.model.recipe_codec import MAX_SEED
from tensorloom.model.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tensorloom.model.recipe import DType
    from tensorloom.model.stored_array import StoredArray

__all__ = ["DEFAULT_DIMENSION", "read", "split_sizes"]

DEFAULT_DIMENSION = 4
"""Dimension of an index whose size nobody gave [elements]."""

_DIGITS = len(str(MAX_DIMENSION))


def read(
    text: str,
    *,
    name: str = "",
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    arrays: Sequence[StoredArray] = (),
) -> Opened:
    """The network that the text describes.

    Args:
        text: Equation, then sizes.
        name: File name, for the title.
        sizes: More sizes by index name [elements]; they must agree with those in the text.
        seed: Seed of the first random tensor; the next ones count on.
        arrays: One per operand, whose shapes then give the sizes; none for random values.

    Raises:
        EquationError: The equation cannot be read.
        FileFormatError: ``bad-size``, ``unknown-size``, ``bad-seed``, ``wrong-arrays``.
        NetworkError: ``dimension-mismatch``, ``wrong-axes``.
    """
    equation, written = split_sizes(text)
    parsed = parse(equation)
    if not 0 <= seed < MAX_SEED - len(parsed.operands):
        raise _error("bad-seed", f"{seed!r:.40} cannot be a seed.", "Use 0 to 2^53.")
    given = _merged(written, sizes or {}, {name for names in parsed.operands for name in names})
    recipes: Sequence[ArrayRecipe]
    if arrays:
        _sizes_of_arrays(parsed.operands, arrays, given)
        recipes = [array.recipe for array in arrays]
    else:
        recipes = [RandomArray(seed=seed + place) for place in range(len(parsed.operands))]
    tensors = [
        Tensor(id=f"t{place}", name=label, indices=indices, array=recipe)
        for place, (indices, label, recipe) in enumerate(
            zip(parsed.operands, tensor_names(len(parsed.operands)), recipes, strict=True), 1
        )
    ]
    names = {name for names in parsed.operands for name in names}
    dimensions = {name: given.get(name, DEFAULT_DIMENSION) for name in names}
    document = assemble(
        tensors, dimensions, parsed.output, title=title_from(name), dtype=_dtype(arrays)
    )
    return Opened(document=document, arrays=tuple({array.hash: array for array in arrays}.values()))


def split_sizes(text: str) -> tuple[str, dict[str, int]]:
    """The equation, and the sizes written after it.

    Raises:
        FileFormatError: ``bad-size``.

    Example:
        >>> split_sizes("ij,jk->ik i=4, j = 8")
        ('ij,jk->ik', {'i': 4, 'j': 8})
    """
    first = text.find("=")
    if first < 0:
        return text, {}
    start = _word_start(text, first)
    sizes: dict[str, int] = {}
    rest = text[start:].replace(";", " ").replace(",", " ").replace("=", " = ").split()
    for place in range(0, len(rest), 3):
        piece = rest[place : place + 3]
        size = piece[2] if len(piece) == 3 and piece[1] == "=" else ""  # noqa: PLR2004  # name = n
        if not (size.isascii() and size.isdigit() and len(size) <= _DIGITS):
            shown = " ".join(piece)
            raise _error(
                "bad-size",
                f"{shown[:60]!r} is not a size.",
                "Write sizes as i=4 j=8 after the equation.",
                span=(start, len(text)),
            )
        index = _unwrapped(piece[0])
        if sizes.setdefault(index, int(size)) != int(size):
            raise _conflict(index, sizes[index], int(size))
    return text[:start].rstrip(" \t\r\n,;"), sizes


def _word_start(text: str, end: int) -> int:
    """Where the word before ``end`` starts; blanks may stand between them."""
    at = end
    while at and text[at - 1].isspace():
        at -= 1
    while at and not text[at - 1].isspace() and text[at - 1] not in ",;>":
        at -= 1
    return at


def _unwrapped(name: str) -> str:
    """The name within parentheses, or the name itself."""
    if len(name) > 2 and name[0] == "(" and name[-1] == ")":  # noqa: PLR2004  # more than ()
        return name[1:-1].replace("((", "(").replace("))", ")")
    return name


def _merged(
    written: Mapping[str, int], given: Mapping[str, int], known: set[str]
) -> dict[str, int]:
    """All sizes, once each, for indices that exist."""
    sizes = dict(written)
    for index, size in given.items():
        if type(size) is not int:
            raise _error(
                "bad-size",
                f"The size of index {index!r:.40} is {size!r:.40}.",
                "Give a whole number.",
            )
        if sizes.setdefault(index, size) != size:
            raise _conflict(index, sizes[index], size)
    for index in sizes:
        if index not in known:
            raise _error(
                "unknown-size",
                f"There is a size for index {index!r:.40}, which is on no operand.",
                "Take it out, or use the index.",
            )
    return sizes


def _sizes_of_arrays(
    operands: Sequence[tuple[str, ...]], arrays: Sequence[StoredArray], sizes: dict[str, int]
) -> None:
    """Add the dimensions that the arrays' shapes give, which must not contradict the others."""
    if len(arrays) != len(operands):
        raise _error(
            "wrong-arrays",
            f"The equation has {len(operands)} operands, but there are {len(arrays)} arrays.",
            "Give one array per operand.",
        )
    for place, (indices, array) in enumerate(zip(operands, arrays, strict=True)):
        if len(indices) != len(array.shape):
            raise NetworkError(
                "wrong-axes",
                f"Operand {place + 1} has {len(indices)} indices, but its array has "
                f"{len(array.shape)} axes.",
                "Name every axis once.",
                Where(tensors=(f"t{place + 1}",)),
            )
        for axis, (index, size) in enumerate(zip(indices, array.shape, strict=True)):
            if sizes.setdefault(index, size) != size:
                raise NetworkError(
                    "dimension-mismatch",
                    f"Index '{index}' has dimension {sizes[index]}, but {size} on operand "
                    f"{place + 1} (axis {axis}).",
                    "Make them equal, or use another index.",
                    Where(tensors=(f"t{place + 1}",), indices=(index,)),
                    {"known": sizes[index], "given": size},
                )


def _dtype(arrays: Sequence[StoredArray]) -> DType:
    """The narrowest type that holds all arrays; ``float64`` without any."""
    types = {array.dtype for array in arrays}
    wide = not types or "float64" in types or "complex128" in types
    if any(dtype.startswith("complex") for dtype in types):
        return "complex128" if wide else "complex64"
    return "float64" if wide else "float32"


def _conflict(index: str, known: int, given: int) -> FileFormatError:
    return _error(
        "bad-size",
        f"Index {index!r:.40} has size {known} and size {given}.",
        "Give each size once.",
    )


def _error(
    code: str, message: str, hint: str, span: tuple[int, int] | None = None
) -> FileFormatError:
    return FileFormatError(code, message, hint, Where(file="einsum", span=span))
