from __future__ import annotations

import gzip
import html
import json
import re
from typing import TYPE_CHECKING

import pytest

from sitebuild import SiteError, payload, serve, site, snapshot
from sitebuild.browsers import Browsers
from sitebuild.environment import Environment

if TYPE_CHECKING:
    from pathlib import Path


def test_folders_are_named_by_their_contents(tmp_path: Path) -> None:
    names = []
    for place, text in (("one", "a"), ("two", "a"), ("three", "b")):
        folder = tmp_path / place / "app"
        folder.mkdir(parents=True)
        (folder / "boot.js").write_text(text)
        names.append(site._named_by_contents(folder))
        assert (tmp_path / place / names[-1] / "boot.js").read_text() == text
    assert re.fullmatch(r"app-[0-9a-f]{10}/", names[0])
    assert names[0] == names[1] != names[2]


def test_the_page_carries_the_build_record_as_an_attribute() -> None:
    record: dict[str, object] = {"app": "app-1/", "python": "py-2/", "odd": 'a"b&c'}
    page = site._page('<meta content="{{build}}"><script src="{{app}}boot.js">{{python}}', record)
    found = re.match(r'<meta content="([^"]*)"><script src="app-1/boot.js">py-2/$', page)
    assert found is not None
    assert json.loads(html.unescape(found[1])) == record


def test_the_service_worker_keeps_all_but_the_page_and_what_is_lazy(tmp_path: Path) -> None:
    for name in ("index.html", "py-1/site.bin.gz", "py-1/scipy.bin.gz", "app-1/boot.js"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    facts = site._worker_facts(tmp_path, {"build": "b1"})
    assert facts == (
        'self.TENSORLOOM_BUILD="b1";'
        'self.TENSORLOOM_FILES=["./", "app-1/boot.js", "py-1/site.bin.gz"];\n'
    )


def test_without_chromium_there_is_no_snapshot_and_the_build_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = Browsers(chromium=None, firefox=None, webkit=None)
    monkeypatch.setattr(snapshot.browsers, "find", lambda _root: nothing)
    (tmp_path / "snapshot.bin.gz").write_bytes(b"of an older build")
    env = Environment(root=tmp_path, python=tmp_path, node=tmp_path, npm=("npm",))
    assert snapshot.build(env, tmp_path) is False
    assert list(tmp_path.glob("*.gz")) == []
    assert "without its heap snapshot" in capsys.readouterr().out


def test_files_of_the_image_are_not_shipped_twice(tmp_path: Path) -> None:
    compiled = tmp_path / "compiled"
    compiled.mkdir()
    for archive, names in (
        ("numpy", ["numpy/a.pyc", "numpy/c.so", "numpy/lazy.so"]),
        ("site", ["panel/b.pyc", "panel/style.css"]),
        (payload.OURS, ["tensorloom/d.pyc"]),
    ):
        payload._write_zip(compiled / f"{archive}.zip", [(name, b"1") for name in names])
    events = [{"slot": 4, "library": "__main__", "name": "f"}, {"path": "/lib/c.so"}]
    recording = {"events": events, "tableLength": 5}
    made = {
        "recording.json": json.dumps(recording).encode(),
        "library-0": b"wasm",
        "in-image.json": json.dumps(["numpy/a.pyc", "numpy/c.so", "tensorloom/d.pyc"]).encode(),
        "document.json": b"[]",
        "snapshot.bin": b"heap",
    }
    snapshot._write(tmp_path, made)
    files = gzip.decompress((tmp_path / "files.bin.gz").read_bytes())
    assert [name for name, _ in json.loads(files[4 : files.index(b"]]") + 2])] == [
        "numpy/lazy.so",
        "panel/b.pyc",
        "panel/style.css",
    ]
    libraries = gzip.decompress((tmp_path / "libraries.bin.gz").read_bytes())
    assert libraries.endswith(b"wasm")
    assert gzip.decompress((tmp_path / "snapshot.bin.gz").read_bytes()) == b"heap"
    assert (tmp_path / "document.json").read_bytes() == b"[]"


def test_the_server_knows_types_and_no_path_outside_its_prefix(tmp_path: Path) -> None:
    handler = serve.Handler.__new__(serve.Handler)
    handler.prefix = "/tensorloom/"
    handler.directory = str(tmp_path)
    assert handler.translate_path("/tensorloom/a.js?x=1") == str(tmp_path / "a.js")
    assert handler.translate_path("/other/a.js") == str(tmp_path / "outside-the-prefix")
    assert handler.translate_path("/tensorloom/../../etc/passwd").startswith(str(tmp_path))
    assert handler.guess_type("x.wasm") == "application/wasm"
    assert handler.guess_type("x.mjs") == "text/javascript"


def connect_sources(page: str) -> list[str]:
    found = re.search(r"connect-src ([^;]*);", page)
    assert found is not None
    return found[1].split()


def test_the_page_reaches_its_own_place_this_machine_and_what_the_build_names(root: Path) -> None:
    here = ["'self'", "blob:", "data:", "http://127.0.0.1:*", "http://localhost:*"]
    assert connect_sources(site._pages(root, ())["index.html"]) == here
    named = site._pages(root, ["https://worker.example", "https://lab.example:8765"])
    assert connect_sources(named["index.html"]) == [
        *here,
        "https://worker.example",
        "https://lab.example:8765",
    ]
    assert connect_sources(named["embed.html"]) == ["'self'"]


@pytest.mark.parametrize(
    "address",
    [
        "worker.example",
        "https://worker.example/",
        "https:",
        "https://*",
        "https://a; img-src *",
        "",
    ],
)
def test_only_origins_go_into_the_policy(root: Path, address: str) -> None:
    with pytest.raises(SiteError, match="this is not an origin"):
        site._pages(root, [address])
