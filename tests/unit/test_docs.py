"""The prose keeps up with the source: codes, public names, keys, commands and links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tensorloom
from error_codes import python_codes, typescript_codes
from sitebuild.tests import TIERS
from tensorloom.formats.opening import FORMATS
from tensorloom_worker import flags
from tensorloom_worker.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
TYPESCRIPT = [
    path
    for folder in ("app/tensorloom/view", "workers/browser")
    for ending in ("*.ts", "*.tsx")
    for path in sorted((ROOT / folder).rglob(ending))
]


def text_of(*names: str) -> str:
    return "\n".join((ROOT / name).read_text(encoding="utf-8") for name in names)


def source_codes() -> dict[str, str]:
    places = (ROOT / "app" / "tensorloom", ROOT / "workers" / "tensorloom_worker")
    python = python_codes(sorted(path for place in places for path in place.rglob("*.py")))
    return typescript_codes(TYPESCRIPT) | python


def documented_codes(page: str) -> list[str]:
    """The codes in the first column of the page's tables."""
    rows = re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE)
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row)]


def test_every_error_code_is_documented() -> None:
    known = set(documented_codes(text_of("docs/errors.md")))
    missing = {code: place for code, place in source_codes().items() if code not in known}
    assert missing == {}


def test_every_documented_error_code_exists() -> None:
    known = documented_codes(text_of("docs/errors.md"))
    assert len(known) > 90
    assert sorted(set(known) - set(source_codes())) == []


def test_no_error_code_is_documented_twice() -> None:
    known = documented_codes(text_of("docs/errors.md"))
    assert sorted(code for code in set(known) if known.count(code) > 1) == []


