from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sitebuild import browsers
from sitebuild.environment import Environment

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with an empty PATH and no application in the usual places."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browsers, "CHROMIUM_PLACES", ())
    monkeypatch.setattr(browsers, "FIREFOX_PLACES", ())
    return tmp_path


def program(folder: Path, name: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_bare_machine_misses_all_three_by_name(bare: Path) -> None:
    found = browsers.find(bare)
    assert (found.chromium, found.firefox, found.webkit) == (None, None, None)
    assert sorted(found.missing) == ["chromium", "firefox", "webkit"]


def test_browsers_on_the_path_are_used(bare: Path) -> None:
    chrome = program(bare, "google-chrome")
    firefox = program(bare, "firefox")
    found = browsers.find(bare)
    assert found.chromium == chrome
    assert found.firefox == firefox
    assert list(found.missing) == ["webkit"]


def test_debians_firefox_esr_comes_before_another(bare: Path) -> None:
    program(bare, "firefox")
    esr = program(bare, "firefox-esr")
    assert browsers.find(bare).firefox == esr


def test_what_playwright_fetched_is_found(bare: Path) -> None:
    folder = browsers.playwright_folder(bare)
    program(folder, "chromium-1200/chrome-linux/chrome")
    newer = program(folder, "chromium-1255/chrome-linux64/chrome")
    assert browsers.find(bare).chromium == newer


def test_webkit_needs_its_driver_and_a_display(bare: Path) -> None:
    program(bare, "WebKitWebDriver")
    assert browsers.find(bare).webkit is None


def test_debian_as_another_user_is_told_the_command(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsers, "_is_debian", lambda: True)
    monkeypatch.setattr(browsers, "_is_root", lambda: False)
    monkeypatch.setattr(browsers, "_install_by_playwright", lambda _env: "no network")
    env = Environment(root=bare, python=bare, node=bare, npm=("npm",))
    missing = browsers.ensure(env).missing
    assert missing["chromium"] == "no network"
    assert missing["firefox"].startswith("not root; run `sudo apt-get install chromium ")


def test_elsewhere_playwright_is_asked_and_the_rest_is_explained(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(env: Environment) -> str:
        program(browsers.playwright_folder(env.root), "chromium-1255/chrome-linux64/chrome")
        return ""

    monkeypatch.setattr(browsers, "_is_debian", lambda: False)
    monkeypatch.setattr(browsers, "_has_software_vulkan", lambda: True)
    monkeypatch.setattr(browsers, "_install_by_playwright", install)
    env = Environment(root=bare, python=bare, node=bare, npm=("npm",))
    found = browsers.ensure(env)
    assert found.chromium is not None
    assert found.missing == {
        "firefox": "install Firefox and run this again",
        "webkit": "WebKitGTK's driver and a virtual display are packaged for Linux only",
    }


def test_a_package_that_does_not_exist_takes_no_other_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[list[str]] = []

    def quiet(command: list[str], _variables: dict[str, str]) -> str | None:
        asked.append(command)
        return "no such package" if "webkit2gtk-driver" in command else None

    monkeypatch.setattr(browsers, "_is_root", lambda: True)
    monkeypatch.setattr(browsers, "_quiet", quiet)
    assert browsers._install_on_debian() == {
        "webkit": "apt-get install webkit2gtk-driver: no such package"
    }
    assert [command[-1] for command in asked if command[1] == "install"][1:] == [
        *browsers.DEBIAN_PACKAGES
    ]
