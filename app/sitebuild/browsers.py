"""The three browser engines that the tests need, found or installed.

Chromium runs everything, Firefox and WebKitGTK one smoke run each. What is on the machine is used.
Debian as root gets what is missing by apt-get; elsewhere Playwright's own Chromium is fetched into
the project's folder. What cannot be had is named with its reason, never passed over in silence.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sitebuild.environment import Environment

__all__ = ["Browsers", "ensure", "find"]

DEBIAN_PACKAGES = {
    "chromium": "chromium",
    "mesa-vulkan-drivers": "a software Vulkan adapter",
    "firefox-esr": "firefox",
    "webkit2gtk-driver": "webkit",
    "xvfb": "webkit",
    "xauth": "webkit",
    "fonts-dejavu-core": "fonts",
}
"""What apt-get installs, and what for."""

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
CHROMIUM_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "~/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Google/Chrome/Application/chrome.exe",
)
FIREFOX_NAMES = ("firefox-esr", "firefox")
FIREFOX_PLACES = (
    "/Applications/Firefox.app/Contents/MacOS/firefox",
    "C:/Program Files/Mozilla Firefox/firefox.exe",
)
MINI_BROWSER = "webkit2gtk-4.*/MiniBrowser"


@dataclass(frozen=True, slots=True, kw_only=True)
class Browsers:
    """Where each engine is; ``None`` where it could not be had.

    Args:
        chromium: Chrome or Chromium.
        firefox: Firefox, ESR or newer.
        webkit: WebKitGTK's MiniBrowser, with its driver and a virtual display beside it.
        missing: Why, by the name of each engine that is not there.
    """

    chromium: Path | None
    firefox: Path | None
    webkit: Path | None
    missing: dict[str, str] = field(default_factory=dict)


def playwright_folder(root: Path) -> Path:
    """Where Playwright keeps what it fetches: in the project's folder, as everything else."""
    return root / ".cache" / "playwright"


def find(root: Path) -> Browsers:
    """What is on this machine now; nothing is installed."""
    found = {
        "chromium": _first(CHROMIUM_NAMES, CHROMIUM_PLACES) or _playwrights_own(root),
        "firefox": _first(FIREFOX_NAMES, FIREFOX_PLACES),
        "webkit": _webkit(),
    }
    hint = "`python3 build.py test` as root on Debian installs it"
    missing = {name: f"not on this machine; {hint}" for name, path in found.items() if not path}
    return Browsers(**found, missing=missing)


def ensure(env: Environment) -> Browsers:
    """What is on this machine after installing what can be installed."""
    found = find(env.root)
    why = {}
    if found.missing or not _has_software_vulkan():
        why = _install_on_debian() if _is_debian() else {}
        found = find(env.root)
    if found.chromium is None:
        why["chromium"] = _install_by_playwright(env)
        found = find(env.root)
    reasons = {name: why.get(name) or _advice(name) for name in found.missing}
    return Browsers(
        chromium=found.chromium, firefox=found.firefox, webkit=found.webkit, missing=reasons
    )


def _first(names: Iterable[str], places: Iterable[str]) -> Path | None:
    for name in names:
        on_path = shutil.which(name)
        if on_path:
            return Path(on_path)
    candidates = (Path(place).expanduser() for place in places)
    return next((path for path in candidates if path.is_file()), None)


def _playwrights_own(root: Path) -> Path | None:
    folder = playwright_folder(root)
    for pattern in (
        "chromium-*/chrome-linux*/chrome",
        "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
        "chromium-*/chrome-win*/chrome.exe",
    ):
        found = sorted(folder.glob(pattern))
        if found:
            return found[-1]
    return None


def _webkit() -> Path | None:
    if not (shutil.which("WebKitWebDriver") and shutil.which("xvfb-run")):
        return None
    for folder in (Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/libexec")):
        for pattern in (MINI_BROWSER, f"*/{MINI_BROWSER}"):
            found = sorted(folder.glob(pattern))
            if found:
                return found[-1]
    return None


def _has_software_vulkan() -> bool:
    """Whether Vulkan can be had in software; asked on Linux only, where tests run headless."""
    if not sys.platform.startswith("linux"):
        return True
    return any(Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"))


def _is_debian() -> bool:
    return Path("/etc/debian_version").is_file() and shutil.which("apt-get") is not None


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _install_on_debian() -> dict[str, str]:
    """Reasons by engine for what could not be installed; empty if all is there."""
    if not _is_root():
        names = " ".join(DEBIAN_PACKAGES)
        reason = f"not root; run `sudo apt-get install {names}`"
        return dict.fromkeys(("chromium", "firefox", "webkit"), reason)
    print("Installing browsers by apt-get ...", flush=True)
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _quiet(["apt-get", "update", "-qq"], variables)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]
    if _quiet([*command, *DEBIAN_PACKAGES], variables) is None:
        return {}
    # One package that does not exist here must not take the others with it.
    reasons = {}
    for package, purpose in DEBIAN_PACKAGES.items():
        problem = _quiet([*command, package], variables)
        if problem:
            reasons[purpose] = f"apt-get install {package}: {problem}"
    return reasons


def _install_by_playwright(env: Environment) -> str:
    """Why Playwright's Chromium could not be fetched; empty if it could."""
    print("Fetching Chromium by Playwright ...", flush=True)
    folder = str(playwright_folder(env.root))
    variables = {**env.variables(), "PLAYWRIGHT_BROWSERS_PATH": folder}
    command = [str(env.python), "-m", "playwright", "install", "chromium"]
    problem = _quiet(command, variables)
    return f"playwright install chromium: {problem}" if problem else ""


def _quiet(command: list[str], variables: dict[str, str]) -> str | None:
    """The last line of a failed command, or ``None``."""
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[-1] if lines else f"exit {done.returncode}"


def _advice(name: str) -> str:
    if name == "chromium":
        return "install Chrome or Chromium and run this again"
    if name == "webkit":
        return "WebKitGTK's driver and a virtual display are packaged for Linux only"
    return "install Firefox and run this again"