def test_error_codes_are_found_wherever_they_are_raised(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(
        "def f(name):\n    raise NetworkError('plain-code', 'Sentence.', 'Hint.')\n"
        "def g(x):\n    raise PlanError('a-code' if x else 'b-code', 'Sentence.')\n"
        "class R:\n"
        "    def refuse(self, code: str, message: str): raise InputError(code, message)\n"
        "    def h(self): self.refuse('method-code', 'Sentence.')\n"
    )
    (tmp_path / "two.ts").write_text(
        'throw new CommandError("page-code", "S."); throw refused("call-code", "S.", "H.");\n'
        'store.complain({ kind: "InputError", code: "record-code", message: "S." });'
    )
    found = python_codes([tmp_path / "one.py"])
    assert sorted(found) == ["a-code", "b-code", "method-code", "plain-code"]
    assert found["plain-code"] == "one.py:2"
    assert sorted(typescript_codes([tmp_path / "two.ts"])) == [
        "call-code",
        "page-code",
        "record-code",
    ]


def test_a_code_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("raise NetworkError(make(), 'Sentence.')\n")
    with pytest.raises(AssertionError, match=r"one\.py:1: the code make\(\) is not in the source"):
        python_codes([tmp_path / "one.py"])


def test_every_public_name_of_the_package_is_documented() -> None:
    page = text_of("docs/api.md")
    assert [name for name in tensorloom.__all__ if f"tensorloom.{name}(" not in page] == []


def fields_of(interface: str) -> list[str]:
    source = text_of("app/tensorloom/view/page/api.ts")
    found = re.search(rf"interface {interface} \{{(.*?)^\}}", source, re.DOTALL | re.MULTILINE)
    assert found
    return re.findall(r"^  (\w+)\??[:(]", found[1], re.MULTILINE)


@pytest.mark.parametrize(
    "interface", ["TensorloomApi", "OpenOptions", "RunOptions", "RunResult", "GivenArray"]
)
def test_every_member_of_the_page_interface_is_documented(interface: str) -> None:
    page = text_of("docs/api.md")
    fields = fields_of(interface)
    assert len(fields) >= 3
    assert [name for name in fields if not re.search(rf"`[^`]*\b{name}\b[^`]*`", page)] == []


def test_every_option_of_the_command_line_is_documented() -> None:
    page = text_of("docs/api.md")
    options = re.findall(r'add_argument\(\s*"(--[a-z-]+)"', text_of("app/tensorloom/__main__.py"))
    assert len(options) >= 4
    assert [option for option in options if option not in page] == []


def test_every_flag_and_command_of_the_heavy_worker_is_documented() -> None:
    page = text_of("docs/worker.md")
    actions = dict.fromkeys(("serve", "rotate", "add", "remove", "list", "backup"), len)
    text = flags.parser(actions).format_help()
    options = sorted(set(re.findall(r"--[a-z][a-z-]+", text)) - {"--help"})
    assert len(options) >= 25
    assert [option for option in options if f"`{option}" not in page] == []
    verbs = ("token rotate", "token add", "token remove", "token list", "backup")
    assert [verb for verb in verbs if f"`{verb}" not in page] == []


def test_every_limit_of_the_heavy_worker_has_its_default_in_the_table() -> None:
    rows = re.findall(r"^\| `--([a-z-]+) N` \| ([\d,]+)", text_of("docs/worker.md"), re.MULTILINE)
    assert len(rows) >= 12
    usual = Settings()
    for flag, shown in rows:
        assert float(shown.replace(",", "")) == getattr(usual, flag.replace("-", "_")), flag


def test_every_subcommand_of_the_build_is_documented() -> None:
    page = text_of("CONTRIBUTING.md")
    verbs = re.findall(r'add_parser\("([a-z]+)"', text_of("build.py"))
    assert len(verbs) >= 6
    assert [verb for verb in verbs if f"`python3 build.py {verb}`" not in page] == []


def test_every_test_tier_is_documented() -> None:
    rows = documented_codes(text_of("CONTRIBUTING.md"))
    existing = [tier for tier in TIERS if (ROOT / "tests" / tier).is_dir()]
    assert len(existing) >= 6
    assert [tier for tier in existing if tier not in rows] == []


def test_every_format_is_documented() -> None:
    rows = documented_codes(text_of("docs/formats.md"))
    assert [name for name in FORMATS if name not in rows] == []


def test_the_tables_of_keys_and_gestures_are_those_of_the_page() -> None:
    source, page = text_of("app/tensorloom/view/editor/actions.ts"), text_of("docs/shortcuts.md")
    actions = re.findall(
        r'\{ id: "[^"]+", label: "([^"]+)", group: "([^"]+)", keys: \[([^\]]*)\](, held: true)?',
        source,
    )
    assert len(actions) == len(re.findall(r"\{ id: ", source)) > 30
    wanted = []
    for group in dict.fromkeys(group for _, group, _, _ in actions):
        wanted.append(f"| **{group}** | | |")
        for label, own, keys, held in actions:
            if own == group:
                shown = ", ".join(f"<kbd>{key}</kbd>" for key in re.findall(r'"([^"]+)"', keys))
                wanted.append(f"| {shown} | {label} | {'held' if held else ''} |")
    gestures = re.findall(r'\{ how: "([^"]+)", what: "([^"]+)" \}', source)
    assert len(gestures) > 5
    assert rows_between(page, "actions") == wanted
    assert rows_between(page, "gestures") == [f"| {how} | {what} |" for how, what in gestures]


def rows_between(page: str, name: str) -> list[str]:
    """The rows of a marked table without its two heading lines."""
    inner = page.split(f"<!-- {name} -->\n")[1].split(f"\n<!-- /{name} -->", maxsplit=1)[0]
    return inner.splitlines()[2:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(
        r"\]\(([^)\s]+)\)", re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    ):
        if "://" in target:
            continue
        name, _, heading = target.partition("#")
        file = page.parent / name if name else page
        assert file.is_file(), f"{target} does not exist"
        if heading:
            assert heading in headings(file), f"{target} has no such heading"


def headings(file: Path) -> set[str]:
    """The anchors of a page's headings, as hosting sites make them."""
    lines = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}


def test_every_page_is_linked_from_the_front() -> None:
    front = text_of("README.md")
    assert [page.name for page in DOCS.glob("*.md") if f"docs/{page.name}" not in front] == []
