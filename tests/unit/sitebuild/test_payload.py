from __future__ import annotations

import gzip
import json
import struct
import zipfile
from typing import TYPE_CHECKING

import pytest

from sitebuild import SiteError, payload, pyodide_patch
from sitebuild.runtime import read_lock

if TYPE_CHECKING:
    from pathlib import Path


def test_an_archive_is_names_and_lengths_then_the_bytes() -> None:
    data = gzip.decompress(payload.packed({"a/b.pyc": b"xyz", "c": b""}))
    (length,) = struct.unpack_from("<I", data)
    assert json.loads(data[4 : 4 + length]) == [["a/b.pyc", 3], ["c", 0]]
    assert data[4 + length :] == b"xyz"


def test_the_same_files_give_the_same_archive() -> None:
    files = {"a": b"1" * 1000, "b": b"2"}
    assert payload.packed(files) == payload.packed(files)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("bokeh/models/plots.py", True),
        ("bokeh/models/tests/test_plots.py", False),
        ("bokeh/server/static/js/bokeh.min.js", False),
        ("panel/theme/css/default.css", True),
        ("panel/models/esm.ts", False),
        ("panel/_templates/doc_nb_js.js", True),
        ("panel/dist/panel.min.js", False),
        ("numpy/core.pyi", False),
        ("numpy/linalg/_umath_linalg.so", True),
        ("numpy/linalg/", False),
    ],
)
def test_what_the_page_has_no_use_for_is_dropped(name: str, kept: bool) -> None:  # noqa: FBT001  # a table's column
    assert payload._wanted(name) is kept


def test_of_a_wheels_records_only_the_version_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "raw.zip"
    content = [
        ("bokeh/__init__.py", b"one"),
        ("bokeh/__init__.py", b"two"),
        ("bokeh-3.9.2.dist-info/METADATA", b"Version: 3.9.2"),
        ("bokeh-3.9.2.dist-info/RECORD", b""),
    ]
    payload._write_zip(target, content)
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist() == ["bokeh/__init__.py", "bokeh-3.9.2.dist-info/METADATA"]
        assert archive.read("bokeh/__init__.py") == b"one"


def test_every_archive_names_wheels_of_the_lock() -> None:
    wheels = {row.file.split("-")[0].lower() for row in read_lock() if row.file.endswith(".whl")}
    assert {name for names in payload.WHEELS.values() for name in names} <= wheels


def test_the_patch_puts_each_text_after_its_place() -> None:
    module = "|".join(pyodide_patch.INSERTIONS)
    expected = "|".join(place + text for place, text in pyodide_patch.INSERTIONS.items())
    assert pyodide_patch.patched(module) == expected


def test_another_pyodide_is_refused() -> None:
    module = "|".join(pyodide_patch.INSERTIONS)
    with pytest.raises(SiteError, match=r"has 0 places like 'var getMemory=size=>\{'; .* needs 1"):
        pyodide_patch.patched(module.replace("getMemory", "other"))
    with pytest.raises(SiteError, match="has 2 places"):
        pyodide_patch.patched(f"{module}|{module}")
