"""Fields of records from elsewhere that cannot be used: one error, in one form."""

from __future__ import annotations

from tensorloom.errors import DocumentError

__all__ = ["bad_field"]


def bad_field(code: str, where: str, wanted: object, *, of: str) -> DocumentError:
    """The error of a field that cannot be used.

    Args:
        code: Of the error.
        where: Path of the field, such as ``entries[2].gflops``.
        wanted: What it should be.
        of: What has the field, in words.
    """
    return DocumentError(
        code,
        f"The field '{where}' of this {of} cannot be used.",
        f"It should be {wanted}.",
        values={"field": where},
    )
