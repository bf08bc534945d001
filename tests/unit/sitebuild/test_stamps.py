from __future__ import annotations

from typing import TYPE_CHECKING

from sitebuild.stamps import Stamp, digest_of, files_under

if TYPE_CHECKING:
    from pathlib import Path


def test_files_are_sorted_and_build_output_is_left_out(tmp_path: Path) -> None:
    for name in ("b.py", "a.py", "node_modules/x.js", "deep/__pycache__/y.pyc", "deep/c.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    found = [path.relative_to(tmp_path).as_posix() for path in files_under(tmp_path)]
    assert found == ["a.py", "b.py", "deep/c.py"]


def test_a_place_may_be_a_file_or_absent(tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.write_text("1")
    assert files_under(one, tmp_path / "absent") == [one]


def test_the_digest_follows_contents_names_and_words(tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.write_text("1")
    first = digest_of([one], "word")
    assert digest_of([one], "word") == first
    assert digest_of([one], "other") != first
    one.write_text("2")
    assert digest_of([one], "word") != first
    moved = one.rename(tmp_path / "two")
    one.write_text("2")
    assert digest_of([moved]) != digest_of([one])


def test_words_do_not_run_together() -> None:
    assert digest_of([], "ab", "c") != digest_of([], "a", "bc")


def test_a_stamp_is_fresh_only_for_its_own_digest(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "stamp"
    stamp = Stamp(path, "one")
    assert not stamp.fresh
    stamp.write()
    assert stamp.fresh
    assert not Stamp(path, "two").fresh
