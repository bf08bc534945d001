"""NumPy files: every type that the engine knows, both orders, and claims that are not true."""

from __future__ import annotations

import io

import numpy as np
import pytest

from tensorloom.errors import FileFormatError
from tensorloom.formats.npy import read_npy


def saved(array: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array), allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        ("<f4", "float32"), (">f8", "float64"), ("<f2", "float64"), ("i1", "float64"),
        (">u4", "float64"), ("?", "float64"), ("<c8", "complex64"), (">c16", "complex128"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", ["C", "F"])
def test_values_survive(stored: str, wanted: str, order: str) -> None:
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(stored, order=order)  # type: ignore[call-overload]  # a test's types
    ((label, array),) = read_npy(saved(values), "folder/T.npy")
    assert (label, array.dtype, array.shape) == ("T", wanted, (2, 3))
    assert np.array_equal(np.frombuffer(array.data, wanted).reshape(2, 3), values)


def test_an_archive_gives_all_its_arrays() -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, left=np.arange(3.0), scalar=np.array(2.5))
    found = read_npy(stream.getvalue(), "pair.npz")
    assert [(label, array.shape) for label, array in found] == [("left", (3,)), ("scalar", ())]


WHOLE = saved(np.arange(4.0))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not-npy"),
        (b"\x93NUMPY", "not-npy"),
        (b"PK\x03\x04nonsense", "damaged-archive"),
        (WHOLE[:-1], "cut-short"),
        (WHOLE + b"\x00", "left-over"),
        (WHOLE.replace(b"(4,)", b"(9,)"), "cut-short"),
        (WHOLE.replace(b"(4,)", b"f() "), "not-npy"),
        (WHOLE.replace(b"<f8", b"<f9"), "unknown-dtype"),
        (saved(np.array([{}])), "object-array"),
        (saved(np.array(["text"])), "unknown-dtype"),
        (saved(np.zeros(2, dtype="M8[s]")), "unknown-dtype"),
        (saved(np.zeros((2, 0))), "empty-array"),
    ],
)
def test_refusals(data: bytes, code: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        read_npy(data, "x.npy")
    assert (caught.value.code, caught.value.where.file) == (code, "x.npy")


def test_a_lying_header_is_told_both_numbers() -> None:
    with pytest.raises(FileFormatError) as caught:
        read_npy(WHOLE.replace(b"(4,)", b"(5,)"))
    assert caught.value.message == "The header speaks of 40 bytes, but 32 follow."
