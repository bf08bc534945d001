"""An array beside a document: plain bytes with a shape and a type, found by the hash of all three.

Bytes are little-endian, C order, complex interleaved as (re, im). No array library is needed here.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tensorloom.errors import DocumentError
from tensorloom.model.document import check_dtype
from tensorloom.model.recipe import BlobArray

if TYPE_CHECKING:
    from tensorloom.model.recipe import DType

__all__ = ["ITEM_BYTES", "StoredArray", "content_hash"]

ITEM_BYTES: dict[str, int] = {"float32": 4, "float64": 8, "complex64": 8, "complex128": 16}
"""Size of one element by type [bytes]."""


def content_hash(dtype: DType, shape: tuple[int, ...], data: bytes) -> str:
    """Lower-case hexadecimal SHA-256 of type, shape and bytes."""
    digest = hashlib.sha256(f"{dtype}:{shape}:".encode())
    digest.update(data)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArray:
    """An array's content and its name; make one with ``StoredArray.of``.

    Args:
        hash: ``content_hash`` of the rest.
        shape: Dimensions [elements].
        dtype: Type of the elements.
        data: The elements.

    Raises:
        DocumentError: ``bad-array``, when there are not as many bytes as the shape needs or the
            hash belongs to other content; ``bad-dtype``.

    Example:
        >>> StoredArray.of(dtype="float32", shape=(2,), data=bytes(8)).shape
        (2,)
    """

    hash: str
    shape: tuple[int, ...]
    dtype: DType
    data: bytes

    def __post_init__(self) -> None:
        check_dtype(self.dtype)
        needed = math.prod(self.shape) * ITEM_BYTES[self.dtype]
        if min(self.shape, default=0) < 0 or len(self.data) != needed:
            raise DocumentError(
                "bad-array",
                f"An array of shape {str(self.shape)[:60]} and type {self.dtype} came with "
                f"{len(self.data)} bytes, not {needed}.",
                "Send all of its elements, in C order.",
                values={"bytes": len(self.data), "needed": needed},
            )
        if self.hash != content_hash(self.dtype, self.shape, self.data):
            raise DocumentError(
                "bad-array",
                f"The stored array {self.hash[:12]} holds other content than its name says.",
                "Open the file that it came from again.",
            )

    @classmethod
    def of(cls, *, dtype: DType, shape: tuple[int, ...], data: bytes) -> StoredArray:
        """The stored array with this content."""
        return cls(hash=content_hash(dtype, shape, data), shape=shape, dtype=dtype, data=data)

    @property
    def recipe(self) -> BlobArray:
        """The recipe by which a tensor refers to this array."""
        return BlobArray(hash=self.hash, shape=self.shape, dtype=self.dtype)
