"""5,000 NumPy files, whole and damaged: each gives arrays or one explained refusal."""

from __future__ import annotations

import io
import struct
import time
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refusals import MAX_SECONDS, assert_explained
from strategies import damaged_bytes
from tensorloom.errors import FileFormatError
from tensorloom.formats.npy import read_npy
from tensorloom.model.stored_array import ITEM_BYTES


def saved(array: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array), allow_pickle=True)
    return stream.getvalue()


def archived(*, packed: bool) -> bytes:
    stream = io.BytesIO()
    save = np.savez_compressed if packed else np.savez
    save(stream, a=np.arange(6.0).reshape(2, 3), b=np.array(1j))
    return stream.getvalue()


def with_header(header: str) -> bytes:
    text = header.encode("latin1", "replace")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) % 65536) + text


FILES = (
    saved(np.arange(6.0).reshape(2, 3)),
    saved(np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3))),
    saved(np.array([1 + 2j], dtype="complex64")),
    saved(np.array([None, "x"], dtype=object)),
    saved(np.array(["text"])),
    saved(np.array([True, False])),
    archived(packed=False),
    archived(packed=True),
)
HEADERS = st.builds(
    "{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}".format,
    st.sampled_from(
        ["'<f8'", "'<f2'", "'|O'", "'<U9'", "[('a','<f8')]", "'<f8,<f8'", "8", "'m8[s]'"]
    ),
    st.sampled_from(["False", "True", "0", "None"]),
    st.sampled_from(
        [
            "()",
            "(2,)",
            "(0,)",
            "(-1,)",
            "(10**9,)",
            "(999999999999,)",
            "2",
            "(2L,)",
            "(1,)*99",
            "(True,)",
        ]
    ),
)


@settings(
    max_examples=5000,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    damaged_bytes(FILES)
    | st.builds(lambda header, data: with_header(header) + data, HEADERS, st.binary(max_size=24))
    | st.binary(max_size=40)
    | st.text(max_size=40).map(with_header)
)
def test_files(data: bytes) -> None:
    started = time.process_time()
    try:
        arrays = read_npy(data, "file.npy")
    except FileFormatError as error:
        assert_explained(error)
    else:
        for _, array in arrays:
            count = len(array.data) // ITEM_BYTES[array.dtype]
            assert count == np.prod(array.shape, dtype=int)
    assert time.process_time() - started < MAX_SECONDS


def test_an_archive_that_inflates_without_end_is_refused() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\x93NUMPY" + bytes(30_000_000))
    data = stream.getvalue()
    assert len(data) < 100_000
    started = time.process_time()
    with pytest.raises(FileFormatError) as caught:
        read_npy(data, "bomb.npz")
    assert caught.value.code == "not-npy"
    assert time.process_time() - started < MAX_SECONDS
