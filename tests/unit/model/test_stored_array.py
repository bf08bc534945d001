"""Stored arrays: content named by its hash, and nothing accepted that does not fit it."""

from __future__ import annotations

import pytest

from tensorloom.errors import DocumentError
from tensorloom.model.recipe import BlobArray
from tensorloom.model.stored_array import StoredArray, content_hash


def test_the_hash_depends_on_type_shape_and_bytes() -> None:
    data = bytes(16)
    hashes = {
        content_hash("float64", (2,), data),
        content_hash("float64", (2, 1), data),
        content_hash("float32", (4,), data),
        content_hash("float64", (2,), b"\x01" + data[1:]),
    }
    assert len(hashes) == 4


def test_the_recipe_names_the_array() -> None:
    array = StoredArray.of(dtype="complex64", shape=(3, 1), data=bytes(24))
    assert array.recipe == BlobArray(hash=array.hash, shape=(3, 1), dtype="complex64")


def test_bytes_that_do_not_fit_the_shape_are_refused() -> None:
    with pytest.raises(DocumentError) as caught:
        StoredArray.of(dtype="float32", shape=(2, 3), data=bytes(20))
    assert caught.value.code == "bad-array"
    assert caught.value.message == (
        "An array of shape (2, 3) and type float32 came with 20 bytes, not 24."
    )


def test_another_content_under_a_hash_is_refused() -> None:
    good = StoredArray.of(dtype="float64", shape=(), data=bytes(8))
    with pytest.raises(DocumentError) as caught:
        StoredArray(hash=good.hash, shape=(), dtype="float64", data=b"\x01" + bytes(7))
    assert caught.value.code == "bad-array"
